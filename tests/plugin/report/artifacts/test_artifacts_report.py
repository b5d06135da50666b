"""What the report of fact or artifact says first, for every verdict."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.report.artifacts.report import (
    UNTRAINED,
    ArtifactReport,
    WindowPicture,
    artifact_csv,
    artifact_html,
    artifact_json,
    summary,
)
from floelens.plugin.report.artifacts.report import TestRow as Row
from floelens.plugin.report.page.model_facts import ModelFacts
from floelens.tests.plugin.report.page_checks import checked

BORDER = Row("null_input", "border", 3.5, (-0.2, 0.1, 0.8), 0.0067, 0.04, "artifact", 0.11, {})
PATTERN = Row("null_input", "pattern", 9.0, (0.0, 0.1, 0.2), 0.0067, 0.04, "artifact", 0.3, {"period": 50.0})
CLEAR = Row("translation", "", 0.1, (0.0, 0.1, 0.2), 1.0, 1.0, "none found", 0.0, {})


def report(*rows: Row, share: float = 0.03) -> ArtifactReport:
    """Return the report of a small study."""
    values = np.linspace(-1.0, 1.0, 48).reshape(6, 8)
    values[0, 0] = math.nan
    picture = WindowPicture("rows 0 to 6, columns 0 to 8", values, values / 10, 0.9 * values, np.abs(values))
    return ArtifactReport(
        model=ModelFacts("m", "A <model>"), scene="s", head="h", target="ice", method="gradient_x_input",
        method_text="gradient x input", unit="logit", rows=rows, pictures=(picture,), windows=1, sampled=1.0,
        pixels=48, repeats=19, passes=29.0, artifact_share=share, fact_share=0.2,
        sums={"relevance": 1.0, "corrected": 0.9, "artifact": 0.1},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "share", "first", "second"),
    [
        (
            (CLEAR,),
            0.0,
            "can be trusted as far as these tests go",
            "q-value up to 0.05, 20 % of the relevance",
        ),
        ((BORDER, CLEAR), 0.03, "for the most part: one artifact was found; 3 %", "a border at the edges"),
        (
            (BORDER, PATTERN),
            0.2,
            "in parts only: 2 artifacts were found; 20 %",
            "a pattern of 50 pixels and a border",
        ),
        (
            (
                replace(CLEAR, test="randomised_weights", part="all layers", verdict=UNTRAINED, numbers={}),
                BORDER,
            ),
            0.03,
            "cannot be trusted: networks with shuffled weights",
            "No part of it",
        ),
    ],
)
def test_three_sentences_say_whether_the_map_can_be_trusted_where_not_and_what_to_do(
    rows, share, first, second
):
    sentences = summary(report(*rows, share=share))
    assert len(sentences) == 3
    assert first in sentences[0]
    assert second in sentences[1]
    assert all(len(sentence.split()) <= 25 and sentence.endswith(".") for sentence in sentences)


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
