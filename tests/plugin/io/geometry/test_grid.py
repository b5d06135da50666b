"""Grids: pixels, map, globe and back; parts, cells and comparison."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import parse_crs
from floelens.plugin.io.geometry.grid import Grid, GroundControlPoint
from floelens.tests.plugin.io.rasters import (
    LOCAL,
    LONLAT,
    NORTH,
    PLACES,
    UTM33,
    affine_grid,
    exact_place,
    gcp_grid,
    ramp,
    write_raster,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from osgeo import gdal


def inside(grid, n=500, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, grid.rows, n), rng.uniform(0, grid.cols, n)


GRIDS = {
    "affine": affine_grid(),
    "rotated": affine_grid(turn=33.0),
    "mirrored affine": Grid(60, 80, UTM33, transform=(-80, 0, 500_000, 0, 80, 8_700_000)),
    "geographic affine": Grid(60, 80, LONLAT, transform=(0.01, 0, 20, 0, -0.005, 75)),
    "geographic affine across the antimeridian": Grid(60, 80, LONLAT, transform=(0.5, 0, 160, 0, -0.1, 75)),
    "gcps in lon/lat": gcp_grid(),
    "gcps in a projected CRS": gcp_grid(crs=NORTH),
    "gcps in a CRS without code": gcp_grid(PLACES["svalbard"], crs=LOCAL),
    "gcps on Hughes 1980": gcp_grid(crs=pyproj.CRS("EPSG:3411").to_wkt()),
    "gcps mirrored with uneven last steps": gcp_grid(
        mirrored=True, at_rows=[0, 100, 200, 300, 397, 400], at_cols=[0, 120, 240, 360, 480, 499.5]
    ),
    "scattered gcps": gcp_grid(scattered=[(33, 44), (111, 222), (380, 490)]),
    **{f"gcps at {name}": gcp_grid(place) for name, place in PLACES.items()},
}


@pytest.mark.parametrize("kind", GRIDS)
def test_map_and_globe_lead_back_to_the_pixel(kind):
    grid = GRIDS[kind]
    row, col = inside(grid)
    np.testing.assert_allclose(grid.map_to_pixel(*grid.pixel_to_map(row, col)), (row, col), rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        grid.lonlat_to_pixel(*grid.pixel_to_lonlat(row, col)), (row, col), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("scattered", [(), [(33, 44), (390, 251)]], ids=["lattice", "scattered"])
@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
def test_tie_points_place_every_pixel_where_it_is(place, scattered, mirrored):
    grid = gcp_grid(place, scattered=scattered, mirrored=mirrored)
    forward, inverse = exact_place(*place, grid.rows, grid.cols, 80.0, 193.0, mirrored)
    row, col = inside(grid)
    found = inverse(*grid.pixel_to_lonlat(row, col))
    np.testing.assert_allclose(found, (row, col), rtol=0, atol=0.01)
    np.testing.assert_allclose(grid.lonlat_to_pixel(*forward(row, col)), (row, col), rtol=0, atol=0.01)


@settings(deadline=None, max_examples=30)
@given(
    st.floats(-180, 180), st.floats(-90, 90), st.floats(0, 360), st.booleans(), st.sampled_from([40.0, 500.0])
)
def test_wherever_a_scene_lies_pixels_come_back(lon, lat, heading, mirrored, size):
    grid = gcp_grid((lon, lat), heading=heading, mirrored=mirrored, size=size)
    row, col = inside(grid, 50)
    np.testing.assert_allclose(
        grid.lonlat_to_pixel(*grid.pixel_to_lonlat(row, col)), (row, col), rtol=0, atol=1e-4
    )


def test_the_first_pixel_begins_at_the_corner():
    x, y = affine_grid().pixel_to_map(0.0, 0.0)
    assert (x, y) == (500_000, 8_700_000)
    x, y = affine_grid(size=80.0).pixel_to_map(0.5, 0.5)
    assert (x, y) == (500_040, 8_699_960)


def test_a_longitude_may_be_counted_either_way_round():
    grid = GRIDS["geographic affine across the antimeridian"]
    np.testing.assert_allclose(grid.lonlat_to_pixel(-175.0, 74.0), grid.lonlat_to_pixel(185.0, 74.0))
    np.testing.assert_allclose(grid.lonlat_to_pixel(-175.0, 74.0), (10.0, 50.0), atol=1e-9)


@pytest.mark.parametrize("kind", GRIDS)
def test_a_part_of_a_grid_has_its_pixels_at_the_same_places(kind):
    grid = GRIDS[kind]
    window = Window(7, 11, 20, 30)
    part = grid.subset(window)
    assert (part.rows, part.cols) == (20, 30)
    row, col = inside(part)
    np.testing.assert_allclose(
        part.pixel_to_lonlat(row, col), grid.pixel_to_lonlat(row + 7, col + 11), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("ratio", [1, 7, 25])
def test_cells_lie_on_their_pixels_and_may_stick_out(kind, ratio):
    grid = GRIDS[kind]
    cells = grid.coarser(ratio)
    assert cells.rows == -(-grid.rows // ratio)
    assert cells.cols == -(-grid.cols // ratio)
    row, col = inside(grid)
    np.testing.assert_allclose(
        cells.pixel_to_lonlat(row / ratio, col / ratio), grid.pixel_to_lonlat(row, col), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(
    "kind",
    [
        "affine",
        "rotated",
        "gcps in lon/lat",
        "gcps on Hughes 1980",
        "gcps at north pole",
        "gcps at antimeridian",
    ],
)
def test_the_pixel_size_is_measured_on_the_ground(kind):
    assert GRIDS[kind].pixel_size() == pytest.approx(80.0, rel=1e-3)


def test_the_pixel_size_of_degrees_is_in_metres():
    # 0.01 degrees of longitude at 74.85 N are 292 m, 0.005 degrees of latitude 558 m.
    assert GRIDS["geographic affine"].pixel_size() == pytest.approx((292 + 558) / 2, rel=5e-3)


@pytest.mark.parametrize("kind", GRIDS)
def test_a_grid_is_the_same_as_itself_and_survives_pickling(kind):
    grid = GRIDS[kind]
    grid.pixel_to_map(0.0, 0.0)
    again = pickle.loads(pickle.dumps(grid))
    assert again == grid
    assert again.same_as(grid)
    assert not grid.same_as(grid.subset(Window(0, 0, grid.rows - 1, grid.cols)))
    assert not grid.same_as(
        grid.subset(Window(0, 1, grid.rows, grid.cols)).subset(Window(0, 0, grid.rows, grid.cols))
    )


def test_every_field_of_every_point_counts_for_equality():
    grid = gcp_grid()
    for field in ("row", "col", "x", "y", "z"):
        last = replace(grid.gcps[-1], **{field: getattr(grid.gcps[-1], field) + 1e-4})
        assert not grid.same_as(replace(grid, gcps=(*grid.gcps[:-1], last)))
    assert not grid.same_as(replace(grid, gcps=grid.gcps[:-1]))


def test_grids_that_differ_in_datum_alone_are_not_the_same():
    one = gcp_grid(crs=pyproj.CRS("EPSG:3411").to_wkt())
    other = replace(one, crs=pyproj.CRS("EPSG:3413").to_wkt())
    assert not one.same_as(other)
    assert "Hughes" in one.differences(other)[0] or "International" in one.differences(other)[0]


def test_the_transform_counts_for_equality():
    assert not affine_grid().same_as(affine_grid(size=80.001))
    assert not affine_grid().same_as(affine_grid(turn=0.01))
    assert not affine_grid().same_as(gcp_grid(rows=60, cols=80, crs=UTM33))


@pytest.mark.parametrize("make", [affine_grid, gcp_grid])
def test_cells_that_are_not_whole_pixels_are_nested(make):
    fine = make()
    rows, cols = 17, 19
    if fine.transform is None:
        points = tuple(
            replace(g, row=g.row * rows / fine.rows, col=g.col * cols / fine.cols) for g in fine.gcps
        )
        coarse = Grid(rows, cols, fine.crs, gcps=points)
    else:
        a, b, c, d, e, f = fine.transform
        coarse = Grid(
            rows, cols, fine.crs, transform=(a * fine.cols / cols, b, c, d, e * fine.rows / rows, f)
        )
    nesting = fine.nesting(coarse)
    assert nesting.row_scale == pytest.approx(rows / fine.rows, rel=1e-9)
    assert nesting.col_scale == pytest.approx(cols / fine.cols, rel=1e-9)
    assert abs(nesting.row_offset) < 1e-6
    assert abs(nesting.col_offset) < 1e-6


@pytest.mark.parametrize(
    "coarse",
    [
        affine_grid(turn=5.0, size=800.0),
        gcp_grid(size=800.0),
        Grid(40, 40, NORTH, transform=(2000, 0, 0, 0, -2000, 0)),
    ],
    ids=["turned", "elsewhere", "polar"],
)
def test_grids_that_are_askew_are_not_nested(coarse):
    assert affine_grid().nesting(coarse) is None


def test_a_mirrored_grid_is_not_nested():
    a, b, c, d, e, f = affine_grid().transform
    assert affine_grid().nesting(Grid(60, 80, UTM33, transform=(-a, b, c + 80 * a, d, e, f))) is None


@pytest.mark.parametrize("kind", GRIDS)
def test_a_file_gives_back_the_grid_that_was_written(kind, tmp_path):
    grid = GRIDS[kind]
    path = write_raster(tmp_path / "a.tif", ramp(1, grid.rows, grid.cols), grid)
    assert Grid.from_file(path).differences(grid) == []


def test_epsg_3411_keeps_its_datum_through_a_file(tmp_path):
    grid = gcp_grid(crs=pyproj.CRS("EPSG:3411").to_wkt("WKT1_GDAL"))
    path = write_raster(tmp_path / "a.tif", ramp(1, grid.rows, grid.cols), grid)
    read = Grid.from_file(path)
    assert pyproj.CRS(read.crs).ellipsoid.semi_major_metre == 6378273.0
    row, col = inside(grid, 20)
    np.testing.assert_allclose(
        read.pixel_to_lonlat(row, col), grid.pixel_to_lonlat(row, col), rtol=0, atol=1e-9
    )


def test_a_file_without_georeferencing_is_refused(tmp_path):
    path = write_raster(tmp_path / "plain.tif", ramp(1, 5, 5), None)
    with pytest.raises(SceneError, match=r"plain\.tif has no georeferencing"):
        Grid.from_file(path)


def test_a_file_with_coordinates_but_no_crs_is_refused(tmp_path):
    import rasterio

    path = tmp_path / "nocrs.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=5,
        width=5,
        count=1,
        dtype="uint8",
        transform=rasterio.Affine(2, 0, 0, 0, -2, 0),
    ) as out:
        out.write(np.ones((1, 5, 5), "uint8"))
    with pytest.raises(SceneError, match="no coordinate reference system"):
        Grid.from_file(path)


def test_a_file_whose_points_lie_on_a_line_is_refused(tmp_path):
    grid = Grid(5, 5, LONLAT, gcps=tuple(GroundControlPoint(i, i, 10 + i, 70 + i) for i in range(5)))
    path = write_raster(tmp_path / "line.tif", ramp(1, 5, 5), grid)
    with pytest.raises(SceneError, match=r"line\.tif cannot be used: .*one line"):
        Grid.from_file(path)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rows": 0, "transform": (1, 0, 0, 0, -1, 0)}, "0 x 5 pixels"),
        ({"transform": (0, 0, 0, 0, 0, 0)}, "cannot be inverted"),
        ({"transform": None}, "either a transform or ground control points"),
        ({"crs": "", "transform": (1, 0, 0, 0, -1, 0)}, "coordinate reference system"),
    ],
)
def test_a_grid_that_makes_no_sense_cannot_be_made(fields, reason):
    with pytest.raises(ValueError, match=reason):
        Grid(**{"rows": 5, "cols": 5, "crs": UTM33, **fields})


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("number", [1, 9])
def test_control_points_without_a_place_are_told(tmp_path, bad, number):
    path = str(tmp_path / "points.tif")
    points = [gdal.GCP(80.0 * i, -1e6 - 80.0 * j, 0, i, j) for i in (0, 20, 40) for j in (0, 15, 30)]
    for point in points[:number]:
        point.GCPX = bad
    raster = gdal.GetDriverByName("GTiff").Create(path, 40, 30, 1)
    raster.SetGCPs(points, NORTH)
    raster = None
    with pytest.raises(
        SceneError, match=r"georeferencing of .*points\.tif cannot be used: .*ground control point"
    ):
        Grid.from_file(path)


def test_a_reference_system_whose_grid_lies_elsewhere_is_refused():
    for text in (
        "+proj=longlat +ellps=clrk66 +nadgrids=http://127.0.0.1/x.gsb +type=crs",
        'BOUNDCRS[METHOD["NTv2"],PARAMETERFILE["grid","https://a/x.gsb"]]',
    ):
        with pytest.raises(SceneError, match="grid from another machine"):
            parse_crs(text)


def test_what_has_no_georeferencing_is_sent_where_it_can_be_had(tmp_path):
    memory = gdal.GetDriverByName("MEM").Create("", 40, 30, 2, gdal.GDT_Float32)
    gdal.GetDriverByName("ENVI").CreateCopy(str(tmp_path / "sar.img"), memory)
    with pytest.raises(
        SceneError, match=r"no georeferencing.*Georeference it in QGIS.*the product itself to 'Import"
    ):
        Grid.from_file(tmp_path / "sar.img")
