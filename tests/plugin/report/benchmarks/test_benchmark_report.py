"""What the report of a benchmark says first."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.report.benchmarks.correction import correction_section, why_not_raised
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


NOT_RAISED = {"accuracy": 1.0, "raised": False, "mass_inside": 0.2, "mass_inside_corrected": 0.1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"raised": True}, ""),
        ({"mass_inside_corrected": None}, "Nothing remains: noise alone gives the same map"),
        ({"accuracy": 0.55}, "has not learned the classes (55 % right)"),
        ({"noise_inside": 0.25}, "Noise alone puts 25 % of the relevance inside, the samples 20 %"),
        ({"common_corrected": 0.6}, "60 % of what remains lies on the squares of both"),
        (
            {},
            "put 12 % more inside than noise does, but some exceed their noise by more: 80 % of what remains",
        ),
    ],
    ids=str,
)
def test_why_the_correction_does_not_help_follows_from_what_was_measured(changes, said):
    row = {**NOT_RAISED, "noise_inside": 0.08, "common_corrected": 0.1, **changes}
    found = why_not_raised(row, "the squares of both", "some")
    assert said in found
    assert bool(said) == bool(found)


def test_networks_are_named_in_which_the_correction_does_not_raise_every_map():
    rows = report(CNN=1.0, MLP=1.0).rows()
    assert "in every map of every network" in correction_section(rows, 0.1).text[0]
    rows[0] = {**rows[0], "raised": False, "note": "A reason."}
    section = correction_section(rows, 0.25)
    assert "in every map of MLP, but not" in section.text[0]
    networks, exceptions = section.tables
    assert [(row["title"], row["maps"], row["raised"]) for row in networks.rows] == [
        ("CNN", 2, 1),
        ("MLP", 1, 1),
    ]
    assert [row["note"] for row in exceptions.rows] == ["A reason."]
