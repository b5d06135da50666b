"""ONNX files give the networks that they hold: beside the same operators in torch, by operator and by network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.io.models.onnx import operators
from floelens.plugin.io.models.onnx.convert import OnnxNetwork, converted
from floelens.plugin.io.models.onnx.model import parse_model
from floelens.plugin.networks.graph.modules import build
from floelens.tests.plugin.io.models.onnx.onnx_bytes import model, node
from torch import nn
from torch.nn import functional

DRAW = np.random.default_rng(5)


def draw(*shape: int) -> np.ndarray:
    return DRAW.normal(size=shape).astype(np.float32)


def wide(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values)).double()


def module_of(network: OnnxNetwork) -> nn.Module:
    """Return the network in float64."""
    module = build(network.spec)
    missing, unknown = module.load_state_dict(
        {name: torch.from_numpy(value.copy()) for name, value in network.weights.items()}, strict=False
    )
    assert not unknown
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return module.double().eval()


def read(content: bytes, **options) -> OnnxNetwork:
    return converted(parse_model(content), **options)


def image(rows: int = 45, cols: int = 38, channels: int = 2) -> torch.Tensor:
    return torch.randn(
        1, channels, rows, cols, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )


W3, W1, B3, W_T, W_D = draw(3, 2, 3, 3), draw(3, 2, 1, 1), draw(3), draw(2, 3, 3, 3), draw(4, 1, 3, 3)
GAIN, SHIFT, MEAN, VARIANCE = draw(2), draw(2), draw(2), np.abs(draw(2)) + 0.5


def mean_of_inside(values: torch.Tensor) -> torch.Tensor:
    """Return means over 4 x 4 pixels of which those beyond the image do not count."""
    sums, counts = (
        functional.avg_pool2d(functional.pad(each, (1, 2, 1, 2)), 4, 1)
        for each in (values, torch.ones_like(values))
    )
    return sums / counts


def one(operator: str, *inputs: str, **attributes: object) -> list[bytes]:
    return [node(operator, ["image", *inputs], "out", **attributes)]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# Operator by operator: nodes, constants, and the same in torch.
SINGLE = {
    "Conv": (
        one("Conv", "w", "b", pads=[1, 1, 1, 1]),
        {"w": W3, "b": B3},
        lambda x: functional.conv2d(x, wide(W3), wide(B3), padding=1),
    ),
    "Conv uneven": (
        one("Conv", "w", pads=[1, 0, 1, 2]),
        {"w": W3},
        lambda x: functional.conv2d(functional.pad(x, (0, 2, 1, 1)), wide(W3)),
    ),
    "Conv same": (
        one("Conv", "w", auto_pad="SAME_UPPER", dilations=[2, 2]),
        {"w": W3},
        lambda x: functional.conv2d(x, wide(W3), padding=2, dilation=2),
    ),
    "Conv depthwise": (
        [
            node("Concat", ["image", "image"], "two", axis=1),
            node("Conv", ["two", "w"], "out", group=4, pads=[1] * 4),
        ],
        {"w": W_D},
        lambda x: functional.conv2d(torch.cat([x, x], 1), wide(W_D), padding=1, groups=4),
    ),
    "ConvTranspose": (
        one("ConvTranspose", "w", "b", pads=[1, 1, 1, 1]),
        {"w": W_T, "b": B3},
        lambda x: functional.conv_transpose2d(x, wide(W_T), wide(B3), padding=1),
    ),
    "ConvTranspose uneven": (
        one("ConvTranspose", "w", pads=[0, 1, 2, 1]),
        {"w": W_T},
        lambda x: functional.conv_transpose2d(x, wide(W_T))[:, :, :-2, 1:-1],
    ),
    "BatchNormalization": (
        one("BatchNormalization", "g", "s", "m", "v", epsilon=0.01),
        {"g": GAIN, "s": SHIFT, "m": MEAN, "v": VARIANCE},
        lambda x: functional.batch_norm(
            x, wide(MEAN), wide(VARIANCE), wide(GAIN), wide(SHIFT), eps=float(np.float32(0.01))
        ),
    ),
    "InstanceNormalization": (
        one("InstanceNormalization", "g", "s"),
        {"g": GAIN, "s": SHIFT},
        lambda x: functional.instance_norm(
            x, weight=wide(GAIN), bias=wide(SHIFT), eps=float(np.float32(1e-5))
        ),
    ),
    "GroupNormalization": (
        one("GroupNormalization", "g", "s", num_groups=2),
        {"g": GAIN, "s": SHIFT},
        lambda x: functional.group_norm(x, 2, wide(GAIN), wide(SHIFT), eps=float(np.float32(1e-5))),
    ),
    "Relu": (one("Relu"), {}, torch.relu),
    "LeakyRelu": (one("LeakyRelu", alpha=0.25), {}, lambda x: functional.leaky_relu(x, 0.25)),
    "PRelu": (
        one("PRelu", "a"),
        {"a": np.full((2, 1, 1), 0.25, np.float32)},
        lambda x: functional.leaky_relu(x, 0.25),
    ),
    "Sigmoid": ([node("Sigmoid", ["image"], "s"), node("Relu", ["s"], "out")], {}, torch.sigmoid),
    "HardSigmoid": (one("HardSigmoid"), {}, lambda x: (0.2 * x + 0.5).clamp(0, 1)),
    "HardSwish": (one("HardSwish"), {}, functional.hardswish),
    "Tanh": (one("Tanh"), {}, torch.tanh),
    "Elu": (one("Elu", alpha=0.5), {}, lambda x: functional.elu(x, 0.5)),
    "Selu": (one("Selu"), {}, functional.selu),
    "Softplus": (one("Softplus"), {}, functional.softplus),
    "Mish": (one("Mish"), {}, functional.mish),
    "Gelu": (one("Gelu", approximate="tanh"), {}, lambda x: functional.gelu(x, approximate="tanh")),
    "Clip": (
        one("Clip", "low", "high"),
        {"low": np.float32(-0.5), "high": np.float32(0.75)},
        lambda x: x.clamp(-0.5, 0.75),
    ),
    "MaxPool": (
        one("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
        {},
        lambda x: functional.max_pool2d(x, 3, 1, 1),
    ),
    "AveragePool": (
        one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        {},
        lambda x: functional.avg_pool2d(x, 3, 1, 1),
    ),
    "AveragePool same": (one("AveragePool", kernel_shape=[4, 4], auto_pad="SAME_UPPER"), {}, mean_of_inside),
    "GlobalAveragePool": (
        [node("GlobalAveragePool", ["image"], "mean"), node("Add", ["image", "mean"], "out")],
        {},
        lambda x: x + x.mean((2, 3), keepdim=True),
    ),
    "ReduceMean": (
        [node("ReduceMean", ["image"], "mean", axes=[-1, -2]), node("Mul", ["image", "mean"], "out")],
        {},
        lambda x: x * x.mean((2, 3), keepdim=True),
    ),
    "Resize": (
        [
            node("Conv", ["image", "w"], "half", strides=[2, 2]),
            node(
                "Resize",
                ["half", "", "by"],
                "out",
                mode="linear",
                coordinate_transformation_mode="pytorch_half_pixel",
            ),
        ],
        {"by": np.array([1, 1, 2, 2], np.float32), "w": draw(2, 2, 2, 2)},
        None,
    ),
    "Upsample": (
        [node("Conv", ["image", "w"], "half", strides=[2, 2]), node("Upsample", ["half", "by"], "out")],
        {"by": np.array([1, 1, 2, 2], np.float32), "w": draw(2, 2, 2, 2)},
        None,
    ),
    "Pad": (
        [node("Pad", ["image", "pads"], "edge", mode="reflect"), node("Conv", ["edge", "w"], "out")],
        {"pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "w": W3},
        lambda x: functional.conv2d(functional.pad(x, (1, 1, 1, 1), "reflect"), wide(W3)),
    ),
    "Slice": (
        [node("Pad", ["image", "pads"], "edge"), node("Slice", ["edge", "from", "to", "axes"], "out")],
        {
            "pads": ints(0, 0, 2, 1, 0, 0, 1, 3),
            "from": ints(2, 1, 1),
            "to": ints(-1, -3, 2),
            "axes": ints(2, 3, 1),
        },
        lambda x: x[:, 1:],
    ),
    "Concat": ([node("Concat", ["image", "image"], "out", axis=-3)], {}, lambda x: torch.cat([x, x], 1)),
    "Add": (one("Add", "c"), {"c": SHIFT[None, :, None, None]}, lambda x: x + wide(SHIFT)[:, None, None]),
    "Sum": ([node("Sum", ["image", "image", "image"], "out")], {}, lambda x: 3 * x),
    "Sub": (
        [node("Sub", ["c", "image"], "less"), node("Sub", ["less", "image"], "out")],
        {"c": np.float32(1.5)},
        lambda x: 1.5 - 2 * x,
    ),
    "Mul": (
        [
            node("Sigmoid", ["image"], "s"),
            node("Mul", ["s", "image"], "silu"),
            node("Mul", ["silu", "c"], "out"),
        ],
        {"c": GAIN.reshape(2, 1, 1)},
        lambda x: functional.silu(x) * wide(GAIN)[:, None, None],
    ),
    "Div": (
        one("Div", "c"),
        {"c": VARIANCE.reshape(1, 2, 1, 1)},
        lambda x: x / wide(VARIANCE)[:, None, None],
    ),
    "Dropout": (one("Dropout"), {}, lambda x: x),
    "Identity": ([node("Identity", ["image"], "same"), node("Tanh", ["same"], "out")], {}, torch.tanh),
    "Cast": ([node("Cast", ["image"], "same", to=1), node("Tanh", ["same"], "out")], {}, torch.tanh),
    "Transpose": (
        [
            node("Tanh", ["image"], "t"),
            node("Transpose", ["t"], "last", perm=[0, 2, 3, 1]),
            node("Transpose", ["last"], "out", perm=[0, 3, 1, 2]),
        ],
        {},
        torch.tanh,
    ),
    "DepthToSpace": (
        [
            node("Conv", ["image", "w"], "four", strides=[2, 2]),
            node("DepthToSpace", ["four"], "out", blocksize=2),
        ],
        {"w": draw(8, 2, 2, 2)},
        None,
    ),
}


@pytest.mark.parametrize("case", SINGLE)
def test_an_operator_is_that_of_torch(case):
    nodes, constants, expected = SINGLE[case]
    if expected is None:  # behind a convolution of stride 2
        weights = wide(constants["w"])

        def expected(x):
            four = functional.conv2d(x, weights, stride=2)
            if case != "DepthToSpace":
                return functional.interpolate(
                    four, scale_factor=2, mode="nearest" if case == "Upsample" else "bilinear"
                )
            blocks = four.view(1, 2, 2, 2, *four.shape[2:])  # block row, block column, channel
            return blocks.permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 2 * four.shape[2], 2 * four.shape[3])

    opset = 9 if case == "Upsample" else 13 if case == "ReduceMean" else 21
    network = read(model(nodes, constants, opset=opset))
    values = image(44, 38)
    with torch.no_grad():
        found = module_of(network)(values, None)
        wanted = expected(values)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() < 1e-6 * wanted.abs().max()


def test_every_operator_has_a_case():
    assert set(operators.OPERATORS) == {case.split()[0] for case in SINGLE}
