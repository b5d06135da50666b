"""Deletion and insertion curves in the report of a relevance map."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Part, Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.relevance import Relevance


@pytest.fixture(scope="module")
def part(scene) -> SceneInputs:
    """Return the scene with an extent of about 60 x 100 pixels."""
    rows, cols = 100 + 60 * np.array([0, 0, 1, 1, 0.0]), 125 + 100 * np.array([0, 1, 1, 0, 0.0])
    lon, lat = Grid.from_file(scene.sar).pixel_to_lonlat(rows, cols)
    return SceneInputs(
        scene.sar, scene.mwr, extent=Polygons((polygon_wkb([np.column_stack([lon, lat])]),), "EPSG:4326")
    )


@pytest.fixture(scope="module")
def explain(part, packages):
    """Return a function that explains the part into a folder and returns results and the report's JSON."""

    def run(folder: Path, progress=None, **changes):
        settings = {
            "scene": part,
            "model": str(packages / "trial-concentration"),
            "sar_relevance": str(folder / "map.tif"),
            "report": str(folder / "map.html"),
            "report_json": str(folder / "map.json"),
            "faithfulness": True,
            **changes,
        }
        results = Relevance(**settings).run(progress or Silent())
        return results, json.loads(Path(settings["report_json"]).read_text(encoding="utf-8"))

    return run


@pytest.fixture(scope="module")
def followed(explain, tmp_path_factory):
    """Return results, the report's content and the folder of one run."""
    folder = tmp_path_factory.mktemp("followed")
    return (*explain(folder), folder)


def test_the_report_follows_the_mean_logit_down_and_up_again(followed):
    results, content, folder = followed
    curves = content["faithfulness"]
    logit, probability = curves["measures"]
    assert curves["block_side_pixels"] == 50
    assert curves["sample_windows"] == 0
    assert curves["pixels"] == results["PIXELS_EXPLAINED"]
    with rasterio.open(folder / "map.tif") as raster:
        assert raster.height * raster.width / 50**2 <= curves["blocks"] == curves["of_blocks"] <= 4 * 5
    assert logit["deletion"][0] == pytest.approx(
        results["TARGET_SUM"] / results["PIXELS_EXPLAINED"], rel=1e-5
    )
    assert logit["insertion"][-1] == logit["deletion"][0]
    assert logit["insertion"][0] == logit["deletion"][-1]
    assert logit["deletion_area"] < logit["random_area_low"]
    assert logit["insertion_area"] > logit["random_area_high"]
    assert all(0 <= value <= 1 for value in probability["deletion"])
    assert content["summary"][-1] == curves["verdict"]
    page = (folder / "map.html").read_text(encoding="utf-8")
    assert curves["verdict"].split(":")[0] in page
    assert "deletion and insertion curves" in page


@pytest.mark.slow  # `core` holds it on small networks
def test_tiles_change_no_curve(explain, followed, tmp_path, monkeypatch):
    from floelens.plugin.core.streaming import tiling

    monkeypatch.setattr(tiling, "LARGEST_SIDE", 50)
    _, content = explain(tmp_path)
    for first, second in zip(content["faithfulness"]["measures"], followed[1]["faithfulness"]["measures"]):
        for curve in ("deletion", "insertion"):
            np.testing.assert_allclose(first[curve], second[curve], rtol=1e-4, atol=1e-5)


def test_maps_stay_as_they_are(explain, followed, tmp_path):
    _, content = explain(tmp_path, faithfulness=False)
    assert content["faithfulness"] is None
    with rasterio.open(followed[2] / "map.tif") as a, rasterio.open(tmp_path / "map.tif") as b:
        np.testing.assert_array_equal(a.read(), b.read())


def test_a_report_is_needed(explain, tmp_path):
    with pytest.raises(ParameterError, match="name a REPORT"):
        explain(tmp_path, report=None, report_json=None)
    assert list(tmp_path.iterdir()) == []


def test_cancel_while_blocks_are_deleted_leaves_nothing(explain, tmp_path, monkeypatch):
    from floelens.plugin.core.streaming import tiling

    monkeypatch.setattr(tiling, "LARGEST_SIDE", 50)
    texts = []

    class Impatient(Silent):
        def report(self, fraction, text=""):
            texts.append(text)

        def cancelled(self):
            return any("Deleting" in text for text in texts)

    with pytest.raises(Cancelled):
        explain(tmp_path, Impatient())
    assert sum("Deleting" in text for text in texts) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_progress_reports_to_the_whole():
    class Listener(Silent):
        told = ()

        def report(self, fraction, text=""):
            self.told = (*self.told, fraction)

    whole = Listener()
    for fraction in (0, 0.5, 1):
        Part(whole, 0.25, 0.75).report(fraction)
    assert whole.told == (0.25, 0.5, 0.75)
