"""No algorithm lets a result take the place of a file that belongs to its inputs."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
from floelens.plugin.io.transaction.leftovers import clear
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe, zip_safe
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsRasterLayer


@pytest.fixture
def refusal(provider, context, packages, monkeypatch):
    """Return a function that runs an algorithm and returns the sentence of its refusal."""
    monkeypatch.setenv("FLOELENS_MODELS", str(packages))

    def call(name: str, **parameters) -> str:
        with pytest.raises(QgsProcessingException) as caught:
            algorithm = provider.algorithm(name).create()
            algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)
        return str(caught.value)

    return call


def stamps(folder):
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("spelling", ["itself", "link", "hard link", "folder link", "zip"])
def test_a_product_is_not_replaced_by_its_import(refusal, tmp_path, spelling):
    manifest = make_safe(tmp_path, rows=60, cols=80)
    measurement = next((manifest.parent / "measurement").iterdir())
    source, target = str(manifest), measurement
    if spelling == "link":
        target = tmp_path / "sar.tif"
        target.symlink_to(measurement)
    elif spelling == "hard link":
        target = tmp_path / "sar.tif"
        os.link(measurement, target)
    elif spelling == "folder link":
        (tmp_path / "link").symlink_to(measurement.parent)
        target = tmp_path / "link" / measurement.name
    elif spelling == "zip":
        target = tmp_path / "packed.tif"
        shutil.move(zip_safe(manifest), target)
        source = str(target)
    before = stamps(tmp_path)
    sentence = refusal("importscene", INPUT=source, SAR=str(target))
    assert "SAR" in sentence
    assert "Give each result a file of its own" in sentence
    assert len(sentence) < 500
    assert stamps(tmp_path) == before


def mosaic(folder, raster):
    path = folder / "mosaic.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Float32" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{raster.name}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    return str(path)


@pytest.mark.parametrize("way", ["path", "layer", "id", "mosaic"])
@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("predict", "OUTPUT"),
        ("relevance", "SAR_RELEVANCE"),
        ("contributions", "OUTPUT"),
        ("ablation", "OUTPUT"),
        ("zscores", "STANDARDISED"),
        ("zscores", "ERROR"),
    ],
)
def test_no_result_takes_the_place_of_the_radar_raster(refusal, context, tmp_path, name, output, way):
    path = write_raster(tmp_path / "sar.tif", {"hh": np.zeros((8, 8)), "hv": np.zeros((8, 8))})
    sar = mosaic(tmp_path, path) if way == "mosaic" else str(path)
    if way in ("layer", "id"):
        layer = QgsRasterLayer(sar, "radar")
        context.temporaryLayerStore().addMapLayer(layer)
        sar = layer if way == "layer" else layer.id()
    before = stamps(tmp_path)
    sentence = refusal(name, SAR=sar, MODEL="trial-concentration", **{output: str(path)})
    assert sentence.startswith(output)
    assert "sar.tif" in sentence
    assert stamps(tmp_path) == before


@pytest.mark.parametrize("by", ["path", "card", "id"])
def test_a_model_is_not_replaced_by_a_report(refusal, packages, by):
    folder = packages / "protected"
    shutil.copytree(packages / "trial-concentration", folder)
    try:
        (folder / "page.html").write_text("what came with the model")
        model = {"path": str(folder), "card": str(folder / "card.json"), "id": "protected"}[by]
        card = (folder / "card.json").read_text().replace('"trial-concentration"', '"protected"')
        (folder / "card.json").write_text(card)
        assert "OUTPUT" in refusal("inspectmodel", MODEL=model, OUTPUT=str(folder / "page.html"))
    finally:
        shutil.rmtree(folder)


def test_no_model_of_an_ensemble_is_replaced(refusal, packages, tmp_path):
    sar = write_raster(tmp_path / "sar.tif", {"hh": np.zeros((8, 8)), "hv": np.zeros((8, 8))})
    page = packages / "trial-concentration" / "page.html"
    page.write_text("what came with the model")
    models = {"MODEL": "trial-type", "ENSEMBLE": "none; trial-concentration ;trial-type"}
    relevance = str(tmp_path / "results.tif")
    try:
        sentence = refusal("relevance", SAR=str(sar), SAR_RELEVANCE=relevance, REPORT=str(page), **models)
    finally:
        page.unlink()
    assert sentence.startswith("REPORT: ")
    assert "belongs to the input" in sentence


def test_a_state_is_not_replaced_by_the_merged_one(refusal, tmp_path):
    state = tmp_path / "state.npz"
    state.write_text("of an earlier run")
    sentence = refusal("zscores", STATE_IN=[str(state)], STATE=str(state), MODEL="trial-concentration")
    assert "STATE and an input are the same file" in sentence


def test_a_replacement_that_was_killed_beside_an_input_is_mended_before_it_is_read(
    provider, context, packages, tmp_path
):
    from floelens.tests.plugin.io.transaction.test_outputs import killed_while_replacing

    sar = write_raster(tmp_path / "sar.tif", {"hh": np.zeros((8, 8))})
    killed_while_replacing(tmp_path)

    class Log(QgsProcessingFeedback):
        warnings = ""

        def pushWarning(self, text):  # noqa: N802
            self.warnings += text

    log = Log()
    algorithm = provider.algorithm("predict").create()
    parameters = {"SAR": str(sar), "MODEL": "none", "OUTPUT": str(tmp_path.parent / "other.tif")}
    with pytest.raises(QgsProcessingException):
        algorithm.run(parameters, context, log, {}, False)
    assert "A run was killed while it replaced files" in log.warnings
    assert clear(tmp_path) == []
    assert (tmp_path / "b.csv").read_text() == "new content"


@pytest.mark.parametrize("taken", ["mwr", "chart"])
def test_no_result_takes_the_place_of_radiometry_or_labels_that_a_pattern_finds(refusal, tmp_path, taken):
    for day in ("day1", "day2"):
        for kind in ("sar", "mwr", "chart"):
            write_raster(tmp_path / f"{day}_{kind}.tif", {"hh": np.zeros((8, 8))})
    before = stamps(tmp_path)
    given = {
        name: str(tmp_path / f"day1_{kind}.tif")
        for name, kind in (("SAR", "sar"), ("MWR", "mwr"), ("LABELS", "chart"))
    }
    given |= {
        "SCENES": [str(tmp_path / "day2_sar.tif")],
        "LABELS_PATTERN": "sar=chart",
        "MODEL": "trial-concentration",
    }
    sentence = refusal("features", **given, OUTPUT=str(tmp_path / f"day2_{taken}.tif"))
    assert sentence.startswith("OUTPUT and an input are the same file")
    sentence = refusal("features", **given, OUTPUT=str(tmp_path / f"day2_{taken}.tiff"))
    assert "would share one style file" in sentence
    assert stamps(tmp_path) == before
