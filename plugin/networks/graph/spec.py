"""A network as plain data: a list of nodes that read the inputs or earlier nodes.

A :class:`GraphSpec` is a value, made by importers and stored in ``architecture.arguments.graph`` of a card::

    spec = GraphSpec(
        fine=2,
        nodes=(
            Node("enc", "conv", ("fine",), {"channels": 8, "kernel": 3, "padding": 1}),
            Node("act", "relu", ("enc",)),
            Node("sic", "conv", ("act",), {"channels": 1, "kernel": 1}),
        ),
        outputs=("sic",),
    )
    spec == GraphSpec.from_json(spec.to_json())

It is checked when it is made: names are safe, each node reads what comes before it, channels and sizes fit, and
nothing is larger than any network. :mod:`.modules` builds the network, :mod:`.geometry` tells its strides.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

from ...ground.errors import ModelError
from ..files import listed, shown, shown_text
from .grids import Grid
from .kinds import MOST_CHANNELS, NODE_KINDS
from .settings import Fault

FINE, COARSE = "fine", "coarse"
MOST_NODES = 2_000
MOST_WEIGHTS = 2**28
# Fine pixels along one place of any array: what no network exceeds.
_LEAST_STEP, _MOST_STEP = Fraction(1, 16), 8_192
_MOST_RATIO = 4_096
_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")
# What a module is asked for by these names is not a layer.
_TAKEN = {
    FINE, COARSE, "add_module", "apply", "bfloat16", "buffers", "call_super_init",
    "children", "compile", "cpu", "cuda", "double",
    "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state", "get_parameter",
    "get_submodule", "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers", "named_children",
    "named_modules", "named_parameters", "nodes", "outputs", "parameters", "register_backward_hook",
    "register_buffer", "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
    "register_module", "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
    "requires_grad_", "root", "self", "set_extra_state", "set_submodule", "share_memory", "spec", "state_dict", "to",
    "to_empty", "torch", "train", "training", "type", "xpu", "zero_grad",
}  # fmt: skip


class GraphError(ModelError):
    """A graph cannot be used; the sentence names the node."""


@dataclass(frozen=True)
class Node:
    """A layer of a graph network, or what joins arrays.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores; its weights are called ``<name>.<tensor>``.
    kind : str
        A word of :data:`.kinds.NODE_KINDS`.
    inputs : tuple of str
        ``fine``, ``coarse`` or names of earlier nodes.
    settings : mapping
        Of its kind: JSON values; what is not given has its default.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not isinstance(self.kind, str) or self.kind not in NODE_KINDS:
            raise GraphError(
                f"The node '{self.name}' of the network has the kind {shown(self.kind)}, which is not known. Known "
                f"are: {', '.join(NODE_KINDS)}."
            )
        if isinstance(self.inputs, str) or not isinstance(self.inputs, Sequence):
            raise self.error(f"its inputs {shown(self.inputs)} are not a list of names")
        if not all(isinstance(name, str) for name in self.inputs):
            raise self.error("its inputs are not all names")
        object.__setattr__(self, "inputs", tuple(self.inputs))
        least, most = NODE_KINDS[self.kind].inputs
        if not least <= len(self.inputs) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            raise self.error(f"it has {len(self.inputs)} inputs instead of {wanted}")
        if not isinstance(self.settings, Mapping) or not all(isinstance(name, str) for name in self.settings):
            raise self.error("its settings are not named")
        values = self.values  # checks them
        given = {name: _plain(values[name], value) for name, value in self.settings.items()}
        object.__setattr__(self, "settings", given)

    @cached_property
    def values(self) -> dict[str, Any]:
        """All settings, those that are not given by their defaults."""
        try:
            return NODE_KINDS[self.kind].values(self.settings)
        except Fault as fault:
            raise self.error(str(fault)) from None

    def error(self, problem: str) -> GraphError:
        """Return the error of a fault of this node."""
        where = f"The node '{self.name}' ({self.kind}) of the network cannot be used"
        return GraphError(
            f"{where}: {shown_text(problem, 300)}. Correct architecture.arguments.graph of its card."
        )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in _TAKEN or keyword.iskeyword(name):
        raise GraphError(
            f"{shown(name)} cannot name a node of a network. Use up to 80 lower-case letters, digits and underscores "
            "that begin with a letter and are no word of Python or torch."
        )


