"""Real files: Sentinel-1 crops, DMI's concentration with AMSR2, NSIDC grids, charts."""

from __future__ import annotations

import time
import zipfile

import numpy as np
import pyproj
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.sampler import Sampler
from floelens.plugin.io.geometry.vector import Polygons, parts_of, read_polygons
from floelens.plugin.io.geometry.zones import PolygonIndex, regular_zones
from floelens.plugin.io.rasters.writer import Band, RasterWriter
from floelens.plugin.io.scene.reader import Scene
from floelens.tests.plugin.io.rasters import card_of, channel
from floelens.tests.real_scene import FREQUENCIES, concentration_path, write_brightness_temperatures
from osgeo import ogr

CROPS = ["S1A_EW_GRDM_1SDH_20161005T142446.tif", "S1B_EW_GRDM_1SDH_20200123T120618.tif"]


def georeferenced(data):
    return [
        *(data / "s1-ew-hv-crops" / name for name in CROPS),
        concentration_path(data),
        data / "nansat-georef-fixtures" / "gcps.tif",
        data / "nansat-georef-fixtures" / "stere.tif",
        data / "s1-iw-vv-geocoded-utm31" / "S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif",
        *sorted((data / "amsr2-sic-nsidc0803").glob("*.nc")),
    ]


def fusion_card(ratio=25):
    fine = [channel("hh", "sar"), channel("hv", "sar")]
    coarse = [channel(f"btemp_{f}{p}".replace(".", "_"), "mwr", ratio) for f in FREQUENCIES for p in "hv"]
    return card_of([*fine, *coarse])


def test_pixels_come_back_from_map_and_globe_on_every_file(real_data):
    for path in georeferenced(real_data):
        grid = Grid.from_file(path)
        rng = np.random.default_rng(0)
        row, col = rng.uniform(0, grid.rows, 5000), rng.uniform(0, grid.cols, 5000)
        np.testing.assert_allclose(
            grid.map_to_pixel(*grid.pixel_to_map(row, col)), (row, col), rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(
            grid.lonlat_to_pixel(*grid.pixel_to_lonlat(row, col)), (row, col), rtol=0, atol=1e-4
        )


def test_ground_control_points_are_met_on_every_file(real_data):
    for path in georeferenced(real_data):
        grid = Grid.from_file(path)
        if grid.gcps:
            row, col, x, y = np.array([(g.row, g.col, g.x, g.y) for g in grid.gcps]).T
            np.testing.assert_allclose(grid.map_to_pixel(x, y), (row, col), rtol=0, atol=1e-4)


def test_every_geometry_survives_writing(real_data, tmp_path):
    for number, path in enumerate(georeferenced(real_data)):
        grid = Grid.from_file(path)
        part = grid.subset(Window(11, 13, 50, 60))
        for name, which in (("part", part), ("coarse", grid.coarser(50))):
            out = tmp_path / f"{number}{name}.tif"
            with RasterWriter(out, which, [Band("x")]) as raster:
                raster.write(np.zeros((1, which.rows, which.cols), np.float32))
            assert Grid.from_file(out).differences(which) == []


@pytest.mark.parametrize("name", CROPS)
def test_sentinel_crops_have_their_forty_metre_pixels(real_data, name):
    grid = Grid.from_file(real_data / "s1-ew-hv-crops" / name)
    assert grid.pixel_size() == pytest.approx(40.0, rel=0.015)


@pytest.mark.parametrize("name", CROPS)
def test_a_lattice_without_the_scattered_points_predicts_them(real_data, name):
    # The files' points are 10 x 10 on a lattice and a few others; independent, so a measure of the mesh.
    grid = Grid.from_file(real_data / "s1-ew-hv-crops" / name)
    lines = {round(i * 1000 / 9, 3) for i in range(10)}

    def on_lattice(g):
        return all(min(abs(v - line) for line in lines) < 0.01 for v in (g.row, g.col))

    lattice = Grid(grid.rows, grid.cols, grid.crs, gcps=tuple(g for g in grid.gcps if on_lattice(g)))
    others = [g for g in grid.gcps if not on_lattice(g)]
    assert len(lattice.gcps) == 100
    assert others
    row, col = lattice.map_to_pixel(np.array([g.x for g in others]), np.array([g.y for g in others]))
    np.testing.assert_allclose(row, [g.row for g in others], rtol=0, atol=0.5)
    np.testing.assert_allclose(col, [g.col for g in others], rtol=0, atol=0.5)


def test_the_custom_crs_of_a_crop_has_no_code_and_is_compared_by_meaning(real_data):
    grid = Grid.from_file(real_data / "s1-ew-hv-crops" / CROPS[1])
    assert pyproj.CRS(grid.crs).to_epsg() is None
    assert grid.same_as(Grid(grid.rows, grid.cols, pyproj.CRS(grid.crs).to_wkt(), gcps=grid.gcps))


def test_dmis_points_are_on_hughes_1980_whatever_gdal_makes_of_the_code(real_data):
    grid = Grid.from_file(concentration_path(real_data))
    assert (grid.rows, grid.cols, len(grid.gcps)) == (5353, 5241, 483)
    assert pyproj.CRS(grid.crs).ellipsoid.semi_major_metre == 6378273.0
    lon, lat = grid.pixel_to_lonlat(0.0, 0.0)
    with rasterio.open(concentration_path(real_data)) as careless:
        other = Grid(grid.rows, grid.cols, careless.gcps[1].to_wkt(), gcps=grid.gcps)
    lon_2, lat_2 = other.pixel_to_lonlat(0.0, 0.0)
    metres = pyproj.Geod(ellps="WGS84").inv(float(lon), float(lat), float(lon_2), float(lat_2))[2]
    assert 15 < metres < 40
    assert not grid.same_as(other)


def test_dmis_image_is_mirrored_and_its_pixels_80_metres(real_data):
    grid = Grid.from_file(concentration_path(real_data))
    assert grid.pixel_size() == pytest.approx(80.0, rel=0.02)
    x, y = grid.pixel_to_map(np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))
    # Turning from the row's to the column's direction runs the other way than in a north-up image.
    assert (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0]) < 0


