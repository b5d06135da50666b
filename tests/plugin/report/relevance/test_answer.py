"""The first lines of a report of relevance: what they say, in sentences that can be repeated."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from floelens.plugin.report.relevance.answer import answer
from floelens.plugin.report.relevance.content import ChannelRelevance
from floelens.plugin.report.relevance.report import relevance_html, relevance_json
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import relevance_report
from floelens.tests.plugin.report.schema_checks import problems, schema

CHANNELS = (
    ChannelRelevance("hh", "sar", "dB", 3.0, -10.0),
    ChannelRelevance("hv", "sar", "dB", 2.0, -2.0),
    ChannelRelevance("btemp_36_5v", "mwr", "K", 15.0, -5.0, 36.5, "v", (7, 12)),
)


def test_the_net_of_each_sensor_comes_first_then_the_strongest_channel_then_whether_it_adds_up():
    first, second, third = answer(relevance_report(channels=CHANNELS, pixels=10))[:3]
    assert first == (
        "The radiometer (MWR) speaks for 'ice' (+1); SAR speaks against it (\u22120.7), on average over pixels."
    )
    assert second == "The strongest channel is btemp_36_5v (54 % of all relevance): it speaks for 'ice'."
    assert third.startswith("The numbers add up")


def test_what_cancels_speaks_neither_way():
    channels = (ChannelRelevance("hh", "sar", "dB", 10.0, -9.9),)
    assert (
        "SAR speaks both for and against 'ice' (+0.1)."
        in answer(relevance_report(channels=channels, pixels=1))[0]
    )


def test_a_map_that_must_not_be_trusted_says_so_in_the_first_lines():
    good = relevance_report(channels=CHANNELS)
    bad = replace(good, conservation=replace(good.conservation, residual=5.0, relative_residual=0.02))
    assert "Do not rely on this map" in " ".join(answer(bad)[:3])
    slopes = replace(good, conservation=replace(good.conservation, conservative=False))
    assert "need not add up" in answer(slopes)[2]


@pytest.mark.parametrize("method", ["gradient_x_input", "gradient", "integrated_gradients"])
@pytest.mark.parametrize("target", ["ice", "the predicted class"])
def test_no_sentence_is_longer_than_a_reader_can_repeat(method, target):
    report = relevance_report(method=method, target_class=target, channels=CHANNELS)
    for text in answer(report):
        for sentence in re.split(r"(?<=[.;:])\s", text):
            assert len(sentence.split()) <= 25, sentence


def test_numbers_and_provenance_lie_below_a_fold():
    page = relevance_html(relevance_report())
    outline = checked(page)
    assert outline.tags["details"] == 5
    for title in ("Every channel", "What was asked", "Where this comes from"):
        assert re.search(rf"<summary><h2>{title}</h2></summary>", page)


def test_the_json_report_follows_its_schema():
    rules = schema("relevance-report")
    for report in (
        relevance_report(),
        relevance_report(component="d2_01"),
        relevance_report(method="gradient", baseline=""),
    ):
        content = json.loads(relevance_json(report))
        assert problems(content, rules, rules) == []
    del content["answer"]
    assert problems(content, rules, rules) == ["$ lacks answer"]
