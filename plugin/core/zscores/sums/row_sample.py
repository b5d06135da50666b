"""A sample of labelled pixels of bounded size that merges exactly, in any order.

Each pixel has a number drawn from its scene and its place, the same in every run; the sample is the
pixels with the smallest numbers. So the sample of a union is the sample of the samples: it is a simple
random sample of all pixels seen, however scenes were grouped on the way, and a pixel seen twice
counts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

BYTES = 16 * 2**20  # that the contributions of a sample may take


def scene_number(scene: str) -> np.uint64:
    """Return a number that stands for a scene: 64 bits of a hash of what identifies it."""
    return np.frombuffer(hashlib.sha256(scene.encode("utf-8")).digest()[:8], "<u8")[0]


def pixel_keys(scene: str, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return the number drawn for every pixel of a scene, (pixel,), uint64 (the mixer of SplitMix64)."""
    mixed = np.asarray(rows).astype(np.uint64) << np.uint64(32)
    mixed = (mixed | np.asarray(cols).astype(np.uint64)) ^ scene_number(scene)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


@dataclass(frozen=True, eq=False)
class RowSample:
    """Labelled pixels with their contributions, in the order of their numbers.

    Parameters
    ----------
    capacity : int
        Largest number of rows.
    keys, scenes : numpy.ndarray
        (row,), uint64: the pixel's number and its scene's.
    offset : numpy.ndarray
        (row, output), float32.
    contributions : numpy.ndarray
        (row, output, channel), float32.
    labels : numpy.ndarray
        (row,), float64.
    clusters : dict of str to numpy.ndarray
        By the name of the clustering: the cluster within the scene, (row,), int32.
    """

    capacity: int
    keys: np.ndarray
    scenes: np.ndarray
    offset: np.ndarray
    contributions: np.ndarray
    labels: np.ndarray
    clusters: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def empty(cls, outputs: int, channels: int, capacity: int | None = None) -> RowSample:
        """Return a sample of no pixel; its capacity follows from the size of a row where none is given."""
        return cls(
            capacity or max(1, BYTES // (4 * outputs * (channels + 1))),
            np.zeros(0, np.uint64),
            np.zeros(0, np.uint64),
            np.zeros((0, outputs), np.float32),
            np.zeros((0, outputs, channels), np.float32),
            np.zeros(0),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def merge(self, other: RowSample) -> RowSample:
        """Return the sample of the pixels of both.

        Clusterings that only one of two samples has are given up: errors need all pixels in clusters
        of one kind.
        """
        capacity = min(self.capacity, other.capacity)
        if len(self) and len(other):
            names = sorted(set(self.clusters) & set(other.clusters))
        else:
            names = sorted({**self.clusters, **other.clusters})
        none = np.zeros(0, np.int32)
        together = RowSample(
            capacity,
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.scenes, other.scenes]),
            np.concatenate([self.offset, other.offset]),
            np.concatenate([self.contributions, other.contributions]),
            np.concatenate([self.labels, other.labels]),
            {
                name: np.concatenate([self.clusters.get(name, none), other.clusters.get(name, none)])
                for name in names
            },
        )
        return together._smallest()

    def regrouped(self, clusters: Mapping[str, np.ndarray]) -> RowSample:
        """Return the same pixels in other clusters, (row,) each."""
        kept = {name: np.asarray(ids).astype(np.int32) for name, ids in sorted(clusters.items())}
        return RowSample(
            self.capacity, self.keys, self.scenes, self.offset, self.contributions, self.labels, kept
        )

    def cluster_numbers(self, clustering: str) -> np.ndarray:
        """Return which cluster each row is in, counted over all scenes, (row,), from 0."""
        pairs = np.empty(len(self), dtype=[("scene", np.uint64), ("cluster", np.int32)])
        pairs["scene"], pairs["cluster"] = self.scenes, self.clusters[clustering]
        return np.unique(pairs, return_inverse=True)[1].reshape(-1)

    def _smallest(self) -> RowSample:
        """Return the rows with the smallest numbers, each pixel once."""
        # Two scenes may share a number: the scene, the label and the offset settle the order.
        order = np.lexsort((self.offset[:, 0], self.labels, self.scenes, self.keys))
        twin = np.zeros(len(order), bool)
        before, after = order[:-1], order[1:]
        twin[1:] = (
            (self.keys[before] == self.keys[after])
            & (self.scenes[before] == self.scenes[after])
            & (self.labels[before] == self.labels[after])
            & (self.offset[before] == self.offset[after]).all(axis=1)
            & (self.contributions[before] == self.contributions[after]).all(axis=(1, 2))
        )
        at = order[~twin][: self.capacity]
        return RowSample(
            self.capacity,
            self.keys[at],
            self.scenes[at],
            self.offset[at],
            self.contributions[at],
            self.labels[at],
            {name: ids[at] for name, ids in self.clusters.items()},
        )
