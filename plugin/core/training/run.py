"""Training a fusion network on patches of simulated scenes.

Its trunk learns by Adam's steps; its last layer, a regression on what the trunk puts out and on the radiometer's
channels, is fitted by Newton's method now and then, so that both go on from what the other can do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...ground.protocols import Progress
from ...ground.window import Window
from ...networks.layers import SamePool2d
from ..simulation import NO_DATA
from .last_layer import Rows, fit_last_layer
from .patches import Patches, Recipe, tensors


class DoublingPool(nn.Module):
    """The mean of :class:`SamePool2d` for a power of two, by doubling sums: the same numbers, faster.

    Parameters
    ----------
    pool : SamePool2d
        The pool to stand in for.
    """

    def __init__(self, pool: SamePool2d) -> None:
        super().__init__()
        if pool.size & (pool.size - 1):
            raise ValueError(f"a pool over {pool.size} pixels cannot be summed by doubling")
        self.pool = pool

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the means: (sample, channel, row, column) in and out."""
        pool = self.pool
        rows, cols = values.shape[-2:]
        sums = functional.pad(values, (pool.before, pool.after, pool.before, pool.after))
        reach = 1
        while reach < pool.size:
            sums = sums[:, :, :-reach] + sums[:, :, reach:]
            sums = sums[..., :-reach] + sums[..., reach:]
            reach *= 2
        return sums / (pool.counts(rows, values)[:, None] * pool.counts(cols, values))


def with_doubling_pools(module: nn.Module) -> nn.Module:
    """Replace the pools of a network by faster ones, in place; it has no parameters in them."""
    for name, child in module.named_children():
        if isinstance(child, SamePool2d) and child.size & (child.size - 1) == 0:
            setattr(module, name, DoublingPool(child))
        else:
            with_doubling_pools(child)
    return module


def concentration_loss(logits: torch.Tensor, concentration: np.ndarray, icetype: np.ndarray) -> torch.Tensor:
    """Return the mean cross-entropy with the concentration as soft target, over the sea."""
    target = torch.from_numpy(concentration.astype(np.float32))
    sea = torch.isfinite(target)
    return functional.binary_cross_entropy_with_logits(logits[:, 0][sea], target[sea])


def icetype_loss(logits: torch.Tensor, concentration: np.ndarray, icetype: np.ndarray) -> torch.Tensor:
    """Return the mean cross-entropy of the ice type, over the sea."""
    target = torch.from_numpy(icetype.astype(np.int64))
    return functional.cross_entropy(logits, target, ignore_index=NO_DATA)


LOSSES = {"concentration": concentration_loss, "icetype": icetype_loss}

REFIT_PIXELS, LAST_PIXELS = (3, 5), (4, 4)
"""Where the last layer is fitted while the network learns and at the end: side in cells, every n-th pixel."""

OUTPUTS = {"concentration": 1, "icetype": 4}
"""Logits of each task; a network trained on both puts out one task's after the other's, in this order."""


def outputs_of(task: str, tasks: Sequence[str]) -> slice:
    """Return where the logits of one of the tasks lie."""
    before = sum(OUTPUTS[name] for name in tasks[: tasks.index(task)])
    return slice(before, before + OUTPUTS[task])


