"""Operators of ONNX that change sizes and order: upsampling, padding, cuts, arrays side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .values import FIRST, LAST, Array

if TYPE_CHECKING:
    from .step import Step


def resize(step: Step) -> Array:
    """Write an upsampling by a whole factor, or to the size of another array."""
    source, attributes = step.array(0), step.attributes
    old = step.node.operator == "Upsample" or step.opset < 11
    way = attributes.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    mode = attributes.get("mode", "nearest")
    if attributes.get("antialias") or attributes.get("exclude_outside") or mode not in ("nearest", "linear"):
        raise step.error(f"it interpolates by '{mode}', or in a way for which no layer is known")
    own = step.writer.sizes[source]
    target = step.target_size(own)
    corners = way == "align_corners"
    factors = target // own
    if (factors * own == target).all() and (factors == factors[:, :1]).all():
        factor = [int(f) for f in factors[:, 0]]
        if factor == [1, 1]:
            return Array(source)
        nearest = attributes.get("nearest_mode", "floor" if old else "round_prefer_floor")
        if mode == "nearest" and not _repeats(way, nearest, max(factor)):
            raise step.error(f"it repeats pixels by '{way}' and '{nearest}', for which no layer is known")
        if mode == "linear" and way not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
            raise step.error(f"it interpolates by '{way}', for which no layer is known")
        settings = {"factor": factor} if mode == "nearest" else {
            "factor": factor, "mode": "bilinear", "align_corners": corners
        }  # fmt: skip
        return Array(step.add("upsample", (source,), settings))
    like = step.array_of_size(target)
    usual = (
        way in ("half_pixel", "pytorch_half_pixel", "align_corners")
        if mode == "linear"
        else way == "asymmetric"
    )
    if like is None or not usual:
        raise step.error(
            "it brings an array to a size that is neither a multiple of its own nor that of another array"
        )
    settings = {"mode": "bilinear" if mode == "linear" else "nearest", "align_corners": corners}
    return Array(step.add("resize", (source, like), settings))


def _repeats(way: str, nearest: str, factor: int) -> bool:
    """Return whether nearest neighbours of a whole factor are repeated places."""
    if way == "asymmetric":
        return nearest == "floor" or (nearest == "round_prefer_floor" and factor <= 2)
    return way in ("half_pixel", "pytorch_half_pixel") and nearest in (
        "round_prefer_floor",
        "round_prefer_ceil",
    )


def pad(step: Step) -> Array:
    """Write a padding or a cut; where its widths depend on the image, to the size of another array."""
    source, mode = step.array(0), step.attributes.get("mode", "constant")
    if step.has(1):
        widths = step.known(1).values
        axes = step.fixed(3).ravel().tolist() if step.has(3) else None
    else:
        widths, axes = np.asarray(step.attributes.get("pads", []))[:, None], None
    images = step.writer.sizes[source].shape[1]
    if widths.ndim != 2 or (axes is None and len(widths) != 8) or (axes and len(widths) != 2 * len(axes)):
        raise step.error("its padding is not that of four axes")
    sides = np.zeros((8, images), np.int64)
    for at, axis in enumerate(axes if axes is not None else range(4)):
        sides[int(axis) % 4] = widths[at]
        sides[int(axis) % 4 + 4] = widths[at + len(widths) // 2]
    value = float(step.fixed(2).ravel()[0]) if step.has(2) else float(step.attributes.get("value", 0.0))
    rows = step.rows_axis(0)
    if (
        sides[[axis for axis in (0, 1, 2, 3) if axis not in (rows, rows + 1)]].any()
        or sides[[axis + 4 for axis in (0, 1, 2, 3) if axis not in (rows, rows + 1)]].any()
    ):
        raise step.error("it pads samples or channels")
    edges = sides[[rows + 1, rows + 5, rows, rows + 4]]  # left, right, above, below
    if (edges == edges[:, :1]).all():
        fixed = [int(side) for side in edges[:, 0]]
        if min(fixed) >= 0:
            word = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}.get(mode)
            if word is None:
                raise step.error(f"it pads by '{mode}', for which no layer is known")
            settings = {"sides": fixed, "mode": word, "value": value if word == "constant" else 0.0}
            return Array(step.add("pad", (source,), settings)) if any(fixed) else Array(source)
        if max(fixed) <= 0:
            return Array(step.add("crop", (source,), {"sides": [-side for side in fixed]}))
        raise step.error("it pads and cuts at the same time")
    return _fitted(step, source, edges, mode, value)


def _fitted(step: Step, source: str, edges: np.ndarray, mode: str, value: float) -> Array:
    """Return an array padded or cut to the size of another one, where padding depends on the image."""
    own = step.writer.sizes[source]
    like = step.array_of_size(
        own + np.stack([edges[2] + edges[3], edges[0] + edges[1]]), step.writer.grids[source].steps
    )
    word = {"constant": "zeros", "reflect": "reflect", "edge": "replicate"}.get(mode)
    if like is None or word is None or edges[[0, 2]].any() or (word == "zeros" and value):
        raise step.error(
            "its padding depends on the size of the image, but not as that of an odd size at its end"
        )
    return Array(step.add("fit", (source, like), {"mode": word}))


def concatenate(step: Step) -> Array:
    """Write arrays side by side along their channels."""
    axis = int(step.attributes.get("axis", 1))
    axis = axis % 4 if axis != -1 or not any(isinstance(v, Array) and v.flat for v in step.values) else 1
    if axis != 1:
        raise step.error(f"it joins arrays along axis {axis}; only channels are known")
    flat = [value for value in step.values if isinstance(value, Array) and value.flat]
    if any((step.writer.sizes[value.name] != 1).any() for value in flat):
        raise step.error("it joins lists of all values of arrays; only lists of channels are known")
    return Array(step.add("concatenate", [step.array(at) for at in range(len(step.node.inputs))]))


def transpose(step: Step) -> Array:
    """Keep whether channels come first or last."""
    value, order = step.values[0], list(step.attributes.get("perm", []))
    if not isinstance(value, Array):
        raise AssertionError("not isinstance(value, Array)")
    moves = {(FIRST, (0, 2, 3, 1)): LAST, (LAST, (0, 3, 1, 2)): FIRST}
    if order == [0, 1, 2, 3]:
        return value
    channels = moves.get((value.channels, tuple(order)))
    if channels is None or value.flat:
        raise step.error(f"it reorders axes by {order}; only channels first and last are known")
    return Array(value.name, channels)


def depth_to_space(step: Step) -> Array:
    """Write channels that become pixels."""
    factor, source = int(step.attributes.get("blocksize", 0)), step.array(0)
    if factor < 1 or step.channels(source) % factor**2:
        raise step.error(f"{step.channels(source)} channels are no multiple of {factor} x {factor}")
    if step.attributes.get("mode", "DCR") == "DCR" and factor > 1:
        channels = step.channels(source)
        order = np.arange(channels).reshape(factor * factor, -1).T.ravel()
        source = _selected(step, source, order)
    return Array(step.add("shuffle", (source,), {"factor": factor}))


def _selected(step: Step, source: str, channels: np.ndarray) -> str:
    """Return some channels of an array, by a convolution of ones and zeros."""
    weights = np.zeros((len(channels), step.channels(source), 1, 1), np.float32)
    weights[np.arange(len(channels)), channels] = 1.0
    settings = {"channels": len(channels), "kernel": 1, "bias": False}
    return step.add("conv", (source,), settings, {"weight": weights}, suffix="_channels")


def slice_(step: Step) -> Array:
    """Write a cut of rows, columns or channels."""
    source = step.array(0)
    if step.has(1):
        starts, ends = step.known(1).values, step.known(2).values
        axes = step.fixed(3).ravel() if step.has(3) else np.arange(len(starts))
        steps = step.fixed(4).ravel() if step.has(4) else np.ones(len(starts))
    else:
        starts, ends = (np.asarray(step.attributes[name])[:, None] for name in ("starts", "ends"))
        axes, steps = np.asarray(step.attributes.get("axes", range(len(starts)))), np.ones(len(starts))
    if (steps != 1).any() or starts.ndim != 2 or not len(starts) == len(ends) == len(axes):
        raise step.error("it leaves out places in between")
    for start, end, axis in zip(starts, ends, (int(axis) % 4 for axis in axes)):
        source = _cut(step, source, axis, start, end)
    return Array(source)


def _cut(step: Step, source: str, axis: int, start: np.ndarray, end: np.ndarray) -> str:
    if axis == 0:
        raise step.error("it takes some of the samples")
    if axis == 1:
        channels = np.arange(step.channels(source))[int(start[0]) : int(end[0])]
        whole = len(channels) == step.channels(source)
        if not len(channels):
            raise step.error("it takes no channels")
        return source if whole else _selected(step, source, channels)
    own = step.writer.sizes[source]
    length = own[axis - 2]
    first = np.where(start < 0, start + length, np.minimum(start, length)) + 0 * length
    last = np.where(end < 0, end + length, np.minimum(end, length)) + 0 * length
    before, after = first, length - last
    if (before == before[0]).all() and (after == after[0]).all():
        sides = [0, 0, int(before[0]), int(after[0])] if axis == 2 else [int(before[0]), int(after[0]), 0, 0]
        return step.add("crop", (source,), {"sides": sides}) if any(sides) else source
    target = own.copy()
    target[axis - 2] = last - first
    like = step.array_of_size(target, step.writer.grids[source].steps, axis - 2)
    if like is None or before.any():
        raise step.error("it cuts to a size that is not that of another array")
    # Along the other axis the two are cut as well, by the slice that follows.
    return step.add("fit", (source, like))
