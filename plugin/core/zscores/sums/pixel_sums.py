r"""Sums over pixels that the scores of an output layer are made of.

With x the components of a pixel (1 put before them for the bias) and p the prediction, the Fisher
information of the weights is

* sigmoid: :math:`\sum p(1-p)\,x x^T`;
* softmax: blocks :math:`\sum p_k(\delta_{kl}-p_l)\,x x^T`, kept as the sums
  :math:`A_{kl}=\sum p_k p_l\,x x^T` of the pairs k < l, from which every block follows without
  cancellation;
* linear: :math:`\sum x x^T`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ...streaming.products import add_gram, product, tall_product
from ...target.output_layer import OutputLayer

CHUNK = 960  # pixels at a time: the work stays in the cache, and 2**960 is still a float64
_LOG_FLOOR = -600.0  # log-probability below which Pearson's residual of a single pixel is capped


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over pixels that need no labels.

    Parameters
    ----------
    n : int
        Number of pixels.
    pairs : numpy.ndarray
        (pair, 1 + component, 1 + component): weighted sums of x x^T, see the module's text.
    logits, means : numpy.ndarray
        (output,): sums of logits and of predictions (probabilities; the logit itself if linear).
    inputs : numpy.ndarray
        (component,): sums of the components.
    divergence : numpy.ndarray
        (removal,): sums of the Kullback-Leibler divergence KL(p || p without), in nats, for each
        set of components taken out of all logits; linear heads: for unit error variance.
    """

    n: int
    pairs: np.ndarray
    logits: np.ndarray
    means: np.ndarray
    inputs: np.ndarray
    divergence: np.ndarray

    @classmethod
    def empty(cls, layer: OutputLayer, removals: int) -> Sums:
        """Return the sums over no pixel."""
        q = 1 + len(layer.components)
        return cls(
            n=0,
            pairs=np.zeros((len(layer.pairs), q, q)),
            logits=np.zeros(layer.outputs),
            means=np.zeros(layer.outputs),
            inputs=np.zeros(q - 1),
            divergence=np.zeros(removals),
        )

    def __add__(self, other: Sums) -> Sums:
        """Return the sums over the pixels of both."""
        return Sums(
            n=self.n + other.n,
            pairs=self.pairs + other.pairs,
            logits=self.logits + other.logits,
            means=self.means + other.means,
            inputs=self.inputs + other.inputs,
            divergence=self.divergence + other.divergence,
        )


def pixel_sums(layer: OutputLayer, components: np.ndarray, removals: np.ndarray) -> Sums:
    """Return the sums over pixels.

    Parameters
    ----------
    layer : OutputLayer
        The regression; logits are computed from its weights in float64.
    components : numpy.ndarray
        (pixel, component), float32 or float64, finite.
    removals : numpy.ndarray
        (removal, component), bool: which components each removal takes out, every single one first
        (:func:`.removals`); no removal: no divergence is summed.
    """
    sums = Sums.empty(layer, len(removals))
    scaled = np.empty((CHUNK, 1 + components.shape[1]))
    for start in range(0, len(components), CHUNK):
        x = with_intercept(components[start : start + CHUNK])
        logits = logits_of(layer, x)
        log_p = log_probabilities(layer, logits)
        means = logits if layer.kind == "linear" else np.exp(log_p)
        for pair, (k, other) in enumerate(layer.pairs):
            root = _root_weight(layer, logits, log_p, k, other)[:, None]
            add_gram(sums.pairs[pair], np.multiply(x, root, out=scaled[: len(x)]))
        sums.logits[:] += logits.sum(axis=0)
        sums.means[:] += means.sum(axis=0)
        sums.inputs[:] += x[:, 1:].sum(axis=0)
        if len(removals):
            sums.divergence[:] += _divergence(layer, x[:, 1:], logits, log_p, means, removals)
    lower = np.tril(sums.pairs)
    pairs = lower + np.tril(lower, -1).swapaxes(1, 2)
    return Sums(len(components), pairs, sums.logits, sums.means, sums.inputs, sums.divergence)


def divergence_sums(layer: OutputLayer, components: np.ndarray, removals: np.ndarray) -> np.ndarray:
    """Return the divergences (removal,) of :func:`pixel_sums` alone; parameters are the same."""
    total = np.zeros(len(removals))
    for start in range(0, len(components), CHUNK):
        x = with_intercept(components[start : start + CHUNK])
        logits = logits_of(layer, x)
        log_p = log_probabilities(layer, logits)
        means = logits if layer.kind == "linear" else np.exp(log_p)
        total += _divergence(layer, x[:, 1:], logits, log_p, means, removals)
    return total


def with_intercept(components: np.ndarray) -> np.ndarray:
    """Return components (pixel, component) with a column of 1 before them, float64."""
    x = np.empty((len(components), 1 + components.shape[1]))
    x[:, 0] = 1.0
    x[:, 1:] = components
    return x


def logits_of(layer: OutputLayer, x: np.ndarray) -> np.ndarray:
    """Return logits (pixel, output) of components with the 1 before them."""
    return tall_product(x[:, 1:], layer.weights.T) + layer.bias


def log_probabilities(layer: OutputLayer, logits: np.ndarray) -> np.ndarray:
    """Return the log of the predictions (pixel, output); zeros for a linear head."""
    if layer.kind == "sigmoid":
        return special.log_expit(logits)
    if layer.kind == "softmax":
        return logits - special.logsumexp(logits, axis=1, keepdims=True)
    return np.zeros_like(logits)