class DecorrelatedLayer(nn.Module):
    """A last 1 x 1 convolution while it learns: its inputs decorrelated, so that one rate fits all.

    The radiometer's channels are so much alike, and so are the parts of a scale, that their weights would need
    thousands of steps otherwise.

    Parameters
    ----------
    outputs, components : int
        Of the layer.
    """

    _LEAST = 1e-4  # smallest variance that is resolved, as a share of the largest

    def __init__(self, outputs: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mixing", torch.eye(components))
        self.register_buffer("centre", torch.zeros(components))
        self.mixed = nn.Parameter(torch.zeros(outputs, components))
        self.shift = nn.Parameter(torch.zeros(outputs))

    @property
    def weight(self) -> torch.Tensor:
        """The weights (output, component) on the components as they are."""
        return self.mixed @ self.mixing

    @property
    def bias(self) -> torch.Tensor:
        """The constants (output,) beside them."""
        return self.shift - self.weight @ self.centre

    def forward(self, components: torch.Tensor) -> torch.Tensor:
        """Return the logits of components (sample, component, row, column)."""
        return functional.conv2d(components, self.weight[:, :, None, None], self.bias)

    def fit(
        self, components: np.ndarray, targets: Sequence[tuple[np.ndarray, int]], prior: float
    ) -> list[float]:
        """Decorrelate anew, fit the weights, and return the mean cross-entropy of each target.

        Parameters
        ----------
        components : numpy.ndarray
            (row, component).
        targets : sequence of (numpy.ndarray, int)
            Targets and number of classes of each task, as for :class:`.Rows`.
        prior : float
            As for :func:`.fit_last_layer`.
        """
        centre = components.mean(axis=0, dtype=np.float64)
        variances, directions = np.linalg.eigh(np.cov(components.T.astype(np.float64)))
        mixing = (directions / np.sqrt(np.maximum(variances, self._LEAST * variances[-1]))).T
        mixed = ((components - centre) @ mixing.T).astype(np.float32)
        fits = [fit_last_layer(Rows(mixed, *wanted), prior=prior, tolerance=1e-2) for wanted in targets]
        weights = torch.from_numpy(np.concatenate([fit.weights for fit in fits]))
        with torch.no_grad():
            self.mixing.copy_(torch.from_numpy(mixing))
            self.centre.copy_(torch.from_numpy(centre))
            self.mixed.copy_(weights[:, 1:])
            self.shift.copy_(weights[:, 0])
        return [fit.loss for fit in fits]

    def write(self, layer: nn.Conv2d) -> None:
        """Write the weights into the layer of a network."""
        with torch.no_grad():
            layer.weight.copy_(self.weight[:, :, None, None])
            layer.bias.copy_(self.bias)


def settle(module: nn.Module, patches: Patches, count: int = 48, batch: int = 8) -> None:
    """Measure the statistics of a network's batch norms on patches from all over, in place; no dropout."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    module.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all that comes
    count = min(count, len(patches))
    chosen = np.linspace(0, len(patches) - 1, count).astype(int)
    for start in range(0, count if norms else 0, batch):
        with torch.no_grad():
            part = tensors(patches, chosen[start : start + batch], Window(0, 0, patches.cells, patches.cells))
            module.components(*part)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    module.eval()


def gather_rows(
    module: nn.Module,
    patches: Patches,
    order: np.ndarray,
    pixels: tuple[int, int],
    inset: int,
    draw: np.random.Generator,
    batch: int = 32,
) -> tuple[np.ndarray, ...]:
    """Return inputs of a network's last layer and the truth at sea pixels of a part of each patch.

    Parameters
    ----------
    module : torch.nn.Module
        ``components(fine, coarse)``.
    patches : Patches
        Where the pixels come from.
    order : numpy.ndarray
        Which patches.
    pixels : tuple of int
        Side of the part in cells, and the step from one pixel taken to the next, down and across.
    inset : int
        Pixels at the border of the part that are left out, since their neighbours lie beyond it.
    draw : numpy.random.Generator
        Chooses the part, anew for each `batch` of patches.
    batch : int
        Patches at a time.

    Returns
    -------
    components : numpy.ndarray
        (row, component) float32.
    concentration, icetype : numpy.ndarray
        (row,) float32 and uint8.
    ice_free : numpy.ndarray
        (row,) bool: there is no ice in the whole patch.
    """
    module.eval()
    side = min(pixels[0], patches.cells)
    places = slice(inset, side * patches.ratio - inset, pixels[1])
    gathered: list[tuple[np.ndarray, ...]] = []
    for start in range(0, len(order), batch):
        chosen = np.sort(order[start : start + batch])
        row, col = (int(place) for place in draw.integers(0, patches.cells - side + 1, size=2))
        cells = Window(row, col, side, side)
        with torch.no_grad():
            values = module.components(*tensors(patches, chosen, cells))
        values = values[:, :, places, places].permute(0, 2, 3, 1).numpy()
        part = (chosen, *patches.pixels(cells).slices())
        concentration, icetype = (
            truth[part][:, places, places] for truth in (patches.concentration, patches.icetype)
        )
        sea = icetype != NO_DATA
        free = np.isin(patches.icetype[chosen], (0, NO_DATA)).all(axis=(1, 2))
        free = np.broadcast_to(free[:, None, None], sea.shape)[sea]
        gathered.append((values[sea], concentration[sea].astype(np.float32), icetype[sea], free))
    return tuple(np.concatenate(part) for part in zip(*gathered))


def targets_of(
    tasks: Sequence[str], concentration: np.ndarray, icetype: np.ndarray
) -> list[tuple[np.ndarray, int]]:
    """Return the target and the number of classes of each task, as :class:`.Rows` takes them."""
    known = {"concentration": concentration, "icetype": icetype}
    return [(known[task], OUTPUTS[task]) for task in tasks]


def train(
    module: nn.Module, patches: Patches, recipe: Recipe, tasks: Sequence[str], progress: Progress
) -> list[float]:
    """Train a network in place and return the mean loss of each hundredth of the steps.

    Batch norm and dropout are in evaluation mode all along: a batch of a few patches, all ice or all water, has
    no statistics of its own worth the name. At some steps the last layer is fitted to many patches at once, so
    that the layers before it learn what it cannot know already from the radiometer.

    Parameters
    ----------
    module : torch.nn.Module
        ``components(fine, coarse)`` → inputs of its last layer ``output``.
    patches : Patches
        What to learn from.
    recipe : Recipe
        How.
    tasks : sequence of {'concentration', 'icetype'}
        Which truths; their losses are summed.
    progress : Progress
        Reports every hundredth step or so.
    """
    last = DecorrelatedLayer(*module.output.weight.shape[:2])
    trunk = [value for name, value in module.named_parameters() if not name.startswith("output.")]
    optimiser = torch.optim.Adam([*trunk, *last.parameters()], lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=max(recipe.steps, 20), pct_start=0.1
    )
    draw = np.random.default_rng(recipe.first_seed)
    side = min(patches.cells, max(1, recipe.crop // patches.ratio))
    within = Window(0, 0, side * patches.ratio, side * patches.ratio)
    inner = within.grown(-recipe.margin, within=within)
    history: list[float] = []
    recent: list[float] = []
    order = np.empty(0, dtype=int)
    for step in range(recipe.steps):
        if step in recipe.refits:
            settle(module, patches)
            few = draw.permutation(len(patches))[: recipe.refit_patches]
            components, *truth, _ = gather_rows(module, patches, few, REFIT_PIXELS, recipe.inset, draw)
            losses = last.fit(components, targets_of(tasks, *truth), recipe.prior)
            for value in last.parameters():
                optimiser.state.pop(value, None)
            progress.report(step / recipe.steps, f"last layer fitted, losses {np.round(losses, 4)}")
        if len(order) < recipe.batch:
            order = draw.permutation(len(patches))
        chosen, order = np.sort(order[: recipe.batch]), order[recipe.batch :]
        row, col = (int(place) for place in draw.integers(0, patches.cells - side + 1, size=2))
        cells = Window(row, col, side, side)
        logits = last(module.components(*tensors(patches, chosen, cells)))[(..., *inner.slices())]
        part = (chosen, *patches.pixels(cells).slices())
        truth = [values[part][(..., *inner.slices())] for values in (patches.concentration, patches.icetype)]
        loss = sum(LOSSES[task](logits[:, outputs_of(task, tasks)], *truth) for task in tasks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        recent.append(float(loss.detach()))
        if (step + 1) % max(1, recipe.steps // 100) == 0:
            history.append(float(np.mean(recent)))
            recent.clear()
            progress.report(
                (step + 1) / recipe.steps, f"step {step + 1} of {recipe.steps}, loss {history[-1]:.4f}"
            )
    settle(module, patches)
    last.write(module.output)
    return history
