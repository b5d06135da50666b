"""What a graph's layers make of sizes: strides that tiles keep to, whole-image dependence, arrays that do not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from .kinds import NODE_KINDS
from .spec import COARSE, FINE, GraphError, GraphSpec

# Places that `fit` and `fill_up` nodes fill at a border copy places so many times farther inside than they lie outside.
_LOOKS_BACK = {"zeros": 0, "replicate": 1, "reflect": 2}
# How many sizes of an image are tried, and how large they are at least, in strides.
_TRIALS, _STRIDES = 8, 6
_AXES = ("rows", "columns")


@dataclass(frozen=True)
class GraphGeometry:
    """What tiling needs to know of a graph.

    Parameters
    ----------
    alignment : int
        Pixels: windows begin on multiples of it.
    beyond_field : int
        Pixels that an output pixel beside a border of the scene reads farther than one inside it, at most.
    whole_image : tuple of str
        Sentences: which nodes depend on the whole image, so that tiles differ from the whole. Empty: none does.
    """

    alignment: int
    beyond_field: int
    whole_image: tuple[str, ...]


def geometry(spec: GraphSpec) -> GraphGeometry:
    """Return what tiling needs to know of a graph.

    Raises
    ------
    GraphError
        If arrays that nodes join do not fit each other, or the logits do not cover the image, for some size of it.
    """
    alignment = alignment_of(spec)
    most: dict[str, int] = {}
    for length in _lengths(alignment):
        for axis in (0, 1):
            _trial(spec, length, axis, most)
    beyond = sum(
        _LOOKS_BACK[node.values["mode"]] * most.get(node.name, 0) * max(spec.grids[node.name].steps)
        for node in spec.nodes
        if node.kind in ("fit", "fill_up")
    )
    sentences = [
        f"The node '{node.name}' {text}."
        for node in spec.nodes
        for text in [NODE_KINDS[node.kind].whole_image(node.values)]
        if text
    ]
    return GraphGeometry(alignment, math.ceil(Fraction(beyond)), tuple(sentences))


def alignment_of(spec: GraphSpec) -> int:
    """Return the least common multiple of the strides of a graph's arrays, in pixels."""
    return math.lcm(*(step.numerator for grid in spec.grids.values() for step in grid.steps if step))


def _lengths(alignment: int) -> list[int]:
    """Return sides of images, in pixels: whole alignments, and others between them."""
    rests = {0, 1, alignment // 2, alignment - 1, *range(0, alignment, max(1, alignment // _TRIALS))}
    return [alignment * _STRIDES + 512 + rest - 512 % alignment for rest in sorted(rests)]


def _trial(spec: GraphSpec, length: int, axis: int, most: dict[str, int]) -> None:
    """Compute the sizes of all arrays along an axis, and keep by how much nodes extend theirs at the end."""
    sizes = {FINE: length, COARSE: -(-length // spec.ratio)}
    for node in spec.nodes:
        inputs = [sizes[name] for name in node.inputs]
        size = NODE_KINDS[node.kind].size(node.values, inputs, axis)
        if size < 1 or size > 64 * length:
            what = " and ".join(str(each) for each in dict.fromkeys(inputs))
            raise node.error(
                f"for an image of {length} pixels its inputs have {what} {_AXES[axis]}, which do not fit. "
                "Put a 'fit' node before it"
            )
        if node.kind in ("fit", "fill_up"):
            most[node.name] = max(most.get(node.name, 0), size - inputs[0])
        sizes[node.name] = size
    for name in spec.outputs:
        if sizes[name] != length:
            raise GraphError(
                f"The output '{name}' of the network has {sizes[name]} {_AXES[axis]} for an image of "
                f"{length}: logits must cover its pixels. Pad the input, or end with a 'fit' node to 'fine'."
            )
