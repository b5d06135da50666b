"""A grid from the latitudes and longitudes of its cells: affine where a polar map makes it so, else by a mesh."""

from __future__ import annotations

import numpy as np

from ....ground.errors import SceneError
from ...environment.crs import LONLAT, LocalPlane, mean_position, parse_crs, transform
from ...geometry.grid import Grid, GroundControlPoint

NORTH, SOUTH = "EPSG:3413", "EPSG:3976"
AFFINE_WITHIN = 0.05
"""Cells by which an affine map may miss any cell."""

MESH_WITHIN = 0.25
"""The same for a mesh of ground control points."""

_NODES = (11, 21, 41, 81)  # points of the mesh along each side
_SAMPLE = 200  # cells along each side that are compared


def grid_of_places(lon: np.ndarray, lat: np.ndarray, path: str) -> Grid:
    """Return the grid of cells whose centres lie at longitudes and latitudes.

    Parameters
    ----------
    lon, lat : numpy.ndarray
        (row, column) degrees; NaN where a cell has no place.
    path : str
        For messages.

    Raises
    ------
    SceneError
        They are no places, or no map without gaps and folds can be drawn through them.
    """
    with np.errstate(invalid="ignore"):
        known = (np.abs(lat) <= 90.0) & (np.abs(lon) <= 360.0)
    if min(lon.shape) < 2 or known.mean() < 0.25:
        raise SceneError(
            f"{path} has latitudes and longitudes of which {100 * known.mean():.0f} % are places on the Earth: its "
            "cells cannot be placed. Get the file again from its provider."
        )
    lon, lat = np.where(known, lon, np.nan), np.where(known, lat, np.nan)
    crs = parse_crs(NORTH if mean_position(lon, lat)[1] >= 0.0 else SOUTH).to_wkt()
    x, y = transform(LONLAT, crs, lon, lat)
    rows, cols = lon.shape
    affine = _affine(x, y)
    if affine is not None:
        return Grid(rows, cols, crs, transform=affine)
    for nodes in _NODES:
        grid = _mesh(x, y, crs, nodes)
        if grid is not None and _misses(grid, x, y) <= MESH_WITHIN:
            return grid
    raise SceneError(
        f"The latitudes and longitudes of the cells of {path} are no map that can be drawn without folds (it may "
        "reach around the Earth, or be a swath). Get the data on a map projection, or as Level 1 swaths."
    )


def _affine(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float, float, float] | None:
    """Return the affine transform of cells on the map; None where it is none."""
    row, col = _sample(x.shape)
    at_x, at_y = x[row, col].ravel(), y[row, col].ravel()
    known = np.isfinite(at_x) & np.isfinite(at_y)
    design = np.stack([col.ravel() + 0.5, row.ravel() + 0.5, np.ones(row.size)], axis=1)[known]
    if known.sum() < 4 or np.linalg.matrix_rank(design) < 3:
        return None
    fitted = [np.linalg.lstsq(design, values[known], rcond=None)[0] for values in (at_x, at_y)]
    miss = np.hypot(*(design @ part - values[known] for part, values in zip(fitted, (at_x, at_y))))
    (a, b, c), (d, e, f) = fitted
    size = min(np.hypot(a, d), np.hypot(b, e))
    if not size > 0.0 or miss.max() > AFFINE_WITHIN * size or abs(a * e - b * d) < 1e-3 * size**2:
        return None
    return tuple(float(value) for value in (a, b, c, d, e, f))  # type: ignore[return-value]


def _mesh(x: np.ndarray, y: np.ndarray, crs: str, nodes: int) -> Grid | None:
    rows, cols = x.shape
    row, col = (np.unique(np.linspace(0, n - 1, min(n, nodes)).round().astype(int)) for n in (rows, cols))
    row, col = (part.ravel() for part in np.meshgrid(row, col, indexing="ij"))
    points = tuple(
        GroundControlPoint(r + 0.5, c + 0.5, float(x[r, c]), float(y[r, c]))
        for r, c in zip(row.tolist(), col.tolist())
        if np.isfinite(x[r, c]) and np.isfinite(y[r, c])
    )
    try:
        grid = Grid(rows, cols, crs, gcps=points)
        grid.pixel_to_map(rows / 2, cols / 2)
    except (SceneError, ValueError):
        return None
    return grid


def _misses(grid: Grid, x: np.ndarray, y: np.ndarray) -> float:
    """Return by how many cells a mesh misses the places of cells at most."""
    row, col = _sample(x.shape)
    known = np.isfinite(x[row, col]) & np.isfinite(y[row, col])
    row, col = row[known], col[known]
    plane = LocalPlane(grid.crs, x[row, col], y[row, col])
    u, v = plane.from_map(x[row, col], y[row, col])
    at_u, at_v = plane.from_map(*grid.pixel_to_map(row + 0.5, col + 0.5))
    right = plane.from_map(*grid.pixel_to_map(row + 0.5, col + 1.5))
    down = plane.from_map(*grid.pixel_to_map(row + 1.5, col + 0.5))
    size = np.minimum(np.hypot(right[0] - at_u, right[1] - at_v), np.hypot(down[0] - at_u, down[1] - at_v))
    with np.errstate(invalid="ignore", divide="ignore"):
        miss = np.hypot(u - at_u, v - at_v) / size
    return float(np.max(miss)) if miss.size and np.isfinite(miss).all() else float("inf")


def _sample(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    row, col = (np.unique(np.linspace(0, n - 1, min(n, _SAMPLE)).round().astype(int)) for n in shape)
    grid = np.meshgrid(row, col, indexing="ij")
    return grid[0], grid[1]
