"""AMSR2 swaths as JAXA makes them: Level 1B and Level 1R in HDF5.

A swath is a row of scans, each with 486 samples at 89 GHz (horn A, and horn B on scans of its own
places) and 243 at the other frequencies. Level 1B gives places for 89 GHz only. Those of the others
follow from two neighbouring samples of horn A and two numbers a frequency, the co-registration
parameters A1 and A2 (JAXA, AMSR2 Level 1 Product Format Specification). With P1 and P2 the unit
vectors of samples 1 and 2, 3 and 4, ... and θ the angle between them::

    ex = P1,  ez = P1 × P2 / |P1 × P2|,  ey = ez × ex
    P = cos(A2 θ) (cos(A1 θ) ex + sin(A1 θ) ey) + sin(A2 θ) ez

Latitudes stand in these vectors as they are, geodetic, both ways. Level 1R has been resampled by
JAXA to common places, samples 1, 3, ... of horn A, at several resolutions; each channel is taken at
its finest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath

import numpy as np

from ....ground.errors import SceneError
from ..cf.container import Container, as_numbers
from .bands import channel_of_frequency

LOWEST_CODE_WITHOUT_DATA = 65534
"""65535 is missing, 65534 an error in the data (parity)."""

SPACING_KM = 10.0
"""Between neighbouring footprints below 89 GHz, along and across the scans."""

SPACING_89_KM = 5.0
"""The same at 89 GHz, where both horns serve."""

# Dates at whose start a leap second had just been added, since 1993 (IERS Bulletin C).
_LEAPS = (
    "1993-07-01",
    "1994-07-01",
    "1996-01-01",
    "1997-07-01",
    "1999-01-01",
    "2006-01-01",
    "2009-01-01",
    "2012-07-01",
    "2015-07-01",
    "2017-01-01",
)
_EPOCH = datetime(1993, 1, 1, tzinfo=timezone.utc)
_NAME = re.compile(
    r"Brightness[ _]Temperature[ _]\((?:(?P<resolution>res\d\d|original),)?"
    r"(?P<ghz>\d+(?:\.\d+)?)GHz(?:-(?P<horn>[AB]))?,(?P<polarisation>[HV])\)"
)
_PARAMETER = re.compile(r"(\d+)G-(-?\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Footprints:
    """Places where some channels were measured together.

    Parameters
    ----------
    lon, lat : numpy.ndarray
        (point,) degrees, float64; every one valid.
    time : numpy.ndarray
        (point,) seconds since 1970 in UTC, float64; NaN where the file has none.
    values : mapping
        Channel to (point,) float32, K; NaN where there is no data.
    spacing_km : float
        Distance between neighbours.
    """

    lon: np.ndarray
    lat: np.ndarray
    time: np.ndarray
    values: Mapping[str, np.ndarray]
    spacing_km: float


@dataclass(frozen=True)
class Swath:
    """One granule.

    Parameters
    ----------
    name : str
        The granule's name.
    level : {'L1B', 'L1R'}
        How places are known.
    footprints : tuple of Footprints
        By groups of channels that share their places.
    source : mapping
        Channel to the name of what it was read from.
    without_data : int
        Number of samples that hold a code instead of a temperature.
    parameters : mapping
        Frequency (``6G``) to the parameters A1 and A2 used; empty for Level 1R.
    """

    name: str
    level: str
    footprints: tuple[Footprints, ...]
    source: Mapping[str, str]
    without_data: int
    parameters: Mapping[str, tuple[float, float]]

    @property
    def channels(self) -> set[str]:
        """Names of the channels that are there."""
        return {name for group in self.footprints for name in group.values}


def is_swath(container: Container) -> bool:
    """Return whether a file has what a Level 1B or 1R granule has."""
    plain = {name.replace("_", " ") for name in container.names}
    return (
        "Latitude of Observation Point for 89A" in plain
        and "Longitude of Observation Point for 89A" in plain
        and any(_NAME.fullmatch(name) for name in container.names)
    )


def read_swath(container: Container) -> Swath:
    """Return the swath in an open file.

    Raises
    ------
    SceneError
        Something of it is missing, contradicts itself or cannot be read.
    """
    reader = _Reader(container)
    chosen = _finest(container.names)
    level = "L1R" if any(resolution for _, _, resolution in chosen) else "L1B"
    places = {"A": reader.places("A")}
    if any(horn == "B" for _, horn, _ in chosen):
        places["B"] = reader.places("B")
    time = reader.time(places["A"][0].shape[0])
    groups: dict[str, list[tuple[str, str]]] = {}
    for (channel, horn, _), name in chosen.items():
        group = f"89{horn}" if horn else f"{_whole_ghz(name)}G"
        groups.setdefault(group if horn or level == "L1B" else "low", []).append((channel, name))
    parameters: dict[str, tuple[float, float]] = {}
    if level == "L1B":
        a1, a2 = (reader.parameters(f"CoRegistrationParameterA{n}") for n in (1, 2))
        for group in groups:
            if not group.startswith("89"):
                if group not in a1 or group not in a2:
                    raise SceneError(
                        f"{container.path} has no co-registration parameters for {group}Hz (A1: {sorted(a1)}, "
                        f"A2: {sorted(a2)}), without which its places are unknown. Get the file again."
                    )
                parameters[group] = (a1[group], a2[group])
    rows = []
    horns = [group for group in groups if group.startswith("89")]
    for group, names in groups.items():
        lon, lat = places[group[-1]] if group in horns else places["A"]
        if group in parameters:
            lon, lat = low_frequency_places(lon, lat, *parameters[group])
        elif group not in horns:
            lon, lat = lon[:, 0 : lon.shape[1] // 2 * 2 : 2], lat[:, 0 : lat.shape[1] // 2 * 2 : 2]
        values = {channel: reader.temperatures(name, lon.shape) for channel, name in names}
        rows.append(_group(lon, lat, time, values, SPACING_89_KM if len(horns) == 2 else SPACING_KM, group))
    return Swath(
        name=_granule(container),
        level=level,
        footprints=_joined(rows),
        source=_sources(chosen),
        without_data=reader.without_data,
        parameters=parameters,
    )


def low_frequency_places(
    lon: np.ndarray, lat: np.ndarray, a1: float, a2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where a frequency below 89 GHz looked, from where horn A did.

    Parameters
    ----------
    lon, lat : numpy.ndarray
        (scan, sample), degrees, of horn A; an even number of samples, a last odd one is left out.
    a1, a2 : float
        The frequency's co-registration parameters: along the scan and across it, in steps of horn A.

    Returns
    -------
    tuple of numpy.ndarray
        Longitude and latitude, (scan, sample / 2), degrees; NaN where one of the two is NaN.
    """
    pairs = lon.shape[1] // 2
    first = unit_vectors(lon[:, 0 : 2 * pairs : 2], lat[:, 0 : 2 * pairs : 2])
    second = unit_vectors(lon[:, 1 : 2 * pairs : 2], lat[:, 1 : 2 * pairs : 2])
    normal = np.cross(first, second)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    # Two samples at one place have no direction, and no angle: the place is the first.
    with np.errstate(invalid="ignore", divide="ignore"):
        across = np.where(length > 0, normal / length, 0.0)
    along = np.cross(across, first)
    angle = np.arctan2(length, np.sum(first * second, axis=-1, keepdims=True))
    place = np.cos(a2 * angle) * (np.cos(a1 * angle) * first + np.sin(a1 * angle) * along)
    place = place + np.sin(a2 * angle) * across
    return (
        np.degrees(np.arctan2(place[..., 1], place[..., 0])),
        np.degrees(np.arctan2(place[..., 2], np.hypot(place[..., 0], place[..., 1]))),
    )


