"""Patches of simulated scenes to train a fusion network on.

A *patch* is one block of a simulated scene: 200 x 200 pixels at 80 m with its 8 x 8 radiometer cells.
The radiometer sees the whole scene around the patch, so footprints are right up to its edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from ...ground.protocols import Progress
from ...ground.window import Window
from ..simulation import BLOCK, CHANNELS, LAND, NO_DATA, SimulatedScene

SCENE_PIXELS = 5000
"""Side of the simulated scenes patches are taken from: 400 km at 80 m, as wide as a Sentinel-1 EW scene."""

PIXEL_SIZE = 80.0
"""Pixel size of the scenes, m; a radiometer cell of 2 km is 25 pixels."""

FRACTION_SIDE = 9
"""Side of the square around a pixel whose ice-covered share is the concentration to learn: 720 m at 80 m."""


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

    @property
    def cells(self) -> int:
        """Radiometer cells along a side."""
        return self.coarse.shape[-1]

    @property
    def ratio(self) -> int:
        """Pixels along the side of a cell."""
        return self.fine.shape[-1] // self.cells

    def pixels(self, cells: Window) -> Window:
        """Return the pixels of a window of cells."""
        return Window(*(self.ratio * number for number in (cells.row, cells.col, cells.rows, cells.cols)))


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
    fit_seed, fit_scenes, fit_patches : int
        Likewise for the scenes that only the last fit of the last layer looks at, beside those before.
    ice_free_counts : int
        How often a pixel of a patch without ice counts in the last fit of the concentration: the more, the nearer
        to 0 % ice-free sea is mapped, and the lower the marginal zone.
    steps : int
        Optimisation steps.
    batch : int
        Patches in a step.
    crop : int
        Side of the part of a patch that a step looks at, pixels: another part every time.
    margin : int
        Pixels at the border of that part that do not enter the loss, since zeros lie beyond them.
    rate : float
        Adam's largest learning rate; it rises in the first tenth of the steps and falls to zero along a cosine.
    refits : tuple of int
        Before which steps the batch norms' statistics are measured anew, which stand still in between, and the
        last layer is fitted.
    refit_patches : int
        Patches each of these fits looks at; the last fit of all looks at all of them.
    prior : float
        What these fits add to the mean cross-entropy: half of it times the squared weights on decorrelated
        components. The last fit of all does without.
    inset : int
        Pixels at the border of what a fit looks at that it leaves out: the receptive field's radius.
    test_seed, test_scenes : int
        Seeds of the scenes the skill is measured on.
    test_blocks : int
        Side of the part of each test scene, in blocks.
    """

    first_seed: int = 100_000
    scenes: int = 480
    patches: int = 12
    fit_seed: int = 200_000
    fit_scenes: int = 600
    fit_patches: int = 6
    ice_free_counts: int = 8
    steps: int = 2400
    batch: int = 14
    crop: int = 75
    margin: int = 16
    rate: float = 3e-3
    refits: tuple[int, ...] = (0, 100, 300, 800)
    refit_patches: int = 2880
    prior: float = 1e-3
    inset: int = 30
    test_seed: int = 900_000
    test_scenes: int = 120
    test_blocks: int = 2

    def of_the_fit(self) -> Recipe:
        """Return the recipe of the patches that only the last fit of the last layer looks at."""
        return replace(self, first_seed=self.fit_seed, scenes=self.fit_scenes, patches=self.fit_patches)


def choose_blocks(scene: SimulatedScene, draw: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Return different blocks to train on, none of them mostly on land.

    Five twelfths lie where the chart's concentration is between 3 and 97 %, a sixth on a coast, a sixth on
    ice-free sea, the others anywhere; where there are not enough of a kind, any serve.
    """
    fractions, _ = scene.cell_fractions()
    cells = BLOCK // scene.ratio
    rows, cols = scene.rows // BLOCK, scene.cols // BLOCK
    blocks = fractions[:, : rows * cells, : cols * cells].reshape(len(fractions), rows, cells, cols, cells)
    water, land = blocks[0].mean(axis=(1, 3)), blocks[4].mean(axis=(1, 3))
    ice = 1.0 - water / np.maximum(1.0 - land, 1e-6)
    sea = land < 0.5
    kinds = (
        (sea & (ice > 0.03) & (ice < 0.97), 5 * count // 12),
        (sea & (land > 0.02), count // 6),
        (sea & (ice < 1e-6), count // 6),
        (sea, count),
    )
    chosen: list[tuple[int, int]] = []
    for kind, wanted in kinds:
        found = [(int(row), int(col)) for row, col in draw.permutation(np.argwhere(kind))]
        found = [block for block in found if block not in chosen]
        chosen += found[: min(wanted, count - len(chosen))]
    return chosen


def ice_fraction(classes: np.ndarray, side: int = FRACTION_SIDE) -> np.ndarray:
    """Return the ice-covered share of the sea in the square around each pixel.

    Parameters
    ----------
    classes : numpy.ndarray
        (row, column) uint8 of :class:`.Surface`: what each pixel shows.
    side : int
        Of the square, pixels (odd); it is cut off at the border of the array.

    Returns
    -------
    numpy.ndarray
        (row, column) float32, 0..1; NaN on land and without data.
    """
    sea = classes < LAND
    shares = [
        uniform_filter(part.astype(np.float64), side, mode="constant") * side**2
        for part in (sea & (classes != 0), sea)
    ]
    return np.where(sea, np.rint(shares[0]) / np.maximum(np.rint(shares[1]), 1.0), np.nan).astype(np.float32)


def pixel_types(classes: np.ndarray) -> np.ndarray:
    """Return the pixels' own ice types of `classes` (row, column): uint8 0..3, 255 on land and without data."""
    return np.where(classes < LAND, classes, np.uint8(NO_DATA))


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
            concentration[filled] = ice_fraction(surface.classes)
            icetype[filled] = pixel_types(surface.classes)
            filled += 1
        if number % 25 == 24:
            progress.report((number + 1) / recipe.scenes, f"simulated {number + 1} scenes")
    return Patches(fine[:filled], coarse[:filled], concentration[:filled], icetype[:filled])


def tensors(patches: Patches, chosen: np.ndarray, cells: Window) -> tuple[torch.Tensor, torch.Tensor]:
    """Return fine and coarse input of some patches over a window of their cells."""
    fine = patches.fine[(chosen, slice(None), *patches.pixels(cells).slices())].astype(np.float32)
    coarse = torch.from_numpy(patches.coarse[(chosen, slice(None), *cells.slices())])
    return torch.from_numpy(fine).contiguous(memory_format=torch.channels_last), coarse
