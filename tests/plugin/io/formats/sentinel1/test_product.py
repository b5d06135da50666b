"""What a product says of itself arrives; what is wrong with it gets one sentence."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1, recognises
from floelens.plugin.io.scene.sub_swaths import SubSwaths
from floelens.plugin.networks.standard_channels import STANDARD_CHANNELS
from floelens.tests.plugin.io.formats.sentinel1.reference import tables_of
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_safe(tmp_path_factory.mktemp("safe"), rows=60, cols=80)


@pytest.fixture
def copy(manifest, tmp_path):
    folder = tmp_path / manifest.parent.name
    shutil.copytree(manifest.parent, folder)
    return folder


def refused(folder) -> str:
    """Return the sentence with which a product is refused."""
    with pytest.raises(SceneError) as caught:
        open_sentinel1(str(folder), ImportOptions())
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def change(folder, pattern: str, old: str, new: str, count: int = 1) -> None:
    (path,) = folder.glob(pattern)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_a_product_tells_what_was_recognised(manifest):
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        assert product.kind == "Sentinel-1 GRD"
        assert product.name == "S1A_EW_GRDM_1SDH_20190823T043012_20190823T043116_028700_033F5A_1A2B"
        assert product.time == datetime(2019, 8, 23, 4, 30, 12, 345678, tzinfo=timezone.utc)
        assert product.tags["start_time"] == "2019-08-23T04:30:12Z"
        assert product.warnings == []
        raster = product.rasters["sar"]
        assert [(band.name, band.unit) for band in raster.bands] == [
            ("hh", "dB"), ("hv", "dB"), ("incidence_angle", "degree"),
        ]  # fmt: skip
        # The names and units are those that networks ask for.
        for band in raster.bands:
            assert STANDARD_CHANNELS[band.name].unit == band.unit
        assert (raster.dtype, np.isnan(raster.nodata)) == ("float32", True)
        found = json.loads(json.dumps(product.found))
    assert (found["mission"], found["mode"], found["product_type"]) == ("S1A", "EW", "GRD")
    assert (found["ipf"], found["pass"], found["polarisations"]) == ("003.10", "Descending", ["HH", "HV"])
    assert found["missing_channels"] == []
    assert "centres of pixels" in found["pixel_convention"]


def test_the_sub_swaths_are_named_with_the_angles_between_them(manifest):
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        swaths = SubSwaths.of(product.tags)
        angles = product.rasters["sar"].read(product.rasters["sar"].grid.window)[-1, 30]
    assert swaths.declared
    assert swaths.names == ("EW1", "EW2", "EW3", "EW4", "EW5")
    edges = [16, 32, 48, 64]  # columns of 80; later they begin up to three columns earlier
    numbers = swaths.numbers(angles)
    for number, (first, last) in enumerate(zip([0, *edges], [*edges, 80]), 1):
        assert (numbers[first + 1 : last - 4] == number).all()


@pytest.mark.parametrize(
    ("mode", "pols"), [("EW", ("hh",)), ("EW", ("hv", "hh")), ("IW", ("vv", "vh")), ("IW", ("vh",))]
)
def test_every_mode_and_polarisation_is_read(tmp_path, mode, pols):
    manifest = make_safe(tmp_path, rows=60, cols=80, mode=mode, pols=pols, size=10.0)
    with open_sentinel1(str(manifest), ImportOptions(decibels=False)) as product:
        raster = product.rasters["sar"]
        names = [band.name for band in raster.bands]
        assert names == [*(p for p in ("hh", "hv", "vv", "vh") if p in pols), "incidence_angle"]
        assert raster.bands[0].unit == "1"
        assert product.found["missing_channels"] == [name for name in ("hh", "hv") if name not in pols]
        assert len(product.warnings) == bool(product.found["missing_channels"])
        assert np.isfinite(raster.read(raster.grid.window)).mean() > 0.9


def test_old_and_empty_noise_tables_are_pointed_out(tmp_path):
    old = make_safe(tmp_path / "old", rows=60, cols=80, noise_table="range", ipf="002.43")
    with open_sentinel1(str(old), ImportOptions()) as product:
        assert product.found["noise"]["hh"]["format"] == "range only"
        assert any("IPF 002.43" in warning for warning in product.warnings)
    empty = make_safe(tmp_path / "empty", rows=60, cols=80, noise_table="zero")
    with open_sentinel1(str(empty), ImportOptions()) as product:
        assert sum("zeros only" in warning for warning in product.warnings) == 2


def test_noise_that_the_processor_has_removed_is_not_subtracted_again(copy):
    linear = ImportOptions(decibels=False)
    with open_sentinel1(str(copy), linear) as product:
        before = product.rasters["sar"].read(product.rasters["sar"].grid.window)
    flag = "<thermalNoiseCorrectionPerformed>"
    change(copy, "annotation/*-hv-*.xml", f"{flag}false", f"{flag}true")
    with open_sentinel1(str(copy), linear) as product:
        after = product.rasters["sar"].read(product.rasters["sar"].grid.window)
        assert product.found["noise"]["hv"]["subtracted"] is False
        assert any("already" in warning for warning in product.warnings)
    tables = tables_of(copy / "manifest.safe", "hv")
    np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
    for line, pixel in ((30, 40), (50, 3), (20, 79)):
        noise = tables.noise(line, pixel) / tables.gain(line, pixel) ** 2
        assert after[1, line, pixel] - before[1, line, pixel] == pytest.approx(noise, rel=1e-5)


def test_files_are_closed_with_the_product(manifest):
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
    with pytest.raises((SceneError, RuntimeError)):
        raster.read(raster.grid.window)


@pytest.mark.parametrize("kind", ["SLC", "OCN", "RAW"])
def test_other_products_are_named(tmp_path, kind):
    manifest = make_safe(tmp_path, rows=60, cols=80, product_type=kind)
    assert recognises(str(manifest))
    assert f"is a Sentinel-1 {kind} product; only GRD is read" in refused(manifest)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("measurement/*-hv-*.tiff", "lacks the measurement measurement/s1a"),
        ("annotation/*-hv-*.xml", "lacks the file annotation/s1a"),
        (
            "annotation/calibration/calibration-*-hh-*.xml",
            "lacks the file annotation/calibration/calibration-s1a",
        ),
        ("annotation/calibration/noise-*-hh-*.xml", "lacks the file annotation/calibration/noise-s1a"),
    ],
)
def test_a_missing_file_is_named(copy, pattern, what):
    (path,) = copy.glob(pattern)
    path.unlink()
    assert what in refused(copy)


def test_an_image_without_its_noise_table_in_the_manifest_is_told(copy):
    change(copy, "manifest.safe", '<dataObject ID="noise', '<dataObject ID="nose')
    assert "has no noise table for measurement/s1a" in refused(copy)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_measurement_is_told_before_anything_is_read(copy, share):
    (path,) = copy.glob("measurement/*-hv-*.tiff")
    data = path.read_bytes()
    # The directory comes first, as in the processor's files; then rows are missing at the end.
    path.write_bytes(data[: int(len(data) * share)])
    assert "The measurement" in refused(copy)


def test_a_measurement_that_breaks_while_it_is_read_gets_a_sentence(tmp_path):
    manifest = make_safe(tmp_path, rows=60, cols=80, compress="deflate", blockysize=10)
    (path,) = (manifest.parent / "measurement").glob("*-hh-*.tiff")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 2000 : middle + 2000] = bytes(4000)
    path.write_bytes(data)
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        with pytest.raises(SceneError, match="cannot be read at rows"):
            raster.read(raster.grid.window)


def test_a_measurement_of_another_size_or_kind_is_refused(copy, tmp_path):
    other = make_safe(tmp_path / "other", rows=61, cols=80)
    (source,) = (other.parent / "measurement").glob("*-hh-*.tiff")
    (target,) = copy.glob("measurement/*-hh-*.tiff")
    shutil.copy(source, target)
    assert "has 61 x 80 pixels, its annotation says 60 x 80" in refused(copy)
    target.write_text(f"<VRTDataset rasterXSize='80' rasterYSize='60'><!-- {source} --></VRTDataset>")
    assert "cannot be opened" in refused(copy)


def test_malformed_xml_is_told_with_its_file(copy):
    change(copy, "annotation/calibration/noise-*-hv-*.xml", "</noise>", "</nose>")
    text = refused(copy)
    assert "noise-s1a-ew-grd-hv" in text
    assert "no well-formed XML" in text


def test_entities_are_refused(copy):
    bomb = '<!DOCTYPE product [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>\n<product>'
    change(copy, "annotation/*-hh-*.xml", "<product>", bomb)
    assert "holds a document type or entities" in refused(copy)


@pytest.mark.parametrize(
    ("pattern", "old", "new", "what"),
    [
        ("calibration/calibration-*-hh-*.xml", "<polarisation>HH", "<polarisation>HV", "is for hv, its image is hh"),
        ("calibration/calibration-*-hh-*.xml", ">0 4 8", ">9 4 8", "pixels do not increase"),
        ("calibration/calibration-*-hh-*.xml", ">0 4 8", ">1 4 8", "does not cover the image"),
        ("calibration/calibration-*-hh-*.xml", ">0 4 8", ">4 8", "numbers in sigmaNought where 20 belong"),
        ("calibration/noise-*-hh-*.xml", "<noiseRangeLut count=", "<noiseLut count=", "well-formed"),
        ("calibration/noise-*-hh-*.xml", "<firstRangeSample>16", "<firstRangeSample>12", "overlap"),
        ("calibration/noise-*-hh-*.xml", "e+03 ", "e+03 nan ", "not finite"),
        ("calibration/noise-*-hh-*.xml", "e+03 ", "e+03 1 ", "numbers in noiseRangeLut"),
        ("*-hh-*.xml", "<mode>EW", "<mode>SM", "only GRD of EW and IW is read"),
        ("*-hh-*.xml", "<polarisation>HH", "<polarisation>XX", "polarisation 'xx'"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_told(copy, pattern, old, new, what):
    change(copy, f"annotation/{pattern}", old, new)
    assert what in refused(copy)


def test_tables_that_end_before_the_image_are_told(tmp_path):
    tall, short = make_safe(tmp_path / "a", rows=240, cols=80), make_safe(tmp_path / "b", rows=60, cols=80)
    for kind in ("noise", "calibration"):
        (target,) = tall.parent.glob(f"annotation/calibration/{kind}-*-hv-*.xml")
        kept = target.read_bytes()
        (source,) = short.parent.glob(f"annotation/calibration/{kind}-*-hv-*.xml")
        shutil.copy(source, target)
        assert "does not cover the image of 240 x 80 pixels" in refused(tall)
        target.write_bytes(kept)
