"""What benchmarks with known truth say of the methods on this kind of network: part of a model card."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from ..ground.vocabulary.relevance_methods import METHODS
from .card_checks import (
    CardError,
    check_count,
    check_integer,
    check_name,
    check_unique,
    check_word,
    keep_number,
)
from .files import listed, shown

BETTER = ("higher", "lower")


@dataclass(frozen=True)
class BenchmarkedMethod:
    """How well a method did.

    Parameters
    ----------
    method : str
        Its word.
    mean, low, high : float
        Mean of the measure over samples, and its 95 % interval.
    trusted : bool
        Whether it surpassed a map that tells nothing and every control.
    """

    method: str
    mean: float
    low: float
    high: float
    trusted: bool

    def __post_init__(self) -> None:
        check_name(self.method, "method", "Name the method, such as lrp_epsilon.")
        for name in ("mean", "low", "high"):
            keep_number(self, name, remedy="Give the number of the benchmark's report.")
        if not self.low <= self.mean <= self.high:
            raise CardError("mean", f"{self.mean:g} is not between {self.low:g} and {self.high:g}.")
        if not isinstance(self.trusted, bool):
            raise CardError("trusted", f"{shown(self.trusted)} is neither true nor false.")


@dataclass(frozen=True)
class BenchmarkResult:
    """A ranking of methods by a benchmark, as a card keeps it.

    Parameters
    ----------
    benchmark, condition : str
        Which benchmark, and which of its conditions.
    network : str
        The kind of network that was trained and explained, in the plural.
    measure : str
        What methods were ranked by, as in a sentence: ``correlation with the truth``.
    better : {'higher', 'lower'}
        Which values of it are better.
    samples : int
        How many samples each method explained.
    methods : tuple of BenchmarkedMethod
        Best first.
    date : str
        When it ran, as ``2026-11-30``.
    version : str
        Of FloeLens.
    recommended : str
        The method to use; empty: none can be recommended.
    """

    benchmark: str
    condition: str
    network: str
    measure: str
    better: str
    samples: int
    methods: tuple[BenchmarkedMethod, ...]
    date: str
    version: str
    recommended: str = ""

    def __post_init__(self) -> None:
        for name in ("benchmark", "condition", "network", "measure", "version"):
            check_name(getattr(self, name), name, "Fill it in as the benchmark's report has it.")
        check_word(self.better, BETTER, "better")
        check_integer(self.samples, "samples", 1, "Give the number of samples.")
        object.__setattr__(self, "methods", tuple(self.methods))
        check_count(self.methods, "methods")
        check_unique([each.method for each in self.methods], "methods", "method")
        check_name(self.recommended, "recommended")
        trusted = [each.method for each in self.methods if each.trusted]
        if self.recommended and self.recommended not in trusted:
            known = listed(trusted) or "none"
            raise CardError(
                "recommended", f"{shown(self.recommended)} is no method to trust here ({known} is)."
            )
        try:
            written = datetime.date.fromisoformat(self.date).isoformat()
        except (TypeError, ValueError):
            written = ""
        if written != self.date:
            raise CardError("date", f"{shown(self.date)} is no date. Write it as 2026-11-30.")

    def method(self, word: str) -> BenchmarkedMethod | None:
        """Return how well a method did; None where it was not judged."""
        return next((each for each in self.methods if each.method == word), None)

    def sentence(self, word: str) -> str:
        """Return what it says of a method, in two sentences."""
        return benchmark_sentence([self], word)

    def verdict(self, word: str) -> str:
        """Return what its condition says of a method, in a sentence."""
        where = f"On {self.condition.replace('_', ' ')}, {word}"
        found, best = self.method(word), self.method(self.recommended)
        advice = f"{best.method} is recommended, {_number(best.mean)}" if best else "no method is recommended"
        if found is None:
            return f"{where} was not judged; {advice}."
        score = f"{_number(found.mean)} ({_number(found.low)} to {_number(found.high)})"
        if found is best:
            return f"{where} is the recommended method, {score}."
        if not found.trusted:
            return f"{where} does not surpass all controls, {score}; {advice}."
        return f"{where} surpasses all controls, {score}, but {advice}."


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")


def benchmark_sentence(results: Iterable[BenchmarkResult], method: str) -> str:
    """Return what a card's benchmarks say of a method, a sentence a condition; empty where there are none.

    Conditions that judged contributions of channels say nothing of methods of relevance, nor these of them.
    """
    together: dict[tuple[str, ...], list[BenchmarkResult]] = {}
    of_relevance = method in METHODS
    for result in results:
        if all((each.method in METHODS) != of_relevance for each in result.methods):
            continue
        key = (result.benchmark, result.network, result.measure, result.better)
        together.setdefault(key, []).append(result)
    return " ".join(
        f"The {benchmark} benchmark judged methods on {network} by the mean {measure} ({better} is better; 95 % "
        "intervals in brackets) against controls: noise, edge filters and broken maps. "
        + " ".join(result.verdict(method) for result in own)
        for (benchmark, network, measure, better), own in together.items()
    )
