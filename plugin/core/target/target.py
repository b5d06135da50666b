"""What is explained: logits of one class, or of one class against another, summed over pixels.

The seed of an explanation says how much each logit of each pixel counts. It is linear: the seeds of two
regions that do not overlap add up to the seed of both, and so do their relevance maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...ground.errors import ParameterError
from ...ground.vocabulary.words import PREDICTED
from ...ground.window import Window
from ...networks.files import shown

if TYPE_CHECKING:
    from ...networks.card import Component, Head, ModelCard

RegionMask = Callable[[Window], np.ndarray]


@dataclass(frozen=True)
class Target:
    """Head, class and region whose logits are explained.

    Parameters
    ----------
    head : str
        Name of the head; '' is the card's first.
    class_name : str
        Name of the class, or ``predicted``: at each pixel the class of the largest logit (for a head of
        one output its only class).
    reference_class : str
        '' or the class to contrast with: the difference of the two logits is explained. Where
        ``predicted`` is the reference class itself, nothing is.
    region : callable, optional
        Returns for a window which of its pixels are meant, (row, column) bool; default: all.
    component : str
        '' or the component of the last layer through which the logits are explained: what it adds to them. The
        network is that of :func:`.component.through_component`.
    """

    head: str = ""
    class_name: str = PREDICTED
    reference_class: str = ""
    region: RegionMask | None = None
    component: str = ""

    def resolve(self, card: ModelCard) -> Seeding:
        """Look the names up in a card.

        Raises
        ------
        ParameterError
            If the card has no such head, class or component, the reference makes no contrast, or a component of
            several classes is explained without naming one.
        """
        head = _find_head(card, self.head)
        names = [entry.name for entry in head.classes]
        first, outputs = card.head_slice(head.name).start, head.outputs
        component = find_component(card, self.component).name if self.component else ""
        if component and self.class_name == PREDICTED and outputs > 1:
            raise ParameterError(
                f"COMPONENT '{component}' has a weight for each class of head '{head.name}', so the class must be the "
                f"same everywhere. Set CLASS to one of: {', '.join(names)}."
            )
        wanted = None
        if self.class_name == PREDICTED and outputs == 1:
            wanted = 0
        elif self.class_name != PREDICTED:
            wanted = _find_class(head, names, self.class_name, "CLASS", also=f", {PREDICTED}")
        reference = None
        if self.reference_class and outputs == 1:
            raise ParameterError(
                f"Head '{head.name}' has a single logit, so there is nothing to contrast it with. "
                "Leave REFERENCE_CLASS empty."
            )
        if self.reference_class:
            reference = _find_class(head, names, self.reference_class, "REFERENCE_CLASS")
            if reference == wanted:
                raise ParameterError(
                    f"REFERENCE_CLASS '{self.reference_class}' is the explained class itself. "
                    "Choose another class, or none."
                )
        return Seeding(head, first, outputs, wanted, reference, self.region, component)


@dataclass(frozen=True)
class Seeding:
    """A target whose names have been found in a card.

    Parameters
    ----------
    head : Head
        The head.
    first, outputs : int
        Its first logit among those of all heads, and how many it has.
    wanted, reference : int or None
        Class indices within the head; `wanted` None is the predicted class, `reference` None is none.
    region : callable or None
        Mask of the pixels meant.
    component : str
        The component through which the logits are explained; '' for all of them.
    """

    head: Head
    first: int
    outputs: int
    wanted: int | None
    reference: int | None
    region: RegionMask | None
    component: str = ""

    @property
    def text(self) -> str:
        """What is explained, in words."""
        quoted = self._named(quote="'")
        through = f", through component {self.component}" if self.component else ""
        return f"logit of {quoted} (head '{self.head.name}'){through}"

    @property
    def shown(self) -> str:
        """The class for a legend or a layer's name: ``first-year ice rather than young ice``."""
        return self._named() + (f" through {self.component}" if self.component else "")

    def _named(self, quote: str = "") -> str:
        names = [f"{quote}{entry.name}{quote}" for entry in self.head.classes]
        text = "the predicted class" if self.wanted is None else names[self.wanted]
        return text if self.reference is None else f"{text} rather than {names[self.reference]}"

    @property
    def logits(self) -> tuple[int, ...]:
        """The logits, among those of all heads, that may count at some pixel."""
        if self.wanted is None:
            return tuple(range(self.first, self.first + self.outputs))
        within = {index for index in (self.wanted, self.reference) if index is not None}
        return tuple(self.first + index for index in sorted(within))

    def mask(self, window: Window, valid: np.ndarray) -> np.ndarray:
        """Return which pixels of a window are explained: valid ones inside the region.

        Raises
        ------
        ValueError
            If the region's mask does not have the size of the window.
        """
        if self.region is None:
            return valid
        inside = np.asarray(self.region(window), dtype=bool)
        if inside.shape != (window.rows, window.cols):
            raise ValueError(f"the mask has the shape {inside.shape}, not {(window.rows, window.cols)}")
        return valid & inside

    def seeds(self, logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return how much each logit counts.

        Parameters
        ----------
        logits : torch.Tensor
            (1, output, row, column) of all heads.
        mask : torch.Tensor
            (row, column), bool: the pixels explained.

        Returns
        -------
        torch.Tensor
            Shape and type of `logits`: 1 at the class, -1 at the reference, 0 elsewhere.
        """
        seeds = torch.zeros_like(logits)
        own = seeds[:, self.first : self.first + self.outputs]
        if self.wanted is None:
            chosen = logits[:, self.first : self.first + self.outputs].argmax(1, keepdim=True)
            own.scatter_(1, chosen, 1.0)
        else:
            own[:, self.wanted] = 1.0
        if self.reference is not None:
            own[:, self.reference] -= 1.0
        return seeds * mask


def _find_head(card: ModelCard, name: str) -> Head:
    for head in card.heads:
        if name in ("", head.name):
            return head
    known = ", ".join(head.name for head in card.heads)
    raise ParameterError(f"Model '{card.id}' has no head '{name}'. Set HEAD to one of: {known}.")


def find_component(card: ModelCard, name: str) -> Component:
    """Return the component of a card called `name`, in any case.

    Raises
    ------
    ParameterError
        If the card lists no components, or none of that name.
    """
    if not card.components:
        raise ParameterError(
            f"The card of '{card.id}' lists no components, the inputs of the last 1 x 1 convolution. "
            "Leave COMPONENT empty."
        )
    for component in card.components:
        if component.name.lower() == name.strip().lower():
            return component
    raise ParameterError(
        f"Model '{card.id}' has no component {shown(name)}. Set COMPONENT to one of: "
        f"{_shortened([component.name for component in card.components])}."
    )


def _shortened(names: list[str], most: int = 330) -> str:
    """Return names as a list of at most `most` letters; those that do not fit are counted."""
    text = ", ".join(names)
    if len(text) <= most:
        return text
    text = text[:most].rpartition(", ")[0]
    left = len(names) - text.count(", ") - 1
    return f"{text} and {left} more, which the table of zscores lists"


def _find_class(head: Head, names: list[str], name: str, parameter: str, also: str = "") -> int:
    lowered = [known.lower() for known in names]
    if name.lower() not in lowered:
        raise ParameterError(
            f"Head '{head.name}' has no class '{name}'. Set {parameter} to one of: {', '.join(names)}{also}."
        )
    return lowered.index(name.lower())
