r"""The regression of labels on the contributions of channels, one slope a channel.

A network's logit splits over its channels, :math:`f=b+\sum_c C_c`. Here the parts are regressors with
an offset b: :math:`f=b+a+\sum_c\gamma_c C_c`, for a softmax with an intercept a class and one
:math:`\gamma_c` over all classes. A sigmoid is a softmax of two classes of which the first has the
logit 0, so that one way serves both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special

from ...streaming.products import gram, product

_CHUNK = 4096  # rows at a time


@dataclass(frozen=True, eq=False)
class ChannelRows:
    """Rows of a regression on contributions.

    Parameters
    ----------
    offset : numpy.ndarray
        (row, class), float64: the part of the logit that belongs to no channel.
    contributions : numpy.ndarray
        (row, class, channel), float64.
    targets : numpy.ndarray or None
        (row, class): probabilities that add up to 1; of a linear head (row, 1), the values.
    linear : bool
        Whether this is a least-squares regression; it has a single class then.
    """

    offset: np.ndarray
    contributions: np.ndarray
    targets: np.ndarray | None
    linear: bool = False

    @classmethod
    def of(
        cls, kind: str, offset: np.ndarray, contributions: np.ndarray, labels: np.ndarray | None
    ) -> ChannelRows:
        """Return the rows of a head.

        Parameters
        ----------
        kind : {'sigmoid', 'softmax', 'linear'}
            Of the head.
        offset : numpy.ndarray
            (row, output).
        contributions : numpy.ndarray
            (row, output, channel).
        labels : numpy.ndarray or None
            (row,): fractions, positions of classes, or values; without NaN.
        """
        offset, contributions = offset.astype(np.float64), contributions.astype(np.float64)
        if kind == "linear":
            return cls(offset, contributions, None if labels is None else labels[:, None], True)
        if kind == "sigmoid":
            none = np.zeros_like(offset)
            targets = None if labels is None else np.stack([1.0 - labels, labels], axis=1)
            return cls(
                np.concatenate([none, offset], axis=1),
                np.concatenate([np.zeros_like(contributions), contributions], axis=1),
                targets,
            )
        targets = None
        if labels is not None:
            targets = np.zeros(offset.shape)
            targets[np.arange(len(labels)), labels.astype(int)] = 1.0
        return cls(offset, contributions, targets)

    @property
    def known_targets(self) -> np.ndarray:
        """The targets of labelled rows.

        Raises
        ------
        ValueError
            If the rows have none.
        """
        if self.targets is None:
            raise ValueError("the rows have no targets")
        return self.targets

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.offset.shape[1]

    def __len__(self) -> int:
        return len(self.offset)

    def of_classes(self, classes: np.ndarray) -> ChannelRows:
        """Return the rows as a choice among some of the classes only."""
        targets = self.known_targets[:, classes]
        return ChannelRows(self.offset[:, classes], self.contributions[:, classes], targets, self.linear)

    def summed(self, combine: np.ndarray) -> ChannelRows:
        """Return rows whose contributions are sums: `combine` is (channel, sum)."""
        n, k, c = self.contributions.shape
        sums = product(self.contributions.reshape(n * k, c), combine).reshape(n, k, -1)
        return ChannelRows(self.offset, sums, self.targets, self.linear)

    def chunks(self) -> Iterator[ChannelRows]:
        """Yield the rows piece by piece."""
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield ChannelRows(
                self.offset[part],
                self.contributions[part],
                None if self.targets is None else self.targets[part],
                self.linear,
            )


@dataclass(frozen=True, eq=False)
class Curvature:
    """What the rows say at one set of intercepts and slopes.

    Parameters
    ----------
    information : numpy.ndarray
        (class + channel, class + channel): the Fisher information, the intercepts of the classes first;
        those of a softmax are defined up to a common constant.
    score : numpy.ndarray
        (class + channel,): the gradient of the log-likelihood; zeros without targets.
    log_likelihood, squares : float
        Of the targets; the sum of squared residuals of a linear head, else 0.
    """

    information: np.ndarray
    score: np.ndarray
    log_likelihood: float = 0.0
    squares: float = 0.0


def curvature(rows: ChannelRows, intercepts: np.ndarray, slopes: np.ndarray) -> Curvature:
    """Return information, score and log-likelihood at intercepts (class,) and slopes (channel,)."""
    k, c = rows.contributions.shape[1:]
    information, score = np.zeros((k + c, k + c)), np.zeros(k + c)
    log_likelihood = squares = 0.0
    for part in rows.chunks():
        x = part.contributions
        p, log_p = _predicted(part, intercepts, slopes)
        if rows.linear:
            design = np.concatenate([np.ones((len(part), 1)), x[:, 0]], axis=1)
            information += gram(design)
        else:
            centred = x - np.einsum("nk,nkc->nc", p, x)[:, None]
            information[k:, k:] += gram((np.sqrt(p)[:, :, None] * centred).reshape(-1, c))
            information[:k, k:] += np.einsum("nk,nkc->kc", p, centred)
            mixed = -product(p.T, p)
            # 1 - p is the sum of the others: no digit is lost where a prediction is nearly certain
            np.fill_diagonal(mixed, 0.0)
            information[:k, :k] += mixed - np.diag(mixed.sum(axis=1))
        if part.targets is not None:
            residual = part.targets - p
            score[:k] += residual.sum(axis=0)
            score[k:] += np.einsum("nk,nkc->c", residual, x)
            if rows.linear:
                squares += float(np.square(residual).sum())
            else:
                log_likelihood += float((part.targets * log_p).sum())
    information[k:, :k] = information[:k, k:].T
    return Curvature(information, score, -0.5 * squares if rows.linear else log_likelihood, squares)


def row_scores(rows: ChannelRows, intercepts: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Return the score of every row (row, class + channel): the gradient of its log likelihood."""
    scores = []
    for part in rows.chunks():
        residual = part.known_targets - _predicted(part, intercepts, slopes)[0]
        scores.append(
            np.concatenate([residual, np.einsum("nk,nkc->nc", residual, part.contributions)], axis=1)
        )
    return np.concatenate(scores)


def _predicted(
    part: ChannelRows, intercepts: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions and their logarithms; of a linear head the predictions, twice."""
    logits = part.offset + intercepts + np.einsum("nkc,c->nk", part.contributions, slopes)
    if part.linear:
        return logits, logits
    log_p = logits - special.logsumexp(logits, axis=1, keepdims=True)
    return np.exp(log_p), log_p
