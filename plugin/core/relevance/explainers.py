"""How the methods run on one tile: backwards layer by layer, along a path, or over noise.

Occlusion has a module of its own, :mod:`.occlusion`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from ...ground.errors import ModelError
from ...ground.window import Window
from ..layers.activations import Rescaled
from ..layers.backward import LayerwiseBackward, traced
from ..layers.conservation import BIAS, Leaks
from ..layers.rules import DropoutRule, Rules, along_gradient
from ..streaming.runner import Inputs, Runner
from .random_fields import Noise

if TYPE_CHECKING:
    from ...networks.contract import SecantPass


@dataclass(frozen=True)
class Explanation:
    """What a method found on one tile.

    The relevance of an input is multiplier · (x - x₀) plus what it received as such.

    Parameters
    ----------
    target_sum : float
        Σ seeds · logits.
    fine, coarse : torch.Tensor or None
        Multipliers of the inputs, shaped as these; None where there are none.
    direct_fine, direct_coarse : torch.Tensor or None
        Relevance beside what the multipliers give.
    fine_window, coarse_window : Window or None
        Where the direct relevance lies, in pixels and in cells; None: on the inputs themselves.
    """

    target_sum: float
    fine: torch.Tensor | None
    coarse: torch.Tensor | None
    direct_fine: torch.Tensor | None = None
    direct_coarse: torch.Tensor | None = None
    fine_window: Window | None = None
    coarse_window: Window | None = None


# Seeds for logits: both (1, output, row, column).
Seeds = Callable[[torch.Tensor], torch.Tensor]
Check = Callable[[], None]


class Explainer(Protocol):
    """A method made ready for a network."""

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile.

        Parameters
        ----------
        inputs : Inputs
            What the network sees.
        seeds : callable
            How much each logit counts.
        leaks : Leaks
            Records what does not reach the inputs.
        place : Window, optional
            Where the inputs lie in the scene; needed by methods that draw noise or lay out patches.
        """


class Network(Protocol):
    """What gives logits and gradients: a :class:`Runner`, or a :class:`LayerwiseNetwork` one."""

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (1, output, row, column)."""

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the gradient of Σ seeds · logits with respect to the inputs."""


class LayerwiseNetwork:
    """Logits and gradients layer by layer: with dropout, which fast forward passes do without."""

    def __init__(self, runner: Runner, dropout: DropoutRule | None) -> None:
        rules = Rules(along_gradient, runner.dtype, dropout=dropout)
        self._layerwise, self._runner = LayerwiseBackward(traced(runner.module), rules), runner

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (1, output, row, column)."""
        inputs = inputs.to(self._runner.dtype)
        return self._layerwise.forward(inputs.fine, inputs.coarse).to(self._runner.input_dtype)

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the gradient of Σ seeds · logits with respect to the inputs."""
        self.logits(inputs)
        fine, coarse = self._layerwise.backward(seeds.to(self._runner.dtype), Leaks())
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return torch.zeros_like(inputs.fine) if fine is None else fine, coarse


# How far logits computed layer by layer may be from those of the network, as a share of the largest.
AGREEMENT = {torch.float64: 1e-8, torch.float32: 1e-3, torch.bfloat16: 0.2}


class _Agreement:
    """Compares logits computed layer by layer with those of the network itself, on the first tile that seeds any.

    A network may do what its traced graph does not show, such as to overwrite a value that it reads again.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner, self._checked = runner, False

    def check(self, inputs: Inputs, logits: torch.Tensor, seeds: torch.Tensor) -> None:
        """Raise unless the logits are those of the network, where they are seeded.

        Raises
        ------
        ModelError
            If they are not.
        """
        if self._checked:
            return
        chosen = (seeds != 0).any(1, keepdim=True)
        if not chosen.any():  # where the predicted class is the reference itself, no logit counts
            return
        # Right everywhere, also at edges of the tile that are none of the scene.
        expected = self._runner.logits(Inputs(inputs.fine, inputs.coarse))
        # To fill what is not seeded, and need not be finite, costs a tenth of choosing what is.
        off = (logits - expected).masked_fill_(~chosen, 0.0).abs_().max()
        largest = expected.masked_fill(~chosen, 0.0).abs_().max()
        if not off <= AGREEMENT[self._runner.dtype] * largest.clamp(min=1.0):
            raise ModelError(
                f"Computed layer by layer, the network of '{self._runner.card.id}' gives other logits (off by "
                f"{off:.3g}): it may overwrite values that it reads again, by inplace=True or by +=. Write it "
                "without, or choose METHOD=gradient_x_input or integrated_gradients."
            )
        self._checked = True


class LayerwiseExplainer:
    """Explains by a backward pass through the layers with a rule for each."""

    def __init__(self, runner: Runner, rules: Rules, drops: bool = False) -> None:
        self._layerwise = LayerwiseBackward(traced(runner.module), rules)
        self._dtype = runner.dtype
        self._agreement = None if drops else _Agreement(runner)

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        given, inputs = inputs, inputs.to(self._dtype)
        logits = self._layerwise.forward(inputs.fine, inputs.coarse)
        seeded = seeds(logits)
        if self._agreement:
            self._agreement.check(given, logits, seeded)
        fine, coarse = self._layerwise.backward(seeded, leaks)
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(seeded_sum(seeded, logits), fine, coarse, *self._layerwise.direct)


class RescaleExplainer:
    """Explains by DeepLIFT's rescale rule: differences of all values to those at the baseline."""

    def __init__(self, runner: Runner, levels: tuple[float, ...], dropout: DropoutRule | None) -> None:
        self._runner, self._levels = runner, levels
        self._agreement = None if dropout else _Agreement(runner)
        self._gates = Rescaled()
        rules = Rules(along_gradient, runner.dtype, self._gates, dropout=dropout)
        self._layerwise = LayerwiseBackward(traced(runner.module), rules)

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        dtype = self._runner.dtype
        origin = self._runner.constant(inputs, self._levels).to(dtype)
        given, inputs = inputs, inputs.to(dtype)
        self._gates.record()
        logits_there = self._layerwise.forward(origin.fine, origin.coarse)
        self._gates.recording = False
        logits = self._layerwise.forward(inputs.fine, inputs.coarse)
        seeded = seeds(logits)
        if self._agreement:
            self._agreement.check(given, logits, seeded)
        leaks.record(BIAS, BASELINE_LOGITS, _scalar(seeded_sum(seeded, logits_there)))
        # Constants cancel in differences: what rules say of biases does not count here.
        fine, coarse = self._layerwise.backward(seeded, Leaks())
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)


