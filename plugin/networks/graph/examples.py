"""Small graphs: a U-Net and a fusion network, for the conformance test and as examples for importers."""

from __future__ import annotations

from collections.abc import Sequence

from .spec import GraphSpec, Node


def unet(
    fine: int = 2,
    coarse: int = 14,
    ratio: int = 5,
    heads: Sequence[int] = (3,),
    filters: Sequence[int] = (4, 6, 6),
    upsampling: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
) -> GraphSpec:
    """Return a U-Net: at each level two convolutions with batch norm and ReLU, max pools, skips, a head a task.

    Parameters
    ----------
    fine, coarse, ratio : int
        Channels, and pixels along a coarse cell; coarse channels are repeated over their pixels and read with the fine
        ones.
    heads : sequence of int
        Logits of each head.
    filters : sequence of int
        Channels of each level.
    upsampling : {'nearest', 'bilinear', 'transposed'}
        How the grid becomes finer.
    padding : {'zeros', 'reflect', 'replicate'}
        What fills the row and column that an odd size lacks.
    align_corners : bool
        Of bilinear upsampling.
    """
    nodes: list[Node] = []

    def add(name: str, kind: str, inputs: Sequence[str], **settings: object) -> str:
        nodes.append(Node(name, kind, tuple(inputs), settings))
        return name

    def double(name: str, source: str, channels: int) -> str:
        for step in ("a", "b"):
            conv = add(
                f"{name}_conv_{step}", "conv", [source], channels=channels, kernel=3, padding=1, bias=False
            )
            norm = add(f"{name}_norm_{step}", "batch_norm", [conv])
            source = add(f"{name}_relu_{step}", "relu", [norm])
        return source

    source = "fine"
    if coarse:
        cells = add("cells_up", "cells", ["coarse", "fine"], ratio=ratio)
        source = add("all_inputs", "concatenate", ["fine", cells])
    skips = [double("down_0", source, filters[0])]
    for level, channels in enumerate(filters[1:], 1):
        pooled = add(f"down_{level}_pool", "max_pool", [skips[-1]], kernel=2)
        skips.append(double(f"down_{level}", pooled, channels))
    source = skips.pop()
    for level in range(len(filters) - 2, -1, -1):
        skip, name = skips.pop(), f"up_{level}"
        if upsampling == "transposed":
            finer = add(
                f"{name}_conv", "conv_transposed", [source], channels=filters[level], kernel=2, stride=2
            )
        else:
            options = {"align_corners": True} if align_corners else {}
            finer = add(f"{name}_up", "upsample", [source], factor=2, mode=upsampling, **options)
        fitted = add(f"{name}_fit", "fit", [finer, skip], mode=padding)
        source = double(name, add(f"{name}_join", "concatenate", [fitted, skip]), filters[level])
    outputs = [add(f"head_{n}", "conv", [source], channels=c, kernel=1) for n, c in enumerate(heads)]
    return GraphSpec(fine, tuple(nodes), tuple(outputs), coarse, ratio if coarse else 1)


def fusion(fine: int = 2, coarse: int = 14, ratio: int = 5, outputs: int = 3) -> GraphSpec:
    """Return a network of two branches that meet at the last convolution: a strided one, and one of coarse cells."""
    nodes = (
        Node(
            "stem", "conv", ("fine",), {"channels": 6, "kernel": 3, "padding": 1, "padding_mode": "reflect"}
        ),
        Node("stem_act", "leaky_relu", ("stem",), {"slope": 0.1}),
        Node("down", "conv", ("stem_act",), {"channels": 8, "kernel": 3, "stride": 2, "padding": 1}),
        Node("down_act", "silu", ("down",)),
        Node("depthwise", "conv", ("down_act",), {"channels": 8, "kernel": 3, "padding": 1, "groups": 8}),
        Node("residual", "add", ("depthwise", "down_act")),
        Node("pool", "average_pool", ("residual",), {"kernel": 3, "stride": 1, "padding": 1}),
        Node("up", "upsample", ("pool",), {"factor": 2}),
        Node("up_fit", "fit", ("up", "stem_act"), {"mode": "reflect"}),
        Node("cell_conv", "conv", ("coarse",), {"channels": 4, "kernel": 3, "padding": 1}),
        Node("cell_act", "relu", ("cell_conv",)),
        Node("cell_up", "cells", ("cell_act", "fine"), {"ratio": ratio, "mode": "bilinear"}),
        Node("drop", "dropout", ("up_fit",), {"share": 0.2}),
        Node("join", "concatenate", ("stem_act", "drop", "cell_up")),
        Node("logits", "conv", ("join",), {"channels": outputs, "kernel": 1}),
    )
    return GraphSpec(fine, nodes, ("logits",), coarse, ratio)
