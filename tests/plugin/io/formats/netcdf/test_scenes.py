"""ASIP and AI4Arctic scenes come out under canonical names, in physical units, where they truly lie."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import parse_crs
from floelens.plugin.io.formats.netcdf import open_netcdf, recognises
from floelens.plugin.io.formats.product import ImportOptions, Product
from floelens.plugin.networks.standard_channels import MWR_CHANNELS, WEATHER_CHANNELS
from floelens.tests.plugin.io.formats.netcdf.files import (
    DECODED,
    PRODUCT,
    Truth,
    Variable,
    write_asip,
    write_netcdf,
    write_raw,
    write_ready,
)

WRITERS = {"raw": write_raw, "ready": write_ready, "asip": write_asip}
KINDS = {
    "raw": "AI4Arctic raw NetCDF",
    "ready": "AI4Arctic ready-to-train NetCDF",
    "asip": "ASIP v2 NetCDF",
}


def truth_of(kind: str, **changes) -> Truth:
    return Truth(**({"ratio": 25, "pixel": 80.0} if kind == "ready" else {}), **changes)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> dict[str, str]:
    """Return a file of each kind, under names that tell nothing."""
    folder = tmp_path_factory.mktemp("scenes")
    return {
        kind: write(folder / f"{number}.bin", truth_of(kind))
        for number, (kind, write) in enumerate(WRITERS.items())
    }


@pytest.fixture
def opened(scenes):
    """Return a function that opens a scene; all are closed at the end."""
    products: list[Product] = []

    def open_(kind: str, **options) -> Product:
        products.append(open_netcdf(scenes[kind], ImportOptions(**options)))
        return products[-1]

    yield open_
    for product in products:
        product.__exit__(None, None, None)


def bands_of(product: Product, role: str) -> dict[str, np.ndarray]:
    raster = product.rasters[role]
    return dict(zip((band.name for band in raster.bands), raster.read(raster.grid.window)))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_scene_is_known_by_its_variables(opened, scenes, kind):
    assert recognises(scenes[kind])
    assert opened(kind).kind == KINDS[kind]


@pytest.mark.parametrize("kind", WRITERS)
def test_channels_have_canonical_names_and_units(opened, kind):
    product = opened(kind)
    esa = ["hh_esa", "hv_esa"] if kind == "asip" else []
    names = {role: [band.name for band in raster.bands] for role, raster in product.rasters.items()}
    assert names["sar"] == ["hh", "hv", "incidence_angle", *esa]
    assert names["mwr"] == list(MWR_CHANNELS)
    assert names["ancillary_fine"] == ["distance_map"]
    assert names["chart"] == ["concentration", "stage_of_development", "floe_size"]
    assert names.get("ancillary_coarse", []) == ([] if kind == "asip" else list(WEATHER_CHANNELS))
    units = {band.name: band.unit for raster in product.rasters.values() for band in raster.bands}
    assert (units["hh"], units["incidence_angle"], units["btemp_6_9h"]) == ("dB", "degree", "K")
    assert product.found["channels"]["missing"] == []


@pytest.mark.parametrize("kind", WRITERS)
def test_values_are_physical_and_masked_where_the_file_has_none(opened, kind):
    truth = truth_of(kind)
    bands = bands_of(opened(kind), "sar")
    # Standardised float32 values cannot hold more than six or seven digits.
    tolerance = 2e-5 if kind == "ready" else 0
    for name in ("hh", "hv"):
        np.testing.assert_allclose(bands[name], getattr(truth, name), atol=tolerance)
    assert np.isnan(bands["hh"][:, :4]).all()
    assert np.isfinite(bands["hh"][:, 4:]).all()
    radiometer = bands_of(opened(kind), "mwr")
    for name in ("btemp_6_9h", "btemp_89_0v"):
        np.testing.assert_allclose(radiometer[name], truth.brightness(name).astype("f4"), rtol=2e-6)
    assert np.isnan(radiometer["btemp_18_7h"][0, -1])
    np.testing.assert_array_equal(bands_of(opened(kind), "ancillary_fine")["distance_map"], truth.distance)
    if kind != "asip":
        weather = bands_of(opened(kind), "ancillary_coarse")
        np.testing.assert_allclose(weather["t2m"], truth.weather("t2m").astype("f4"), rtol=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_incidence_angle_is_known_at_every_pixel(opened, kind):
    truth = truth_of(kind)
    row, col = np.mgrid[: truth.rows, : truth.cols] + 0.5
    np.testing.assert_allclose(
        bands_of(opened(kind), "sar")["incidence_angle"], truth.incidence(row, col), atol=0.06
    )


def test_the_correction_of_noise_by_nersc_has_the_plain_name(opened):
    bands = bands_of(opened("asip"), "sar")
    known = np.isfinite(bands["hh"])
    np.testing.assert_allclose(bands["hh_esa"][known], bands["hh"][known] + 0.5, atol=1e-5)
    np.testing.assert_allclose(bands["hv_esa"][known], bands["hv"][known] - 0.5, atol=1e-5)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("place", [(-35.2, 64.7), (20.0, 89.97), (179.95, 72.0), (-60.0, -70.0)], ids=str)
def test_pixels_lie_within_a_tenth_of_a_pixel_of_the_truth(tmp_path, kind, place):
    truth = truth_of(kind, place=place)
    path = WRITERS[kind](tmp_path / "scene.nc", truth)
    with open_netcdf(path, ImportOptions()) as product:
        grid = product.rasters["sar"].grid
    row, col = (
        axis.ravel() for axis in np.meshgrid(np.linspace(0, truth.rows, 23), np.linspace(0, truth.cols, 29))
    )
    found = grid.lonlat_to_pixel(*truth.lonlat(row, col))
    assert np.abs(np.subtract(found, (row, col))).max() < 0.1
    back_lon, back_lat = grid.pixel_to_lonlat(row, col)
    again = grid.lonlat_to_pixel(back_lon, back_lat)
    assert np.abs(np.subtract(again, (row, col))).max() < 1e-6


@pytest.mark.parametrize(("lat", "code"), [(70.0, 3413), (-70.0, 3976)])
def test_ground_control_points_are_in_polar_stereographic(tmp_path, lat, code):
    path = write_raw(tmp_path / "scene.nc", Truth(place=(10.0, lat)))
    with open_netcdf(path, ImportOptions()) as product:
        assert parse_crs(product.rasters["sar"].grid.crs).to_epsg() == code


@pytest.mark.parametrize("kind", ["raw", "ready"])
def test_coarse_cells_are_nested_in_the_pixels(opened, kind):
    product = opened(kind)
    fine, coarse = product.rasters["sar"].grid, product.rasters["mwr"].grid
    ratio = truth_of(kind).ratio
    nesting = fine.nesting(coarse)
    assert nesting is not None
    assert (1 / nesting.row_scale, 1 / nesting.col_scale) == pytest.approx((ratio, ratio), rel=1e-6)
    assert (nesting.row_offset, nesting.col_offset) == pytest.approx((0, 0), abs=1e-6)


def test_cells_of_asip_lie_where_their_axes_and_their_latitudes_say(opened):
    truth = Truth()
    product = opened("asip")
    grid = product.rasters["mwr"].grid
    cells = np.mgrid[: grid.rows, : grid.cols] + 0.5
    row, col = grid.pixels_in(product.rasters["sar"].grid, *cells)
    np.testing.assert_allclose(row[:, 0], 25.5 + 50 * np.arange(grid.rows), atol=1e-5)
    np.testing.assert_allclose(col[0], 25.5 + 50 * np.arange(grid.cols), atol=1e-5)
    lon, lat = truth.lonlat(row, col)
    found = grid.lonlat_to_pixel(lon, lat)
    assert np.abs(np.subtract(found, cells)).max() < 0.1 / 50
    assert product.found["cells_apart_from_their_lat_lon_pixels"] < 0.1


def test_uneven_cells_are_placed_one_by_one():
    from floelens.plugin.io.formats.netcdf.geometry import placed
    from floelens.tests.plugin.io.rasters import NORTH, gcp_grid

    fine = gcp_grid(rows=300, cols=400, crs=NORTH)
    line, sample = np.array([10.0, 60.0, 110.0, 180.0, 290.0]), np.array([0.0, 50.0, 100.0, 350.0])
    grid = placed(fine, line, sample, "scene.nc")
    cells = np.mgrid[:5, :4] + 0.5
    row, col = grid.pixels_in(fine, *cells)
    np.testing.assert_allclose(row, np.broadcast_to(line[:, None] + 0.5, row.shape), atol=1e-5)
    np.testing.assert_allclose(col, np.broadcast_to(sample + 0.5, col.shape), atol=1e-5)


@pytest.mark.parametrize("kind", WRITERS)
def test_time_and_name_are_those_of_the_scene(tmp_path, kind):
    attributes = {"original_id": PRODUCT} if kind == "asip" else {}
    path = WRITERS[kind](tmp_path / "20010101T000000.nc", truth_of(kind), **attributes)
    with open_netcdf(path, ImportOptions()) as product:
        assert product.time.isoformat() == "2018-01-24T19:47:59+00:00"
        assert product.tags["start_time"] == "2018-01-24T19:47:59Z"
        assert product.name


def test_a_scene_that_tells_its_time_by_its_name_only(tmp_path):
    path = write_asip(tmp_path / "20180314T202722_S1A_AMSR2_Icechart-Greenland-CapeFarewell.nc")
    with open_netcdf(path, ImportOptions()) as product:
        assert product.time.isoformat() == "2018-03-14T20:27:22+00:00"
        assert product.name == "20180314T202722_S1A_AMSR2_Icechart-Greenland-CapeFarewell"


@pytest.mark.parametrize("kind", WRITERS)
def test_the_chart_is_decoded_pixel_by_pixel(opened, kind):
    truth = truth_of(kind)
    bands = bands_of(opened(kind), "chart")
    for number, meaning in DECODED.items():
        here = truth.polygons == number
        assert here.any()
        if kind == "ready" and meaning[0] > 90:
            meaning = (100, *meaning[1:])  # 95 and 100 % are one class there
        assert [set(np.unique(band[here])) for band in bands.values()] == [{value} for value in meaning]
    assert all((band[truth.polygons == 0] == 255).all() for band in bands.values())


@pytest.mark.parametrize("kind", WRITERS)
def test_any_window_equals_the_whole(opened, kind):
    product = opened(kind)
    for raster in product.rasters.values():
        whole = raster.read(raster.grid.window)
        part = Window(
            raster.grid.rows // 3, raster.grid.cols // 4, raster.grid.rows // 2, raster.grid.cols // 2
        )
        np.testing.assert_array_equal(raster.read(part), whole[(slice(None), *part.slices())])


def test_linear_backscatter_is_the_power_of_the_decibels(opened):
    bands, linear = (bands_of(opened("raw", decibels=on), "sar") for on in (True, False))
    np.testing.assert_allclose(linear["hh"], 10 ** (bands["hh"].astype("f8") / 10), rtol=1e-6)
    np.testing.assert_array_equal(linear["incidence_angle"], bands["incidence_angle"])


def test_multilook_averages_power_and_keeps_the_place(opened):
    product = opened("raw", multilook=3)
    truth = Truth()
    raster = product.rasters["sar"]
    assert (raster.grid.rows, raster.grid.cols) == (77, 90)
    power = 10 ** (truth.hh[30:33, 60:63].astype("f8") / 10)
    found = dict(zip((b.name for b in raster.bands), raster.read(Window(10, 20, 1, 1))))
    assert found["hh"][0, 0] == pytest.approx(10 * np.log10(power.mean()), rel=1e-6)
    lon, lat = truth.lonlat(31.5, 61.5)
    np.testing.assert_allclose(raster.grid.lonlat_to_pixel(lon, lat), (10.5, 20.5), atol=0.05)
    # Columns 0 to 3 are masked: the block of columns 3 to 5 takes those that are there.
    edge = raster.read(Window(0, 0, 1, 2))[0, 0]
    assert np.isnan(edge[0])
    assert edge[1] == pytest.approx(
        10 * np.log10((10 ** (truth.hh[:3, 4:6].astype("f8") / 10)).mean()), rel=1e-6
    )
    chart = product.rasters["chart"].read(product.rasters["chart"].grid.window)
    assert chart.shape == (3, 77, 90)
    assert set(np.unique(chart[0])) <= {0, 40, 95, 100, 255}


def test_flip_is_for_display_and_moves_no_pixel(tmp_path):
    truth = Truth()
    with open_netcdf(write_raw(tmp_path / "a.nc", truth, flip=1), ImportOptions()) as right:
        right_pixels = bands_of(right, "sar")["hh"]
        assert right.found["flip"] == 1
        assert right.found["mirror_image_of_the_map"]
        assert not any("flip" in text for text in right.warnings)
        grid = right.rasters["sar"].grid
    with open_netcdf(write_raw(tmp_path / "b.nc", truth, flip=0), ImportOptions()) as wrong:
        np.testing.assert_array_equal(bands_of(wrong, "sar")["hh"], right_pixels)
        assert wrong.rasters["sar"].grid.same_as(grid)
        assert any("flip=0" in text and "axis 1" in text for text in wrong.warnings)


def test_tie_points_whose_axes_are_exchanged_are_put_right(tmp_path):
    truth = truth_of("ready", rows=230, cols=300)
    path = write_ready(tmp_path / "a.nc", truth, transpose_ties=True)
    with open_netcdf(path, ImportOptions()) as product:
        assert product.found["tie_point_axes_exchanged"]
        grid = product.rasters["sar"].grid
    np.testing.assert_allclose(grid.lonlat_to_pixel(*truth.lonlat(40.0, 250.0)), (40.0, 250.0), atol=0.1)


def test_a_scene_in_other_polarisations_is_not_taken_for_hh_and_hv(tmp_path):
    path = write_raw(tmp_path / "a.nc", polarisations=("VV", "VH"))
    with open_netcdf(path, ImportOptions()) as product:
        assert [band.name for band in product.rasters["sar"].bands] == ["vv", "vh", "incidence_angle"]
        assert product.found["channels"]["missing"] == ["hh", "hv"]
        assert any("is VV, not HH" in text for text in product.warnings)


def test_amsr2_that_is_missing_is_told(tmp_path):
    path = write_raw(tmp_path / "a.nc", drop=MWR_CHANNELS)
    with open_netcdf(path, ImportOptions()) as product:
        assert "mwr" not in product.rasters
        assert "ancillary_coarse" in product.rasters
        assert any("holds no AMSR2 brightness temperatures" in text for text in product.warnings)
        assert product.found["channels"]["missing"] == list(MWR_CHANNELS)


def test_a_scene_is_read_inside_a_zip_and_under_a_virtual_file_system(tmp_path, scenes):
    path = tmp_path / "delivery.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "beside")
        archive.write(scenes["raw"], "deep/scene.nc")
    for source in (str(path), f"/vsizip/{path}/deep/scene.nc"):
        assert recognises(source)
        with open_netcdf(source, ImportOptions()) as product:
            raster = product.rasters["sar"]
            np.testing.assert_array_equal(raster.read(Window(9, 9, 5, 5))[0], Truth().hh[9:14, 9:14])
    assert [file.name for file in tmp_path.iterdir()] == ["delivery.zip"]


def test_scale_offset_fill_and_valid_range_of_packed_values_are_respected(tmp_path):
    packed = np.array([[100, 200, 300], [-32768, 5000, 7]], dtype=np.int16)
    path = write_netcdf(
        tmp_path / "a.nc",
        {"y": 2, "x": 3},
        {
            "packed": Variable(
                ("y", "x"),
                packed,
                -32768,
                {"scale_factor": 0.01, "add_offset": -20.0, "valid_range": [0, 400]},
            ),
            "other": Variable(
                ("y", "x"), packed.astype("f4"), None, {"missing_value": 7.0, "valid_min": 0.0}
            ),
        },
        {},
    )
    from floelens.plugin.io.formats.cf.container import Container

    with Container(path) as container:
        values = container.variable("packed").whole()
        np.testing.assert_allclose(values, [[-19, -18, -17], [np.nan, np.nan, -19.93]])
        np.testing.assert_allclose(
            container.variable("other").whole(), [[100, 200, 300], [np.nan, 5000, np.nan]]
        )


def test_reading_leaves_the_settings_of_gdal_as_they_were(scenes):
    from osgeo import gdal

    before = gdal.GetConfigOption("OSR_USE_NON_DEPRECATED"), gdal.GetUseExceptions()
    for exceptions in (False, True):
        gdal.UseExceptions() if exceptions else gdal.DontUseExceptions()
        try:
            with open_netcdf(scenes["raw"], ImportOptions()) as product:
                product.rasters["sar"].read(Window(0, 0, 4, 4))
            assert not recognises(str(Path(__file__)))
        finally:
            gdal.DontUseExceptions()
    if before[1]:
        gdal.UseExceptions()
    assert gdal.GetConfigOption("OSR_USE_NON_DEPRECATED") == before[0]
