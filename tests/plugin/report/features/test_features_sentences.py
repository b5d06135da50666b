"""What a report of features begins with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from floelens.plugin.report.features.content import FeatureName, SkillFacts
from floelens.plugin.report.features.figures import importance_figure
from floelens.plugin.report.features.sentences import summary


def first_sentence(number: int | None, **changes) -> str:
    facts = {"whole": 0.9, "labelled": False, "pixels": 400, "windows": 4, "rows": (), "constant": 0.6}
    skill = SkillFacts(**{**facts, "smallest": {"mean": number}, **changes})
    rows = [{"feature": f"f{i}", "im_all": 1.0, "im_diff": None} for i in range(8)]
    return summary(
        SimpleNamespace(
            skill=skill,
            rows=rows,
            layer="relu6",
            target="ice",
            consistency=(),
            left_out=0,
            names=(),
            last_layer=False,
        )
    )[0]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (3, "3 of the 8 features of layer relu6 suffice"),
        (8, "No part of the 8 features of layer relu6 suffices"),
        (None, "No part of the 8 features of layer relu6 suffices"),
        (0, "Layer relu6 hardly matters here"),
    ],
)
def test_a_set_of_all_features_is_no_part_and_none_says_that_the_layer_hardly_matters(number, words):
    assert first_sentence(number).startswith(words)


def test_a_network_no_better_than_a_map_of_one_class_has_no_skill_to_keep():
    assert "cannot be said" in first_sentence(3, labelled=True, whole=0.6)
    assert "cannot be said" not in first_sentence(3, labelled=True, whole=0.7)


def test_a_name_is_explained_where_its_kind_comes_first():
    names = (FeatureName(("d2_1", "d2_2"), "SAR over 2 pixels", "…"), FeatureName(("x_1",), "", "…"))
    rows = [{"feature": name, "im_all": 1.0, "im_diff": 1.0} for name in ("d2_2", "x_1", "d2_1")]
    report = SimpleNamespace(
        skill=None,
        rows=rows,
        layer="a",
        target="ice",
        consistency=(),
        left_out=0,
        names=names,
        last_layer=False,
    )
    assert summary(report)[1] == "What sets ice apart most are d2_2 (SAR over 2 pixels), x_1 and d2_1."


def test_bars_are_of_what_features_are_ranked_by():
    rows = [
        {"feature": "a", "im_all": 2.0, "im_diff": None},
        {"feature": "b", "im_all": 1.0, "im_diff": -3.0},
    ]
    axes = importance_figure(rows, "").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [2.0, -3.0]
