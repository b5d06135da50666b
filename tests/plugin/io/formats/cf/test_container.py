"""Files of any format and codec, read in windows."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.formats.cf import container
from floelens.plugin.io.formats.cf.codecs import missing_codec
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.hdf5.messages import read_filters
from floelens.tests.plugin.io.formats.cf.gridded import netCDF4, stored, write_map

DECIBELS = np.linspace(-30.0, -5.0, 200 * 300).reshape(200, 300)


def test_a_range_in_decibels_does_not_lose_a_packed_scene_read_in_windows(tmp_path):
    values = DECIBELS.copy()
    values[:100, :100] = -200.0  # what the range is there for
    write = stored("i2", -32768, scale_factor=0.01, valid_range=np.array([-60.0, 30.0], "f4"))
    path = write_map(tmp_path / "scene.nc", {"sar_primary": values}, write=write)
    with Container(path) as opened:
        got = opened.variable("sar_primary").read(Window(90, 90, 20, 30))
        assert any("-60 to 30 is taken for unpacked values" in text for text in opened.warnings)
    expected = np.where(values < -60.0, np.nan, values)[90:110, 90:120]
    np.testing.assert_allclose(got, expected, atol=0.006)


def test_every_one_of_several_missing_values_is_missing(tmp_path):
    values = DECIBELS.copy()
    values[0, :3] = (-998.0, -999.0, 0.0)
    write = stored("f4", missing_value=np.array([-998.0, -999.0, 0.0]))
    path = write_map(tmp_path / "scene.nc", {"sar_primary": values}, write=write)
    with Container(path) as opened:
        got = opened.variable("sar_primary").read(Window(0, 0, 2, 5))
    assert np.isnan(got[0, :3]).all()
    assert np.isfinite(got).sum() == 7


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "NETCDF4"])
@pytest.mark.parametrize("wrap", ["zip", "gz"])
def test_files_in_zips_and_gzipped_ones_are_read_where_they_are(tmp_path, form, wrap):
    path = tmp_path / "a.nc"
    write_map(path, {"tb36v": DECIBELS}, form=form)
    if wrap == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "a.nc")
        source = str(tmp_path / "a.zip")
    else:
        (tmp_path / "a.nc.gz").write_bytes(gzip.compress(path.read_bytes()))
        source = container.members(str(tmp_path / "a.nc.gz"))[0]
    with Container(source) as opened:
        np.testing.assert_array_equal(opened.variable("tb36v").whole(), DECIBELS)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ["a.nc", "a.zip" if wrap == "zip" else "a.nc.gz"]
    )


def test_a_codec_that_is_missing_is_named_and_is_no_damage(tmp_path, monkeypatch):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("n", 100_000)
        dataset.createVariable("v", "f4", ("n",), zlib=True)[:] = np.random.default_rng(0).normal(
            size=100_000
        )
    content = path.read_bytes()
    path.write_bytes(content[:-20_000] + bytes(10_000) + content[-10_000:])  # its values cannot be decoded
    with Container(path) as opened, pytest.raises(SceneError, match="damaged or truncated"):
        opened.variable("v").whole()
    monkeypatch.setattr(container, "check_structure", lambda *_: frozenset({2, 32015}))
    with (
        Container(path) as opened,
        pytest.raises(SceneError, match=r"compressed with Zstandard.*nccopy") as told,
    ):
        opened.variable("v").whole()
    assert "damaged" not in str(told.value)
    assert missing_codec({1, 2, 3, 32000, 99}) == "HDF5 filter 99 and LZF"
    assert missing_codec({1, 2, 3}) == ""


def test_filters_of_a_pipeline_are_read_from_either_version_of_the_message():
    # Shuffle with one value, then LZF with three: version 1 pads names to 8 bytes and odd numbers of values.
    first = bytes([1, 2, 0, 0, 0, 0, 0, 0])
    first += b"\x02\x00" + b"\x08\x00" + b"\x00\x00" + b"\x01\x00" + b"shuffle\x00" + bytes(4) + bytes(4)
    first += (
        (32000).to_bytes(2, "little")
        + b"\x04\x00"
        + b"\x00\x00"
        + b"\x03\x00"
        + b"lzf\x00"
        + bytes(4)
        + bytes(16)
    )
    assert read_filters(first) == [2, 32000]
    second = bytes([2, 2]) + b"\x02\x00" + b"\x00\x00" + b"\x01\x00" + bytes(4)
    second += (32015).to_bytes(2, "little") + b"\x05\x00" + b"\x00\x00" + b"\x01\x00" + b"zstd\x00" + bytes(4)
    assert read_filters(second) == [2, 32015]
    assert read_filters(second[:10]) == [2]
    assert read_filters(b"") == []
