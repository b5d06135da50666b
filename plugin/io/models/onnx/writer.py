"""Writes a graph of layers node by node, and follows the channels and sizes of its arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ....networks.graph.grids import Grid
from ....networks.graph.kinds import NODE_KINDS, NodeKind
from ....networks.graph.settings import Fault
from ....networks.graph.spec import COARSE, FINE, MOST_NODES, GraphError, Node, safe_name


def _without_defaults(facts: NodeKind, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings shortened: without those that are the default, pairs of one number as that number."""
    short = {
        name: value[0] if isinstance(value, list) and len(value) == 2 and value[0] == value[1] else value
        for name, value in settings.items()
    }
    return {
        name: value
        for name, value in short.items()
        if name not in facts.settings or value != facts.settings[name].default
    }


class GraphWriter:
    """The nodes written so far, their weights, and what is known of their arrays.

    Parameters
    ----------
    grids : dict of str to Grid
        Channels and steps of the inputs.
    sizes : dict of str to numpy.ndarray
        (2, image): rows and columns of the inputs for the images that are followed.
    """

    def __init__(self, grids: dict[str, Grid], sizes: dict[str, np.ndarray]) -> None:
        self.grids, self.sizes = dict(grids), dict(sizes)
        self.nodes: dict[str, Node] = {}
        self.weights: dict[str, np.ndarray] = {}
        # Gates, and the activation that an array times its own gate is.
        self.gates: dict[str, tuple[str, str]] = {}
        self._taken: set[str] = {FINE, COARSE}

    def add(
        self,
        hint: str,
        kind: str,
        inputs: Sequence[str],
        settings: dict[str, Any] | None = None,
        **tensors: np.ndarray,
    ) -> str:
        """Write a node, and return its name.

        Parameters
        ----------
        hint : str
            What its name is made of.
        kind, inputs, settings
            Of the node.
        **tensors : numpy.ndarray
            Its weights by the name that torch gives them.

        Raises
        ------
        GraphError
            If it cannot be used.
        """
        if len(self.nodes) >= MOST_NODES:
            raise GraphError(f"The network has more than {MOST_NODES} layers, which are not read.")
        name = safe_name(hint, self._taken)
        facts = NODE_KINDS[kind]
        node = Node(name, kind, tuple(inputs), _without_defaults(facts, settings or {}))
        try:
            self.grids[name] = facts.grid(node.values, [self.grids[each] for each in inputs])
        except Fault as fault:
            raise node.error(str(fault)) from None
        arrays = [self.sizes[each] for each in inputs]
        self.sizes[name] = np.array(
            [
                [
                    facts.size(node.values, [int(array[axis, at]) for array in arrays], axis)
                    for at in range(arrays[0].shape[1])
                ]
                for axis in (0, 1)
            ]
        )
        if (self.sizes[name] < 1).any():
            raise node.error("the sizes of its inputs do not fit")
        self.nodes[name] = node
        self._taken.add(name)
        for tensor, values in tensors.items():
            self.weights[f"{name}.{tensor}"] = np.ascontiguousarray(values, dtype=np.float32)
        return name

    def scaled(self, hint: str, source: str, scale: np.ndarray | None, shift: np.ndarray | None) -> str:
        """Write scale · values + shift of each channel, as a batch norm without statistics."""
        channels = self.grids[source].channels
        ones, zeros = np.ones(channels), np.zeros(channels)
        return self.add(
            hint,
            "batch_norm",
            (source,),
            {"epsilon": 0.0},
            weight=ones if scale is None else ones * scale,
            bias=zeros if shift is None else zeros + shift,
            running_mean=zeros,
            running_var=ones,
        )
