"""What a benchmark is: samples, and what is known to be true of them.

A benchmark is drawn from a seed, ``samples(seed) → (inputs, truth)``, and draws inputs without what tells the
classes apart, ``null(seed, number)``. Networks, methods and scores need to know nothing else of it, and the report only
its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Truth:
    """What is known of the samples.

    Parameters
    ----------
    classes : numpy.ndarray
        (sample,), int: 0 or 1.
    inside : numpy.ndarray
        (row, column), bool: the pixels that tell the classes apart. No other pixel does.
    structure : numpy.ndarray
        (row, column), bool: the pixels that hold more than noise, those of `inside` among them.
    valid : numpy.ndarray
        (row, column), bool: the pixels that have data.
    """

    classes: np.ndarray
    inside: np.ndarray
    structure: np.ndarray
    valid: np.ndarray

    @property
    def background(self) -> np.ndarray:
        """(row, column), bool: valid pixels that hold nothing but noise."""
        return self.valid & ~self.structure


@dataclass(frozen=True)
class Description:
    """What a report calls the parts of a benchmark.

    Parameters
    ----------
    subject : str
        What tells the classes apart, in the plural, as in a title: ``squares``.
    place : str
        The pixels that decide: ``true square``.
    common : str
        What holds more than noise, but does not decide: ``the squares that both classes have``.
    elsewhere : str
        What else may exceed noise in a map: ``single pixels elsewhere, by chance``.
    about : tuple of str
        What the samples are, where they come from: a sentence or two each.
    """

    subject: str
    place: str
    common: str
    elsewhere: str
    about: tuple[str, ...]


class Benchmark(Protocol):
    """Data with known truth."""

    @property
    def description(self) -> Description:
        """What a report calls its parts."""

    @property
    def cap(self) -> float:
        """The largest absolute value of a usual input: what outliers are capped to."""

    def samples(self, seed: int) -> tuple[np.ndarray, Truth]:
        """Return inputs (sample, row, column), float64, in random order, and what is true of them."""

    def null(self, seed: int, number: int) -> np.ndarray:
        """Return inputs (sample, row, column) that hold nothing but noise: what a map shows of them is the model's."""


def held_out(number: int, share: float = 0.2) -> slice:
    """Return which of so many samples, which come in random order, no network is trained on: the last ones."""
    return slice(number - max(1, round(share * number)), number)
