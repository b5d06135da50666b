"""The report of Z-scores: right sentences, well-formed pages, the same content in all formats."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.information import Component, OutputLayer, SceneAccumulator
from floelens.plugin.core.scores import COLUMNS, compute_scores
from floelens.plugin.report import figures
from floelens.plugin.report.zscores import (
    HeadScores,
    summary,
    zscores_csv,
    zscores_csvt,
    zscores_html,
    zscores_json,
)
from page_checks import checked
from report_data import report


@pytest.fixture(scope="module")
def labelled():
    return report()


@pytest.fixture(scope="module")
def page(labelled):
    return zscores_html(labelled)


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    outline = checked(page)
    assert outline.tags["figure"] == 5  # bars, groups, clusterings, correlation, zones
    assert len(page) < 2_000_000


def test_the_same_values_give_the_same_bytes(labelled, page):
    assert zscores_html(report()) == page
    assert zscores_json(report()) == zscores_json(labelled)


def test_the_summary_comes_first_and_names_the_leading_sensor_and_component(labelled, page):
    first, second, third = summary(labelled.heads[0])
    rows = labelled.heads[0].rows
    strongest = max(
        (row for row in rows if row["z_robust"] is not None), key=lambda row: abs(row["z_robust"])
    )
    assert strongest["component"] in first and "tied most firmly to the radiometer (MWR)" in first
    assert "65 clusters, 64 km blocks" in second
    assert third.startswith("What cannot be concluded")
    assert page.index("What cannot be concluded") < page.index("What was asked")


def test_fractional_labels_are_not_called_optimistic(labelled):
    head = labelled.heads[0]
    assert head.measures["dispersion"] < 1
    assert "scatter less than the naive errors assume" in summary(head)[1]


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
    head = HeadScores(**scores.as_dict())
    effective = round(float(np.median([row["n_effective"] for row in scores.rows])))
    assert effective < 2000
    assert f"2000 pixels are worth about {effective} independent ones" in summary(head)[1]


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
        said.append(summary(HeadScores(**compute_scores(accumulator.close()).as_dict()))[1])
    assert "times the naive one" in said[0]
    assert said[1] == said[0]


def test_scores_no_larger_than_chance_are_not_called_firm(labelled):
    head = labelled.heads[0]
    assert "is tied most firmly to" in summary(head)[0]
    weak = [
        {**group, "mean_abs_z_robust": 0.3} if group["kind"] == "sensor" else group for group in head.groups
    ]
    first, second, _ = summary(replace(head, groups=tuple(weak)))
    assert "fix hardly any weight" in first and "pure chance would have 0.8" in first
    assert "firmly to" not in first
    assert "and some 4 by chance alone" in second  # of 83 scores at 5 %


def test_one_step_shifts_and_the_refit_stand_in_columns_of_their_own(labelled, page):
    assert "one-step shift / se" in page and "refit: z" not in page
    head = labelled.heads[0]
    rows = tuple({**row, "refit_weight": 0.25, "refit_z": 3.125} for row in head.rows)
    measures = {**head.measures, "refit_log_loss": 0.375}
    changed = zscores_html(replace(labelled, heads=(replace(head, rows=rows, measures=measures),)))
    assert "refit: z" in changed and "3.125" in changed.replace("3.13", "3.125")
    assert "the same after the refit" in changed
    assert "one-step shift / se" not in zscores_html(report(labels=False))


def test_without_labels_the_report_says_why_robust_errors_are_missing():
    unlabelled = report(labels=False)
    assert "No labels were given" in summary(unlabelled.heads[0])[1]
    page = zscores_html(unlabelled)
    checked(page)
    assert "z robust" not in page and "no labels: naive errors only" in page


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
    assert "<script" not in page and "<b>" not in page


def test_demonstration_models_and_their_limits_are_told(page):
    assert "demonstration model" in page and "Winter conditions only." in page
    assert "S1A_EW &lt;20190823&gt;" in page


def test_softmax_heads_get_a_chart_for_each_class():
    outline = checked(zscores_html(report("softmax", zones=False, n=3000, a_scale=3)))
    assert outline.tags["figure"] == 4 + 3


def test_four_hundred_components_stay_legible():
    large = report(a_scale=80, n=4000, zones=False)
    rows = [row for row in large.heads[0].rows if row["class"] == "ice"]
    figure, shown = figures.component_bars(rows)
    assert shown == figures.SHOWN and figure.get_figheight() < 11
    page = zscores_html(large)
    assert f"The {shown} largest of 413 scores" in page
    assert all(row["component"] in page for row in rows)


def test_a_head_without_scores_gives_sentences_and_no_chart():
    parts = (Component("hh_1", "sar", "skip"), Component("t", "mwr", "mwr", "t", 36.5, "v"))
    accumulator = SceneAccumulator(OutputLayer("ice", "sigmoid", ("ice",), parts, [[1.0, 1.0]], [9000.0]))
    accumulator.add(np.random.default_rng(2).normal(size=(50, 2)))
    head = HeadScores(**compute_scores(accumulator.close()).as_dict())
    blank = replace(report(zones=False), heads=(head,))
    assert "has no scores: predictions are saturated" in summary(head)[0]
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
    assert len(content["zones"]) == 9 and content["zones"][8]["leading_sensor"] is None


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
