"""A graph is plain data that is checked before anything is built of it."""

from __future__ import annotations

import json

import pytest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.graph import kinds, spec
from floelens.plugin.networks.graph.examples import fusion, unet
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.modules import BUILDERS, JOINING
from floelens.plugin.networks.graph.spec import GraphSpec, Node, safe_name
from torch import nn


def small(*nodes, outputs=("out",), **fields):
    """Return the JSON of a graph that ends in a pointwise convolution called `out`."""
    last = {
        "name": "out",
        "kind": "conv",
        "inputs": [nodes[-1]["name"] if nodes else "fine"],
        "channels": 1,
        "kernel": 1,
    }
    return {"fine": 2, "nodes": [*nodes, last], "outputs": list(outputs), **fields}


def node(kind, name="a", inputs=("fine",), **settings):
    return {"name": name, "kind": kind, "inputs": list(inputs), **settings}


@pytest.mark.parametrize("graph", [unet(), fusion(), unet(coarse=0, upsampling="transposed", heads=(1, 4))])
def test_a_graph_survives_json(graph):
    again = GraphSpec.from_json(json.loads(graph.text()))
    assert again == graph
    assert again.text() == graph.text()


CONV = {"channels": 3, "kernel": 3}
FAULTS = [
    ([], "not an object"),
    ({"fine": 2, "nodes": []}, "no entry 'outputs'"),
    ({"fine": 2, "nodes": [], "outputs": ["fine"]}, "no list of nodes, or an empty one"),
    ({"fine": 2, "nodes": "fine", "outputs": ["fine"]}, "not a list"),
    (small(deep=1), "an entry 'deep', which is not known"),
    (small(fine=0), "fine = 0"),
    (small(fine=True), "fine = True"),
    (small(fine=10**9), "from 1 to 65536"),
    (small(ratio=5), "a ratio, but no coarse channels"),
    (small(coarse=2, ratio=10**6), "ratio = 1000000"),
    ({**small(), "nodes": [7]}, "Node 0 .* is 7"),
    ({**small(), "nodes": [{"name": "a", "kind": "relu"}]}, "Node 0 .* no 'inputs'"),
    ({**small(), "nodes": [node("relu")] * 3000}, "3000 nodes; at most 2000"),
    (small(outputs=("nowhere",)), "no node 'nowhere'.*names as an output"),
    (small(outputs=(7,)), "no node 7"),
    (small(node("relu", name="A b")), "'A b' cannot name a node"),
    (small(node("relu", name="import")), "'import' cannot name a node"),
    (small(node("relu", name="forward")), "'forward' cannot name a node"),
    (small(node("relu", name="x" * 5000)), "cannot name a node"),
    (small(node("relu", name="__class__")), "cannot name a node"),
    (small(node("eval")), "kind 'eval', which is not known.*conv"),
    (small(node("relu", inputs=("b",)), node("relu", name="b", inputs=("a",))), "'a' .*reads 'b', which is neither"),
    (small(node("relu", inputs=("a",))), "reads 'a', which is neither"),
    (small(node("relu", inputs=("coarse",))), "reads 'coarse', which is neither"),
    (small(node("relu", inputs=("fine", "fine"))), "2 inputs instead of 1"),
    (small(node("add", inputs=("fine",))), "1 inputs instead of 2 to 64"),
    (small(node("relu"), node("tanh", inputs=("a",))), "Two nodes .* 'a'"),
    (small(node("conv", channels=3)), "'kernel' is missing"),
    (small(node("conv", **CONV, colour="red")), r"setting 'colour' is not known \(known: channels"),
    (small(node("conv", channels=3, kernel="3")), "'kernel': '3' is not a whole number"),
    (small(node("conv", channels=3, kernel=[3, 3, 3])), "not one whole number or 2 of them"),
    (small(node("conv", channels=3, kernel=1000)), "from 1 to 255"),
    (small(node("conv", channels=10**6, kernel=3)), "from 1 to 65536"),
    (small(node("conv", **CONV, groups=2)), "no multiples of 2 groups"),
    (small(node("conv", **CONV, padding="same", stride=2)), "'same' goes with a stride of 1"),
    (small(node("conv", **CONV, padding_mode="circular")), "not one of zeros, reflect, replicate"),
    (small(node("conv", **CONV, bias=1)), "neither true nor false"),
    (small(node("batch_norm", epsilon=float("nan"))), "not a number"),
    (small(node("leaky_relu", slope="steep")), "'steep' is not a number"),
    (small(node("max_pool", kernel=2, padding=2)), "more than half of its kernel"),
    (small(node("conv", channels=65536, kernel=255)), "asks for .* weights; at most"),
    (small(node("max_pool", kernel=2)), "output 'out' .* places of 2 x 2 pixels"),
    (small(node("max_pool", kernel=2), node("concatenate", "b", ("a", "fine"))), "places must be of one size"),
    (small(node("conv", channels=3, kernel=1), node("add", "b", ("a", "fine"))), "3 channels .* 2 channels"),
    (small(node("global_average")), "0: one for all"),
    (small(*(node("upsample", f"u{n}", [f"u{n - 1}" if n else "fine"], factor=64) for n in range(9))), "in no network"),
    (small(node("shuffle", factor=3)), "no multiple of 3 x 3"),
    (small(node("group_norm", groups=5)), "no multiple of 5 groups"),
    (small(node("cells", inputs=("coarse", "fine"), ratio=4), coarse=3, ratio=5), "not 4 times as large"),
    (small(node("conv_transposed", **CONV, stride=2, beyond=2)), "less than its stride"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), FAULTS)
