r"""The last layer of a network brought to its maximum: Newton's method over the rows of its components.

With everything before it fixed, a network that ends in a 1 x 1 convolution is a logistic (or softmax)
regression on that layer's inputs, and the cross-entropy has one minimum in its weights. At that minimum a
weight over its error is the Z-score of a fitted weight; stopped anywhere else it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

_CHUNK = 16_384  # rows in float64 at a time
_HALVINGS = 20
_FIRST_PART = 8  # the first steps look at every eighth row


@dataclass(frozen=True, eq=False)
class Rows:
    """Inputs of a last layer at many pixels, and what its outputs should be there.

    Parameters
    ----------
    components : numpy.ndarray
        (row, component) float32.
    targets : numpy.ndarray
        (row,): shares 0..1 for a sigmoid, codes 0.. of the classes for a softmax.
    classes : int
        Classes of the softmax; 1 for a sigmoid.
    counts : numpy.ndarray, optional
        (row,): how often each row counts; once by default.
    """

    components: np.ndarray
    targets: np.ndarray
    classes: int
    counts: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.components)

    def part(self, step: int) -> Rows:
        """Return every `step`-th row."""
        counts = None if self.counts is None else self.counts[::step]
        return Rows(self.components[::step], self.targets[::step], self.classes, counts)

    @property
    def total(self) -> float:
        """The number of rows, each as often as it counts."""
        return float(len(self) if self.counts is None else self.counts.sum(dtype=np.float64))

    def chunks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Yield 1 and components (row, 1 + component), targets (row, free output), counts (row, 1), in float64."""
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            values = torch.from_numpy(self.components[part]).double()
            targets = torch.from_numpy(np.asarray(self.targets[part]))
            if self.classes == 1:
                wanted = targets.double()[:, None]
            else:
                wanted = (targets[:, None] == torch.arange(1, self.classes)).double()
            ones = torch.ones(len(values), 1, dtype=torch.float64)
            counts = ones if self.counts is None else torch.from_numpy(self.counts[part]).double()[:, None]
            yield torch.cat([ones, values], dim=1), wanted, counts


@dataclass(frozen=True, eq=False)
class LastLayerFit:
    """A last layer at the maximum of its likelihood.

    Parameters
    ----------
    weights : numpy.ndarray
        (output, 1 + component) float64, the bias first; of a softmax centred over the classes.
    steps : int
        Newton steps over all rows.
    rows : int
        How many there were.
    loss : float
        Mean cross-entropy (with the prior's part).
    score : float
        Largest derivative of the mean cross-entropy by a weight on a component of unit root mean square.
    shift : float
        Largest next Newton step, in standard errors of the weights.
    """

    weights: np.ndarray
    steps: int
    rows: int
    loss: float
    score: float
    shift: float


