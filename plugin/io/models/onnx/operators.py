"""The operators of ONNX that are layers, and what turns each into one.

Settings and defaults are those of the operators' specification (onnx.ai, domain ``ai.onnx``). An operator writes nodes
by the step's writer and returns its value; what cannot be the same for any image is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from . import layer_operators as layers
from . import size_operators as sizes
from . import value_operators as values
from .values import Array

if TYPE_CHECKING:
    from .step import Step

OPERATORS: Mapping[str, Callable[[Step], Array]] = {
    "Conv": layers.convolution,
    "ConvTranspose": layers.transposed_convolution,
    "BatchNormalization": layers.batch_norm,
    "InstanceNormalization": layers.instance_norm,
    "GroupNormalization": layers.group_norm,
    "Relu": values.by_value("relu"),
    "LeakyRelu": values.by_value("leaky_relu", slope=("alpha", 0.01)),
    "PRelu": values.p_relu,
    "Sigmoid": values.sigmoid,
    "HardSigmoid": values.hard_sigmoid,
    "HardSwish": values.by_value("hardswish"),
    "Tanh": values.by_value("tanh"),
    "Elu": values.by_value("elu", alpha=("alpha", 1.0)),
    "Selu": values.selu,
    "Softplus": values.by_value("softplus"),
    "Mish": values.by_value("mish"),
    "Gelu": values.gelu,
    "Clip": values.clip,
    "MaxPool": layers.max_pool,
    "AveragePool": layers.average_pool,
    "GlobalAveragePool": layers.global_average,
    "ReduceMean": layers.global_average,
    "Resize": sizes.resize,
    "Upsample": sizes.resize,
    "Pad": sizes.pad,
    "Slice": sizes.slice_,
    "Concat": sizes.concatenate,
    "Add": values.add,
    "Sum": values.add,
    "Sub": values.subtract,
    "Mul": values.multiply,
    "Div": values.divide,
    "Dropout": values.dropout,
    "Identity": values.unchanged,
    "Cast": values.unchanged,
    "Transpose": sizes.transpose,
    "DepthToSpace": sizes.depth_to_space,
}
