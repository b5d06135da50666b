"""Which zone every pixel belongs to."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.plugin.io.geometry.zones import PolygonIndex, regular_zones
from floelens.tests.plugin.io.rasters import LONLAT, NORTH, PLACES, UTM33, affine_grid, exact_place, gcp_grid
from hypothesis import given, settings
from hypothesis import strategies as st


def outline(points) -> bytes:
    return polygon_wkb([np.array([*points, points[0]], float)])


def centres(grid):
    return np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")


def boxes(grid, *corners, crs="EPSG:4326") -> Polygons:
    """Return the polygons in `crs` whose corners are these pixel boxes (row, col, row_stop, col_stop)."""
    wkb = []
    for top, left, bottom, right in corners:
        row, col = np.array([top, top, bottom, bottom]), np.array([left, right, right, left])
        lon, lat = grid.pixel_to_lonlat(row, col)
        x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
        wkb.append(outline(list(zip(x, y))))
    return Polygons(tuple(wkb), crs)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_polygons_lie_on_the_pixels_they_were_drawn_on(place):
    grid = gcp_grid(place, rows=60, cols=70)
    # In a plane about the scene edges are straight in pixels too.
    plane = pyproj.CRS(f"+proj=stere +lat_0={place[1]} +lon_0={place[0]} +datum=WGS84").to_wkt()
    index = PolygonIndex(boxes(grid, (5, 6, 20, 30), (30, 40, 55, 70), crs=plane), grid)
    expected = np.full((60, 70), -1)
    expected[5:20, 6:30] = 0
    expected[30:55, 40:70] = 1
    np.testing.assert_array_equal(index.zones(grid.window), expected)
    assert index.window.intersection(Window(5, 6, 50, 64)) == Window(5, 6, 50, 64)
    assert index.count == 2


@pytest.mark.parametrize(
    "grid", [affine_grid(turn=30.0), gcp_grid(rows=60, cols=80)], ids=["rotated", "gcps"]
)
def test_any_window_holds_what_the_whole_holds_there(grid):
    index = PolygonIndex(boxes(grid, (5, 6, 20, 30), (15, 25, 55, 70)), grid)
    whole = index.zones(grid.window)
    for window in grid.window.split(13, 17):
        np.testing.assert_array_equal(index.zones(window), whole[window.slices()])
        np.testing.assert_array_equal(index.mask(window), whole[window.slices()] >= 0)


def test_of_overlapping_polygons_the_last_one_counts():
    grid = affine_grid()
    index = PolygonIndex(boxes(grid, (0, 0, 60, 80), (10, 10, 20, 20), crs=UTM33), grid)
    zones = index.zones(grid.window)
    assert (zones[10:20, 10:20] == 1).all()
    assert (zones == 0).sum() == 60 * 80 - 100


def test_holes_and_parts_are_respected():
    grid = affine_grid(rows=40, cols=40)

    def ring(top, left, bottom, right):
        x, y = grid.pixel_to_map(
            np.array([top, top, bottom, bottom, top]), np.array([left, right, right, left, left])
        )
        return np.column_stack([x, y])

    from osgeo import ogr

    multi = ogr.Geometry(ogr.wkbMultiPolygon)
    for rings in ([ring(5, 5, 25, 25), ring(10, 10, 20, 20)], [ring(30, 30, 35, 35)]):
        multi.AddGeometry(ogr.CreateGeometryFromWkb(polygon_wkb(rings)))
    mask = PolygonIndex(Polygons((bytes(multi.ExportToWkb()),), UTM33), grid).mask(grid.window)
    expected = np.zeros((40, 40), bool)
    expected[5:25, 5:25] = True
    expected[10:20, 10:20] = False
    expected[30:35, 30:35] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_point_is_its_single_pixel(place):
    grid = gcp_grid(place, rows=60, cols=70)
    lon, lat = grid.pixel_to_lonlat(17.3, 42.8)
    index = PolygonIndex(Polygons.point(float(lon), float(lat)), grid)
    assert np.argwhere(index.mask(grid.window)).tolist() == [[17, 42]]
    assert index.mask(Window(10, 40, 10, 10))[7, 2]
    assert index.window == Window(17, 42, 1, 1)
    assert not index.mask(Window(20, 40, 10, 10)).any()


def test_a_point_or_polygon_elsewhere_touches_nothing():
    grid = gcp_grid()
    for polygons in (Polygons.point(0.0, 0.0), Polygons.rectangle(-60, 10, -50, 20, "EPSG:4326")):
        index = PolygonIndex(polygons, grid)
        assert index.window.empty
        assert not index.mask(grid.window).any()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_edges_are_straight_in_their_own_crs(place):
    # A rectangle of longitudes and latitudes bends in the image: every pixel is judged by its own lon/lat.
    grid = gcp_grid(place, rows=80, cols=90, size=500.0)
    lon, lat = grid.pixel_to_lonlat(*centres(grid))
    west, east = (-180.0, 180.0) if abs(place[1]) > 85 else (place[0] - 0.3, place[0] + 0.2)
    low, high = np.sort([place[1] + 0.08 * np.sign(-place[1]), 90.0 * np.sign(place[1])])
    found = PolygonIndex(Polygons.rectangle(west, low, east, high, "EPSG:4326"), grid).mask(grid.window)
    turned = (lon - place[0] + 180) % 360 - 180
    expected = (lat > low) & (lat < high)
    if abs(place[1]) <= 85:
        expected &= (turned > -0.3) & (turned < 0.2)
    assert 0 < expected.sum() < expected.size
    assert (found != expected).sum() <= 0.002 * expected.size


@settings(deadline=None, max_examples=25)
@given(st.floats(-180, 180), st.floats(-85, 85), st.integers(0, 1000))
def test_every_pixel_is_judged_as_its_centre_is_in_the_polygons_crs(lon_0, lat_0, seed):
    from osgeo import ogr

    grid = gcp_grid((lon_0, lat_0), rows=30, cols=40, size=1000.0)
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 7))
    reach = rng.uniform(5, 25, 7)
    place = exact_place(lon_0, lat_0, 30, 40, 1000.0, 193.0)[0]
    lon, lat = place(15 + reach * np.sin(angle), 20 + reach * np.cos(angle))
    lon = lon_0 + (lon - lon_0 + 180) % 360 - 180
    wkb = outline(list(zip(lon, lat)))
    found = PolygonIndex(Polygons((wkb,), "EPSG:4326"), grid).mask(grid.window)
    shape = ogr.CreateGeometryFromWkb(wkb)
    x, y = grid.pixel_to_lonlat(*centres(grid))
    x = lon_0 + (x - lon_0 + 180) % 360 - 180
    expected = np.zeros((30, 40), bool)
    distance = np.zeros((30, 40))
    for i in range(30):
        for j in range(40):
            point = ogr.Geometry(ogr.wkbPoint)
            point.AddPoint_2D(x[i, j], y[i, j])
            expected[i, j] = shape.Contains(point)
            distance[i, j] = shape.Boundary().Distance(point)
    # Centres on the very edge (30 m of a pixel of 1 km) may fall on either side.
    sure = distance > 3e-4
    np.testing.assert_array_equal(found[sure], expected[sure])


def test_an_edge_across_the_antimeridian_goes_the_short_way():
    grid = gcp_grid((180.0, 72.0), rows=80, cols=90, size=1000.0)
    ring = [(179.5, 71.9), (-179.6, 71.85), (-179.5, 72.2), (179.4, 72.1)]
    found = PolygonIndex(Polygons((outline(ring),), "EPSG:4326"), grid).mask(grid.window)
    unwrapped = PolygonIndex(Polygons((outline([(x % 360, y) for x, y in ring]),), "EPSG:4326"), grid)
    np.testing.assert_array_equal(found, unwrapped.mask(grid.window))
    assert 0 < found.sum() < found.size / 2


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("crs", ["gcps", NORTH, "utm"])
def test_a_polygon_of_the_whole_earth_covers_everything(place, crs):
    if crs == NORTH and place[1] < 0:
        pytest.skip("a northern grid has no southern scene")
    grid = gcp_grid(place, rows=40, cols=50)
    if crs != "gcps":
        wkt = (
            NORTH if crs == NORTH else pyproj.CRS(f"+proj=laea +lon_0={place[0]} +lat_0={place[1]}").to_wkt()
        )
        x, y = pyproj.Transformer.from_crs("EPSG:4326", wkt, always_xy=True).transform(*place)
        grid = Grid(40, 50, wkt, transform=(80, 0, x - 2000, 0, -80, y + 1600))
    assert PolygonIndex(Polygons.rectangle(-180, -90, 180, 90, "EPSG:4326"), grid).mask(grid.window).all()


def test_a_polygon_of_half_the_earth_ends_where_it_ends():
    grid = gcp_grid((0.0, 75.0), rows=40, cols=50, size=1000.0, heading=0.0)
    lon, lat = grid.pixel_to_lonlat(*centres(grid))
    west = PolygonIndex(Polygons.rectangle(-180, -90, 0.1, 90, "EPSG:4326"), grid).mask(grid.window)
    assert (west != (lon < 0.1)).sum() <= 40
    south = PolygonIndex(Polygons.rectangle(-180, -90, 180, 75.05, "EPSG:4326"), grid).mask(grid.window)
    assert (south != (lat < 75.05)).sum() <= 50
    assert 0 < south.sum() < south.size


def test_zones_on_a_geographic_grid_across_the_antimeridian():
    grid = Grid(40, 60, LONLAT, transform=(0.1, 0, 177.0, 0, -0.1, 74.0))
    east = PolygonIndex(Polygons.rectangle(-180, 71, -179, 73, "EPSG:4326"), grid).mask(grid.window)
    expected = np.zeros((40, 60), bool)
    expected[10:30, 30:40] = True
    np.testing.assert_array_equal(east, expected)


@pytest.mark.parametrize("grid", [affine_grid(), affine_grid(turn=20.0), gcp_grid(rows=60, cols=80)], ids=str)
def test_regular_zones_and_their_outlines_say_the_same(grid):
    zones = regular_zones(grid, 1.7)
    assert zones.shape == (3, 4)
    sizes = np.bincount(zones.zones(grid.window).ravel())
    assert sizes.max() - sizes.min() <= 60
    assert len(zones.names) == zones.count == 12
    numbers = zones.zones(grid.window)
    np.testing.assert_array_equal(PolygonIndex(zones.polygons(), grid).zones(grid.window), numbers)
    for window in grid.window.split(17, 30):
        np.testing.assert_array_equal(zones.zones(window), numbers[window.slices()])
    assert numbers[0, 0] == 0
    assert numbers[-1, -1] == 11


@pytest.mark.parametrize(("place", "code"), [("svalbard", 3413), ("south pole", 3976)])
def test_outlines_of_unprojected_scenes_are_polar_stereographic(place, code):
    polygons = regular_zones(gcp_grid(PLACES[place], rows=60, cols=80), 2.0).polygons()
    assert pyproj.CRS(polygons.crs).to_epsg() == code
    assert pyproj.CRS(regular_zones(affine_grid(), 2.0).polygons().crs).to_epsg() == 32633


def test_zones_smaller_than_a_pixel_are_pixels():
    grid = affine_grid()
    assert regular_zones(grid, 0.001).shape == (grid.rows, grid.cols)


def test_metres_that_are_said_to_be_degrees_are_refused():
    metres = Polygons.rectangle(500_000, 8_700_000, 501_000, 8_701_000, LONLAT)
    with pytest.raises(SceneError, match=r"said to be in degrees.*Set the layer's own"):
        PolygonIndex(metres, affine_grid())
