"""Results of benchmarks in a card: kept, checked, left out of older cards, and said of each method."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.card import BenchmarkedMethod, BenchmarkResult, ModelCard
from floelens.plugin.networks.card_benchmarks import benchmark_sentence
from floelens.plugin.networks.registry import BUNDLED
from floelens.tests.plugin.networks.networks import make_card

RESULT = BenchmarkResult(
    "additive",
    "fusion",
    "fusion networks",
    "correlation with the truth",
    "higher",
    60,
    (
        BenchmarkedMethod("integrated_gradients", 0.97, 0.96, 0.98, True),
        BenchmarkedMethod("lrp_epsilon", 0.7, 0.65, 0.75, True),
        BenchmarkedMethod("gradient", -0.01, -0.04, 0.02, False),
    ),
    "2026-11-30",
    "0.1.0",
    "integrated_gradients",
)


def test_a_card_keeps_its_results_and_a_card_without_them_is_written_as_ever():
    card = make_card()
    assert "benchmarks" not in card.to_dict()
    assert ModelCard.from_json(card.to_dict()).benchmarks == ()
    with_them = card.with_benchmarks([RESULT])
    again = ModelCard.from_json(json.loads(with_them.to_json()))
    assert again == with_them
    assert again.benchmarks == (RESULT,)
    none = replace(RESULT, recommended="", methods=(replace(RESULT.methods[2]),))
    newer = again.with_benchmarks([none, replace(RESULT, condition="point")])
    assert newer.benchmarks == (none, replace(RESULT, condition="point"))
    assert ModelCard.from_json(json.loads(newer.to_json())) == newer


def test_the_bundled_cards_are_written_as_they_are_read():
    for path in sorted(BUNDLED.glob("*/card.json")):
        assert ModelCard.from_json(path).to_json() == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"recommended": "gradient"}, "benchmarks[0].recommended: 'gradient' is no method to trust"),
        ({"recommended": "occlusion"}, "benchmarks[0].recommended: 'occlusion' is no method to trust"),
        ({"date": "30.11.2026"}, "benchmarks[0].date: '30.11.2026' is no date"),
        ({"date": "20261130"}, "benchmarks[0].date"),
        ({"better": "large"}, "benchmarks[0].better: 'large' is not one of higher, lower"),
        ({"samples": 0}, "benchmarks[0].samples: 0 is not a whole number"),
        ({"network": ""}, "benchmarks[0].network: it is empty"),
        ({"skill": 1}, "benchmarks[0].skill: no such field is known"),
        ({"methods": "all"}, "benchmarks[0].methods: 'all' is not a list"),
        ({"methods": [{"method": "a"}]}, "benchmarks[0].methods[0].mean: the field is missing"),
    ],
    ids=str,
)
def test_a_mistake_is_named_by_its_field(change, said):
    document = make_card().with_benchmarks([RESULT]).to_dict()
    document["benchmarks"][0].update(change)
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(document)
    assert said in str(caught.value)


def test_intervals_hold_the_mean_and_conditions_come_once():
    document = make_card().with_benchmarks([RESULT]).to_dict()
    document["benchmarks"][0]["methods"][1]["low"] = 0.71
    with pytest.raises(ModelError, match=r"0\.7 is not between 0\.71 and 0\.75"):
        ModelCard.from_json(document)
    document = make_card().with_benchmarks([RESULT]).to_dict()
    document["benchmarks"] *= 2
    with pytest.raises(ModelError, match="taken by"):
        ModelCard.from_json(document)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "integrated_gradients",
            "The additive benchmark judged methods on fusion networks by the mean correlation with the truth (higher "
            "is better; 95 % intervals in brackets) against controls: noise, edge filters and broken maps. On fusion, "
            "integrated_gradients is the recommended method, 0.97 (0.96 to 0.98).",
        ),
        ("lrp_epsilon", "On fusion, lrp_epsilon surpasses all controls, 0.70 (0.65 to 0.75), but "),
        (
            "gradient",
            "On fusion, gradient does not surpass all controls, \u22120.01 (\u22120.04 to 0.02); "
            "integrated_gradients is recommended, 0.97.",
        ),
        ("occlusion", "On fusion, occlusion was not judged; integrated_gradients is recommended, 0.97."),
    ],
)
def test_what_is_said_of_a_method(method, said):
    assert said in benchmark_sentence([RESULT], method)
    none = replace(RESULT, recommended="")
    assert "no method is recommended." in benchmark_sentence([none], "gradient")
    again = replace(RESULT, condition="scene_dark_lead")
    both = benchmark_sentence([RESULT, again], "gradient")
    assert both.count("The additive benchmark judged") == 1
    assert " On scene dark lead, gradient does not surpass" in both
    assert benchmark_sentence([], method) == ""


def test_a_ranking_of_contributions_says_nothing_of_a_method_of_relevance():
    split = replace(
        RESULT,
        condition="split",
        recommended="ablation",
        methods=(replace(RESULT.methods[0], method="ablation"),),
    )
    assert benchmark_sentence([RESULT, split], "gradient") == benchmark_sentence([RESULT], "gradient")
    assert "ablation is the recommended method" in benchmark_sentence([RESULT, split], "ablation")
