"""Is the relevance of a map conserved? Where the explained logits went, in sentences and as a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ...ground.vocabulary.relevance_methods import METHODS
from ..page.html import listed, number_text


@dataclass(frozen=True)
class Conservation:
    """Where the explained logits went; amounts in units of the logit.

    Parameters
    ----------
    target_sum, relevance_sum, bias, epsilon, zero_denominator, masked_input, outside_region, residual : float
        ``target_sum`` is the sum of all that follow, and of `padding`.
    relative_residual, tolerance : float
        The residual as a share of the sum of absolute relevance and bias, and what is accepted.
    conservative : bool
        Whether the method promises that relevance is conserved; where not, there is no residual (None).
    padding : float
        What went to constants that the network pads with.
    leak : str
        The largest leak in words.
    """

    target_sum: float
    relevance_sum: float
    bias: float
    epsilon: float
    zero_denominator: float
    masked_input: float
    outside_region: float
    residual: float | None
    relative_residual: float | None
    tolerance: float | None
    conservative: bool = True
    padding: float = 0.0
    leak: str = ""

    @classmethod
    def of(cls, report: Any) -> Conservation:
        """Return the sums of an object with the same attributes (the conservation report of a run)."""
        sums = cls(**{name: getattr(report, name) for name in cls.__dataclass_fields__})
        if sums.conservative:
            return sums
        return replace(sums, residual=None, relative_residual=None, tolerance=None)

    @property
    def size(self) -> float:
        """The largest of the explained logits, the relevance and the biases: what counts as much here."""
        return max(abs(self.target_sum), abs(self.relevance_sum), abs(self.bias))

    def amount(self, kind: str) -> float:
        """Return what went to a kind of leak; 0 where it is nothing but the rounding of larger sums."""
        found: float = getattr(self, kind)
        return found if abs(found) > 1e-12 * self.size else 0.0

    @property
    def balanced(self) -> bool:
        """Whether the residual is within the tolerance."""
        if not self.conservative:
            return True
        residual, tolerance = self.relative_residual, self.tolerance
        return residual is not None and tolerance is not None and residual <= tolerance


def conservation_sentence(sums: Conservation, method: str) -> str:
    """Return in short sentences whether relevance is conserved; `method` is the method's word."""
    if not sums.conservative:
        return METHODS[method].not_conserved
    residual = (
        f"What is not accounted for is {number_text(sums.relative_residual, 2)} of the sum of absolute relevance "
        "and bias"
    )
    if sums.balanced:
        return f"Relevance is conserved. {_split(sums, method)} {residual}."
    leak = f" The largest leak is {sums.leak}." if sums.leak else ""
    return (
        f"RELEVANCE IS NOT CONSERVED. {residual}, more than the {number_text(sums.tolerance, 2)} accepted. "
        f"Do not rely on this map.{leak}"
    )


def _split(sums: Conservation, method: str) -> str:
    """Return in two sentences what the explained logits are made of."""
    rest = "the same logits at the baseline" if METHODS[method].from_baseline else "biases"
    parts = [
        f"{number_text(sums.relevance_sum)} of relevance",
        f"{number_text(sums.bias)} of {rest}",
    ]
    lost = sums.epsilon + sums.zero_denominator + sums.padding + sums.masked_input + sums.outside_region
    if abs(lost) >= 0.001 * sums.size:
        parts.append(f"{number_text(lost)} that went elsewhere (below)")
    return f"The explained logits sum to {number_text(sums.target_sum)}. They are {listed(parts)}."


def conservation_rows(sums: Conservation, method: str) -> list[dict]:
    """Return the sums as rows: what, amount, meaning; `method` is the method's word."""
    bias = "biases and batch-norm shifts, computed on their own"
    zero = "where no input contributed"
    if not sums.conservative:
        return [
            {
                "what": "explained logits",
                "amount": sums.target_sum,
                "meaning": "sum over the pixels explained",
            },
            {
                "what": "relevance" if METHODS[method].times_input else "slopes",
                "amount": sums.relevance_sum,
                "meaning": "sum over all channels and valid pixels; no part of the logits",
            },
        ]
    if METHODS[method].parts_signs:
        bias = "shifts of batch norms, computed on their own; the rule gives nothing to other biases"
        zero = "where no input contributed with the sign that the rule asks for"
    if METHODS[method].from_baseline:
        bias = "the same logits where every channel is at its baseline, computed on their own"
    return [
        {"what": "explained logits", "amount": sums.target_sum, "meaning": "sum over the pixels explained"},
        {
            "what": "relevance",
            "amount": sums.relevance_sum,
            "meaning": "sum over all channels and valid pixels",
        },
        {
            "what": "bias",
            "amount": sums.bias,
            "meaning": bias,
        },
        {
            "what": "epsilon",
            "amount": sums.amount("epsilon"),
            "meaning": "held back by the stabiliser of the rule",
        },
        {
            "what": "zero denominators",
            "amount": sums.amount("zero_denominator"),
            "meaning": zero,
        },
        {
            "what": "padding",
            "amount": sums.amount("padding"),
            "meaning": "constants that the network pads with",
        },
        {
            "what": "masked inputs",
            "amount": sums.amount("masked_input"),
            "meaning": "pixels without data, filled in",
        },
        {
            "what": "outside the region",
            "amount": sums.amount("outside_region"),
            "meaning": "pixels read around EXTENT; pixels around AOI or POINT are mapped and counted above",
        },
        {
            "what": "not accounted for",
            "amount": sums.residual,
            "meaning": "explained logits minus all of the above",
        },
        {
            "what": "not accounted for, relative",
            "amount": sums.relative_residual,
            "meaning": f"of absolute relevance and bias; accepted: {number_text(sums.tolerance)}",
        },
    ]
