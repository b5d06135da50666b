"""Sanity measures of the maps of a classifier of stamps: a sample is an image, SAR pixels and cells together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from ...artifacts.variants import randomised
from ...relevance.methods import INTEGRATED_GRADIENTS, Method
from ...sanity.run import Explained, Joint, Settings, sanity
from ...streaming.runner import Inputs
from ..behaviour import HIGHER
from .classifier import AT_ONCE, Classifier
from .images import Images


def image_sanity(
    classifier: Classifier,
    method: Method,
    images: Images,
    chosen: np.ndarray,
    settings: Settings,
    check: Callable[[], None] = lambda: None,
) -> dict[str, np.ndarray]:
    """Return the sanity measures of a method's maps of some images, (image,) each.

    Parameters
    ----------
    classifier : Classifier
        The trained classifier; the baseline is every channel's mean.
    method : Method
        What explains the logit of *stamped*.
    images, chosen : Images, numpy.ndarray
        The images, and the numbers of those that are explained.
    settings : Settings
        What is drawn.
    check : callable
        Called between passes; may raise.
    """
    given = [images.fine[chosen], *([] if images.coarse is None else [images.coarse[chosen]])]
    joint, values = Joint.of(given)
    task = _Images(joint, method, check)
    untrained = Classifier(randomised(classifier.module, settings.seed), classifier.ratio)
    raised = Classifier(_Raised(classifier.module), classifier.ratio)
    explained = Explained(
        partial(task.predict, classifier),
        partial(task.explain, classifier),
        slopes=not method.times_input,
        untrained=partial(task.explain, untrained),
        rebased=partial(task.explain, raised, raised=HIGHER) if method.name == INTEGRATED_GRADIENTS else None,
    )
    batches = [values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE)]
    return sanity(batches, explained, settings, check)


class _Raised(nn.Module):
    """A network that adds a constant to its inputs: explained from zero, it is explained from that constant."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the logits."""
        return self.network(fine + HIGHER, None if coarse is None else coarse + HIGHER)


@dataclass(frozen=True)
class _Images:
    """Images joined as (sample, value)."""

    joint: Joint
    method: Method
    check: Callable[[], None]

    def _inputs(self, values: np.ndarray) -> Inputs:
        fine, *coarse = (torch.from_numpy(part.astype(np.float32)) for part in self.joint.split(values))
        return Inputs(fine, coarse[0] if coarse else None)

    def predict(self, classifier: Classifier, values: np.ndarray) -> np.ndarray:
        """Return the logit of *stamped*, (sample,)."""
        return classifier.logits(self._inputs(values))[:, 0].double().numpy()

    def explain(self, classifier: Classifier, values: np.ndarray, raised: float = 0.0) -> np.ndarray:
        """Return maps (sample, value)."""
        found = classifier.relevance(self.method, self._inputs(values - raised), self.check)
        return self.joint.join([found.fine, *([] if found.coarse is None else [found.coarse])])
