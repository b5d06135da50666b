"""Which pixels of a scene are scored, and what the values of a chart mean to a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...ground.window import Window

if TYPE_CHECKING:
    from ...networks.card import Head

# choose(window, valid): which of the valid pixels (row, column) of a window are sampled.
Choose = Callable[[Window, np.ndarray], np.ndarray]

AUTOMATIC = -1  # as SAMPLE: every pixel without labels, one a coarse cell with them
EVERY = 1


def sampling_step(sample: int, labelled: bool) -> int:
    """Return the step that :func:`sampling` takes: that of SAMPLE, or the one that suits a scene.

    Without labels nothing depends on how pixels depend on each other, so that all of them are taken; tests with
    labels take one pixel a coarse cell, whose pixels share their radiometry.
    """
    if sample != AUTOMATIC:
        return sample
    return 0 if labelled else EVERY


def sampling_text(step: int) -> str:
    """Return a step in words."""
    if step == EVERY:
        return "all pixels"
    return f"every {step}. row and column" if step else "one pixel a coarse cell"


def sampling(step: int, ratio: int) -> Choose:
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
