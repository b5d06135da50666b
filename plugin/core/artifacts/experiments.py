"""Tests beside null inputs, on pieces of the scene: each returns statistics that can be added up over pieces.

Every test has a null hypothesis under which its statistic is exchangeable with its reference values, the replicates:

==================  ==================================================================================  =============
test                null hypothesis                                                                     replicates
==================  ==================================================================================  =============
translation         what does not move with the scene is not tied to a place                            one difference
                                                                                                        moved around
                                                                                                        (smooth ones:
                                                                                                        crops of both)
mirroring           the ratio of the map's profile to that of the mirrored scene has no trend along     the ratio
                    rows or columns                                                                     moved around
focus               what capping of outliers changes in the map is not tied to where the outliers are   the change
                                                                                                        moved around
randomised_weights  the network is one more network with shuffled weights                               the shuffled
                                                                                                        networks
==================  ==================================================================================  =============

The first three find an artifact when they reject. The last one asks the other way round: a map that cannot be
distinguished from those of untrained networks shows the architecture; to reject is good. It is therefore no member of
the family that Holm's correction is for.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np

from ...ground.protocols import Patch
from ...ground.window import Window
from .inputs import capped, flat_cells, flipped, moved, robust_bounds
from .maps import Mapper
from .significance import rank_correlation, smooth

# Steps of a translation, in pixels (rows, columns): odd, and multiples of no common stride.
OFFSETS = ((7, -11), (-13, 5))
MARGIN = 13
# A change of a map below this share of it is rounding of a network in float32.
UNCHANGED = 1e-3
# Sides of what must be left of a piece away from edges.
FEWEST = 16
# By how much inputs are shifted, in robust standard deviations, and scaled.
LITTLE = 0.1
# Strips whose profiles are moved around independently: of a single one there are as few places as pixels along it.
STRIPS = 4
# Places along a profile that a trend needs.
SHORTEST_PROFILE = 8
# Inputs beyond so many robust standard deviations are outliers.
CAP = 5.0


@dataclass(frozen=True)
class Outcome:
    """What a test found on a piece.

    Parameters
    ----------
    statistics : numpy.ndarray
        (1 + replicates, statistic), the observed first.
    size : float
        How much of the map it concerns: a sum of |relevance|.
    of : float
        Σ|relevance| of the piece.
    numbers : dict of str to float
        More, for the report: sums over the piece.
    """

    statistics: np.ndarray
    size: float
    of: float
    numbers: dict[str, float] = field(default_factory=dict)


def away_from_edges(core: Window, region: Window, radius: int) -> tuple[slice, slice] | None:
    """Return rows and columns of a window that lie a radius inside the region; None where few are left."""
    inner = Window(
        region.row + radius,
        region.col + radius,
        max(0, region.rows - 2 * radius),
        max(0, region.cols - 2 * radius),
    )
    kept = core.intersection(inner)
    return kept.slices(core) if min(kept.rows, kept.cols) >= FEWEST else None


def translation(
    mapper: Mapper, patch: Patch, core: Window, base: np.ndarray, region: Window, replicates: int, random
) -> Outcome | None:
    """Move the scene and see what of the map stays where it was; `base`: the map with cells at their means."""
    flat = flat_cells(patch)
    # Nothing is known where the scene has been moved away from: as much is left out on all sides.
    rows, cols = (max(0, size - 2 * MARGIN) for size in (core.rows, core.cols))
    inner = Window(core.row + MARGIN, core.col + MARGIN, rows, cols)
    within = inner.slices(core)
    here = away_from_edges(inner, region, mapper.radius)
    if here is None:
        return None
    differences = []
    for offset in OFFSETS:
        of_moved = mapper.relevance(moved(flat, offset), core)
        # The map of the scene, moved along: both in the places of the network.
        differences.append((of_moved - _moved_map(base, offset))[within][here])
    size = float(np.mean([np.nansum(np.abs(d)) for d in differences]))
    total = float(np.nansum(np.abs(base[within][here])))
    if size <= UNCHANGED * total:
        return Outcome(np.zeros((1 + replicates, 2)), size, total)
    first, second = (np.nan_to_num(d) for d in differences)
    products = _cropped_products if smooth(first - second) else _moved_products
    return Outcome(products(first, second, replicates, random), size, total)


def _moved_map(base: np.ndarray, offset: tuple[int, int]) -> np.ndarray:
    """Return a map moved by an offset; NaN where nothing is moved to."""
    moved_map = np.full_like(base, np.nan)
    rows, cols = base.shape
    down, across = offset
    to = slice(max(0, down), rows + min(0, down)), slice(max(0, across), cols + min(0, across))
    of = slice(max(0, -down), rows + min(0, -down)), slice(max(0, -across), cols + min(0, -across))
    moved_map[to] = base[of]
    return moved_map


def _cropped_products(first: np.ndarray, second: np.ndarray, replicates: int, random) -> np.ndarray:
    """Return correlations of crops of two maps, and of their magnitudes, in place and each moved by itself.

    Crops of three quarters a side are moved inside the maps: a map that is moved around has seams where it wraps, and
    smooth fields are correlated by chance far more often without seams than with them.
    """
    rows, cols = first.shape
    room = min(rows, cols) // 4
    places = (room + 1) ** 2
    one = random.integers(0, places, replicates)
    # Never the same place of both: whatever stays in place is there again.
    other = (one + random.integers(1, places, replicates)) % places
    middle = (room // 2) * (room + 2)
    correlations = np.zeros((1 + replicates, 2))
    for column, maps in enumerate(((first, second), (np.abs(first), np.abs(second)))):
        for row, (a, b) in enumerate(zip([middle, *one], [middle, *other])):
            crops = []
            for values, place in zip(maps, (a, b)):
                top, left = divmod(int(place), room + 1)
                crop = values[top : top + rows - room, left : left + cols - room]
                crops.append(crop - crop.mean())
            size = np.sqrt((crops[0] ** 2).sum() * (crops[1] ** 2).sum())
            correlations[row, column] = (crops[0] * crops[1]).sum() / size if size > 0 else 0.0
    return correlations


def _moved_products(first: np.ndarray, second: np.ndarray, replicates: int, random) -> np.ndarray:
    """Return correlations of two maps, and of their magnitudes, in place and with the second moved around."""
    pairs = [(first - first.mean(), second - second.mean())]
    sizes = np.abs(first), np.abs(second)
    pairs.append((sizes[0] - sizes[0].mean(), sizes[1] - sizes[1].mean()))
    correlations = np.zeros((1 + replicates, 2))
    rows, cols = first.shape
    offsets = [(0, 0), *zip(random.integers(0, rows, replicates), random.integers(0, cols, replicates))]
    for column, (a, b) in enumerate(pairs):
        size = np.sqrt((a**2).sum() * (b**2).sum())
        if size <= 0:
            continue
        # All shifts at once: the circular cross-correlation.
        products = np.fft.irfft2(np.fft.rfft2(a) * np.conj(np.fft.rfft2(b)), s=a.shape) / size
        correlations[:, column] = [products[down, across] for down, across in offsets]
    return correlations


def mirroring(
    mapper: Mapper, patch: Patch, core: Window, base: np.ndarray, region: Window, replicates: int, random
) -> Outcome | None:
    """Mirror the scene and see whether relevance grows or decays along rows or columns all the same."""
    flat = flat_cells(patch)
    here = away_from_edges(core, region, mapper.radius)
    if here is None:
        return None
    columns, trend = [], 0.0
    total = float(np.nansum(np.abs(base)))
    for axis in (0, 1):
        # Both cut to what lies away from edges as it is and mirrored.
        span = here[axis]
        length = base.shape[axis]
        first, stop = max(span.start, length - span.stop), min(span.stop, length - span.start)
        if stop - first < SHORTEST_PROFILE:  # what is away from an edge mirrors onto what is near it
            columns.append(np.zeros(1 + replicates))
            continue
        mirrored_map = np.flip(mapper.relevance(flipped(flat, core, axis), core), axis)
        ratios = _profile_ratios(base, mirrored_map, axis, slice(first, stop))
        place = np.linspace(-1, 1, stop - first)
        if ratios.std() < UNCHANGED:
            columns.append(np.zeros(1 + replicates))
            continue
        offsets = random.integers(0, stop - first, (replicates, len(ratios)))
        trends = [
            _common_trend([float(place @ np.roll(ratio, step)) for ratio, step in zip(ratios, steps)])
            for steps in ([0] * len(ratios), *offsets)
        ]
        columns.append(np.array(trends))
        # The ratio of mirrored profiles doubles what the direction does: log b(x) - log b(-x).
        trend = max(trend, trends[0] / float(place @ place))
    return Outcome(np.stack(columns, axis=1), (1 - np.exp(-trend)) * total, total)


def _common_trend(trends: list[float]) -> float:
    """Return the trend that all strips have at least; 0 where they do not go the same way.

    A direction acts on all strips alike; what is amiss in a part of a window acts on some.
    """
    return max(0.0, min(trends), -max(trends))


def altered(
    mapper: Mapper, patch: Patch, core: Window, observed: np.ndarray, region: Window
) -> dict[str, np.ndarray]:
    """Change a little what the network sees, and see how far map and prediction move; nothing is tested.

    Parameters
    ----------
    mapper, patch, core
        What makes maps, what was read, and the window.
    observed : numpy.ndarray
        The map of the window.
    region : Window
        Whose edges may be padded.

    Returns
    -------
    dict of str to numpy.ndarray
        By name (``offset``, ``scale``, ``mask_fill`` where there are gaps, ``padding`` at edges) sums (4,):
        |change of the map|, |map|, |change of the logit|, |logit|; of ``padding`` within reach of the edges.
    """
    bounds = robust_bounds(patch, 1.0)
    usable = np.isfinite(bounds).all(axis=1)
    middle = np.where(usable, bounds.mean(axis=1), 0.0)[:, None, None]
    spread = np.where(usable, (bounds[:, 1] - bounds[:, 0]) / 2, 0.0)[:, None, None]

    def seen(fine: np.ndarray) -> Patch:
        return dataclasses.replace(patch, fine=fine.astype(patch.fine.dtype))

    everywhere = np.isfinite(observed)
    tried: dict[str, tuple[Mapper, Patch, np.ndarray]] = {
        "offset": (mapper, seen(patch.fine + LITTLE * spread), everywhere),
        "scale": (mapper, seen(middle + (1 + LITTLE) * (patch.fine - middle)), everywhere),
    }
    if not patch.valid.all():
        tried["mask_fill"] = mapper.refilled(), patch, everywhere
    near = everywhere & near_edges(core, region, mapper.radius)
    padded = mapper.padded() if near.any() else None
    if padded is not None:
        tried["padding"] = padded, patch, near
    before = mapper.logits(patch, core)
    sums = {}
    for name, (other, changed, where) in tried.items():
        change = np.abs(other.relevance(changed, core) - observed)[where].sum()
        moved_logit = np.abs(other.logits(changed, core) - before)[where].sum()
        sums[name] = np.array(
            [change, np.abs(observed[where]).sum(), moved_logit, np.abs(before[where]).sum()], float
        )
    return sums


def near_edges(core: Window, region: Window, radius: int) -> np.ndarray:
    """Return which pixels (row, column) of a window lie within a radius of an edge of the region, bool."""
    down, across = np.mgrid[core.row : core.row_stop, core.col : core.col_stop]
    rows = np.minimum(down - region.row, region.row_stop - 1 - down)
    cols = np.minimum(across - region.col, region.col_stop - 1 - across)
    return np.minimum(rows, cols) < radius


def _profile_ratios(base: np.ndarray, other: np.ndarray, axis: int, span: slice) -> np.ndarray:
    """Return log ratios (strip, place) of the profiles of two maps along an axis, by strips across it."""
    found_pairs = []
    for strip in np.array_split(np.arange(base.shape[1 - axis]), STRIPS):
        profiles = [
            np.nanmean(np.abs(np.take(m, strip, axis=1 - axis)), axis=1 - axis)[span] for m in (base, other)
        ]
        floor = 1e-6 * max(float(np.nanmean(profile)) for profile in profiles)
        if not floor > 0:
            continue
        found_pairs.append(np.nan_to_num(np.log(profiles[0] + floor) - np.log(profiles[1] + floor)))
    return np.array(found_pairs).reshape(-1, span.stop - span.start)


def focus(
    mapper: Mapper, patch: Patch, core: Window, observed: np.ndarray, replicates: int, random
) -> Outcome:
    """Cap outliers and see whether the map moves where they are, while the prediction does not."""
    bounds = robust_bounds(patch, CAP)
    tamed = capped(patch, bounds)
    here = core.slices(patch.window)
    with np.errstate(invalid="ignore"):
        widths = np.where(np.isfinite(bounds).all(axis=1), bounds[:, 1] - bounds[:, 0], 1.0)
        excess = np.abs(np.nan_to_num(patch.fine - tamed.fine)) / widths[:, None, None]
    excess = excess.sum(axis=0)[here].astype(np.float64)
    total = float(np.nansum(np.abs(observed)))
    nothing = Outcome(
        np.zeros((1 + replicates, 2)), 0.0, total, {"outliers": 0.0, "prediction": 0.0, "spread": 0.0}
    )
    if not excess.any():
        return nothing
    change = np.nan_to_num(observed - mapper.relevance(tamed, core))
    before, after = mapper.logits(patch, core), mapper.logits(tamed, core)
    valid = np.isfinite(observed)
    numbers = {
        "outliers": float(np.count_nonzero(excess)),
        "prediction": float(np.abs(after - before)[valid].sum()),
        "spread": float(np.abs(before)[valid].sum()),
    }
    size = float(np.abs(change).sum())
    if size <= UNCHANGED * total:
        return Outcome(nothing.statistics, size, total, numbers)
    statistics = _moved_products(np.abs(change), excess, replicates, random)
    return Outcome(statistics, size, total, numbers)


@dataclass(frozen=True)
class Similarity:
    """How alike the map of a network is to those of shuffled ones.

    Parameters
    ----------
    statistics : numpy.ndarray
        (1 + networks,): of each network, minus its mean rank correlation with all others; the trained one first.
    correlation : float
        Of the trained one with the shuffled ones, mean.
    among : float
        Of the shuffled ones with each other, mean.
    cascade : tuple of (int, float)
        Layers shuffled, counted from the output, and the rank correlation then.
    """

    statistics: np.ndarray
    correlation: float
    among: float
    cascade: tuple[tuple[int, float], ...]


def similarity(maps: list[np.ndarray], cascade: list[tuple[int, np.ndarray]]) -> Similarity:
    """Compare the magnitudes of maps.

    Parameters
    ----------
    maps : list of numpy.ndarray
        The trained network's first, then those of shuffled ones; all shapes alike.
    cascade : list of (int, numpy.ndarray)
        Maps of networks whose last layers are shuffled, by their number.
    """
    sizes = [np.abs(each) for each in maps]
    number = len(sizes)
    matrix = np.eye(number)
    for i in range(number):
        for j in range(i):
            matrix[i, j] = matrix[j, i] = rank_correlation(sizes[i], sizes[j])
    means = (matrix.sum(axis=1) - 1) / (number - 1)
    others = matrix[1:, 1:]
    among = (others.sum() - (number - 1)) / max(1, (number - 1) * (number - 2))
    steps = tuple((layers, rank_correlation(sizes[0], np.abs(each))) for layers, each in cascade)
    return Similarity(-means, float(means[0]), float(among), steps)
