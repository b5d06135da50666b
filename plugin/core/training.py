"""Training a fusion network on simulated scenes, and measuring what it learned on unseen ones.

A *patch* is one block of a simulated scene: 200 x 200 pixels at 80 m with its 8 x 8 radiometer cells.
The radiometer sees the whole scene around the patch, so footprints are right up to its edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...models.layers import SamePool2d
from .protocols import Progress
from .simulation import BLOCK, CHANNELS, LAND, NO_DATA, SimulatedScene
from .window import Window

SCENE_PIXELS = 5000
"""Side of the simulated scenes patches are taken from: 400 km at 80 m, as wide as a Sentinel-1 EW scene."""

PIXEL_SIZE = 80.0
"""Pixel size of the scenes, m; a radiometer cell of 2 km is 25 pixels."""


@dataclass(frozen=True)
class Standards:
    """Mean and standard deviation by which a network's channels are standardised.

    Parameters
    ----------
    fine, coarse : numpy.ndarray
        (channel, 2) float64: mean and standard deviation.
    """

    fine: np.ndarray
    coarse: np.ndarray

    @staticmethod
    def apply(values: np.ndarray, standards: np.ndarray) -> np.ndarray:
        """Return (channel, row, column) `values` standardised, 0 (the mean) where they are NaN."""
        mean, deviation = standards[:, 0, None, None], standards[:, 1, None, None]
        return np.nan_to_num((values - mean) / deviation, nan=0.0)


@dataclass(frozen=True)
class Patches:
    """Standardised input and truth of many patches.

    Parameters
    ----------
    fine : numpy.ndarray
        (patch, channel, row, column) float16.
    coarse : numpy.ndarray
        (patch, channel, cell row, cell column) float32.
    concentration : numpy.ndarray
        (patch, row, column) float16, 0..1, NaN on land.
    icetype : numpy.ndarray
        (patch, row, column) uint8, 0..3, 255 on land.
    """

    fine: np.ndarray
    coarse: np.ndarray
    concentration: np.ndarray
    icetype: np.ndarray

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.fine)


@dataclass(frozen=True)
class Recipe:
    """What is trained on, and how.

    Parameters
    ----------
    first_seed : int
        Scenes are simulated from the seeds that follow, one by one.
    scenes : int
        Number of scenes.
    patches : int
        Patches of each.
    epochs : int
        How often each patch is seen.
    batch : int
        Patches in a step.
    crop : int
        Side of the part of a patch that a step looks at, pixels: another part every time.
    margin : int
        Pixels at the border of that part that do not enter the loss, since zeros lie beyond them.
    rate : float
        Adam's learning rate at the start; it falls to zero along a cosine.
    test_seed, test_scenes : int
        Seeds of the scenes the skill is measured on.
    test_blocks : int
        Side of the part of each test scene, in blocks.
    """

    first_seed: int = 100_000
    scenes: int = 240
    patches: int = 6
    epochs: int = 3
    batch: int = 4
    crop: int = 150
    margin: int = 16
    rate: float = 4e-3
    test_seed: int = 900_000
    test_scenes: int = 120
    test_blocks: int = 2

    @property
    def steps(self) -> int:
        """Number of optimisation steps."""
        return self.epochs * (self.scenes * self.patches // self.batch)


def choose_blocks(scene: SimulatedScene, draw: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Return blocks to train on: half anywhere, half where the concentration is between 3 and 97 %.

    Blocks mostly on land are left out; where there are not enough of the second kind, the first serves.
    """
    fractions, _ = scene.cell_fractions()
    cells = BLOCK // scene.ratio
    rows, cols = scene.rows // BLOCK, scene.cols // BLOCK
    blocks = fractions[:, : rows * cells, : cols * cells].reshape(len(fractions), rows, cells, cols, cells)
    water, land = blocks[0].mean(axis=(1, 3)), blocks[4].mean(axis=(1, 3))
    ice = 1.0 - water / np.maximum(1.0 - land, 1e-6)
    sea = land < 0.5
    anywhere = np.argwhere(sea)
    mixed = np.argwhere(sea & (ice > 0.03) & (ice < 0.97))
    chosen = list(draw.permutation(mixed)[: count // 2])
    chosen += list(draw.permutation(anywhere)[: count - len(chosen)])
    return [(int(row), int(col)) for row, col in chosen]


def _damaged(fine: np.ndarray, coarse: np.ndarray, classes: np.ndarray, draw: np.random.Generator) -> None:
    """Blank what may be missing in a real scene, in place: land, a border, a few cells."""
    if draw.uniform() < 0.5:
        fine[:, classes == LAND] = np.nan
    if draw.uniform() < 0.05:
        edge = int(draw.integers(10, BLOCK // 2))
        fine[:, :, :edge] = np.nan
    if draw.uniform() < 0.05:
        coarse[:, draw.uniform(size=coarse.shape[1:]) < 0.2] = np.nan


def simulate_patches(recipe: Recipe, standards: Standards, progress: Progress) -> Patches:
    """Return the training patches of a recipe."""
    total = recipe.scenes * recipe.patches
    fine = np.zeros((total, len(standards.fine), BLOCK, BLOCK), np.float16)
    cells = round(BLOCK * PIXEL_SIZE / 2000.0)
    coarse = np.zeros((total, len(CHANNELS), cells, cells), np.float32)
    concentration = np.full((total, BLOCK, BLOCK), np.nan, np.float16)
    icetype = np.full((total, BLOCK, BLOCK), NO_DATA, np.uint8)
    filled = 0
    for number in range(recipe.scenes):
        seed = recipe.first_seed + number
        scene = SimulatedScene(seed, SCENE_PIXELS, SCENE_PIXELS, PIXEL_SIZE)
        draw = np.random.default_rng(seed)
        temperature = scene.brightness_temperature()
        for row, col in choose_blocks(scene, draw, recipe.patches):
            window = Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK)
            surface = scene.surface(window)
            backscatter = scene.backscatter(window)
            seen = temperature[(slice(None), *window.coarser(scene.ratio).slices())].copy()
            _damaged(backscatter, seen, surface.classes, draw)
            fine[filled] = Standards.apply(backscatter, standards.fine)
            coarse[filled] = Standards.apply(seen, standards.coarse)
            concentration[filled] = surface.concentration
            icetype[filled] = surface.icetype
            filled += 1
        if number % 25 == 24:
            progress.report((number + 1) / recipe.scenes, f"simulated {number + 1} scenes")
    return Patches(fine[:filled], coarse[:filled], concentration[:filled], icetype[:filled])


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
    """Return the mean cross-entropy of the ice type, over the sea; the rarer young ice counts double."""
    target = torch.from_numpy(icetype.astype(np.int64))
    weight = torch.tensor([1.0, 2.0, 1.0, 1.0])
    return functional.cross_entropy(logits, target, weight=weight, ignore_index=NO_DATA)


LOSSES = {"concentration": concentration_loss, "icetype": icetype_loss}


def train(module: nn.Module, patches: Patches, recipe: Recipe, task: str, progress: Progress) -> list[float]:
    """Train a network in place and return the mean loss of each hundredth of the steps.

    Parameters
    ----------
    module : torch.nn.Module
        ``forward(fine, coarse)`` → logits.
    patches : Patches
        What to learn from.
    recipe : Recipe
        How.
    task : {'concentration', 'icetype'}
        Which truth.
    progress : Progress
        Told about every hundredth.
    """
    loss_of = LOSSES[task]
    module.train()
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.rate)
    steps = recipe.epochs * (len(patches) // recipe.batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    draw = np.random.default_rng(recipe.first_seed)
    cells = patches.coarse.shape[-1]
    ratio = patches.fine.shape[-1] // cells
    crop_cells = min(cells, max(1, recipe.crop // ratio))
    history: list[float] = []
    recent: list[float] = []
    done = 0
    for _ in range(recipe.epochs):
        order = draw.permutation(len(patches))
        for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
            chosen = np.sort(order[start : start + recipe.batch])
            row, col = draw.integers(0, cells - crop_cells + 1, size=2)
            part = Window(int(row), int(col), crop_cells, crop_cells)
            pixels = Window(part.row * ratio, part.col * ratio, crop_cells * ratio, crop_cells * ratio)
            inner = pixels.grown(-recipe.margin, within=pixels)
            fine = torch.from_numpy(patches.fine[(chosen, slice(None), *pixels.slices())].astype(np.float32))
            coarse = torch.from_numpy(patches.coarse[(chosen, slice(None), *part.slices())])
            logits = module(fine.contiguous(memory_format=torch.channels_last), coarse)
            truth = (chosen, *inner.slices())
            loss = loss_of(
                logits[(slice(None), slice(None), *inner.slices(pixels))],
                patches.concentration[truth],
                patches.icetype[truth],
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            recent.append(float(loss.detach()))
            done += 1
            if done % max(1, steps // 100) == 0:
                history.append(float(np.mean(recent)))
                recent.clear()
                progress.report(done / steps, f"step {done} of {steps}, loss {history[-1]:.4f}")
    module.eval()
    return history


@dataclass(frozen=True)
class TestScene:
    """Truth and prediction over a part of one unseen scene.

    Parameters
    ----------
    seed : int
        The scene's seed.
    summer : bool
        Whether it is a melting scene.
    concentration : numpy.ndarray
        (row, column) float32, 0..1, NaN on land.
    icetype : numpy.ndarray
        (row, column) uint8, 255 on land.
    logits : numpy.ndarray
        (output, row, column) float32.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    seed: int
    summer: bool
    concentration: np.ndarray
    icetype: np.ndarray
    logits: np.ndarray


def predicted_scenes(
    module: nn.Module, standards: Standards, seeds: Sequence[int], blocks: int, margin: int = 50
) -> Iterator[TestScene]:
    """Yield what a network maps in unseen scenes: one place anywhere in each, cut by `margin` pixels.

    The land is left in the images as the sensors see it.
    """
    module.eval()
    for seed in seeds:
        scene = SimulatedScene(seed, SCENE_PIXELS, SCENE_PIXELS, PIXEL_SIZE)
        draw = np.random.default_rng(seed)
        row, col = draw.integers(0, SCENE_PIXELS // BLOCK - blocks + 1, size=2) * BLOCK
        window = Window(int(row), int(col), blocks * BLOCK, blocks * BLOCK)
        surface = scene.surface(window)
        cells = window.coarser(scene.ratio).slices()
        fine = Standards.apply(scene.backscatter(window), standards.fine)
        coarse = Standards.apply(scene.brightness_temperature()[(slice(None), *cells)], standards.coarse)
        with torch.no_grad():
            logits = module(
                torch.from_numpy(fine.astype(np.float32))[None],
                torch.from_numpy(coarse.astype(np.float32))[None],
            )[0].numpy()
        inner = (slice(margin, window.rows - margin), slice(margin, window.cols - margin))
        yield TestScene(
            seed,
            scene.climate.summer,
            surface.concentration[inner],
            surface.icetype[inner],
            logits[(slice(None), *inner)],
        )


CONCENTRATION_RANGES = ((0.0, 0.0), (0.0, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.0))


def concentration_skill(scenes: Sequence[TestScene]) -> dict:
    """Return R², RMSE and bias of the concentration over all test pixels, by season and by range.

    R² is 1 − Σ(y − p)² / Σ(y − ȳ)² over the pixels of all scenes together.
    """

    def numbers(truth: np.ndarray, found: np.ndarray) -> dict:
        error = found - truth
        spread = float(np.var(truth))
        return {
            "pixels": int(truth.size),
            "rmse_percent": round(100.0 * float(np.sqrt(np.mean(error**2))), 2),
            "bias_percent": round(100.0 * float(np.mean(error)), 2),
            "r2": round(1.0 - float(np.mean(error**2)) / spread, 4) if spread > 1e-6 else None,
        }

    def pooled(part: Sequence[TestScene]) -> tuple[np.ndarray, np.ndarray]:
        truth = np.concatenate([scene.concentration.ravel() for scene in part]).astype(np.float64)
        found = np.concatenate(
            [1.0 / (1.0 + np.exp(-scene.logits[0].ravel().astype(np.float64))) for scene in part]
        )
        return truth[np.isfinite(truth)], found[np.isfinite(truth)]

    truth, found = pooled(scenes)
    skill = {"scenes": len(scenes), **numbers(truth, found)}
    for season, summer in (("winter", False), ("summer", True)):
        part = [scene for scene in scenes if scene.summer == summer]
        if part:
            skill[season] = {"scenes": len(part), **numbers(*pooled(part))}
    skill["by_concentration"] = []
    for low, high in CONCENTRATION_RANGES:
        inside = (truth == 0.0) if high == 0.0 else (truth > low) & (truth <= high)
        if inside.any():
            entry = numbers(truth[inside], found[inside])
            entry.pop("r2")
            skill["by_concentration"].append({"from_percent": 100 * low, "to_percent": 100 * high, **entry})
    return skill


def icetype_skill(scenes: Sequence[TestScene], names: Sequence[str]) -> dict:
    """Return macro F1, F1 by class, accuracy and the confusion matrix over all test pixels, and by season.

    F1 of a class is 2 TP / (2 TP + FP + FN); macro F1 is their mean over the classes that occur.
    """

    def numbers(part: Sequence[TestScene]) -> dict:
        confusion = np.zeros((len(names), len(names)), dtype=np.int64)
        for scene in part:
            sea = scene.icetype != NO_DATA
            truth, found = scene.icetype[sea].astype(np.int64), scene.logits[:, sea].argmax(axis=0)
            confusion += np.bincount(truth * len(names) + found, minlength=confusion.size).reshape(
                confusion.shape
            )
        hits = np.diag(confusion)
        f1 = 2.0 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
        occurs = confusion.sum(axis=1) > 0
        return {
            "scenes": len(part),
            "pixels": int(confusion.sum()),
            "macro_f1": round(float(f1[occurs].mean()), 4),
            "accuracy": round(float(hits.sum() / max(confusion.sum(), 1)), 4),
            "f1": {name: round(float(value), 4) for name, value, there in zip(names, f1, occurs) if there},
            "confusion_rows_truth": confusion.tolist(),
        }

    skill = numbers(scenes)
    for season, summer in (("winter", False), ("summer", True)):
        part = [scene for scene in scenes if scene.summer == summer]
        if part:
            skill[season] = numbers(part)
    return skill
