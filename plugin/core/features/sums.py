"""Sums over the samples of a scene, added up tile by tile, and the values of its features made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...ground.window import Window
from .samples import UNKNOWN, FeatureSamples

_ROWS = 1 << 15  # pixels added up at a time in float64


@dataclass(frozen=True)
class Regions:
    """The samples of a scene, and what is known of its pixels beside them.

    Parameters
    ----------
    names : tuple of str
        (n,), one a sample.
    at : callable
        ``at(window)``: number of the sample of each pixel, (row, column), negative outside of all.
    classes_at : callable, optional
        ``classes_at(window)``: class of each pixel as labelled, (row, column), negative without a label.
    covariates : mapping of str to callable
        ``(window)``: a value for each pixel, (row, column), NaN where unknown; a sample has their mean.
    constants : mapping of str to float
        Covariates that are the same in the whole scene.
    labels : numpy.ndarray, optional
        (n,), class of each sample where the samples themselves have one.
    class_count : int
        Classes that `classes_at` knows.
    """

    names: tuple[str, ...]
    at: Callable[[Window], np.ndarray]
    classes_at: Callable[[Window], np.ndarray] | None = None
    covariates: Mapping[str, Callable[[Window], np.ndarray]] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    labels: np.ndarray | None = None
    class_count: int = 0


@dataclass(frozen=True)
class TileSums:
    """Sums over the parts of samples that lie in a tile; arrays (sample, …), float64.

    Parameters
    ----------
    samples : numpy.ndarray
        Their numbers.
    pixels : numpy.ndarray
        (sample,), pixels.
    sums : mapping of str to numpy.ndarray
        ``f``, ``activation``, ``gradient``, ``logits``, ``target``, ``map`` and what else is added up.
    extremes : numpy.ndarray
        (sample, 2), minimum and maximum of the map.
    bounds : numpy.ndarray
        (sample, 4), first row and column and those after the last.
    """

    samples: np.ndarray
    pixels: np.ndarray
    sums: Mapping[str, np.ndarray]
    extremes: np.ndarray
    bounds: np.ndarray


class SampleSums:
    """Sums over all tiles.

    Parameters
    ----------
    count : int
        Samples of the scene.
    """

    def __init__(self, count: int) -> None:
        self.pixels = np.zeros(count)
        self.sums: dict[str, np.ndarray] = {}
        self.extremes = np.tile([np.inf, -np.inf], (count, 1))
        self.bounds = np.tile(np.array([2**62, 2**62, 0, 0], np.int64), (count, 1))

    def add(self, tile: TileSums) -> None:
        """Add what a tile holds."""
        at = tile.samples
        self.pixels[at] += tile.pixels
        for name, values in tile.sums.items():
            held = self.sums.setdefault(name, np.zeros((len(self.pixels), *values.shape[1:])))
            held[at] += values
        self.extremes[at, 0] = np.minimum(self.extremes[at, 0], tile.extremes[:, 0])
        self.extremes[at, 1] = np.maximum(self.extremes[at, 1], tile.extremes[:, 1])
        self.bounds[at, :2] = np.minimum(self.bounds[at, :2], tile.bounds[:, :2])
        self.bounds[at, 2:] = np.maximum(self.bounds[at, 2:], tile.bounds[:, 2:])

    def mean(self, name: str) -> np.ndarray:
        """Return the mean over the pixels of each sample; NaN for a sample without pixels."""
        values = self.sums[name]
        count = self.pixels.reshape(-1, *([1] * (values.ndim - 1)))
        return np.divide(values, count, out=np.full(values.shape, np.nan), where=count > 0)


def by_sample(values: torch.Tensor, place: torch.Tensor, count: int) -> np.ndarray:
    """Return sums (sample, …) in float64 of values (pixel, …), of which `place` (pixel,) names the sample."""
    total = torch.zeros((count, *values.shape[1:]), dtype=torch.float64, device=values.device)
    for start in range(0, len(values), _ROWS):
        part = slice(start, start + _ROWS)
        total.index_add_(0, place[part], values[part].double())
    return total.cpu().numpy()


def extremes_of(values: torch.Tensor, place: torch.Tensor, count: int) -> np.ndarray:
    """Return minimum and maximum (sample, 2), float64, of values (pixel,)."""
    low = torch.full((count,), torch.inf, dtype=values.dtype, device=values.device)
    high = torch.full((count,), -torch.inf, dtype=values.dtype, device=values.device)
    low.scatter_reduce_(0, place, values, "amin")
    high.scatter_reduce_(0, place, values, "amax")
    return torch.stack([low, high], 1).double().cpu().numpy()


def bounds_of(rows: np.ndarray, cols: np.ndarray, place: np.ndarray, count: int) -> np.ndarray:
    """Return bounds (sample, 4) of pixels at rows and columns (pixel,)."""
    bounds = np.empty((count, 4), np.int64)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(count))
    for column, values in enumerate((rows, cols)):
        sorted_values = values[order]
        bounds[:, column] = np.minimum.reduceat(sorted_values, starts)
        bounds[:, column + 2] = np.maximum.reduceat(sorted_values, starts)
    bounds[:, 2:] += 1
    return bounds


def class_of(counts: np.ndarray) -> np.ndarray:
    """Return the most frequent class (sample,) of counts (sample, class); :data:`UNKNOWN` where there is none."""
    return np.where(counts.sum(axis=1) > 0, counts.argmax(axis=1), UNKNOWN)


def feature_samples(
    sums: SampleSums,
    regions: Regions,
    features: Sequence[str],
    classes: Sequence[str],
    scene: str,
    own_logits: slice,
) -> FeatureSamples:
    """Return the samples that hold pixels.

    Parameters
    ----------
    sums : SampleSums
        Of the whole scene.
    regions : Regions
        The samples.
    features, classes : sequence of str
        Names of the features and of the classes of the head.
    scene : str
        Name of the scene.
    own_logits : slice
        The logits of the head; one logit is below or above its threshold of 0.
    """
    held = sums.pixels > 0
    logits = sums.mean("logits")[held][:, own_logits]
    predicted = (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)
    labels = np.full(len(held), UNKNOWN) if regions.labels is None else regions.labels
    if "classes" in sums.sums:
        labels = np.where(labels == UNKNOWN, class_of(sums.sums["classes"]), labels)
    count = int(held.sum())
    covariates = {
        name: sums.mean(name)[held] for name in ("row", "column", *regions.covariates) if name in sums.sums
    }
    covariates.update({name: np.full(count, value) for name, value in regions.constants.items()})
    return FeatureSamples(
        features=tuple(features),
        classes=tuple(classes),
        scenes=(scene,),
        f=sums.mean("f")[held],
        logit=sums.mean("target")[held],
        label=labels[held].astype(int),
        predicted=predicted,
        scene=np.zeros(count, int),
        pixels=sums.pixels[held].astype(int),
        bounds=sums.bounds[held],
        names=tuple(name for name, some in zip(regions.names, held) if some),
        minimum=sums.extremes[held, 0],
        maximum=sums.extremes[held, 1],
        covariates=covariates,
    )
