"""What a channel's contribution usually is: the reference that shows where on a map it is unusual.

Mean and standard deviation of every contribution over a reference sample, the training scenes as a
rule, belong to one model, one head and one way of splitting the logit; they are kept beside the
model's card and made from the same sums as the strengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....ground.errors import ModelError, NumericalError
from ....networks import registry
from ....networks.files import read_json, short_path, shown_text
from .collect import method_text
from .evidence import ChannelEvidence
from .levels import input_channels

if TYPE_CHECKING:
    from ....networks.card import ModelCard

FILE = registry.REFERENCE  # beside the card
FORMAT = "floelens-contribution-reference"
FORMAT_VERSION = 1
LEAST_PIXELS = 100


@dataclass(frozen=True, eq=False)
class ContributionReference:
    """Reference distribution of the contributions to one head.

    Parameters
    ----------
    model, weights_sha256, head, kind, method : str
        Whose contributions they are, and how the logit was split.
    classes, channels : tuple of str
        Names, in the order of the numbers.
    n : int
        Number of reference pixels.
    mean, sd : numpy.ndarray
        (output, channel), in logits; softmax: of contributions centred over the classes.
    """

    model: str
    weights_sha256: str
    head: str
    kind: str
    method: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    n: int
    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, evidence: ChannelEvidence, model: str, weights_sha256: str) -> ContributionReference:
        """Return the reference that pixels of the reference scenes give.

        Raises
        ------
        NumericalError
            If there are too few pixels.
        """
        sums = evidence.sums
        if sums.n < LEAST_PIXELS:
            raise NumericalError(
                f"{sums.n} pixels are too few for a reference of contributions to head '{evidence.head}': give scenes "
                f"with at least {LEAST_PIXELS}."
            )
        mean = sums.total / sums.n
        variance = np.maximum(sums.squares / sums.n - np.square(mean), 0.0)
        # a constant contribution leaves rounding errors behind, and would be unusual everywhere
        variance[variance < 1e-12 * sums.squares / sums.n] = 0.0
        return cls(
            model,
            weights_sha256,
            evidence.head,
            evidence.kind,
            evidence.method,
            evidence.classes,
            tuple(channel.name for channel in evidence.channels),
            sums.n,
            mean,
            np.sqrt(variance),
        )

    def standardised(self, contributions: np.ndarray) -> np.ndarray:
        """Return how many standard deviations contributions lie from their reference mean.

        Parameters
        ----------
        contributions : numpy.ndarray
            (output, channel, ...): of every output, since those of a softmax are centred over the classes.

        Returns
        -------
        numpy.ndarray
            The same shape, float64; NaN where the channel's contribution never varied.
        """
        values = np.asarray(contributions, dtype=np.float64)
        if values.shape[:2] != self.mean.shape:
            raise ModelError(
                f"The reference of head '{self.head}' has {self.mean.shape[0]} outputs and {self.mean.shape[1]} "
                f"channels, but the contributions have the shape {values.shape}; make the reference again."
            )
        if self.kind == "softmax":
            values = values - values.mean(axis=0)
        shape = self.mean.shape + (1,) * (values.ndim - 2)
        sd = np.where(self.sd > 0, self.sd, np.nan).reshape(shape)
        return (values - self.mean.reshape(shape)) / sd

    def as_dict(self) -> dict:
        """Return plain values, for a JSON file beside the model's card."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "head": self.head,
            "kind": self.kind,
            "method": self.method,
            "classes": list(self.classes),
            "channels": list(self.channels),
            "n": self.n,
            "mean": self.mean.tolist(),
            "sd": self.sd.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping, model: str, weights_sha256: str) -> ContributionReference:
        """Return the reference that :meth:`as_dict` gave.

        Raises
        ------
        ModelError
            If it is damaged, or belongs to another model, other weights or another version.
        """
        try:
            stated = (content["format"], content["format_version"])
            if stated != (FORMAT, FORMAT_VERSION):
                raise ModelError(
                    f"The reference of contributions has the format {stated[0]} {stated[1]}, not {FORMAT} "
                    f"{FORMAT_VERSION}; make it again."
                )
            if (content["model"], content["weights_sha256"]) != (model, weights_sha256):
                raise ModelError(
                    f"The reference of contributions belongs to model '{content['model']}' with other weights than "
                    f"those of '{model}'; make it again."
                )
            mean, sd = (np.array(content[name], dtype=np.float64) for name in ("mean", "sd"))
            shape = len(content["classes"]), len(content["channels"])
            if (
                mean.shape != shape
                or sd.shape != shape
                or not np.isfinite([mean, sd]).all()
                or (sd < 0).any()
            ):
                raise ValueError("mean or sd")
            return cls(
                model,
                weights_sha256,
                content["head"],
                content["kind"],
                content["method"],
                tuple(content["classes"]),
                tuple(content["channels"]),
                int(content["n"]),
                mean,
                sd,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The reference of contributions of model '{model}' is damaged ({error}); make it again."
            ) from None


def load_reference(model: str, card: ModelCard, head: str, method: str) -> ContributionReference:
    """Return the reference of a head's contributions made in one way.

    Raises
    ------
    ModelError
        If the model has none, or a damaged one.
    """
    path = registry.find(model) / FILE
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise ModelError(
            f"Model '{card.id}' has no reference of contributions ({FILE} beside its card), so nothing can be "
            "standardised. Leave STANDARDISED empty, or use a model that has one."
        ) from None
    try:
        entries = [
            entry
            for entry in content["references"]
            if entry["head"] == head and entry["method"] == method_text(method)
        ]
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{short_path(path)} is damaged ({shown_text(error, 100)}). Make it again, or remove it."
        ) from None
    if not entries:
        raise ModelError(
            f"The reference of model '{card.id}' has no contributions to head '{head}' by {method_text(method)}. "
            "Choose another CHANNEL_METHOD, or make the reference again."
        )
    reference = ContributionReference.from_dict(entries[0], card.id, card.weights.sha256)
    channels = tuple(channel.name for channel in input_channels(card))
    if reference.channels != channels:
        raise ModelError(f"{path} lists other channels than the card of '{card.id}'. Make it again.")
    return reference
