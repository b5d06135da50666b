"""Synthetic samples of three squares, of which one tells the two classes apart.

Landt-Hayen et al. 2023 (arXiv 2302.12317): fields of 100 x 100 pixels with noise U(-0.1, 0.1) and three squares of
10 x 10 pixels. Two on the right are common to both classes, +0.5 above and -0.5 below; the one on the left is +0.5 in
class 0 and -0.5 in class 1. Its pixels are the ground truth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .samples import Description, Truth

SIDE = 100
COMMON = (((20, 30), (70, 80), 0.5), ((70, 80), (70, 80), -0.5))  # rows, columns, value
DISCRIMINATING = ((45, 55), (20, 30))
AMPLITUDE = 0.5
NOISE = 0.1
DESCRIPTION = Description(
    subject="squares",
    place="true square",
    common="the squares that both classes have",
    elsewhere="single pixels elsewhere, by chance,",
    about=(
        "Samples are those of Landt-Hayen et al. 2023 (arXiv 2302.12317): 100 × 100 pixels of noise, two squares "
        "common to both classes, and one on the left that is positive in one class and negative in the other.",
    ),
)


def _square(rows: tuple[int, int], cols: tuple[int, int]) -> np.ndarray:
    picture = np.zeros((SIDE, SIDE), dtype=bool)
    picture[slice(*rows), slice(*cols)] = True
    return picture


@dataclass(frozen=True)
class Squares:
    """The published samples.

    Parameters
    ----------
    a_class : int
        Samples of each class.
    """

    a_class: int = 250
    cap: float = AMPLITUDE + NOISE
    description: Description = DESCRIPTION

    def samples(self, seed: int) -> tuple[np.ndarray, Truth]:
        """Return inputs (sample, row, column), classes in random order, and what is true of them."""
        draw = np.random.default_rng([seed, 0])
        classes = draw.permutation(np.repeat([0, 1], self.a_class))
        inputs = draw.uniform(-NOISE, NOISE, (len(classes), SIDE, SIDE))
        inside = _square(*DISCRIMINATING)
        structure = inside.copy()
        for rows, cols, value in COMMON:
            inputs[:, slice(*rows), slice(*cols)] += value
            structure |= _square(rows, cols)
        inputs[:, inside] += np.where(classes == 0, AMPLITUDE, -AMPLITUDE)[:, None]
        return inputs, Truth(classes, inside, structure, np.ones((SIDE, SIDE), dtype=bool))

    def null(self, seed: int, number: int) -> np.ndarray:
        """Return inputs (sample, row, column) of noise alone."""
        return np.random.default_rng([seed, 1]).uniform(-NOISE, NOISE, (number, SIDE, SIDE))
