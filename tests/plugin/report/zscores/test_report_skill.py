"""A report with labels says first how well the map agrees with them, and nothing of trust without it."""

from __future__ import annotations

import json
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from floelens.plugin.core.zscores.skill import SkillAccumulator
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer
from floelens.plugin.report.zscores.report import zscores_html, zscores_json
from floelens.plugin.report.zscores.skill import UNKNOWN, HeadSkill, skill_sentence
from floelens.plugin.report.zscores.summary import MOST_WORDS, summary
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import report
from floelens.tests.plugin.report.schema_checks import problems, schema
from floelens.tests.plugin.report.zscores.test_report_channels_report import judged

CLASSES = ("open water", "young", "first-year", "multi-year")


def skill(kind: str, good: bool) -> HeadSkill:
    """Return the skill of a map that is right, or that thins the ice of 40 to 69 % and mistakes young ice."""
    generator = np.random.default_rng(6)
    if kind == "softmax":
        layer = OutputLayer(
            "type",
            kind,
            CLASSES,
            tuple(Component(f"c{at}", "sar") for at in range(4)),
            np.eye(4),
            np.zeros(4),
        )
        truth = generator.integers(0, 4, 2000)
        x = np.eye(4)[truth if good else np.where(truth == 1, 0, truth * (generator.random(2000) < 0.5))]
    else:
        layer = OutputLayer("concentration", "linear", ("ice",), (Component("c", "sar"),), [[1.0]], [0.0])
        truth = generator.uniform(0.0, 100.0, 2000)
        x = (truth - (0.0 if good else 30.0) * ((truth >= 40) & (truth < 70)))[:, None]
        x = x + 2.0 * generator.normal(size=x.shape)
    collected = SkillAccumulator(layer, "%")
    collected.add(x, truth.astype(float))
    return HeadSkill(**collected.close().as_dict(), pixels="one pixel a coarse cell")


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
@pytest.mark.parametrize("good", [True, False])
def test_the_first_sentence_is_the_skill_and_says_where_it_is_poor(kind, good):
    found = skill(kind, good)
    said = replace(report(kind, zones=False, n=3000, a_scale=3), skill=(found,))
    first, second, third = sentences = said.summary(said.heads[0])
    assert first == skill_sentence(found)
    assert found.poor != good
    assert first.startswith("Against the labels: " if good else "The map is poor against the labels: ")
    assert all(len(sentence.split()) <= MOST_WORDS for sentence in sentences)
    assert second == summary(said.heads[0])[0]
    assert third == summary(said.heads[0])[2]
    content = json.loads(zscores_json(said))
    rules = schema("zscores-report")
    assert problems(content, rules, rules) == []
    assert content["skill"][0]["worst"] == found.worst
    assert content["heads"][0]["summary"] == list(sentences)
    page = unescape(zscores_html(said))
    checked(zscores_html(said))
    assert f"{first} Where the map is wrong, these scores explain a wrong map." in page
    titles = ("How well the map agrees with the labels", "What the network leans on", "How far this can be")
    places = [page.index(f"<h2>{title}") for title in titles]
    assert places == sorted(places)
    if not good:
        worst = {"sigmoid": "where they say 40–69 %", "softmax": "'young' mapped as such in 0 %"}[kind]
        assert worst in first


def test_long_names_do_not_make_the_sentence_long():
    found = skill("softmax", good=False)
    name = " ".join(["thick"] * 15)
    rows = tuple({**row, "class": name} if row["class"] == found.worst else row for row in found.confusion)
    sentence = skill_sentence(replace(found, confusion=rows, worst=name))
    assert len(sentence.split()) <= MOST_WORDS
    assert sentence.endswith(f"macro F1 {found.macro_f1:.2g}.")


def test_a_verdict_on_trust_without_skill_comes_after_the_word_that_skill_is_unknown():
    said = report(zones=False, n=3000, a_scale=3)
    head = replace(said.heads[0], measures={**said.heads[0].measures, "weights_fitted": True})
    first, _, third = summary(head, judged(1.0))
    assert "deserved" in third
    assert first == UNKNOWN
    assert len(UNKNOWN.split()) <= MOST_WORDS
    assert UNKNOWN in unescape(zscores_html(said))
    assert UNKNOWN not in unescape(zscores_html(report(labels=False, zones=False, n=3000, a_scale=3)))
