"""Which places of a scene a network sees alike: its last layer's components at points of a grid.

The components of all pixels of a large scene would fill gigabytes. So they are looked at in blocks of
:data:`BLOCK` × :data:`BLOCK` pixels around at most :data:`MOST` points of a square grid, and one mean a block is kept.
The distance of two blocks is d = sqrt(mean over k of ((f_k − g_k) / s_k)²), with the mean components f and g, and
the standard deviation s_k of component k over the blocks of the scene; components that do not vary are left out. Two
blocks that have nothing in common are some √2 apart.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...ground.protocols import Source
from ...ground.window import Window
from ..streaming.engine import scene_window
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from ..target.probabilities import class_probabilities
from ..target.target import Seeding

BLOCK = 9  # pixels: what a point stands for
MOST = 1024  # points: a minute on one core
LEAST_STEP = 16  # pixels from point to point
MOST_PIXELS = 1 << 26  # read for all points: some passes over a scene where receptive fields are large
FEWEST = 16  # points: fewer tell nothing


@dataclass(frozen=True)
class Block:
    """What a network sees and maps in a small window.

    Parameters
    ----------
    window : Window
        The pixels.
    features : numpy.ndarray
        (component,), float32: the mean of each component over valid pixels.
    probabilities : numpy.ndarray
        (class,), float64: as of :class:`.mapped.Answers`.
    """

    window: Window
    features: np.ndarray
    probabilities: np.ndarray


def points(runner: Runner, source: Source) -> tuple[tuple[int, int], ...]:
    """Return rows and columns of the points of a scene, none where the network sees too much for them.

    They are those of a square grid in random order (of a fixed seed), so that the first ones lie everywhere too.
    """
    if (
        runner.window is not None
    ):  # its map is made of large windows, each of which depends on all of its pixels
        return ()
    seen = BLOCK + 2 * runner.radius
    wanted = min(MOST, MOST_PIXELS // (min(seen, source.rows) * min(seen, source.cols)))
    if wanted < FEWEST:
        return ()
    step = max(LEAST_STEP, math.ceil(math.sqrt(source.rows * source.cols / wanted)))
    rows, cols = (range(step // 2, size, step) for size in (source.rows, source.cols))
    grid = [(row, col) for row in rows for col in cols]
    return tuple(grid[index] for index in np.random.default_rng(0).permutation(len(grid)))


def block_around(row: float, col: float, source: Source, size: Window | None = None) -> Window:
    """Return the window that is compared for a place: at least a block, inside the scene."""
    scene = scene_window(source)
    least = Window(int(row) - BLOCK // 2, int(col) - BLOCK // 2, BLOCK, BLOCK)
    if size is not None and (size.rows > BLOCK or size.cols > BLOCK):
        least = size
    return least.intersection(scene)


def look(runner: Runner, source: Source, seeding: Seeding, window: Window) -> Block | None:
    """Return what the network sees in a window; None where fewer than half of its pixels are valid.

    Parameters
    ----------
    runner, source
        The network, which ends in a 1 × 1 convolution, and the scene.
    seeding : Seeding
        Its head.
    window : Window
        Inside the scene.
    """
    scene = scene_window(source)
    tile = Plan(window, scene, runner.radius, runner.alignment, window.rows, window.cols).tile(window)
    patch = dataclasses.replace(source.read(tile.read), scene=scene)
    valid = patch.valid[window.slices(patch.window)]
    if 2 * valid.sum() < valid.size:
        return None
    found = runner.array(runner.components(runner.standardise(patch, tile.input))[0])
    components = found[(slice(None), *window.slices(tile.input))][:, valid].astype(np.float64)
    weight, bias = runner.output_weights()
    of_head = slice(seeding.first, seeding.first + seeding.outputs)
    logits = weight[of_head] @ components + bias[of_head, None]
    probabilities = class_probabilities(logits[..., None], seeding.head).mean((1, 2))
    return Block(window, components.mean(1).astype(np.float32), probabilities)


def distances(place: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return the distance of each block from a place, float64; infinite where a component is no number.

    Parameters
    ----------
    place : numpy.ndarray
        (component,).
    blocks : numpy.ndarray
        (block, component): all blocks of the scene, which give each component its scale.
    """
    known = np.isfinite(blocks).all(1)
    far = np.full(len(blocks), np.inf)
    blocks = blocks[known].astype(np.float64)
    if not len(blocks) or not np.isfinite(place).all():
        return far
    sd = blocks.std(0)
    varies = sd > 1e-6 * np.abs(blocks).max(0)
    far[known] = 0.0
    if varies.any():
        far[known] = np.sqrt((((blocks[:, varies] - place[varies]) / sd[varies]) ** 2).mean(1))
    return far


def most_similar(place: Block, blocks: list[Block], radius: int, number: int) -> list[tuple[Block, float]]:
    """Return the blocks nearest to a place, and their distances, the nearest first.

    Blocks whose receptive fields overlap that of the place, or of a nearer block, are left out: both see the same
    pixels.
    """
    if not blocks:
        return []
    far = distances(place.features, np.stack([block.features for block in blocks]))
    found: list[tuple[Block, float]] = []
    for index in np.argsort(far, kind="stable"):
        block = blocks[index]
        if not np.isfinite(far[index]):
            break
        if not any(_overlap(block.window, other, radius) for other in _windows(place, found)):
            found.append((block, float(far[index])))
        if len(found) == number:
            break
    return found


def _windows(place: Block, found: list[tuple[Block, float]]) -> Iterator[Window]:
    yield place.window
    yield from (block.window for block, _ in found)


def _overlap(one: Window, other: Window, radius: int) -> bool:
    """Return whether two windows, each grown by a radius, have a pixel in common."""
    return (
        one.row - radius < other.row_stop + radius
        and other.row - radius < one.row_stop + radius
        and one.col - radius < other.col_stop + radius
        and other.col - radius < one.col_stop + radius
    )
