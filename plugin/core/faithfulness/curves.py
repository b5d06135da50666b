"""Deletion and insertion curves: which blocks are away at each step, in what order, and the areas.

The control is random order. Random orders come in pairs, one the reverse of the other: where the effects of
blocks simply add up, the mean area under the curves of such a pair is the expectation exactly, so that few
orders suffice. An order deleted from its front passes through the same states as its reverse put back, so one
control serves both curves: at a share q put back it is what deletion has left at 1 - q.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.errors import ParameterError

# Shares of the blocks that are deleted or put back; a share and its complement both, as the control needs.
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Control:
    """Random orders and the sample of large scenes.

    Parameters
    ----------
    orders : int
        How many random orders: an even number, at least 2.
    seed : int
        Of the orders, and of the sample.
    most_pixels : int
        Fine pixels in all blocks together above which a sample is drawn: windows of 4 x 4 blocks, as many as
        hold no more (one at least). What the network has to see around them comes on top.

    Raises
    ------
    ParameterError
        If there are no pairs of orders.
    """

    orders: int = 6
    seed: int = 0
    most_pixels: int = 250_000

    def __post_init__(self) -> None:
        if self.orders < 2 or self.orders % 2:
            raise ParameterError(
                f"Random orders come in pairs: their number must be even and at least 2, not {self.orders}."
            )


@dataclass(frozen=True)
class Measure:
    """One quantity along the curves, a mean over the pixels followed.

    Parameters
    ----------
    name : str
        ``logit``: of the target (a difference, for a contrast); ``probability``: of the class, 0 to 1.
    shares : numpy.ndarray
        (state,): share of the blocks deleted or put back, from 0 to 1.
    deletion, insertion : numpy.ndarray
        (state,).
    random : numpy.ndarray
        (order, state): deletion in random orders.
    """

    name: str
    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray

    def area(self, curve: np.ndarray) -> float:
        """Return the area under a curve: its mean over shares from 0 to 1, by trapezoids."""
        return float(np.sum(np.diff(self.shares) * (curve[1:] + curve[:-1]) / 2))

    @property
    def random_areas(self) -> list[float]:
        """The areas of the random orders; those of their insertions, together, are the same."""
        return [self.area(curve) for curve in self.random]

    def as_dict(self) -> dict:
        """Return curves and areas as plain values."""
        areas = self.random_areas
        control, deletion, insertion = (
            float(np.mean(areas)),
            self.area(self.deletion),
            self.area(self.insertion),
        )
        curves = {"mean": self.random.mean(0), "low": self.random.min(0), "high": self.random.max(0)}
        return {
            "measure": self.name,
            "deletion": self.deletion.tolist(),
            "insertion": self.insertion.tolist(),
            "random_deletion": {name: curve.tolist() for name, curve in curves.items()},
            "random_insertion": {name: curve[::-1].tolist() for name, curve in curves.items()},
            "deletion_area": deletion,
            "insertion_area": insertion,
            "random_area": control,
            "random_area_low": min(areas),
            "random_area_high": max(areas),
            "deletion_minus_random": deletion - control,
            "insertion_minus_random": insertion - control,
        }


@dataclass(frozen=True)
class Faithfulness:
    """Curves of a relevance map.

    Parameters
    ----------
    measures : tuple of Measure
        The mean logit, and for a head that has them the mean probability.
    side : int
        Of a block, in fine pixels.
    blocks, of_blocks : int
        How many were deleted, and how many can act on the target.
    windows : int
        Of the sample; 0 where all blocks took part.
    pixels : int
        Over how many pixels of the target the curves are means.
    control : Control
        Random orders and sample.
    """

    measures: tuple[Measure, ...]
    side: int
    blocks: int
    of_blocks: int
    windows: int
    pixels: int
    control: Control

    def as_dict(self) -> dict:
        """Return all of it as plain values, for a report."""
        return {
            "block_side_pixels": self.side,
            "blocks": self.blocks,
            "of_blocks": self.of_blocks,
            "sample_windows": self.windows,
            "pixels": self.pixels,
            "random_orders": self.control.orders,
            "seed": self.control.seed,
            "shares": self.measures[0].shares.tolist(),
            "measures": [measure.as_dict() for measure in self.measures],
        }


def shuffled(number: int, draw: np.random.Generator) -> np.ndarray:
    """Return 0 to `number` - 1 in random order."""
    return np.argsort(draw.random(number), kind="stable")


@dataclass(frozen=True)
class States:
    """Which blocks are at the baseline, state by state, and where the curves find their states.

    Parameters
    ----------
    deleted : numpy.ndarray
        (state, block), bool.
    shares : numpy.ndarray
        (step,), of the blocks.
    deletion, insertion, random : numpy.ndarray
        (step,), (step,) and (order, step): positions among the states.
    """

    deleted: np.ndarray
    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray

    @classmethod
    def of(cls, relevance: np.ndarray, control: Control) -> States:
        """Lay out the states for blocks of this relevance, (block,)."""
        number = len(relevance)
        below = {int(share * number + 0.5) for share in SHARES if share <= 0.5}
        counts = np.array(sorted(below | {number - count for count in below}))
        draw = np.random.default_rng((control.seed, 0))
        orders = [shuffled(number, draw) for _ in range(control.orders // 2)]
        orders = [
            np.argsort(-relevance, kind="stable"),
            *(way for order in orders for way in (order, order[::-1])),
        ]
        rows: dict[bytes, int] = {}
        deleted: list[np.ndarray] = []

        def state(order: np.ndarray) -> int:
            away = np.zeros(number, bool)
            away[order] = True
            if away.tobytes() not in rows:
                rows[away.tobytes()] = len(deleted)
                deleted.append(away)
            return rows[away.tobytes()]

        forward = np.array([[state(order[:count]) for count in counts] for order in orders])
        insertion = np.array([state(orders[0][count:]) for count in counts])
        return cls(np.array(deleted), counts / number, forward[0], insertion, forward[1:])

    def measure(self, name: str, values: np.ndarray) -> Measure:
        """Return the curves of a quantity, (state,)."""
        return Measure(name, self.shares, values[self.deletion], values[self.insertion], values[self.random])
