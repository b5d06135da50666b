"""Whole networks in ONNX files: as exporters write them, beside the modules that they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.io.models.onnx.convert import read_onnx
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.inner_layers import output_convolution
from floelens.tests.plugin.io.models.onnx.onnx_bytes import model, node
from floelens.tests.plugin.io.models.onnx.test_onnx import draw, image, ints, module_of, read, wide
from torch.nn import functional

WEIGHTS = {
    "w1": draw(4, 2, 3, 3), "b1": draw(4), "w2": draw(4, 4, 3, 3), "w3": draw(4, 8, 3, 3), "w4": draw(3, 4, 1, 1),
    "w5": draw(1, 4, 1, 1), "two": ints(2), "three": ints(3), "four": ints(4), "zero": ints(0), "half": np.int64(2),
    "at2": np.int64(2), "at3": np.int64(3), "by": np.array([1, 1, 2, 2], np.float32),
}  # fmt: skip
CONV = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
BODY = [
    node("Conv", ["image", "w1", "b1"], "c1", **CONV),
    node("Relu", ["c1"], "skip"),
    node("MaxPool", ["skip"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
    node("Conv", ["pool", "w2"], "c2", **CONV),
    node("Relu", ["c2"], "low"),
]
ENDS = [
    node("Concat", ["fine", "skip"], "joined", axis=1),
    node("Conv", ["joined", "w3"], "c3", **CONV),
    node("Relu", ["c3"], "last"),
    node("Conv", ["last", "w4"], "classes"),
    node("Softmax", ["classes"], "kind", axis=1),
    node("Conv", ["last", "w5"], "logit"),
    node("Sigmoid", ["logit"], "ice"),
]
SCALED = [
    node(
        "Resize", ["low", "", "by"], "up", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    )
]
# As torch exports padding to the size of the skip: the sizes' differences, halved, and turned into pads.
PADDED = [
    *SCALED,
    *(
        node(operator, inputs, name)
        for name, operator, inputs in (
            ("skip_shape", "Shape", ["skip"]), ("up_shape", "Shape", ["up"]),
            ("rows", "Gather", ["skip_shape", "at2"]), ("own_rows", "Gather", ["up_shape", "at2"]),
            ("cols", "Gather", ["skip_shape", "at3"]), ("own_cols", "Gather", ["up_shape", "at3"]),
            ("more_rows", "Sub", ["rows", "own_rows"]), ("more_cols", "Sub", ["cols", "own_cols"]),
            ("above", "Div", ["more_rows", "half"]), ("left", "Div", ["more_cols", "half"]),
            ("below", "Sub", ["more_rows", "above"]), ("right", "Sub", ["more_cols", "left"]),
        )
    ),
    *(node("Unsqueeze", [side, "zero"], f"{side}_1") for side in ("above", "left", "below", "right")),
    node("Concat", ["zero", "zero", "above_1", "left_1", "zero", "zero", "below_1", "right_1"], "pads", axis=0),
    node("Pad", ["up", "pads"], "fine"),
]  # fmt: skip
STRETCHED = [
    node("Shape", ["skip"], "skip_shape"),
    node("Slice", ["skip_shape", "two", "four"], "size"),
    node("Shape", ["low"], "low_shape"),
    node("Slice", ["low_shape", "zero", "two"], "head"),
    node("Concat", ["head", "size"], "wanted", axis=0),
    node(
        "Resize",
        ["low", "", "", "wanted"],
        "fine",
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    ),
]


def unet_in_torch(values: torch.Tensor) -> torch.Tensor:
    weights = {name: wide(value) for name, value in WEIGHTS.items()}
    skip = functional.conv2d(values, weights["w1"], weights["b1"], padding=1).relu()
    low = functional.conv2d(functional.max_pool2d(skip, 2), weights["w2"], padding=1).relu()
    up = functional.interpolate(low, scale_factor=2, mode="bilinear")
    up = functional.pad(up, (0, skip.shape[3] - up.shape[3], 0, skip.shape[2] - up.shape[2]))
    last = functional.conv2d(torch.cat([up, skip], 1), weights["w3"], padding=1).relu()
    return torch.cat([functional.conv2d(last, weights["w4"]), functional.conv2d(last, weights["w5"])], 1)


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()


def test_a_u_net_with_padding_computed_from_sizes_is_its_module_for_odd_images():
    network = read(model([*BODY, *PADDED, *ENDS], WEIGHTS, outputs=("kind", "ice")))
    assert [node.kind for node in network.spec.nodes].count("fit") == 1
    assert geometry(network.spec).whole_image == ()
    assert "ends in Softmax" in network.notes[0]
    module = module_of(network)
    assert output_convolution(module).names == ("classes", "logit")
    with torch.no_grad():
        same(module(image(), None), unet_in_torch(image()))


@pytest.mark.parametrize(
    "middle", [STRETCHED, [*SCALED[:-1], node("Resize", ["low", "", "by"], "fine", mode="linear")]]
)
@pytest.mark.parametrize("sizes", [("rows", "cols"), (64, 96)])
def test_a_u_net_of_whole_strides_is_its_module_on_an_image_filled_up_to_such(middle, sizes):
    network = read(model([*BODY, *middle, *ENDS], WEIGHTS, outputs=("kind", "ice"), sizes=sizes))
    assert "filled up to a multiple of 2 pixels" in network.notes[-1]
    assert geometry(network.spec).whole_image == ()
    module = module_of(network)
    assert output_convolution(module).names == ("classes", "logit")
    filled = functional.pad(image(45, 37), (0, 1, 0, 1), "replicate")
    with torch.no_grad():
        same(
            module(image(), None),
            unet_in_torch(functional.pad(image(), (0, 0, 0, 1), "replicate"))[:, :, :45],
        )
        same(module(image(45, 37), None), unet_in_torch(filled)[:, :, :45, :37])


def test_a_group_norm_in_parts_is_one_layer_that_depends_on_the_whole_image():
    nodes = [
        node("Shape", ["image"], "shape"),
        node("Reshape", ["image", "form"], "groups"),
        node("InstanceNormalization", ["groups", "ones", "zeros"], "normed"),
        node("Reshape", ["normed", "shape"], "again"),
        node("Mul", ["again", "gain"], "scaled"),
        node("Add", ["scaled", "shift"], "out"),
    ]
    ones, gain, shift = np.ones(2, np.float32), draw(4, 1, 1), draw(4, 1, 1)
    weights = {"form": ints(0, 2, -1), "ones": ones, "zeros": 0 * ones, "gain": gain, "shift": shift}
    network = read(model(nodes, weights, channels=4))
    assert "group norm scales by" in geometry(network.spec).whole_image[0]
    values = image(channels=4)
    eps = float(np.float32(1e-5))
    expected = functional.group_norm(values, 2, wide(gain).flatten(), wide(shift).flatten(), eps)
    with torch.no_grad():
        same(module_of(network)(values, None), expected)


def test_a_mean_of_the_image_is_spread_over_it_without_a_word_of_strides():
    nodes = [
        node("GlobalAveragePool", ["image"], "mean"),
        node("Shape", ["image"], "shape"),
        node("Resize", ["mean", "", "", "shape"], "wide", mode="linear"),
        node("Concat", ["image", "wide"], "out", axis=1),
    ]
    network = read(model(nodes, {}))
    assert network.notes == ()
    values = image()
    with torch.no_grad():
        found = module_of(network)(values, None)
    same(found, torch.cat([values, values.mean((2, 3), keepdim=True).expand_as(values)], 1))


def test_channels_last_of_an_only_input_are_coarse_where_asked_for():
    nodes = [
        node("Transpose", ["image"], "first", perm=[0, 3, 1, 2]),
        node("Conv", ["first", "w"], "c"),
        node("Transpose", ["c"], "out", perm=[0, 2, 3, 1]),
    ]
    weights = {"w": draw(2, 5, 1, 1)}
    network = read(model(nodes, weights, channels=5, last=True), coarse=3, ratio=4)
    assert (network.spec.fine, network.spec.coarse, network.spec.ratio) == (2, 3, 4)
    fine, cells = image(13, 10), image(4, 3, channels=3)
    pixels = cells.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :13, :10]
    with torch.no_grad():
        same(
            module_of(network)(fine, cells),
            functional.conv2d(torch.cat([fine, pixels], 1), wide(weights["w"])),
        )


def test_a_second_input_is_the_coarse_one():
    nodes = [
        node("Conv", ["cells", "w2"], "c2"),
        node("Resize", ["c2", "", "by"], "up", mode="nearest", nearest_mode="round_prefer_floor"),
        node("Conv", ["image", "w1"], "c1"),
        node("Add", ["c1", "up"], "out"),
    ]
    weights = {"w1": draw(3, 2, 1, 1), "w2": draw(3, 4, 1, 1), "by": np.array([1, 1, 8, 8], np.float32)}
    content = model(nodes, weights, channels=(2, 4))
    network = read(content, ratio=8)
    fine, cells = image(32, 24), image(4, 3, channels=4)
    up = functional.conv2d(cells, wide(weights["w2"])).repeat_interleave(8, 2).repeat_interleave(8, 3)
    with torch.no_grad():
        same(module_of(network)(fine, cells), functional.conv2d(fine, wide(weights["w1"])) + up)


PATCH_WEIGHTS = {
    "w1": draw(3, 2, 3, 3), "w2": draw(4, 3, 2, 2), "d1": draw(36, 5), "b1": draw(5), "d2": draw(4, 5), "b2": draw(4),
    "flat": ints(-1, 36),
}  # fmt: skip


def patch_in_torch(patch: torch.Tensor, last: bool) -> torch.Tensor:
    weights = {name: wide(value) for name, value in PATCH_WEIGHTS.items()}
    values = functional.max_pool2d(functional.conv2d(patch, weights["w1"]).relu(), 2)
    values = functional.conv2d(values, weights["w2"])
    values = values.permute(0, 2, 3, 1) if last else values
    values = (values.flatten(1) @ weights["d1"] + weights["b1"]).relu()
    return values @ weights["d2"].T + weights["b2"]


@pytest.mark.parametrize("last", [False, True])
def test_a_network_of_patches_gives_over_a_scene_what_its_patches_give(last):
    order = [node("Transpose", ["c2"], "c2_last", perm=[0, 2, 3, 1])] if last else []
    nodes = [
        node("Conv", ["image", "w1"], "c1"),
        node("Relu", ["c1"], "r1"),
        node("MaxPool", ["r1"], "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p1", "w2"], "c2"),
        *order,
        node("Reshape", ["c2_last" if last else "c2", "flat"], "list"),
        node("MatMul", ["list", "d1"], "m1"),
        node("Add", ["m1", "b1"], "a1"),
        node("Relu", ["a1"], "r2"),
        node("Gemm", ["r2", "d2", "b2"], "g", transB=1),
        node("Softmax", ["g"], "out", axis=1),
    ]
    network = read(model(nodes, PATCH_WEIGHTS, sizes=(10, 10)))
    assert "patches of 10 x 10 pixels" in " ".join(network.notes)
    module = module_of(network)
    assert output_convolution(module).components == 5
    scene = image(31, 24)
    with torch.no_grad():
        found = module(scene, None)
    edge = functional.pad(scene, (4, 5, 4, 5), "reflect")
    assert found.shape == (1, 4, 31, 24)
    for row in range(0, 31, 2):
        for col in range(0, 24, 2):
            expected = patch_in_torch(edge[:, :, row : row + 10, col : col + 10], last)[0]
            block = found[0, :, row : row + 2, col : col + 2]
            assert (block - expected[:, None, None]).abs().max() < 1e-5 * expected.abs().max()


def test_a_network_of_patches_that_pads_them_is_refused():
    nodes = [
        node("Conv", ["image", "w1"], "c1", pads=[1, 1, 1, 1]),
        node("Flatten", ["c1"], "list"),
        node("Gemm", ["list", "d"], "out"),
    ]
    content = model(nodes, {"w1": draw(3, 2, 3, 3), "d": draw(48, 2)}, sizes=(4, 4))
    with pytest.raises(ModelError, match="'c1' pads each patch"):
        read(content)


def test_a_file_is_read_from_its_path(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(model([*BODY, *PADDED, *ENDS], WEIGHTS, outputs=("kind", "ice")))
    spec, weights, notes = read_onnx(path)
    assert spec.channels == 4
    assert {name.split(".")[0] for name in weights} == {"c1", "c2", "c3", "classes", "logit"}
    assert len(notes) == 2
    with pytest.raises(ModelError, match="no file"):
        read_onnx(tmp_path / "other.onnx")
