"""Further trainings of a network: how far the means of methods differ from one trained network to the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import t

from ...ground.rankings import Judged, Measure
from ...report.ranking.page import Comparison
from .study import Part

LEVEL = 0.05
_COLUMNS = (
    ("condition", "condition"), ("method", "method"), ("mean", "mean of the first network"),
    ("low", "from, over samples"), ("high", "to, over samples"), ("networks", "mean over networks"),
    ("networks_low", "from, over networks"), ("networks_high", "to, over networks"),
    ("deviation", "standard deviation"),
    ("places", "places among methods"),
)  # fmt: skip


def trainings(
    first: Mapping[str, Part], again: Mapping[str, Sequence[Part]], measure: Measure, seed: int
) -> tuple[Comparison, ...]:
    """Return the table of means over trainings; none where no network was trained again.

    Parameters
    ----------
    first : mapping
        Word of a part → its first training.
    again : mapping
        Word of a part → its further trainings, which explained the same samples.
    measure : Measure
        That decides.
    seed : int
        Of the resamples.
    """
    rows = [row for word, parts in again.items() for row in _rows([first[word], *parts], measure, seed)]
    if not rows:
        return ()
    number = 1 + max(len(parts) for parts in again.values())
    return (
        Comparison(
            f"The same network trained {number} times",
            (
                f"Each training has samples and weights of its own, and explains the same samples. Values are "
                f"{measure.title}. An interval over samples says what further samples in the first network would "
                f"change; one over networks, of Student's t with {number - 1} degrees of freedom, what further "
                "trainings would. Where the second is wider, a difference within it is no reason to prefer a method.",
            ),
            _COLUMNS,
            tuple(rows),
        ),
    )


def _rows(parts: Sequence[Part], measure: Measure, seed: int) -> list[dict[str, object]]:
    from ...core.benchmarks.ranking import mean_intervals

    rows: list[dict[str, object]] = []
    for condition in dict.fromkeys(each.condition for each in parts[0].judged):
        judged = [_methods(part, condition, measure) for part in parts]
        places = [sorted(own, key=lambda word: -measure.sign * _mean(own[word], measure)) for own in judged]
        for word in places[0]:
            means = np.array([_mean(own[word], measure) for own in judged])
            low, high = mean_intervals(_known(judged[0][word], measure)[:, None], seed)
            deviation = float(means.std(ddof=1))
            reach = float(t.ppf(1 - LEVEL / 2, len(means) - 1)) * deviation / np.sqrt(len(means))
            own_places = [1 + order.index(word) for order in places]
            rows.append(
                {
                    "condition": condition, "method": word, "mean": float(means[0]), "low": float(low[0]),
                    "high": float(high[0]), "networks": float(means.mean()),
                    "networks_low": float(means.mean() - reach), "networks_high": float(means.mean() + reach),
                    "deviation": deviation, "places": f"{min(own_places)} to {max(own_places)}",
                }
            )  # fmt: skip
    return rows


def _methods(part: Part, condition: str, measure: Measure) -> dict[str, Judged]:
    return {
        each.method: each
        for each in part.judged
        if each.condition == condition and not each.control and measure.word in each.scores
    }


def _known(judged: Judged, measure: Measure) -> np.ndarray:
    """Return the scores (sample,), uninformative where a map has none."""
    values, nothing = judged.scores[measure.word], measure.uninformative or 0.0
    return np.where(np.isnan(values), nothing, values).astype(float)


def _mean(judged: Judged, measure: Measure) -> float:
    return float(_known(judged, measure).mean())
