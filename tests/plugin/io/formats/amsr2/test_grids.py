"""Gridded AMSR2 files: over a SAR scene, and on a map projection of their own."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import ParameterError, SceneError
from floelens.plugin.io.environment.crs import parse_crs, same_crs
from floelens.plugin.io.formats.amsr2 import open_amsr2, recognises
from floelens.plugin.io.formats.amsr2.bands import channel_of_name
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.amsr2.granules import write_hdf5
from floelens.tests.plugin.io.rasters import affine_grid, gcp_grid

OPTIONS = ImportOptions()
DOTTED = [name.replace("_", ".").replace("btemp.", "btemp_") for name in MWR_CHANNELS]
SCENE_STEM = "S1A_EW_GRDM_1SDH_20190823T033023_20190823T033127_028691_033F56_7A1D"
FLAGS = {
    "flag_values": np.array([251, 252, 253, 254], dtype=np.uint8),
    "flag_meanings": "pole_hole_mask unused coast land",
}


def over_scene(path, rows=43, cols=41, seed=0, attributes=None, extra=None):
    """Write 14 channels over a scene as DMI does; return their values."""
    rng = np.random.default_rng(seed)
    values = {name: rng.uniform(100, 280, (rows, cols)).round(2) for name in DOTTED}
    swath = np.zeros((rows, cols), dtype=np.uint8)
    swath[-4:, -6:] = 1
    arrays = {name: (array, {"least_significant_digit": np.int32(2)}) for name, array in values.items()}
    arrays["swath_segmentation"] = (swath, {})
    arrays.update(extra or {})
    given = {
        "instrument_name": "AMSR-2",
        "AMSR2_swaths": [
            "GW1AM2_201908230243_200A_L1SGBTBR_2220220.h5",
            "GW1AM2_201908230154_200D_L1SGBTBR_2220220.h5",
        ],
        "delays": np.array([1292, 1647], dtype=np.int32),
        **(attributes or {}),
    }
    write_hdf5(path, arrays, given)
    return values, swath


def concentration(
    path, flip=False, crs=None, title="AMSR2 Daily Polar Gridded Sea Ice Concentrations", **change
):
    """Write packed concentrations as NSIDC-0803; return them as packed, north up."""
    rng = np.random.default_rng(1)
    packed = rng.integers(0, 251, (30, 20)).astype(np.uint8)
    packed[0, :5] = (251, 252, 253, 254, 255)
    x, y = -3_850_000.0 + 25_000 * (np.arange(20) + 0.5), 5_850_000.0 - 25_000 * (np.arange(30) + 0.5)
    stored = packed[::-1] if flip else packed
    mapping = {
        "grid_mapping_name": "polar_stereographic",
        "straight_vertical_longitude_from_pole": -45.0,
        "latitude_of_projection_origin": 90.0,
        "standard_parallel": 70.0,
        "false_easting": 0.0,
        "false_northing": 0.0,
        "semi_major_axis": 6378273.0,
        "inverse_flattening": 298.279411123064,
    }
    arrays = {
        "x": (x, {"standard_name": "projection_x_coordinate", "units": "meters"}),
        "y": (y[::-1].copy() if flip else y, {"standard_name": "projection_y_coordinate", "units": "meters"}),
        "crs": (np.zeros(1, dtype=np.int32), mapping if crs is None else {"crs_wkt": crs} if crs else {}),
        "ICECON": (
            np.ascontiguousarray(stored[None]),
            {
                "standard_name": "sea_ice_area_fraction",
                "units": "1",
                "grid_mapping": "crs",
                "_FillValue": 255,
                "scale_factor": 0.004,
                "add_offset": 0.0,
                **FLAGS,
            },
        ),
    }
    arrays.update(change)
    dimensions = {"x": ["x"], "y": ["y"], "ICECON": ["time", "y", "x"], "crs": ["one"]}
    write_hdf5(path, arrays, {"title": title, "time_coverage_start": "2024-01-05T00:00:00Z"}, (), dimensions)
    return packed


@pytest.mark.parametrize("scene", [gcp_grid(rows=1075, cols=1030), affine_grid(1075, 1030, 80.0, turn=20)])
def test_a_grid_over_a_scene_spans_it_though_cells_are_not_whole_pixels(tmp_path, scene):
    path = tmp_path / f"AMSR2_{SCENE_STEM}.nc"
    values, swath = over_scene(path)
    product = open_amsr2([str(path)], OPTIONS, scene, None)
    raster = product.rasters["mwr"]
    assert [band.name for band in raster.bands] == list(MWR_CHANNELS)
    assert np.array_equal(raster.values, np.stack([values[name] for name in DOTTED]).astype(np.float32))
    nesting = scene.nesting(raster.grid)
    assert (nesting.row_scale, nesting.col_scale) == pytest.approx((43 / 1075, 41 / 1030), rel=1e-6)
    assert (nesting.row_offset, nesting.col_offset) == pytest.approx((0.0, 0.0), abs=1e-6)
    for corner in ((0, 0), (43, 0), (0, 41), (43, 41)):
        there = scene.pixel_to_lonlat(corner[0] * 1075 / 43, corner[1] * 1030 / 41)
        assert np.allclose(raster.grid.pixel_to_lonlat(*corner), there, rtol=0, atol=1e-9)
    delay = product.rasters["ancillary_coarse"]
    assert delay.grid.same_as(raster.grid)
    assert delay.bands[0].name == "amsr2_delay"
    assert np.array_equal(delay.values[0], np.where(swath == 0, 1292, 1647).astype(np.float32))
    assert product.tags["amsr2_delay_s"] == "1292..1647"
    assert product.time == datetime(2019, 8, 23, 3, 30, 23, tzinfo=timezone.utc)
    assert product.found["cell_in_pixels"] == [25.0, pytest.approx(25.122, abs=1e-3)]


def test_a_grid_over_a_scene_needs_the_scene_it_was_made_for(tmp_path):
    path = tmp_path / f"AMSR2_{SCENE_STEM}.nc"
    over_scene(path)
    with pytest.raises(SceneError, match="no georeferencing: its cells lie over a SAR scene"):
        open_amsr2([str(path)], OPTIONS, None, None)
    with pytest.raises(SceneError, match="belongs to another scene"):
        open_amsr2([str(path)], OPTIONS, gcp_grid(rows=1075, cols=700), None)
    other = ImportOptions(scene=f"/data/{SCENE_STEM.replace('20190823T033023', '20190824T041500')}_sar.tif")
    warnings = open_amsr2([str(path)], other, gcp_grid(rows=1075, cols=1030), None).warnings
    assert any("should be one" in text for text in warnings)
    with pytest.raises(ParameterError, match="one at a time"):
        open_amsr2([str(path), str(path)], OPTIONS, gcp_grid(rows=1075, cols=1030), None)


def test_missing_values_missing_channels_and_odd_segmentations_are_seen(tmp_path):
    path = tmp_path / "grid.nc"
    over_scene(path, attributes={"delays": np.array([1292], dtype=np.int32)})
    # One delay only, but two swaths: nobody knows the second.
    product = open_amsr2([str(path)], OPTIONS, gcp_grid(rows=1075, cols=1030), None)
    assert set(product.rasters) == {"mwr"}
    values = np.full((10, 10), 200.0)
    values[3, 4] = -999.0
    write_hdf5(path, {"btemp_36.5h": (values, {"_FillValue": -999.0})}, {})
    product = open_amsr2([str(path)], OPTIONS, gcp_grid(rows=500, cols=500), None)
    assert np.argwhere(np.isnan(product.rasters["mwr"].values[0])).tolist() == [[3, 4]]
    assert len(product.found["channels_missing"]) == 13
    assert any("lacks 13 of 14 channels" in text for text in product.warnings)


def test_channels_of_unequal_shapes_are_a_sentence(tmp_path):
    path = tmp_path / "grid.nc"
    write_hdf5(path, {"btemp_6.9h": (np.ones((4, 4)), {}), "btemp_6.9v": (np.ones((4, 5)), {})}, {})
    with pytest.raises(SceneError, match="one grid of rows and columns is due"):
        open_amsr2([str(path)], OPTIONS, gcp_grid(), None)


def test_scenes_that_hold_sar_as_well_are_left_to_their_own_reader(tmp_path):
    path = tmp_path / "20190823T033023_S1A_AMSR2_Icechart.nc"
    over_scene(path, extra={"nersc_sar_primary": (np.ones((43, 41)), {})})
    assert not recognises(str(path))


@pytest.mark.parametrize("flip", [False, True])
def test_concentrations_are_read_north_up_in_percent_with_flags_counted(tmp_path, flip):
    path = tmp_path / "NSIDC-0803_SEAICE_AMSR2_N_20240105_v2.0.nc"
    packed = concentration(path, flip)
    assert recognises(str(path))
    product = open_amsr2([str(path)], OPTIONS, None, None)
    raster = product.rasters["ancillary_coarse"]
    assert set(product.rasters) == {"ancillary_coarse", "chart"}
    assert raster.bands[0].name == "amsr2_sic"
    expected = np.where(packed > 250, np.nan, packed * 0.4)
    assert np.allclose(raster.values[0], expected, atol=1e-5, rtol=0, equal_nan=True)
    assert product.found["without_concentration"] == {
        "pole_hole_mask": 1, "unused": 1, "coast": 1, "land": 1, "fill value": 1
    }  # fmt: skip
    assert raster.grid.transform == (25_000.0, 0.0, -3_850_000.0, 0.0, -25_000.0, 5_850_000.0)
    # From CF parameters alone: the ellipsoid of EPSG:3411 is kept.
    assert parse_crs(raster.grid.crs).ellipsoid.semi_major_metre == 6378273.0
    assert product.time == datetime(2024, 1, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize("code", ["EPSG:3411", "EPSG:3412"])
def test_the_datum_of_nsidcs_projections_is_kept(tmp_path, code):
    path = tmp_path / "AMSR2.nc"
    concentration(path, crs=pyproj.CRS(code).to_wkt())
    grid = open_amsr2([str(path)], OPTIONS, None, None).rasters["ancillary_coarse"].grid
    assert same_crs(grid.crs, code)
    assert not same_crs(grid.crs, {"EPSG:3411": "EPSG:3413", "EPSG:3412": "EPSG:3976"}[code])


def test_axes_that_cannot_be_used_are_a_sentence(tmp_path):
    path = tmp_path / "AMSR2.nc"
    uneven = np.arange(20.0) ** 2
    concentration(path, x=(uneven, {"standard_name": "projection_x_coordinate"}))
    with pytest.raises(SceneError, match="not evenly spaced"):
        open_amsr2([str(path)], OPTIONS, None, None)
    concentration(path, crs="nonsense")
    with pytest.raises(SceneError, match="cannot be understood"):
        open_amsr2([str(path)], OPTIONS, None, None)
    concentration(path, crs="")
    with pytest.raises(SceneError, match="no grid mapping"):
        open_amsr2([str(path)], OPTIONS, None, None)


def test_concentrations_of_another_instrument_have_another_name(tmp_path):
    concentration(tmp_path / "other.nc", title="Concentrations of another instrument")
    product = open_amsr2([str(tmp_path / "other.nc")], OPTIONS, None, None)
    assert product.rasters["ancillary_coarse"].bands[0].name == "sea_ice_concentration"
    assert product.kind == "Sea-ice concentration"


def test_brightness_temperatures_on_a_map_projection_keep_it(tmp_path):
    path = tmp_path / "AMSR2_tb.nc"
    values = np.arange(600.0).reshape(30, 20) / 10 + 150
    concentration(path, TB_36_5V=(values, {"units": "K"}), tb_18_7h=(values + 1, {"units": "K"}))
    product = open_amsr2([str(path)], OPTIONS, None, None)
    raster = product.rasters["mwr"]
    assert [band.name for band in raster.bands] == ["btemp_18_7h", "btemp_36_5v"]
    assert np.array_equal(raster.values, np.stack([values + 1, values]).astype(np.float32))
    assert raster.grid.transform[0] == 25_000.0


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("btemp_6.9h", "btemp_6_9h"),
        ("btemp_10_7v", "btemp_10_7v"),
        ("tb_89_0h", "btemp_89_0h"),
        ("TB10.65V", "btemp_10_7v"),
        ("tb36h", "btemp_36_5h"),
        ("TB_37V", None),
        ("tb_50_3h", None),
        ("tb_6.9", None),
        ("sar_primary", None),
    ],
)
def test_names_of_channels_are_understood_or_refused(name, channel):
    assert channel_of_name(name) == channel


def test_classic_netcdf_is_read_as_well(tmp_path):
    values = np.random.default_rng(2).uniform(100, 280, (20, 20)).astype(np.float32)
    values[2, 3] = -999.0
    write_hdf5(tmp_path / "grid.nc", {"btemp_6.9h": (values, {"_FillValue": -999.0})}, {}, classic=True)
    assert (tmp_path / "grid.nc").read_bytes()[:3] == b"CDF"
    product = open_amsr2([str(tmp_path / "grid.nc")], OPTIONS, gcp_grid(rows=500, cols=500), None)
    expected = np.where(values == -999.0, np.nan, values)
    assert np.array_equal(product.rasters["mwr"].values[0], expected, equal_nan=True)
