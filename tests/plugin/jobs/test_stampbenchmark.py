"""The job: table, report and raster agree, a stopped full run goes on, and nothing half-written stays."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks.stamps import run
from floelens.plugin.core.benchmarks.stamps.classifier import Training
from floelens.plugin.core.benchmarks.stamps.run import Extent
from floelens.plugin.ground.errors import Cancelled, FloeLensError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.stampbenchmark.job import StampBenchmark
from floelens.tests.plugin.jobs.conftest import simulate
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.schema_checks import problems, schema

METHODS = ("gradient_x_input", "integrated_gradients", "gradient")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return a scene with room for a few stamps."""
    return simulate(tmp_path_factory.mktemp("large"), rows=450, cols=475, seed=11)


@pytest.fixture
def small(monkeypatch):
    """Make the benchmark small."""
    extent = Extent(cells=2, images=70, explained=8, scenes=2, steps=2, draws=2, places=3, sanity=0)
    monkeypatch.setattr(run, "EXTENTS", {"quick": extent, "full": extent})
    monkeypatch.setattr(run, "FEWEST", 1)
    monkeypatch.setattr(run, "Training", lambda: Training(epochs=4))


def job(folder, packages, **changes) -> StampBenchmark:
    stem = folder / "stamps"
    settings = {
        "methods": METHODS,
        "stamps": ("bright_point",),
        "contrast": 60.0,
        "offset": 200.0,
        **changes,
    }
    return StampBenchmark(f"{stem}.csv", str(packages / "trial-concentration"), **settings)


class Stopping(Silent):
    """Asks to stop once a step is begun."""

    def __init__(self, step: str) -> None:
        self.begun, self._step, self.said = [], step, []

    def report(self, fraction, text=""):
        self.begun.append((fraction, text))

    def message(self, text):
        self.said.append(text)

    def cancelled(self):
        return bool(self.begun) and self.begun[-1][1].startswith(self._step)


