"""Which pixels of a scene are scored, what a chart says of them, and their way to a refit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ...models.card import Head
from ..core.information import OutputLayer
from ..core.protocols import Progress
from ..core.window import Window
from ..io.spool import Spool


def pixel_spool(layer: OutputLayer) -> Spool:
    """Return a temporary file for the labelled pixels of a head."""
    components = ("components", np.float32, (len(layer.components),))
    return Spool(np.dtype([components, ("label", np.float64), ("block", np.int64)]))


def spooled(spool: Spool, components: np.ndarray, labels: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return the labelled pixels as rows of a spool."""
    known = ~np.isnan(labels)
    rows = np.empty(int(known.sum()), spool.dtype)
    rows["components"], rows["label"], rows["block"] = components[known], labels[known], blocks[known]
    return rows


def rereading(spool: Spool, clustering: str, progress: Progress) -> Callable[[], Iterator]:
    """Return what reads the pixels of a spool anew, and stops where the user asks for it."""
    from ..core.engine import check_cancelled

    def batches() -> Iterator:
        for rows in spool:
            check_cancelled(progress)
            yield rows["components"], rows["label"], {clustering: rows["block"]}

    return batches


def sampling(step: int, ratio: int) -> Callable[[Window, np.ndarray], np.ndarray]:
    """Return which pixels are sampled: it depends on their place in the scene alone, not on the tiles.

    Parameters
    ----------
    step : int
        Every `step`-th row and column; 0 is the middle pixel of every coarse cell.
    ratio : int
        Fine pixels along a coarse cell.
    """
    every = step or ratio
    first = every // 2

    def choose(window: Window, valid: np.ndarray) -> np.ndarray:
        rows = np.arange(window.row, window.row_stop) % every == first
        cols = np.arange(window.col, window.col_stop) % every == first
        return rows[:, None] & cols & valid

    return choose


def label_targets(head: Head, values: np.ndarray) -> np.ndarray:
    """Return what a chart's values mean to a head.

    Parameters
    ----------
    head : Head
        Sigmoid: values are % and become fractions; softmax: codes become positions of classes;
        linear: values stay.
    values : numpy.ndarray
        (pixel,), NaN where there is none.

    Returns
    -------
    numpy.ndarray
        (pixel,), float64; NaN where the value means nothing: codes above 100, or of no class.
    """
    values = values.astype(np.float64)
    if head.kind == "linear":
        return values
    if head.kind == "sigmoid":
        with np.errstate(invalid="ignore"):
            return np.where((values >= 0) & (values <= 100), values / 100.0, np.nan)
    targets = np.full(values.shape, np.nan)
    for position, entry in enumerate(head.classes):
        targets[values == entry.value] = position
    return targets
