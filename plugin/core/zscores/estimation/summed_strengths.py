"""Strength of contributions: how firmly the pixels would fix the size of each, were it one regressor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...streaming.products import product
from ...target.output_layer import OutputLayer
from ..sums.pixel_sums import Sums
from .covariance import contrast_information, inverse_of
from .identifiable import ROUNDING, Identifiable, pooled_information


def summed_strengths(layer: OutputLayer, sums: Sums, members: Sequence[Sequence[int]]) -> np.ndarray:
    r"""Return the strength of summed contributions, as if each were one regressor of weight 1.

    With :math:`C_{kc}=\sum_{j\in c}\beta_{kj}x_j` as the only regressors beside the intercepts,
    :math:`z_c=1/\sqrt{(I^{-1})_{cc}}`. Always positive: how firmly the pixels would fix the size of the
    contribution, not a test.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    sums : Sums
        Over the pixels.
    members : sequence of sequences of int
        The components of each contribution.

    Returns
    -------
    numpy.ndarray
        (contribution,); NaN where it does not vary or repeats the others.
    """
    q = 1 + len(layer.components)
    reference = layer.outputs - 1 if layer.kind == "softmax" else -1
    free = np.arange(max(layer.outputs - 1, 1))
    kept = Identifiable(np.arange(q - 1), free, reference)
    strengths = np.full(len(members), np.nan)
    if not pooled_information(sums)[0, 0] > 0:
        return strengths
    information = contrast_information(layer, sums, kept).reshape(len(free) * q, len(free) * q)
    weights = kept.contrasts_of(layer.weights)
    basis = np.zeros((len(free), q, len(free) + len(members)))
    basis[free, 0, free] = 1.0
    for index, part in enumerate(members):
        basis[:, np.asarray(part, dtype=int) + 1, len(free) + index] = weights[:, part]
    basis = basis.reshape(len(free) * q, -1)
    reduced = product(product(basis.T, information), basis)
    corner = inverse_of(reduced[: len(free), : len(free)])
    if corner is None:
        return strengths
    across = reduced[: len(free), len(free) :]
    schur = reduced[len(free) :, len(free) :] - product(product(across.T, corner), across)
    raw = np.diag(reduced)[len(free) :]
    varies = np.flatnonzero(np.diag(schur) > ROUNDING * raw)
    inverse = inverse_of(schur[np.ix_(varies, varies)]) if varies.size else None
    if inverse is not None:
        strengths[varies] = 1.0 / np.sqrt(np.diag(inverse))
    return strengths
