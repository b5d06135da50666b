"""What an analysis of the distributions of features may find."""

from __future__ import annotations

from collections.abc import Mapping

OVERFITTING, SHIFT, CONFOUNDER = "overfitting", "shift", "confounder"
REDUNDANT, DEAD, OUTLIER = "redundant", "dead", "outlier"
FINDINGS: Mapping[str, str] = {
    OVERFITTING: "features separate the classes better in training than in test samples",
    SHIFT: "a feature is distributed otherwise in one group of samples than in the others, class by class",
    CONFOUNDER: "a feature follows a covariate beyond its class and the other features",
    REDUNDANT: "two features say the same",
    DEAD: "a feature that does not vary",
    OUTLIER: "a sample unlike the others of its class",
}
