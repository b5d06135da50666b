"""Sums over the samples of a scene, added up tile by tile, and the values of its features made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ...ground.window import Window
from .samples import UNKNOWN, FeatureSamples

_TOGETHER = 64  # values added up before they become float64: rounding stays below 1e-6 of their sizes


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


class Runs:
    """Pixels side by side in a row that belong to one sample: sums over samples are sums over few runs.

    Values of a run are added up in their own precision, at most :data:`_TOGETHER` at a time, and runs in float64.

    Parameters
    ----------
    numbers : numpy.ndarray
        (row, column), int: the sample of each pixel, negative for none.

    Attributes
    ----------
    samples : numpy.ndarray
        (sample,), the numbers of the samples, ascending.
    """

    def __init__(self, numbers: np.ndarray) -> None:
        starts = np.ones(numbers.shape, bool)
        starts[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
        self._starts = np.flatnonzero(starts)
        own = numbers.ravel()[self._starts]
        self._kept = own >= 0
        lengths = np.diff(self._starts, append=numbers.size)
        self._lengths = lengths[self._kept]
        self.samples, self._sample = np.unique(own[self._kept], return_inverse=True)
        self._rows, self._cols = np.divmod(self._starts[self._kept], numbers.shape[1])

    def _added(self, of_runs: np.ndarray) -> np.ndarray:
        """Return sums (sample,) of values (run,)."""
        return np.bincount(self._sample, of_runs, len(self.samples))

    @property
    def pixels(self) -> np.ndarray:
        """(sample,), float64."""
        return self._added(self._lengths)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Return sums (sample,), float64, of a map (row, column)."""
        of_runs = np.add.reduceat(values.ravel(), self._starts, dtype=np.float64)
        return self._added(of_runs[self._kept])

    def positions(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return sums (sample,) of the rows and of the columns of the pixels' centres, in a window of the scene."""
        rows, cols = self._rows + window.row + 0.5, self._cols + window.col + 0.5 * self._lengths
        return self._added(rows * self._lengths), self._added(cols * self._lengths)

    def extremes(self, values: np.ndarray) -> np.ndarray:
        """Return minimum and maximum (sample, 2), float64, of a map (row, column)."""
        found = np.tile([np.inf, -np.inf], (len(self.samples), 1))
        flat = values.ravel()
        low = np.minimum.reduceat(flat, self._starts)[self._kept].astype(np.float64)
        high = np.maximum.reduceat(flat, self._starts)[self._kept].astype(np.float64)
        np.minimum.at(found[:, 0], self._sample, low)
        np.maximum.at(found[:, 1], self._sample, high)
        return found

    def bounds(self, window: Window) -> np.ndarray:
        """Return bounds (sample, 4), in a window of the scene."""
        found = np.tile(np.array([2**62, 2**62, 0, 0], np.int64), (len(self.samples), 1))
        rows, cols = self._rows + window.row, self._cols + window.col
        for column, values in enumerate((rows, cols)):
            np.minimum.at(found[:, column], self._sample, values)
        for column, values in enumerate((rows + 1, cols + self._lengths)):
            np.maximum.at(found[:, column + 2], self._sample, values)
        return found

    def sums_of_cells(self, cells: torch.Tensor, corner: tuple[int, int], width: int) -> np.ndarray:
        """Return sums (sample, feature), float64, of a matrix (place, feature) that has a row a pixel.

        Parameters
        ----------
        cells : torch.Tensor
            The matrix.
        corner : tuple of int
            Row and column of the map's first pixel among the places.
        width : int
            Places in a row.
        """
        first = (self._rows + corner[0]) * width + self._cols + corner[1]
        parts = -(-self._lengths // _TOGETHER)
        run = np.repeat(np.arange(len(parts)), parts)
        before = _TOGETHER * (np.arange(len(run)) - np.repeat(np.cumsum(parts) - parts, parts))
        lengths = np.minimum(_TOGETHER, self._lengths[run] - before)
        offsets = np.cumsum(lengths) - lengths
        places = np.repeat(first[run] + before - offsets, lengths) + np.arange(lengths.sum())
        values = cells if cells.dtype == torch.float64 else cells.float()
        at, begins, sample = (
            torch.from_numpy(each).to(cells.device) for each in (places, offsets, self._sample[run])
        )
        added = torch.nn.functional.embedding_bag(at, values, begins, mode="sum").double()
        total = torch.zeros((len(self.samples), cells.shape[1]), dtype=torch.float64, device=cells.device)
        return total.index_add_(0, sample, added).cpu().numpy()


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
