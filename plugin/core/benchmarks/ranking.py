"""Which method to trust: methods ranked by their scores against truth, with intervals, ties and controls.

Every method explains the same samples, so that methods are compared sample by sample. A map of which a measure is not
defined, such as a constant one, tells nothing: it counts with the value of a map that tells nothing, and is counted.

*Intervals* are percentiles of 5000 bootstrap means over samples, with the same resamples for all methods of a
condition. Percentile intervals are too narrow for few samples; the percentiles are those at which an interval of
normal means has the length of Student's (Hesterberg 2015, doi 10.1080/00031305.2015.1089789, section 5.3). Two methods
are *tied* where the interval of their paired difference holds 0. The *rank* of a method is one more than the number of
those that are better and not tied with it.

*Recommended* is the method with the best mean among those that are better than the uninformative value and better than
every control: an edge filter, noise, and maps that were broken on purpose. Each of these comparisons must hold, which
asks for no correction (an intersection-union test, Berger 1982, doi 10.1080/00401706.1982.10487790). The choice among
many methods does: p-values are those of the largest t over the methods and comparisons that are not surer, in the same
resamples, each studentised by its own error (step-down maxT, Westfall & Young 1993, *Resampling-based multiple
testing*). So the chance that any useless method is recommended is about 5 %, however many are tried. Intervals and ties
are of each pair alone. Where another method is surely better than that one, but not sure to surpass all controls, none
is recommended.

A method that fails badly on few samples looks better than it is as long as these are not drawn, and no test of the mean
alone guards against it. So each comparison counts the sample that speaks most against the method twice: as often as the
tail beyond all samples is met again, 1 in n + 1. And a method with fewer than 12 scores is not recommended.

Of a comparison in which all samples but one agree, t of resamples without that one has no end, and one such method
would keep all others from being recommended: errors of resamples count as a fifth of the samples' own at least.

All of it speaks of further samples like these in the same network: what another training, other scenes or another kind
of samples would change is in no interval. Samples count as independent; where several are of one scene, intervals may
be too narrow. A method that fails badly on few samples, of which none was drawn, is not found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.stats import norm, t

from ...ground.errors import NumericalError, ParameterError
from ...ground.rankings import Judged, Measure, Ranked, Ranking
from ...ground.vocabulary.benchmarks import FEWEST_SAMPLES, UNINFORMATIVE

RESAMPLES = 5000
LEVEL = 0.05  # of intervals and ties
_CELLS = 1_000_000  # resamples × samples held at once
_LEAST_ERROR = 0.2  # standard error of a resample, in parts of that of the samples


def rankings(judged: Sequence[Judged], measures: Sequence[Measure], seed: int) -> tuple[Ranking, ...]:
    """Rank the methods of every condition by every measure of which there are scores; see :func:`rank`."""
    conditions = dict.fromkeys(each.condition for each in judged)
    made = []
    for condition in conditions:
        own = [each for each in judged if each.condition == condition]
        made += [
            rank(own, measure, seed)
            for measure in measures
            if any(measure.word in each.scores for each in own)
        ]
    return tuple(made)


def rank(judged: Sequence[Judged], measure: Measure, seed: int) -> Ranking:
    """Rank the methods of one condition.

    Parameters
    ----------
    judged : sequence of Judged
        All of one condition. Those without scores by the measure are left out.
    measure : Measure
        What they are ranked by.
    seed : int
        Of the resamples: the same seed gives the same ranking.

    Raises
    ------
    ParameterError
        If conditions differ, a method comes twice, none has scores, or methods have different samples.
    NumericalError
        If a score is infinite.
    """
    ranked = [each for each in judged if measure.word in each.scores]
    values = _values(judged, ranked, measure)
    nothing = measure.uninformative
    if nothing is None:
        raise AssertionError("nothing is None")
    scores = np.where(np.isnan(values), nothing, values)
    goodness = measure.sign * scores
    count = len(scores)
    candidates = [k for k, each in enumerate(ranked) if not each.control]
    controls = [k for k, each in enumerate(ranked) if each.control]
    margins = (
        goodness[:, candidates, None]
        - np.concatenate([np.full((count, 1), measure.sign * nothing), goodness[:, controls]], axis=1)[
            :, None
        ]
    )  # (sample, candidate, comparison)
    statistics, adjusted = (
        each.reshape(margins.shape[1:]) for each in _surpassing(margins.reshape(count, -1), seed)
    )
    means = _means(goodness, seed)

    order = sorted(range(len(ranked)), key=lambda k: -goodness[:, k].mean())
    low, high = percentile_interval(means, count)
    behind, behind_low, behind_high = _differences(goodness, means, order[0])
    better, tied = _pairs(goodness, means)
    names = [UNINFORMATIVE, *(ranked[k].method for k in controls)]
    rows = []
    for place, k in enumerate(order, 1):
        weakest, p = "", 1.0
        undefined = int(np.isnan(values[:, k]).sum())
        if k in candidates and count >= FEWEST_SAMPLES:
            own = candidates.index(k)
            at = int(
                np.lexsort((statistics[own], -adjusted[own]))[0]
            )  # of equally sure ones that of the least t
            weakest = names[at]
            p = float(adjusted[own, at]) if count - undefined >= FEWEST_SAMPLES else 1.0
        bottom, top = sorted((measure.sign * float(low[k]), measure.sign * float(high[k])))
        rows.append(
            Ranked(
                ranked[k].method,
                ranked[k].control,
                place,
                1 + int(better[:, k].sum()),
                float(scores[:, k].mean()),
                bottom,
                top,
                float(behind[k]),
                float(behind_low[k]),
                float(behind_high[k]),
                tuple(ranked[other].method for other in order if other != k and tied[k, other]),
                undefined,
                ranked[k].seconds,
                weakest,
                p,
                values[:, k],
            )
        )
    left_out = tuple(each.method for each in judged if measure.word not in each.scores)
    return Ranking(ranked[0].condition, measure, count, tuple(rows), _chosen(rows), left_out)


def _chosen(rows: Sequence[Ranked]) -> str | None:
    """Return the trusted method of the best mean; None where another method is surely better, but not trusted."""
    number, best = next(((k, row) for k, row in enumerate(rows) if row.trusted), (0, None))
    if best is None or any(not row.control and row.method not in best.tied for row in rows[:number]):
        return None
    return best.method


def mean_intervals(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % intervals of the means of columns, of values (sample, column) without NaN."""
    return percentile_interval(_means(values, seed), len(values))


