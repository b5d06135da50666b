"""Conservation: where the explained logits went.

A conservative method distributes all it starts from: the sum of the explained logits equals the relevance of
the inputs and what went elsewhere, every part computed on its own::

    target_sum = Σ relevance + bias + epsilon + zero_denominator + padding
                 + masked_input + outside_region + residual

The residual is what is left over by rounding or, for integrated gradients, by too few steps. It is judged
against Σ|relevance| + |bias|, never against the target, which may be close to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

BIAS, EPSILON, ZERO_DENOMINATOR, PADDING = "bias", "epsilon", "zero_denominator", "padding"

# Residuals accepted of what is exact but for rounding, by precision, as shares of all that is added up.
ROUNDING = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 3e-2}

# record(kind, amount): what a layer did not pass to its inputs.
Record = Callable[[str, torch.Tensor], None]


def total(values: torch.Tensor, axes: list[int] | None = None) -> torch.Tensor:
    """Return sums in float64 of sums in the type of `values`, at least float32; over all axes by default."""
    axes = list(range(values.ndim)) if axes is None else axes
    return values.sum(axes, dtype=torch.promote_types(values.dtype, torch.float32)).double()


class Leaks:
    """Adds up, by layer, what layers did not pass to their inputs."""

    def __init__(self) -> None:
        self._amounts: dict[str, dict[str, torch.Tensor]] = {}

    def record(self, kind: str, layer: str, amount: torch.Tensor) -> None:
        """Add an amount (a float64 scalar) to a kind of leak (bias, epsilon, …) of a layer."""
        layers = self._amounts.setdefault(kind, {})
        layers[layer] = layers[layer] + amount if layer in layers else amount

    def of_layer(self, layer: str) -> Callable[[str, torch.Tensor], None]:
        """Return what records an amount of a kind in this layer."""
        return lambda kind, amount: self.record(kind, layer, amount)

    def add(self, other: Leaks) -> None:
        """Add what others have recorded."""
        for kind, layers in other._amounts.items():
            for layer, amount in layers.items():
                self.record(kind, layer, amount)

    def by_layer(self) -> dict[str, dict[str, float]]:
        """Return kind → layer → amount."""
        return {
            kind: {name: float(amount) for name, amount in layers.items()}
            for kind, layers in self._amounts.items()
        }


@dataclass(frozen=True)
class ConservationReport:
    """Whether an explanation conserves relevance; all amounts are in units of the logit.

    Parameters
    ----------
    target_sum : float
        Sum of the explained logits (of their differences, for a contrast).
    relevance : mapping
        Channel name → sum of its relevance over valid pixels of the region (fine) or over all cells that
        have a value (coarse).
    bias : float
        What went to biases and batch-norm shifts; for integrated gradients the logits of the baseline.
    epsilon : float
        What ε withheld.
    zero_denominator : float
        What arrived where no input contributed.
    padding : float
        What went to constants that the network pads with (padded zeros receive nothing by any rule).
    masked_input : float
        Relevance of fills that stand in for missing values.
    outside_region : float
        Relevance of valid fine pixels outside the region, by the margin of its border pixels.
    absolute : float
        Σ|relevance|, masked and outside included.
    layers : mapping
        Kind → layer → amount, where the layers are known.
    leaking : tuple of (str, float) or None
        Where relevance is not conserved: the layer that loses most, and its share of what all layers lose.
    conservative : bool
        Whether the method promises that relevance is conserved.
    tolerance : float
        Largest relative residual that is accepted.
    """

    target_sum: float
    relevance: Mapping[str, float]
    bias: float
    epsilon: float
    zero_denominator: float
    padding: float
    masked_input: float
    outside_region: float
    absolute: float
    conservative: bool
    tolerance: float
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    leaking: tuple[str, float] | None = None

    @property
    def relevance_sum(self) -> float:
        """Relevance of all channels."""
        return sum(self.relevance.values())

    @property
    def residual(self) -> float:
        """What is left of the target when relevance and all leaks are subtracted."""
        leaks = (self.bias, self.epsilon, self.zero_denominator, self.padding)
        return self.target_sum - self.relevance_sum - sum(leaks) - self.masked_input - self.outside_region

    @property
    def scale(self) -> float:
        """What a residual is judged against: Σ|relevance| + |bias|."""
        return self.absolute + abs(self.bias)

    @property
    def relative_residual(self) -> float:
        """Residual as a share of the scale."""
        return abs(self.residual) / self.scale if self.scale else abs(self.residual)

    @property
    def balanced(self) -> bool:
        """Whether a method that promises it keeps the residual within the tolerance."""
        return not self.conservative or self.relative_residual <= self.tolerance

    def largest_leak(self) -> tuple[str, str, float] | None:
        """Return kind, layer and amount of the largest leak (biases are none), or None."""
        leaks = [
            (kind, name, amount)
            for kind, layers in self.layers.items()
            if kind != "bias"
            for name, amount in layers.items()
            if amount
        ]
        return max(leaks, key=lambda leak: abs(leak[2]), default=None)

    @property
    def leak(self) -> str:
        """The layer that loses most, or else the largest amount that was recorded, in words; empty for none."""
        if self.leaking is not None:
            name, share = self.leaking
            return f"in layer '{name}', {100 * share:.0f} % of what all layers lose"
        largest = self.largest_leak()
        return f"{largest[2]:.3g} to {largest[0]} in layer '{largest[1]}'" if largest else ""

    def as_dict(self) -> dict:
        """Return all numbers as plain values, for a report."""
        return {
            "target_sum": self.target_sum,
            "relevance": dict(self.relevance),
            "relevance_sum": self.relevance_sum,
            "bias": self.bias,
            "epsilon": self.epsilon,
            "zero_denominator": self.zero_denominator,
            "padding": self.padding,
            "masked_input": self.masked_input,
            "outside_region": self.outside_region,
            "residual": self.residual if self.conservative else None,
            "scale": self.scale,
            "relative_residual": self.relative_residual if self.conservative else None,
            "tolerance": self.tolerance if self.conservative else None,
            "conservative": self.conservative,
            "layers": {kind: dict(layers) for kind, layers in self.layers.items()},
        }
