"""The output layer of a network: a regression of the map on its components, the inputs of a 1x1 convolution.

Components belong to groups: a sensor, a feature scale, a frequency, a polarisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ...ground.errors import ModelError
from ...networks.card_parts import KINDS, Component

if TYPE_CHECKING:
    from ...networks.card import ModelCard


@dataclass(frozen=True)
class Group:
    """Components that belong together.

    Parameters
    ----------
    kind : str
        ``sensor``, ``scale``, ``frequency`` or ``polarisation``.
    name : str
        Such as ``mwr``, ``d4``, ``36.5 GHz`` or ``h``.
    members : tuple of int
        Positions of its components in the layer.
    """

    kind: str
    name: str
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OutputLayer:
    """One head of the network: a regression on the components.

    Parameters
    ----------
    head, kind : str
        Name of the head; ``sigmoid``, ``softmax`` or ``linear``.
    classes : tuple of str
        One name an output: one for sigmoid and linear, at least two for softmax.
    components : tuple of Component
        In the order of the columns.
    weights : numpy.ndarray
        (output, component), float64.
    bias : numpy.ndarray
        (output,), float64.

    Raises
    ------
    ModelError
        If the parts do not fit each other, or a weight is not a number.
    """

    head: str
    kind: str
    classes: tuple[str, ...]
    components: tuple[Component, ...]
    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", np.array(self.weights, dtype=np.float64, ndmin=2))
        object.__setattr__(self, "bias", np.array(self.bias, dtype=np.float64, ndmin=1))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "components", tuple(self.components))
        if self.kind not in KINDS:
            raise ModelError(f"Head '{self.head}' has the kind '{self.kind}'; known are {', '.join(KINDS)}.")
        outputs = len(self.classes)
        if (outputs < 2) if self.kind == "softmax" else (outputs != 1):
            needed = "at least two classes" if self.kind == "softmax" else "exactly one class"
            raise ModelError(f"Head '{self.head}' is {self.kind} and needs {needed}, not {outputs}.")
        if self.weights.shape != (outputs, len(self.components)) or self.bias.shape != (outputs,):
            raise ModelError(
                f"Head '{self.head}' has {outputs} outputs and {len(self.components)} components, but weights "
                f"of shape {self.weights.shape} and a bias of shape {self.bias.shape}; check the model card."
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ModelError(f"Head '{self.head}' has weights that are not numbers; the model is damaged.")

    @classmethod
    def from_card(cls, card: ModelCard, head: str, weights: np.ndarray, bias: np.ndarray) -> OutputLayer:
        """Return the layer of one head of a model.

        Parameters
        ----------
        card : ModelCard
            Its heads follow one another in the output layer.
        head : str
            Name of the head.
        weights, bias : numpy.ndarray
            Of the whole output layer: (output of all heads, component) and (output of all heads,).

        Raises
        ------
        ModelError
            If the model has no such head or the shapes do not fit.
        """
        if not card.components:
            raise ModelError(
                f"The card of '{card.id}' lists no components, the inputs of the last 1 x 1 convolution, "
                "so there is nothing to score. Use relevance, contributions or ablation, which need none."
            )
        known, rows = card.head(head), card.head_slice(head)
        weights = np.asarray(weights, dtype=np.float64)
        return cls(
            head=known.name,
            kind=known.kind,
            classes=tuple(entry.name for entry in known.classes),
            components=tuple(card.components),
            weights=weights.reshape(weights.shape[0], -1)[rows],
            bias=np.asarray(bias, dtype=np.float64)[rows],
        )

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return len(self.classes)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of outputs k < l whose sums are kept; a single (0, 0) but for softmax."""
        return list(combinations(range(self.outputs), 2)) if self.kind == "softmax" else [(0, 0)]

    def groups(self) -> tuple[Group, ...]:
        """Return the components by sensor, scale, frequency and polarisation, in their own order."""
        return tuple(
            Group(kind, name, tuple(i for i, other in enumerate(labels) if other == name))
            for kind, labels in (
                ("sensor", [part.sensor for part in self.components]),
                ("scale", [part.scale for part in self.components]),
                ("frequency", [_frequency_name(part.frequency_ghz) for part in self.components]),
                ("polarisation", [part.polarisation for part in self.components]),
            )
            for name in dict.fromkeys(labels)
            if name
        )

    def same_as(self, other: OutputLayer) -> bool:
        """Return whether the other layer is this one: same head, components and weights."""
        return (
            (self.head, self.kind, self.classes, self.components)
            == (other.head, other.kind, other.classes, other.components)
            and np.array_equal(self.weights, other.weights)
            and np.array_equal(self.bias, other.bias)
        )


def _frequency_name(frequency_ghz: float | None) -> str:
    return "" if frequency_ghz is None else f"{frequency_ghz:g} GHz"


def removals(layer: OutputLayer) -> np.ndarray:
    """Return which components are taken out for each information share.

    Returns
    -------
    numpy.ndarray
        (component + group, component), bool: every component alone, then every group.
    """
    m = len(layer.components)
    groups = layer.groups()
    taken = np.zeros((m + len(groups), m), dtype=bool)
    taken[:m] = np.eye(m, dtype=bool)
    for index, group in enumerate(groups):
        taken[m + index, list(group.members)] = True
    return taken
