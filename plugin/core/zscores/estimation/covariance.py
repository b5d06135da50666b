"""Covariances of weights: the inverse of the information, and the sandwich that lets clusters depend."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from ...streaming.products import product
from ..sums.cluster_sums import ClusterSums
from ..sums.information import OutputLayer, Sums
from .identifiable import COLLINEAR, ROUNDING, Identifiable


def contrast_information(layer: OutputLayer, sums: Sums, kept: Identifiable) -> np.ndarray:
    """Return the information (free, 1 + column, free, 1 + column) of the contrasts."""
    at = np.append(0, kept.columns + 1)
    pairs = sums.pairs[:, at][:, :, at]
    if kept.reference < 0:
        return pairs[0][None, :, None, :]
    free = len(kept.free)
    position = {int(k): index for index, k in enumerate(kept.free)}
    full = np.zeros((free, len(at), free, len(at)))
    for pair, (k, other) in enumerate(layer.pairs):
        a, b = position.get(k), position.get(other)
        if a is not None:
            full[a, :, a] += pairs[pair]
        if b is not None:
            full[b, :, b] += pairs[pair]
        if a is not None and b is not None:
            full[a, :, b] = full[b, :, a] = -pairs[pair]
    return full


def inverted(full: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """Invert an information matrix of contrasts.

    Parameters
    ----------
    full : numpy.ndarray
        (free, 1 + column, free, 1 + column).

    Returns
    -------
    covariance : numpy.ndarray or None
        The same shape; None where the matrix is singular.
    alone : numpy.ndarray or None
        (column, free, free): the covariance of each column were it alone beside the intercepts.
    failed : int
        The first column (from 0; -1: an intercept) that cannot be estimated beside those before it.
    """
    free, q = full.shape[:2]
    c = q - 1
    corner = full[:, 0, :, 0]
    corner_inverse = inverse_of(corner)
    if corner_inverse is None:
        return None, None, -1
    # columns in the order (component, free), so that the first to fail names a component
    across = full[:, 0, :, 1:].transpose(0, 2, 1).reshape(free, c * free)
    inner = full[:, 1:, :, 1:].transpose(1, 0, 3, 2).reshape(c * free, c * free)
    slopes = product(corner_inverse, across)
    schur = inner - product(across.T, slopes)
    schur = 0.5 * (schur + schur.T)
    diagonal = np.diag(schur)
    flat = np.flatnonzero(~(diagonal > ROUNDING * np.diag(inner)))
    if flat.size:
        return None, None, int(flat[0]) // free
    scale = np.sqrt(diagonal)
    scaled = schur / np.outer(scale, scale)
    factor, info = lapack.dpotrf(scaled, lower=1)
    if info > 0:
        return None, None, (info - 1) // free
    low = np.flatnonzero(np.square(np.diag(factor)) < COLLINEAR / 100)
    if low.size:
        return None, None, int(low[0]) // free
    inverse, info = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    inverse /= np.outer(scale, scale)
    covariance = np.empty_like(full)
    covariance[:, 1:, :, 1:] = inverse.reshape(c, free, c, free).transpose(1, 0, 3, 2)
    mixed = -product(slopes, inverse)
    covariance[:, 0, :, 1:] = mixed.reshape(free, c, free).transpose(0, 2, 1)
    covariance[:, 1:, :, 0] = covariance[:, 0, :, 1:].transpose(1, 2, 0)
    covariance[:, 0, :, 0] = corner_inverse - product(mixed, slopes.T)
    blocks = schur.reshape(c, free, c, free)[np.arange(c), :, np.arange(c), :]
    alone = np.array([inverse_of(block) for block in blocks]).reshape(c, free, free)
    return covariance, alone, q


def inverse_of(matrix: np.ndarray) -> np.ndarray | None:
    """Return the inverse of a positive definite matrix after scaling it to a unit diagonal, or None."""
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return None
    scale = np.sqrt(diagonal)
    factor, info = lapack.dpotrf(matrix / np.outer(scale, scale), lower=1)
    if info != 0 or (np.square(np.diag(factor)) < 1e-14).any():
        return None
    inverse, _ = lapack.dpotri(factor, lower=1)
    return (np.tril(inverse) + np.tril(inverse, -1).T) / np.outer(scale, scale)


def sandwich(
    bread: np.ndarray, kept: Identifiable, layer: OutputLayer, clusters: ClusterSums, n: int
) -> np.ndarray:
    """Return the cluster-robust covariance (free, 1 + column, free, 1 + column) of the contrasts."""
    count = clusters.count
    q = 1 + len(layer.components)
    outer = clusters.outer - np.outer(clusters.total, clusters.total) / count
    # u of a contrast "output minus reference" is the u of the output: the reference is held fixed
    at = (kept.free[:, None] * q + np.append(0, kept.columns + 1)).ravel()
    meat = outer[np.ix_(at, at)]
    flat = bread.reshape(len(at), len(at))
    factor = count / (count - 1) * (n - 1) / (n - len(at))
    return (factor * product(product(flat, meat), flat)).reshape(bread.shape)


def variances_of(combine: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return variances (class, 1 + column) of combinations (class, free) of the contrasts."""
    own = covariance[
        :, np.arange(covariance.shape[1]), :, np.arange(covariance.shape[1])
    ]  # (column, free, free)
    return np.maximum(np.einsum("lf,jfg,lg->lj", combine, own, combine), 0.0)


def wald_statistic(weights: np.ndarray, covariance: np.ndarray) -> float:
    """Return the chi-square of weights, NaN where the covariance is singular."""
    inverse = inverse_of(0.5 * (covariance + covariance.T))
    return float("nan") if inverse is None else float(np.einsum("a,ab,b->", weights, inverse, weights))
