"""AMSR2 Level 1B and Sentinel-1 tables as satpy reads them: `make test-references`."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from floelens.plugin.io.formats.amsr2.swath import read_swath
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.sentinel1.annotation import read_annotation
from floelens.plugin.io.formats.sentinel1.calibration import Calibration
from floelens.plugin.io.formats.sentinel1.noise import Noise
from floelens.plugin.io.formats.sentinel1.xml import parse
from floelens.tests.plugin.io.formats.amsr2.granules import LOW, Granule, smooth_field

satpy = pytest.importorskip("satpy", reason="satpy is not installed: run make test-references")
sar_c_safe = pytest.importorskip("satpy.readers.sar_c_safe")

ROWS = (1000, 5200, 9000)
INFORMATION = {"start_time": datetime(2022, 11, 30), "end_time": datetime(2022, 11, 30), "polarization": "hh"}


def test_a_swath_of_level_1b_has_the_temperatures_and_places_that_satpy_reads(tmp_path):
    path = tmp_path / "GW1AM2_201908230243_200A_L1DLBTBR_2220220.h5"
    orbit = {"StartOrbitNumber": "38610", "StopOrbitNumber": "38610"}
    Granule(smooth_field(), scans=8, samples=24, attributes=orbit).write(path)
    with Container(str(path), "HDF5") as container:
        swath = read_swath(container)
    ours = {name: values for group in swath.footprints for name, values in group.values.items()}
    places = {name: group for group in swath.footprints for name in group.values}
    names = [f"btemp_{frequency}{polarisation}" for frequency in LOW for polarisation in "hv"]
    horns = [f"btemp_89.0{horn}{polarisation}" for horn in "ab" for polarisation in "hv"]
    scene = satpy.Scene(reader="amsr2_l1b", filenames=[str(path)])
    scene.load([*names, *horns])
    for name in names:
        theirs = scene[name].to_numpy()
        assert np.abs(ours[name.replace(".", "_")] - theirs.ravel()).max() < 1e-3  # K; kept in float32
    for polarisation in "hv":
        both = [scene[f"btemp_89.0{horn}{polarisation}"] for horn in "ab"]
        theirs = np.concatenate([values.to_numpy().ravel() for values in both])
        assert np.abs(ours[f"btemp_89_0{polarisation}"] - theirs).max() < 1e-3
        for axis, name in (("lons", "lon"), ("lats", "lat")):
            seen = np.concatenate([np.ravel(getattr(values.attrs["area"], axis)) for values in both])
            assert np.abs(getattr(places[f"btemp_89_0{polarisation}"], name) - seen).max() < 1e-4


@pytest.fixture(scope="module")
def folder(real_data):
    return real_data / "s1-ew-severnaya-zemlya" / "annotation"


@pytest.fixture(scope="module")
def annotation(folder):
    path = folder / "ew-hh.xml"
    return read_annotation(parse(path.read_bytes(), path.name))


def test_the_calibration_of_a_real_product_is_satpys(folder, annotation):
    path, shape = folder / "calibration" / "calibration-ew-hh.xml", (annotation.rows, annotation.cols)
    ours = Calibration(parse(path.read_bytes(), path.name), *shape)
    theirs = sar_c_safe.Calibrator(str(path), INFORMATION, {}, image_shape=shape)
    table = theirs.get_calibration("sigma_nought", chunks=(16, shape[1]))
    for row in ROWS:
        out = np.empty((1, shape[1]))
        ours.rows(row).evaluate(row, out)
        expected = table[row].to_numpy()
        np.testing.assert_allclose(out[0], expected, rtol=1e-6)  # theirs is float32


def test_the_noise_of_a_real_product_is_satpys_inside_its_sub_swaths(folder, annotation):
    path, shape = folder / "calibration" / "noise-ew-hh.xml", (annotation.rows, annotation.cols)
    ours = Noise(parse(path.read_bytes(), path.name), *shape)
    theirs = sar_c_safe.Denoiser(str(path), INFORMATION, {}, image_shape=shape)
    along_range = theirs.read_range_noise_array((16, shape[1]))
    along_azimuth = theirs.azimuth_noise_reader.read_azimuth_noise_array(2048)
    for row in ROWS:
        out = np.empty((1, shape[1]))
        ours.rows(row).evaluate(row, out)
        ours.apply_azimuth(row, out)
        expected = along_range[row].to_numpy() * along_azimuth[row].to_numpy()
        # satpy interpolates from one sub-swath into the next: a few pixels at each of four borders differ.
        same = np.isclose(out[0], expected, rtol=1e-4)
        assert same.mean() > 0.995


def test_the_incidence_angle_of_a_real_product_is_satpys(folder, annotation):
    path = folder / "ew-hh.xml"
    theirs = sar_c_safe.SAFEXMLAnnotation(str(path), INFORMATION, {})
    table = theirs._get_incidence_angle_uncached((16, annotation.cols))
    for row in ROWS:
        out = np.empty((1, annotation.cols), np.float64)
        annotation.tie_points.fill_incidence(np.array([row]), np.arange(annotation.cols), out)
        np.testing.assert_allclose(out[0], table[row].to_numpy(), atol=1e-4)  # degrees
