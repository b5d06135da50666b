"""Labelled pixels that a refit over many scenes needs: a bounded sample that merges exactly, in any order.

Each step of a refit needs the components of the pixels again, which sums do not hold. A state carries a
simple random sample of them (:mod:`.row_sample`), the same however scenes were grouped on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from .row_sample import RowSample, pixel_keys, scene_number

_BATCH = 10_000  # pixels of a sample at a time


def empty_sample(components: int) -> RowSample:
    """Return a sample of no pixel: its contributions are components, its offset is 0."""
    return RowSample.empty(1, components)


class RefitSampler:
    """Takes batches of labelled pixels of one scene, and keeps a bounded sample of them.

    Parameters
    ----------
    components : int
        Number of components.
    scene, drawn_by : str
        As for :class:`.ChannelAccumulator`.
    """

    def __init__(self, components: int, scene: str, drawn_by: str) -> None:
        self._sample = empty_sample(components)
        self._scene, self._drawn_by = scene, drawn_by

    @property
    def empty(self) -> bool:
        """Whether there has been no labelled pixel."""
        return len(self._sample) == 0

    def add(
        self,
        components: np.ndarray,
        rows: np.ndarray,
        cols: np.ndarray,
        labels: np.ndarray,
        clusters: Mapping[str, np.ndarray],
    ) -> None:
        """Take a batch of pixels.

        Parameters
        ----------
        components : numpy.ndarray
            (pixel, component).
        rows, cols : numpy.ndarray
            (pixel,): place in the scene.
        labels : numpy.ndarray
            (pixel,), NaN where there is none.
        clusters : mapping of str to numpy.ndarray
            For each clustering the cluster of every pixel in its scene, (pixel,).
        """
        keys = pixel_keys(self._drawn_by, rows, cols)
        wanted = ~np.isnan(labels)
        if len(self._sample) == self._sample.capacity:
            wanted &= keys < self._sample.keys[-1]
        if not wanted.any():
            return
        count = int(wanted.sum())
        new = RowSample(
            self._sample.capacity,
            keys[wanted],
            np.full(count, scene_number(self._scene)),
            np.zeros((count, 1), np.float32),
            components[wanted].astype(np.float32)[:, None],
            labels[wanted].astype(np.float64),
            {name: np.asarray(ids)[wanted].astype(np.int32) for name, ids in clusters.items()},
        )
        self._sample = self._sample.merge(new)

    def close(self, coarser: Mapping[str, Mapping[str, np.ndarray]]) -> RowSample:
        """Return the sample; `coarser` as in :meth:`.SceneAccumulator.close`."""
        clusters = {}
        for finer, ids in self._sample.clusters.items():
            for name, numbers in coarser.get(finer, {finer: None}).items():
                clusters[name] = ids if numbers is None else numbers[ids]
        return self._sample.regrouped(clusters)


def sampled_batches(sample: RowSample, clustering: str | None) -> Callable[[], Iterator]:
    """Return what yields the pixels of a sample anew at each call, as :func:`.refit` takes them."""
    clusters = {}
    if clustering is not None and clustering in sample.clusters:
        clusters[clustering] = sample.cluster_numbers(clustering)

    def batches() -> Iterator:
        for start in range(0, len(sample), _BATCH):
            part = slice(start, start + _BATCH)
            held = {name: ids[part] for name, ids in clusters.items()}
            yield sample.contributions[part, 0], sample.labels[part], held

    return batches


_SAMPLE = ("keys", "scenes", "contributions", "labels")


def sample_arrays(sample: RowSample, prefix: str) -> dict[str, np.ndarray]:
    """Return the numbers of a sample of labelled pixels, for a file."""
    arrays = {f"{prefix}{name}": getattr(sample, name) for name in _SAMPLE}
    for at, name in enumerate(sorted(sample.clusters)):
        arrays[f"{prefix}clusters{at}"] = sample.clusters[name]
    return arrays


def read_sample(header: dict, arrays: Mapping[str, np.ndarray], components: int) -> RowSample:
    """Return a sample from what a file holds of it.

    Raises
    ------
    ValueError
        If an array has another shape or type than it should.
    KeyError
        If one is missing.
    """
    empty = replace(empty_sample(components), capacity=int(header["capacity"]))
    rows = len(arrays["keys"])

    def checked(name: str, like: np.ndarray) -> np.ndarray:
        values = arrays[name]
        if values.shape != (rows, *like.shape[1:]) or values.dtype != like.dtype:
            raise ValueError(f"array sample/{name} has shape {values.shape}, not {(rows, *like.shape[1:])}")
        return values

    held = {name: checked(name, getattr(empty, name)) for name in _SAMPLE}
    clusters = {
        name: checked(f"clusters{at}", np.zeros(0, np.int32)) for at, name in enumerate(header["clusterings"])
    }
    offset = np.zeros((rows, 1), np.float32)
    return RowSample(
        empty.capacity, held["keys"], held["scenes"], offset, held["contributions"], held["labels"], clusters
    )
