"""How far a layer looks: which places of its input one place of its output reads.

Input place i covers the interval [i, i + 1), and output place o of a layer that leaves every `step`-th place covers
[o · step, (o + 1) · step). The reach on either side is the largest gap between the two intervals. Gaps add up along
a chain of layers, measured in one unit, and so bound the reach of the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Union

from torch import nn

from ...networks.layers import BilinearUpsample, FitTo, NearestUpsample, SamePool2d

Number = Union[int, Fraction]


@dataclass(frozen=True)
class Reach:
    """What one place of a layer's output reads, in places of its input; the larger of both axes.

    Parameters
    ----------
    before, after : int or Fraction
        The gap to what is read before and after the place itself. A negative gap is a shift: what pads an array in
        front reads so much less behind.
    step : int or Fraction
        Input places along one output place: the stride, or one over the factor of an upsampling.
    """

    before: Number
    after: Number
    step: Number = 1


def none(layer: nn.Module) -> Reach:
    """Return the reach of a layer that looks at each place by itself."""
    return Reach(0, 0)


def of_window(layer: nn.Module) -> Reach:
    """Return the reach of a convolution or a pool: by its kernel, stride, padding and dilation."""
    kernel, dilation = _pair(layer.kernel_size), _pair(getattr(layer, "dilation", 1))
    stride = _pair(layer.stride)
    spans = [d * (k - 1) for d, k in zip(dilation, kernel)]
    if layer.padding == "same":
        paddings = [(span // 2, span - span // 2) for span in spans]
    else:
        paddings = [(p, p) for p in _pair(0 if layer.padding == "valid" else layer.padding)]
    before = max(s - 1 + low for s, (low, _) in zip(stride, paddings))
    after = max(span - low for span, (low, _) in zip(spans, paddings))
    if getattr(layer, "padding_mode", "zeros") == "reflect":  # at the borders it looks the other way, too
        before = max(before, *(s - 1 + high for s, (_, high) in zip(stride, paddings)))
        after = max(after, *(low for low, _ in paddings))
    return Reach(before, after, max(stride))


def of_transposed(layer: nn.ConvTranspose2d) -> Reach:
    """Return the reach of a transposed convolution."""
    axes = list(zip(_pair(layer.kernel_size), _pair(layer.dilation), layer.stride, _pair(layer.padding)))
    step = Fraction(1, min(layer.stride))
    before = max(Fraction(d * (k - 1) - p - (s - 1), s) for k, d, s, p in axes)
    return Reach(before, max(Fraction(p, s) for _, _, s, p in axes), step)


def of_same_pool(layer: SamePool2d) -> Reach:
    """Return the reach of a mean over a square around each place."""
    return Reach(layer.before, layer.after)


def of_cells(layer: NearestUpsample | BilinearUpsample) -> Reach:
    """Return the reach of an upsampling of cells: those beside its own within half a cell, if any."""
    half = Fraction(layer.ratio // 2, layer.ratio) if isinstance(layer, BilinearUpsample) else Fraction(0)
    return Reach(half, half, Fraction(1, layer.ratio))


def of_fit(layer: FitTo) -> Reach | None:
    """Return the reach of an array that is fitted to another: its own place, unless borders repeat."""
    return none(layer) if layer.mode == "zeros" else None


def of_upsample(layer: nn.Upsample) -> Reach | None:
    """Return the reach of torch's upsampling by a whole factor, None where it depends on the size of the array."""
    factors = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,)
    whole = all(factor is not None and factor >= 1 and float(factor).is_integer() for factor in factors)
    smooth = layer.mode == "bilinear"
    if not whole or layer.align_corners or not (smooth or layer.mode == "nearest"):
        return None
    half = max(Fraction(int(factor) // 2, int(factor)) for factor in factors) if smooth else Fraction(0)
    return Reach(half, half, Fraction(1, int(min(factors))))


def of_shuffle(layer: nn.PixelShuffle) -> Reach:
    """Return the reach of channels that become pixels: each reads its own place."""
    return Reach(0, 0, Fraction(1, layer.upscale_factor))


def of_constant_padding(layer: nn.ConstantPad2d) -> Reach:
    """Return the reach of padding by a constant: a shift."""
    left, _, above, _ = layer.padding
    return Reach(max(left, above), max(-left, -above))


def of_reflection(layer: nn.ReflectionPad2d) -> Reach:
    """Return the reach of padding by reflection, which at the borders looks the other way."""
    left, right, above, below = layer.padding
    return Reach(max(left + 2 * right, above + 2 * below), max(left, above))


def of_replication(layer: nn.ReplicationPad2d) -> Reach:
    """Return the reach of padding by the outermost pixels."""
    left, right, above, below = layer.padding
    return Reach(max(left + right, above + below), 0)


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value[0], value[1]) if isinstance(value, tuple) else (value, value)
