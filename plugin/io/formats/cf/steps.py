"""Time steps of a map, and which of them is taken: the one asked for, or the nearest to a scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np

from ....ground.errors import ParameterError, SceneError
from .axes import TIME, Dimensions
from .container import Container, Variable, as_text

_SECONDS = {
    "microsecond": 1e-6, "microsec": 1e-6, "us": 1e-6,
    "millisecond": 1e-3, "millisec": 1e-3, "msec": 1e-3, "ms": 1e-3,
    "second": 1.0, "sec": 1.0, "s": 1.0,
    "minute": 60.0, "min": 60.0,
    "hour": 3600.0, "hr": 3600.0, "h": 3600.0,
    "day": 86400.0, "d": 86400.0,
    "week": 604800.0,
}  # fmt: skip
_SINCE = re.compile(r"\s*([a-zA-Z]+)\s+since\s+(.+?)\s*", re.I)
_DATE = re.compile(
    r"([+-]?\d{1,4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2}(?:\.\d*)?))?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)?"
)
_CALENDARS = ("", "standard", "gregorian", "proleptic_gregorian")
_FAR = timedelta(days=1)


@dataclass(frozen=True)
class Step:
    """Which place is taken along the dimensions that are no map.

    Parameters
    ----------
    index : dict
        Dimension to place.
    time : datetime, optional
        Time of it, UTC.
    chosen : bool
        Whether there were several.
    """

    index: dict[str, int]
    time: datetime | None
    chosen: bool


def parse_instant(text: str) -> datetime | None:
    """Return the time (UTC) that a text names: ``2020-03-15``, ``2020-03-15T06:00``, ``1978-1-1 00:00:0.0 UTC``."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in match.groups()[:5])
    try:
        time = datetime(year, month, day, hour, minute, tzinfo=timezone.utc)
        time += timedelta(seconds=float(match[6] or 0.0))
    except (ValueError, OverflowError):
        return None
    zone = re.fullmatch(r"([+-])(\d{1,2}):?(\d{2})?", match[7] or "")
    if zone:
        ahead = timedelta(hours=int(zone[2]), minutes=int(zone[3] or 0))
        time -= ahead if zone[1] == "+" else -ahead
    return time


def times_of(variable: Variable) -> list[datetime] | None:
    """Return the times of a coordinate variable, UTC; None where its calendar or unit is none of ours."""
    match = _SINCE.fullmatch(variable.unit)
    unit = match[1].lower() if match else ""
    factor = _SECONDS.get(unit, _SECONDS.get(unit.rstrip("s")))
    start = parse_instant(match[2]) if match else None
    calendar = as_text(variable.attributes.get("calendar")).lower()
    if factor is None or start is None or calendar not in _CALENDARS:
        return None
    values = variable.whole().astype(np.float64).ravel() * factor
    try:
        return [start + timedelta(seconds=round(float(value), 3)) for value in values]
    except (OverflowError, ValueError):
        return None


def step_of(
    container: Container,
    variable: Variable,
    dims: tuple[str, str],
    wanted: str = "",
    scene_time: datetime | None = None,
) -> Step:
    """Return which place to take along the dimensions that are no map.

    Parameters
    ----------
    container : Container
        The file.
    variable : Variable
        What is to be read.
    dims : tuple of str
        Dimensions of the map.
    wanted : str
        A time, or the number of a time step from 1; empty for the nearest to the scene.
    scene_time : datetime, optional
        Start of the SAR scene, UTC.

    Raises
    ------
    SceneError
        There are several steps and nothing says which, or a dimension that no choice is known for.
    ParameterError
        `wanted` is neither a time nor the number of a step.
    """
    dimensions = Dimensions(container)
    index: dict[str, int] = {}
    time: datetime | None = None
    for dim, size in zip(variable.dims, variable.shape):
        if dim in dims:
            continue
        coordinate = dimensions.coordinate(dim)
        is_time = dimensions.role(dim) == TIME
        if size == 0:
            raise SceneError(
                f"'{variable.name}' in {container.path} is empty along its dimension '{dim}': there is no map in it. "
                "Get the file from its provider again."
            )
        if size != 1 and not is_time:
            raise SceneError(
                f"'{variable.name}' in {container.path} has {size} maps along its dimension '{dim}', and which of them "
                "is meant is not known. Take one out, for example by ncks -d "
                f"{dim},0 in.nc out.nc."
            )
        times = times_of(coordinate) if is_time and coordinate is not None else None
        index[dim] = 0 if size == 1 else _chosen(container, variable, size, times, wanted, scene_time)
        if times is not None and len(times) == size:
            time = times[index[dim]]
    return Step(index, time, any(variable.shape[variable.dims.index(dim)] > 1 for dim in index))


def _chosen(
    container: Container,
    variable: Variable,
    size: int,
    times: list[datetime] | None,
    wanted: str,
    scene_time: datetime | None,
) -> int:
    known = f"'{variable.name}' in {container.path} has {size} time steps" + (
        f", {times[0]:%Y-%m-%dT%H:%M} to {times[-1]:%Y-%m-%dT%H:%M}" if times else " without times"
    )
    how = f"Name one in TIME: {'a time as 2020-03-15T06:00, or ' if times else ''}its number, 1 to {size}."
    at = scene_time
    if wanted.strip():
        if re.fullmatch(r"\d{1,3}", wanted.strip()) and 1 <= int(wanted) <= size:
            return int(wanted) - 1
        at = parse_instant(wanted)
        if at is None or times is None:
            raise ParameterError(f"TIME is '{wanted}', which names no step: {known}. {how}")
    if at is None or times is None:
        raise SceneError(f"{known}, and which of them is meant is not known. {how}")
    nearest = min(range(size), key=lambda n: abs(times[n] - at))
    apart = abs(times[nearest] - at)
    if apart > _FAR:
        container.warn(
            f"{known}; the nearest to {at:%Y-%m-%dT%H:%M} is {apart.total_seconds() / 3600:.0f} h away, at "
            f"{times[nearest]:%Y-%m-%dT%H:%M}."
        )
    return nearest
