"""The project's own fusion network, trained on additive targets as the bundled models are on simulated ice.

What is learnt is a probability whose logit is the target: cross-entropy with soft targets is least where the network's
logit is the target itself. So :mod:`floelens.plugin.core.training` trains it as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from ....ground.protocols import Progress
from ....networks.aspp.card import aspp_card
from ....networks.card import Head, HeadClass, ModelCard
from ....networks.package import build
from ...streaming.runner import Inputs, Runner
from ...training.patches import Patches, Recipe
from ...training.run import LAST_PIXELS, DecorrelatedLayer, gather_rows, train, with_doubling_pools
from .exact import set_exact
from .generator import Fusion
from .scenes import FusionScene

TASK = "concentration"
PIXEL_SIZE = 80.0  # m, of the maps
_OTHERS, _REPEAT = 10, 1_000_003  # parts of the scenes, and seeds, of further trainings
PRIOR = 1e-6  # of the last fit: components that repeat each other need some


@dataclass(frozen=True)
class Effort:
    """How long a network is trained, and on how much.

    Parameters
    ----------
    patches, cells : int
        Scenes to train on, and cells along their sides.
    steps, batch, crop : int
        Of Adam; scenes in a step, and pixels along the side of the part that it looks at.
    """

    patches: int
    cells: int
    steps: int
    batch: int
    crop: int

    def recipe(self, seed: int, fusion: Fusion) -> Recipe:
        """Return the recipe of the training.

        Pixels at the border of a part do not count: zeros lie beyond, and interpolated cells would need their
        neighbours.
        """
        return Recipe(
            first_seed=seed,
            steps=self.steps,
            batch=self.batch,
            crop=self.crop,
            margin=max(4, fusion.ratio // 2 + 1) if fusion.free else 4,
            rate=4e-3 if fusion.free else 1e-2,
            refits=tuple(step for step in ((0,) if fusion.free else (0, 200, 500)) if step < self.steps),
            refit_patches=self.patches,
            inset=20,
        )


def card_of(fusion: Fusion) -> ModelCard:
    """Return the card of the network of a variant; its channels are standardised already."""
    head = Head(TASK, "sigmoid", (HeadClass("target", 1, "#b35806"),))
    return aspp_card(
        f"fusion-benchmark-{fusion.variant}".replace("_", "-"),
        fusion.variant,
        fusion.ratio,
        [head],
        title="Additive benchmark",
        pixel_size_m=PIXEL_SIZE,
        channels=fusion.channels,
    )


def trained(
    fusion: Fusion, effort: Effort, seed: int, progress: Progress, repeat: int = 0
) -> tuple[ModelCard, nn.Module]:
    """Return card and network, trained on scenes of the seed.

    Parameters
    ----------
    fusion : Fusion
        Draws the scenes; its variant is trained.
    effort : Effort
        How long.
    seed : int
        Of scenes, weights and the order of steps.
    progress : Progress
        Informed of the steps; may raise.
    repeat : int
        Which training on the same target: another one has other scenes, weights and steps.
    """
    part = _OTHERS + repeat if repeat else 0
    scenes, contributions = fusion.samples(seed, effort.patches, effort.cells, part)
    seed += _REPEAT * repeat
    logits = np.stack([each.sum(0) for each in contributions])
    patches = Patches(
        np.stack([scene.fine for scene in scenes]),
        np.stack([scene.coarse for scene in scenes]),
        expit(logits).astype(np.float32),
        np.zeros(logits.shape, np.uint8),
    )
    card, recipe = card_of(fusion), effort.recipe(seed, fusion)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = with_doubling_pools(build(card))
        train(module, patches, recipe, [TASK], progress)
    draw = np.random.default_rng(seed)
    components, soft, *_ = gather_rows(
        module, patches, np.arange(len(patches)), LAST_PIXELS, recipe.inset, draw
    )
    last = DecorrelatedLayer(*module.output.weight.shape[:2])
    last.fit(components, [(soft, 1)], PRIOR)
    network = build(card)
    network.load_state_dict(module.state_dict())
    last.write(network.output)
    return card, network.eval().requires_grad_(False)


def exact(fusion: Fusion, seed: int) -> tuple[ModelCard, nn.Module]:
    """Return card and network of which the weights are made from the functions: what is missed, no training mends."""
    card = card_of(fusion)
    network = build(card)
    set_exact(network, fusion.target(seed))
    return card, network.eval().requires_grad_(False)


def predicted(runner: Runner, scene: FusionScene) -> np.ndarray:
    """Return the logits of the inner pixels of a scene: (row, column), float64."""
    inputs = Inputs(torch.from_numpy(scene.fine)[None], torch.from_numpy(scene.coarse)[None])
    logits = runner.logits(inputs.to(runner.input_dtype))[0, 0].double().numpy()
    return logits[scene.inner.slices()]


def explained_variance(predictions: Sequence[np.ndarray], targets: Sequence[np.ndarray]) -> float:
    """Return R², 1 - Σ(f - y)²/Σ(y - mean)², over all pixels of some scenes."""
    estimate, target = (
        np.concatenate([each.ravel() for each in values]) for values in (predictions, targets)
    )
    return float(1 - np.square(estimate - target).sum() / np.square(target - target.mean()).sum())