def unit_vectors(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Return (..., 3) vectors on the unit sphere, float64, of degrees of any shape."""
    lam, phi = np.radians(np.asarray(lon, dtype=np.float64)), np.radians(np.asarray(lat, dtype=np.float64))
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def utc_of_tai93(seconds: np.ndarray) -> np.ndarray:
    """Return seconds since 1970 in UTC of seconds since 1993 that count leap seconds (TAI93)."""
    starts = np.array(
        [
            (datetime.fromisoformat(day).replace(tzinfo=timezone.utc) - _EPOCH).total_seconds()
            for day in _LEAPS
        ]
    )
    seconds = np.asarray(seconds, dtype=np.float64)
    leaps = np.searchsorted(starts + np.arange(1, len(starts) + 1), seconds, side="right")
    return np.where(np.isfinite(seconds), seconds - leaps + _EPOCH.timestamp(), np.nan)


def as_datetime(seconds: float) -> datetime:
    """Return the time of seconds since 1970 in UTC."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=float(seconds))


class _Reader:
    """Reads the arrays of one granule and counts what holds no data."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._names = {name.replace("_", " "): name for name in container.names}
        self.without_data = 0

    def _name(self, plain: str) -> str:
        if plain not in self._names:
            raise SceneError(
                f"{self._container.path} has no '{plain}', which every AMSR2 Level 1 file has. Get it again."
            )
        return self._names[plain]

    def _scale(self, name: str) -> float:
        attributes = self._container.attributes_of(name)
        scale = as_numbers(attributes.get("SCALE FACTOR", attributes.get("SCALE_FACTOR")))
        return scale[0] if scale and np.isfinite(scale[0]) and scale[0] > 0 else float("nan")

    def places(self, horn: str) -> tuple[np.ndarray, np.ndarray]:
        """Return longitude and latitude of a horn, (scan, sample), NaN where there is none."""
        lat_name = self._name(f"Latitude of Observation Point for 89{horn}")
        lon_name = self._name(f"Longitude of Observation Point for 89{horn}")
        shape = self._container.shape(lat_name)
        if len(shape) != 2 or shape[1] < 2:
            raise SceneError(
                f"'{lat_name}' in {self._container.path} has the shape {shape} where (scans, samples) is due."
            )
        lat, lon = (self._container.read(name, shape).astype(np.float64) for name in (lat_name, lon_name))
        with np.errstate(invalid="ignore"):
            bad = ~((np.abs(lat) <= 90.0) & (np.abs(lon) <= 360.0))
        return np.where(bad, np.nan, lon), np.where(bad, np.nan, lat)

    def time(self, scans: int) -> np.ndarray:
        """Return the time of each scan, seconds since 1970 in UTC, NaN where unknown."""
        seconds = self._container.read(self._name("Scan Time"), (scans,)).astype(np.float64)
        # The instrument began in 2012; anything before 2000 or after 2100 is a code.
        with np.errstate(invalid="ignore"):
            known = (seconds > 2.2e8) & (seconds < 3.4e9)
        return utc_of_tai93(np.where(known, seconds, np.nan))

    def temperatures(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return brightness temperatures, float32, K; NaN where the file holds a code."""
        stored = self._container.read(name, shape)
        scale = self._scale(name)
        if not np.isfinite(scale):
            raise SceneError(
                f"'{name}' in {self._container.path} has no usable attribute 'SCALE FACTOR', so its values "
                "mean nothing. Get the file again."
            )
        with np.errstate(invalid="ignore"):
            good = (stored > 0) & (stored < LOWEST_CODE_WITHOUT_DATA)
        self.without_data += int(good.size - good.sum())
        # Decimal numbers kept in float32: 0.01 is meant, not 0.00999999977648.
        return np.where(good, stored * float(f"{scale:.6g}"), np.nan).astype(np.float32)

    def parameters(self, attribute: str) -> dict[str, float]:
        """Return co-registration parameters by frequency: ``6G-1.25,7G--0.1`` are 1.25 and −0.1."""
        text = self._container.text(attribute)
        values = {f"{frequency}G": float(value) for frequency, value in _PARAMETER.findall(text)}
        if not values:
            raise SceneError(
                f"{self._container.path} has no attribute '{attribute}' with values such as '6G-1.25000' "
                f"(it holds '{text[:40]}'), without which the places of all channels below 89 GHz are unknown."
            )
        return values


def _finest(names: tuple[str, ...]) -> dict[tuple[str, str, str], str]:
    """Return (channel, horn, resolution) to name, each channel only at its finest resolution."""
    best: dict[tuple[str, str], tuple[int, tuple[str, str, str], str]] = {}
    for name in names:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        channel = channel_of_frequency(match["ghz"], match["polarisation"])
        if channel is None:
            continue
        resolution, horn = match["resolution"] or "", match["horn"] or ""
        rank = 99 if resolution in ("original", "") else int(resolution[3:])
        key = (channel, horn)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, (channel, horn, resolution), name)
    seen = {horn: {channel for channel, one in best if one == horn} for horn in "AB"}
    if seen["A"] and seen["B"] != seen["A"]:
        # Half of the samples of one channel only: horn A alone treats all alike.
        best = {key: entry for key, entry in best.items() if key[1] != "B"}
    horns = {channel for channel, horn in best if horn}
    # The resampled 89 GHz channel is not needed where the original samples are.
    return {key: name for (channel, horn), (_, key, name) in best.items() if horn or channel not in horns}


