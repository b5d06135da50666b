"""Rankings of methods as plain values: the science makes them, reports and cards read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .errors import ParameterError
from .vocabulary.benchmarks import SURE


@dataclass(frozen=True)
class Measure:
    """How well a map agrees with the truth, or how it behaves, in one number a sample.

    Parameters
    ----------
    word, title : str
        In tables, and for readers.
    better : {'higher', 'lower', ''}
        Which values are better; empty: neither are.
    uninformative, ideal : float, optional
        The value of a map that tells nothing, and of a perfect one; methods are ranked by measures that have both.
    sentence : str
        What it is.

    Raises
    ------
    ParameterError
        If its values contradict each other.
    """

    word: str
    title: str
    better: str = ""
    uninformative: float | None = None
    ideal: float | None = None
    sentence: str = ""

    def __post_init__(self) -> None:
        if self.better not in ("higher", "lower", ""):
            raise ParameterError(
                f"Measure {self.word!r}: better is {self.better!r}, but must be 'higher', 'lower' or empty."
            )
        if not self.better or self.ideal is None or self.uninformative is None:
            return
        if not self.sign * self.ideal > self.sign * self.uninformative:
            raise ParameterError(
                f"Measure {self.word!r}: its ideal {self.ideal} is not better ({self.better}) than its uninformative "
                f"value {self.uninformative}."
            )

    @property
    def sign(self) -> int:
        """1 where higher values are better, else -1."""
        return 1 if self.better == "higher" else -1

    @property
    def ranks(self) -> bool:
        """Whether methods can be ranked by it."""
        return bool(self.better) and None not in (self.ideal, self.uninformative)


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores of one method under one condition.

    Parameters
    ----------
    method : str
        Its word.
    condition : str
        Word of the samples: methods are ranked within one condition.
    scores : mapping
        Word of a measure → (sample,), float64, NaN where a map has no score. The samples are the same and in the same
        order for all methods of a condition. A sample whose truth cannot be compared with is left out of all.
    seconds : float
        Cost of explaining one sample.
    control : bool
        Whether it is no method but what methods have to surpass.
    """

    method: str
    condition: str
    scores: Mapping[str, np.ndarray]
    seconds: float
    control: bool = False


@dataclass(frozen=True, eq=False)
class Ranked:
    """A method in a ranking, in units of the measure.

    Parameters
    ----------
    method : str
        Its word.
    control : bool
        Whether it is a control.
    place : int
        From 1, by the mean.
    rank : int
        One more than the number of methods and controls that are better and not tied with it.
    mean, low, high : float
        Over samples, with its 95 % interval.
    behind, behind_low, behind_high : float
        How much better the first of the ranking is, paired; never below 0 but for its interval.
    tied : tuple of str
        Those from which the samples do not tell it apart.
    undefined : int
        Samples without a score, which count as uninformative.
    seconds : float
        Cost of explaining one sample.
    weakest : str
        Of a method: the control, or ``uninformative``, that it surpasses least surely.
    p : float
        That it surpasses its weakest comparison by chance, corrected for the number of methods; 1 of a control, and
        where there are too few samples or scores.
    values : numpy.ndarray
        (sample,), its scores; NaN where not defined.
    """

    method: str
    control: bool
    place: int
    rank: int
    mean: float
    low: float
    high: float
    behind: float
    behind_low: float
    behind_high: float
    tied: tuple[str, ...]
    undefined: int
    seconds: float
    weakest: str
    p: float
    values: np.ndarray

    @property
    def trusted(self) -> bool:
        """Whether it surpasses the uninformative value and every control."""
        return not self.control and self.p <= SURE


@dataclass(frozen=True, eq=False)
class Ranking:
    """Methods of one condition by one measure, best first.

    Parameters
    ----------
    condition : str
        Its word.
    measure : Measure
        What they are ranked by.
    samples : int
        How many each explained.
    methods : tuple of Ranked
        Methods and controls, by their mean.
    recommended : str or None
        The method to use, if any can be recommended.
    left_out : tuple of str
        Methods without scores by this measure.
    """

    condition: str
    measure: Measure
    samples: int
    methods: tuple[Ranked, ...]
    recommended: str | None
    left_out: tuple[str, ...] = ()

    def __getitem__(self, method: str) -> Ranked:
        return next(each for each in self.methods if each.method == method)
