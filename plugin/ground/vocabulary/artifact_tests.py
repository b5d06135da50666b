"""The tests that tell fact from artifact, and their verdicts, by their words."""

from __future__ import annotations

from collections.abc import Mapping

from .words import Words

TESTS: Words = {
    "null_input": "maps of inputs that hold nothing (zero, constant, noise with the scene's own spectrum)",
    "translation": "the scene moved by some pixels: what of the map stays where it was",
    "mirroring": "the scene mirrored: whether relevance grows or decays along rows or columns all the same",
    "randomised_weights": "the same map of networks with shuffled weights, which have learned nothing",
    "rule_comparison": "the other methods: how well each adds up, and how like the map theirs are",
    "focus": "outliers capped, values shifted and scaled, gaps filled and edges padded otherwise: whether the map "
    "moves while the prediction does not",
    "permutation": "columns or rows in another order, and the map put back in order: whether relevance depends on when "
    "they are read; for networks that read a scene in a direction",
}
DEFAULTS: Mapping[str, int] = {"repeats": 19, "sample": 12, "seed": 0}
# Verdicts of a test.
ARTIFACT, NEGLIGIBLE, NONE, UNTRAINED, TRAINED, UNDECIDED, REPORTED, NOT_APPLICABLE = (
    "artifact", "negligible", "none found", "not shown to depend on training", "depends on training", "undecided",
    "reported", "does not apply",
)  # fmt: skip
