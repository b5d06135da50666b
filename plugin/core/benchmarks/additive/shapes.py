"""Images of square and circular frames, of which the one or the other cover more pixels.

Mamalakis, Barnes and Ebert-Uphoff 2022 (arXiv 2202.03407): 65 x 65 pixels, 1 on frames and 0 elsewhere. The numbers of
squares and of circles are drawn from 0, 1 and 2 and differ; a square has a side of 12 to 22 pixels and a square hole
of 7 pixels to four less than its side, a circle the area of such a square and of such a hole; none touch. With
A = 1 on squares and -1 on circles the class is the sign of ΣA, and the truth A times that sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .conditions import Condition, classified
from .generator import Additive

SIDE = 65
SIDES = (12, 22)  # of a square
SMALLEST_HOLE, THINNEST = 7, 4  # side of a hole; how much less it is than the square's
MOST = 2  # of a kind
TRIES = 50  # to place a shape


@dataclass(frozen=True)
class Shapes:
    """Frames on an empty image.

    Parameters
    ----------
    inverted : bool
        Whether shapes are 0 and what is around them 1.
    """

    inverted: bool = False

    @property
    def about(self) -> tuple[str, ...]:
        """What the samples are."""
        return (
            "Samples are those of Mamalakis, Barnes and Ebert-Uphoff 2022 (arXiv 2202.03407): images of square and "
            "circular frames. The class is which of them cover more pixels; pixels of the one speak for it, those of "
            "the other against.",
        )

    @property
    def facts(self) -> Mapping[str, object]:
        """The size of an image."""
        return {"rows": SIDE, "columns": SIDE}

    def samples(self, seed: int, number: int) -> tuple[np.ndarray, Additive]:
        """Return images (sample, row, column), float64, and what is true of them."""
        draw = np.random.default_rng([seed, 9])
        signs = np.stack([_drawn(draw) for _ in range(number)]).astype(float)
        more = signs.sum((1, 2))
        contributions = signs * np.sign(more)[:, None, None]
        inputs = np.abs(signs)
        return (1 - inputs if self.inverted else inputs), Additive(
            contributions, contributions.mean((1, 2)), (more > 0).astype(int)
        )

    def conditions(self) -> tuple[Condition, ...]:
        """Return the published network, on images and on images whose shapes are zero."""
        trained: dict = {}
        return (
            classified("shapes", "CNN", trained=trained),
            classified("shapes_zero", "CNN, shapes at zero", inverted=True, trained=trained),
        )


def _drawn(draw: np.random.Generator) -> np.ndarray:
    """Return A of one image, (row, column), int: 1 on squares, -1 on circles."""
    while True:
        squares, circles = draw.permutation(MOST + 1)[:2]
        image = np.zeros((SIDE, SIDE), dtype=int)
        placed = [_place(image, sign, draw) for sign in (1,) * squares + (-1,) * circles]
        if all(placed) and image.sum() != 0:
            return image


def _place(image: np.ndarray, sign: int, draw: np.random.Generator) -> bool:
    """Draw one more frame where there is room; return whether some was found."""
    side = int(draw.integers(SIDES[0], SIDES[1] + 1))
    hole = int(draw.integers(SMALLEST_HOLE, side - THINNEST + 1))
    box, frame = _frame(side, hole, round_=sign < 0)
    for _ in range(TRIES):
        row, col = draw.integers(0, SIDE - box + 1, 2)
        around = image[max(0, row - 1) : row + box + 1, max(0, col - 1) : col + box + 1]
        if not around.any():
            image[row : row + box, col : col + box] = sign * frame
            return True
    return False


def _frame(side: int, hole: int, round_: bool) -> tuple[int, np.ndarray]:
    """Return the side of the box around a frame, and the frame: (row, column), bool."""
    if not round_:
        frame = np.ones((side, side), dtype=bool)
        begin = (side - hole) // 2
        frame[begin : begin + hole, begin : begin + hole] = False
        return side, frame
    outer, inner = side / np.sqrt(np.pi), hole / np.sqrt(np.pi)
    box = int(np.ceil(2 * outer))
    middle = (box - 1) / 2
    rows, cols = np.ogrid[:box, :box]
    distance = np.hypot(rows - middle, cols - middle)
    return box, (distance <= outer) & (distance > inner)
