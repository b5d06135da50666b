"""Channels in the report: slopes first, strengths without a test, and JSON as its schema says."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from floelens.plugin.core.zscores.channels.scores import channel_scores
from floelens.plugin.report.page import figures
from floelens.plugin.report.zscores import channel_figures
from floelens.plugin.report.zscores.channels import ChannelJudgement, slope_points
from floelens.plugin.report.zscores.report import zscores_html, zscores_json
from floelens.plugin.report.zscores.summary import summary
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import MWR, report
from floelens.tests.plugin.report.schema_checks import problems, schema
from scipy import special

CHANNELS = (
    InputChannel("hh", "sar", None, "hh"),
    InputChannel("hv", "sar", None, "hv"),
    *(InputChannel(f"btemp_{str(f).replace('.', '_')}{p}", "mwr", f, p) for f, p in MWR),
)


@functools.cache
def judged(trust: float = 1.0, labels: bool = True) -> ChannelJudgement:
    """Return scores of channels; the truth is worth `trust` of what the network makes of SAR."""
    generator = np.random.default_rng(3)
    clusters = np.repeat(np.arange(120), 40)
    parts = generator.normal(size=(len(clusters), len(CHANNELS))) * 0.5
    parts[:, :2] *= 3.0
    weights = np.ones(len(CHANNELS))
    weights[:2] = trust
    truth = special.expit(parts @ weights)
    empty = ChannelEvidence.empty("concentration", "sigmoid", ("ice",), CHANNELS, "a made-up split")
    accumulator = ChannelAccumulator(empty, "scene")
    y = (generator.uniform(size=len(truth)) < truth).astype(float)
    at = np.arange(len(truth))
    accumulator.add(np.zeros(len(truth)), parts, at, at, y if labels else None, {"64 km blocks": clusters})
    return ChannelJudgement(**channel_scores(accumulator.close(), "64 km blocks").as_dict())


@pytest.fixture(scope="module")
def with_channels():
    return replace(report(), channels=(judged(0.4),))


def test_with_slopes_the_third_sentence_says_whether_trust_is_deserved(with_channels):
    head, channels = with_channels.heads[0], with_channels.channels[0]
    head = replace(head, measures={**head.measures, "weights_fitted": True})
    third = summary(head, channels)[2]
    assert "trust in SAR is too large and in the radiometer (MWR) is deserved" in third
    page = zscores_html(with_channels)
    checked(page)
    order = [
        page.index(text)
        for text in (
            "How far this can be trusted",
            "trust in each channel deserved?",
            "Strength of the input channels",
            "Scores by component",
        )
    ]
    assert order == sorted(order)
    assert "not trained on" in page
    assert "over-trusted: " in page


def test_useless_channels_are_said_to_be_so():
    assert any("Trust in SAR is not borne out" in point for point in slope_points(judged(0.0)))


def test_of_many_frequencies_one_by_chance_does_not_make_the_headline():
    found = judged(1.0)
    at = next(i for i, row in enumerate(found.slopes) if row["group"] == "36.5 GHz")
    for log10_p, said in ((-1.5, False), (-6.0, True)):  # p = 0.03 of one among seven, and far beyond chance
        odd = {**found.slopes[at], "reading": "under-trusted", "slope": 1.6, "log10_p_against_1": log10_p}
        changed = replace(found, slopes=(*found.slopes[:at], odd, *found.slopes[at + 1 :]))
        assert ("36.5 GHz (under-trusted" in " ".join(slope_points(changed))) == said


def test_a_strength_has_no_p_value(with_channels):
    page = zscores_html(with_channels)
    section = page[page.index("Strength of the input channels") : page.index("Scores by component")]
    assert "log10" not in section
    assert "tests nothing" in section


def test_without_labels_there_are_strengths_and_no_slopes():
    unlabelled = replace(report(labels=False), channels=(judged(labels=False),))
    assert "No labels were given" in summary(unlabelled.heads[0], unlabelled.channels[0])[2]
    page = zscores_html(unlabelled)
    checked(page)
    assert "deserved?" not in page
    assert "Strength of the input channels" in page


def test_the_json_is_as_its_schema_says(with_channels):
    rules = schema("zscores-report")
    for made in (with_channels, report(labels=False), report("softmax", n=3000, a_scale=3)):
        assert problems(json.loads(zscores_json(made)), rules, rules) == []
    content = json.loads(zscores_json(with_channels))
    wrong = copy.deepcopy(content)
    del wrong["channels"][0]["slopes"][0]["z_against_1"]
    wrong["heads"][0]["rows"][0]["z"] = "3.1"
    wrong["extra"] = 1
    assert sorted(problems(wrong, rules, rules)) == [
        "$.channels[0].slopes[0] lacks z_against_1",
        "$.extra is not known",
        "$.heads[0].rows[0].z is '3.1', not ['number', 'null']",
    ]
    assert content["channels"][0]["slopes"][0]["group"] == "sar"


def test_four_hundred_components_with_channels_and_zones_stay_legible(with_channels):
    large = replace(with_channels, heads=report(a_scale=80, zones=False).heads)
    assert len(large.heads[0].components) >= 400
    page = zscores_html(large)
    text = unescape("".join(checked(page).text))
    assert len(page) < 4_000_000
    assert "The 100 largest of" in text
    for word in (" nan ", " inf ", ">nan<", ">inf<", "Infinity"):
        assert word not in page


def test_the_pictures_of_channels_can_be_drawn_as_png(with_channels):
    channels = with_channels.channels[0]
    slopes = [row for row in channels.slopes if row["slope"] is not None]
    strengths = [row for row in channels.strengths if row["strength"] is not None]
    for figure in (channel_figures.slope_plot(slopes), channel_figures.strength_bars(strengths)):
        assert figures.png(figure, 60).startswith(b"\x89PNG")
