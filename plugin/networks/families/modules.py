"""The tensors of a state dict put together as layers: convolutions, batch norms, dense layers, by names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ground.errors import ModelError
from ..files import listed, shown

if TYPE_CHECKING:
    from torch import Tensor

CONVOLUTION, TRANSPOSED, NORM = "convolution", "transposed convolution", "batch norm"
_NORM_PARTS = frozenset(("weight", "bias", "running_mean", "running_var"))
_MOST_KERNEL = 31


@dataclass(frozen=True)
class Layer:
    """A layer with weights.

    Parameters
    ----------
    name : str
        Of the module, as in the file.
    kind : str
        ``convolution``, ``transposed convolution`` or ``batch norm``; a dense layer counts as a convolution of 1 x 1.
    tensors : mapping of str to torch.Tensor
        ``weight``, ``bias``, ``running_mean`` and ``running_var``, as far as there are.
    """

    name: str
    kind: str
    tensors: Mapping[str, Tensor]

    @property
    def inputs(self) -> int:
        """Channels that go in."""
        weight = self.tensors["weight"]
        return int(weight.shape[0 if self.kind != CONVOLUTION else 1])

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        weight = self.tensors["weight"]
        return int(weight.shape[1 if self.kind == TRANSPOSED else 0])

    @property
    def kernel(self) -> int:
        """Side of the kernel; 0 for a batch norm."""
        return 0 if self.kind == NORM else int(self.tensors["weight"].shape[-1])

    @property
    def pointwise(self) -> bool:
        """Whether it is a convolution of 1 x 1."""
        return self.kind == CONVOLUTION and self.kernel == 1

    def described(self) -> str:
        """Return name and size for a sentence."""
        size = (
            f"{self.inputs} to {self.outputs} channels" if self.kind != NORM else f"{self.outputs} channels"
        )
        return f"{shown(self.name)} ({self.kind}, {size})"


def layers_of(tensors: Mapping[str, Tensor]) -> list[Layer]:
    """Return the layers of a state dict in its order.

    Raises
    ------
    ModelError
        Naming the first tensor that is no part of a known layer, or that is missing or of another shape.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    return [_layer(name, parts) for name, parts in modules.items()]


def _layer(name: str, parts: dict[str, Tensor]) -> Layer:
    unknown = sorted(set(parts) - _NORM_PARTS)
    if unknown:
        raise ModelError(
            f"The tensor {shown(f'{name}.{unknown[0]}'.lstrip('.'))} belongs to no layer of this family, which has "
            "weight, bias and the statistics of batch norm. Export other networks as ONNX."
        )
    if "weight" not in parts:
        raise ModelError(f"The tensor {shown(f'{name}.weight')} is missing: there is only {listed(parts)}.")
    weight = parts["weight"]
    if "running_mean" in parts or "running_var" in parts:
        for part in sorted(_NORM_PARTS):
            if part not in parts:
                raise ModelError(f"The tensor {shown(f'{name}.{part}')} of a batch norm is missing.")
            _check_shape(f"{name}.{part}", parts[part], (len(weight.flatten()),))
        if float(parts["running_var"].min()) < 0:
            raise ModelError(
                f"The variance {shown(f'{name}.running_var')} of a batch norm is negative. Damaged file?"
            )
        return Layer(name, NORM, parts)
    if weight.ndim == 2:
        parts = {**parts, "weight": weight[:, :, None, None]}
    elif weight.ndim != 4 or weight.shape[2] != weight.shape[3] or weight.shape[2] > _MOST_KERNEL:
        raise ModelError(
            f"The tensor {shown(f'{name}.weight')} has the shape {tuple(weight.shape)}, which is no square kernel of a "
            "convolution. Export other networks as ONNX."
        )
    if min(parts["weight"].shape) < 1:
        raise ModelError(f"The tensor {shown(f'{name}.weight')} is empty: {tuple(weight.shape)}.")
    # Kernels that double the grid have a side of 2; those of the other convolutions are odd.
    layer = Layer(name, TRANSPOSED if parts["weight"].shape[-1] == 2 else CONVOLUTION, parts)
    if "bias" in parts:
        _check_shape(f"{name}.bias", parts["bias"], (layer.outputs,))
    if layer.kind == CONVOLUTION and layer.kernel % 2 == 0:
        raise ModelError(
            f"The kernel {shown(f'{name}.weight')} has an even side of {layer.kernel}; convolutions of this family "
            "have odd ones."
        )
    return layer


def _check_shape(name: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise ModelError(
            f"The tensor {shown(name)} has the shape {tuple(tensor.shape)} instead of {expected}."
        )


def natural(name: str) -> tuple:
    """Return a key that sorts numbers in names by value."""
    parts = re.split(r"(\d+)", name[:300])
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)
