"""AMSR2 brightness temperatures that come on a grid: laid over a SAR scene, or where the file says that they lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath

import numpy as np

from ....ground.errors import SceneError
from ...environment.crs import parse_crs
from ...geometry.grid import Grid, GroundControlPoint
from ..cf.container import Container, as_numbers
from ..cf.placement import Places
from ..cf.quantities import kelvins
from ..cf.steps import step_of
from .bands import channel_of_name, in_order

_SAR = re.compile(r"^(nersc_)?sar_|^polygon_icechart$|^(SOD|FLOE)$", re.I)
_SCENE_TIME = re.compile(r"(?:^|_)(\d{8}T\d{6})(?=_)")
_SCENE_NAME = re.compile(r"S1[A-D]_[A-Z0-9]{2}_\w{4}_\w{4}_\d{8}T\d{6}")


@dataclass(frozen=True)
class GriddedChannels:
    """Brightness temperatures on a grid.

    Parameters
    ----------
    grid : Grid
        Their geometry.
    values : dict
        Channel to (row, column) float32, K, NaN where there is none.
    delay : numpy.ndarray, optional
        (row, column) float32, seconds to the SAR.
    found : dict
        What the file says about itself.
    time : datetime, optional
        Time of the step that was taken, UTC.
    """

    grid: Grid
    values: dict[str, np.ndarray]
    delay: np.ndarray | None
    found: dict[str, object]
    time: datetime | None = None


def holds_sar(container: Container) -> bool:
    """Return whether a file holds SAR or a chart as well: then it is a scene, which has a reader of its own."""
    return any(_SAR.search(name) for name in container.names)


def channels_in(container: Container) -> dict[str, str]:
    """Return channel to variable for the brightness temperatures of a file; none if it holds SAR as well."""
    if holds_sar(container):
        return {}
    names = {channel_of_name(name): name for name in container.names}
    return {channel: names[channel] for channel in in_order(name for name in names if name)}


def read_over_scene(
    container: Container, scene: Grid, sar_name: str, warn: Callable[[str], None]
) -> GriddedChannels:
    """Return channels whose cells divide a SAR scene evenly; a cell need not be whole pixels.

    Parameters
    ----------
    container : Container
        A file without georeferencing.
    scene : Grid
        The SAR scene that its rows and columns span, in the same orientation.
    sar_name : str
        What the scene's file is called, to see that it is the same scene; may be empty.
    warn : callable
        Takes sentences for the user.

    Raises
    ------
    SceneError
        The cells would not be nearly as high as wide, so the file belongs to another scene.
    """
    names = channels_in(container)
    shape = _shape(container, names)
    height, width = scene.rows / shape[0], scene.cols / shape[1]
    # As many cells as fit, give or take one, along each side.
    if abs(height / width - 1.0) > 1.5 / min(shape) + 1e-9:
        raise SceneError(
            f"{container.path} has {shape[0]} x {shape[1]} cells without georeferencing, which do not divide "
            f"the scene's {scene.rows} x {scene.cols} pixels into squares ({height:.2f} x {width:.2f} pixels). "
            "It belongs to another scene, or the scene is cropped or turned: give the scene it was made for."
        )
    ours, theirs = (_SCENE_NAME.search(name) for name in (sar_name, PurePosixPath(container.path).name))
    if ours and theirs and ours[0] != theirs[0]:
        warn(
            f"{container.path} names the scene {theirs[0]}, but it is laid over {ours[0]}: they should be one."
        )
    delay, delays = _delay(container, shape)
    return GriddedChannels(
        grid=_stretched(scene, *shape),
        values={name: _brightness(container, variable) for name, variable in names.items()},
        delay=delay,
        found={
            "georeferencing": "none of its own: the cells span the scene, same orientation, block-centred",
            "cell_in_pixels": [round(height, 4), round(width, 4)],
            "swaths": _list(container.attributes.get("AMSR2_swaths")),
            "delays_s": delays,
        },
    )


def own_grid(container: Container) -> Grid | None:
    """Return the grid of the first channel of a file; None where the file does not say where its cells lie.

    Raises
    ------
    SceneError
        What it says cannot be used.
    """
    first = next(iter(channels_in(container).values()))
    place = Places(container).of(container.variable(first))
    return place.grid if place is not None else None


def read_on_own_grid(
    container: Container, wanted: str = "", scene_time: datetime | None = None
) -> GriddedChannels:
    """Return channels where the file says that they lie.

    Parameters
    ----------
    container : Container
        The file.
    wanted : str
        Time or number of the time step; empty for the one nearest to the scene.
    scene_time : datetime, optional
        Start of the SAR scene, UTC.

    Raises
    ------
    SceneError
        There is no channel, channels lie on different grids, or one cannot be read.
    """
    places = Places(container)
    values: dict[str, np.ndarray] = {}
    grid: Grid | None = None
    time = None
    for name, variable in channels_in(container).items():
        array = container.variable(variable)
        place = places.of(array)
        if place is None or (grid is not None and not place.grid.same_as(grid)):
            raise SceneError(
                f"The channels of {container.path} lie on several grids ('{variable}' on another one than the first): "
                "one grid of rows and columns is due. Take them apart, for example by ncks -v."
            )
        grid = place.grid
        step = step_of(container, array, place.dims, wanted, scene_time)
        time = step.time if step.chosen else time_in_attributes(container) or step.time
        rest = tuple(dim for dim in array.dims if dim not in step.index)
        values[name] = place.arrange(_brightness(container, variable, step.index), rest)
    if grid is None:
        raise SceneError(f"{container.path} holds no brightness temperatures. Check the file.")
    provenance: dict[str, object] = {"georeferencing": parse_crs(grid.crs).name}
    return GriddedChannels(grid=grid, values=values, delay=None, found=provenance, time=time)


def scene_time_in_name(path: str) -> datetime | None:
    """Return the start of the SAR scene that a file's name holds, UTC."""
    if not _SCENE_NAME.search(PurePosixPath(path).name):
        return None
    match = _SCENE_TIME.search(PurePosixPath(path).name)
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc) if match else None
    except ValueError:
        return None


