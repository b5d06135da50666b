"""Operators of ONNX on each value by itself: activations, sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .values import Array, Known

if TYPE_CHECKING:
    from .step import Step


def by_value(kind: str, **settings: tuple[str, float]) -> Callable[[Step], Array]:
    """Return what makes a layer of an operator that takes each value by itself; settings: attribute and default."""

    def run(step: Step) -> Array:
        given = {own: float(step.attributes.get(name, default)) for own, (name, default) in settings.items()}
        return Array(step.add(kind, (step.array(0),), given))

    return run


def selu(step: Step) -> Array:
    """Write a SELU."""
    for name, usual in (("alpha", 1.67326), ("gamma", 1.0507)):
        if abs(float(step.attributes.get(name, usual)) - usual) > 1e-4:
            raise step.error(f"its {name} is not that of SELU, for which no layer is known")
    return Array(step.add("selu", (step.array(0),)))


def hard_sigmoid(step: Step) -> Array:
    """Write a hard sigmoid: a straight line, bounded by 0 and 1."""
    slope, shift = float(step.attributes.get("alpha", 0.2)), float(step.attributes.get("beta", 0.5))
    source = step.array(0)
    line = step.writer.scaled(f"{step.hint}_line", source, np.array(slope), np.array(shift))
    name = step.add("hardtanh", (line,), {"low": 0.0, "high": 1.0})
    if abs(slope - 1 / 6) < 1e-6 and shift == 0.5:
        step.writer.gates[name] = ("hardswish", source)
    return Array(name)


def sigmoid(step: Step) -> Array:
    """Write a sigmoid."""
    source = step.array(0)
    name = step.add("sigmoid", (source,))
    step.writer.gates[name] = ("silu", source)
    return Array(name)


def gelu(step: Step) -> Array:
    """Write a GELU."""
    return Array(
        step.add("gelu", (step.array(0),), {"approximate": step.attributes.get("approximate", "none")})
    )


def clip(step: Step) -> Array:
    """Write a bound on either side."""
    low, high = (
        float(step.fixed(at).ravel()[0]) if step.has(at) else float(step.attributes.get(name, default))
        for at, name, default in ((1, "min", -np.inf), (2, "max", np.inf))
    )
    source = step.array(0)
    if (low, high) == (0.0, 6.0):
        return Array(step.add("relu6", (source,)))
    if low == 0.0 and high > 1e30:
        return Array(step.add("relu", (source,)))
    if not (-1e6 <= low < high <= 1e6):
        raise step.error(f"it clips to [{low:g}, {high:g}]")
    return Array(step.add("hardtanh", (source,), {"low": low, "high": high}))


def p_relu(step: Step) -> Array:
    """Write a leaky ReLU of one slope."""
    slopes = step.fixed(1).ravel()
    if not slopes.size or (slopes != slopes[0]).any():
        raise step.error("its slope differs from channel to channel, for which no layer is known")
    return Array(step.add("leaky_relu", (step.array(0),), {"slope": float(slopes[0])}))


def add(step: Step) -> Array:
    """Write a sum of arrays and constants."""
    arrays, shift = step.arrays_and_rest(np.add)
    if not arrays:
        raise step.error("it adds no arrays")
    name = arrays[0] if len(arrays) == 1 else step.add("add", arrays)
    return Array(name if shift is None else step.scaled(name, None, shift))


def subtract(step: Step) -> Array:
    """Write a difference of arrays and constants."""
    first, second = step.values[0], step.values[1]
    if isinstance(first, Array) and isinstance(second, Array):
        return Array(step.add("add", (step.array(0), step.scaled(step.array(1), np.array(-1.0), None))))
    if isinstance(first, Array):
        return Array(step.scaled(step.array(0), None, -step.by_channel(1)))
    return Array(step.scaled(step.array(1), np.array(-1.0), step.by_channel(0)))


def multiply(step: Step) -> Array:
    """Write a product of arrays and constants; that of an array and its own sigmoid is a SiLU."""
    arrays, scale = step.arrays_and_rest(np.multiply)
    if not arrays:
        raise step.error("it multiplies no arrays")
    if len(arrays) == 2 and scale is None:
        for gated, gate in (arrays, arrays[::-1]):  # x · sigmoid(x) is one function of x
            kind, source = step.writer.gates.get(gate, ("", ""))
            if source == gated:
                return Array(step.add(kind, (gated,)))
        return Array(step.add("multiply", arrays))
    return Array(step.scaled(arrays[0], scale, None))


def divide(step: Step) -> Array:
    """Write a division by a constant."""
    if not isinstance(step.values[1], Known):
        raise step.error("it divides by an array, for which no layer is known")
    return Array(step.scaled(step.array(0), 1 / step.by_channel(1), None))


def dropout(step: Step) -> Array:
    """Write a dropout, which does nothing in evaluation."""
    share = float(step.fixed(1).ravel()[0]) if step.has(1) else float(step.attributes.get("ratio", 0.5))
    if step.has(2) and step.fixed(2).any():
        raise step.error("it drops units in training; export the network for inference")
    return Array(step.add("dropout", (step.array(0),), {"share": min(max(share, 0.0), 1.0)}))


def unchanged(step: Step) -> Array:
    """Return the array as it is."""
    value = step.values[0]
    if not isinstance(value, Array):
        raise AssertionError("not isinstance(value, Array)")
    if step.node.operator == "Cast" and int(step.attributes.get("to", 1)) not in (1, 10, 11, 16):
        raise step.error("it makes whole numbers of an array")
    return value
