"""Data for the tests of Z-scores: components, labels and output layers made by functions."""

from __future__ import annotations

import numpy as np
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer
from scipy import special


def correlated(seed: int, n: int, m: int, offset: float = 0.4) -> np.ndarray:
    """Return components (n, m) that correlate with each other and have means."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(m, m)) + 1.5 * np.eye(m)
    return 0.4 * generator.normal(size=(n, m)) @ mixing + offset * generator.normal(size=m)


def parts(m: int) -> tuple[Component, ...]:
    """Return m components: the first half SAR features of two scales, the rest radiometer channels."""
    frequencies = [6.9, 6.9, 36.5, 36.5, 89.0, 89.0]
    made = []
    for j in range(m):
        if j < m // 2:
            made.append(Component(f"sar_{j}", "sar", "skip" if j % 2 else "d2"))
        else:
            f, polarisation = frequencies[(j - m // 2) % 6], "hv"[(j - m // 2) % 2]
            made.append(Component(f"mwr_{j}", "mwr", "mwr", f"btemp_{j}", f, polarisation))
    return tuple(made)


def layer(weights: np.ndarray, bias: np.ndarray, kind: str = "sigmoid") -> OutputLayer:
    """Return an output layer of these weights (output, component)."""
    weights = np.atleast_2d(weights)
    names = [f"class_{k}" for k in range(len(weights))]
    return OutputLayer("head", kind, tuple(names), parts(weights.shape[1]), weights, np.atleast_1d(bias))


def binary_labels(seed: int, x: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """Return labels 0 and 1 drawn from a logistic regression on x."""
    generator = np.random.default_rng(seed)
    truth = strength * generator.normal(size=x.shape[1])
    return (generator.random(len(x)) < special.expit(x @ truth - 0.2)).astype(float)


def class_labels(seed: int, x: np.ndarray, classes: int) -> np.ndarray:
    """Return labels 0 .. classes-1 drawn from a multinomial regression on x."""
    generator = np.random.default_rng(seed)
    logits = x @ (0.5 * generator.normal(size=(x.shape[1], classes)))
    return np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)
