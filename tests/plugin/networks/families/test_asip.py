"""ASIP networks read from Keras files, beside their published table of layers in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.ground.errors import FloeLensError, ModelError
from floelens.plugin.io.models import keras
from floelens.plugin.io.models.keras import is_hdf5, read_keras
from floelens.plugin.networks.families.asip import propose_asip, recognise
from floelens.plugin.networks.families.proposal import Given
from floelens.plugin.networks.measure import parameter_counts
from floelens.plugin.networks.package import build
from floelens.plugin.networks.weights import fill
from floelens.tests.plugin.networks.families.keras_files import (
    asip_layers,
    asip_logits,
    config_of,
    write_keras,
)

VARIANTS = {  # skip, scale, parameters, whether branches are linear
    "fusion": (12, 24, 28_191, False),
    "interpretability_small": (14, 14, 22_183, True),
    "interpretability_large": (14, 28, 31_367, True),
}


def imported(file, given: Given):
    proposal = propose_asip(file.layers, file.config, given)
    card = proposal.complete()
    module = build(card)
    fill(module, proposal.weights, card)
    return proposal, card, module.double().eval().requires_grad_(False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_keras_file_runs_as_the_published_layers_do(tmp_path, variant):
    skip, scale, parameters, linear = VARIANTS[variant]
    layers = asip_layers(skip, scale, 14)
    path = write_keras(tmp_path / "model.h5", layers, config_of(cell=5), top="model_weights")
    assert is_hdf5(path)
    proposal, card, module = imported(read_keras(path), Given())
    assert card.architecture.arguments["variant"] == variant
    assert card.ratio == 5  # of the stored architecture
    assert proposal.file_parameters == parameter_counts(module)[0] == parameters
    draw = np.random.default_rng(3)
    fine, coarse = draw.normal(size=(23, 31, 2)), draw.normal(size=(5, 7, 14))
    expected = asip_logits(layers, fine, coarse, 5, linear)
    tensors = (torch.from_numpy(np.moveaxis(values, 2, 0).copy())[None] for values in (fine, coarse))
    found = module(*tensors)[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_weights_of_sar_alone_without_an_architecture_stand_at_the_root(tmp_path):
    layers = asip_layers(14, 14, 0)
    proposal, card, module = imported(
        read_keras(write_keras(tmp_path / "w.h5", layers)), Given(name="SAR alone")
    )
    assert (card.id, len(card.coarse_channels), card.alignment) == ("sar-alone", 0, 1)
    fine = np.random.default_rng(3).normal(size=(19, 20, 2))
    expected = asip_logits(layers, fine, None, 1, True)
    found = module(torch.from_numpy(np.moveaxis(fine, 2, 0).copy())[None], None)[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()
    assert any("sigmoid" in sentence for sentence in proposal.findings.assumed)
    assert any("not published" in sentence for sentence in proposal.findings.assumed)


def test_layers_count_from_any_number_and_a_linear_output_is_no_sigmoid(tmp_path):
    """Keras goes on counting in a session: conv2d_9 comes before conv2d_10."""
    names = {f"conv2d_{n}" if n else "conv2d": f"conv2d_{n + 7}" for n in range(11)}
    layers = {names.get(name, name): arrays for name, arrays in asip_layers(12, 24, 14).items()}
    path = write_keras(tmp_path / "m.h5", layers, config_of("linear"), top="model_weights")
    _, card, module = imported(read_keras(path), Given())
    assert card.heads[0].kind == "linear"
    kernel = layers["conv2d_17"]["kernel:0"][0, 0, :, 0]
    np.testing.assert_allclose(module.output.weight[0, :, 0, 0].numpy(), kernel, rtol=1e-6)


def broken(change) -> dict[str, dict]:
    layers = asip_layers(12, 24, 14)
    change(layers)
    return layers


CASES = {
    "a layer too few": (lambda layers: layers.pop("conv2d_3"), "10 convolutions and 2 batch norms"),
    "no batch norm": (lambda layers: layers.pop("batch_normalization"), "1 batch norms"),
    "another variant": (
        lambda layers: layers["conv2d_1"].update({"kernel:0": np.ones((3, 3, 12, 13))}),
        "skip, scale and hidden layer are 13/24/0",
    ),
    "a bias of another size": (
        lambda layers: layers["conv2d_4"].update({"bias:0": np.ones(17)}),
        r"\(17,\) instead of",
    ),
    "no bias": (lambda layers: layers["conv2d_4"].pop("bias:0"), "no array 'bias'"),
    "a dense layer": (
        lambda layers: layers["conv2d"].update({"kernel:0": np.ones((9, 12))}),
        "no convolution",
    ),
    "an output of few inputs": (
        lambda layers: layers["conv2d_10"].update({"kernel:0": np.ones((1, 1, 30, 1))}),
        "takes 30 channels, fewer than the 108",
    ),
    "an unknown layer": (lambda layers: layers.update(lstm={"cell:0": np.ones(4)}), "'lstm' is neither"),
    "a weight that is not finite": (
        lambda layers: layers["conv2d_2"]["bias:0"].__setitem__(0, np.nan),
        "not finite",
    ),
    "whole numbers": (
        lambda layers: layers["conv2d_2"].update({"bias:0": np.ones(18, "i4")}),
        "no array 'bias'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_named(tmp_path, case):
    change, words = CASES[case]
    with pytest.raises(ModelError, match=words) as raised:
        recognise(read_keras(write_keras(tmp_path / "m.h5", broken(change))).layers)
    assert len(str(raised.value)) < 500


def test_numbers_and_groups_of_a_file_are_bounded_together(tmp_path, monkeypatch):
    """Arrays that were never written and links take hardly a byte of a file."""
    path = write_keras(tmp_path / "m.h5", {f"layer_{n}": {"kernel:0": np.ones(400)} for n in range(4)})
    monkeypatch.setattr(keras, "MOST_NUMBERS", 1500)
    with pytest.raises(ModelError, match="up to 'kernel:0' would have more than 1500 numbers"):
        read_keras(path)
    monkeypatch.setattr(keras, "MOST_NUMBERS", 1600)
    assert len(read_keras(path).layers) == 4
    monkeypatch.setattr(keras, "_MOST_VISITS", 7)  # each layer is a group in a group
    with pytest.raises(ModelError, match="more than 7 groups"):
        read_keras(path)


def test_another_epsilon_and_a_cut_file_are_refused(tmp_path):
    layers = asip_layers(12, 24, 14)
    path = write_keras(tmp_path / "m.h5", layers, config_of(epsilon=1e-5), top="model_weights")
    with pytest.raises(ModelError, match="epsilon of 1e-05"):
        file = read_keras(path)
        propose_asip(file.layers, file.config, Given())
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FloeLensError):
        read_keras(cut)


@pytest.mark.parametrize(
    "config", ["{", "[1]", '{"config": {"layers": [3, {"config": 4}]}}', '{"config": 1e999}']
)
def test_an_architecture_that_cannot_be_read_counts_as_none(tmp_path, config):
    path = write_keras(tmp_path / "m.h5", asip_layers(12, 24, 14), config)
    file = read_keras(path)
    assert propose_asip(file.layers, file.config, Given()).card.ratio == 50
