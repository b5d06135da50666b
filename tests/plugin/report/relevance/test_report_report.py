"""The report of a relevance map, and the pages about models and the installation."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from floelens.plugin.report.models.page import ModelFacts, model_html
from floelens.plugin.report.page.html import number_text
from floelens.plugin.report.page.pages import environment_html
from floelens.plugin.report.relevance.conservation import Conservation, conservation_rows
from floelens.plugin.report.relevance.content import ChannelRelevance
from floelens.plugin.report.relevance.report import (
    COLUMNS,
    relevance_csv,
    relevance_csvt,
    relevance_html,
    relevance_json,
    summary,
)
from floelens.tests.plugin.report.page_checks import checked
from floelens.tests.plugin.report.report_data import relevance_report


def test_the_page_is_well_formed_and_reproducible():
    page = relevance_html(relevance_report())
    outline = checked(page)
    assert outline.tags["figure"] == 1
    assert page == relevance_html(relevance_report())
    assert "S1A_EW &lt;20190823&gt;" in page


def test_the_answer_tells_shares_and_directions():
    channels = (
        ChannelRelevance("hh", "sar", "dB", 30.0, -10.0),
        ChannelRelevance("hv", "sar", "dB", 20.0, -20.0),
        ChannelRelevance("btemp_36_5v", "mwr", "K", 5.0, -115.0, 36.5, "v", (7, 12)),
    )
    sentences = summary(relevance_report(channels=channels))
    assert "60 % in the radiometer (MWR) and to 40 % in SAR" in sentences[0]
    assert "btemp_36_5v (60 %), which on balance speaks against 'ice'" in sentences[1]
    assert "for: hh; both ways: hv" in sentences[2]
    assert "Relevance is conserved" in sentences[3]
    contrast = summary(relevance_report(channels=channels, reference_class="open water"))
    assert "'ice' rather than 'open water'" in contrast[0]


def test_relevance_that_is_not_conserved_is_called_so():
    good = relevance_report()
    bad = replace(good, conservation=replace(good.conservation, residual=5.0, relative_residual=0.02))
    assert "IS NOT CONSERVED" in summary(bad)[-1]
    assert "IS NOT CONSERVED" in relevance_html(bad)
    gradient = replace(good, conservation=replace(bad.conservation, conservative=False))
    assert "need not add up" in summary(gradient)[-1]
    for report in (good, bad, gradient):
        for sentence in summary(report)[-1].split(". "):
            assert len(sentence.split()) <= 25, sentence


def test_the_layer_that_leaks_is_named_where_relevance_is_not_conserved():
    good = relevance_report()
    leak = replace(
        good.conservation, residual=5.0, relative_residual=0.02, leak="3 to epsilon in layer 'conv1'"
    )
    assert (
        "The largest leak is 3 to epsilon in layer 'conv1'" in summary(replace(good, conservation=leak))[-1]
    )
    assert "largest leak" not in summary(good)[-1]


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "occlusion"])
def test_a_method_that_does_not_share_out_the_logit_has_no_residual(method):
    good = relevance_report()
    conservation = SimpleNamespace(**{**vars(good.conservation), "conservative": False})
    report = replace(good, method=method, conservation=Conservation.of(conservation), baseline="")
    told = "relevance" if method == "occlusion" else "slopes"
    assert [row["what"] for row in conservation_rows(report.conservation, method)] == [
        "explained logits",
        told,
    ]
    page = relevance_html(report)
    assert "need not add up" in page
    assert "not accounted for" not in page
    assert "against a baseline" not in page
    assert json.loads(relevance_json(report))["conservation"]["relative_residual"] is None


def test_slopes_are_called_slopes_and_not_evidence():
    slopes = relevance_report(method="gradient", baseline="")
    page = relevance_html(slopes)
    assert "Its slopes, by share" in summary(slopes)[0]
    assert "a rise of which" in summary(slopes)[1]
    assert "net (logit per sd)" in page
    assert "(logit)" not in page
    shares = relevance_html(relevance_report())
    assert "net (logit)" in shares
    assert "slope" not in shares
    assert "per sd" not in shares


def test_the_sentence_on_conservation_says_where_the_logits_went():
    good = relevance_report()
    none = dict.fromkeys(("zero_denominator", "padding", "masked_input", "outside_region"), 0.0)
    sums = replace(good.conservation, target_sum=100.0, relevance_sum=70.0, bias=20.0, epsilon=10.0, **none)
    told = summary(replace(good, conservation=sums, method="lrp_epsilon"))[-1]
    assert "sum to 100. They are 70 of relevance, 20 of biases and 10 that went elsewhere" in told
    whole = replace(sums, relevance_sum=80.0, epsilon=0.0)
    told = summary(replace(good, conservation=whole, method="integrated_gradients"))[-1]
    assert "80 of relevance and 20 of the same logits at the baseline." in told


def test_what_is_only_rounding_of_larger_sums_is_no_amount():
    sums = replace(relevance_report().conservation, target_sum=1e5, outside_region=-2e-11, masked_input=1e-3)
    rows = {row["what"]: row["amount"] for row in conservation_rows(sums, "lrp_0")}
    assert rows["outside the region"] == 0
    assert rows["masked inputs"] == 1e-3


def test_the_predicted_class_is_no_name_in_quotes():
    assert relevance_report(target_class="the predicted class").target == "the predicted class"
    contrast = relevance_report(target_class="the predicted class", reference_class="young ice")
    assert contrast.target == "the predicted class rather than 'young ice'"


def test_what_the_deviations_were_taken_over_is_told():
    page = relevance_html(relevance_report(uncertainty="5 networks"))
    assert "means over 5 networks" in page
    assert "_sd" in page
    assert "_sd" not in relevance_html(relevance_report())


def test_sums_are_taken_from_any_object_with_the_same_names():
    sums = relevance_report().conservation
    assert Conservation.of(SimpleNamespace(**vars(sums), layers={})) == sums


def test_no_relevance_at_all_is_a_sentence():
    silent = relevance_report(channels=(ChannelRelevance("hh", "sar", "dB", 0.0, 0.0),))
    assert "does not depend on the input" in summary(silent)[0]
    checked(relevance_html(silent))
    assert json.loads(relevance_json(silent))["channels"][0]["share"] is None


def test_footprints_and_land_spill_over_are_told():
    page = relevance_html(relevance_report())
    assert "btemp_6_9h and btemp_6_9v 35 x 62 km" in page
    assert "(62 km at most)" in page
    sar_only = relevance_report(channels=(ChannelRelevance("hh", "sar", "dB", 1.0, -2.0),))
    assert "spills over" not in relevance_html(sar_only)


def test_the_bias_of_integrated_gradients_is_called_the_logits_of_the_baseline():
    said = {
        method: {
            row["what"]: row["meaning"] for row in conservation_rows(relevance_report().conservation, method)
        }["bias"]
        for method in ("gradient_x_input", "integrated_gradients", "lrp_epsilon", "lrp_alpha_beta")
    }
    assert "at its baseline" in said["integrated_gradients"]
    assert "batch-norm" not in said["integrated_gradients"]
    assert said["gradient_x_input"] == said["lrp_epsilon"]
    assert "batch-norm" in said["lrp_epsilon"]
    assert "nothing to other biases" in said["lrp_alpha_beta"]


def test_conserved_sums_of_integrated_gradients_do_not_vouch_for_single_pixels():
    phrase = "errors of single pixels cancel"
    assert phrase in relevance_html(relevance_report(method="integrated_gradients"))
    assert phrase not in relevance_html(relevance_report(method="lrp_0"))


def test_shares_of_grids_of_unequal_size_carry_a_caveat():
    assert "sums over pixels of unequal size" in relevance_html(relevance_report())
    sar_only = relevance_report(channels=(ChannelRelevance("hh", "sar", "dB", 1.0, -2.0),))
    assert "unequal size" not in relevance_html(sar_only)


def test_a_logit_among_several_is_told_to_hold_what_is_common_to_all():
    phrase = "raises the logits of all classes alike"
    assert phrase in relevance_html(relevance_report(several_classes=True))
    assert phrase not in relevance_html(relevance_report())
    assert phrase not in relevance_html(relevance_report(several_classes=True, reference_class="open water"))


def test_csv_and_json_hold_the_channels():
    report = relevance_report()
    table = list(csv.DictReader(io.StringIO(relevance_csv(report))))
    assert [row["channel"] for row in table] == [channel.name for channel in report.channels]
    assert float(table[3]["net"]) == pytest.approx(report.channels[3].net, rel=1e-8)
    assert sum(float(row["share"]) for row in table) == pytest.approx(1.0)
    assert len(relevance_csvt().split(",")) == len(COLUMNS)
    content = json.loads(relevance_json(report))
    assert content["conservation"]["target_sum"] == report.conservation.target_sum
    assert [row["channel"] for row in content["channels"]] == [channel.name for channel in report.channels]


CARD = {
    "id": "ice",
    "title": "Ice & water",
    "summary": "Maps ice.",
    "licence": "GPL-3.0-or-later",
    "citation": ["A <b>paper</b>"],
    "demonstration": True,
    "pixel_size_m": 80,
    "weights": {"sha256": "ab" * 32},
    "architecture": {"name": "aspp_fusion"},
    "channels": [
        {
            "name": "hh",
            "sensor": "sar",
            "grid": "fine",
            "unit": "dB",
            "mean": -14.5,
            "sd": 5.6,
            "aliases": ["sigma0_hh"],
        },
        {
            "name": "btemp_6_9h",
            "sensor": "mwr",
            "grid": "coarse",
            "unit": "K",
            "mean": 148.8,
            "sd": 61.6,
            "frequency_ghz": 6.9,
            "polarisation": "h",
            "footprint_km": [35, 62],
        },
    ],
    "heads": [
        {"name": "concentration", "kind": "sigmoid", "classes": [{"name": "ice", "value": 1, "percent": 100}]}
    ],
    "components": [
        {"name": "skip_1", "sensor": "sar", "scale": "skip"},
        {"name": "b", "sensor": "mwr", "scale": "mwr"},
    ],
    "skill": {"R2": 0.93, "by region": {"edge": 0.8}},
    "limits": ["Simulated scenes only."],
    "training": {"data": "simulated", "script": "make train", "details": {"seeds": [1, 2]}},
}


def test_the_model_page_tells_the_card_and_flags_what_was_measured_otherwise():
    measured = {"parameters": (22183, 22183), "receptive field (pixels)": (36, 30), "checksum": "ok"}
    page = model_html(CARD, ModelFacts(measured=measured))
    outline = checked(page)
    text = " ".join(outline.text)
    assert "The card says 30 for receptive field (pixels), but 36 was measured." in text
    assert "says 22183" not in text
    assert "demonstration model" in text
    assert "35 x 62 km" in text
    assert "0.93" in text
    assert "A <b>paper</b>" in text
    assert "benchmarks" not in text
    row = {"method": "lrp_epsilon", "mean": 0.9, "low": 0.88, "high": 0.93, "trusted": True}
    result = {
        "benchmark": "additive",
        "condition": "fusion",
        "network": "fusion networks",
        "measure": "correlation",
    }
    result |= {"recommended": "lrp_epsilon", "date": "2026-11-30", "version": "0.1.0", "methods": [row]}
    judged = " ".join(checked(model_html({**CARD, "benchmarks": [result]}, ModelFacts())).text)
    assert "Methods, by benchmarks with known truth" in judged
    assert "0.88 to 0.93" in judged
    same = model_html(
        SimpleNamespace(to_json=lambda: json.dumps(CARD)), ModelFacts(measured={"checksum": "ok"})
    )
    assert "was measured." not in same


def test_the_environment_page_gives_the_command_for_what_is_missing():
    rows = [
        {
            "name": "numpy",
            "version": "1.24.2",
            "needed_for": "everything",
            "command": "apt install python3-numpy",
        },
        {"name": "torch", "version": None, "needed_for": "networks", "command": "pip install 'torch>=2.0'"},
    ]
    text = " ".join(checked(environment_html(rows)).text)
    assert "Missing: torch." in text
    assert "pip install 'torch>=2.0'" in text
    assert "apt install" not in text
    complete = " ".join(checked(environment_html(rows[:1])).text)
    assert "Everything FloeLens needs is installed." in complete


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (0.0, "0"),
        (-1234.567, "\u22121235"),
        (0.00123456, "0.001235"),
        (1e-12, "1.000e\u221212"),
        (3, "3"),
        (True, "yes"),
        (2.50, "2.5"),
        (100.0, "100"),
        (1.0e9, "1.000e9"),
        ((1.5, 2), "1.5, 2"),
    ],
)
def test_numbers_are_printed_for_people(value, text):
    assert number_text(value) == text
