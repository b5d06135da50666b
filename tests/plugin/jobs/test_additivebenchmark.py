"""The job: rankings by exact truth, broken maps behind, a stopped run goes on, and nothing half-written stays."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks.additive import conditions
from floelens.plugin.core.benchmarks.additive.conditions import Extent, learned
from floelens.plugin.core.benchmarks.additive.fitting import Training
from floelens.plugin.core.benchmarks.additive.generator import Additive, stream
from floelens.plugin.ground.errors import Cancelled, ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.additivebenchmark import points
from floelens.plugin.jobs.additivebenchmark.job import AdditiveBenchmark
from floelens.plugin.jobs.additivebenchmark.layered import LayeredStudy, extent_of
from floelens.plugin.jobs.additivebenchmark.points import point_study
from floelens.plugin.jobs.additivebenchmark.study import restored, stored
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.report.page_checks import checked
from scipy import stats

WORKING = ("integrated_gradients", "occlusion")


@pytest.fixture
def small(monkeypatch):
    """Make the benchmark small."""
    training = Training(3000, 4, batch=50, rate=3e-3)
    extent = Extent(training, Training(40, 1, batch=20), 200, 16, steps=8, draws=2, sanity=2, recovery=1)
    monkeypatch.setattr(conditions, "EXTENTS", {"quick": extent, "full": extent})
    monkeypatch.setattr(points, "STEP", {"quick": 60.0, "full": 60.0})


def job(folder, **changes) -> AdditiveBenchmark:
    stem = folder / "additive"
    files = {"report": f"{stem}_report.html", "report_json": f"{stem}_report.json"}
    return AdditiveBenchmark(f"{stem}.csv", **{**files, "methods": ("gradient_x_input", *WORKING), **changes})


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


def test_methods_that_find_the_contributions_are_ranked_before_all_that_was_broken(small, tmp_path):
    results = job(tmp_path, output_raster=str(tmp_path / "maps.tif")).run(Silent())
    rows = rows_of(results["OUTPUT"])
    assert list(dict.fromkeys(row["condition"] for row in rows)) == [
        "point",
        "point_linear",
        "point_fewer_samples",
        "point_independent",
        "point_exact",
        "point_exact_independent",
        "point_exact_bent_at_zero",
    ]
    for condition in ("point", "point_exact"):
        own = [row for row in rows if (row["condition"], row["measure"]) == (condition, "pearson")]
        order = [row["method"] for row in own]
        assert set(order[:2]) == set(WORKING)
        assert order[-1] == "broken_sign"
        assert set(order[-4:]) == {"broken_sign", "broken_swapped", "broken_shifted", "random"}
    assert float(own[0]["mean"]) > 0.999
    # Sizes do not see that a sign was changed: such a map is no control there, and the best method is trusted.
    sizes = [row for row in rows if (row["condition"], row["measure"]) == ("point_exact", "pearson_absolute")]
    assert "broken_sign" not in [row["method"] for row in sizes]
    assert sizes[0]["verdict"] == "recommended"
    assert results["RECOMMENDED"] in WORKING
    page = checked((tmp_path / "additive_report.html").read_text(encoding="utf-8"))
    assert page.tags["svg"] >= 4
    content = json.loads((tmp_path / "additive_report.json").read_text(encoding="utf-8"))
    facts = content["facts"]
    (changed,) = content["comparisons"]
    assert changed["text"][0].startswith("Published order")
    by_network = {row["network"]: row for row in changed["rows"]}
    for own in rows:
        if own["measure"] == "pearson" and own["method"] in (*WORKING, "broken_shifted"):
            title = next(each["title"] for each in content["conditions"] if each["word"] == own["condition"])
            assert by_network[title][own["method"]] == pytest.approx(float(own["mean"]), abs=1e-4)
    assert by_network["Exact network"]["order"] == "cannot be said"  # no method of slopes was asked for
    assert {each["broken"] for each in content["conditions"]} <= {*WORKING, "gradient_x_input"}
    broken = {each["map"]: each for each in content["broken_maps"] if each["condition"] == "point_exact"}
    assert all(each["last"] for each in broken.values())
    assert broken["broken_sign"]["mean"] == pytest.approx(-1)
    assert facts["Trained network: r_squared"] > facts["Linear model: r_squared"]
    assert facts["Exact network: r_squared"] > 1 - 1e-12
    with rasterio.open(results["OUTPUT_RASTER"]) as raster:
        assert raster.shape == (2, 6)
        assert raster.transform.c == -180
        bands = dict(zip(raster.descriptions, raster.read()))
    for word in WORKING:
        np.testing.assert_allclose(bands[f"{word} error"], bands[word] - bands["truth"], atol=1e-7)
    study = point_study(WORKING, extent_of("quick", 0), 0, "quick")
    _, truth = study.generator.samples(stream(0, 0), 200)  # as many as are held out
    np.testing.assert_allclose(bands["truth"], truth.contributions[0].reshape(2, 6) / 12, atol=1e-7)
    assert (tmp_path / "maps.qml").exists()


def test_a_full_run_that_was_stopped_goes_on_where_it_was_and_gives_the_same_table(small, tmp_path):
    (tmp_path / "whole").mkdir()
    settings = {"size": "full", "methods": ("gradient_x_input",), "report": None, "report_json": None}
    job(tmp_path / "whole", **settings).run(Silent())
    expected = (tmp_path / "whole" / "additive.csv").read_bytes()
    with pytest.raises(Cancelled):
        job(tmp_path, **settings).run(stopped := Stopping("Exact"))
    assert "4 of 7 networks are kept" in stopped.said[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["additive_unfinished.npz", "whole"]
    job(tmp_path, **settings).run(again := Stopping("never"))
    assert "Trained network" not in again.begun
    assert (tmp_path / "additive.csv").read_bytes() == expected
    assert not (tmp_path / "additive_unfinished.npz").exists()


@dataclass(frozen=True)
class Squared:
    """A toy generator: uniform inputs of weights of their own, and a target that is the mean of their squares."""

    about = ("A toy.",)
    facts = {"inputs": 6}  # noqa: RUF012

    def samples(self, seed, number):
        inputs = np.random.default_rng([seed, 1]).uniform(-1, 1, (number, 6))
        contributions = np.arange(1, 7) * inputs**2
        return inputs, Additive(contributions, contributions.mean(1))

    def conditions(self):
        return (learned("squared", "Toy network"),)


class ToyJob(AdditiveBenchmark):
    """The job of the toy generator."""

    def study(self):
        return LayeredStudy(Squared(), self.methods, extent_of(self.size, self.training_samples), self.seed)


def test_a_generator_of_one_module_is_trained_explained_ranked_and_reported(small, tmp_path):
    toy = ToyJob(str(tmp_path / "t.csv"), report=str(tmp_path / "t.html"), methods=WORKING)
    rows = rows_of(toy.run(Silent())["OUTPUT"])
    assert {row["condition"] for row in rows} == {"squared"}
    found = {row["method"]: float(row["mean"]) for row in rows if row["measure"] == "pearson"}
    assert min(found[word] for word in WORKING) > 0.8
    assert "A toy." in (tmp_path / "t.html").read_text(encoding="utf-8")
    with pytest.raises(ParameterError, match="do not lie on the Earth"):
        replace(toy, output_raster=str(tmp_path / "t.tif")).run(Silent())


def test_a_network_that_is_trained_again_has_means_and_intervals_over_networks(small, tmp_path):
    toy = ToyJob(str(tmp_path / "t.csv"), report_json=str(tmp_path / "t.json"), methods=WORKING, repeats=3)
    once = replace(toy, output=str(tmp_path / "once.csv"), report_json=None, repeats=1)
    toy.run(Silent())
    once.run(Silent())
    assert (tmp_path / "t.csv").read_bytes() == (
        tmp_path / "once.csv"
    ).read_bytes()  # the first network decides
    (found,) = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["comparisons"]
    assert found["title"] == "The same network trained 3 times"
    study = toy.study()
    parts = [study.run("squared", lambda _: None, repeat) for repeat in range(3)]
    for row in found["rows"]:
        scores = [
            each.scores["pearson"] for part in parts for each in part.judged if each.method == row["method"]
        ]
        means = [np.nan_to_num(values).mean() for values in scores]
        assert len(set(means)) == 3  # other networks
        expected = stats.ttest_1samp(means, 0).confidence_interval(0.95)
        assert (row["networks_low"], row["networks_high"]) == pytest.approx(expected)
        assert row["mean"] == pytest.approx(means[0])
        assert row["low"] < row["mean"] < row["high"]
        assert row["deviation"] == pytest.approx(np.std(means, ddof=1))


def test_shapes_show_the_three_failures_in_numbers(small, tmp_path):
    results = job(tmp_path, generator="shapes", methods=("gradient", "gradient_x_input", "lrp_zplus")).run(
        Silent()
    )
    rows = rows_of(results["OUTPUT"])
    found = {(row["condition"], row["measure"], row["method"]): row for row in rows}
    assert float(found["shapes", "against", "lrp_zplus"]["mean"]) < 0.25  # below 0 are logits alone
    assert {measure for _, measure, method in found if method == "broken_sign"} == {
        "pearson", "spearman", "pearson_positive", "spearman_positive", "against",
    }  # fmt: skip
    assert float(found["shapes_zero", "zero_seen", "gradient_x_input"]["mean"]) == 0
    assert float(found["shapes_zero", "zero_seen", "gradient"]["mean"]) > 0.05
    notes = " ".join(json.loads((tmp_path / "additive_report.json").read_text(encoding="utf-8"))["notes"])
    assert "share of relevance on shapes whose pixels are zero: gradient_x_input 0 %" in notes
    assert "which is shown as evidence against: lrp_zplus" in notes


def test_a_part_is_restored_as_it_was_stored(small):
    study = point_study(("gradient",), extent_of("quick", 0), 0, "quick")
    part = study.run("point_linear", lambda _: None)
    same = restored(*stored(part))
    assert same.conditions == part.conditions
    assert same.facts == part.facts
    assert same.others == part.others != ()
    assert [each.method for each in same.judged] == [each.method for each in part.judged]
    for one, other in zip(same.judged, part.judged):
        assert (one.control, one.seconds) == (other.control, other.seconds)
        for word, values in other.scores.items():
            np.testing.assert_array_equal(one.scores[word], values)
    np.testing.assert_array_equal(same.examples[0].truth, part.examples[0].truth)


def test_the_channels_of_a_scene_are_inputs_with_their_own_correlation(small, tmp_path):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30, 40))
    bands = {"hh": first, "hv": first + second, "ia": second}
    stack = str(write_raster(tmp_path / "stack.tif", {k: v.astype(np.float32) for k, v in bands.items()}))
    study = point_study(("gradient",), extent_of("quick", 0), 0, "quick", stack)
    expected = np.corrcoef([values.ravel() for values in bands.values()])
    np.testing.assert_allclose(study.generator.covariance, expected, atol=1e-6)
    assert "bands of COVARIANCE" in study.no_raster


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"methods": ("lrp",)}, "METHODS"),
        ({"methods": ()}, "METHODS is empty"),
        ({"size": "huge"}, "SIZE"),
        ({"generator": "shapes", "covariance": "a.npz"}, "COVARIANCE is for GENERATOR=point"),
        ({"network": "a.h5"}, "NETWORK belongs to the cells of COVARIANCE"),
        ({"generator": "shapes", "output_raster": "a.tif"}, "OUTPUT_RASTER cannot be written"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_with_a_sentence(changes, named, tmp_path):
    with pytest.raises(ParameterError, match=named):
        job(tmp_path, **changes).run(Silent())
    assert not list(tmp_path.iterdir())


def test_the_published_network_reads_the_cells_that_are_no_doubles(real_data):
    folder = real_data / "xai-cobe-covariances"
    covariance, functions = str(folder / "sstanom_cov.npz"), str(folder / "pwl-fun.npz")
    network = str(real_data / "xai-mamalakis2022-trained-mlp" / "my_model.h5")
    study = point_study(("gradient",), extent_of("quick", 0), 0, "quick", covariance, functions, network)
    assert (len(study.generator.covariance), len(study.generator.reads)) == (459, 458)
    # Trained on such inputs, the first layer weighs alike what varies alike: only so if cells are in its order.
    weight = study.generator.others[0].weight.astype(float)
    alike = weight @ weight.T
    reads = np.array(study.generator.reads)
    upper = np.triu_indices(458, 1)
    sizes = np.sqrt(np.diag(alike))
    ours = study.generator.covariance[np.ix_(reads, reads)][upper]
    theirs = (alike / sizes / sizes[:, None])[upper]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.4  # 0.35 to 0.03 in other orders
    example = {"truth": np.arange(458.0)[None]}  # in the network's order, from 0° E
    (shown,) = study.examples(SimpleNamespace(condition="point_published", title="T", example=example))
    assert shown.truth[0, 18:22].tolist() == [0, 1, 2, 3]  # the row of 85° N begins at 180° W
    assert np.isfinite(shown.truth).sum() == 458
    with pytest.raises(SceneError, match="reads 458 inputs, but COVARIANCE has 464 cells"):
        points._others(network, np.ones((8, 58), bool), np.arange(464))


def test_more_training_samples_take_as_many_steps():
    usual, more = extent_of("full", 0).training, extent_of("full", 1_000_000).training
    assert (more.samples, more.samples * more.epochs) == (1_000_000, usual.samples * usual.epochs)
