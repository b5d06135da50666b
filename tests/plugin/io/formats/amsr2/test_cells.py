"""Footprints on cells: against a plane fitted slowly, at the poles, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import Cancelled
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.formats.amsr2.cells import EARTH_KM, LIMIT, REACH, to_cells
from floelens.plugin.io.formats.amsr2.swath import Footprints
from floelens.tests.plugin.io.formats.amsr2.granules import conical_scans, vectors
from floelens.tests.plugin.io.rasters import PLACES, gcp_grid
from hypothesis import given, settings
from hypothesis import strategies as st

CHANNEL = "btemp_36_5h"


def swath_of(place, spacing=10.0, missing=0.2, seed=0, heading=20.0, scans=30):
    """Return footprints around a place with random temperatures, some of them missing."""
    rng = np.random.default_rng(seed)
    lon, lat = conical_scans(place, heading, scans, samples=60)
    lon, lat = lon[:, ::2].ravel(), lat[:, ::2].ravel()
    values = rng.uniform(120, 280, lon.size).astype(np.float32)
    values[rng.random(lon.size) < missing] = np.nan
    return Footprints(lon, lat, 1e9 + np.arange(lon.size), {CHANNEL: values}, spacing)


def centres(place, rows=20, cols=20, size=8000.0):
    grid = gcp_grid(place, rows, cols, size, heading=63.0)
    row, col = np.meshgrid(np.arange(rows) + 0.5, np.arange(cols) + 0.5, indexing="ij")
    return grid.pixel_to_lonlat(row.ravel(), col.ravel())


def slow_cell(group, lon, lat, cell_km):
    """Return value and time of one cell from all footprints: weighted least squares, as it is defined."""
    spacing = max(group.spacing_km, cell_km)
    sigma = spacing / 2
    values = group.values[CHANNEL].astype(np.float64)
    centre, points = vectors(lon, lat), vectors(group.lon, group.lat)
    km = EARTH_KM * np.arctan2(np.linalg.norm(np.cross(points, centre), axis=1), points @ centre)
    valid = np.isfinite(values)
    if not valid.any() or km[valid].min() > LIMIT * spacing:
        return np.nan, np.nan
    use = valid & (km <= REACH * sigma)
    weight = np.exp(-((km[use] / sigma) ** 2) / 2)
    # Another tangent basis than the code's: a plane does not care.
    one = np.cross(centre, [0.31, -0.62, 0.72])
    one /= np.linalg.norm(one)
    two = np.cross(centre, one)
    offsets = np.stack([points[use] @ one, points[use] @ two], axis=1) * EARTH_KM
    moments = np.cov(offsets.T, aweights=weight, ddof=0) if use.sum() > 1 else np.zeros((2, 2))
    time = group.time[np.where(valid, km, np.inf).argmin()]
    if np.linalg.det(moments) <= 1e-2 * (np.trace(moments) / 2) ** 2:
        return np.average(values[use], weights=weight), time
    design = np.column_stack([np.ones(use.sum()), offsets])
    root = np.sqrt(weight)
    level = np.linalg.lstsq(design * root[:, None], values[use] * root, rcond=None)[0][0]
    return np.clip(level, values[use].min(), values[use].max()), time


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("cell_km", [2.0, 12.5])
def test_cells_agree_with_a_plane_fitted_to_all_footprints(place, cell_km):
    group = swath_of(place)
    lon, lat = centres(place)
    values, time = to_cells([group], lon, lat, cell_km)
    expected = np.array([slow_cell(group, *where, cell_km) for where in zip(lon, lat)])
    assert np.isfinite(expected[:, 0]).mean() > 0.3
    assert np.array_equal(np.isfinite(values[CHANNEL]), np.isfinite(expected[:, 0]))
    # float32 of some 200 K
    assert np.nanmax(np.abs(values[CHANNEL] - expected[:, 0])) < 2e-5
    assert np.array_equal(time, expected[:, 1], equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    missing=st.sampled_from([0.0, 0.5, 0.95]),
    seed=st.integers(0, 99),
)
def test_cells_agree_with_the_slow_definition_anywhere(lon, lat, missing, seed):
    group = swath_of((lon, lat), missing=missing, seed=seed, scans=8)
    at_lon, at_lat = (values[:30] for values in centres((lon, min(max(lat, -89.9), 89.9)), 6, 6, 15000.0))
    values, time = to_cells([group], at_lon, at_lat, 2.0)
    expected = np.array([slow_cell(group, *where, 2.0) for where in zip(at_lon, at_lat)])
    assert np.allclose(values[CHANNEL], expected[:, 0], atol=5e-5, rtol=0, equal_nan=True)
    assert np.array_equal(time, expected[:, 1], equal_nan=True)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_changes_linearly_is_exact_also_beside_missing_footprints(place):
    lon, lat = conical_scans(place, 200.0, 30, samples=60)
    lon, lat = lon[:, ::2].ravel(), lat[:, ::2].ravel()
    slope = np.array([300.0, -500.0, 400.0])

    def plane(lon, lat):
        return 200.0 + (vectors(lon, lat) - vectors(*place)) @ slope

    values = plane(lon, lat)
    values[np.random.default_rng(1).random(lon.size) < 0.3] = np.nan
    group = Footprints(lon, lat, np.zeros(lon.size), {CHANNEL: values.astype(np.float32)}, 10.0)
    at_lon, at_lat = centres(place, size=4000.0)
    found = to_cells([group], at_lon, at_lat, 2.0)[0][CHANNEL]
    assert np.isfinite(found).mean() > 0.8
    # 0.05 K/km: a displacement of 100 m would show as 5 mK. What is not linear is the sphere itself.
    error = np.abs(found - plane(at_lon, at_lat))
    assert np.nanmedian(error) < 2e-3
    assert np.nanquantile(error, 0.9) < 0.02


def test_nothing_is_made_up_beyond_the_swath_or_beyond_what_was_measured():
    place = PLACES["svalbard"]
    group = swath_of(place, missing=0.0)
    lon, lat = centres(place, 60, 60, 12000.0)
    found = to_cells([group], lon, lat, 2.0)[0][CHANNEL]
    points = vectors(group.lon, group.lat)
    nearest = EARTH_KM * np.arccos(np.clip((vectors(lon, lat) @ points.T).max(axis=1), -1, 1))
    assert np.isnan(found[nearest > LIMIT * 10.0 + 1e-3]).all()
    assert np.isfinite(found[nearest < LIMIT * 10.0 - 1e-3]).all()
    assert 0.05 < np.isfinite(found).mean() < 0.95
    values = group.values[CHANNEL]
    assert values.min() <= np.nanmin(found)
    assert np.nanmax(found) <= values.max()


def test_a_lone_footprint_gives_its_own_value_and_cells_without_a_place_none():
    group = Footprints(
        np.array([20.0]),
        np.array([80.0]),
        np.array([5.0]),
        {CHANNEL: np.array([200.0], dtype=np.float32)},
        10.0,
    )
    values, time = to_cells([group], np.array([20.01, 25.0, np.nan]), np.array([80.01, 80.0, 80.0]), 2.0)
    assert values[CHANNEL].tolist()[0] == 200.0
    assert time.tolist()[0] == 5.0
    assert np.isnan(values[CHANNEL][1:]).all()
    assert np.isnan(time[1:]).all()


def test_cells_stop_when_asked_to():
    class Stops(Silent):
        def cancelled(self):
            return True

    with pytest.raises(Cancelled):
        to_cells([swath_of(PLACES["svalbard"])], *centres(PLACES["svalbard"]), 2.0, Stops())
