r"""Importance of the components of a last layer, over pixels whose class is right.

What component k adds to the logit of class c is :math:`f_k=\beta_{ck}x_k`. With :math:`IM_{all}` its mean over all
correctly classified pixels and :math:`IM_c` that over those of class c, :math:`IM_{diff}=IM_c-IM_{all}` (Li et al.
2024, arXiv 2407.01142). Heads of one logit have two classes, below and above a threshold.
"""

from __future__ import annotations

import numpy as np

from .reproduction import centred
from .skill import LabelledPixels

HALF = 0.5  # fraction from which on a pixel of a sigmoid head belongs to its class


def importance(pixels: LabelledPixels) -> np.ndarray:
    r"""Return \|IM_diff\| of each component, the mean over the classes.

    Parameters
    ----------
    pixels : LabelledPixels
        Labels and the last layer.

    Returns
    -------
    numpy.ndarray
        (m,), logit; NaN where no class has a correctly classified pixel, or all are of one class.
    """
    logits = pixels.components @ pixels.weights.T + pixels.bias
    if pixels.kind == "softmax":
        labelled, mapped = pixels.labels.astype(int), logits.argmax(axis=1)
        classes = range(len(pixels.weights))
    else:
        threshold = HALF if pixels.kind == "sigmoid" else float(pixels.labels.mean())
        edge = 0.0 if pixels.kind == "sigmoid" else threshold
        labelled, mapped = (pixels.labels >= threshold).astype(int), (logits[:, 0] >= edge).astype(int)
        classes = range(1, 2)
    right = labelled == mapped
    weights = centred(pixels.weights)
    over_all = pixels.components[right].mean(axis=0) if right.any() else None
    found = []
    for at, each in enumerate(classes):
        own = right & (labelled == each)
        if over_all is not None and own.any() and not own[right].all():
            found.append(np.abs(weights[at] * (pixels.components[own].mean(axis=0) - over_all)))
    return np.mean(found, axis=0) if found else np.full(pixels.components.shape[1], np.nan)
