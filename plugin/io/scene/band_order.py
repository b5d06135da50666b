r"""Whether bands are the channels that they are taken for: by what sea and ice look like in every channel at once.

Brightness temperatures of neighbouring frequencies and of the two polarisations depend on each other. With the means
and covariances of AMSR2 over open water, first-year, multi-year and summer ice (``resources``), taken together as
one normal distribution of mean :math:`\mu` and covariance :math:`\Sigma`, the squared Mahalanobis distance
:math:`(T-\mu)^T\Sigma^{-1}(T-\mu)` of a pixel is small in the right order of the bands, over land and young ice too,
and many times as large in another one. Only 6.9 and 7.3 GHz say nearly the same; whichever of them comes first
changes neither the distance nor the map.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from ...ground.paths import RESOURCES
from ...networks.card import Channel

_STATISTICS = RESOURCES / "amsr2_tie_statistics.json"
_CALIBRATION_K = 3.0  # errors between instruments and versions, which no tie point knows
# Another order must be so many times as near, and by so much, to be the likelier one: in the right order the
# distance falls by a third at most over any surface, in a wrong one to a fifth of it.
_NEARER, _LEAST_GAIN = 2.0, 10.0
_LEAST_CHANNELS = 4
_LEAST_VALUES = 16


def likelier_order(channels: Sequence[Channel], samples: Mapping[str, np.ndarray]) -> tuple[str, ...] | None:
    """Return the names of the channels in the order that the bands' values fit; None where it is the given one.

    Parameters
    ----------
    channels : sequence of Channel
        Radiometer channels, each taken from the band at its place.
    samples : mapping
        By channel, values at the same pixels (n,), K; NaN where there is no data.

    Returns
    -------
    tuple of str or None
        At the place of every channel the one that its band looks like. None also where channels are not AMSR2's, or
        few.
    """
    names, mean, covariance = _tie_statistics()
    known = [channel.name for channel in channels if channel.name in names and channel.name in samples]
    if len(known) < max(_LEAST_CHANNELS, len(channels)) or len({samples[name].shape for name in known}) != 1:
        return None
    values = np.array([samples[name] for name in known], np.float64)
    values = values[:, np.isfinite(values).all(axis=0)]
    if values.shape[1] < _LEAST_VALUES:
        return None
    at = [names.index(name) for name in known]
    inverse = np.linalg.inv(covariance[np.ix_(at, at)])
    offset, spread = values.mean(axis=1), np.cov(values)

    def distance(order: list[int]) -> float:
        """Return the mean squared distance where channel k is band ``order[k]``."""
        moved = offset[order] - mean[at]
        return float(moved @ inverse @ moved + np.einsum("ij,ij->", inverse, spread[np.ix_(order, order)]))

    given = list(range(len(known)))
    order, nearest = given, distance(given)
    first = nearest
    while True:  # the exchange of two bands that helps most, until none does
        exchanged = [_exchanged(order, i, j) for i in given for j in range(i)]
        distances = [distance(each) for each in exchanged]
        best = int(np.argmin(distances))
        if not distances[best] < nearest - 1e-9 * first:
            break
        order, nearest = exchanged[best], distances[best]
    if first < _NEARER * nearest or first - nearest < _LEAST_GAIN:
        return None
    looks_like = {band: known[channel] for channel, band in enumerate(order)}
    return tuple(looks_like[band] for band in given)


def order_refusal(path: str, channels: Sequence[Channel], likelier: Sequence[str]) -> str:
    """Return the sentence of bands without names whose values fit another order than the model's."""
    place = next(i for i, (channel, name) in enumerate(zip(channels, likelier)) if channel.name != name)
    shown = ", ".join(likelier[:4]) + (", …" if len(likelier) > 4 else "")
    return (
        f"The bands of {path} have no names, and their values are not in the model's order: band {place + 1} would be "
        f"{channels[place].name}, but looks like {likelier[place]}; they fit the order {shown}. Name the bands, or set "
        "CHANNELS."
    )


def _exchanged(order: list[int], i: int, j: int) -> list[int]:
    found = order.copy()
    found[i], found[j] = found[j], found[i]
    return found


@lru_cache(maxsize=1)
def _tie_statistics() -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Return AMSR2's channels, and mean (channel,) and covariance (channel, channel) over all surfaces, K."""
    stored = json.loads(_STATISTICS.read_text(encoding="utf-8"))
    classes = stored["classes"].values()
    means = np.array([each["mean"] for each in classes])
    mean = means.mean(axis=0)
    within = np.mean([each["covariance"] for each in classes], axis=0)
    between = (means - mean).T @ (means - mean) / len(means)
    return tuple(stored["channels"]), mean, within + between + _CALIBRATION_K**2 * np.eye(len(mean))
