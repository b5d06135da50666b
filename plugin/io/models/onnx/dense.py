"""Dense layers of networks that classify patches: convolutions, so that a whole scene gives what its patches give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ....ground.errors import ModelError
from ....networks.files import shown
from ....networks.graph.spec import FINE, Node
from .values import FIRST, Array, Known

if TYPE_CHECKING:
    from .step import Step
    from .writer import GraphWriter


def reformed(step: Step) -> Array:
    """Return an array as one list, in groups of channels, or in its own form again; others are refused."""
    value = step.values[0]
    if not isinstance(value, Array):
        raise AssertionError("not isinstance(value, Array)")
    sizes, channels = step.writer.sizes[value.name], step.channels(value.name)
    places = sizes[0] * sizes[1]
    if step.node.operator == "Flatten":
        form = np.stack([np.ones_like(places), channels * places])
        form = form if int(step.attributes.get("axis", 1)) == 1 else form[:1]
    elif step.node.operator == "Squeeze":
        form = np.stack([np.ones_like(places), channels + 0 * places])
    else:
        form = step.known(1).values

    def is_form(*expected: np.ndarray | int) -> bool:
        return len(form) == len(expected) and all(
            np.isin(own, (-1, 0)).all() or (own == wanted).all() for own, wanted in zip(form, expected)
        )

    one_size = sizes.shape[1] == 1 or (sizes == 1).all()
    if is_form(1, channels * places) and one_size and not value.groups:
        return replace(value, flat=True)
    if is_form(1, channels, *sizes) and value.channels == FIRST:
        return Array(value.name)
    groups = int(form[1].flat[0]) if len(form) == 3 else 0
    whole = groups > 0 and not channels % groups and value.channels == FIRST and not value.flat
    if whole and is_form(1, groups, channels * places // groups):
        return replace(value, groups=groups)
    raise step.error("it gives an array another form than one list of all its values, of a fixed size")


def matrix_product(step: Step) -> Array:
    """Return a dense layer as the convolution over all places of its input."""
    value, weights = step.values[0], step.values[1]
    if not isinstance(value, Array) or not isinstance(weights, Known):
        raise step.error("it multiplies two arrays, as attention does: no rule shares that out")
    if step.attributes.get("transA") or not value.flat:
        raise step.error("it multiplies along the columns of an array, which no layer of maps does")
    matrix = step.fixed(1)
    if matrix.ndim != 2:
        raise step.error(f"its weights have the shape {shown(list(matrix.shape))}")
    matrix = (matrix if step.attributes.get("transB") else matrix.T) * float(
        step.attributes.get("alpha", 1.0)
    )
    rows, cols = (int(size) for size in step.writer.sizes[value.name][:, 0])
    channels, units = step.channels(value.name), len(matrix)
    if matrix.shape[1] != channels * rows * cols:
        raise step.error(f"its weights take {matrix.shape[1]} values, its input has {channels * rows * cols}")
    if value.channels == FIRST:
        kernel = matrix.reshape(units, channels, rows, cols)
    else:
        kernel = matrix.reshape(units, rows, cols, channels).transpose(0, 3, 1, 2)
    settings = {"channels": units, "kernel": [rows, cols], "bias": step.has(2)}
    tensors = {"weight": kernel}
    if step.has(2):
        bias = step.fixed(2).ravel() * float(step.attributes.get("beta", 1.0))
        tensors["bias"] = np.broadcast_to(bias, (units,))
    return Array(step.add("conv", (value.name,), settings, tensors), FIRST, flat=True)


def whole_patch(
    writer: GraphWriter, outputs: Sequence[str], notes: list[str]
) -> tuple[list[Node], list[str]]:
    """Return the nodes of a network of patches made one of scenes, and its outputs.

    Each output place is what the network says of the patch around it; places lie as far apart as its strides, and are
    repeated over the pixels between them. The scene is mirrored at its borders by half a patch.

    Raises
    ------
    ModelError
        If layers inside pad each patch, so that a scene would not give what its patches give.
    """
    sizes = writer.sizes[FINE]
    patch = [int(size) for size in sizes[:, 0]]
    if sizes.shape[1] > 1 or any((writer.sizes[name] != 1).any() for name in outputs):
        raise ModelError(
            "its dense layers need patches of one size. Export it with fixed rows and columns, one answer a patch."
        )
    nodes = [_local(writer, node) for node in writer.nodes.values()]
    steps = {_pixels(writer, node.name) for node in nodes if node.name in outputs}
    if len(steps) > 1 or len(writer.grids) - len(nodes) > 1:
        raise ModelError(
            "a network of patches with coarse channels, or with outputs of several grids, is not known."
        )
    (stride,) = steps
    before = [(side - step) // 2 for side, step in zip(patch, stride)]
    after = [side - 1 - first for side, first in zip(patch, before)]
    edge = "patch_edge"
    sides = [before[1], after[1], before[0], after[0]]
    first = Node(edge, "pad", (FINE,), {"sides": sides, "mode": "reflect"})
    nodes = [
        first,
        *(replace(n, inputs=tuple(edge if name == FINE else name for name in n.inputs)) for n in nodes),
    ]
    notes.append(
        f"The network classifies patches of {patch[0]} x {patch[1]} pixels. It is run over a scene as convolutions: "
        f"each {stride[0]} x {stride[1]} pixels show the answer for the patch around them; borders are mirrored."
    )
    for name in outputs:
        nodes = _repeated(nodes, name, stride)
    read = {name for node in nodes for name in node.inputs}
    return nodes, [name if f"{name}_fit" in read else f"{name}_fit" for name in outputs]


def _pixels(writer: GraphWriter, name: str) -> tuple[int, int]:
    """Return the pixels along one place of an array: the product of the strides before it."""
    steps = writer.grids[name].steps
    if any(step < 1 or step.denominator != 1 for step in steps):
        raise ModelError(f"the places of its output {shown(name)} are no whole pixels.")
    return int(steps[0]), int(steps[1])


def _local(writer: GraphWriter, node: Node) -> Node:
    """Return a node as it is over a scene: a mean over the patch as one over so many places."""
    if node.kind == "global_average":
        source = node.inputs[0]
        kernel = [int(size) for size in writer.sizes[source][:, 0]]
        writer.grids[node.name] = writer.grids[node.name]._replace(steps=writer.grids[source].steps)
        return Node(node.name, "average_pool", node.inputs, {"kernel": kernel, "stride": 1})
    if node.kind in ("pad", "same_pool") or any(_padding(node.values.get("padding", 0))):
        raise ModelError(
            f"its layer '{node.name}' pads each patch, so that a scene would give other values than its patches. Only "
            "networks of patches without padding can be run over a scene."
        )
    return node


def _padding(value: object) -> tuple:
    return (1,) if value == "same" else value if isinstance(value, tuple) else (value,)


def _repeated(nodes: Sequence[Node], name: str, stride: tuple[int, int]) -> list[Node]:
    """Repeat an output over the pixels of its places: before its last pointwise convolution, or behind it."""
    at, last = next((at, node) for at, node in enumerate(nodes) if node.name == name)
    pointwise = last.kind == "conv" and last.values["kernel"] == (1, 1)
    source = last.inputs[0] if pointwise else name
    more = [
        Node(f"{name}_pixels", "upsample", (source,), {"factor": list(stride)}),
        Node(f"{name}_fit", "fit", (f"{name}_pixels", FINE), {"mode": "replicate"}),
    ]
    if pointwise:
        return [*nodes[:at], *more, replace(last, inputs=(f"{name}_fit",)), *nodes[at + 1 :]]
    return [*nodes, *more]
