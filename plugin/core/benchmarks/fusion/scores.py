"""How well maps agree with the truth: in all, by channel, and from one pixel to the next.

Each measure looks for another mistake. Over all channels and pixels, as in Mamalakis, Ebert-Uphoff and Barnes 2022
(doi 10.1017/eds.2022.7), channels that contribute much decide. The *least channel* is wrong where any one channel is.
The *least detail* compares how each pixel differs from its neighbours to the right and below: smooth maps agree even
where they are displaced, these differences do not. It comes first, since no broken map does well by it.
"""

from __future__ import annotations

import numpy as np

from ....ground.rankings import Measure
from ..additive.agreement import pearson, spearman
from .explaining import Maps

PEARSON, SPEARMAN, ABSOLUTE, CHANNEL, DETAIL = (
    "pearson",
    "spearman",
    "absolute",
    "least_channel",
    "least_detail",
)
MEASURES = (
    Measure(
        DETAIL,
        "least correlation of detail",
        "higher",
        0.0,
        1.0,
        "Pearson's r of differences of neighbouring pixels, of each channel; that of the channel where it is least. "
        "Noise lies below 0, since it is the least of many.",
    ),
    Measure(PEARSON, "Pearson's r", "higher", 0.0, 1.0, "Over all channels and pixels of a scene."),
    Measure(SPEARMAN, "Spearman's ρ", "higher", 0.0, 1.0, "The same of ranks."),
    Measure(ABSOLUTE, "correlation of sizes", "higher", 0.0, 1.0, "Pearson's r of |map| and |truth|."),
    Measure(
        CHANNEL,
        "least correlation of a channel",
        "higher",
        0.0,
        1.0,
        "Pearson's r over the pixels of each channel on its own; that of the channel where it is least.",
    ),
)


def scored(maps: Maps, truth: Maps) -> dict[str, float]:
    """Return the measures of one scene; NaN where a map, or a channel of it, is constant."""
    flat, exact = _pixels(maps), _pixels(truth)
    channels = [_correlation(a.ravel(), b.ravel()) for a, b in _pairs(maps, truth)]
    details = [_correlation(_detail(a), _detail(b)) for a, b in _pairs(maps, truth)]
    return {
        PEARSON: _correlation(flat, exact),
        SPEARMAN: float(spearman(flat[None], exact[None])[0]),
        ABSOLUTE: _correlation(np.abs(flat), np.abs(exact)),
        CHANNEL: float(np.min(channels)),  # NaN where one is
        DETAIL: float(np.min(details)),
    }


def by_channel(maps: Maps, truth: Maps) -> np.ndarray:
    """Return Pearson's r over the pixels of each channel: (channel,), the fine ones first."""
    return np.array([_correlation(a.ravel(), b.ravel()) for a, b in _pairs(maps, truth)])


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    return float(pearson(left[None], right[None])[0])


def _pairs(maps: Maps, truth: Maps) -> list[tuple[np.ndarray, np.ndarray]]:
    return [*zip(maps.fine, truth.fine), *zip(maps.coarse, truth.coarse)]


def _pixels(maps: Maps) -> np.ndarray:
    """Return all channels at the SAR pixels, (channel and pixel,): a cell's value at each of its pixels."""
    ratio = maps.fine.shape[1] // maps.coarse.shape[1]
    return np.concatenate([maps.fine.ravel(), np.repeat(maps.coarse.ravel(), ratio**2)])


def _detail(plane: np.ndarray) -> np.ndarray:
    """Return how each place differs from its neighbours to the right and below, (difference,)."""
    return np.concatenate([np.diff(plane, axis=axis).ravel() for axis in (1, 0)])
