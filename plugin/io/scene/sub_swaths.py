"""The sub-swaths of a SAR raster, by their incidence angles.

A raster that was made of a Sentinel-1 product names them in its tag :data:`TAG`: ``EW1 28.57 EW2 33.79 … EW5``, the
angles in degrees at which one ends and the next begins. Where it is missing, those of :data:`EXTRA_WIDE` are taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TAG = "FLOELENS_SUB_SWATHS"
# Ends of EW1 to EW4 in a product of Sentinel-1A (IPF 3.52, 30 November 2022); they differ by 0.1° along it.
EXTRA_WIDE = (28.57, 33.79, 38.98, 43.23)
SPAN = (17.0, 49.0)  # degrees between which a raster may be of that mode


@dataclass(frozen=True)
class SubSwaths:
    """Sub-swaths in the order of their angles.

    Parameters
    ----------
    names : tuple of str
        ``EW1``, …
    edges : tuple of float
        Degrees between each and the next.
    declared : bool
        Whether the raster names them.
    """

    names: tuple[str, ...]
    edges: tuple[float, ...]
    declared: bool

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> SubSwaths | None:
        """Return the sub-swaths of a raster with such tags; None for one of another mode than EW without them."""
        words = tags.get(TAG, "").split()
        try:
            edges = tuple(float(word) for word in words[1::2])
        except ValueError:
            edges = ()
        if edges and len(words) == 2 * len(edges) + 1 and list(edges) == sorted(edges):
            return cls(tuple(words[::2]), edges, declared=True)
        if tags.get("FLOELENS_MODE", "EW").upper() != "EW":
            return None
        return cls(tuple(f"EW{number}" for number in range(1, 6)), EXTRA_WIDE, declared=False)

    def numbers(self, angles: np.ndarray) -> np.ndarray:
        """Return the number of the sub-swath, from 1, by incidence angle in degrees; NaN where that is unknown."""
        found = np.searchsorted(self.edges, angles, side="right") + 1.0
        inside = (angles >= SPAN[0]) & (angles <= SPAN[1])
        return np.where(inside, found, np.nan)


def tag_text(names: Sequence[str], edges: Sequence[float]) -> str:
    """Return the tag of sub-swaths and the degrees between them."""
    parts = [part for name, edge in zip(names, edges) for part in (name, f"{edge:.2f}")]
    return " ".join([*parts, names[-1]])
