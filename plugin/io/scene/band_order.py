r"""Whether bands are the channels that they are taken for: by what sea and ice look like in every channel at once.

Brightness temperatures of neighbouring frequencies and of the two polarisations depend on each other. With the means
and covariances of AMSR2 over open water, first-year, multi-year and summer ice (``resources``), taken together as
one normal distribution of mean :math:`\mu` and covariance :math:`\Sigma`, the squared Mahalanobis distance
:math:`(T-\mu)^T\Sigma^{-1}(T-\mu)` of a pixel is small in the right order of the bands, over land and young ice too,
and many times as large in another one. Only 6.9 and 7.3 GHz say nearly the same; whichever of them comes first
changes neither the distance nor the map.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
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

    def distances(orders: np.ndarray) -> np.ndarray:
        """Return the mean squared distances where channel k is band ``orders[:, k]``, one for each order."""
        moved = offset[orders] - mean[at]
        spreads = spread[orders[:, :, None], orders[:, None, :]]
        return np.einsum("oi,ij,oj->o", moved, inverse, moved) + np.einsum("ij,oij->o", inverse, spreads)

    given = np.arange(len(known))
    first = float(distances(given[None])[0])
    candidates = [_improved(distances, start) for start in (given, *_usual_orders(known))]
    nearest, order = min(candidates, key=lambda pair: pair[0])
    if first < _NEARER * nearest or first - nearest < _LEAST_GAIN:
        return None
    looks_like = dict(zip(order.tolist(), known))
    return tuple(looks_like[band] for band in given.tolist())


def _improved(distances: Callable[[np.ndarray], np.ndarray], order: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the distance and the order after the exchange of two bands that helps most, until none does."""
    nearest = float(distances(order[None])[0])
    pairs = np.array(list(itertools.combinations(range(len(order)), 2)))
    while True:
        exchanged = np.tile(order, (len(pairs), 1))
        np.put_along_axis(exchanged, pairs, order[pairs[:, ::-1]], axis=1)
        tried = distances(exchanged)
        best = int(np.argmin(tried))
        if not tried[best] < nearest * (1 - 1e-9):
            return nearest, order
        order, nearest = exchanged[best], float(tried[best])


def _usual_orders(names: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield orders in which programs write channels ``btemp_89_0v``: the band of each channel, from 0."""
    frequencies = [float(name[6:-1].replace("_", ".")) for name in names]
    keys: list[list[tuple]] = [[(name,) for name in names]]  # by the alphabet
    for sign, leading in itertools.product((1, -1), "hv"):
        pairs = [(sign * ghz, name[-1] != leading) for ghz, name in zip(frequencies, names)]
        keys += [
            pairs,
            [pair[::-1] for pair in pairs],
        ]  # frequency by frequency, or one polarisation after the other
    for key in keys:
        written = sorted(range(len(names)), key=key.__getitem__)
        yield np.argsort(written)


def order_refusal(path: str, channels: Sequence[Channel], likelier: Sequence[str]) -> str:
    """Return the sentence of bands without names whose values fit another order than the model's."""
    place = next(i for i, (channel, name) in enumerate(zip(channels, likelier)) if channel.name != name)
    shown = ", ".join(likelier[:4]) + (", …" if len(likelier) > 4 else "")
    return (
        f"The bands of {path} have no names, and their values are not in the model's order: band {place + 1} would be "
        f"{channels[place].name}, but looks like {likelier[place]}; they fit the order {shown}. Name the bands, or set "
        "CHANNELS."
    )


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
