"""The job: table and report agree, a stopped full run goes on, and nothing half-written stays."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks import run
from floelens.plugin.core.benchmarks.echo_state import Reservoir
from floelens.plugin.core.benchmarks.run import Extent
from floelens.plugin.core.benchmarks.samples import Description, Truth
from floelens.plugin.core.benchmarks.squares import DESCRIPTION, Squares
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.formats.fields import cells_in, read_covariance
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.jobs.squaresbenchmark import SquaresBenchmark
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.report.page_checks import checked


@pytest.fixture
def small(monkeypatch):
    """Make the benchmark small: three networks, few samples."""
    extent = Extent((0.02,), ("columns",), explained=4, nulls=4, steps=2, draws=2)
    monkeypatch.setattr(run, "EXTENTS", {"quick": extent, "full": extent})
    monkeypatch.delitem(run.LAYERED, "cnn")
    monkeypatch.setattr(Squares.__init__, "__defaults__", (30, 0.6, DESCRIPTION))
    monkeypatch.setattr(Reservoir.__init__, "__defaults__", ("columns", 30, 0.3, 0.8, True, True, "tanh"))


def job(folder, **changes) -> SquaresBenchmark:
    stem = folder / "squares"
    files = {"report": f"{stem}_report.html", "report_json": f"{stem}_report.json"}
    settings = {"methods": ("gradient_x_input", "gradient", "unrolled_zplus"), **changes}
    return SquaresBenchmark(f"{stem}.csv", **{**files, **settings})


NO_REPORT = {"size": "full", "methods": ("gradient_x_input",), "report": None, "report_json": None}


class Stopping(Silent):
    """Asks to stop once a network is begun."""

    def __init__(self, network: str) -> None:
        self.begun, self._network, self.said = [], network, []

    def report(self, fraction, text=""):
        self.begun.append(text)

    def message(self, text):
        self.said.append(text)

    def cancelled(self):
        return self.begun[-1].startswith(self._network)


def test_table_report_and_json_say_the_same(small, tmp_path):
    results = job(tmp_path).run(Silent())
    with Path(results["OUTPUT"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = [(row["architecture"], row["method"]) for row in rows]
    layered = [(name, method) for name in ("linear", "mlp") for method in ("gradient_x_input", "gradient")]
    assert found == [*layered, *(("echo_state_columns_0.02", m) for m in job(tmp_path).methods)]
    for row in rows:
        fed = row["architecture"].startswith("echo_state")
        assert bool(row["decay"]) == fed
        assert bool(row["decay_expected"]) == (row["method"] == "unrolled_zplus")
        assert bool(row["conservation_error"]) == (row["method"] != "gradient")
        assert (row["note"] == "") == (row["raised"] == "yes")
    # The gradient of a linear network is its weights, whatever the input: nothing of it is the data's.
    assert rows[1]["mass_inside_corrected"] == ""
    page = checked((tmp_path / "squares_report.html").read_text(encoding="utf-8"))
    assert page.tags["svg"] >= 5
    content = json.loads((tmp_path / "squares_report.json").read_text(encoding="utf-8"))
    assert len(content["summary"]) == 3
    assert all(len(sentence.split()) <= 25 for sentence in content["summary"])
    assert [(row["architecture"], row["method"]) for row in content["rows"]] == found
    assert results["COMPARED"] == len(rows)


def test_a_full_run_that_was_stopped_goes_on_where_it_was_and_gives_the_same_table(small, tmp_path):
    (tmp_path / "whole").mkdir()
    job(tmp_path / "whole", **NO_REPORT).run(Silent())
    expected = (tmp_path / "whole" / "squares.csv").read_bytes()
    stopped = Stopping("Echo")
    with pytest.raises(Cancelled):
        job(tmp_path, **NO_REPORT).run(stopped)
    assert "2 of 3 networks are kept" in stopped.said[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squares_unfinished.npz", "whole"]
    again = Stopping("never")
    job(tmp_path, **NO_REPORT).run(again)
    assert not {"Linear", "MLP 8-8"} & set(again.begun)
    assert (tmp_path / "squares.csv").read_bytes() == expected
    assert not (tmp_path / "squares_unfinished.npz").exists()


def test_parts_of_another_seed_and_files_of_others_are_not_used(small, tmp_path):
    with pytest.raises(Cancelled):
        job(tmp_path, size="full").run(Stopping("MLP"))
    other = Stopping("MLP")
    with pytest.raises(Cancelled):
        job(tmp_path, size="full", seed=1).run(other)
    assert "Linear" in other.begun
    (tmp_path / "squares_unfinished.npz").write_bytes(b"another program's")
    with pytest.raises(Cancelled):
        job(tmp_path, size="full").run(Stopping("MLP"))
    assert (tmp_path / "squares_unfinished.npz").read_bytes() == b"another program's"


@pytest.mark.parametrize("changes", [{"methods": ("lrp",)}, {"methods": ()}, {"size": "huge"}], ids=str)
def test_unknown_words_are_refused(changes, tmp_path):
    with pytest.raises(ParameterError, match=r"METHODS|SIZE"):
        job(tmp_path, **changes).run(Silent())
    assert not list(tmp_path.iterdir())


def test_fields_of_the_earth_give_maps_on_their_own_grid(small, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 1, 12, 16)).astype(np.float32)
    bands = {f"month {number}": band[0] for number, band in enumerate(values)}
    stack = str(write_raster(tmp_path / "stack.tif", bands, epsg=3413, pixel=25000.0))
    with rasterio.open(stack) as raster:
        left, top = raster.transform * (4, 2)
        right, bottom = raster.transform * (7, 6)
        transform, crs = raster.transform, raster.crs
    inside = Polygons.rectangle(left, bottom, right, top, "EPSG:3413")
    output = str(tmp_path / "maps.tif")
    results = job(tmp_path, fields=stack, index_box=inside, output_raster=output).run(Silent())
    with rasterio.open(results["OUTPUT_RASTER"]) as raster:
        assert (raster.transform, raster.crs, raster.shape) == (transform, crs, (12, 16))
        assert raster.descriptions[:2] == ("linear gradient_x_input", "linear gradient_x_input corrected")
        assert raster.count == 2 * results["COMPARED"]
        sizes = np.abs(raster.read(1))
    # Only the box decides the class of independent cells.
    assert sizes[2:6, 4:7].mean() > 1.2 * sizes.mean()
    content = json.loads((tmp_path / "squares_report.json").read_text(encoding="utf-8"))
    assert content["chance"] == pytest.approx(12 / 192)
    assert "true box" in content["summary"][0]


STAMPS = Description("stamps", "true stamp", "the stamp of all", "pixels elsewhere", ("A toy.",))


@dataclass(frozen=True)
class Stamps:
    """Noise, with a stamp whose sign is the class, and another that all samples have: a toy benchmark."""

    cap: float = 3.0
    description: Description = STAMPS

    def samples(self, seed: int) -> tuple[np.ndarray, Truth]:
        draw = np.random.default_rng([seed, 0])
        classes = draw.permutation(np.repeat([0, 1], 40))
        inside, structure = np.zeros((2, 12, 16), dtype=bool)
        inside[2:4, 3:6] = structure[2:4, 3:6] = structure[8:10, 8:11] = True
        inputs = draw.normal(0, 0.2, (80, 12, 16)) + (structure & ~inside)
        inputs[:, inside] += np.where(classes == 0, 1.0, -1.0)[:, None]
        return inputs, Truth(classes, inside, structure, np.ones((12, 16), dtype=bool))

    def null(self, seed: int, number: int) -> np.ndarray:
        return np.random.default_rng([seed, 1]).normal(0, 0.2, (number, 12, 16))


class StampsJob(SquaresBenchmark):
    """The job of the toy benchmark."""

    def data(self):
        return Stamps(), None


def test_a_benchmark_of_one_module_is_trained_explained_scored_and_reported(small, tmp_path):
    truth = Stamps().samples(0)[1]
    inputs = Stamps().samples(0)[0]
    apart = np.abs(inputs[truth.classes == 0].mean(0) - inputs[truth.classes == 1].mean(0))
    assert apart[truth.inside].min() > 1.5 > 0.5 > apart[~truth.inside].max()
    files = {"report": str(tmp_path / "s.html"), "report_json": str(tmp_path / "s.json")}
    results = StampsJob(str(tmp_path / "s.csv"), methods=("gradient_x_input",), **files).run(Silent())
    with Path(results["OUTPUT"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    linear = rows[0]
    assert (linear["architecture"], float(linear["accuracy"])) == ("linear", 1.0)
    assert float(linear["rank_accuracy"]) > 0.5  # by chance 6 of 192 pixels
    assert "true stamp" in json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["summary"][0]
    assert "stamps whose truth is known" in (tmp_path / "s.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"fields": "a.tif"}, "INDEX_BOX is missing"),
        ({"fields": "a.tif", "covariance": "b.npz"}, "both given"),
        ({"output_raster": "maps.tif"}, "OUTPUT_RASTER is for fields"),
    ],
    ids=str,
)
def test_what_belongs_to_fields_and_is_missing_or_too_much_is_named(changes, named, tmp_path):
    with pytest.raises(ParameterError, match=named):
        job(tmp_path, **changes).run(Silent())


def test_a_box_in_another_order_is_refused_with_the_right_one(tmp_path, real_data):
    source = str(real_data / "xai-cobe-covariances" / "sstanom_cov.npz")
    beyond = Polygons.rectangle(-170.0, -120.0, -10.0, 10.0, "EPSG:4326")
    with pytest.raises(ParameterError, match=r"INDEX_BOX is no box of the Earth .*xmin,xmax,ymin,ymax"):
        job(tmp_path, covariance=source, index_box=beyond).run(Silent())


def test_el_nino_is_found_in_fields_drawn_from_a_real_covariance(small, tmp_path, real_data):
    source = str(real_data / "xai-cobe-covariances" / "sstanom_cov.npz")
    pacific = Polygons.rectangle(-170.0, -10.0, -120.0, 10.0, "EPSG:4326")
    covariance, mask, grid = read_covariance(source)
    assert cells_in(pacific, grid).sum() == 10
    assert mask.sum() == len(covariance)
    assert not mask[4, 18:30].any()  # Eurasia at 45° N, east of 0°
    results = job(tmp_path, covariance=source, index_box=pacific, output_raster=str(tmp_path / "m.tif")).run(
        Silent()
    )
    with Path(results["OUTPUT"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert min(float(row["accuracy"]) for row in rows) > 0.8
    linear = next(row for row in rows if row["method"] == "gradient_x_input")
    assert float(linear["mass_inside"]) > 1.5 * 10 / 460
