"""NERSC's ice-type network over scenes gives what its patches give, evaluated by loops in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.graph.geometry import geometry
from floelens.plugin.networks.graph.modules import build
from floelens.plugin.networks.graph.nersc import CLASSES, EPSILON, PARAMETERS, is_nersc, nersc_graph
from floelens.plugin.networks.inner_layers import output_convolution
from floelens.plugin.networks.measure import parameter_counts
from torch import nn

KERNELS = {
    1: (3, 3, 4, 32),
    2: (3, 3, 32, 32),
    3: (3, 3, 32, 32),
    5: (4600, 16),
    6: (16, 16),
    7: (16, 64),
    8: (64, 4),
}


def random_tensors() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(2)
    tensors = {}
    for at, shape in KERNELS.items():
        tensors[f"layer_with_weights-{at}/kernel"] = draw.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
        tensors[f"layer_with_weights-{at}/bias"] = draw.normal(0, 0.3, shape[-1:])
    for at, channels in ((0, 4), (4, 32)):
        for name in ("gamma", "beta", "moving_mean"):
            tensors[f"layer_with_weights-{at}/{name}"] = draw.normal(0, 1, channels)
        tensors[f"layer_with_weights-{at}/moving_variance"] = draw.uniform(0.5, 2, channels)
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def patch_logits(tensors, sar: np.ndarray, amsr2: np.ndarray) -> np.ndarray:
    """Return the logits of a patch (50, 50, 4) with its radiometry (10, 10, 14), as Keras computes them."""

    def tensor(at, name):
        return tensors[f"layer_with_weights-{at}/{name}"].astype(np.float64)

    def norm(values, at):
        scale = tensor(at, "gamma") / np.sqrt(tensor(at, "moving_variance") + EPSILON)
        return (values - tensor(at, "moving_mean")) * scale + tensor(at, "beta")

    def conv(values, at):
        kernel, size = tensor(at, "kernel"), values.shape[0] - 2
        total = np.zeros((size, size, kernel.shape[3])) + tensor(at, "bias")
        for row in range(3):
            for col in range(3):
                total += values[row : row + size, col : col + size] @ kernel[row, col]
        return np.maximum(total, 0)

    def pool(values):
        side = len(values) // 2
        return values[: 2 * side, : 2 * side].reshape(side, 2, side, 2, -1).max((1, 3))

    values = pool(conv(conv(pool(conv(norm(sar, 0), 1)), 2), 3))
    values = np.concatenate([norm(values, 4), amsr2], 2).ravel()
    for at in (5, 6, 7):
        values = np.maximum(values @ tensor(at, "kernel") + tensor(at, "bias"), 0)
    return values @ tensor(8, "kernel") + tensor(8, "bias")


def network_of(tensors) -> nn.Module:
    spec, weights = nersc_graph(tensors)
    module = build(spec)
    module.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    return module.double().eval()


@pytest.mark.parametrize("real", [False, True])
def test_a_scene_gives_what_its_patches_give(real, request):
    if real:
        folder = request.getfixturevalue("real_data") / "weights-nersc-sar-amsr2-icetype"
        with np.load(folder / "weights_sar_amsr2_100ep.npz") as stored:
            tensors = dict(stored)
    else:
        tensors = random_tensors()
    assert is_nersc(tensors)
    module, draw = network_of(tensors), np.random.default_rng(1)
    assert parameter_counts(module)[0] == sum(value.size for value in tensors.values()) == PARAMETERS
    rows, cols = 83, 70  # neither a multiple of a cell nor of a stride
    sar = draw.normal((-16, -16, -26, -26), 5, (rows, cols, 4))
    cells = draw.normal(0, 1, (17, 14, 14))
    with torch.no_grad():
        found = module(*(torch.from_numpy(each.transpose(2, 0, 1)[None]) for each in (sar, cells)))[0].numpy()
    assert found.shape == (len(CLASSES), rows, cols)
    sar_edge = np.pad(sar, ((15, 34), (15, 34), (0, 0)), "reflect")
    cells_edge = np.pad(cells, ((3, 6), (3, 6), (0, 0)), "reflect")
    for row, col in [(0, 0), (20, 20), (20, 40), (40, 20), (80, 60), (60, 0)]:
        expected = patch_logits(
            tensors,
            sar_edge[row : row + 50, col : col + 50],
            cells_edge[row // 5 : row // 5 + 10, col // 5 : col // 5 + 10],
        )
        block = found[:, row : row + 20, col : col + 20]
        assert np.abs(block - expected[:, None, None]).max() < 1e-5 * np.abs(expected).max()
    assert output_convolution(module).components == 64


def test_its_blocks_of_20_pixels_hold_whole_places_of_both_sensors():
    found = geometry(nersc_graph(random_tensors())[0])
    assert (found.alignment, found.beyond_field, found.whole_image) == (20, 0, ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("layer_with_weights-3/bias"), "'layer_with_weights-3/bias' is missing"),
        (lambda t: t.update(more=np.zeros(3)), "'more' is unknown"),
        (
            lambda t: t.update({"layer_with_weights-5/kernel": np.zeros((3200, 16))}),
            r"is \(3200, 16\) instead of",
        ),
    ],
)
def test_other_weights_are_refused_by_name(change, words):
    tensors = random_tensors()
    change(tensors)
    assert not is_nersc(tensors)
    with pytest.raises(ModelError, match=words):
        nersc_graph(tensors)
