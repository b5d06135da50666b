"""A chart on the pixels of a scene."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.environment.crs import transform
from floelens.plugin.io.formats.chart import open_chart
from floelens.plugin.io.formats.chart.codes import FLOES, STAGES
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import parts_of
from floelens.tests.plugin.io.formats.chart.files import (
    BOXES,
    EXPECTED,
    box_corners,
    box_rings,
    polygon,
    write_chart,
    write_scene,
)
from floelens.tests.plugin.io.rasters import LONLAT, NORTH, gcp_grid, write_raster

EARTH = pyproj.Geod(ellps="WGS84")
BANDS = ["concentration", "stage_of_development", "floe_size"]
FIELDS = ("concentration_percent", "stage_of_development", "floe_size")
CODES = ({}, {name: code for code, name, _ in STAGES}, {name: code for code, name, _ in FLOES})


def raster_of(chart, scene):
    product = open_chart(chart, ImportOptions(scene=str(scene)))
    assert not any("polygons only" in sentence for sentence in product.warnings)
    return product.rasters["chart"]


def scene_of(path, grid):
    return write_raster(path, np.zeros((1, grid.rows, grid.cols), np.uint8), grid)


def pixel_areas(grid, step):
    """Return the area in m2 of every pixel: (row, column), from an equal-area map, block by block."""
    rows, cols = np.arange(0, grid.rows + 1, step), np.arange(0, grid.cols + 1, step)
    lon, lat = grid.pixel_to_lonlat(*np.meshgrid(rows, cols, indexing="ij"))
    equal_area = pyproj.CRS("+proj=laea +lat_0=90 +ellps=WGS84")
    x, y = pyproj.Transformer.from_crs(LONLAT, equal_area, always_xy=True).transform(lon, lat)
    a, b = (
        np.array([x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]]),
        np.array([x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]]),
    )
    blocks = 0.5 * np.abs(a[0] * b[1] - a[1] * b[0]) / step**2
    return np.kron(blocks, np.ones((step, step)))


def geodesic_area(wkb):
    """Return the area of a polygon of longitudes and latitudes in m2, its edges straight on the map."""
    total = 0.0
    for rings in parts_of(wkb)[0]:
        areas = []
        for ring in rings:
            # Geodesics stand for short pieces of straight lines.
            pieces = [
                np.column_stack(
                    [
                        np.linspace(p, q, 1 + max(1, int(np.abs(b - a).max() / 0.05)))[:-1]
                        for p, q in zip(a, b)
                    ]
                )
                for a, b in zip(ring[:-1], ring[1:])
            ]
            lon, lat = np.vstack(pieces).T
            areas.append(abs(EARTH.polygon_area_perimeter(lon, lat)[0]))
        total += areas[0] - sum(areas[1:])
    return total


def class_areas(chart, scene, step):
    """Return {(band, value): (area on the raster, area of the polygons)} of every class in m2, and in pixels."""
    product = open_chart(chart, ImportOptions(scene=str(scene)))
    raster = product.rasters["chart"]
    pixel = pixel_areas(raster.grid, step)
    values = raster.read(raster.grid.window)
    polygons = defaultdict(float)
    for number, wkb in enumerate(product.polygons.wkb):
        area = geodesic_area(wkb)
        for band, field in enumerate(FIELDS):
            name = product.polygons.fields[field][number]
            if name is not None:
                polygons[band, CODES[band].get(name, name)] += area
    for band in range(3):
        mapped = set(np.unique(values[band])) - {254, 255}
        assert mapped == {value for key, value in polygons if key == band}
    return {
        (band, value): (pixel[values[band] == value].sum(), area, (values[band] == value).sum())
        for (band, value), area in polygons.items()
    }


def check_areas(chart, scene, step):
    """Compare the areas of all classes to 1 %."""
    areas = class_areas(chart, scene, step)
    for key, (found, expected, _) in areas.items():
        assert found == pytest.approx(expected, rel=0.01), key
    assert len(areas)


@pytest.fixture
def chart(tmp_path):
    return write_chart(tmp_path / "chart.shp")


def test_every_box_has_its_codes_on_the_raster(tmp_path, chart):
    scene = write_scene(tmp_path / "scene.tif")
    raster = raster_of(chart, scene)
    assert [band.name for band in raster.bands] == BANDS
    assert (raster.dtype, raster.nodata) == ("uint8", 255)
    assert raster.grid.same_as(Grid.from_file(scene))
    values = raster.read(raster.grid.window)
    assert values.dtype == np.uint8
    lon, lat = raster.grid.pixel_to_lonlat(
        *np.meshgrid(np.arange(60) + 0.5, np.arange(80) + 0.5, indexing="ij")
    )
    inside_any = np.zeros((60, 80), bool)
    for (west, south, east, north), expected in zip(box_corners(), EXPECTED):
        inside = (lon > west) & (lon < east) & (lat > south) & (lat < north)
        assert inside.sum() > 100
        assert (expected == values[:, inside].T).all()
        inside_any |= inside
    assert (~inside_any).sum() > 500
    assert (values[:, ~inside_any] == 255).all()


def test_windows_hold_what_the_whole_holds(tmp_path, chart):
    raster = raster_of(chart, write_scene(tmp_path / "scene.tif"))
    whole = raster.read(raster.grid.window)
    for window in raster.grid.window.split(17, 23):
        np.testing.assert_array_equal(raster.read(window), whole[(slice(None), *window.slices())])


def test_classes_and_land_are_named_in_the_bands(tmp_path, chart):
    raster = raster_of(chart, write_scene(tmp_path / "scene.tif"))
    assert raster.bands[0].unit == "%"
    assert raster.bands[1].tags["CLASS_3"] == "thin first-year ice"
    assert {band.tags["CLASS_254"] for band in raster.bands} == {"land"}


def test_a_chart_of_another_place_is_refused(tmp_path):
    far = [polygon(ring) for ring in box_rings((-60.0, 70.0))]
    chart = write_chart(tmp_path / "far.shp", shapes=far)
    with pytest.raises(SceneError, match="No polygon of the ice chart"):
        open_chart(chart, ImportOptions(scene=str(write_scene(tmp_path / "scene.tif"))))


def test_areas_agree_with_the_polygons_on_a_polar_grid(tmp_path, chart):
    grid = Grid(800, 800, NORTH, transform=(200.0, 0, 1_050_000, 0, -200.0, -570_000))
    scene = scene_of(tmp_path / "scene.tif", grid)
    check_areas(chart, scene, 10)


def test_areas_agree_with_the_polygons_on_ground_control_points(tmp_path, chart):
    scene = scene_of(tmp_path / "scene.tif", gcp_grid((15.0, 78.0), rows=800, cols=800, size=200.0))
    check_areas(chart, scene, 10)


def test_areas_agree_across_the_antimeridian(tmp_path):
    shapes = [polygon(ring) for ring in box_rings((180.0, 72.0))]
    chart = write_chart(tmp_path / "chart.shp", shapes=shapes)
    scene = scene_of(tmp_path / "scene.tif", gcp_grid((180.0, 72.0), rows=1000, cols=1000, size=200.0))
    check_areas(chart, scene, 10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["polar", "gcps"])
def test_areas_of_the_chart_of_greenland_agree(real_data, tmp_path, kind):
    chart = real_data / "dmi-ice-chart-sigrid3" / "201504261200_Greenland_WA.imz"
    if kind == "polar":
        grid = Grid(1900, 1620, NORTH, transform=(2000.0, 0.0, -1_300_000.0, 0.0, -2000.0, -40_000.0))
    else:
        grid = gcp_grid((-36.0, 71.5), rows=2020, cols=2000, size=2000.0, heading=0.0)
    areas = class_areas(chart, scene_of(tmp_path / "scene.tif", grid), 20)
    assert len(areas) == 19
    for key, (found, expected, pixels) in areas.items():
        # An outline cuts pixels in two: the few of a small class cannot tell its area to 1 %.
        assert found == pytest.approx(expected, rel=0.01 if pixels > 3000 else 0.05), key
    assert sum(pixels > 3000 for _, _, pixels in areas.values()) >= 15


def test_the_area_of_a_small_class_agrees_on_fine_pixels(real_data, tmp_path):
    # The bergs off Greenland, 258 km2 in one polygon, at 200 m.
    chart = real_data / "dmi-ice-chart-sigrid3" / "201504261200_Greenland_WA.imz"
    product = open_chart(chart)
    number = product.polygons.fields["floe_size"].index("bergs")
    wkb = product.polygons.wkb[number]
    lon, lat = np.vstack(parts_of(wkb)[0][0]).mean(axis=0)
    grid = gcp_grid((lon, lat), rows=400, cols=400, size=200.0)
    raster = raster_of(chart, scene_of(tmp_path / "scene.tif", grid))
    found = pixel_areas(grid, 20)[raster.read(grid.window)[2] == 6].sum()
    assert product.polygons.fields["floe_size"].count("bergs") == 1
    assert found == pytest.approx(geodesic_area(wkb), rel=0.01)


def test_a_chart_in_epsg_3411_keeps_its_datum(tmp_path):
    # Read as EPSG:3413 it would lie 20 to 30 m away.
    corners = np.array([(0, 0), (4000, 0), (4000, 4000), (0, 4000), (0, 0)]) + (1_129_700.0, -652_200.0)
    chart = write_chart(tmp_path / "chart.gpkg", BOXES[1:2], [polygon(corners)], epsg=3411, driver="GPKG")
    product = open_chart(chart)
    lon, lat = transform(product.polygons.crs, LONLAT, *corners[:-1].T)
    datum = pyproj.CRS("EPSG:3411")
    truth = pyproj.Transformer.from_crs(datum, "EPSG:4326", always_xy=True).transform(*corners[:-1].T)
    assert EARTH.inv(lon, lat, *truth)[2] == pytest.approx(0.0, abs=0.01)
