"""What the report of a ranking is made of: plain values, which a job takes from the science.

A *condition* is a kind of samples and the network that explains them; each of its rankings is by another measure, the
first of which decides what is recommended. A *control* is no method but what methods have to surpass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ground.rankings import Measure, Ranked, Ranking
from ...ground.vocabulary.benchmarks import FEWEST_SAMPLES, UNINFORMATIVE
from ..page.html import Figure

RECOMMENDED, TIED = "recommended", "tied with the recommended one"  # what is said of a method


@dataclass(frozen=True)
class Condition:
    """A kind of samples, and the network that explains them.

    Parameters
    ----------
    word, title : str
        In tables, and for readers.
    network : str
        The kind of network in the plural, as in *recommended for …*; empty: that of the page.
    about : tuple of str
        What the samples are, and how the network was trained: a sentence or two each.
    compared : bool
        Whether it is there to compare others with: the first sentences do not speak of it.
    broken : str
        Whose maps were broken on purpose: a method's word, or another phrase; empty where none were.
    """

    word: str
    title: str
    network: str = ""
    about: tuple[str, ...] = ()
    compared: bool = False
    broken: str = ""


@dataclass(frozen=True, eq=False)
class Example:
    """Maps of one sample beside its truth.

    Parameters
    ----------
    title : str
        Which sample.
    truth : numpy.ndarray
        (row, column); NaN is drawn grey.
    maps : mapping
        Method → (row, column).
    caption : str
        What else there is to say.
    """

    title: str
    truth: np.ndarray
    maps: Mapping[str, np.ndarray]
    caption: str = ""


@dataclass(frozen=True)
class OtherScore:
    """A measure that needs no truth, of a method: it enters no ranking.

    Parameters
    ----------
    condition, method, measure : str
        Words.
    mean, low, high : float or None
        Over samples, and its 95 % interval.
    undefined : int
        Samples without a score, which are left out.
    """

    condition: str
    method: str
    measure: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0


@dataclass(frozen=True)
class Comparison:
    """A table beside the rankings.

    Parameters
    ----------
    title : str
        What it compares.
    text : tuple of str
        What a reader must know of it: a sentence or two each.
    columns : tuple of (str, str)
        Word and title of each.
    rows : tuple of mapping
        Word of a column → number or text.
    """

    title: str
    text: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, eq=False)
class RankingPage:
    """All that the report says.

    Parameters
    ----------
    title, subject : str
        What was done, and the kind of network in the plural: ``fusion networks``.
    conditions : tuple of Condition
        In the order of the report.
    rankings : tuple of Ranking
        Of each condition the first decides.
    figures : tuple of Figure
        Further pictures.
    maps : tuple of Example
        Maps beside truth.
    facts : mapping
        How well networks are trained and the like: name → value.
    other_measures : tuple of Measure
        Measures that need no truth.
    other_scores : tuple of OtherScore
        Their values.
    notes : tuple of str
        What a reader must know beside it: a sentence or two each.
    settings, provenance : mapping
        What was asked for, and versions.
    comparisons : tuple of Comparison
        Tables beside the rankings.
    """

    title: str
    subject: str
    conditions: tuple[Condition, ...]
    rankings: tuple[Ranking, ...]
    figures: tuple[Figure, ...] = ()
    maps: tuple[Example, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    other_measures: tuple[Measure, ...] = ()
    other_scores: tuple[OtherScore, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()

    def of(self, condition: Condition) -> tuple[Ranking, ...]:
        """Return the rankings of a condition, the one that decides first."""
        return tuple(each for each in self.rankings if each.condition == condition.word)

    def decisive(self) -> tuple[tuple[Condition, Ranking], ...]:
        """Return each condition that has rankings, with the one that decides."""
        return tuple(
            (condition, self.of(condition)[0]) for condition in self.conditions if self.of(condition)
        )

    def leading(self) -> tuple[tuple[Condition, Ranking], ...]:
        """Return those of :meth:`decisive` that the first sentences speak of."""
        decisive = self.decisive()
        return tuple(each for each in decisive if not each[0].compared) or decisive

    def network(self, condition: Condition) -> str:
        """Return the kind of network of a condition, in the plural."""
        return condition.network or self.subject


def surpassed(word: str) -> str:
    """Return how a sentence calls what a method is compared with: a control, or a map that tells nothing."""
    return "a map that tells nothing" if word == UNINFORMATIVE else f"the control {word}"


def verdict(ranking: Ranking, row: Ranked) -> str:
    """Return what a ranking says of one of its methods, in few words."""
    if row.control:
        return "control"
    if row.method == ranking.recommended:
        return RECOMMENDED
    if ranking.samples < FEWEST_SAMPLES:
        return "too few samples"
    if ranking.samples - row.undefined < FEWEST_SAMPLES:
        return "too few maps with a score"
    if not row.trusted:
        return f"does not surpass {surpassed(row.weakest)}"
    return TIED if ranking.recommended in row.tied else "surpasses the controls"