def _root_weight(layer: OutputLayer, logits: np.ndarray, log_p: np.ndarray, k: int, other: int) -> np.ndarray:
    """Return the square root of a pair's weight (pixel,), without computing 1 - p."""
    if layer.kind == "softmax":
        return np.exp(0.5 * (log_p[:, k] + log_p[:, other]))
    if layer.kind == "sigmoid":
        return np.exp(0.5 * (log_p[:, 0] + log_p[:, 0] - logits[:, 0]))  # log(1-p) = log p - logit
    return np.ones(len(logits))


def _divergence(
    layer: OutputLayer,
    components: np.ndarray,
    logits: np.ndarray,
    log_p: np.ndarray,
    means: np.ndarray,
    removals: np.ndarray,
) -> np.ndarray:
    """Return sum of KL(p || p without) over the pixels, (removal,).

    With d the part of the logit taken out: sigmoid p d + softplus(f - d) - softplus(f); softmax
    sum_k p_k d_k + log sum_k exp(log p_k - d_k); linear d^2/2.
    """
    if layer.kind == "softmax":
        sums = np.empty(len(removals))
        # classes first: numpy adds up and compares whole rows of pixels much faster than short columns
        by_component, log_by_class, p_by_class = components.T.copy(), log_p.T.copy(), means.T.copy()
        for index, taken in enumerate(removals):
            members = np.flatnonzero(taken)
            if len(members) == 1:
                parts = layer.weights[:, members] * by_component[members]  # (class, pixel)
            else:
                parts = tall_product(components[:, members], layer.weights[:, members].T).T.copy()
            given = (p_by_class * parts).sum()
            rest = np.subtract(log_by_class, parts, out=parts)
            top = rest.max(axis=0)
            rest -= top
            np.exp(rest, out=rest)
            sums[index] = given + top.sum() + np.log(rest.sum(axis=0)).sum()
        return np.maximum(sums, 0.0)
    m = components.shape[1]
    taken = removals * layer.weights[0]
    # A column of its own for "nothing taken out": what must cancel then cancels to the last bit.
    rest = np.zeros((len(components), len(removals) + 1))
    np.multiply(components, layer.weights[0], out=rest[:, :m])
    rest[:, m:-1] = tall_product(components, taken[m:].T)
    if layer.kind == "linear":
        return 0.5 * np.einsum("ir,ir->r", rest[:, :-1], rest[:, :-1])
    given = product(taken, product(components.T, means))[:, 0]
    np.subtract(logits, rest, out=rest)
    positive = np.maximum(rest, 0.0).sum(axis=0)
    np.copysign(rest, -1.0, out=rest)  # -|rest|
    np.exp(rest, out=rest)
    rest += 1.0
    # One logarithm a column: each factor lies in (1, 2], so that CHUNK of them do not overflow.
    softplus = positive + np.log(np.multiply.reduce(rest, axis=0))
    return np.maximum(given + softplus[:-1] - softplus[-1], 0.0)


@dataclass(frozen=True)
class Fit:
    """How predictions fit labels: sums over pixels, and over the classes of a softmax.

    Parameters
    ----------
    squares, variance, pearson : float
        Of (y - p)^2, of p(1 - p), and of (y - p)^2 / (p(1 - p)); softmax: the last with p alone
        below; linear: only the first.
    log_likelihood : float
        Of sum_k y_k log p_k; linear: of -(y - p)^2 / 2.
    """

    squares: float = 0.0
    variance: float = 0.0
    pearson: float = 0.0
    log_likelihood: float = 0.0

    def __add__(self, other: Fit) -> Fit:
        """Return the sums over the pixels of both."""
        return Fit(
            self.squares + other.squares,
            self.variance + other.variance,
            self.pearson + other.pearson,
            self.log_likelihood + other.log_likelihood,
        )


def residuals(layer: OutputLayer, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, Fit]:
    """Return y - p (pixel, output), and how the predictions fit.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    logits : numpy.ndarray
        (pixel, output).
    labels : numpy.ndarray
        (pixel,), without NaN: fractions, positions of classes, or values.
    """
    if layer.kind == "linear":
        residual = labels[:, None] - logits
        squares = float(np.square(residual).sum())
        return residual, Fit(squares, log_likelihood=-0.5 * squares)
    log_p = log_probabilities(layer, logits)
    p = np.exp(log_p)
    floor = np.exp(np.maximum(log_p, _LOG_FLOOR))
    if layer.kind == "sigmoid":
        log_rest = log_p - logits
        # y - p without cancellation: y(1-p) - (1-y)p
        residual = labels[:, None] * np.exp(log_rest) - (1.0 - labels[:, None]) * p
        variance = float(np.exp(log_p + log_rest).sum())
        floor = floor * np.exp(np.maximum(log_rest, _LOG_FLOOR))
        log_likelihood = float((log_rest + labels[:, None] * logits).sum())
    else:
        own = np.arange(len(labels)), labels.astype(int)
        residual = -p
        residual[own] += 1.0
        variance = float((p * (1.0 - p)).sum())
        log_likelihood = float(log_p[own].sum())
    squares = np.square(residual)
    pearson = float((squares / np.maximum(floor, 1e-290)).sum())
    return residual, Fit(float(squares.sum()), variance, pearson, log_likelihood)