def time_in_attributes(container: Container) -> datetime | None:
    """Return the start of the time that a file covers, UTC."""
    for name in ("time_coverage_start", "start_time", "ObservationStartDateTime"):
        text = container.text(name).replace("Z", "+00:00")
        # Python before 3.11 wants three or six decimals, or none.
        text = re.sub(r"\.\d+", "", text)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            continue
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
    return None


def _stretched(scene: Grid, rows: int, cols: int) -> Grid:
    """Return the grid of `rows` x `cols` cells that divide the scene evenly."""
    height, width = scene.rows / rows, scene.cols / cols
    if scene.transform is not None:
        a, b, c, d, e, f = scene.transform
        return Grid(rows, cols, scene.crs, transform=(a * width, b * height, c, d * width, e * height, f))
    gcps = tuple(GroundControlPoint(g.row / height, g.col / width, g.x, g.y, g.z) for g in scene.points)
    return Grid(rows, cols, scene.crs, gcps=gcps)


def _shape(container: Container, names: dict[str, str]) -> tuple[int, int]:
    shapes = {tuple(n for n in container.shape(variable) if n != 1) for variable in names.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise SceneError(
            f"The channels of {container.path} have the shapes {sorted(shapes)}: one grid of rows and columns is due."
        )
    rows, cols = next(iter(shapes))
    return rows, cols


def _brightness(container: Container, variable: str, index: dict[str, int] | None = None) -> np.ndarray:
    """Return a channel in K, float32, NaN where there is no value; dimensions of one cell are gone."""
    array = container.variable(variable)
    if index is None:
        index = {dim: 0 for dim, size in zip(array.dims, array.shape) if size == 1}
    values, _ = array.counted(index)
    values = values.astype(np.float32)
    return kelvins(values, array.unit, variable, container.path, container.warn)


def _delay(container: Container, shape: tuple[int, int]) -> tuple[np.ndarray | None, list[float]]:
    """Return the delay of each cell, from the delays of the swaths and which swath each cell is from."""
    delays = as_numbers(container.attributes.get("delays", []))
    if not delays or "swath_segmentation" not in container.names:
        return (np.full(shape, delays[0], dtype=np.float32) if len(delays) == 1 else None), delays
    number = container.read("swath_segmentation")
    number = number.reshape([n for n in number.shape if n != 1])
    if number.shape != shape or number.min() < 0 or number.max() >= len(delays):
        return None, delays
    return np.asarray(delays, dtype=np.float32)[number.astype(np.intp)], delays


def _list(value: object) -> list[str]:
    return (
        [str(entry) for entry in value] if isinstance(value, (list, tuple)) else [str(value)] if value else []
    )
