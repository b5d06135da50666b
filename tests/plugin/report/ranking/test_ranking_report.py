"""What the report of a ranking says first, what it marks, and that its three forms say the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.ranking import rankings
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.rankings import Judged, Measure
from floelens.plugin.io.transaction.outputs import OutputTransaction
from floelens.plugin.jobs.common.rankings import sanity_facts, sanity_scores, write_ranking
from floelens.plugin.report.ranking.broken import broken_maps, broken_sentences
from floelens.plugin.report.ranking.figures import distributions, example_maps
from floelens.plugin.report.ranking.page import Condition, Example, OtherScore, RankingPage
from floelens.plugin.report.ranking.report import (
    COLUMNS,
    ranking_csv,
    ranking_csvt,
    ranking_html,
    ranking_json,
)
from floelens.plugin.report.ranking.sentences import MOST_WORDS, summary
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.schema_checks import problems, schema

R = Measure("r", "correlation", "higher", 0.0, 1.0, "Pearson's r of map and truth.")


def page(
    conditions: dict[str, dict[str, float]], networks: dict[str, str] | None = None, number: int = 30, **more
):
    """Return a page of methods with such means; `sobel` is a control."""
    draw = np.random.default_rng(0)
    pool = [
        Judged(
            method, condition, {"r": draw.normal(mean, 0.05, number)}, 0.01 * len(method), method == "sobel"
        )
        for condition, means in conditions.items()
        for method, mean in means.items()
    ]
    return RankingPage(
        "Additive benchmark",
        "fusion networks",
        tuple(
            Condition(word, word, (networks or {}).get(word, ""), ("Samples are drawn.",))
            for word in conditions
        ),
        rankings(pool, [R], seed=0),
        **more,
    )


GOOD = {"deeplift": 0.9, "lrp_0": 0.7, "gradient": 0.01, "sobel": 0.2}
BAD = {"deeplift": 0.1, "gradient": 0.0, "sobel": 0.2}


def test_the_first_sentences_name_the_method_how_sure_it_is_and_what_fails():
    first, second, third = summary(page({"fusion": GOOD}))
    assert first == "For fusion networks, deeplift is recommended."
    assert second == (
        "deeplift has a mean correlation of 0.894 (0.878 to 0.909; perfect 1, telling nothing 0) over 30 samples."
    )
    assert third == "gradient does not surely surpass an edge filter (sobel)."


def test_that_none_can_be_recommended_comes_first():
    first, second, third = summary(page({"fusion": BAD}))
    assert first == "For fusion networks, no method can be recommended."
    assert (
        second
        == "deeplift, the best method, does not surely surpass an edge filter (sobel): p = 1, 30 samples."
    )
    assert third == "All 2 methods fail: they do not surely surpass an edge filter."
    both = summary(page({"a": GOOD, "b": GOOD}))
    assert both[2] == "gradient does not surely surpass an edge filter (sobel) in at least one ranking."
    few = summary(page({"fusion": GOOD}, number=5))
    assert few[0] == first
    assert few[1] == "Only 5 samples were explained; from fewer than 12 no method is recommended."


@pytest.mark.parametrize(
    ("conditions", "networks", "said"),
    [
        ({"a": GOOD, "b": GOOD}, {}, "For fusion networks, deeplift is recommended."),
        (
            {"a": GOOD, "b": BAD},
            {},
            "For fusion networks, no method is recommended throughout: deeplift for a and none for b.",
        ),
        (
            {"a": GOOD, "b": BAD},
            {"b": "CNNs"},
            "Recommended: deeplift for fusion networks; none throughout CNNs.",
        ),
        # other methods are judged in each: what is recommended there must not be denied
        (
            {"a": {"x": 0.9, "sobel": 0.2}, "b": {"y": 0.9, "sobel": 0.2}},
            {},
            "For fusion networks, no method is recommended throughout: x for a and y for b.",
        ),
        ({"a": BAD, "b": BAD}, {"b": "CNNs"}, "No method can be recommended for fusion networks and CNNs."),
        # not the best in either, but tied with it in both
        (
            {"a": {"x": 0.9, "tie": 0.9, "y": 0.3}, "b": {"y": 0.9, "tie": 0.9, "x": 0.3}},
            {},
            "For fusion networks, tie is recommended.",
        ),
    ],
    ids=str,
)
def test_what_is_recommended_holds_for_all_conditions_of_a_kind_of_network(conditions, networks, said):
    assert summary(page(conditions, networks))[0] == said


def test_the_first_sentences_do_not_speak_of_what_is_there_to_compare_with():
    made = page({"a": GOOD, "line": BAD}, {"line": "linear models"})
    compared = replace(made, conditions=(made.conditions[0], replace(made.conditions[1], compared=True)))
    first, second, third = summary(compared)
    assert first == "For fusion networks, deeplift is recommended."
    assert second.startswith("deeplift has a mean correlation of")
    assert third == "gradient does not surely surpass an edge filter (sobel)."


def test_a_better_mean_of_too_few_samples_is_named_beside_the_recommended_method():
    draw = np.random.default_rng(1)
    scores = {"unsure": np.array([0.9] * 8 + [-0.4] * 4), "sure": draw.normal(0.3, 0.02, 12)}
    pool = [Judged(method, "a", {"r": values}, 0.0) for method, values in scores.items()]
    made = replace(page({"a": GOOD}), rankings=rankings(pool, [R], seed=0))
    assert made.rankings[0].recommended == "sure"
    (said,) = json.loads(ranking_json(made))["notes"]
    assert said.startswith("a: unsure has a better mean correlation (0.467) than the recommended sure (0.3")
    assert json.loads(ranking_json(page({"a": GOOD})))["notes"] == []


def test_what_is_recommended_somewhere_is_named_where_no_kind_of_network_has_one_method():
    made = page({"a": GOOD, "b": BAD, "c": BAD, "d": BAD}, {"c": "CNNs", "d": "CNNs"})
    assert summary(made)[0] == (
        "None is recommended throughout: deeplift in 1 of 2 rankings for fusion networks; none for CNNs."
    )


def test_titles_stand_above_maps_of_few_cells():
    axes = example_maps(Example("one", np.eye(2), {"deeplift": np.eye(2)})).get_axes()[0]
    assert len(axes.lines) == len(axes.texts) == 2
    for frame, title in zip(axes.lines, axes.texts):
        left, right = frame.get_xdata().min(), frame.get_xdata().max()
        assert title.get_position()[0] == pytest.approx((left + right) / 2)
        assert title.get_position()[1] < frame.get_ydata().min()


def test_sentences_stay_short_however_much_there_is_to_say():
    many = {f"a_method_with_a_long_name_{k}": 0.9 for k in range(9)}
    conditions = {f"condition {k}": many | GOOD for k in range(6)}
    networks = {f"condition {k}": f"networks of kind {k} with a long name" for k in range(6)}
    for made in (page(conditions, networks), page({"a": many | BAD}), page({"a": {**BAD, **GOOD}, "b": BAD})):
        said = summary(made)
        assert len(said) == 3
        assert all(len(sentence.split()) <= MOST_WORDS for sentence in said)


def full_page() -> RankingPage:
    truth = np.zeros((6, 8))
    truth[2:4, 2:4] = 1.0
    truth[0, 0] = np.nan
    noise = np.random.default_rng(0).normal(size=(6, 8))
    scores = (OtherScore("fusion", "deeplift", "sparseness", 0.4, 0.3, 0.5, 1),)
    return page(
        {"fusion": GOOD},
        maps=(Example("sample 3", truth, {"deeplift": truth + 0.1 * noise, "sobel": noise}),),
        facts={"R²": 0.9876},
        other_measures=(Measure("sparseness", "sparseness", sentence="Gini index of |R|."),),
        other_scores=scores,
        settings={"seed": 0},
    )


def test_page_json_and_table_say_the_same_and_controls_are_marked(tmp_path):
    made = full_page()
    outline = checked(ranking_html(made))
    text = " ".join(outline.text)
    for expected in (
        *summary(made),
        "sobel (control)",
        "does not surpass the control sobel",
        "0.9876",
        "Gini index",
    ):
        assert expected in text
    assert outline.tags["svg"] == 2

    value = json.loads(ranking_json(made))
    rule = schema("ranking-report")
    assert problems(value, rule, rule) == []
    rows = list(csv.DictReader(io.StringIO(ranking_csv(made))))
    assert list(rows[0]) == list(COLUMNS)
    best = value["rankings"][0]["methods"][0]
    assert (
        (rows[0]["method"], rows[0]["verdict"])
        == ("deeplift", "recommended")
        == (best["method"], best["verdict"])
    )
    assert float(rows[0]["mean"]) == pytest.approx(np.mean(best["values"]), rel=1e-8)
    assert [row["kind"] for row in rows] == ["method", "method", "control", "method", "sanity"]
    assert (rows[4]["measure"], rows[4]["place"], rows[4]["mean"]) == ("sparseness", "", "0.4")
    assert "seconds" not in rows[0]  # the same seed gives the same table

    with OutputTransaction() as outputs:
        write_ranking(
            outputs, made, str(tmp_path / "t.csv"), str(tmp_path / "r.html"), str(tmp_path / "r.json")
        )
    assert (tmp_path / "t.csv").read_text(encoding="utf-8") == ranking_csv(made)
    assert (tmp_path / "t.csvt").read_text(encoding="utf-8") == ranking_csvt()
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.csvt", "r.html", "r.json"}


def test_sanity_measures_stand_in_a_table_of_their_own():
    values = {"sparseness": np.array([0.2, 0.4, np.nan]), "infidelity": np.full(3, np.nan)}
    scores = sanity_scores("fusion", "deeplift", values, seed=0)
    assert (scores[0].mean, scores[0].undefined) == (pytest.approx(0.3), 1)
    assert (scores[1].mean, scores[1].undefined) == (None, 3)
    made = page({"fusion": GOOD}, other_measures=sanity_facts(), other_scores=scores)
    text = " ".join(checked(ranking_html(made)).text)
    assert "Gini index" in text
    assert "faithfulness" not in text  # nothing was measured
    assert [row["kind"] for row in csv.DictReader(io.StringIO(ranking_csv(made)))].count("sanity") == 2


def test_constant_scores_and_samples_without_one_are_drawn():
    pool = [
        Judged("constant", "a", {"r": np.full(10, 0.5)}, 0.0),
        Judged("empty", "a", {"r": np.full(10, np.nan)}, 0.0),
    ]
    (ranking,) = rankings(pool, [R], seed=0)
    axes = distributions(ranking).get_axes()[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["constant", "empty"]
    low, high = axes.get_xlim()
    assert low < 0.0 < 1.0 < high


def test_a_map_of_another_shape_than_its_truth_is_refused():
    example = Example("one", np.zeros((4, 4)), {"deeplift": np.zeros((4, 5))})
    with pytest.raises(ParameterError, match="another shape"):
        ranking_html(page({"fusion": GOOD}, maps=(example,)))


def broken_page(**means: float) -> RankingPage:
    draw = np.random.default_rng(0)
    controls = ("broken_sign", "broken_shifted")
    pool = [
        Judged(word, "a", {"r": mean + draw.normal(0, 0.01, 20)}, 0.0, control=word in controls)
        for word, mean in means.items()
    ]
    made = page({"a": GOOD})
    condition = replace(made.conditions[0], broken="deeplift")
    return replace(made, conditions=(condition,), rankings=rankings(pool, [R], seed=0))


def test_the_report_says_whether_broken_maps_come_last_and_which_methods_are_no_better():
    last = broken_page(deeplift=0.9, lrp_epsilon=0.5, broken_shifted=0.2, broken_sign=-0.9)
    assert broken_sentences(last) == (
        "a: broken maps are last; each method is surely better than all of them.",
    )
    tied = broken_page(deeplift=0.9, gradient=0.2, broken_shifted=0.2, broken_sign=-0.9)
    assert broken_sentences(tied) == ("a: broken maps are last, or tied with the last: gradient.",)
    ahead = broken_page(deeplift=0.9, lrp_zplus=0.1, gradient=0.0, broken_shifted=0.41, broken_sign=-0.9)
    assert broken_sentences(ahead) == (
        "a: lrp_zplus and gradient are no better than a map moved by one pixel (0.41). gradient gives a slope, which "
        "says nothing of the sign of a contribution. lrp_zplus weighs what speaks for and against apart, so that the "
        "sign is lost in part.",
    )
    found = {each.map: each for each in broken_maps(ahead)}
    assert found["broken_sign"].last
    assert found["broken_shifted"].worse == ("lrp_zplus", "gradient")
    content = json.loads(ranking_json(ahead))
    assert content["broken_maps"][0]["worse"] == ["lrp_zplus", "gradient"]
    html = ranking_html(ahead)
    assert "Here these are the maps of: deeplift (a)." in html
    assert broken_sentences(ahead)[0] in html
