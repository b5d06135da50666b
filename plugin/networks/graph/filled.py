"""Networks that take images of whole strides alone, made ones of any size: their image is filled up at its end."""

from __future__ import annotations

from dataclasses import replace

from .geometry import alignment_of
from .spec import COARSE, FINE, GraphSpec, Node, safe_name


def filled_up(spec: GraphSpec, mode: str = "replicate") -> GraphSpec:
    """Return a graph that fills its image up to whole strides at the last rows and columns, and cuts its logits.

    Logits of a pointwise convolution are cut before it, so that the graph still ends in its components.

    Parameters
    ----------
    spec : GraphSpec
        A graph whose arrays fit each other for images of whole strides.
    mode : {'replicate', 'reflect'}
        What fills.
    """
    names = {node.name for node in spec.nodes}
    multiple = alignment_of(spec)
    filled = {FINE: _new("filled", names)}
    more = [Node(filled[FINE], "fill_up", (FINE,), {"multiple": multiple, "mode": mode})]
    if spec.coarse and multiple > spec.ratio:
        filled[COARSE] = _new("filled_cells", names)
        cells = {"multiple": multiple // spec.ratio, "mode": mode}
        more.append(Node(filled[COARSE], "fill_up", (COARSE,), cells))
    nodes = {
        node.name: replace(node, inputs=tuple(filled.get(name, name) for name in node.inputs))
        for node in spec.nodes
    }
    read = {name for node in spec.nodes for name in node.inputs}
    cuts: dict[str, Node] = {}
    outputs, last = [], []
    for name in spec.outputs:
        node = nodes.get(name)
        if node is not None and name not in read and is_pointwise(node):
            cut = _cut(cuts, node.inputs[0], names)
            last.append(replace(nodes.pop(name), inputs=(cut,)))
            outputs.append(name)
        else:
            outputs.append(_cut(cuts, filled.get(name, name), names))
    return replace(spec, nodes=(*more, *nodes.values(), *cuts.values(), *last), outputs=tuple(outputs))


def is_pointwise(node: Node) -> bool:
    """Return whether a node is a convolution of each place by itself."""
    one, values = (1, 1), node.values
    return (
        node.kind == "conv"
        and values["kernel"] == values["stride"] == one
        and values["padding"] in ((0, 0), "same")
    )


def _cut(cuts: dict[str, Node], source: str, names: set[str]) -> str:
    """Return the node that cuts an array to the image, one for all that read it."""
    if source not in cuts:
        cuts[source] = Node(_new(f"{source}_cut", names), "fit", (source, FINE))
    return cuts[source].name


def _new(text: str, names: set[str]) -> str:
    name = safe_name(text, names)
    names.add(name)
    return name