def test_a_million_places_on_dmis_image_take_seconds(real_data):
    grid = Grid.from_file(concentration_path(real_data))
    rng = np.random.default_rng(0)
    row, col = rng.uniform(0, grid.rows, 1_000_000), rng.uniform(0, grid.cols, 1_000_000)
    x, y = grid.pixel_to_map(row, col)
    start = time.process_time()
    found = grid.map_to_pixel(x, y)
    assert time.process_time() - start < 10.0  # 1.3 s on an idle core
    assert np.abs(np.subtract(found, (row, col))).max() < 0.01


def test_the_real_amsr2_grid_is_nested_with_cells_that_are_not_whole(real_data, tmp_path):
    fine = Grid.from_file(concentration_path(real_data))
    path = write_brightness_temperatures(real_data, tmp_path / "mwr.tif")
    coarse = Grid.from_file(path)
    nesting = fine.nesting(coarse)
    assert nesting.row_scale == pytest.approx(214 / 5353, rel=1e-9)
    assert nesting.col_scale == pytest.approx(209 / 5241, rel=1e-9)
    sampler = Sampler.build(fine, 25, coarse, np.ones((214, 209), bool))
    assert sampler.cell_shape == (215, 210)
    assert sampler.cell_valid.all()
    row = np.arange(214.0)[None, :, None] * np.ones((1, 1, 209))
    expected = np.clip((np.arange(215) * 25 + 12.5) * 214 / 5353 - 0.5, 0, 213)
    np.testing.assert_allclose(sampler.forward(row)[0, :214, 7], expected[:214], rtol=0, atol=1e-6)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 214, 209)), rng.normal(size=(2, 215, 210))
    assert (sampler.forward(x) * y).sum() == pytest.approx((x * sampler.adjoint(y)).sum(), rel=1e-12)


def test_a_real_scene_is_read_with_its_masks(real_data, tmp_path):
    path = concentration_path(real_data)
    mwr = write_brightness_temperatures(real_data, tmp_path / "mwr.tif")
    with Scene.open(fusion_card(), str(path), str(mwr)) as scene:
        assert scene.start_time == "2019-08-23T03:30:23Z"
        assert scene.coarse_values.shape == (14, 214, 209)
        patch = scene.read(Window(2000, 2000, 500, 600))
        last = scene.read(Window(5350, 5225, 3, 16))
    with rasterio.open(path) as raw:
        values = raw.read(window=((2000, 2500), (2000, 2600)))
    np.testing.assert_array_equal(np.isnan(patch.fine), values == 255)
    assert patch.coarse.shape == (14, 20, 24)
    assert 50 < np.nanmin(patch.coarse) < np.nanmax(patch.coarse) < 320
    assert last.coarse.shape == (14, 1, 1)


