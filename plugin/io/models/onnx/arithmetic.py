"""Operators on numbers that are known before the network runs: sizes, settings and weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .values import Known

# What may come of it: sizes and settings are a few numbers, weights are those of the file.
_MOST_NUMBERS = 1 << 26
_MOST_MADE = 1 << 16


class Beyond(ValueError):
    """The operator cannot be carried out: half a sentence."""


def _axis(axis: int, dimensions: int) -> int:
    """Return an axis of numbers whose last axis is that of the images."""
    own = dimensions - 1
    if not -own <= axis < max(own, 1):
        raise Beyond(f"there is no axis {axis}")
    return axis % own if own else 0


def _shape_of(values: np.ndarray) -> tuple[int, ...]:
    return values.shape[:-1]


def _fixed(value: Known) -> np.ndarray:
    if value.fixed is None:
        raise Beyond("it depends on the size of the image")
    return value.fixed


def _whole(value: Known) -> list[int]:
    return [int(each) for each in np.atleast_1d(_fixed(value)).ravel()[:64]]


def _axes(inputs: list[Known], attributes: Mapping[str, Any]) -> list[int] | None:
    if len(inputs) > 1:
        return _whole(inputs[1])
    return list(attributes["axes"]) if "axes" in attributes else None


def _divide(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    if not np.all(second):
        raise Beyond("it divides by zero")
    if first.dtype.kind in "iu" and second.dtype.kind in "iu":  # towards zero
        return (np.sign(first) * np.sign(second) * (abs(first) // abs(second))).astype(first.dtype)
    return first / second


def _binary(operation: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable:
    def run(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
        parts = [value.values for value in inputs]
        most = max(part.ndim for part in parts)
        # The axes of numbers are aligned at their ends, before that of the images.
        parts = [part.reshape((1,) * (most - part.ndim) + part.shape) for part in parts]
        total = parts[0]
        for part in parts[1:]:
            if np.broadcast(total, part).size > _MOST_NUMBERS:
                raise Beyond("it would make too many numbers")
            total = operation(total, part)
        return total

    return run


def _unary(operation: Callable[[np.ndarray], np.ndarray]) -> Callable:
    return lambda inputs, attributes: operation(inputs[0].values)


def _concatenated(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    images = max(value.values.shape[-1] for value in inputs)
    if sum(math.prod(_shape_of(value.values)) for value in inputs) * images > _MOST_NUMBERS:
        raise Beyond("it would make too many numbers")
    axis = _axis(int(attributes.get("axis", 0)), inputs[0].values.ndim)
    parts = [np.broadcast_to(value.values, (*_shape_of(value.values), images)) for value in inputs]
    return np.concatenate(parts, axis)


def _gathered(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values = inputs[0].values
    places = _fixed(inputs[1]).astype(np.int64)
    axis = _axis(int(attributes.get("axis", 0)), values.ndim)
    if places.size > _MOST_MADE or places.size * values.size > _MOST_NUMBERS * values.shape[axis]:
        raise Beyond("it takes too many places")
    return np.take(values, places, axis)


def _sliced(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values = inputs[0].values
    if len(inputs) > 1:
        starts, ends = _whole(inputs[1]), _whole(inputs[2])
        axes = _whole(inputs[3]) if len(inputs) > 3 else list(range(len(starts)))
        steps = _whole(inputs[4]) if len(inputs) > 4 else [1] * len(starts)
    else:
        starts, ends = list(attributes["starts"]), list(attributes["ends"])
        axes, steps = list(attributes.get("axes", range(len(starts)))), [1] * len(starts)
    cut = [slice(None)] * values.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps):
        if not step:
            raise Beyond("its step is zero")
        stop = None if step < 0 and end < -(1 << 31) else end
        cut[_axis(axis, values.ndim)] = slice(start, stop, step)
    return values[tuple(cut)]


def _unsqueezed(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values, axes = inputs[0].values, _axes(inputs, attributes) or [0]
    rank = values.ndim - 1 + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        values = np.expand_dims(values, axis)
    return values


def _squeezed(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values, axes = inputs[0].values, _axes(inputs, attributes)
    if axes is None:
        axes = [axis for axis, size in enumerate(_shape_of(values)) if size == 1]
    return np.squeeze(values, tuple(_axis(axis, values.ndim) for axis in axes))


def _reshaped(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values, sizes = inputs[0].values, _whole(inputs[1])
    sizes = [values.shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return values.reshape((*sizes, values.shape[-1]))


def _transposed(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values = inputs[0].values
    order = list(attributes.get("perm", range(values.ndim - 1)[::-1]))
    return values.transpose([*order, values.ndim - 1])


_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float64}


def _cast(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    wanted = _TYPES.get(int(attributes.get("to", 0)))
    if wanted is None:
        raise Beyond("it casts to a type that is not read")
    return inputs[0].values.astype(wanted)


def _filled(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    sizes = _whole(inputs[0])
    if any(size < 0 for size in sizes) or np.prod([float(size) for size in sizes]) > _MOST_MADE:
        raise Beyond("it would make too many numbers")
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.full((*sizes, 1), np.asarray(value).ravel()[0])


def _counted(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    start, stop, step = (_fixed(value).ravel()[0] for value in inputs)
    if not step or not 0 <= (stop - start) / step <= _MOST_MADE:
        raise Beyond("it would make too many numbers")
    return np.arange(start, stop, step)[:, None]


def _product(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values, axes = inputs[0].values, _axes(inputs, attributes)
    chosen = tuple(range(values.ndim - 1)) if axes is None else tuple(_axis(a, values.ndim) for a in axes)
    return np.prod(values, axis=chosen, keepdims=bool(attributes.get("keepdims", 1)))


def _chosen(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    return _binary(lambda a, b: np.where(a, b, 0))([inputs[0], inputs[1]], {}) + _binary(
        lambda a, b: np.where(a, 0, b)
    )([inputs[0], inputs[2]], {})


def _expanded(inputs: list[Known], attributes: Mapping[str, Any]) -> np.ndarray:
    values, sizes = inputs[0].values, _whole(inputs[1])
    shape = np.broadcast_shapes(_shape_of(values), tuple(sizes))
    if np.prod([float(size) for size in shape]) > _MOST_MADE:
        raise Beyond("it would make too many numbers")
    return np.broadcast_to(
        values.reshape((1,) * (len(shape) + 1 - values.ndim) + values.shape), (*shape, values.shape[-1])
    )


OPERATORS: dict[str, Callable[[list[Known], Mapping[str, Any]], np.ndarray]] = {
    "Add": _binary(np.add),
    "Sub": _binary(np.subtract),
    "Mul": _binary(np.multiply),
    "Div": _binary(_divide),
    "Mod": _binary(lambda a, b: np.mod(a, np.where(b == 0, 1, b))),
    "Min": _binary(np.minimum),
    "Max": _binary(np.maximum),
    "Equal": _binary(np.equal),
    "Where": _chosen,
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Sqrt": _unary(lambda values: np.sqrt(np.maximum(values, 0))),
    "Identity": _unary(lambda values: values),
    "Cast": _cast,
    "Shape": lambda inputs, attributes: np.array(_shape_of(inputs[0].values), np.int64)[:, None],
    "Expand": _expanded,
    "Concat": _concatenated,
    "Gather": _gathered,
    "Slice": _sliced,
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "Transpose": _transposed,
    "ConstantOfShape": _filled,
    "Range": _counted,
    "ReduceProd": _product,
}


def computed(operator: str, inputs: list[Known], attributes: Mapping[str, Any]) -> Known:
    """Return what an operator makes of known numbers.

    Raises
    ------
    Beyond
        If it cannot be carried out.
    """
    try:
        with np.errstate(all="ignore"):
            result = OPERATORS[operator](inputs, attributes)
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError) as error:
        if isinstance(error, Beyond):
            raise
        raise Beyond("its inputs do not fit each other") from None
    if result.size > _MOST_NUMBERS:
        raise Beyond("it would make too many numbers")
    return Known(result)
