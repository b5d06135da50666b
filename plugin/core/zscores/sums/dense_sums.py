r"""The information of every pixel of a scene, without labels: fast enough for whole scenes.

The Fisher information is that of :mod:`.pixel_sums`, in float64, over all pixels. Only the information
shares, one exponential a pixel and component, are taken from a regular lattice of pixels and scaled up
to all of them. Rows of a batch are worked on in parts whose size depends on the batch alone, added up in
their order: the number of processor cores does not change a digit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy import special

from ....ground.window import Window
from ....networks.kernels.threads import run_parallel
from ...target.output_layer import OutputLayer, removals
from .gram_sums import HALVES, WeightedGrams
from .information import Information, checked_width, refuse_infinite
from .pixel_sums import Sums, divergence_sums

PART = 8192  # pixels that one core works on at a time
LATTICE = 10_000  # pixels, about, that the information shares of a scene are taken from at least
WIDEST = 5  # step of the lattice in pixels


def lattice_step(pixels: int) -> int:
    """Return every which row and column of a scene is in the lattice of the information shares."""
    return int(min(WIDEST, max(1.0, np.sqrt(pixels / LATTICE))))


def in_lattice(rows: np.ndarray, cols: np.ndarray, step: int) -> np.ndarray:
    """Return which pixels of a scene are in its lattice, (pixel,), by their place alone."""
    return (rows % step == step // 2) & (cols % step == step // 2)


class DenseAccumulator:
    """Takes batches of unlabelled pixels of one scene, and closes into mergeable information.

    Parameters
    ----------
    layer : OutputLayer
        The regression whose Z-scores are wanted.
    region : Window
        What the pixels are of: its size decides on the lattice of the information shares.
    """

    def __init__(self, layer: OutputLayer, region: Window) -> None:
        self._layer, self._removals = layer, removals(layer)
        self._step = lattice_step(region.rows * region.cols)
        self._information = Information.empty(layer)

    def add(self, components: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> None:
        """Take a batch of pixels.

        Parameters
        ----------
        components : numpy.ndarray
            (pixel, component), float32 or float64.
        rows, cols : numpy.ndarray
            (pixel,): place in the scene.

        Raises
        ------
        NumericalError
            If a component is not finite.
        ParameterError
            If there are not as many components as the head has.
        """
        components = checked_width(self._layer, components)
        if len(components) == 0:
            return
        shared = in_lattice(rows, cols, self._step)
        parts = [
            partial(self._of_part, components[begin:end], shared[begin:end])
            for begin, end in zip(*_parts(len(components)))
        ]
        of_parts = run_parallel(parts)
        low, high = (np.array([each[at] for each in of_parts]) for at in (1, 2))
        low, high = low.min(axis=0), high.max(axis=0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            refuse_infinite(self._layer, components)
        seen = self._information
        total = seen.unlabelled
        for sums, _, _ in of_parts:
            total = total + sums
        self._information = replace(
            seen,
            unlabelled=total,
            lowest=np.minimum(seen.lowest, low),
            highest=np.maximum(seen.highest, high),
        )

    def close(self) -> Information:
        """Return the information of the pixels."""
        return self._information

    def _of_part(self, components: np.ndarray, shared: np.ndarray) -> tuple[Sums, np.ndarray, np.ndarray]:
        """Return the sums over some pixels, and the smallest and the largest of each component."""
        low, high = components.min(axis=0), components.max(axis=0)
        with np.errstate(invalid="ignore", over="ignore"):  # of what is not finite: it is refused afterwards
            sums = dense_sums(self._layer, components, len(self._removals))
            if shared.any():
                divergences = divergence_sums(self._layer, components[shared], self._removals)
                sums = replace(sums, divergence=divergences * self._step**2)
        return sums, low, high


def _parts(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where parts of a batch begin and end: at least two, so that each has a single core."""
    ends = np.linspace(0, pixels, max(2, -(-pixels // PART)) + 1).astype(int)
    kept = ends[1:] > ends[:-1]
    return ends[:-1][kept], ends[1:][kept]


def dense_sums(layer: OutputLayer, components: np.ndarray, shares: int = 0) -> Sums:
    """Return the sums over pixels without the information shares, which are zeros.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    components : numpy.ndarray
        (pixel, component), float32 or float64.
    shares : int
        Number of the information shares.
    """
    sums = Sums.empty(layer, shares)
    grams = WeightedGrams(len(layer.pairs), 1 + components.shape[1])
    weights = torch.from_numpy(np.column_stack([layer.bias, layer.weights]).T.copy()).expand(HALVES, -1, -1)
    given = torch.from_numpy(np.ascontiguousarray(components))
    x = torch.empty((grams.rows, 1 + components.shape[1]), dtype=torch.float64)
    halves = x.view(HALVES, grams.rows // HALVES, -1)
    for start in range(0, len(given), grams.rows):
        rows = given[start : start + grams.rows]
        x[: len(rows), 0] = 1.0
        x[: len(rows), 1:] = rows
        x[len(rows) :] = 0.0
        logits = torch.bmm(halves, weights).numpy().reshape(grams.rows, -1)
        means, of_pairs = _predictions(layer, logits)
        sums.logits[:] += logits[: len(rows)].sum(axis=0)
        sums.means[:] += means[: len(rows)].sum(axis=0)
        sums.inputs[:] += x[:, 1:].sum(0).numpy()
        grams.add(halves, of_pairs)
    return replace(sums, n=len(components), pairs=grams.total())


def _predictions(layer: OutputLayer, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions (pixel, output), and the weight of each pair of outputs (pair, pixel)."""
    if layer.kind == "linear":
        return logits, np.ones((1, len(logits)))
    if layer.kind == "sigmoid":
        small = np.exp(-np.abs(logits[:, 0]))  # p(1 - p) = e^-|f| / (1 + e^-|f|)^2
        return special.expit(logits), (small / np.square(1.0 + small))[None]
    p = special.softmax(logits.T.copy(), axis=0)
    first, second = np.array(layer.pairs).T
    return p.T, p[first] * p[second]
