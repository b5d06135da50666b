"""Sanity measures of relevance maps of scenes: a sample is the inner part of a scene, SAR pixels and cells together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ....ground.protocols import Progress
from ...artifacts.variants import randomised
from ...relevance.methods import Method
from ...sanity.run import Explained, Joint, Settings, sanity
from ...streaming.runner import Runner
from ..behaviour import HIGHER
from .explaining import Explainers
from .networks import predicted
from .scenes import FusionScene


def scene_sanity(
    runner: Runner,
    method: Method,
    scenes: Sequence[FusionScene],
    settings: Settings,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Return the sanity measures of a method's relevance of some scenes, (scene,) each.

    Parameters
    ----------
    runner : Runner
        The trained network.
    method : Method
        What explains the sum of the logits of a scene's inner part, from the channels' means.
    scenes : sequence of FusionScene
        All of one size.
    settings : Settings
        What is drawn.
    progress : Progress
        Asked whether to go on.
    check : callable
        Called between passes; may raise.
    """
    joint, _ = Joint.of(_inner_parts(scenes[:1]))
    levels = (HIGHER,) * len(runner.card.channels) if method.facts.takes_baseline else ()
    higher = dataclasses.replace(method, baseline=levels)
    untrained = Runner(runner.card, randomised(runner.module, settings.seed), "cpu", runner.precision)
    found: list[dict[str, np.ndarray]] = []
    for number, scene in enumerate(scenes):  # one at a time: a scene is large
        task = _Scene(scene, joint, method, progress)
        raised = _Scene(scene, joint, higher, progress)
        explained = Explained(
            partial(task.predict, runner),
            partial(task.explain, runner),
            slopes=not method.times_input,
            untrained=partial(task.explain, untrained),
            rebased=partial(raised.explain, runner) if levels else None,
        )
        own = dataclasses.replace(settings, seed=settings.seed + number)
        found.append(sanity([joint.join(_inner_parts([scene]))], explained, own, check))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _inner_parts(scenes: Sequence[FusionScene]) -> list[np.ndarray]:
    """Return the inner parts of scenes, (scene, channel, row, column): SAR pixels, and cells."""
    inner = scenes[0].inner
    cells = inner.coarser(scenes[0].ratio)
    return [
        np.stack([scene.fine[(slice(None), *inner.slices())] for scene in scenes]),
        np.stack([scene.coarse[(slice(None), *cells.slices())] for scene in scenes]),
    ]


@dataclass(frozen=True)
class _Scene:
    """A scene whose inner part is another one, (sample, value) as it is joined."""

    scene: FusionScene
    joint: Joint
    method: Method
    progress: Progress

    def _with(self, values: np.ndarray) -> FusionScene:
        scene = self.scene
        fine, coarse = (part[0].astype(np.float32) for part in self.joint.split(values[None]))
        changed = dataclasses.replace(scene, fine=scene.fine.copy(), coarse=scene.coarse.copy())
        changed.fine[(slice(None), *scene.inner.slices())] = fine
        changed.coarse[(slice(None), *scene.inner.coarser(scene.ratio).slices())] = coarse
        return changed

    def predict(self, runner: Runner, values: np.ndarray) -> np.ndarray:
        """Return the sum of the logits of the inner part, (sample,)."""
        return np.array([predicted(runner, self._with(each)).sum() for each in values])

    def explain(self, runner: Runner, values: np.ndarray) -> np.ndarray:
        """Return maps (sample, value): what each input is given, a cell for all its pixels."""
        explainers = Explainers(runner, 1, self.progress)
        found = [explainers.relevance(self.method, self._with(each)) for each in values]
        fine = np.stack([maps.fine for maps in found])
        return self.joint.join([fine, np.stack([maps.coarse for maps in found]) * self.scene.ratio**2])