def test_nsidc_grids_keep_their_datum_and_meet_the_scene(real_data):
    north, south = (Grid.from_file(p) for p in sorted((real_data / "amsr2-sic-nsidc0803").glob("*.nc")))
    assert pyproj.CRS(north.crs).ellipsoid.semi_major_metre == 6378273.0
    assert north.same_as(Grid(448, 304, "EPSG:3411", transform=north.transform))
    assert not north.same_as(Grid(448, 304, "EPSG:3413", transform=north.transform))
    fine = Grid.from_file(concentration_path(real_data))
    valid = np.ones((448, 304), bool)
    assert Sampler.build(fine, 50, north, valid).cell_valid.all()
    assert not Sampler.build(fine, 50, south, np.ones((332, 316), bool)).cell_valid.any()


def test_flags_of_nsidc_are_read_as_values_and_nodata_as_nan(real_data):
    path = next((real_data / "amsr2-sic-nsidc0803").glob("*_N_*.nc"))
    with open_raster(f'NETCDF:"{path}":ICECON') as raster:
        values = raster.read([1], Window(0, 0, raster.rows, raster.cols))[0]
        assert raster.names == ("ICECON",)
    with rasterio.open(path) as raw:
        scale = raw.scales[0]
        stored = raw.read(1)
    np.testing.assert_allclose(values[stored != 255], stored[stored != 255] * scale, rtol=1e-6)
    assert np.isnan(values[stored == 255]).all()


def test_containers_of_several_rasters_are_refused_with_what_they_hold(real_data):
    with pytest.raises(SceneError, match=r"several rasters.*Bootstrap"):
        open_raster(real_data / "nansat-georef-fixtures" / "arctic.nc")


def test_swath_files_without_georeferencing_are_refused(real_data):
    path = next((real_data / "amsr2-on-s1-20190823").glob("AMSR2*.nc"))
    with pytest.raises(SceneError, match="no georeferencing"):
        Grid.from_file(f'NETCDF:"{path}":btemp_6.9h')


def test_a_real_chart_with_invalid_polygons_covers_its_sea(real_data, tmp_path):
    with zipfile.ZipFile(next((real_data / "dmi-ice-chart-sigrid3").glob("*.imz"))) as archive:
        archive.extractall(tmp_path)
    polygons = read_polygons(next(tmp_path.rglob("*.shp")), name_field="CT")
    assert len(polygons.wkb) == 74
    grid = Grid(900, 900, pyproj.CRS("EPSG:3413").to_wkt(), transform=(1e4, 0, -4e6, 0, -1e4, 2e6))
    to_map = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3413", always_xy=True)
    total = np.zeros(2)
    start = time.process_time()
    for wkb in polygons.wkb:
        covered = int(PolygonIndex(Polygons((wkb,), polygons.crs), grid).mask(grid.window).sum()) * 100.0
        dense = ogr.CreateGeometryFromWkb(wkb)
        dense.Segmentize(0.1)  # edges are straight in longitude and latitude, where the chart was drawn
        parts, _ = parts_of(bytes(dense.ExportToWkb()))
        rings = [np.column_stack(to_map.transform(*ring.T)) / 1000.0 for part in parts for ring in part]
        edges = sum(np.hypot(*np.diff(ring, axis=0).T).sum() for ring in rings)
        area = abs(sum(signed_area(ring) for ring in rings))
        # Pixels along the edge count for all or nothing.
        assert abs(covered - area) < 200.0 + 0.25 * 10.0 * edges
        total += np.array([covered, area])
    assert total[0] == pytest.approx(total[1], rel=2e-3)
    assert time.process_time() - start < 30.0


def signed_area(ring):
    x, y = ring.T
    return 0.5 * (x[:-1] * y[1:] - x[1:] * y[:-1]).sum()


def test_regular_zones_of_a_real_scene_have_the_size_asked_for(real_data):
    grid = Grid.from_file(concentration_path(real_data))
    zones = regular_zones(grid, 100.0)
    assert PolygonIndex(zones.polygons(), grid).window == grid.window
    assert zones.shape == (4, 4)  # 431 x 422 km
