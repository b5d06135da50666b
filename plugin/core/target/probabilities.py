"""From the logits of a head to its map: probabilities, mapped values, entropy, and differences from labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...networks.card import CLASS_NODATA

if TYPE_CHECKING:
    from ...networks.card import Head


def class_probabilities(logits: np.ndarray, head: Head) -> np.ndarray:
    """Return what the head's activation makes of its logits.

    Parameters
    ----------
    logits : numpy.ndarray
        (output, row, column).
    head : Head
        Its kind decides: sigmoid, softmax, or linear (unchanged).

    Returns
    -------
    numpy.ndarray
        (output, row, column), the type of `logits`.
    """
    if head.kind == "linear":
        return logits
    if head.kind == "sigmoid":
        # Two branches, since exp overflows for large negative logits in the textbook form.
        e = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + e), e / (1 + e))
    e = np.exp(logits - logits.max(axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def mapped_values(p: np.ndarray, valid: np.ndarray, head: Head) -> np.ndarray:
    """Return the map of probabilities `p` (output, row, column): percent, value, or class code."""
    if head.kind == "softmax":
        codes = np.array([c.value for c in head.classes], dtype=np.uint8)
        return np.where(valid, codes[p.argmax(axis=0)], np.uint8(CLASS_NODATA))
    scale = 100.0 if head.unit == "%" and head.kind == "sigmoid" else 1.0
    return np.where(valid, p[0] * np.float32(scale), np.float32(np.nan)).astype(np.float32)


def entropy(p: np.ndarray, head: Head) -> np.ndarray:
    """Return the entropy of probabilities `p` (output, row, column) in bits; NaN where they are."""
    q = np.concatenate([p, 1 - p]) if head.kind == "sigmoid" else p
    # The limit of q log q at 0 is 0; NaN stays NaN.
    return -(q * np.log2(np.where(q == 0, 1, q))).sum(axis=0)


def differences_of(logits: np.ndarray, targets: np.ndarray, head: Head) -> np.ndarray:
    """Return mapped minus labelled values, or 1 where the class differs and 0 where it agrees.

    Parameters
    ----------
    logits : numpy.ndarray
        (output, row, column) of the head.
    targets : numpy.ndarray
        (row, column): as of :func:`.label_targets`, NaN where there is no label.
    head : Head
        Its kind decides: sigmoid in %, linear in its own unit, softmax of classes.

    Returns
    -------
    numpy.ndarray
        (row, column), float64; NaN where there is no label.
    """
    p = class_probabilities(logits, head)
    if head.kind == "softmax":
        return np.where(np.isnan(targets), np.nan, p.argmax(axis=0) != targets)
    return (p[0].astype(np.float64) - targets) * (100.0 if head.kind == "sigmoid" else 1.0)
