"""The verdicts of the benchmark: a target missed or not measured is no target reached."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.bench.peers import (
    ARTIFACTS,
    BFLOAT16,
    BY_SENSOR,
    FEATURES,
    LIKENESS,
    PASSES,
    SIZE,
    Verdicts,
    pearson,
)


@pytest.mark.parametrize(
    ("what", "beside", "reached", "verdict", "missed"),
    [
        ("predict", "plain", [8.1, 9.0, 8.0], "| reached |", 0),
        ("predict", "plain", [8.1, 9.0, 7.9], "| reached by the median |", 0),
        ("predict", "plain", [7.9, 7.99, 8.5], "| **missed** by the median |", 1),
        ("predict", "plain", [7.0, 7.99, 7.5], "| **missed** |", 1),
        ("lrp_epsilon", "zennit", "no memory", "| **not measured**: no memory |", 1),
        ("predict", BFLOAT16, [1.31], "| reached |", 0),
        ("gradient_x_input", BFLOAT16, [1.29], "| **missed** |", 1),
        ("predict", LIKENESS, [0.989], "| **missed** |", 1),
        ("gradient_x_input", LIKENESS, [0.995], "| reached |", 0),
        ("integrated_gradients", PASSES, [1.9], "| **missed** |", 1),
        (BY_SENSOR, "gradient_x_input", [0.17], "| reached |", 0),
        (BY_SENSOR, "gradient_x_input", [0.16], "| **missed** |", 1),
        (ARTIFACTS, PASSES, [30 / 30.5], "| **missed** |", 1),
        (ARTIFACTS, "gradient_x_input", [1 / 29], "| reached |", 0),
        (FEATURES, "predict", [0.39], "| **missed** |", 1),
        ("gated", "plain", [0.34], "| reached |", 0),
        ("predict", SIZE, [0.9], "| **missed** |", 1),
    ],
)
def test_each_target_has_a_verdict(what, beside, reached, verdict, missed, capsys):
    verdicts = Verdicts()
    verdicts.add("a model", what, beside, reached)
    verdicts.show()
    assert capsys.readouterr().out.rstrip().endswith(verdict)
    assert verdicts.missed == missed


def test_what_has_no_target_has_no_verdict(capsys):
    verdicts = Verdicts()
    verdicts.add("a model", "lrp_composite", "zennit", [0.1])
    verdicts.show()
    assert capsys.readouterr().out == ""
    assert not verdicts.missed


def test_likeness_is_that_of_each_channel_where_both_maps_are():
    values = np.arange(24.0).reshape(2, 3, 4)
    one = {"map": values, "window": (0, 0, 3, 4)}
    other = {"map": np.stack([3 * values[0, 1:], -values[1, 1:]]), "window": (1, 0, 2, 4)}
    other["map"][0, 0, 0] = np.nan
    assert pearson(one, other) == pytest.approx([1.0, -1.0])
