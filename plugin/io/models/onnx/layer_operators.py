"""Operators of ONNX that read windows of places, or scale channels: convolutions, norms and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .values import Array

if TYPE_CHECKING:
    from .step import Step


def _pair(values: Any, default: int) -> list[int]:
    found = [int(value) for value in (values or [default, default])]
    return found * 2 if len(found) == 1 else found


def _two_axes(step: Step, *names: str) -> None:
    for name in names:
        given = step.attributes.get(name)
        if given is not None and len(given) != (4 if name == "pads" else 2):
            raise step.error("it is not of two axes, rows and columns")


def _pads(step: Step, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """Return left, right, above and below of a window."""
    auto = step.attributes.get("auto_pad", "NOTSET") or "NOTSET"
    if auto in ("NOTSET", "VALID"):
        above, left, below, right = (
            [int(p) for p in step.attributes.get("pads") or [0] * 4] if auto == "NOTSET" else [0] * 4
        )
        return [left, right, above, below]
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise step.error(f"its auto_pad {auto} is not known")
    sides = []
    for k, s, d in zip(kernel, strides, dilations):
        if s > 1:
            step.needs_multiple()
        total = max(d * (k - 1) + 1 - s, 0)
        less, more = total // 2, total - total // 2
        sides.append([less, more] if auto == "SAME_UPPER" else [more, less])
    return [*sides[1], *sides[0]]


def _even_pads(pads: list[int]) -> list[int] | None:
    """Return rows and columns that are padded on both sides alike, None where they are not."""
    left, right, above, below = pads
    return [above, left] if left == right and above == below else None


def _padded(step: Step, source: str, pads: list[int], value: float = 0.0) -> str:
    if min(pads) < 0:
        raise step.error("its padding is negative")
    return step.add("pad", (source,), {"sides": pads, "value": value}, suffix="_pad") if any(pads) else source


def convolution(step: Step) -> Array:
    """Write a convolution; what it pads on one side more than on the other is padded before it."""
    source, weights = step.array(0), step.fixed(1)
    if weights.ndim != 4:
        raise step.error("it is not of two axes, rows and columns")
    _two_axes(step, "strides", "dilations", "pads", "kernel_shape")
    kernel, strides = list(weights.shape[2:]), _pair(step.attributes.get("strides"), 1)
    dilations = _pair(step.attributes.get("dilations"), 1)
    pads = _pads(step, kernel, strides, dilations)
    even, groups = _even_pads(pads), int(step.attributes.get("group", 1))
    source = source if even is not None else _padded(step, source, pads)
    bias = step.fixed(2) if step.has(2) else None
    if not weights.size or groups < 1 or weights.shape[1] * groups != step.channels(source):
        raise step.error(
            f"its weights {weights.shape} do not fit {step.channels(source)} channels in {groups} groups"
        )
    settings = {
        "channels": int(weights.shape[0]), "kernel": kernel, "stride": strides, "dilation": dilations,
        "padding": even or [0, 0], "groups": groups, "bias": bias is not None,
    }  # fmt: skip
    return Array(
        step.add("conv", (source,), settings, {"weight": weights, **_bias(step, bias, int(weights.shape[0]))})
    )


def _bias(step: Step, bias: np.ndarray | None, channels: int) -> dict[str, np.ndarray]:
    if bias is None:
        return {}
    if bias.size != channels:
        raise step.error(f"its bias has {bias.size} numbers for {channels} channels")
    return {"bias": bias.reshape(channels)}


def transposed_convolution(step: Step) -> Array:
    """Write a transposed convolution; what it cuts on one side more than on the other is cut behind it."""
    source, weights = step.array(0), step.fixed(1)
    if weights.ndim != 4 or "output_shape" in step.attributes:
        raise step.error("it is not of two axes, or its output has a size of its own")
    _two_axes(step, "strides", "dilations", "pads", "output_padding")
    if step.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID", ""):
        raise step.error("its auto_pad is not known")
    kernel, strides = list(weights.shape[2:]), _pair(step.attributes.get("strides"), 1)
    dilations, beyond = (
        _pair(step.attributes.get("dilations"), 1),
        _pair(step.attributes.get("output_padding"), 0),
    )
    pads, groups = _pads(step, kernel, strides, dilations), int(step.attributes.get("group", 1))
    bias = step.fixed(2) if step.has(2) else None
    if not weights.size or groups < 1 or weights.shape[0] != step.channels(source):
        raise step.error(f"its weights {weights.shape} do not fit {step.channels(source)} channels")
    channels, even = int(weights.shape[1]) * groups, _even_pads(pads)
    settings = {
        "channels": channels, "kernel": kernel, "stride": strides, "dilation": dilations, "beyond": beyond,
        "padding": even or [0, 0], "groups": groups, "bias": bias is not None,
    }  # fmt: skip
    name = step.add(
        "conv_transposed", (source,), settings, {"weight": weights, **_bias(step, bias, channels)}
    )
    return Array(name if even is not None else step.add("crop", (name,), {"sides": pads}, suffix="_crop"))


def batch_norm(step: Step) -> Array:
    """Write a batch norm in evaluation."""
    source = step.array(0)
    if step.attributes.get("training_mode") or len([name for name in step.node.outputs if name]) > 1:
        raise step.error("it is a batch norm in training; export the network for inference")
    gain, shift, mean, variance = (step.fixed(at).ravel() for at in range(1, 5))
    if {part.size for part in (gain, shift, mean, variance)} != {step.channels(source)}:
        raise step.error(f"its numbers do not fit {step.channels(source)} channels")
    epsilon = {"epsilon": float(step.attributes.get("epsilon", 1e-5))}
    tensors = {"weight": gain, "bias": shift, "running_mean": mean, "running_var": variance}
    return Array(step.add("batch_norm", (source,), epsilon, tensors))


def instance_norm(step: Step) -> Array:
    """Write an instance norm; of groups of channels, without weights of its own, it is a group norm."""
    value, settings = step.values[0], {"epsilon": float(step.attributes.get("epsilon", 1e-5))}
    gain, shift = step.fixed(1).ravel(), step.fixed(2).ravel()
    if isinstance(value, Array) and value.groups:
        if (gain != 1).any() or shift.any():
            raise step.error("it scales groups of channels, for which no layer is known")
        name = step.add("group_norm", (value.name,), {**settings, "groups": value.groups, "affine": False})
        return Array(name, groups=value.groups)
    if gain.size != step.channels(step.array(0)) or shift.size != gain.size:
        raise step.error(f"its numbers do not fit {step.channels(step.array(0))} channels")
    return Array(step.add("instance_norm", (step.array(0),), settings, {"weight": gain, "bias": shift}))


def group_norm(step: Step) -> Array:
    """Write a group norm, which depends on the whole image."""
    source, groups = step.array(0), int(step.attributes.get("num_groups", 0))
    gain, shift = (step.fixed(at).ravel() for at in (1, 2))
    if gain.size == groups != step.channels(source):  # version 18 has one number a group
        gain, shift = (np.repeat(part, step.channels(source) // groups) for part in (gain, shift))
    if gain.size != step.channels(source) or shift.size != gain.size:
        raise step.error(f"its numbers do not fit {step.channels(source)} channels")
    settings = {"groups": groups, "epsilon": float(step.attributes.get("epsilon", 1e-5))}
    return Array(step.add("group_norm", (source,), settings, {"weight": gain, "bias": shift}))


def max_pool(step: Step) -> Array:
    """Write a max pool."""
    _two_axes(step, "kernel_shape", "strides", "dilations", "pads")
    if len([name for name in step.node.outputs if name]) > 1:
        raise step.error("its places are an output, too")
    kernel = [int(k) for k in step.attributes["kernel_shape"]]
    strides, dilations = _pair(step.attributes.get("strides"), 1), _pair(step.attributes.get("dilations"), 1)
    even = _even_pads(_pads(step, kernel, strides, dilations))
    if even is None:
        raise step.error("it pads one side more than the other, for which no layer is known")
    settings = {
        "kernel": kernel, "stride": strides, "padding": even, "dilation": dilations,
        "ceil": bool(step.attributes.get("ceil_mode", 0)),
    }  # fmt: skip
    return Array(step.add("max_pool", (step.array(0),), settings))


def average_pool(step: Step) -> Array:
    """Write an average pool."""
    _two_axes(step, "kernel_shape", "strides", "dilations", "pads")
    kernel = [int(k) for k in step.attributes["kernel_shape"]]
    strides = _pair(step.attributes.get("strides"), 1)
    if _pair(step.attributes.get("dilations"), 1) != [1, 1]:
        raise step.error("it is a dilated mean, for which no layer is known")
    pads, source = _pads(step, kernel, strides, [1, 1]), step.array(0)
    counts = bool(step.attributes.get("count_include_pad", 0))
    even = _even_pads(pads)
    same = [(kernel[0] - 1) // 2, kernel[0] // 2] * 2
    if kernel[0] == kernel[1] and strides == [1, 1] and pads == same and not counts:
        return Array(step.add("same_pool", (source,), {"size": kernel[0]}))
    if even is None and not counts:
        raise step.error("it pads one side more than the other, for which no layer is known")
    source = source if even is not None else _padded(step, source, pads)
    settings = {
        "kernel": kernel, "stride": strides, "padding": even or [0, 0], "count_padding": counts,
        "ceil": bool(step.attributes.get("ceil_mode", 0)),
    }  # fmt: skip
    return Array(step.add("average_pool", (source,), settings))


def global_average(step: Step) -> Array:
    """Write the mean of the whole image."""
    if step.node.operator == "ReduceMean":
        axes = step.fixed(1).ravel().tolist() if step.has(1) else step.attributes.get("axes", [])
        if sorted(axis % 4 for axis in axes) != [2, 3] or not step.attributes.get("keepdims", 1):
            raise step.error("it is a mean over other axes than rows and columns, or drops them")
    return Array(step.add("global_average", (step.array(0),)))
