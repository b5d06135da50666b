"""What an additive benchmark is: inputs, and what each of them contributed to the target.

A generator draws samples from a seed, ``samples(seed, number) → (inputs, truth)``, and lists the networks that learn
its target. Training, methods, scores, report and rasters need to know nothing else of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from .conditions import Condition

BLOCK = 5_000  # samples that are drawn together


@dataclass(frozen=True)
class Additive:
    """What is known of the samples.

    Parameters
    ----------
    contributions : numpy.ndarray
        Shaped as the inputs: C, what each input contributed.
    target : numpy.ndarray
        (sample,): their mean, y.
    classes : numpy.ndarray, optional
        (sample,), int: 0 or 1 where networks tell two classes apart; else they learn the target itself.
    """

    contributions: np.ndarray
    target: np.ndarray
    classes: np.ndarray | None = None


class Generator(Protocol):
    """Data of which it is known what each input contributed."""

    @property
    def about(self) -> tuple[str, ...]:
        """What the samples are and where they come from, for the report: a sentence or two each."""

    @property
    def facts(self) -> Mapping[str, object]:
        """Plain values that the report lists: how many inputs, of what."""

    def samples(self, seed: int, number: int) -> tuple[np.ndarray, Additive]:
        """Return inputs (sample, input) or (sample, row, column), float64, and what is true of them."""

    def conditions(self) -> tuple[Condition, ...]:
        """Return the networks that are tried, each under a name of its own."""


def stream(seed: int, block: int) -> int:
    """Return the seed of a block of samples; block 0 is held out, the others are trained on."""
    return (seed << 20) + block
