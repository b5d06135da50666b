"""Real AMSR2 files: the grid over Sentinel-1 of 23 August 2019, and NSIDC-0803."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import rasterio
from floelens.plugin.io.environment.crs import same_crs
from floelens.plugin.io.formats.amsr2 import open_amsr2, recognises
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.real_scene import FOLDER, STEM, concentration_path, write_brightness_temperatures


@pytest.fixture(scope="module")
def source(real_data):
    """Return the path of the grid over the scene."""
    return str(real_data / FOLDER / f"AMSR2_{STEM}.nc")


@pytest.fixture(scope="module")
def product(real_data, source):
    """Return the grid as it is opened over the scene."""
    scene = concentration_path(real_data)
    return open_amsr2([source], ImportOptions(scene=str(scene)), Grid.from_file(scene), None)


def test_the_grid_over_the_scene_is_as_another_program_reads_it(real_data, product, tmp_path):
    raster = product.rasters["mwr"]
    assert [band.name for band in raster.bands] == list(MWR_CHANNELS)
    assert (raster.grid.rows, raster.grid.cols) == (214, 209)
    assert product.found["cell_in_pixels"] == [25.014, 25.0766]
    with rasterio.open(write_brightness_temperatures(real_data, tmp_path / "mwr.tif")) as expected:
        assert np.array_equal(raster.values, expected.read())
    assert raster.grid.same_as(Grid.from_file(tmp_path / "mwr.tif"))
    assert product.warnings
    assert product.time.isoformat() == "2019-08-23T03:30:23+00:00"


def test_the_grid_lies_the_right_way_round(real_data, product):
    # Ice is bright where polarisation differs little: the other orientations correlate less.
    with rasterio.open(concentration_path(real_data)) as image:
        sic = image.read(1)
    raster = product.rasters["mwr"]
    h, v = (raster.values[[band.name for band in raster.bands].index(f"btemp_18_7{p}")] for p in "hv")
    rows, cols = np.indices(h.shape)
    at = sic[((rows + 0.5) * 5353 / 214).astype(int), ((cols + 0.5) * 5241 / 209).astype(int)]
    open_sea = at <= 100
    ratio = (v - h) / (v + h)
    right = -np.corrcoef(ratio[open_sea], at[open_sea])[0, 1]
    turned = [
        -np.corrcoef(other[open_sea], at[open_sea])[0, 1]
        for other in (ratio[::-1], ratio[:, ::-1], ratio[::-1, ::-1])
    ]
    assert right > 0.55
    assert max(turned) < right - 0.05


def test_the_delay_is_that_of_each_swath(product):
    delay = product.rasters["ancillary_coarse"].values[0]
    seconds, cells = np.unique(delay, return_counts=True)
    assert dict(zip(seconds.tolist(), cells.tolist())) == {1292.0: 44303, 1647.0: 423}
    assert product.tags["amsr2_delay_s"] == "1292..1647"
    assert [name[:19] for name in product.found["swaths"]] == ["GW1AM2_201908230243", "GW1AM2_201908230154"]


def test_its_channels_below_89_ghz_are_found_to_be_displaced(product):
    shifts = product.found["shift_against_89_ghz"]
    assert list(shifts) == list(MWR_CHANNELS[:12])
    for name in (channel for channel in shifts if channel.endswith("h")):
        shift = shifts[name]
        assert shift["trusted"]
        # Some 5 km, all in one direction: up and to the right in the image.
        assert 3.0 < shift["km"] < 6.5
        assert shift["km_error"] < 0.7
        assert shift["rows"] < -0.9
        assert shift["cols"] > 1.2
    best = shifts["btemp_36_5h"]
    assert best["km"] == pytest.approx(5.6, abs=0.4)
    assert best["km_error"] < 0.25
    assert any("do not lie over 89 GHz" in text and "btemp_36_5h 5." in text for text in product.warnings)


def test_the_grid_in_a_zip_is_the_same(source, product, real_data, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.write(source, "deep/inside.nc")
    scene = Grid.from_file(concentration_path(real_data))
    again = open_amsr2([str(tmp_path / "a.zip")], ImportOptions(), scene, None)
    assert np.array_equal(again.rasters["mwr"].values, product.rasters["mwr"].values)


@pytest.mark.parametrize(
    ("hemisphere", "code", "shape"), [("N", "3411", (448, 304)), ("S", "3412", (332, 316))]
)
def test_nsidcs_concentrations_keep_their_datum(real_data, hemisphere, code, shape):
    path = real_data / "amsr2-sic-nsidc0803" / f"NSIDC-0803_SEAICE_AMSR2_{hemisphere}_20240105_v2.0.nc"
    assert recognises(str(path))
    product = open_amsr2([str(path)], ImportOptions(), None, None)
    raster = product.rasters["ancillary_coarse"]
    assert (raster.grid.rows, raster.grid.cols) == shape
    assert same_crs(raster.grid.crs, f"EPSG:{code}")
    with (
        rasterio.Env(OSR_USE_NON_DEPRECATED="NO"),
        rasterio.open(f'NETCDF:"{path}":ICECON', HONOUR_VALID_RANGE="NO") as other,
    ):
        packed, transform = other.read(1), other.transform
    assert tuple(transform)[:6] == raster.grid.transform
    expected = np.where(packed > 250, np.nan, packed * 0.4)
    assert np.allclose(raster.values[0], expected, rtol=0, atol=1e-5, equal_nan=True)
    counts = product.found["without_concentration"]
    assert sum(counts.values()) == (packed > 250).sum()
    assert counts["land"] == (packed == 254).sum()
    assert product.time.isoformat() == "2024-01-05T00:00:00+00:00"


def test_other_real_files_are_left_to_their_own_readers(real_data):
    fixtures = real_data / "nansat-georef-fixtures"
    concentration = fixtures / "arctic.nc"  # of SMMR: a chart, whatever the instrument
    others = {*fixtures.iterdir(), *(real_data / "s1-ew-hv-crops").iterdir()} - {concentration}
    assert len(others) > 4
    assert [path for path in (*others, concentration) if recognises(str(path))] == [concentration]
