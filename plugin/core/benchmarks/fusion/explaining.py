"""Maps of a trained network by each method, as its tools make them of a scene.

Every map is held as what a SAR pixel is given, each channel on its own grid: the mean over a cell's pixels of a
radiometer's contributions, and the relevance of a cell divided by its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ground.protocols import Progress
from ....ground.window import Window
from ....networks.card import ModelCard
from ...ablation.run import LOGIT, Ablator, run_ablation
from ...contributions.run import Splitting, run_contributions
from ...relevance.methods import Method
from ...relevance.run import run_relevance
from ...streaming.runner import Runner
from ...streaming.tiling import Plan
from ...target.channel_groups import CHANNEL, channel_groups
from ...target.target import Target
from .scenes import FusionScene, SceneSource

INTEGRATED, GATED, ABLATION = "integrated", "gated", "ablation"
OF_OUTPUT = (INTEGRATED, GATED, ABLATION)  # methods that part the logit of each output pixel


@dataclass(frozen=True, eq=False)
class Maps:
    """What each channel is given at each place of its own grid, over the inner part of a scene.

    Parameters
    ----------
    fine : numpy.ndarray
        (fine channel, row, column), float64: logit per SAR pixel.
    coarse : numpy.ndarray
        (coarse channel, cell row, cell column), float64: logit per SAR pixel.
    """

    fine: np.ndarray
    coarse: np.ndarray

    @classmethod
    def of_output(cls, bands: np.ndarray, channels: int, ratio: int) -> Maps:
        """Return maps of bands (channel, row, column) at the SAR pixels, the first `channels` of them fine."""
        rest = bands[channels:].astype(np.float64)
        number, rows, cols = rest.shape
        cells = rest.reshape(number, rows // ratio, ratio, cols // ratio, ratio).mean((2, 4))
        return cls(bands[:channels].astype(np.float64), cells)

    @classmethod
    def of_input(cls, fine: np.ndarray, coarse: np.ndarray, inner: Window, ratio: int) -> Maps:
        """Return maps of relevance over the inner part, of cells (channel, row, column) of the whole scene."""
        cells = coarse[(slice(None), *inner.coarser(ratio).slices())]
        return cls(fine.astype(np.float64), cells.astype(np.float64) / ratio**2)


class _Array:
    """A sink that keeps all strips."""

    def __init__(self) -> None:
        self._strips: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Keep a strip."""
        self._strips.append(values.copy())

    def values(self) -> np.ndarray:
        """Return (band, row, column)."""
        return np.concatenate(self._strips, axis=1)


class Explainers:
    """The methods of the tools, for one network.

    Parameters
    ----------
    runner : Runner
        The network.
    steps : int
        Of contributions along the path from the baseline.
    progress : Progress
        Informed, and asked whether to go on.
    """

    def __init__(self, runner: Runner, steps: int, progress: Progress) -> None:
        self._runner, self._steps, self._progress = runner, steps, progress
        self._seeding = Target().resolve(runner.card)

    @property
    def card(self) -> ModelCard:
        """The network's card."""
        return self._runner.card

    def contributions(self, word: str, scene: FusionScene) -> Maps:
        """Return the parts of the logit of each output pixel by `integrated`, `gated` or `ablation`."""
        sink, plan = _Array(), self._plan(scene)
        if word == ABLATION:
            groups = channel_groups(self.card, CHANNEL)
            ablator = Ablator(self._runner, self._seeding, groups, LOGIT, shapley=False)
            run_ablation(self._runner, SceneSource(scene), plan, ablator, sink, self._progress)
            bands = sink.values()
        else:
            splitting = Splitting(method=word, groups=CHANNEL, steps=self._steps)
            run_contributions(
                self._runner, SceneSource(scene), plan, self._seeding, splitting, sink, self._progress
            )
            bands = sink.values()[:-2]
        return Maps.of_output(bands, len(self.card.fine_channels), self.card.ratio)

    def relevance(self, method: Method, scene: FusionScene) -> Maps:
        """Return the relevance of the inputs for the sum of the logits of the inner pixels."""
        sink, plan = _Array(), self._plan(scene)
        result = run_relevance(self._runner, SceneSource(scene), plan, Target(), method, sink, self._progress)
        return Maps.of_input(sink.values(), result.coarse_relevance, scene.inner, self.card.ratio)

    def _plan(self, scene: FusionScene) -> Plan:
        """Return one tile of the whole inner part: scenes are small."""
        runner, inner = self._runner, scene.inner
        whole = Window(0, 0, scene.rows, scene.cols)
        return Plan(inner, whole, runner.radius, runner.alignment, inner.rows, inner.cols)
