"""How well maps of relevance agree with known truth, and which parts of them are the network's own.

*Mass inside*: Σ|R| of the pixels that tell the classes apart, as a share of Σ|R| (Arras et al. 2022, doi
10.1016/j.inffus.2021.11.008). *Rank accuracy*: how many of the K largest |R| lie inside, K the number of pixels inside
(ibid.).

The *correction* takes off what is there without the data. Of inputs of nothing but noise, pixel i gets on average a
share p_i of Σ|R|; of a sample's map remains sign(R_i) max(|R_i| - p_i Σ|R|, 0).

Artifacts are measured on the mean of |R| over maps of noise, where whatever repeats is the network's own. *Stripes*:
the share of the variance over pixels that the position along the feeding direction explains. *Border*: mean |R| within
two pixels of the edge, divided by that of the rest. *Decay*: |R| at step t - 1 divided by that at step t, fitted to
logarithms. *Outlier share*: Σ|R| at planted outliers as a share of Σ|R|.
"""

from __future__ import annotations

import numpy as np

BORDER = 2  # pixels
NEGLIGIBLE = 1e-9  # a map of which less remains holds nothing


def mass_inside(maps: np.ndarray, inside: np.ndarray) -> float | None:
    """Return the mean share of Σ|R| inside, over the maps (sample, row, column) that are not empty; else None."""
    sizes = np.abs(maps)
    totals = sizes.sum((1, 2))
    if not (totals > 0).any():
        return None
    return float((sizes[:, inside].sum(1)[totals > 0] / totals[totals > 0]).mean())


def rank_accuracy(maps: np.ndarray, inside: np.ndarray) -> float | None:
    """Return the mean share of the K largest |R| that lie inside, over the maps that are not empty; else None."""
    filled = [picture for picture in np.abs(maps) if picture.any()]
    if not filled:
        return None
    number = int(inside.sum())
    hits = []
    for picture in filled:
        largest = np.argpartition(picture.ravel(), -number)[-number:]
        hits.append((inside.ravel()[largest] & (picture.ravel()[largest] > 0)).mean())
    return float(np.mean(hits))


def null_share(maps: np.ndarray) -> np.ndarray:
    """Return the mean share of Σ|R| that each pixel gets, (row, column), of maps (sample, row, column)."""
    sizes = np.abs(maps)
    totals = sizes.sum((1, 2), keepdims=True)
    return (sizes / np.where(totals > 0, totals, 1.0)).mean(0)


def corrected(maps: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return maps without what is there without the data.

    Parameters
    ----------
    maps : numpy.ndarray
        (sample, row, column).
    shares : numpy.ndarray
        (sample, row, column): for each sample the shares :func:`null_share` of its class.
    """
    sizes = np.abs(maps)
    totals = sizes.sum((1, 2), keepdims=True)
    kept = np.maximum(sizes - shares * totals, 0.0)
    kept[kept.sum((1, 2)) <= NEGLIGIBLE * totals[:, 0, 0]] = 0.0
    return np.sign(maps) * kept


def conservation_error(maps: np.ndarray, explained: np.ndarray) -> float:
    """Return the median of |ΣR - f|/|f| over samples; biases and leaks are what is missing."""
    return float(np.median(np.abs(maps.sum((1, 2)) - explained) / np.abs(explained)))


def stripes(sizes: np.ndarray, valid: np.ndarray, axis: int) -> float | None:
    """Return the share of the variance of |R| that the position along an axis explains; None without variance.

    Parameters
    ----------
    sizes : numpy.ndarray
        (row, column): mean |R|.
    valid : numpy.ndarray
        (row, column), bool: the pixels that count.
    axis : int
        0 where the network is fed row by row, 1 for column by column.
    """
    values, chosen = (sizes, valid) if axis else (sizes.T, valid.T)
    mean = values[chosen].mean()
    total = ((values[chosen] - mean) ** 2).sum()
    if total <= (NEGLIGIBLE * max(mean, 1e-300)) ** 2 * chosen.sum():
        return None
    between = 0.0
    for position in range(values.shape[1]):
        here = values[chosen[:, position], position]
        if len(here):
            between += len(here) * (here.mean() - mean) ** 2
    return float(between / total)


def border(sizes: np.ndarray, valid: np.ndarray) -> float | None:
    """Return mean |R| within :data:`BORDER` pixels of the edge over that of the rest; None where the rest has none."""
    ring = np.ones(sizes.shape, dtype=bool)
    ring[BORDER:-BORDER, BORDER:-BORDER] = False
    rest = sizes[valid & ~ring]
    if not (ring & valid).any() or not rest.size or rest.mean() == 0:
        return None
    return float(sizes[valid & ring].mean() / rest.mean())


def profile(sizes: np.ndarray, valid: np.ndarray, axis: int, backwards: bool = False) -> np.ndarray:
    """Return mean |R| at each step of the feed, the first step first; NaN where a step reads nothing valid."""
    known = np.where(valid, sizes, 0.0).sum(1 - axis)
    number = valid.sum(1 - axis)
    means = np.where(number > 0, known / np.maximum(number, 1), np.nan)
    return means[::-1] if backwards else means


def decay(steps: np.ndarray) -> float | None:
    """Return |R| at a step divided by that at the next one, fitted to logarithms of all but the first; None without."""
    later = np.arange(1, len(steps))
    with np.errstate(invalid="ignore"):
        known = later[steps[1:] > 1e-12 * np.nanmax(steps)]
    if len(known) < 3:
        return None
    slope = np.polyfit(known, np.log(steps[known]), 1)[0]
    return float(np.exp(-slope))
