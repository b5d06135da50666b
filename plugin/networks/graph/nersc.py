"""The ice-type network of NERSC on patches of SAR and AMSR2, as a graph that runs over whole scenes.

The network (Boulze, Korosov and Brajard 2020, doi 10.3390/rs12132165, for SAR; with AMSR2 in
nansencenter/sea_ice_type_cnn_training, GPL-3) takes a patch of 50 x 50 pixels in four channels, HH and HV in dB at
two scales each, and the 10 x 10 values of 14 AMSR2 channels over it. It gives the fractions of water, young,
first-year and multi-year ice. Its convolutions pad nothing. Its first dense layer is a convolution over a patch here,
so that the scene gives what its patches give: one answer for each 20 x 20 pixels, the least that is a whole number of
places of both sensors (4 and 5 pixels), from the patch around them. Scenes are mirrored at their borders.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...ground.errors import ModelError
from ..files import shown
from .spec import COARSE, FINE, GraphSpec, Node

SAR, AMSR2 = 4, 14
PATCH, CELL, STRIDE = 50, 5, 20
PARAMETERS = 95_060
EPSILON = 1e-3  # Keras' default
CLASSES = ("open water", "young ice", "first-year ice", "multi-year ice")
_DROPPED = 0.1
_SIDE = 10  # places of either sensor in a patch
_KERNEL, _BIAS = "kernel", "bias"
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
# Keras' layers with weights in their order: tensors and shapes.
_LAYERS: tuple[dict[str, tuple[int, ...]], ...] = (
    dict.fromkeys(_NORM, (SAR,)),
    {_KERNEL: (3, 3, SAR, 32), _BIAS: (32,)},
    {_KERNEL: (3, 3, 32, 32), _BIAS: (32,)},
    {_KERNEL: (3, 3, 32, 32), _BIAS: (32,)},
    dict.fromkeys(_NORM, (32,)),
    {_KERNEL: (_SIDE * _SIDE * (32 + AMSR2), 16), _BIAS: (16,)},
    {_KERNEL: (16, 16), _BIAS: (16,)},
    {_KERNEL: (16, 64), _BIAS: (64,)},
    {_KERNEL: (64, len(CLASSES)), _BIAS: (len(CLASSES),)},
)


def is_nersc(tensors: Mapping[str, np.ndarray]) -> bool:
    """Return whether tensors are those of the network, by their names and shapes."""
    return {name: value.shape for name, value in tensors.items()} == {
        _name(at, tensor): shape for at, layer in enumerate(_LAYERS) for tensor, shape in layer.items()
    }


def nersc_graph(tensors: Mapping[str, np.ndarray]) -> tuple[GraphSpec, dict[str, np.ndarray]]:
    """Return the network as a graph, and its weights by ``<node>.<tensor>``.

    Parameters
    ----------
    tensors : mapping of str to numpy.ndarray
        ``layer_with_weights-<n>/<tensor>``, in Keras' order of axes: row, column, input, output.

    Raises
    ------
    ModelError
        If a tensor is missing, unknown or of another shape, naming it.
    """
    wanted = {_name(at, tensor): shape for at, layer in enumerate(_LAYERS) for tensor, shape in layer.items()}
    for name in sorted(wanted.keys() ^ tensors.keys()):
        state = "is missing" if name in wanted else "is unknown"
        raise ModelError(f"These weights are not those of NERSC's ice-type network: {shown(name)} {state}.")
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise ModelError(
                f"These weights are not those of NERSC's ice-type network: {shown(name)} is {tensors[name].shape} "
                f"instead of {shape}."
            )
    weights: dict[str, np.ndarray] = {}

    def layer(at: int) -> dict[str, np.ndarray]:
        return {name: np.asarray(tensors[_name(at, name)]) for name in _LAYERS[at]}

    for node, at in (("sar_norm", 0), ("features_norm", 4)):
        weights |= {f"{node}.{_NORM[name]}": value for name, value in layer(at).items()}
    for node, at in (("conv_1", 1), ("conv_2", 2), ("conv_3", 3)):
        own = layer(at)
        weights |= {f"{node}.weight": own[_KERNEL].transpose(3, 2, 0, 1), f"{node}.bias": own[_BIAS]}
    first = layer(5)
    # A list of row, column, channel: those of the SAR features first, then AMSR2.
    kernel = first[_KERNEL].reshape(_SIDE, _SIDE, 32 + AMSR2, 16).transpose(3, 2, 0, 1)
    weights |= {
        "dense_sar.weight": kernel[:, :32],
        "dense_sar.bias": first[_BIAS],
        "dense_amsr2.weight": kernel[:, 32:],
    }
    for node, at in (("dense_2", 6), ("dense_3", 7), ("logits", 8)):
        own = layer(at)
        weights |= {f"{node}.weight": own[_KERNEL].T[:, :, None, None], f"{node}.bias": own[_BIAS]}
    return _graph(), {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}


def _name(at: int, tensor: str) -> str:
    return f"layer_with_weights-{at}/{tensor}"


def _graph() -> GraphSpec:
    before = (PATCH - STRIDE) // 2
    after = PATCH - 1 - before
    fine = [before, after, before, after]
    cells = [before // CELL, after // CELL, before // CELL, after // CELL]
    norm = {"epsilon": EPSILON}
    nodes = (
        Node("sar_edge", "pad", (FINE,), {"sides": fine, "mode": "reflect"}),
        Node("sar_norm", "batch_norm", ("sar_edge",), norm),
        Node("conv_1", "conv", ("sar_norm",), {"channels": 32, "kernel": 3}),
        Node("relu_1", "relu", ("conv_1",)),
        Node("pool_1", "max_pool", ("relu_1",), {"kernel": 2}),
        Node("conv_2", "conv", ("pool_1",), {"channels": 32, "kernel": 3}),
        Node("relu_2", "relu", ("conv_2",)),
        Node("conv_3", "conv", ("relu_2",), {"channels": 32, "kernel": 3}),
        Node("relu_3", "relu", ("conv_3",)),
        Node("pool_2", "max_pool", ("relu_3",), {"kernel": 2}),
        Node("features_norm", "batch_norm", ("pool_2",), norm),
        Node("features_drop", "dropout", ("features_norm",), {"share": _DROPPED}),
        Node(
            "dense_sar", "conv", ("features_drop",), {"channels": 16, "kernel": _SIDE, "stride": STRIDE // 4}
        ),
        Node("amsr2_edge", "pad", (COARSE,), {"sides": cells, "mode": "reflect"}),
        Node("amsr2_drop", "dropout", ("amsr2_edge",), {"share": _DROPPED}),
        Node(
            "dense_amsr2",
            "conv",
            ("amsr2_drop",),
            {"channels": 16, "kernel": _SIDE, "stride": STRIDE // CELL, "bias": False},
        ),
        Node("dense_1", "add", ("dense_sar", "dense_amsr2")),
        Node("dense_1_relu", "relu", ("dense_1",)),
        Node("dense_1_drop", "dropout", ("dense_1_relu",), {"share": _DROPPED}),
        Node("dense_2", "conv", ("dense_1_drop",), {"channels": 16, "kernel": 1}),
        Node("dense_2_relu", "relu", ("dense_2",)),
        Node("dense_2_drop", "dropout", ("dense_2_relu",), {"share": _DROPPED}),
        Node("dense_3", "conv", ("dense_2_drop",), {"channels": 64, "kernel": 1}),
        Node("dense_3_relu", "relu", ("dense_3",)),
        Node("dense_3_drop", "dropout", ("dense_3_relu",), {"share": _DROPPED}),
        Node("pixels", "upsample", ("dense_3_drop",), {"factor": STRIDE}),
        Node("pixels_fit", "fit", ("pixels", FINE), {"mode": "replicate"}),
        Node("logits", "conv", ("pixels_fit",), {"channels": len(CLASSES), "kernel": 1}),
    )
    return GraphSpec(SAR, nodes, ("logits",), AMSR2, CELL)