def safe_name(text: str, taken: Iterable[str] = ()) -> str:
    """Return a name that a node may have, made of any text; another one than those `taken`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[-60:].strip("_")
    if not _NAME.fullmatch(name) or name in _TAKEN or keyword.iskeyword(name):
        name = f"node_{name}".strip("_")
    taken = taken if isinstance(taken, (set, dict)) else set(taken)
    number, base = 2, name
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _plain(checked: Any, given: Any) -> Any:
    """Return a setting as JSON has it: what was given, with tuples as lists."""
    return list(given) if isinstance(given, (list, tuple)) else checked if isinstance(given, float) else given


@dataclass(frozen=True)
class GraphSpec:
    """A network as plain data.

    Parameters
    ----------
    fine : int
        Fine channels.
    nodes : tuple of Node
        In the order in which they are computed.
    outputs : tuple of str
        Nodes whose channels are the logits, one after another: mostly one a head.
    coarse : int
        Coarse channels.
    ratio : int
        Fine pixels along a coarse cell; 1 without coarse channels.

    Raises
    ------
    GraphError
        With a sentence that names the node and its fault.
    """

    fine: int
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    coarse: int = 0
    ratio: int = 1

    def __post_init__(self) -> None:
        for name, least, most in (
            ("fine", 1, MOST_CHANNELS),
            ("coarse", 0, MOST_CHANNELS),
            ("ratio", 1, _MOST_RATIO),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise GraphError(
                    f"The graph of a network has {name} = {shown(value)}, which is not a whole number from {least} to "
                    f"{most}."
                )
        if self.ratio != 1 and not self.coarse:
            raise GraphError(
                "The graph of a network has a ratio, but no coarse channels. Leave the ratio out."
            )
        for name in ("nodes", "outputs"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise GraphError(f"The graph of a network has no list of {name}, or an empty one.")
            if len(values) > MOST_NODES:
                raise GraphError(
                    f"The graph of a network has {len(values)} {name}; at most {MOST_NODES} are read."
                )
            object.__setattr__(self, name, tuple(values))
        if not all(isinstance(node, Node) for node in self.nodes):
            raise GraphError("The nodes of a graph are not all of the class Node.")
        self._check_links()
        self.grids  # noqa: B018  (checks channels and steps)
        for name in self.outputs:
            steps = self.grids[name].steps
            if steps != (1, 1):
                raise GraphError(
                    f"The output '{name}' of the network has places of {steps[0]} x {steps[1]} pixels (0: one for "
                    "all); a map has one a pixel. Bring it to the grid of 'fine' first."
                )
        if self.weights > MOST_WEIGHTS:
            raise GraphError(
                f"The graph of a network asks for {self.weights} weights; at most {MOST_WEIGHTS} are read."
            )

    def _check_links(self) -> None:
        known = {FINE, COARSE} if self.coarse else {FINE}
        for node in self.nodes:
            if node.name in known:
                raise GraphError(
                    f"Two nodes of the network are called '{node.name}'. Give each its own name."
                )
            for name in node.inputs:
                if name not in known:
                    raise node.error(
                        f"it reads {shown(name)}, which is neither an input of the network nor a node before it"
                    )
            known.add(node.name)
        for name in self.outputs:
            if not isinstance(name, str) or name not in known:
                raise GraphError(
                    f"The network has no node {shown(name)}, which its graph names as an output. Its last nodes are "
                    f"{listed(node.name for node in self.nodes[-5:])}."
                )

    @cached_property
    def grids(self) -> dict[str, Grid]:
        """Channels and steps of each array, by the name of its node or input."""
        found = {FINE: Grid(self.fine, (Fraction(1),) * 2)}
        if self.coarse:
            found[COARSE] = Grid(self.coarse, (Fraction(self.ratio),) * 2)
        for node in self.nodes:
            try:
                grid = NODE_KINDS[node.kind].grid(node.values, [found[name] for name in node.inputs])
            except Fault as fault:
                raise node.error(str(fault)) from None
            if not 1 <= grid.channels <= MOST_CHANNELS:
                raise node.error(f"it has {grid.channels} channels; at most {MOST_CHANNELS} are read")
            if any(step and not _LEAST_STEP <= step <= _MOST_STEP for step in grid.steps):
                raise node.error(
                    f"its places have {grid.steps[0]} x {grid.steps[1]} pixels, as in no network"
                )
            found[node.name] = grid
        return found

    @cached_property
    def weights(self) -> int:
        """Numbers that its layers hold, at most."""
        return sum(
            NODE_KINDS[node.kind].weights(node.values, self.grids[node.inputs[0]]) for node in self.nodes
        )

    @property
    def channels(self) -> int:
        """Logits."""
        return sum(self.grids[name].channels for name in self.outputs)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> GraphSpec:
        """Return the graph in JSON values.

        Raises
        ------
        GraphError
            If they are not those of a graph.
        """
        if not isinstance(content, Mapping):
            raise GraphError(f"The graph of a network is {shown(content)}, not an object with named entries.")
        unknown = sorted(str(name) for name in set(content) - set(cls.__dataclass_fields__))
        if unknown:
            raise GraphError(
                f"The graph of a network has an entry {shown(unknown[0])}, which is not known. Remove it."
            )
        for name in ("fine", "nodes", "outputs"):
            if name not in content:
                raise GraphError(f"The graph of a network has no entry '{name}'. Add it.")
        nodes = content["nodes"]
        if isinstance(nodes, (str, Mapping)) or not isinstance(nodes, Sequence):
            raise GraphError(f"The nodes of a graph are {shown(nodes)}, not a list.")
        if len(nodes) > MOST_NODES:
            raise GraphError(f"The graph of a network has {len(nodes)} nodes; at most {MOST_NODES} are read.")
        return cls(**{**content, "nodes": tuple(_node_of(entry, at) for at, entry in enumerate(nodes))})

    def to_json(self) -> dict[str, Any]:
        """Return the graph as JSON values, what :meth:`from_json` reads."""
        coarse = {"coarse": self.coarse, "ratio": self.ratio} if self.coarse else {}
        nodes = [
            {"name": node.name, "kind": node.kind, "inputs": list(node.inputs), **node.settings}
            for node in self.nodes
        ]
        return {"fine": self.fine, **coarse, "nodes": nodes, "outputs": list(self.outputs)}

    def text(self) -> str:
        """Return the JSON as text; the same graph gives the same text."""
        return json.dumps(self.to_json(), allow_nan=False)


def _node_of(entry: Any, position: int) -> Node:
    if not isinstance(entry, Mapping):
        raise GraphError(
            f"Node {position} of the network is {shown(entry)}, not an object with named entries."
        )
    settings = dict(entry)
    try:
        name, kind, inputs = (settings.pop(key) for key in ("name", "kind", "inputs"))
    except KeyError as missing:
        raise GraphError(f"Node {position} of the network has no {missing}. Add it.") from None
    return Node(name, kind, inputs, settings)