def _sums(rows: Rows, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log-likelihood, score (free, column) and information (free, column, free, column) at weights."""
    free, columns = weights.shape
    likelihood = 0.0
    score = np.zeros((free, columns))
    information = np.zeros((free, columns, free, columns))
    slopes = torch.from_numpy(weights)
    for values, wanted, counts in rows.chunks():
        logits = values @ slopes.T
        top = logits.amax(dim=1).clamp(min=0.0)
        powers = torch.exp(logits - top[:, None])
        total = powers.sum(dim=1) + torch.exp(-top)
        likely = (wanted * logits).sum(dim=1) - top - torch.log(total)
        likelihood += float((counts[:, 0] * likely).sum())
        shares = powers / total[:, None]
        score += ((counts * (wanted - shares)).T @ values).numpy()
        for a in range(free):
            for b in range(a + 1):
                weight = counts[:, 0] * shares[:, a] * (float(a == b) - shares[:, b])
                block = ((values * weight[:, None]).T @ values).numpy()
                information[a, :, b] += block
                if a != b:
                    information[b, :, a] += block
    return likelihood, score, information


def _penalised(rows: Rows, weights: np.ndarray, penalty: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the sums at weights less the squared weights times half the penalty (free, column)."""
    likelihood, score, information = _sums(rows, weights)
    for free in range(len(weights)):
        information[free, :, free] += np.diag(penalty[free])
    return likelihood - 0.5 * float(np.sum(penalty * weights**2)), score - penalty * weights, information


def fit_last_layer(
    rows: Rows,
    start: np.ndarray | None = None,
    prior: float = 0.0,
    ridge: float = 1e-9,
    tolerance: float = 1e-6,
    most: int = 40,
) -> LastLayerFit:
    """Return the weights of the greatest likelihood.

    Parameters
    ----------
    rows : Rows
        What to fit.
    start : numpy.ndarray, optional
        (output, 1 + component) weights to begin with; zeros by default.
    prior : float
        Half of it times the squared weights, but for the biases, is added to the mean cross-entropy.
    ridge : float
        Added to the information's diagonal, of columns scaled to unit information, while a step is sought: the
        weight of a component that is always zero stays where it is. It does not move the maximum.
    tolerance : float
        The steps end when none is larger, in standard errors.
    most : int
        Steps at most.
    """
    free = max(1, rows.classes - 1)
    columns = 1 + rows.components.shape[1]
    weights = np.zeros((free, columns))
    if start is not None:
        weights = start.astype(np.float64) if rows.classes == 1 else (start[1:] - start[0]).astype(np.float64)
    steps = 0
    parts = [rows.part(_FIRST_PART)] if len(rows) > 200 * _FIRST_PART * columns * free else []
    for part in (*parts, rows):
        limit = tolerance if part is rows else 0.1
        penalty = np.full((free, columns), prior * part.total)
        penalty[:, 0] = 0.0
        likelihood, score, information = _penalised(part, weights, penalty)
        steps = 0
        while True:
            step, errors, scale = _step(score, information, ridge)
            shift = float(np.max(np.abs(step) / errors))
            if shift < limit or steps == most:
                break
            for _ in range(_HALVINGS):
                reached, score, information = _penalised(part, weights + step, penalty)
                if reached >= likelihood - 1e-12 * abs(likelihood):
                    break
                step = 0.5 * step
            weights, likelihood, steps = weights + step, reached, steps + 1
    largest = float(np.max(np.abs(score) / scale)) / rows.total
    if rows.classes > 1:
        weights = np.concatenate([np.zeros((1, columns)), weights])
        weights = weights - weights.mean(axis=0)
    return LastLayerFit(weights, steps, len(rows), -likelihood / rows.total, largest, shift)


def _step(
    score: np.ndarray, information: np.ndarray, ridge: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Newton's step, the standard errors and the columns' scale, each (free, column)."""
    size = score.size
    matrix = information.reshape(size, size)
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / scale[:, None] / scale[None, :] + ridge * np.eye(size)
    inverse = np.linalg.inv(scaled)
    inverse = 0.5 * (inverse + inverse.T)
    step = (inverse @ (score.reshape(size) / scale)) / scale
    errors = np.sqrt(np.diag(inverse)) / scale
    return step.reshape(score.shape), errors.reshape(score.shape), scale.reshape(score.shape)


def weights_of(layer: nn.Conv2d) -> np.ndarray:
    """Return the weights of a 1 x 1 convolution as (output, 1 + component) float64, the bias first."""
    weight = layer.weight.detach().double().cpu().numpy()[:, :, 0, 0]
    return np.concatenate([layer.bias.detach().double().cpu().numpy()[:, None], weight], axis=1)


def set_weights(layer: nn.Conv2d, weights: np.ndarray) -> None:
    """Write weights (output, 1 + component), the bias first, into a 1 x 1 convolution."""
    with torch.no_grad():
        layer.bias.copy_(torch.from_numpy(weights[:, 0]))
        layer.weight.copy_(torch.from_numpy(weights[:, 1:, None, None]))
