"""What is explained: logits of a class or group of classes, or of one against another, summed over pixels.

The logit of a group is the mean of its classes' logits. It is linear, so that whatever adds up for a class adds up for
a group too; the difference of two groups is the logarithm of the ratio of their probabilities' geometric means.

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

JOINED = "+"
"""Joins the names of a group of classes."""

RegionMask = Callable[[Window], np.ndarray]


@dataclass(frozen=True)
class Target:
    """Head, class and region whose logits are explained.

    Parameters
    ----------
    head : str
        Name of the head; '' is the card's first.
    class_name : str
        Name of the class, or of several joined by ``+``: the mean of their logits; or ``predicted``: at each pixel the
        class of the largest logit (for a head of one output its only class).
    reference_class : str
        '' or the class, or group of classes, to contrast with: the difference of the two logits is explained. Where
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
        wanted: tuple[int, ...] | None = None
        if self.class_name == PREDICTED and outputs == 1:
            wanted = (0,)
        elif self.class_name != PREDICTED:
            wanted = _find_classes(head, names, self.class_name, "CLASS", also=f", {PREDICTED}")
        reference: tuple[int, ...] = ()
        if self.reference_class and outputs == 1:
            raise ParameterError(
                f"Head '{head.name}' has a single logit, so there is nothing to contrast it with. "
                "Leave REFERENCE_CLASS empty."
            )
        if self.reference_class:
            reference = _find_classes(head, names, self.reference_class, "REFERENCE_CLASS")
            shared = [names[index] for index in reference if index in (wanted or ())]
            if shared and (len(reference), len(wanted or ())) != (1, 1):
                raise ParameterError(
                    f"'{shared[0]}' stands in CLASS and in REFERENCE_CLASS, where it cancels. Name it in one of them."
                )
            if shared:
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
    classes : tuple of int or None
        Class indices within the head; None is the predicted class.
    against : tuple of int
        Those it is contrasted with; empty: none.
    region : callable or None
        Mask of the pixels meant.
    component : str
        The component through which the logits are explained; '' for all of them.
    """

    head: Head
    first: int
    outputs: int
    classes: tuple[int, ...] | None
    against: tuple[int, ...]
    region: RegionMask | None
    component: str = ""

    @property
    def wanted(self) -> int | None:
        """The class; None is the predicted one.

        Raises
        ------
        ParameterError
            It is a group of several.
        """
        return None if self.classes is None else _single(self.classes, "CLASS")

    @property
    def reference(self) -> int | None:
        """The class it is contrasted with, None where there is none; a group as for :attr:`wanted`."""
        return _single(self.against, "REFERENCE_CLASS") if self.against else None

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
        text = "the predicted class" if self.classes is None else self.names(self.classes, quote)
        return f"{text} rather than {self.names(self.against, quote)}" if self.against else text

    def names(self, classes: tuple[int, ...], quote: str = "") -> str:
        """Return the names of classes, joined as in CLASS."""
        return JOINED.join(f"{quote}{self.head.classes[index].name}{quote}" for index in classes)

    @property
    def logits(self) -> tuple[int, ...]:
        """The logits, among those of all heads, that may count at some pixel."""
        if self.classes is None:
            return tuple(range(self.first, self.first + self.outputs))
        within = {*self.classes, *self.against}
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
            Shape and type of `logits`: 1 at the class, -1 at the reference, 0 elsewhere; of a group the classes share
            it equally.
        """
        seeds = torch.zeros_like(logits)
        own = seeds[:, self.first : self.first + self.outputs]
        if self.classes is None:
            chosen = logits[:, self.first : self.first + self.outputs].argmax(1, keepdim=True)
            own.scatter_(1, chosen, 1.0)
        else:
            own[:, list(self.classes)] = 1.0 / len(self.classes)
        if self.against:
            own[:, list(self.against)] -= 1.0 / len(self.against)
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


def _single(classes: tuple[int, ...], parameter: str) -> int:
    if len(classes) > 1:
        raise ParameterError(
            f"{parameter} names a group of {len(classes)} classes: relevance, contributions and ablation take one, "
            "but not this. Name one class."
        )
    return classes[0]


def _find_classes(head: Head, names: list[str], text: str, parameter: str, also: str = "") -> tuple[int, ...]:
    """Return the classes called `text`, or joined in it; of names that hold the joint themselves the longest fits."""
    lowered, words = [name.lower() for name in names], text.split(JOINED)
    found: list[int] = []
    while words:
        candidates = (JOINED.join(words[:count]).strip() for count in range(len(words), 0, -1))
        name = next((name for name in candidates if name.lower() in lowered), words[0].strip())
        alone = not found and len(words) == 1
        if not alone and name.lower() in ("", PREDICTED) and name.lower() not in lowered:
            what = f"'{PREDICTED}' cannot be" if name else "an empty name cannot be"
            raise ParameterError(
                f"{parameter} is '{text}', but {what} joined with other classes. Join some of: {', '.join(names)}."
            )
        found.append(_find_class(head, names, name, parameter, also))
        words = words[name.count(JOINED) + 1 :]
    return tuple(dict.fromkeys(found))


def _find_class(head: Head, names: list[str], name: str, parameter: str, also: str = "") -> int:
    lowered = [known.lower() for known in names]
    if name.lower() not in lowered:
        raise ParameterError(
            f"Head '{head.name}' has no class '{name}'. Set {parameter} to one of: {', '.join(names)}{also}."
        )
    return lowered.index(name.lower())
