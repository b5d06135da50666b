"""Relevance methods: what multiplies the inputs of a tile.

All methods here have the form R = m ⊙ (x - x₀), with x the standardised input and x₀ the baseline:

========================  ===============================================================  ==============
word                      multiplier m of an input                                         x₀
========================  ===============================================================  ==============
``gradient``              ∂f/∂x (the map is m itself, without the factor x)                none
``gradient_x_input``      ∂f/∂x                                                            0, the mean
``integrated_gradients``  ∫₀¹ ∂f/∂x at x₀ + t (x - x₀) dt                                  a parameter
``lrp_0``                 relevance by LRP-0 over x; on ReLU networks the gradient         0, the mean
``lrp_epsilon``           relevance by LRP-ε over x                                        0, the mean
========================  ===============================================================  ==============

Sources: Sundararajan et al. 2017 (arXiv 1703.01365) for integrated gradients, Bach et al. 2015
(doi 10.1371/journal.pone.0130140) for LRP; :mod:`.rules` has the formulas layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from .accounts import Ledger
from .errors import ParameterError
from .network import Inputs, Runner
from .rules import BIAS, AlongEpsilon, Rules, along_gradient
from .walk import Walk, traced

GRADIENT = "gradient"
GRADIENT_X_INPUT = "gradient_x_input"
INTEGRATED_GRADIENTS = "integrated_gradients"
LRP_0 = "lrp_0"
LRP_EPSILON = "lrp_epsilon"
METHODS = (GRADIENT_X_INPUT, INTEGRATED_GRADIENTS, LRP_EPSILON, LRP_0, GRADIENT)
# Residuals accepted of an exact method, by precision, relative to Σ|R| + |bias|.
ROUNDING = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Method:
    """A method and its settings.

    Parameters
    ----------
    name : str
        One of :data:`METHODS`.
    steps : int
        Steps of integrated gradients; with `refine`, the number to begin with.
    refine : bool
        Whether steps are doubled, up to `most_steps`, until the books balance within `tolerance`.
    tolerance : float
        Largest residual of integrated gradients, relative to Σ|R| + |bias|.
    most_steps : int
        Where the doubling ends; `steps` where these are more.
    baseline : tuple of float
        One standardised value per channel in the card's order for integrated gradients; empty: 0 for all,
        which is each channel's mean.
    epsilon : float
        ε of LRP-ε, relative to Σ|z_ij| + |b_j| at each output of a layer.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    name: str = GRADIENT_X_INPUT
    steps: int = 32
    refine: bool = True
    tolerance: float = 0.01
    most_steps: int = 512
    baseline: tuple[float, ...] = ()
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ParameterError(f"Unknown METHOD '{self.name}'. Choose one of: {', '.join(METHODS)}.")
        if self.steps < 1:
            raise ParameterError(
                f"Integrated gradients take at least 1 step, not {self.steps}. Change STEPS."
            )
        if self.name == LRP_EPSILON and not self.epsilon > 0:
            raise ParameterError(
                f"LRP-ε needs an EPSILON above 0, not {self.epsilon:g}. For none choose METHOD=gradient_x_input, "
                "its limit."
            )
        if self.baseline and self.name != INTEGRATED_GRADIENTS:
            raise ParameterError(f"METHOD={self.name} has no baseline; only integrated_gradients takes one.")

    @property
    def conservative(self) -> bool:
        """Whether relevance and leaks add up to the target."""
        return self.name != GRADIENT

    def text(self) -> str:
        """Say in words what was done."""
        if self.name == INTEGRATED_GRADIENTS:
            origin = "a baseline of its own" if self.baseline else "each channel's mean"
            return f"integrated gradients from {origin}, {self.steps} Gauss-Legendre steps"
        if self.name == LRP_EPSILON:
            return f"LRP-ε, ε = {self.epsilon:g} of each layer's own contributions"
        return {GRADIENT: "gradient", GRADIENT_X_INPUT: "gradient x input", LRP_0: "LRP-0"}[self.name]


@dataclass(frozen=True)
class Explanation:
    """What a method found on one tile.

    Parameters
    ----------
    target_sum : float
        Σ seeds · logits.
    fine, coarse : torch.Tensor
        Multipliers of the inputs, shaped as these; coarse None where there are none.
    """

    target_sum: float
    fine: torch.Tensor
    coarse: torch.Tensor | None


# Seeds for logits: both (1, output, row, column).
Seeds = Callable[[torch.Tensor], torch.Tensor]


class Explainer(Protocol):
    """A method made ready for a network."""

    def explain(self, inputs: Inputs, seeds: Seeds, ledger: Ledger) -> Explanation:
        """Explain one tile; the ledger takes down what does not reach the inputs."""


def explainer_for(runner: Runner, method: Method, check: Callable[[], None] = lambda: None) -> Explainer:
    """Return the explainer of a method; `check` is called between the steps of long ones, and may raise."""
    if method.name == INTEGRATED_GRADIENTS:
        return PathExplainer(runner, method, check)
    from .fast_gradient import fast_explainer

    if (fast := fast_explainer(runner, method)) is not None:
        return fast
    affine = AlongEpsilon(method.epsilon) if method.name == LRP_EPSILON else along_gradient
    return WalkExplainer(runner, Rules(affine, runner.dtype))


class WalkExplainer:
    """Explains by walking back through the layers with a rule for each."""

    def __init__(self, runner: Runner, rules: Rules) -> None:
        self._walk = Walk(traced(runner.module), rules)
        self._dtype = runner.dtype

    def explain(self, inputs: Inputs, seeds: Seeds, ledger: Ledger) -> Explanation:
        """Explain one tile."""
        inputs = inputs.to(self._dtype)
        logits = self._walk.forward(inputs.fine, inputs.coarse)
        seeded = seeds(logits)
        fine, coarse = self._walk.backward(seeded, ledger)
        if fine is None:
            fine = torch.zeros_like(inputs.fine)
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(_seeded_sum(seeded, logits), fine, coarse)


class PathExplainer:
    """Explains by the mean gradient along the straight way from the baseline."""

    def __init__(self, runner: Runner, method: Method, check: Callable[[], None]) -> None:
        self._runner = runner
        self._levels = method.baseline
        self._check = check
        nodes, weights = np.polynomial.legendre.leggauss(method.steps)
        self._shares, self._weights = (nodes + 1) / 2, weights / 2

    def explain(self, inputs: Inputs, seeds: Seeds, ledger: Ledger) -> Explanation:
        """Explain one tile."""
        logits = self._runner.logits(inputs)
        seeded = seeds(logits).clone()
        origin = self._runner.constant(inputs, self._levels)
        at_origin = _seeded_sum(seeded, self._runner.logits(origin))
        ledger.note(BIAS, "logits of the baseline", torch.tensor(at_origin, dtype=torch.float64))
        fine = torch.zeros_like(inputs.fine)
        coarse = None if inputs.coarse is None else torch.zeros_like(inputs.coarse)
        for share, weight in zip(self._shares, self._weights):
            self._check()
            step_fine, step_coarse = self._runner.gradient(inputs.towards(origin, float(share)), seeded)
            fine.add_(step_fine, alpha=float(weight))
            if coarse is not None:
                coarse.add_(step_coarse, alpha=float(weight))
        return Explanation(_seeded_sum(seeded, logits), fine, coarse)


def _seeded_sum(seeds: torch.Tensor, logits: torch.Tensor) -> float:
    """Return Σ seeds · logits in float64; unseeded logits need not be finite."""
    chosen = seeds != 0
    return float((seeds[chosen].double() * logits[chosen].double()).sum())
