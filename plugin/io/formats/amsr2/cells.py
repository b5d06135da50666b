"""Footprints of a swath on the cells of a grid.

A footprint is a measurement with a place, not a pixel. The value of a cell is what a plane fitted to
the footprints around says at the cell's centre, with Gaussian weights whose standard deviation is half
the distance between footprints (or half a cell, where cells are larger). Why so:

- nearest footprints would move every edge by up to half the distance, 5 km below 89 GHz, and leave
  blocks of that size on cells of 2 km;
- a plain weighted mean is drawn towards the side where more footprints lie: on the edge of the swath
  and beside missing ones. A plane is exact for whatever changes linearly, wherever they lie;
- the weights reach no further than footprints overlap: at 6.9 GHz (35 × 62 km) they widen what the
  antenna saw by 2 %, at 36.5 GHz (7 × 12 km) they make it half as wide again, which the sampling of
  10 km does not resolve anyhow.

Nothing is extrapolated: a cell has a value only within three quarters of that distance from a valid
footprint (inside a square lattice no place is further than 0.71 from one), and never a value below or
above all of the footprints it comes from. Distances are those of unit vectors, so neither a pole nor
the antimeridian is special.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from ....ground.errors import Cancelled
from ....ground.protocols import Progress
from .swath import Footprints, unit_vectors

EARTH_KM = 6371.0
NEIGHBOURS = 48
"""Footprints that are looked at; within the reach of the weights there are about 7, or 30 on large cells."""

REACH = 3.0
"""Of the weights, in standard deviations."""

LIMIT = 0.75
"""Largest distance to a valid footprint, in distances between footprints."""

_CHUNK = 1 << 13
_FLATTEST = 1e-2  # of a round cloud: footprints that lie on a line determine no plane


def to_cells(
    groups: Sequence[Footprints],
    lon: np.ndarray,
    lat: np.ndarray,
    cell_km: float,
    progress: Progress | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the channels of a swath at the centres of cells, and when they were measured.

    Parameters
    ----------
    groups : sequence of Footprints
        The swath.
    lon, lat : numpy.ndarray
        (cell,) centres in degrees, NaN where a cell has no place.
    cell_km : float
        Size of a cell.
    progress : Progress, optional
        Is asked whether to go on.

    Returns
    -------
    values : dict
        Channel to (cell,) float32, K; NaN where the swath has nothing.
    time : numpy.ndarray
        (cell,) seconds since 1970 in UTC of the nearest footprint; NaN where no channel is valid.
    """
    targets = unit_vectors(lon, lat)
    there = np.flatnonzero(np.isfinite(targets).all(axis=1))
    values = {name: np.full(len(targets), np.nan, dtype=np.float32) for g in groups for name in g.values}
    time = np.full(len(targets), np.nan)
    nearest = np.full(len(targets), np.inf)
    for group in groups:
        spacing = max(group.spacing_km, cell_km)
        sigma = 0.5 * spacing
        chosen = _near(group, targets[there], max(REACH * sigma, LIMIT * spacing))
        if not len(chosen):
            continue
        points = unit_vectors(group.lon[chosen], group.lat[chosen])
        stored = {name: array[chosen].astype(np.float64) for name, array in group.values.items()}
        tree = cKDTree(points)
        for start in range(0, len(there), _CHUNK):
            if progress is not None and progress.cancelled():
                raise Cancelled("Import stopped; nothing was written.")
            cells = there[start : start + _CHUNK]
            distance, index = tree.query(
                targets[cells], k=min(NEIGHBOURS, len(points)), distance_upper_bound=_chord(REACH * sigma)
            )
            distance, index = distance.reshape(len(cells), -1), index.reshape(len(cells), -1)
            has_sample = np.isfinite(distance[:, 0])
            cells, distance, index = cells[has_sample], distance[has_sample], index[has_sample]
            if not len(cells):
                continue
            missing = index == len(points)
            index = np.where(missing, 0, index)
            km = np.where(missing, np.inf, _kilometres(distance))
            across, along = _offsets(points[index], targets[cells])
            weight = np.exp(-0.5 * (km / sigma) ** 2)
            for name, array in stored.items():
                at = array[index]
                valid = np.isfinite(at) & ~missing
                ok = np.where(valid, km, np.inf).min(axis=1) <= LIMIT * spacing
                values[name][cells[ok]] = _plane(
                    at[ok], np.where(valid, weight, 0.0)[ok], across[ok], along[ok]
                )
                first = np.where(valid, km, np.inf)[ok]
                column = first.argmin(axis=1)
                rows = np.arange(len(column))
                closer = first[rows, column] < nearest[cells[ok]]
                nearest[cells[ok][closer]] = first[rows, column][closer]
                when = group.time[chosen][index[ok][rows, column]]
                time[cells[ok][closer]] = when[closer]
    return values, time


def _near(group: Footprints, targets: np.ndarray, margin_km: float) -> np.ndarray:
    """Return which footprints lie in the cap that holds all cells and the margin."""
    if not len(targets) or not len(group.lon):
        return np.empty(0, dtype=np.intp)
    middle = targets.mean(axis=0)
    length = np.linalg.norm(middle)
    points = unit_vectors(group.lon, group.lat)
    if length < 1e-6:
        return np.arange(len(points))
    middle = middle / length
    radius = np.arccos(np.clip(targets @ middle, -1.0, 1.0)).max() + margin_km / EARTH_KM
    return np.flatnonzero(points @ middle >= np.cos(min(radius * 1.001, np.pi)))


def _chord(km: float) -> float:
    """Return the straight distance on the unit sphere of a distance along it."""
    return 2.0 * float(np.sin(0.5 * km / EARTH_KM))


def _kilometres(chord: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return 2.0 * EARTH_KM * np.arcsin(np.clip(0.5 * chord, 0.0, 1.0))


def _offsets(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets (cell, neighbour) of points from centres in their tangent planes, unit radius."""
    # The coordinate axis that is furthest from the centre's direction gives a basis everywhere.
    axis = np.eye(3)[np.abs(centres).argmin(axis=1)]
    one = np.cross(axis, centres)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    two = np.cross(centres, one)
    return np.einsum("ijk,ik->ij", points, one), np.einsum("ijk,ik->ij", points, two)


def _plane(values: np.ndarray, weight: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the value at (0, 0) of the planes fitted to (cell, neighbour) values with their weights."""
    used = weight > 0
    values = np.where(used, values, 0.0)
    total = weight.sum(axis=1)
    share = weight / total[:, None]

    def mean(numbers: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ij->i", share, numbers)

    middle, u_0, v_0 = mean(values), mean(u), mean(v)
    du, dv, dt = u - u_0[:, None], v - v_0[:, None], values - middle[:, None]
    uu, uv, vv = mean(du * du), mean(du * dv), mean(dv * dv)
    ut, vt = mean(du * dt), mean(dv * dt)
    determinant = uu * vv - uv * uv
    # Where footprints lie on a line, or only one counts, there is no plane: the mean is all there is.
    flat = determinant <= _FLATTEST * (0.5 * (uu + vv)) ** 2
    safe = np.where(flat, 1.0, determinant)
    slope_u = np.where(flat, 0.0, (ut * vv - vt * uv) / safe)
    slope_v = np.where(flat, 0.0, (vt * uu - ut * uv) / safe)
    result = middle - slope_u * u_0 - slope_v * v_0
    lowest = np.where(used, values, np.inf).min(axis=1)
    highest = np.where(used, values, -np.inf).max(axis=1)
    return np.clip(result, lowest, highest)
