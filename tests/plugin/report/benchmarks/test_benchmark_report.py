"""What the report of a benchmark says first."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.report.benchmarks.report import BenchmarkReport, NetworkScores


def scores(method: str, mass: float, rank: float, corrected: float) -> dict[str, object]:
    """Return the scores of a method."""
    return {
        "method": method, "mass_inside": mass, "mass_inside_corrected": mass + 0.1, "raised": True,
        "rank_accuracy": rank, "rank_accuracy_corrected": corrected, "stripes": None,
    }  # fmt: skip


def report(**accuracies: float) -> BenchmarkReport:
    """Return a report of one network with most mass inside, and one with the best ranking."""
    methods = {
        "CNN": (scores("integrated_gradients", 0.42, 0.84, 0.71), scores("lrp_zplus", 0.1, 0.04, 0.05)),
        "MLP": (scores("gradient_x_input", 0.28, 1.0, 1.0),),
    }
    networks = tuple(
        NetworkScores(name.lower(), name, "", None, accuracy, 1.0, methods[name], {}, {})
        for name, accuracy in accuracies.items()
    )
    inside = np.zeros((10, 10), bool)
    inside[4:6, 4:6] = True
    return BenchmarkReport(networks, inside, np.ones((10, 10), bool), {})


@pytest.mark.parametrize(
    ("accuracies", "first"),
    [
        (
            {"CNN": 1.0, "MLP": 1.0},
            "The true square holds 100 % of the largest values of MLP with gradient_x_input, 4 % of CNN with "
            "lrp_zplus.",
        ),
        (
            {"CNN": 1.0, "MLP": 0.5},
            "The true square holds 84 % of the largest values of CNN with integrated_gradients, 4 % of CNN with "
            "lrp_zplus.",
        ),
        (
            {"CNN": 0.5, "MLP": 0.55},
            "No network learned to tell the classes (accuracy up to 55 %): their maps say nothing.",
        ),
    ],
)
def test_maps_are_ranked_by_what_lies_inside_and_only_of_networks_that_learned(accuracies, first):
    said = report(**accuracies).summary()
    assert said[0] == first
    assert "inside in 3 of 3 maps, and lowers rank accuracy in 1." in said[1]
