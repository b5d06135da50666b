"""The report of Z-scores: right sentences, well-formed pages, the same content in all formats."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from floelens.plugin.core.zscores.refit import refit
from floelens.plugin.core.zscores.scores import COLUMNS, compute_scores
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer, SceneAccumulator
from floelens.plugin.report.page import figures
from floelens.plugin.report.styles.zones import zone_aliases
from floelens.plugin.report.zscores.channels import READINGS
from floelens.plugin.report.zscores.head import HeadScores
from floelens.plugin.report.zscores.ranking import ranking_section, sensors_sentence
from floelens.plugin.report.zscores.report import zscores_csv, zscores_csvt, zscores_html, zscores_json
from floelens.plugin.report.zscores.summary import MOST_WORDS, summary
from floelens.plugin.report.zscores.trust import error_points, slopes_sentence
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import report
from floelens.tests.plugin.report.schema_checks import problems, schema
from scipy import special

RULES = schema("zscores-report")


@pytest.fixture(scope="module")
def labelled():
    return report()


@pytest.fixture(scope="module")
def page(labelled):
    return zscores_html(labelled)


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    outline = checked(page)
    assert (
        outline.tags["figure"] == 8
    )  # ranking, shares, short list, clusterings, zones, bars, groups, correlation
    assert len(page) < 2_000_000


def test_the_same_values_give_the_same_bytes(labelled, page):
    again = report.__wrapped__()  # computed anew
    assert zscores_html(again) == page
    assert zscores_json(again) == zscores_json(labelled)


def words(sentence: str) -> int:
    return len(sentence.split())


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
@pytest.mark.parametrize("labels", [True, False])
def test_the_summary_is_three_sentences_of_at_most_25_words(kind, labels):
    said = report(kind, labels, zones=False, n=3000, a_scale=3)
    sentences = summary(said.heads[0])
    assert len(sentences) == 3
    assert all(sentence.endswith(".") and 5 < words(sentence) <= MOST_WORDS for sentence in sentences)
    assert json.loads(zscores_json(said))["heads"][0]["summary"] == list(sentences)


def test_the_summary_gives_the_shares_of_the_sensors_and_the_leading_components(labelled, page):
    head = labelled.heads[0]
    sizes = {row["component"]: abs(row["z"]) for row in head.rows if row["z"] is not None}
    radiometer = sum(size for name, size in sizes.items() if name.startswith("btemp"))
    share = 100 * radiometer / sum(sizes.values())
    first, second, _ = summary(head)
    assert first.startswith(f"SAR's 69 components carry {100 - share:.0f} % of all scores, ")
    assert f"the radiometer's 14 carry {share:.0f} %" in first
    largest = sorted(sizes, key=sizes.get, reverse=True)
    carried = np.cumsum(sorted(sizes.values(), reverse=True)) / sum(sizes.values())
    count = int(np.argmax(carried >= 0.9)) + 1
    assert second.startswith(f"{count} of {len(sizes)} components carry 90 %")
    assert second.endswith(f"{largest[0]}, {largest[1]} and {largest[2]}.")
    assert unescape(page).index(first) < unescape(page).index("What the network leans on")


def test_the_ranking_comes_first_then_how_far_it_can_be_trusted_then_the_rest(page):
    titles = (
        "What the network leans on",
        "How far this can be trusted",
        "Zones",
        "How to read this",
        "Scores by component",
        "All components",
        "What was asked",
    )
    places = [page.index(f"<h2>{title}") for title in titles]
    assert places == sorted(places)
    folded = [f"<summary><h2>{title}" in page for title in titles]
    assert folded == [False, False, False, False, True, True, True]


def test_shares_do_not_depend_on_the_number_of_pixels():
    few, many = (report(labels=False, n=n, a_scale=3, zones=False).heads[0].ranking for n in (4000, 36_000))
    for first in few.kind("sensor"):
        second = next(row for row in many.kind("sensor") if row["group"] == first["group"])
        assert second["share"] == pytest.approx(first["share"], abs=0.03)
        assert second["mean_abs_z"] > 2.0 * first["mean_abs_z"]


def refitted_report() -> HeadScores:
    """Return the scores of a head whose random weights were fitted anew, and whose SAR tells nothing."""
    generator = np.random.default_rng(4)
    sar = [Component(f"skip_{j}", "sar", "skip") for j in range(40)]
    radiometer = [Component(f"btemp_{j}", "mwr", "mwr", f"btemp_{j}", 6.9 + j, "h") for j in range(8)]
    layer = OutputLayer(
        "ice", "sigmoid", ("ice",), (*sar, *radiometer), generator.normal(size=(1, 48)), [0.0]
    )
    x = generator.normal(size=(2000, 48))
    y = (generator.random(2000) < special.expit(0.15 * x[:, 40:].sum(axis=1))).astype(float)
    blocks = {"blocks": np.arange(2000) // 40}
    accumulator = SceneAccumulator(layer)
    accumulator.add(x, y, blocks)
    refitted = refit(layer, lambda: iter([(x, y, blocks)]), "blocks")
    return HeadScores(**compute_scores(accumulator.close(), "blocks", refitted).as_dict())


def test_a_refit_is_ranked_beside_what_chance_alone_would_give():
    head = refitted_report()
    shares = {row["group"]: row for row in head.ranking.kind("sensor")}
    said = " and ".join(f"{100 * row['chance_share']:.2g} %" for row in shares.values())
    assert summary(head)[0].endswith(f"; by chance alone {said}.")
    assert shares["sar"]["chance_share"] > 0.8 * shares["sar"]["share"]
    assert all(words(sentence) <= MOST_WORDS for sentence in summary(head))
    text = " ".join(ranking_section(head.ranking, "h", "").text)
    assert f"{100 * shares['sar']['chance_share']:.2g} % for 40 of SAR" in text
    assert "do not depend on the number" not in text
    assert problems(json.loads(zscores_json(replace(report(zones=False), heads=(head,)))), RULES, RULES) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_any_number_of_sensors_gives_at_most_25_words(labelled, count):
    row = {"kind": "sensor", "components": 70, "share": 1.0 / count, "mean_abs_z": 2.5, "chance_share": 0.1}
    groups = tuple(
        {**row, "group": name} for name in ("mwr", "sar", "optical", "lidar", "model", "chart")[:count]
    )
    ranking = replace(labelled.heads[0].ranking, groups=groups)
    assert words(sensors_sentence(ranking)) <= MOST_WORDS


def test_the_third_sentence_is_the_one_thing_to_know(labelled):
    head = labelled.heads[0]
    far = {**head.measures, "fit_distance": 8.0, "weights_fitted": False, "basis": "trained"}
    fitted = {**far, "fit_distance": 1.0, "weights_fitted": True}
    assert "run again with REFIT" in summary(replace(head, measures=far))[2]
    assert (
        "weights fitted to the labels anew" in summary(replace(head, measures={**far, "basis": "refit"}))[2]
    )
    assert "differ from 0 at the 5 % level" in summary(replace(head, measures=fitted))[2]
    assert "No labels were given" in summary(report(labels=False, zones=False).heads[0])[2]
    naive = tuple({**row, "se_robust": None, "z_robust": None, "log10_p_robust": None} for row in head.rows)
    assert "too large by an unknown factor" in summary(replace(head, rows=naive, measures=fitted))[2]


def test_a_refit_that_failed_is_not_asked_for_again(labelled):
    head = labelled.heads[0]
    failed = {**head.measures, "weights_fitted": False, "basis": "trained", "refit_steps": None}
    third = summary(replace(head, measures=failed))[2]
    assert "run again" not in third
    assert "REFIT found none" in third
    assert words(third) <= MOST_WORDS


@pytest.mark.parametrize(("fitted", "said"), [(False, "are no fit"), (None, "are not known to be a fit")])
def test_the_ranking_of_a_refit_says_no_more_than_is_known_of_the_trained_weights(labelled, fitted, said):
    head = labelled.heads[0]
    changed = replace(head, measures={**head.measures, "weights_fitted": fitted, "basis": "refit"})
    assert f"The trained weights {said} to the labels." in ranking_section(changed.ranking, "h", "").text[1]


def test_tables_call_the_growing_sum_a_divergence_and_show_the_share(labelled, page):
    shares = [row["information_share"] for row in labelled.heads[0].groups if row["kind"] == "sensor"]
    assert sum(shares) == pytest.approx(1.0)
    for heading in ("information share", "divergence \u221a(2\u03a3KL)"):
        assert unescape(page).count(f">{heading}<") == 2
    assert "Information share" not in zone_aliases(labelled.zones[0].row).values()


@pytest.mark.parametrize("hint", [True, False])
def test_trust_in_any_number_of_sensors_is_said_in_at_most_25_words(hint):
    def said(*readings):
        names = ("sar", "mwr", "optical", "lidar", "model")
        rows = [{"group": name, "reading": word, "hint": hint} for name, word in zip(names, readings)]
        return slopes_sentence(rows)

    for readings in itertools.product(READINGS, repeat=3):
        assert words(said(*readings)) <= MOST_WORDS
    for readings in itertools.product(("useless", "over-trusted", "misleading", "undecided"), repeat=5):
        assert words(said(*readings)) <= MOST_WORDS
    assert said("deserved", "deserved").endswith("trust in SAR and the radiometer (MWR) is deserved.")
    assert said("undecided").startswith("The labels cannot settle whether trust in SAR is deserved")


def test_refitted_weights_are_said_to_be_ranked(labelled):
    head = labelled.heads[0]
    changed = replace(head, measures={**head.measures, "weights_fitted": False, "basis": "refit"})
    assert "refitted components" in summary(changed)[1]
    assert "fitted to the labels anew" in zscores_html(replace(labelled, heads=(changed,)))


def test_fractional_labels_are_not_called_optimistic(labelled):
    head = labelled.heads[0]
    assert head.measures["dispersion"] < 1
    assert any("scatter less than the naive errors assume" in point for point in error_points(head))


def test_clustered_class_labels_are_said_to_be_worth_fewer_pixels():
    generator = np.random.default_rng(1)
    shared = np.repeat(generator.normal(size=80), 25)
    x = np.column_stack([np.repeat(generator.normal(size=80), 25), generator.normal(size=2000)])
    parts = (
        Component("hh_1", "sar", "skip"),
        Component("btemp_36_5v", "mwr", "mwr", "btemp_36_5v", 36.5, "v"),
    )
    accumulator = SceneAccumulator(OutputLayer("ice", "sigmoid", ("ice",), parts, [[0.3, 0.2]], [0.0]))
    accumulator.add(x, (shared > 0).astype(float), {"blocks": np.arange(2000) // 25})
    scores = compute_scores(accumulator.close())
    effective = round(float(np.median([row["n_effective"] for row in scores.rows])))
    assert effective < 2000
    points = error_points(HeadScores(**scores.as_dict()))
    assert f"2000 pixels are worth about {effective} independent ones." in points


def test_robust_errors_are_compared_with_naive_ones_of_the_same_pixels():
    """Pixels without a label shrink the naive errors of the table; the clusters do not know of them."""
    generator = np.random.default_rng(2)
    x = np.column_stack([np.repeat(generator.normal(size=80), 25), np.repeat(generator.normal(size=80), 25)])
    y = (np.repeat(generator.normal(size=80), 25) > 0).astype(float)
    blocks = np.arange(2000) // 25
    parts = (Component("hh_1", "sar", "skip"), Component("btemp_36_5v", "mwr", "mwr"))
    said = []
    for repeats in (0, 9):
        accumulator = SceneAccumulator(OutputLayer("ice", "sigmoid", ("ice",), parts, [[0.3, 0.1]], [0.0]))
        accumulator.add(x, y, {"blocks": blocks})
        for _ in range(repeats):
            accumulator.add(x)
        said.append(error_points(HeadScores(**compute_scores(accumulator.close()).as_dict()))[0])
    assert "times the naive one" in said[0]
    assert said[1] == said[0]


def test_one_step_shifts_and_the_refit_stand_in_columns_of_their_own(labelled, page):
    assert "one-step shift / se" in page
    assert "refit: z" not in page
    head = labelled.heads[0]
    rows = tuple({**row, "refit_weight": 0.25, "refit_z": 3.125} for row in head.rows)
    measures = {**head.measures, "refit_log_loss": 0.375}
    changed = zscores_html(replace(labelled, heads=(replace(head, rows=rows, measures=measures),)))
    assert "refit: z" in changed
    assert "3.125" in changed.replace("3.13", "3.125")
    assert "the same after the refit" in changed
    assert "one-step shift / se" not in zscores_html(report(labels=False))


def test_without_labels_the_report_says_why_robust_errors_are_missing():
    unlabelled = report(labels=False)
    page = zscores_html(unlabelled)
    checked(page)
    assert "z robust" not in page
    assert "no labels: naive errors only" in page


def test_names_from_files_are_escaped_everywhere(labelled):
    nasty = '<script>alert("x")</script>--><b>$\\frac$'
    head = labelled.heads[0]
    rows = tuple({**row, "component": nasty, "class": nasty} for row in head.rows)
    changed = replace(
        labelled,
        asked={nasty: nasty},
        heads=(
            replace(
                head, rows=rows, head=nasty, classes=(nasty,), components=(nasty,) * len(head.components)
            ),
        ),
        provenance={nasty: nasty},
        warnings=(nasty,),
    )
    page = zscores_html(changed)
    outline = checked(page)
    assert nasty in "".join(outline.text)
    assert "<script" not in page
    assert "<b>" not in page


def test_demonstration_models_and_their_limits_are_told(page):
    assert "demonstration model" in page
    assert "Winter conditions only." in page
    assert "S1A_EW &lt;20190823&gt;" in page


def test_softmax_heads_get_a_chart_for_each_class():
    outline = checked(zscores_html(report("softmax", zones=False, n=3000, a_scale=3)))
    assert outline.tags["figure"] == 4 + 6


def test_four_hundred_components_stay_legible():
    large = report(a_scale=80, n=4000, zones=False)
    rows = [row for row in large.heads[0].rows if row["class"] == "ice"]
    figure, shown = figures.component_bars(rows)
    assert shown == figures.SHOWN
    assert figure.get_figheight() < 11
    page = zscores_html(large)
    assert f"The {shown} largest of 413 scores" in page
    assert all(row["component"] in page for row in rows)


def test_a_head_without_scores_gives_sentences_and_no_chart():
    parts = (Component("hh_1", "sar", "skip"), Component("t", "mwr", "mwr", "t", 36.5, "v"))
    accumulator = SceneAccumulator(OutputLayer("ice", "sigmoid", ("ice",), parts, [[1.0, 1.0]], [9000.0]))
    accumulator.add(np.random.default_rng(2).normal(size=(50, 2)))
    head = HeadScores(**compute_scores(accumulator.close()).as_dict())
    blank = replace(report(zones=False), heads=(head,))
    assert "has no scores" in summary(head)[0]
    assert "predictions are saturated" in summary(head)[1]
    checked(zscores_html(blank))
    json.loads(zscores_json(blank))


def test_csv_and_json_hold_what_the_page_shows(labelled):
    table = list(csv.DictReader(io.StringIO(zscores_csv(labelled, COLUMNS))))
    rows = labelled.heads[0].rows
    assert len(table) == len(rows) == 84
    for printed, row in zip(table, rows):
        assert printed["z"] == ("" if row["z"] is None else repr(float(f"{row['z']:.9g}")))
        assert printed["note"] == row["note"]
    assert len(zscores_csvt(COLUMNS).split(",")) == len(COLUMNS)
    content = json.loads(zscores_json(labelled))
    assert content["heads"][0]["rows"] == [dict(row) for row in rows]
    assert content["heads"][0]["summary"] == list(summary(labelled.heads[0]))
    assert len(content["zones"]) == 9
    assert content["zones"][8]["leading_sensor"] is None


def test_every_picture_can_be_drawn_as_png(labelled):
    head = labelled.heads[0]
    for figure in (
        figures.component_bars(head.rows)[0],
        figures.group_bars(head.groups),
        figures.clustering_plot(head.clusterings),
        figures.correlation_map(head.correlation, head.components),
        figures.zone_map([z.rings for z in labelled.zones], [z.row for z in labelled.zones], ["sar", "mwr"]),
    ):
        assert figures.png(figure, 60).startswith(b"\x89PNG")
