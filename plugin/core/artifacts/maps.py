"""Maps of one window by any method of relevance: of the channels on the SAR grid, and of the radiometry's cells.

All tests work with a :class:`Mapper`: they show it inputs and take its maps. :class:`NetworkMapper` is the one of a
network; it runs :func:`floelens.plugin.core.relevance.run.run_relevance` on a patch in memory, so that a window's map
is the very map of the scene there: every pixel within reach of the window's inputs is explained.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...ground.errors import ModelError
from ...ground.protocols import Patch, Progress
from ...ground.vocabulary.relevance_methods import METHODS
from ...ground.window import Window
from ...networks.contract import GradientCrop
from ..relevance.focus import Focus, FocusedRunner
from ..relevance.methods import INTEGRATED_GRADIENTS, OCCLUSION, Method, follows_gates, gradient_crop
from ..relevance.run import RelevanceResult, plan_relevance, run_relevance
from ..relevance.uncertainty import check_alike
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from ..target.target import Target
from .periods import structural_periods
from .variants import layers_with_weights, padded_otherwise, randomised

# Methods compared with each other: those of which relevance adds up to a logit; occlusion would take longer than all
# others together.
COMPARED = tuple(word for word, method in METHODS.items() if method.times_input and word != OCCLUSION)

# What stands in gaps and on land instead of the training mean, in standard deviations.
OTHER_FILL = 1.0
# Warnings that are passed on: a study makes hundreds of maps.
MOST_WARNINGS = 3


@dataclass(frozen=True)
class Maps:
    """What one explanation of a window gives.

    Parameters
    ----------
    fine : numpy.ndarray
        (row, column), float64: relevance of the channels on the SAR grid, added up; NaN where not valid.
    cells : numpy.ndarray or None
        (cell row, cell column), float64: relevance of the radiometer's channels, added up; NaN at gaps. None for a
        network without, and for windows that are not made of whole cells.
    relevance_sum, target_sum : float
        All relevance that inputs received, and the sum of the explained logits, from a mapper that is to give `sums`.
    """

    fine: np.ndarray
    cells: np.ndarray | None = None
    relevance_sum: float = float("nan")
    target_sum: float = float("nan")


class Mapper(Protocol):
    """What makes maps."""

    radius: int
    periods: tuple[int, ...]
    ratio: int
    feeding_axis: int | None

    def needs(self, core: Window, margin: int = 0) -> Window:
        """Return the window that a patch must cover for the map of `core`, moved by up to `margin` pixels."""

    def maps(self, patch: Patch, core: Window) -> Maps:
        """Return the maps of `core` for the inputs of a patch."""

    def relevance(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the map (row, column) of `core` on the SAR grid alone."""

    def logits(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the explained logit (row, column) at each pixel of `core`."""

    def zero(self, patch: Patch) -> Patch:
        """Return the patch with every channel at its training mean."""

    def depth(self) -> int:
        """Return the number of layers that can be randomised."""

    def randomised(self, draw: int, layers: int | None = None) -> Mapper:
        """Return the same of a network with shuffled weights, in the last `layers` layers or all."""

    def refilled(self) -> Mapper:
        """Return the same with another value in gaps and on land."""

    def padded(self) -> Mapper | None:
        """Return the same of a network that pads with the nearest value; None where nothing pads with zeros."""

    def compared(self) -> Mapping[str, Mapper]:
        """Return the same by every method that can be compared, by their words."""


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
    feeding_axis : int, optional
        Axis along which the network reads a scene; None without a direction.
    sums : bool
        Whether sums of relevance and of logits are right, for which all logits must be.
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
        feeding_axis: int | None = None,
        sums: bool = False,
    ) -> None:
        self._runner, self._target, self._method = runner, target, method
        self._scene, self._region, self._plan = scene, region, plan
        self._progress = progress
        self._crop = None if sums else self._gradient_crop()
        self.cost = cost or Cost()
        self.radius, self.ratio, self.feeding_axis = runner.radius, runner.ratio, feeding_axis
        self.periods = structural_periods(runner.module, runner.ratio)
        self._radiometry = radiometer_channels(runner)

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

    def maps(self, patch: Patch, core: Window) -> Maps:
        """Return the maps of `core` for the inputs of a patch."""
        explained = core.grown(self.radius, within=self._region)
        sink = _Sum(explained, core)
        source = PatchSource(patch, self._scene, self._runner.ratio)
        hushed = Hushed(self._progress, self.cost)
        quicker = self._with_known_seeds(patch, core, explained)
        if quicker is not None:
            runner, plan = quicker
            sink = _Sum(plan.region, core)
        else:
            runner, plan = self._runner, self._plan_of(core, explained)
        audited = plan.radius == self._plan.radius
        result = run_relevance(
            runner, source, plan, self._target, self._method, sink, hushed, audited=audited
        )
        conservation = result.conservation
        received = conservation.relevance_sum + conservation.masked_input + conservation.outside_region
        self.cost.pixels += self.passes * core.rows * core.cols
        return Maps(sink.values(), self._cells(result, core), float(received), float(conservation.target_sum))

    def _with_known_seeds(self, patch: Patch, core: Window, explained: Window) -> tuple[Runner, Plan] | None:
        """Return a runner of gradients on no more pixels than gates look at, and its one tile; None where it has none.

        Seeds are the same at all pixels that are explained, and known without the logits.
        """
        paths, crop = self._runner.fast, self._crop
        if crop is None or paths.known_seeds is None or not follows_gates(self._method):
            return None
        import torch

        near = core.grown(paths.known_seeds_margin, within=self._scene)
        if near.intersection(self._region) != near:
            return None
        plan = dataclasses.replace(self._plan, region=near, radius=0)
        tile = plan.tile(plan.region)
        around = core.grown(self.radius, within=self._scene)
        seeded = np.zeros((around.rows, around.cols), bool)
        seeded[explained.slices(around)] = patch.valid[explained.slices(patch.window)]
        if plan.count > 1 or min(seeded.shape) < crop.least_side or not seeded[core.slices(around)].any():
            return None
        runner = copy.copy(self._runner)
        gradient = paths.known_seeds(
            torch.from_numpy(seeded).to(runner.device), around.shared_sides(self._scene),
            near.slices(around), near.slices(tile.input),
        )  # fmt: skip
        runner.fast = dataclasses.replace(paths, gradient=gradient)
        return runner, plan

    def _plan_of(self, core: Window, explained: Window) -> Plan:
        """Return the tiles of the map of a window; a single one sees no more than its gradients need."""
        plan, crop = dataclasses.replace(self._plan, region=explained), self._crop
        if crop is None or plan.count > 1:  # of several each would lack what the others add
            return plan
        smaller = dataclasses.replace(plan, radius=0)
        tile = smaller.tile(explained).input
        right = explained.intersection(core.grown(crop.margin, within=self._scene))
        inside = right == core.grown(crop.margin, within=self._scene) and not any(
            tile.shared_sides(self._scene)
        )
        return smaller if inside and min(tile.rows, tile.cols) >= crop.least_side else plan

    def _gradient_crop(self) -> GradientCrop | None:
        """Return which tiles gradients need; None where they depend on the class that is predicted."""
        runner = self._runner
        if self._target.resolve(runner.card).wanted is None:
            return None
        return gradient_crop(runner, self._method)

    def relevance(self, patch: Patch, core: Window) -> np.ndarray:
        """Return the map (row, column) of `core` on the SAR grid alone."""
        return self.maps(patch, core).fine

    def _cells(self, result: RelevanceResult, core: Window) -> np.ndarray | None:
        """Return the relevance of the radiometer's channels in the cells of a window that is made of whole ones."""
        if not self._radiometry or core != core.snapped(self.ratio, within=self._scene):
            return None
        here = core.coarser(self.ratio).slices()
        return result.coarse_relevance[(self._radiometry, *here)].sum(axis=0)

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

    def of_network(self, runner: Runner) -> NetworkMapper:
        """Return the same of another network that reads the same channels and maps the same classes.

        Raises
        ------
        ModelError
            If it does not.
        """
        check_alike(self._runner, runner)
        if (runner.radius, runner.alignment) != (self._runner.radius, self._runner.alignment):
            raise ModelError(
                f"ENSEMBLE: model '{runner.card.id}' has another receptive field or alignment than "
                f"'{self._runner.card.id}'. Name networks of one architecture."
            )
        return self._with(runner, self._method)

    def refilled(self) -> NetworkMapper:
        """Return the same with another value in gaps and on land."""
        usual = any(channel.fill for channel in self._runner.fine_channels)
        focus = Focus(mask_fill=0.0 if usual else OTHER_FILL)
        return self._with(FocusedRunner.of(self._runner, focus), self._method)

    def padded(self) -> NetworkMapper | None:
        """Return the same of a network that pads with the nearest value; None where nothing pads with zeros."""
        runner = self._runner
        module = padded_otherwise(runner.module)
        if module is None:
            return None
        # Fast paths compute the padding of the definition: without them.
        other = Runner(runner.card, module, runner.device.type, runner.precision, fast=False)
        return self._with(other, self._method)

    def compared(self) -> dict[str, NetworkMapper]:
        """Return the same by every method that can be compared, by their words."""
        mappers = {}
        for word in COMPARED:
            method = self._method
            if word != method.name:
                method = Method(word, steps=method.steps, refine=False, tolerance=1.0)
            mappers[word] = self._with(self._runner, method, sums=True)
        return mappers

    def _with(self, runner: Runner, method: Method, sums: bool = False) -> NetworkMapper:
        return NetworkMapper(
            runner, self._target, method, self._scene, self._region, self._plan, self._progress, self.cost,
            self.feeding_axis, sums,
        )  # fmt: skip


def radiometer_channels(runner: Runner) -> list[int]:
    """Return the positions of the radiometer's channels among those on coarse cells."""
    return [at for at, channel in enumerate(runner.coarse_channels) if channel.sensor == "mwr"]


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
