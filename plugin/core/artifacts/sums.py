"""Statistics of several windows or pieces, added up, and the finding that they make."""

from __future__ import annotations

import numpy as np

from ...ground.vocabulary.artifact_tests import NOT_APPLICABLE
from .experiments import Outcome
from .settings import FOCUS
from .significance import largest_standardised, rank_p
from .verdicts import Finding, quantiles


class Sums:
    """Statistics of several windows, added up."""

    def __init__(self) -> None:
        self.statistics: np.ndarray | None = None
        self.size = self.of = 0.0
        self.numbers: dict[str, float] = {}

    def add(self, statistics: np.ndarray, size: float, of: float, numbers: dict[str, float]) -> None:
        """Add those of a window."""
        self.statistics = statistics if self.statistics is None else self.statistics + statistics
        self.size += size
        self.of += of
        for name, value in numbers.items():
            self.numbers[name] = self.numbers.get(name, 0.0) + value

    def add_outcome(self, outcome: Outcome) -> None:
        """Add those of a piece."""
        self.add(outcome.statistics, outcome.size, outcome.of, outcome.numbers)


def outcome_finding(test: str, sums: Sums) -> Finding:
    """Return the finding of a test beside null inputs."""
    if sums.statistics is None:
        return Finding(test, "", float("nan"), verdict=NOT_APPLICABLE)
    chosen = largest_standardised(sums.statistics)
    size = sums.size / sums.of if sums.of else 0.0
    numbers = dict(sums.numbers)
    if test == FOCUS:
        moved = numbers["prediction"] / numbers["spread"] if numbers["spread"] else 0.0
        # Where the prediction moves as much as the map, the outlier was used: no artifact. Both are logits, and shares
        # of the same sum: an intercept moves neither.
        size = max(0.0, (sums.size - 1.5 * numbers["prediction"]) / sums.of) if sums.of else 0.0
        numbers = {"outliers": numbers["outliers"], "prediction_change": moved}
    return Finding(
        test,
        "",
        float(chosen[0]),
        quantiles(chosen[1:]),
        rank_p(chosen[0], chosen[1:]),
        size,
        numbers,
        in_family=True,
    )