class PathExplainer:
    """Explains by the mean gradient along the straight way from the baseline."""

    def __init__(
        self, runner: Runner, network: Network, levels: tuple[float, ...], steps: int, check: Check
    ) -> None:
        self._runner, self._network = runner, network
        self._levels, self._check = levels, check
        self.takes_large_tiles = network is runner and runner.takes_large_tiles
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        self._shares, self._weights = (nodes + 1) / 2, weights / 2

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        logits = self._network.logits(inputs)
        seeded = seeds(logits).clone()
        origin = self._runner.constant(inputs, self._levels)
        at_origin = seeded_sum(seeded, self._network.logits(origin))
        leaks.record(BIAS, BASELINE_LOGITS, _scalar(at_origin))
        points = (inputs.towards(origin, float(share)) for share in self._shares)
        fine, coarse = _mean_gradient(self._network, points, self._weights, seeded, self._check)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)


class SecantExplainer:
    """Explains along the path from the baseline in steps, over each of which every gate has its secant as slope.

    Relevance adds up whatever the number of steps, all of one length. Steps that are shorter close to the baseline
    did worse on all windows tried: with ends at (i/16)^1.5 of the path relevance was wrong by 0.4 to 4.9 % of
    Σ|relevance| over pixels, with equal steps by 0.3 to 3.6 %.

    Parameters
    ----------
    runner : Runner
        The network.
    secants : SecantPass
        Its backward passes over steps.
    levels : tuple of float
        The baseline.
    steps : int
        Their number.
    check : callable
        Called before each step, and may raise.
    """

    def __init__(
        self, runner: Runner, secants: SecantPass, levels: tuple[float, ...], steps: int, check: Check
    ) -> None:
        self._runner, self._secants = runner, secants
        self._levels, self._check = levels, check
        self.takes_large_tiles = runner.takes_large_tiles
        self._ends = [number / steps for number in range(steps + 1)]

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        logits = self._runner.logits(inputs)
        seeded = seeds(logits).clone()
        origin = self._runner.constant(inputs, self._levels)
        at_origin = seeded_sum(seeded, self._runner.logits(origin))
        leaks.record(BIAS, BASELINE_LOGITS, _scalar(at_origin))
        fine = torch.zeros_like(inputs.fine)
        gradients = self._secants.steps(self._points(inputs, origin), seeded, inputs.edges)
        for multipliers, begin, end in zip(gradients, self._ends, self._ends[1:]):
            fine.add_(multipliers, alpha=end - begin)
        coarse = self._secants.cells(seeded, inputs.coarse)
        if coarse is None and inputs.coarse is not None:
            coarse = torch.zeros_like(inputs.coarse)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)

    def _points(self, inputs: Inputs, origin: Inputs) -> Iterator[torch.Tensor]:
        for end in self._ends:
            self._check()
            yield inputs.towards(origin, end).fine


class SmoothExplainer:
    """Explains by the mean gradient over noisy inputs (SmoothGrad)."""

    def __init__(self, network: Network, noises: Sequence[Noise], check: Check) -> None:
        self._network, self._noises, self._check = network, noises, check
        self.takes_large_tiles = isinstance(network, Runner) and network.takes_large_tiles

    def explain(self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window | None = None) -> Explanation:
        """Explain one tile."""
        place = place or Window(0, 0, *inputs.fine.shape[2:])
        logits = self._network.logits(inputs)
        seeded = seeds(logits).clone()
        points = (inputs.plus(noise.of(inputs, place)) for noise in self._noises)
        weights = np.full(len(self._noises), 1 / len(self._noises))
        fine, coarse = _mean_gradient(self._network, points, weights, seeded, self._check)
        return Explanation(seeded_sum(seeded, logits), fine, coarse)


BASELINE_LOGITS = "logits of the baseline"


def _mean_gradient(
    network: Network, points: Iterable[Inputs], weights: np.ndarray, seeds: torch.Tensor, check: Check
) -> tuple[torch.Tensor, torch.Tensor | None]:
    fine = coarse = None
    for point, weight in zip(points, weights):
        check()
        step_fine, step_coarse = network.gradient(point, seeds)
        if fine is None:
            fine = torch.zeros_like(point.fine)
            coarse = None if step_coarse is None else torch.zeros_like(point.coarse)
        fine.add_(step_fine, alpha=float(weight))
        if coarse is not None:
            coarse.add_(step_coarse, alpha=float(weight))
    return fine, coarse


def _scalar(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def seeded_sum(seeds: torch.Tensor, logits: torch.Tensor) -> float:
    """Return Σ seeds · logits in float64; unseeded logits need not be finite."""
    total = 0.0
    for seed, logit in zip(seeds.flatten(0, 1), logits.flatten(0, 1)):
        if seed.any():
            total += float((seed.double() * logit.double().masked_fill(seed == 0, 0.0)).sum())
    return total
