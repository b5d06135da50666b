r"""The information of every pixel of a scene, without labels: fast enough for whole scenes.

The Fisher information is that of :mod:`.pixel_sums`, in float64, over all pixels. Only the information
shares, one exponential a pixel and component, are taken from a regular lattice of pixels and scaled up
to all of them. Rows of a batch are worked on in parts of fixed size, added up in their order: the number
of processor cores does not change a digit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from scipy import special

from ...models.together import together
from .information import Information, checked_width, refuse_infinite
from .output_layer import OutputLayer, removals
from .pixel_sums import CHUNK, Sums, log_probabilities, logits_of, pixel_sums
from .products import add_gram
from .window import Window

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
        seen = self._information
        low, high = components.min(axis=0), components.max(axis=0)
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            refuse_infinite(self._layer, components)
        sums = dense_sums(self._layer, components)
        shared = in_lattice(rows, cols, self._step)
        if shared.any():
            found = pixel_sums(self._layer, components[shared], self._removals).divergence
            sums = replace(sums, divergence=found * self._step**2)
        self._information = replace(
            seen,
            unlabelled=seen.unlabelled + sums,
            lowest=np.minimum(seen.lowest, low),
            highest=np.maximum(seen.highest, high),
        )

    def close(self) -> Information:
        """Return what the pixels have told."""
        return self._information


def dense_sums(layer: OutputLayer, components: np.ndarray) -> Sums:
    """Return the sums over pixels without the information shares, which are zeros.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    components : numpy.ndarray
        (pixel, component), finite.
    """
    parts = [components[start : start + PART] for start in range(0, len(components), PART)]
    found = together([partial(_part_sums, layer, part) for part in parts])
    total = found[0]
    for sums in found[1:]:
        total = total + sums
    lower = np.tril(total.pairs)
    pairs = lower + np.tril(lower, -1).swapaxes(1, 2)
    return replace(total, n=len(components), pairs=pairs)


def _part_sums(layer: OutputLayer, components: np.ndarray) -> Sums:
    sums = Sums.empty(layer, len(removals(layer)))
    x = np.ones((CHUNK, 1 + components.shape[1]))
    for start in range(0, len(components), CHUNK):
        rows = components[start : start + CHUNK]
        design = x[: len(rows)]
        design[:, 1:] = rows
        logits = logits_of(layer, design)
        means, roots = _predictions(layer, logits)
        sums.logits[:] += logits.sum(axis=0)
        sums.means[:] += means.sum(axis=0)
        sums.inputs[:] += design[:, 1:].sum(axis=0)
        for pair, root in enumerate(roots):
            add_gram(sums.pairs[pair], design * root[:, None])
    return sums


def _predictions(layer: OutputLayer, logits: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return predictions (pixel, output), and for each pair of outputs the root of its weight (pixel,)."""
    if layer.kind == "linear":
        return logits, [np.ones(len(logits))]
    if layer.kind == "sigmoid":
        means = special.expit(logits)
        half = np.abs(logits[:, 0])  # p(1 - p) = e^-|f| / (1 + e^-|f|)^2
        return means, [np.exp(-0.5 * half) / (1.0 + np.exp(-half))]
    log_p = log_probabilities(layer, logits)
    halves = np.exp(0.5 * log_p)
    return np.square(halves), [halves[:, k] * halves[:, other] for k, other in layer.pairs]
