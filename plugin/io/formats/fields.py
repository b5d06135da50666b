"""Stacks of fields of one quantity, and covariances to draw such fields from.

A stack is any raster: each band is one field. A covariance is an ``.npz`` file with ``covariance`` (cell, cell) and
``mask`` (row, column), the cells row by row from 90° N and from 0° E on a regular global grid, as Krell et al. publish
those of COBE-SST2 (ekrell/geoscience-attribution-benchmarks, CC0), and functions of such cells.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping

import numpy as np

from ...ground.damaged_arrays import DAMAGED
from ...ground.errors import SceneError
from ...ground.window import Window
from ..environment.crs import LONLAT, parse_crs
from ..files.raster import Raster, open_raster
from ..geometry.grid import Grid
from ..geometry.vector import Polygons
from ..geometry.zones import PolygonIndex

MOST_VALUES = 50_000_000
MOST_BYTES = 2 << 30  # of an archive, unpacked: a covariance of 16,000 cells


def read_stack(path: str) -> tuple[np.ndarray, Grid]:
    """Return the bands of a raster (band, row, column), float32 with NaN where there is no data, and its grid.

    Raises
    ------
    SceneError
        The raster cannot be read, has no georeferencing, or is too large.
    """
    with open_raster(path) as raster:
        number = len(raster.measured) * raster.rows * raster.cols
        if number > MOST_VALUES:
            raise SceneError(
                f"FIELDS holds {number / 1e6:.0f} million values; the benchmark takes {MOST_VALUES / 1e6:.0f} million "
                "at most. Resample it to larger cells first."
            )
        grid = _longitudes_and_latitudes(raster) or Grid.from_raster(raster)
        return raster.read(list(raster.measured), Window(0, 0, raster.rows, raster.cols)), grid


def _stored(path: str | os.PathLike, kinds: Mapping[str, type], parameter: str = "") -> list[np.ndarray]:
    """Return two arrays of an .npz file by name, each of its kind."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MOST_BYTES:
            raise SceneError(
                f"{parameter}{path} unpacks to {unpacked >> 20} MiB; the benchmark takes {MOST_BYTES >> 20} at most. "
                "Take larger cells."
            )
        with np.load(path, allow_pickle=False) as stored:
            return [np.asarray(stored[name], kind) for name, kind in kinds.items()]
    except DAMAGED as error:
        first, second = kinds
        raise SceneError(
            f"{parameter}{path} is no .npz file with the arrays '{first}' and '{second}'. Check the file."
        ) from error


def read_covariance(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Return a covariance (cell, cell), the mask of its cells (row, column), and their grid from 180° W to 180° E.

    Raises
    ------
    SceneError
        The file is damaged or holds something else.
    """
    covariance, mask = _stored(path, {"covariance": float, "mask": bool}, "COVARIANCE: ")
    cells = int(mask.sum())
    square = covariance.shape == (cells, cells) and np.isfinite(covariance).all()
    if mask.ndim != 2 or not square or not np.allclose(covariance, covariance.T):
        raise SceneError(
            f"COVARIANCE: {path} has a mask of {cells} cells and a covariance of shape {covariance.shape}; it must be "
            "symmetric, finite, and have a row and a column a cell. Check the file."
        )
    rows, cols = mask.shape
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(cells)
    turned = np.roll(number, cols // 2, axis=1)
    order = turned[turned >= 0]
    west = -(cols // 2) * 360 / cols  # of an odd number of columns half a column east of 180° W
    grid = Grid(rows, cols, LONLAT, transform=(360 / cols, 0.0, west, 0.0, -180 / rows, 90.0))
    return covariance[np.ix_(order, order)], turned >= 0, grid


def read_functions(path: str | os.PathLike, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return break points (cell, K) and slopes (cell, K + 1) of one piecewise linear function a cell.

    The file, ``.npz``, has ``edges`` (cell, K + 2), from -∞ to ∞, and ``weights`` (cell, K + 1), its cells in the order
    of a covariance; they are returned in the order of :func:`read_covariance`.

    Parameters
    ----------
    path : str or path
        The file.
    mask : numpy.ndarray
        (row, column), bool: what :func:`read_covariance` returned.

    Raises
    ------
    SceneError
        The file is damaged or holds something else.
    """
    edges, slopes = _stored(path, {"edges": float, "weights": float})
    cells = int(mask.sum())
    if edges.ndim != 2 or slopes.shape != (cells, edges.shape[1] - 1) or len(edges) != cells:
        raise SceneError(
            f"{path} has edges of shape {edges.shape} and weights of shape {slopes.shape}; for {cells} cells each "
            "needs a row a cell, and edges one column more. Check the file."
        )
    order = stored_order(mask)
    return edges[order, 1:-1], slopes[order]


def stored_order(mask: np.ndarray) -> np.ndarray:
    """Return which cell of a file each cell of :func:`read_covariance` is, (cell,), int, by the mask of that."""
    number = np.full(mask.shape, -1)
    as_stored = np.roll(mask, -(mask.shape[1] // 2), axis=1)
    number[as_stored] = np.arange(int(mask.sum()))
    return np.roll(number, mask.shape[1] // 2, axis=1)[mask]


def cells_in(polygons: Polygons, grid: Grid) -> np.ndarray:
    """Return which cells have their centre in polygons: (row, column), bool; longitudes may differ by whole turns."""
    if grid.transform is None or not parse_crs(grid.crs).is_geographic:
        return PolygonIndex(polygons, grid).mask(grid.window)
    a, b, west, d, e, north = grid.transform
    turned = [
        Grid(grid.rows, grid.cols, grid.crs, (a, b, west + turn, d, e, north))
        for turn in (-360.0, 0.0, 360.0)
    ]
    return np.any([PolygonIndex(polygons, each).mask(each.window) for each in turned], axis=0)


def _longitudes_and_latitudes(raster: Raster) -> Grid | None:
    """Return the grid of a NetCDF file of longitudes and latitudes that names no CRS, as many do; else None.

    CF conventions 1.8, section 5.6: without a grid mapping these lie on an unspecified figure of the Earth.
    """
    dataset = raster.dataset
    units = {value for key, value in dataset.tags().items() if key.endswith("#units")}
    if dataset.driver != "netCDF" or dataset.crs or not {"degrees_north", "degrees_east"} <= units:
        return None
    transform = tuple(dataset.transform)[:6]
    return (
        None if dataset.transform.is_identity else Grid(raster.rows, raster.cols, LONLAT, transform=transform)
    )
