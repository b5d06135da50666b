"""Measures of how a map behaves, which need no truth: one row each, for tables and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SanityMeasure:
    """A measure in words.

    Parameters
    ----------
    title : str
        For readers.
    better : str
        ``higher``, ``lower``, or empty where neither is.
    sentence : str
        What it is, and where it comes from.
    """

    title: str
    better: str
    sentence: str


SANITY_MEASURES: Mapping[str, SanityMeasure] = {
    "randomisation": SanityMeasure(
        "likeness to untrained",
        "lower",
        "Spearman's ρ of |R| with that of the same network with random weights. A map that stays alike does not show "
        "what was learned (Adebayo et al. 2018).",
    ),
    "max_sensitivity": SanityMeasure(
        "largest change",
        "lower",
        "The largest ‖R(x + δ) − R(x)‖ / ‖R(x)‖ over small noise δ: max-sensitivity of "
        "Yeh et al. 2019, who do not divide by the map.",
    ),
    "mean_sensitivity": SanityMeasure(
        "mean change",
        "lower",
        "The mean ‖R(x + δ) − R(x)‖ / ‖R(x)‖ over the same noise.",
    ),
    "baseline_sensitivity": SanityMeasure(
        "change with baseline",
        "lower",
        "‖Q − R‖ / ‖R‖, where Q explains from a baseline half a standard deviation higher, of methods where this "
        "was tried (after Mamalakis et al. 2023, doi 10.1175/AIES-D-22-0058.1).",
    ),
    "infidelity": SanityMeasure(
        "infidelity",
        "lower",
        "The mean squared difference of what a map predicts and what the network loses when inputs are set to their "
        "baseline, over the mean square of that loss: 1 is that of an empty map (Yeh et al. 2019).",
    ),
    "faithfulness_correlation": SanityMeasure(
        "faithfulness correlation",
        "higher",
        "Pearson's r of the relevance of random sets of inputs with what the network loses without them (Bhatt et al. "
        "2020).",
    ),
    "sparseness": SanityMeasure(
        "sparseness",
        "",
        "Gini index of |R|: 0 where all inputs count alike, near 1 where one counts alone (Chalasani et al. 2020).",
    ),
}
