"""Deletion and insertion curves in words, numbers and a picture."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.faithfulness.curves import SHARES, Control, Faithfulness, Measure
from floelens.plugin.report.page.html import render
from floelens.plugin.report.relevance.faithfulness import TITLE, curves_figure, faithfulness_section, verdict
from floelens.plugin.report.relevance.report import relevance_html, relevance_json
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import relevance_report
from scipy.integrate import trapezoid

SHARE = np.array(SHARES)


def curves(deletion: float = -1.0, insertion: float = 1.0, name: str = "logit") -> Measure:
    """Return curves from 2 to -1 and back that bend by so much from the straight line."""
    bend = SHARE * (1 - SHARE)
    line = 2 - 3 * SHARE
    random = np.stack([line + sign * 0.2 * bend for sign in (-1, 1)])
    return Measure(name, SHARE, line + deletion * bend, line[::-1] + insertion * bend, random)


def content(measure: Measure | None = None, **changes) -> dict:
    measures = (measure or curves(), curves(name="probability"))
    found = Faithfulness(measures, 50, 63, 63, 0, 1200, Control(orders=2))
    return replace(found, **changes).as_dict()


@pytest.mark.parametrize(
    ("deletion", "insertion", "words"),
    [
        (-1.0, 1.0, "relies on the blocks that the map marks"),
        (1.0, -1.0, "WORSE THAN CHANCE"),
        (0.1, 0.1, "is not shown"),
        (-1.0, 0.1, "Only one of the two"),
        (0.1, 1.0, "Only one of the two"),
        (-1.0, -1.0, "Only one of the two"),
        (1.0, 0.1, "is not shown"),
    ],
)
def test_the_verdict_follows_the_areas(deletion, insertion, words):
    assert words in verdict(content(curves(deletion, insertion)))


def test_the_verdict_tells_differences_of_areas():
    found = content()
    area = trapezoid(SHARE * (1 - SHARE), SHARE)
    assert found["measures"][0]["deletion_minus_random"] == pytest.approx(-area)
    assert found["measures"][0]["insertion_minus_random"] == pytest.approx(area)
    assert f"runs {area:.3f} below that of random order on average, beyond all 2" in verdict(found)
    wrong = verdict(content(curves(1.0, -1.0)))
    assert f"runs {area:.3f} above that of random order on average, on the wrong side of all 2" in wrong


def test_a_single_block_has_no_order():
    assert "no order of blocks to judge" in verdict(content(blocks=1))


def test_a_sample_is_told():
    text = " ".join(faithfulness_section(content(of_blocks=900, windows=4), "'ice'", "lrp_0").text)
    assert "of 900 blocks that can act on the target, 63 in 4 windows drawn at random" in text
    assert "All 63 blocks" in " ".join(faithfulness_section(content(), "'ice'", "lrp_0").text)


def test_slopes_carry_a_caveat_of_their_own():
    points = {m: faithfulness_section(content(), "'ice'", m).points for m in ("gradient", "gradient_x_input")}
    assert len(points["gradient"]) == len(points["gradient_x_input"]) + 1
    assert any("unlike any the network was trained on" in point for point in points["gradient_x_input"])


def test_the_picture_shows_both_curves_of_each_measure():
    figure = curves_figure(content())
    panels = figure.get_axes()
    assert [axes.get_title(loc="left") for axes in panels] == ["Deletion", "Insertion", "", ""]
    assert [axes.get_xlabel() for axes in panels[2:]] == [
        "blocks set to the baseline (%)",
        "blocks put back (%)",
    ]
    line = panels[1].get_lines()[1]
    np.testing.assert_allclose(line.get_xdata(), 100 * SHARE)
    np.testing.assert_allclose(line.get_ydata(), curves().insertion)
    np.testing.assert_allclose(panels[1].get_lines()[0].get_ydata(), (2 - 3 * SHARE)[::-1])


def test_the_section_stands_on_a_page():
    page = render("Relevance", [], [faithfulness_section(content(), "'ice & <water>'", "gradient")])
    outline = checked(page)
    assert outline.tags["figure"] == 1
    assert TITLE in " ".join(outline.text)
    assert "ice &amp; &lt;water&gt;" in page
    assert page == render("Relevance", [], [faithfulness_section(content(), "'ice & <water>'", "gradient")])
    linear = Faithfulness((curves(),), 50, 63, 63, 0, 1200, Control(orders=2))
    checked(render("Relevance", [], [faithfulness_section(linear.as_dict(), "'ice'", "lrp_0")]))


def test_a_relevance_report_holds_the_curves_where_asked():
    with_curves = relevance_report(faithfulness=content(), uncertainty="3 draws of noise")
    text = " ".join(checked(relevance_html(with_curves)).text)
    assert TITLE in text
    assert "the mean map over 3 draws of noise" in text
    told = json.loads(relevance_json(with_curves))
    assert told["summary"][-1] == verdict(content()) == told["faithfulness"]["verdict"]
    assert told["faithfulness"]["measures"] == content()["measures"]
    assert TITLE not in relevance_html(relevance_report())
    assert json.loads(relevance_json(relevance_report()))["faithfulness"] is None