def _group(
    lon: np.ndarray,
    lat: np.ndarray,
    time: np.ndarray,
    values: dict[str, np.ndarray],
    spacing: float,
    name: str,
) -> Footprints:
    known = np.isfinite(lon) & np.isfinite(lat)
    return Footprints(
        lon=lon[known],
        lat=lat[known],
        time=np.broadcast_to(time[:, None], lon.shape)[known],
        values={channel: array[known] for channel, array in values.items()},
        spacing_km=spacing if name.startswith("89") else SPACING_KM,
    )


def _joined(groups: list[Footprints]) -> tuple[Footprints, ...]:
    """Return groups with the two horns, which hold the same channels, made one."""
    joined: dict[frozenset[str], Footprints] = {}
    for group in groups:
        key = frozenset(group.values)
        other = joined.get(key)
        if other is not None:
            group = Footprints(
                lon=np.concatenate([other.lon, group.lon]),
                lat=np.concatenate([other.lat, group.lat]),
                time=np.concatenate([other.time, group.time]),
                values={name: np.concatenate([other.values[name], group.values[name]]) for name in key},
                spacing_km=group.spacing_km,
            )
        joined[key] = group
    return tuple(joined.values())


def _sources(chosen: Mapping[tuple[str, str, str], str]) -> dict[str, str]:
    sources: dict[str, str] = {}
    for (channel, _, _), name in sorted(chosen.items()):
        sources[channel] = f"{sources[channel]} and {name}" if channel in sources else name
    return sources


def _granule(container: Container) -> str:
    """Return the granule's name: its own, or the file's."""
    own = container.text("GranuleID")
    return own if re.fullmatch(r"[\w.-]{4,80}", own) else PurePosixPath(container.path).name.split(".")[0]


def _whole_ghz(name: str) -> str:
    """Return the frequency in the name of a brightness temperature without its decimals."""
    match = _NAME.fullmatch(name)
    return match["ghz"].partition(".")[0] if match else ""
