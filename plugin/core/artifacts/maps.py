"""Maps of one window: the relevance of the channels on the SAR grid, added up, by any method of relevance.

All tests work with a :class:`Mapper`: they show it inputs and take its maps. :class:`NetworkMapper` is the one of a
network; it runs :func:`floelens.plugin.core.relevance.run.run_relevance` on a patch in memory, so that a window's map
is the very map of the scene there: every pixel within reach of the window's inputs is explained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...ground.errors import ModelError
from ...ground.protocols import Patch, Progress
from ...ground.vocabulary.relevance_methods import METHODS
from ...ground.window import Window
from ..relevance.methods import INTEGRATED_GRADIENTS, OCCLUSION, Method
from ..relevance.run import plan_relevance, run_relevance
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from ..target.target import Target
from .periods import structural_periods
from .randomised import layers_with_weights, randomised

# Methods compared with each other: those that hand on relevance; occlusion would take longer than all others together.
COMPARED = tuple(word for word, method in METHODS.items() if method.times_input and word != OCCLUSION)

# Warnings that are passed on: a study makes hundreds of maps.
MOST_WARNINGS = 3


class Mapper(Protocol):
    """What makes maps."""

    radius: int
    periods: tuple[int, ...]

    def needs(self, core: Window, margin: int = 0) -> Window:
        """Return the window that a patch must cover for the map of `core`, moved by up to `margin` pixels."""

    def relevance(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the map (row, column) of `core`, float64, for the inputs of a patch; NaN where not valid."""

    def logits(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the explained logit (row, column) at each pixel of `core`."""

    def zero(self, patch: Patch) -> Patch:
        """Return the patch with every channel at its training mean."""

    def depth(self) -> int:
        """Return the number of layers that can be randomised."""

    def randomised(self, draw: int, layers: int | None = None) -> Mapper:
        """Return the same of a network with shuffled weights, in the last `layers` layers or all."""

    def compared(self) -> Mapping[str, Mapper]:
        """Return the same by other methods, by their words."""


class PatchSource:
    """A patch in memory as a source of the scene that it was read from."""

    def __init__(self, patch: Patch, scene: Window, ratio: int) -> None:
        self.rows, self.cols = scene.rows, scene.cols
        self._patch, self._ratio = patch, ratio

    def read(self, window: Window) -> Patch:
        """Return a part of the patch."""
        here = window.slices(self._patch.window)
        cells = window.coarser(self._ratio).slices(self._patch.window.coarser(self._ratio))
        return Patch(
            window,
            self._patch.fine[(slice(None), *here)],
            self._patch.coarse[(slice(None), *cells)],
            self._patch.valid[here],
        )


class Hushed:
    """A progress of one map of many: it passes on the wish to stop and the first warnings, and no more."""

    def __init__(self, progress: Progress, cost: Cost) -> None:
        self._progress, self._cost = progress, cost

    def report(self, fraction: float, text: str = "") -> None:
        """Take no notice."""

    def message(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Pass a warning on, unless there have been enough."""
        self._cost.warnings += 1
        if self._cost.warnings <= MOST_WARNINGS:
            self._progress.warn(text)

    def cancelled(self) -> bool:
        """Return whether the user asked to stop."""
        return self._progress.cancelled()


@dataclass
class Cost:
    """What has been computed.

    Parameters
    ----------
    pixels : float
        Pixels of windows that were mapped, each as often as its method takes a pass through the network.
    warnings : int
        How many warnings there were.
    """

    pixels: float = 0.0
    warnings: int = 0


class NetworkMapper:
    """Maps of a network.

    Parameters
    ----------
    runner : Runner
        The network.
    target : Target
        What is explained.
    method : Method
        How; integrated gradients with the number of steps they need.
    scene, region : Window
        The whole scene, and the part of it that is explained.
    plan : Plan
        Tiles of any window of the scene.
    progress : Progress
        Asked whether to stop.
    cost : Cost, optional
        Where passes are counted.
    """

    def __init__(
        self,
        runner: Runner,
        target: Target,
        method: Method,
        scene: Window,
        region: Window,
        plan: Plan,
        progress: Progress,
        cost: Cost | None = None,
    ) -> None:
        self._runner, self._target, self._method = runner, target, method
        self._scene, self._region, self._plan = scene, region, plan
        self._progress = progress
        self.cost = cost or Cost()
        self.radius = runner.radius
        self.periods = structural_periods(runner.module, runner.ratio)
        self.residual = 0.0

    @property
    def word(self) -> str:
        """The method's word."""
        return self._method.name

    @property
    def passes(self) -> int:
        """How many passes a map takes."""
        method = self._method
        if method.name == INTEGRATED_GRADIENTS:
            return method.steps
        return method.samples if method.name == "smoothgrad" else 1

    def needs(self, core: Window, margin: int = 0) -> Window:
        """Return the window that a patch must cover for the map of `core`, moved by up to `margin` pixels."""
        seen = core.grown(2 * self.radius + margin, within=self._scene)
        return seen.snapped(self._runner.alignment, within=self._scene)

    def relevance(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the map (row, column) of `core`, float64, for the inputs of a patch; NaN where not valid."""
        explained = core.grown(self.radius, within=self._region)
        sink = _Sum(explained, core)
        plan = dataclasses.replace(self._plan, region=explained)
        source = PatchSource(patch, self._scene, self._runner.ratio)
        hushed = Hushed(self._progress, self.cost)
        found = run_relevance(self._runner, source, plan, self._target, self._method, sink, hushed)
        conservation = found.conservation
        self.residual = float(conservation.relative_residual) if conservation.conservative else float("nan")
        self.cost.pixels += self.passes * core.rows * core.cols
        return sink.values()

    def logits(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the explained logit (row, column) at each pixel of `core`."""
        import torch

        runner = self._runner
        tile = self._plan.tile(core)
        part = PatchSource(patch, self._scene, runner.ratio).read(tile.read)
        inputs = runner.standardise(dataclasses.replace(part, scene=self._scene), tile.input)
        logits = runner.logits(inputs)
        mask = torch.ones(logits.shape[2:], dtype=torch.bool, device=logits.device)
        seeds = self._target.resolve(runner.card).seeds(logits, mask)
        total = (seeds * logits).sum(1)[0]
        return runner.array(total[tile.output.slices(tile.input)]).astype(np.float64)

    def zero(self, patch: Patch) -> Patch:
        """Return the patch with every channel at its training mean."""
        runner = self._runner
        fine = np.array([c.mean for c in runner.fine_channels], float)[:, None, None]
        coarse = np.array([c.mean for c in runner.coarse_channels], float).reshape(-1, 1, 1)
        return dataclasses.replace(
            patch,
            fine=np.where(np.isfinite(patch.fine), fine, np.nan).astype(patch.fine.dtype),
            coarse=np.where(np.isfinite(patch.coarse), coarse, np.nan).astype(patch.coarse.dtype),
        )

    def depth(self) -> int:
        """Return the number of layers that can be randomised."""
        return len(layers_with_weights(self._runner.module))

    def randomised(self, draw: int, layers: int | None = None) -> NetworkMapper:
        """Return the same of a network with shuffled weights, in the last `layers` layers or all."""
        runner = self._runner
        module = randomised(runner.module, draw, layers)
        return self._with(Runner(runner.card, module, runner.device.type, runner.precision), self._method)

    def compared(self) -> dict[str, NetworkMapper]:
        """Return the same by other methods that the network's layers allow, by their words."""
        found = {}
        for word in COMPARED:
            if word == self._method.name:
                continue
            method = Method(word, steps=self._method.steps, refine=False, tolerance=1.0)
            found[word] = self._with(self._runner, method)
        return found

    def _with(self, runner: Runner, method: Method) -> NetworkMapper:
        return NetworkMapper(
            runner, self._target, method, self._scene, self._region, self._plan, self._progress, self.cost
        )


class _Sum:
    """A sink that adds the channels of a map up and keeps a window of it."""

    def __init__(self, region: Window, core: Window) -> None:
        self._rows: list[np.ndarray] = []
        self._here = core.slices(region)

    def write(self, values: np.ndarray) -> None:
        """Take a strip (channel, row, column)."""
        self._rows.append(values.sum(axis=0, dtype=np.float64))

    def values(self) -> np.ndarray:
        """Return the map of the window."""
        return np.concatenate(self._rows)[self._here]


def plan_maps(runner: Runner, source, windows: Sequence[Window], method: Method, memory_mib: float) -> Plan:
    """Choose tiles for the maps of windows: those of the largest one.

    Raises
    ------
    ParameterError
        If the memory is too little.
    ModelError
        If the method has no rule for a layer of the network.
    """
    if not windows:
        raise ModelError("There is no window to map.")
    largest = max(windows, key=lambda window: window.rows * window.cols)
    region = largest.grown(runner.radius, within=Window(0, 0, source.rows, source.cols))
    return plan_relevance(runner, source, region, method, memory_mib)
