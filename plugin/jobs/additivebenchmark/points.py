"""The study of normal inputs: its covariance, functions and network from files, or drawn from the seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...ground.errors import ParameterError, SceneError
from ...io.environment.crs import LONLAT
from ...io.geometry.grid import Grid
from .layered import PointStudy

if TYPE_CHECKING:
    from ...core.benchmarks.additive.conditions import Extent
    from ...core.benchmarks.additive.networks import DenseLayer

STEP = {"quick": 20.0, "full": 10.0}  # degrees of a cell where no covariance is given
NORTHERNMOST = 60.0  # there
REACH = 1.0  # Earth radii over which the correlation falls to 1/e


def point_study(
    methods: tuple[str, ...],
    extent: Extent,
    seed: int,
    size: str,
    covariance: str | None = None,
    functions: str | None = None,
    network: str | None = None,
) -> PointStudy:
    """Return the study; the paths are those of :class:`.job.AdditiveBenchmark`.

    Raises
    ------
    SceneError
        A file is damaged, or does not fit the others.
    """
    from ...core.benchmarks.additive.piecewise import PiecewiseLinear, drawn
    from ...core.benchmarks.additive.point import Points, merge
    from ...io.formats.fields import read_functions

    found, mask, grid = _covariance(covariance, size)
    merged, groups = merge(found)
    if functions:
        if mask is None:
            raise ParameterError("FUNCTIONS belong to the cells of a covariance, but COVARIANCE is a raster.")
        chosen = PiecewiseLinear(*read_functions(functions, mask), groups)
    else:
        chosen = drawn(merged, seed)
    others, reads = _others(network, mask, groups)
    source = Path(covariance).name if covariance else f"cells of {STEP[size]:g}°, exponential"
    generator = Points(merged, chosen, source, others, reads)
    return PointStudy(generator, methods, extent, seed, grid=grid, mask=mask, groups=groups, reads=reads)


def _covariance(path: str | None, size: str) -> tuple[np.ndarray, np.ndarray | None, Grid | None]:
    """Return the covariance, and mask and grid of the cells where inputs are cells."""
    from ...core.benchmarks.additive.point import smooth_covariance
    from ...io.formats.fields import read_covariance, read_stack

    if path is None:
        grid = _cells(STEP[size])
        return smooth_covariance(*_places(grid), REACH), np.ones((grid.rows, grid.cols), bool), grid
    if path.lower().endswith(".npz"):
        return read_covariance(path)
    bands, _ = read_stack(path)
    values = bands.reshape(len(bands), -1)
    known = values[:, np.isfinite(values).all(0)].astype(float)
    if len(bands) < 2 or known.shape[1] <= len(bands) or (known.std(1) == 0).any():
        raise SceneError(
            f"COVARIANCE: {path} has {len(bands)} bands and {known.shape[1]} pixels with data in all of them. At least "
            "two bands, none of them constant, and more pixels than bands are needed."
        )
    return np.corrcoef(known), None, None


def _cells(step: float) -> Grid:
    rows = 2 * int(NORTHERNMOST / step)
    transform = (step, 0.0, -180.0, 0.0, -step, rows * step / 2)
    return Grid(rows, int(360 / step), LONLAT, transform=transform)


def _places(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return longitude and latitude of the cells row by row, (cell,), degrees."""
    if grid.transform is None:
        raise AssertionError("grid.transform is None")
    step, _, west, _, down, north = grid.transform
    rows, cols = np.mgrid[: grid.rows, : grid.cols]
    return (west + (cols + 0.5) * step).ravel(), (north + (rows + 0.5) * down).ravel()


def _others(
    path: str | None, mask: np.ndarray | None, groups: np.ndarray
) -> tuple[tuple[DenseLayer, ...], tuple[int, ...]]:
    """Return the layers of somebody else's network, and which inputs it reads, in its order.

    Its inputs are the cells in the order of the file of the covariance: all of them, or without those that are one and
    the same with others, as Mamalakis et al. left them out.
    """
    if not path:
        return (), ()
    from ...core.benchmarks.additive.networks import DenseLayer
    from ...io.formats.fields import stored_order
    from ...io.formats.keras_dense import read_dense

    layers = tuple(DenseLayer(*layer) for layer in read_dense(path))
    if mask is None:
        raise ParameterError(
            "NETWORK reads the cells of a covariance, but COVARIANCE is a raster. Leave it empty."
        )
    cells = np.argsort(stored_order(mask))  # the cells in the order of the file
    single = cells[np.bincount(groups)[groups[cells]] == 1]
    wanted = len(layers[0].weight)
    for read in (cells, single):
        if len(read) == wanted:
            return layers, tuple(int(number) for number in groups[read])
    raise SceneError(
        f"NETWORK: {path} reads {wanted} inputs, but COVARIANCE has {len(cells)} cells, {len(single)} without those "
        "that are one and the same. Choose the covariance that it was trained with."
    )
