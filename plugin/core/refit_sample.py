"""Labelled pixels that a refit over many scenes needs: a bounded sample that merges exactly, in any order.

Each step of a refit needs the components of the pixels again, which sums do not hold. A state carries a
simple random sample of them (:mod:`.row_sample`), the same however scenes were grouped on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

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
    if clustering in sample.clusters:
        clusters[clustering] = sample.cluster_numbers(clustering)

    def batches() -> Iterator:
        for start in range(0, len(sample), _BATCH):
            part = slice(start, start + _BATCH)
            held = {name: ids[part] for name, ids in clusters.items()}
            yield sample.contributions[part, 0], sample.labels[part], held

    return batches
