"""The verdicts of the benchmark: a target missed or not measured is no target reached."""

from __future__ import annotations

import pytest
from floelens.bench.peers import BFLOAT16, SIZE, Verdicts


@pytest.mark.parametrize(
    ("what", "beside", "reached", "verdict", "missed"),
    [
        ("predict", "plain", [8.1, 9.0, 8.0], "| reached |", 0),
        ("predict", "plain", [8.1, 9.0, 7.9], "| reached by the median |", 0),
        ("predict", "plain", [7.9, 7.99, 8.5], "| **missed** by the median |", 1),
        ("predict", "plain", [7.0, 7.99, 7.5], "| **missed** |", 1),
        ("lrp_epsilon", "zennit", "no memory", "| **not measured**: no memory |", 1),
        ("predict", BFLOAT16, [1.7], "| **missed** |", 1),
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
    assert capsys.readouterr().out == "" and not verdicts.missed
