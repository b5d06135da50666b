"""Sums over the scores of clusters: as many numbers as the weights need, however many clusters there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...streaming.products import gram


@dataclass(frozen=True, eq=False)
class ClusterSums:
    """Sums over the clusters' scores u_g.

    Parameters
    ----------
    count : int
        Number of clusters.
    total : numpy.ndarray
        (output * (1 + component),): sum of u_g.
    scores : numpy.ndarray or None
        (cluster, the same): the u_g themselves while that takes less room than their products.
    products : numpy.ndarray or None
        (the same, the same): sum of u_g u_g^T, where there are more clusters.
    """

    count: int
    total: np.ndarray
    scores: np.ndarray | None = None
    products: np.ndarray | None = None

    @classmethod
    def of(cls, scores: np.ndarray) -> ClusterSums:
        """Return the sums over scores (cluster, output * (1 + component))."""
        count, size = scores.shape
        if 2 * count <= size:
            return cls(count, scores.sum(axis=0), scores=scores)
        return cls(count, scores.sum(axis=0), products=gram(scores))

    @property
    def outer(self) -> np.ndarray:
        """Sum of u_g u_g^T."""
        if self.products is not None:
            return self.products
        if self.scores is None:
            raise ValueError("sums over clusters hold neither scores nor products")
        return gram(self.scores)

    def __add__(self, other: ClusterSums) -> ClusterSums:
        """Return the sums over the clusters of both; no cluster is in both."""
        count, total = self.count + other.count, self.total + other.total
        few = self.products is None and other.products is None and 2 * count <= len(total)
        if few and self.scores is not None and other.scores is not None:
            return ClusterSums(count, total, scores=np.concatenate([self.scores, other.scores]))
        return ClusterSums(count, total, products=self.outer + other.outer)