def test_each_fault_of_a_graph_is_one_sentence(content, words):
    with pytest.raises(ModelError, match=words) as error:
        GraphSpec.from_json(content)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            small(node("conv", **CONV)),
            "output 'out' .* rows for an image of .*Pad the input, or end with a 'fit' node",
        ),
        (
            small(
                node("max_pool", kernel=2),
                node("upsample", name="b", inputs=("a",), factor=2),
                node("add", name="c", inputs=("b", "fine")),
            ),
            "'c' .*which do not fit. Put a 'fit' node before it",
        ),
    ],
)
def test_arrays_that_do_not_fit_for_odd_sizes_are_found(content, words):
    with pytest.raises(ModelError, match=words) as error:
        geometry(GraphSpec.from_json(content))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("graph", "alignment", "beyond"),
    [
        (unet(coarse=0), 4, 0),
        (unet(coarse=0, filters=(2, 2, 2, 2), padding="reflect"), 8, 2 * (1 + 2 + 4)),
        (unet(coarse=0, padding="replicate"), 4, 1 + 2),
        (unet(ratio=5), 20, 0),
        (fusion(ratio=25), 50, 0),
    ],
)
def test_tiles_are_aligned_to_all_strides_and_borders_that_repeat_count_beyond_the_field(
    graph, alignment, beyond
):
    found = geometry(graph)
    assert (found.alignment, found.beyond_field) == (alignment, beyond)
    assert found.whole_image == ()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (node("instance_norm"), "instance norm scales by the mean"),
        (node("group_norm", groups=2), "group norm scales by"),
        (node("upsample", factor=1, mode="bilinear", align_corners=True), "from corner to corner"),
        (node("resize", inputs=("fine", "fine")), "from the size of the whole image"),
    ],
)
def test_what_depends_on_the_whole_image_is_named(made, words):
    (sentence,) = geometry(GraphSpec.from_json(small(made))).whole_image
    assert sentence.startswith("The node 'a'")
    assert words in sentence


def test_every_kind_has_a_builder_and_names_of_torch_name_no_node():
    assert set(BUILDERS) | set(JOINING) == set(kinds.NODE_KINDS)
    taken = {name for name in dir(nn.Module()) if spec._NAME.fullmatch(name)}
    assert taken <= spec._TAKEN


def test_any_text_becomes_a_name():
    assert safe_name("Encoder.Conv-1/BiasAdd:0") == "encoder_conv_1_biasadd_0"
    assert safe_name("0") == "node_0"
    assert safe_name("forward") == "node_forward"
    assert safe_name("a.b", taken=("a_b", "a_b_2")) == "a_b_3"
    assert safe_name("é" * 500) == "node"
    for text in ("import", "x" * 500, "a\n__import__('os')", ""):
        Node(safe_name(text), "relu", ("fine",))
