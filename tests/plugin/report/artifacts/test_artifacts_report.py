"""What the report of fact or artifact says first, for every verdict."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.ground.artifact_counts import SensorShares, StudyCounts
from floelens.plugin.ground.vocabulary.artifact_tests import UNTRAINED
from floelens.plugin.report.artifacts.report import (
    ArtifactReport,
    WindowPicture,
    artifact_csv,
    artifact_html,
    artifact_json,
    summary,
)
from floelens.plugin.report.artifacts.report import TestRow as Row
from floelens.plugin.report.artifacts.sentences import facts_sentence, smooth_windows
from floelens.plugin.report.page.model_facts import ModelFacts
from floelens.tests.plugin.report.page_checks import checked

BORDER = Row("null_input", "border", 3.5, (-0.2, 0.1, 0.8), 0.0067, 0.04, "artifact", 0.11, {"reach": 60.0})
PATTERN = Row("null_input", "pattern", 9.0, (0.0, 0.1, 0.2), 0.0067, 0.04, "artifact", 0.3, {"period": 50.0})
CLEAR = Row("translation", "", 0.1, (0.0, 0.1, 0.2), 1.0, 1.0, "none found", 0.0, {})


def report(*rows: Row, share: float = 0.03) -> ArtifactReport:
    """Return the report of a small study."""
    values = np.linspace(-1.0, 1.0, 48).reshape(6, 8)
    values[0, 0] = math.nan
    picture = WindowPicture("rows 0 to 6, columns 0 to 8", values, values / 10, 0.9 * values, np.abs(values))
    return ArtifactReport(
        model=ModelFacts("m", "A <model>"), scene="s", head="h", target="ice", method="gradient_x_input",
        method_text="gradient x input", unit="logit", rows=rows, pictures=(picture,),
        counts=StudyCounts(1, 1.0, 19, 29.0), sar=SensorShares(48, share, 0.2),
        sums={"relevance": 1.0, "corrected": 0.9, "artifact": 0.1},
    )  # fmt: skip


LOCAL = replace(PATTERN, part="local", numbers={})
RADIOMETRY = replace(LOCAL, sensor="radiometry")
UNTRAINED_ROW = replace(CLEAR, test="randomised_weights", part="all layers", verdict=UNTRAINED, numbers={})


@pytest.mark.parametrize(
    ("rows", "share", "fact", "first", "second", "third"),
    [
        (
            (CLEAR,),
            0.0,
            0.2,
            "No artifact was found",
            "q-value up to 0.05, 20 % of the relevance",
            "as it is",
        ),
        ((CLEAR,), 0.0, 0.0, "no single pixel exceeds", "one by one", "areas, not pixels"),
        ((BORDER, CLEAR), 0.03, 0.2, "Little of this map", "a border at the edges", "the outer 60 pixels"),
        ((BORDER,), 0.03, 0.0, "one artifact was found, 3 %", "nor single pixels", "areas, not pixels"),
        (
            (BORDER,),
            0.0,
            0.2,
            "one artifact was found: relevance is too",
            "a border at",
            "the outer 60 pixels",
        ),
        ((BORDER,), 0.0, 0.0, "cannot be trusted pixel by pixel", "a border", "areas, not pixels"),
        ((LOCAL,), 0.03, 0.2, "Little of this map", "areas where", "band 'local' is large"),
        ((RADIOMETRY,), 0.03, 0.2, "Little of this map", "(radiometry)", "band 'mwr_share' is large"),
        (
            (BORDER, PATTERN),
            0.2,
            0.2,
            "In parts",
            "a pattern of 50 pixels and a border",
            "means over 50 pixels",
        ),
        (
            (UNTRAINED_ROW, BORDER),
            0.03,
            0.2,
            "cannot be trusted: networks",
            "No part of it",
            "another METHOD",
        ),
    ],
)
def test_three_sentences_say_what_was_found_where_not_to_trust_and_what_to_do(
    rows, share, fact, first, second, third
):
    sentences = summary(replace(report(*rows, share=share), sar=SensorShares(48, share, fact)))
    assert len(sentences) == 3
    for words, sentence in zip((first, second, third), sentences):
        assert words in sentence
    assert all(len(sentence.split()) <= 25 and sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize(
    ("shares", "radiometry", "said"),
    [
        (SensorShares(48, 0.0, 0.2), False, "20 % of the relevance lies at pixels that are fact"),
        (SensorShares(48, 0.0, 0.0, 0.053, 20.0), False, "the least q-value is 0.053; REPEATS=25 could call one"),
        (SensorShares(48, 0.0, 0.0, 0.47), False, "the least q-value is 0.47; more REPEATS would not"),
        (SensorShares(48, 0.0, 0.0, 1.0, smooth=True), True, "no cell is fact, since windows are"),
        (SensorShares(48, 0.0, 0.0, 0.47, least_block_q=0.3), False, "Nor is any block of 8 x 8 pixels (least"),
        (SensorShares(48, 0.0, 0.0, 0.47, block_share=0.1), False, "Of blocks of 8 x 8 pixels 10 % are fact"),
    ],
)  # fmt: skip
def test_a_sentence_says_whether_more_null_maps_would_help_where_no_pixel_is_fact(shares, radiometry, said):
    assert said in facts_sentence(shares, 19, radiometry)


def test_page_table_and_json_hold_the_same_rows():
    study = report(BORDER, PATTERN, CLEAR)
    text = " ".join(checked(artifact_html(study)).text)
    rows = list(csv.DictReader(io.StringIO(artifact_csv(study))))
    content = json.loads(artifact_json(study))
    assert content["summary"] == summary(study)
    assert [row["meaning"] for row in rows] == [row.meaning for row in study.rows]
    for row in study.rows:
        assert row.meaning in text
    assert all(sentence in text for sentence in summary(study))
    assert "A <model>" in text
    assert content["facts"] == [
        "20 % of the relevance lies at pixels that are fact, with a q-value up to 0.05."
    ]
    assert content["facts"][0] in text


def test_the_page_says_which_windows_it_shows_and_what_was_not_tried():
    study = replace(report(CLEAR), counts=StudyCounts(9, 1.0, 19, 29.0), not_tried=("mirroring", "focus"))
    text = " ".join(checked(artifact_html(study)).text)
    assert "1 of 9 windows, those with the largest artifact" in text
    assert "Not tried: scene mirrored and focus. What they would find is not known." in text
    assert json.loads(artifact_json(study))["not_tried"] == ["mirroring", "focus"]
    assert "Not tried" not in " ".join(checked(artifact_html(report(CLEAR))).text)


def test_every_number_of_the_table_has_a_unit():
    rule = replace(
        CLEAR,
        test="rule_comparison",
        part="lrp_0",
        quantiles=(),
        size=None,
        numbers={"conservation_error": 0.02},
    )
    study = report(BORDER, rule, replace(CLEAR, sensor="radiometry", test="null_input", part="local"))
    rows = list(csv.DictReader(io.StringIO(artifact_csv(study))))
    assert [row["statistic_unit"] for row in rows] == [
        "standard deviations over reference values", "rank correlation", "standard deviations over reference values",
    ]  # fmt: skip
    assert [bool(row["size_unit"]) for row in rows] == [True, False, True]
    assert rows[1]["conservation_error"] == "0.02"
    assert rows[1]["meaning"].endswith("Its sum differs from the explained logit by 2 % of it.")
    assert [row["sensor"] for row in rows] == ["sar", "sar", "radiometry"]
    assert rows[2]["meaning"] == "Radiometry: Null maps look the same everywhere else."


def test_windows_too_smooth_for_facts_are_counted_and_each_map_is_said_to_be_corrected_by_itself():
    assert smooth_windows(0, 12) == ()
    (some,) = smooth_windows(3, 12)
    assert some.startswith("3 of 12 windows are too smooth: ")
    assert some.endswith("all q-values are 1.")
    assert smooth_windows(2, 2, "radiometry")[0].startswith("All windows are too smooth (radiometry)")
    assert "Each map is corrected by itself" in artifact_html(report(CLEAR))


def test_what_is_common_by_training_is_never_claimed_beside_a_large_p():
    row = replace(
        CLEAR,
        test="randomised_weights",
        part="all layers",
        p=0.3,
        numbers={"among_untrained": 0.1},
        verdict="undecided",
    )
    assert "this test cannot tell (p = 0.3)" in row.meaning
    assert "depends on what the network learned" not in row.meaning
    blind = replace(row, part="last 3 layers", verdict=UNTRAINED, numbers={"layers": 3.0})
    assert summary(report(blind))[0].startswith(
        "This map cannot be trusted: with half of the layers shuffled"
    )
