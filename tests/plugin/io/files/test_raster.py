"""Reading rasters: names, no data, windows, and files that cannot be read."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.files.raster import file_of, open_raster
from floelens.tests.plugin.io.rasters import affine_grid, ramp, write_raster

GRID = affine_grid(rows=40, cols=50)
WHOLE = Window(0, 0, 40, 50)


def test_bands_are_read_by_number_over_a_window(tmp_path):
    values = ramp(3, 40, 50)
    with open_raster(write_raster(tmp_path / "a.tif", values, GRID, ["hh", "hv", "ia"])) as raster:
        assert (raster.rows, raster.cols, raster.count, raster.names) == (40, 50, 3, ("hh", "hv", "ia"))
        found = raster.read([3, 1], Window(5, 6, 7, 8))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values[[2, 0], 5:12, 6:14])


@pytest.mark.parametrize("window", [Window(-3, -4, 10, 10), Window(35, 45, 20, 20), Window(-5, -5, 60, 70)])
def test_a_window_that_sticks_out_is_filled_with_nan(tmp_path, window):
    values = ramp(1, 40, 50)
    padded = np.pad(values[0], 100, constant_values=np.nan)
    with open_raster(write_raster(tmp_path / "a.tif", values, GRID)) as raster:
        found = raster.read([1], window)[0]
    rows, cols = (
        slice(window.row + 100, window.row_stop + 100),
        slice(window.col + 100, window.col_stop + 100),
    )
    np.testing.assert_array_equal(found, padded[rows, cols])


def test_a_window_outside_is_all_nan(tmp_path):
    with open_raster(write_raster(tmp_path / "a.tif", ramp(1, 40, 50), GRID)) as raster:
        assert np.isnan(raster.read([1], Window(100, 0, 4, 5))).all()


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [
        ("uint8", 255),
        ("uint8", 0),
        ("int16", -32768),
        ("uint16", 65535),
        ("float32", -99.0),
        ("float32", -3.4028234663852886e38),
        ("float64", 1e20),
    ],
)
def test_nodata_of_any_type_becomes_nan(tmp_path, dtype, nodata):
    values = np.full((1, 40, 50), 7, dtype=dtype)
    values[0, 3, 4] = nodata
    with open_raster(write_raster(tmp_path / "a.tif", values, GRID, nodata=nodata)) as raster:
        found = raster.read([1], WHOLE)[0]
    assert np.isnan(found[3, 4])
    assert np.isnan(found).sum() == 1
    assert (found[~np.isnan(found)] == 7).all()


def test_nan_and_infinity_become_nan(tmp_path):
    values = ramp(1, 40, 50)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    with open_raster(write_raster(tmp_path / "a.tif", values, GRID)) as raster:
        found = raster.read([1], WHOLE)[0]
    assert np.isnan(found[0, :3]).all()
    assert np.isfinite(found[0, 3:]).all()


def test_a_mask_band_becomes_nan(tmp_path):
    values = ramp(1, 40, 50)
    path = write_raster(tmp_path / "a.tif", values, GRID)
    with rasterio.open(path, "r+") as out:
        mask = np.full((40, 50), 255, "uint8")
        mask[7, 8] = 0
        out.write_mask(mask)
    with open_raster(path) as raster:
        found = raster.read([1], WHOLE)[0]
    assert np.argwhere(np.isnan(found)).tolist() == [[7, 8]]


def test_scale_and_offset_give_physical_values(tmp_path):
    path = write_raster(
        tmp_path / "a.tif", np.array([[[100, 200, -1]]], "int16"), affine_grid(1, 3), nodata=-1
    )
    with rasterio.open(path, "r+") as out:
        out.scales, out.offsets = (0.01,), (150.0,)
    with open_raster(path) as raster:
        np.testing.assert_allclose(raster.read([1], Window(0, 0, 1, 3))[0, 0], [151.0, 152.0, np.nan])


def test_tags_are_read_without_gdals_own_and_without_entities(tmp_path):
    tags = {"start_time": "2020-01-01T00:00:00Z", "note": "{&quot;a&quot;: 1}"}
    with open_raster(write_raster(tmp_path / "a.tif", ramp(1, 4, 5), affine_grid(4, 5), tags=tags)) as raster:
        assert raster.tags == {"start_time": "2020-01-01T00:00:00Z", "note": '{"a": 1}'}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SceneError, match=r"no file .*gone\.tif"):
        open_raster(tmp_path / "gone.tif")
    with pytest.raises(SceneError, match=r"no file .*gone\.nc"):
        open_raster(f'NETCDF:"{tmp_path}/gone.nc":btemp')
    with pytest.raises(SceneError, match="empty"):
        open_raster("")


@pytest.mark.parametrize("content", [b"", b"this is no raster", b"II*\x00\x08\x00\x00\x00"])
def test_a_file_that_is_no_raster_is_named(tmp_path, content):
    path = tmp_path / "bad.tif"
    path.write_bytes(content)
    with pytest.raises(SceneError, match=r"bad\.tif"):
        open_raster(path)


@pytest.mark.parametrize(
    "options", [{}, {"compress": "deflate"}, {"tiled": True, "blockxsize": 16, "blockysize": 16}]
)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_one_clear_error(tmp_path, options, share):
    path = tmp_path / "cut.tif"
    write_raster(path, ramp(2, 40, 50), GRID, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SceneError, match=r"cut\.tif.*(damaged|truncated)"), open_raster(path) as raster:
        raster.read([1, 2], WHOLE)


def test_complex_numbers_are_refused(tmp_path):
    path = write_raster(tmp_path / "slc.tif", np.ones((1, 4, 5), "complex64"), affine_grid(4, 5))
    with pytest.raises(SceneError, match="complex"):
        open_raster(path)


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("/data/scene.tif", "/data/scene.tif"),
        (r"C:\data\scene.tif", r"C:\data\scene.tif"),
        ('NETCDF:"/data/a b.nc":btemp_6.9h', "/data/a b.nc"),
        ("NETCDF:/data/a.nc:btemp", "/data/a.nc"),
        ('HDF5:"/data/a.h5"://group/tb', "/data/a.h5"),
    ],
)
def test_the_file_of_a_source_is_known(source, file):
    assert file_of(source) == file


def test_reads_from_another_thread_are_the_same(tmp_path):
    values = ramp(1, 40, 50)
    found = {}
    with open_raster(write_raster(tmp_path / "a.tif", values, GRID)) as raster:

        def read(n):
            found[n] = raster.read([1], WHOLE)

        threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 4
    assert all((f == values).all() for f in found.values())


def test_opening_leaves_gdals_settings_alone(tmp_path):
    from osgeo import gdal

    path = write_raster(tmp_path / "a.tif", ramp(1, 40, 50), GRID)
    before = gdal.GetConfigOption("OSR_USE_NON_DEPRECATED"), gdal.GetUseExceptions()
    with open_raster(path) as raster:
        raster.read([1], WHOLE)
    assert (gdal.GetConfigOption("OSR_USE_NON_DEPRECATED"), gdal.GetUseExceptions()) == before