def rows_of(path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_report_and_raster_of_a_scene_agree(small, large, packages, tmp_path):
    files = {"report": "stamps.html", "report_json": "stamps.json", "output_raster": "change.tif"}
    paths = {name: str(tmp_path / file) for name, file in files.items()}
    results = job(tmp_path, packages, scene=large.inputs, **paths).run(Silent())
    rows = rows_of(results["OUTPUT"])
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    assert conditions == ["bright_point", "scene_bright_point"]
    for condition in conditions:
        ranked = [row for row in rows if row["condition"] == condition and row["measure"] == "distance"]
        assert {row["method"] for row in ranked if row["kind"] == "method"} == set(METHODS)
        # The change of an edge filter lies on the stamp by its construction.
        edges = set() if condition.startswith("scene") else {"sobel", "laplace"}
        controls = {row["method"] for row in ranked if row["kind"] == "control"}
        assert controls == {"random", "broken_swapped", "broken_sign", "broken_shifted"} | edges
    assert results["PLACES"] == 3
    slopes = [row for row in rows if row["measure"] == "sum_slope"]
    assert {row["method"] for row in slopes} == {"gradient_x_input", "integrated_gradients"}
    page = checked((tmp_path / "stamps.html").read_text(encoding="utf-8"))
    assert page.tags["svg"] >= 4
    content = json.loads((tmp_path / "stamps.json").read_text(encoding="utf-8"))
    assert content["summary"][0] == results["VERDICT"]
    rule = schema("ranking-report")
    assert not problems(content, rule, rule)
    with rasterio.open(paths["output_raster"]) as raster, rasterio.open(large.sar) as sar:
        assert raster.descriptions == (*(f"bright_point {word}" for word in METHODS), "bright_point stamp")
        values = raster.read()
        points, where = raster.gcps[0], sar.gcps[0]
        moved = {(p.col - q.col, p.row - q.row) for p, q in zip(points, where)}
        assert len(moved) == 1
        stamped = np.argwhere(np.nan_to_num(values[-1]) != 0)
        assert len(stamped) == 3
        assert set(np.unique(values[-1][np.isfinite(values[-1])])) == {0.0, 60.0}
    assert np.isfinite(values).any()


def test_a_full_run_that_was_stopped_goes_on_where_it_was_and_gives_the_same_table(
    small, large, packages, tmp_path
):
    one = {"size": "full", "methods": METHODS[:2], "scene": large.inputs}
    (tmp_path / "whole").mkdir()
    job(tmp_path / "whole", packages, **one).run(Silent())
    expected = (tmp_path / "whole" / "stamps.csv").read_bytes()
    with pytest.raises(Cancelled):
        job(tmp_path, packages, **one).run(Stopping("trial-concentration: integrated"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stamps_unfinished.npz", "whole"]
    again = Stopping("never")
    job(tmp_path, packages, **one).run(again)
    assert not [text for _, text in again.begun if text.startswith("Classifier")]
    assert (tmp_path / "stamps.csv").read_bytes() == expected
    fractions = [fraction for fraction, _ in again.begun]
    assert fractions == sorted(fractions)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stamps.csv", "stamps.csvt", "whole"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ()}, "METHODS is empty"),
        ({"methods": ("magic",)}, "Unknown METHODS 'magic'"),
        ({"stamps": ("hole",)}, "Unknown STAMPS 'hole'"),
        ({"parts": ("all",)}, "Unknown PARTS 'all'"),
        ({"size": "huge"}, "Unknown SIZE 'huge'"),
        ({"stamp_channels": ("vv",)}, "STAMP_CHANNELS names 'vv'"),
        ({"class_name": "lava"}, "no class 'lava'"),
        (
            {"stamp_size": 7, "stamps": ("mwr_offset",)},
            "STAMP_SIZE is 7, but images of SIZE=quick have 2 x 2",
        ),
        ({"output_raster": "change.tif"}, "OUTPUT_RASTER lies on the grid of a scene, but SAR is empty"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_leaves_nothing(changes, words, packages, tmp_path):
    with pytest.raises(FloeLensError, match=words) as error:
        job(tmp_path, packages, **changes).run(Silent())
    assert len(str(error.value)) < 500
    assert not list(tmp_path.iterdir())


def test_a_scene_too_small_for_images_or_stamps_is_a_sentence_and_leaves_nothing(scene, packages, tmp_path):
    for parts, words in ((("classifier",), "a classifier of stamps needs 50"), (("model",), "3 are needed")):
        with pytest.raises(FloeLensError, match=words):
            job(tmp_path, packages, scene=scene.inputs, parts=parts).run(Silent())
        assert not list(tmp_path.iterdir())


def test_without_a_scene_simulated_ones_are_stamped(small, packages, tmp_path):
    results = job(tmp_path, packages, stamps=("mwr_offset",), methods=METHODS[:1]).run(Silent())
    assert {row["condition"] for row in rows_of(results["OUTPUT"])} == {"mwr_offset", "scene_mwr_offset"}
    assert results["SCENE_NAME"] == ""
    with pytest.raises(FloeLensError, match="no simulated scene has"):
        from floelens.plugin.core.simulation import SimulatedScene
        from floelens.plugin.core.simulation.source import SimulatedSource
        from floelens.plugin.networks.card import ModelCard

        card = ModelCard.from_json(packages / "trial-concentration" / "card.json")
        other = replace(
            card, channels=(replace(card.channels[0], name="incidence_angle"), *card.channels[1:])
        )
        SimulatedSource(SimulatedScene(1, 50, 50, 80.0), other)


@pytest.mark.parametrize("step", ["Drawing images", "Classifier of bright_point"])
def test_a_quick_run_that_is_stopped_leaves_nothing(small, packages, tmp_path, step):
    with pytest.raises(Cancelled):
        job(tmp_path, packages, report=str(tmp_path / "page.html")).run(Stopping(step))
    assert not list(tmp_path.iterdir())