def percentile_interval(means: np.ndarray, count: int, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the intervals of bootstrap means (resample, …) over `count` samples.

    The percentiles are Φ(±t √(n / (n - 1))), t Student's quantile of n - 1 degrees of freedom (Hesterberg 2015).
    """
    if count < 2:
        none = np.full(means.shape[1:], np.nan)
        return none, none
    share = norm.cdf(t.ppf(level / 2, count - 1) * np.sqrt(count / (count - 1)))
    low, high = np.quantile(means, [share, 1 - share], axis=0)
    return low, high


def _values(judged: Sequence[Judged], ranked: Sequence[Judged], measure: Measure) -> np.ndarray:
    """Return the scores of the methods, (sample, method), checked."""
    conditions = sorted({each.condition for each in judged})
    if len(conditions) > 1:
        raise ParameterError(f"Methods are ranked within one condition, not across {', '.join(conditions)}.")
    if not measure.ranks:
        raise ParameterError(
            f"Methods cannot be ranked by {measure.word!r}: it has no better and ideal value."
        )
    if not ranked:
        raise ParameterError(f"No method has scores by {measure.word!r}: there is nothing to rank.")
    words = [each.method for each in ranked]
    if len(set(words)) < len(words):
        raise ParameterError(f"A method comes twice among {', '.join(words)}: give each one once.")
    columns = [np.asarray(each.scores[measure.word], dtype=np.float64) for each in ranked]
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 1 or not len(columns[0]):
        shapes = ", ".join(f"{word} {column.shape}" for word, column in zip(words, columns))
        raise ParameterError(f"Scores by {measure.word!r} must be of the same samples, but have: {shapes}.")
    values = np.stack(columns, axis=1)
    if np.isinf(values).any():
        word = words[int(np.isinf(values).any(0).argmax())]
        raise NumericalError(
            f"A score of {word} by {measure.word!r} is infinite: a score is a number or NaN."
        )
    return values


def _counts(count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each sample is drawn, (resample, sample), float64, some resamples at a time."""
    draw = np.random.default_rng([seed, 20])
    at_once = max(1, min(RESAMPLES, _CELLS // count))
    for begun in range(0, RESAMPLES, at_once):
        number = min(at_once, RESAMPLES - begun)
        drawn = draw.integers(count, size=(number, count))
        flat = drawn + count * np.arange(number)[:, None]
        yield np.bincount(flat.ravel(), minlength=number * count).reshape(number, count).astype(np.float64)


def _means(goodness: np.ndarray, seed: int) -> np.ndarray:
    """Return bootstrap means, (resample, method)."""
    centre = goodness.mean(0)
    return np.concatenate(
        [centre + counts @ (goodness - centre) / len(goodness) for counts in _counts(len(goodness), seed)]
    )


def _surpassing(margins: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return t and the corrected p-value of each margin, of (sample, margin); the worst sample counts twice."""
    margins = np.concatenate([margins, margins.min(0, keepdims=True)])
    statistics = _studentised(margins)
    return statistics, _adjusted(statistics, _errors(margins, seed))


def _errors(margins: np.ndarray, seed: int) -> np.ndarray:
    """Return the studentised errors of the means of resamples, (resample, margin)."""
    count = len(margins)
    errors = margins - margins.mean(0)
    errors[:, _constant(margins)] = 0.0
    scale = np.abs(errors).max(0, initial=0.0)
    least = _LEAST_ERROR * np.sqrt((errors**2).mean(0) / max(count - 1, 1))
    studentised = []
    for counts in _counts(count, seed):
        moved = counts @ errors / count
        spread = np.sqrt(np.maximum(counts @ errors**2 / count - moved**2, 0.0) / max(count - 1, 1))
        studentised.append(_ratio(moved, np.maximum(spread, least), scale))
    return np.concatenate(studentised)


def _adjusted(statistics: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return the p-value of each t among the largest errors of those that are not surer, (margin,).

    Parameters
    ----------
    statistics : numpy.ndarray
        (margin,): t.
    errors : numpy.ndarray
        (resample, margin): t of resamples around the samples' mean.
    """
    surest_first = np.argsort(-statistics, kind="stable")
    largest = np.maximum.accumulate(errors[:, surest_first[::-1]], axis=1)[:, ::-1]
    p = (1 + (largest >= statistics[surest_first]).sum(0)) / (1 + len(errors))
    adjusted = np.empty_like(statistics)
    adjusted[surest_first] = np.maximum.accumulate(p)
    return adjusted


def _studentised(margins: np.ndarray) -> np.ndarray:
    """Return mean / standard error of each margin, of (sample, margin); ±infinite where all samples agree."""
    errors = margins - margins.mean(0)
    errors[:, _constant(margins)] = 0.0
    spread = np.sqrt((errors**2).mean(0) / max(len(margins) - 1, 1))
    return _ratio(margins.mean(0), spread, np.abs(margins).max(0, initial=0.0))


def _constant(margins: np.ndarray) -> np.ndarray:
    """Return which columns are the same for all samples, but for rounding."""
    return np.ptp(margins, axis=0) <= 1e-12 * np.abs(margins).max(0, initial=0.0)


def _ratio(means: np.ndarray, errors: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return means / errors, ±infinite where only the error is none, 0 where both are."""
    nothing = errors <= 1e-12 * scale
    infinite = np.where(np.abs(means) <= 1e-12 * scale, 0.0, np.copysign(np.inf, means))
    return np.where(nothing, infinite, means / np.where(nothing, 1.0, errors))


def _differences(
    goodness: np.ndarray, means: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how much better the first is than each, with the paired interval."""
    low, high = percentile_interval(means[:, [first]] - means, len(goodness))
    centre = goodness.mean(0)
    return centre[first] - centre, low, high


def _pairs(goodness: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (method, method) whether the first is better than the second, and whether they are tied."""
    number = goodness.shape[1]
    better = np.zeros((number, number), dtype=bool)
    for k in range(number):
        low, high = percentile_interval(means[:, [k]] - means, len(goodness))
        scale = 1e-6 * np.abs(goodness).max()  # rounding of maps in float32 is no difference
        better[k] = (low > scale) & (high > scale)
    return better, ~(better | better.T)
