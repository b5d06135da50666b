"""From a benchmark's report into the card, and from the card into the report and tags of a relevance map."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks.ranking import rank
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.rankings import Judged, Measure
from floelens.plugin.ground.version import plugin_version
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.common.rankings import benchmark_result
from floelens.plugin.jobs.packages.benchmarks import enter, reported_results
from floelens.plugin.jobs.packages.readme import readme
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.networks.card import ModelCard
from floelens.plugin.networks.registry import BUNDLED
from floelens.plugin.report.ranking.page import Condition, RankingPage
from floelens.plugin.report.ranking.report import ranking_json
from floelens.tests.plugin.jobs.test_relevance import square

R = Measure("r", "correlation with the truth", "higher", 0.0, 1.0)


def ranking(number: int = 20):
    draw = np.random.default_rng(0)
    means = {"integrated_gradients": 0.9, "gradient_x_input": 0.5, "sobel": 0.1}
    return rank(
        [
            Judged(name, "fusion", {"r": draw.normal(mean, 0.02, number)}, 0.1, name == "sobel")
            for name, mean in means.items()
        ],
        R,
        seed=0,
    )


def reported(made) -> dict:
    """Return the JSON of the report of a ranking."""
    page = RankingPage(
        "Additive benchmark",
        "fusion networks",
        (Condition("fusion", "fusion"),),
        (made,),
        provenance={"floelens": plugin_version()},
    )
    return json.loads(ranking_json(page))


def test_a_ranking_and_the_json_of_its_report_give_the_same_result_without_controls():
    made = ranking()
    result = benchmark_result(made, "additive", "fusion networks", "2026-11-30")
    assert [row.method for row in result.methods] == ["integrated_gradients", "gradient_x_input"]
    best = made["integrated_gradients"]
    assert (result.methods[0].mean, result.methods[0].low) == pytest.approx((best.mean, best.low), abs=5e-5)
    assert result.recommended == "integrated_gradients"
    assert result.version == plugin_version()
    assert reported_results(reported(made), "additive", "2026-11-30") == (result,)
    with pytest.raises(ParameterError, match="floelens-ranking-report"):
        reported_results({"format": "other"}, "additive", "2026-11-30")
    with pytest.raises(ModelError, match="finite number"):  # no interval of a single sample
        benchmark_result(ranking(1), "additive", "fusion networks", "2026-11-30")


def test_the_readme_of_a_demonstration_model_names_what_is_recommended():
    card = ModelCard.from_json(BUNDLED / "aspp-concentration-sim")
    results = reported_results(reported(ranking()), "additive", "2026-11-30")
    text = readme(card.with_benchmarks(results))
    assert "- additive (fusion), on fusion networks: recommended is integrated_gradients, mean" in text
    assert "benchmarks" not in readme(replace(card, benchmarks=()))


def test_a_relevance_map_names_the_result_of_its_method_and_one_of_another_model_does_not(
    packages, scene, tmp_path
):
    folder = tmp_path / "trial-concentration"
    shutil.copytree(packages / "trial-concentration", folder)
    before = ModelCard.from_json(folder)
    card = enter(str(folder), reported_results(reported(ranking()), "additive", "2026-11-30"))
    assert card == ModelCard.from_json(folder)
    assert card.weights == before.weights
    said = card.benchmarks[0].sentence("gradient_x_input")
    assert "integrated_gradients is recommended, 0.90" in said
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 30))
    for name, model, sentence in (
        ("with", folder, said),
        ("without", packages / "trial-concentration", None),
    ):
        raster, page = tmp_path / f"{name}.tif", tmp_path / f"{name}.json"
        Relevance(scene=part, model=str(model), sar_relevance=str(raster), report_json=str(page)).run(
            Silent()
        )
        with rasterio.open(raster) as written:
            assert written.tags().get("FLOELENS_BENCHMARK") == sentence
        content = json.loads(page.read_text(encoding="utf-8"))
        assert content.get("benchmark") == sentence
        assert (said in content["summary"]) == bool(sentence)
