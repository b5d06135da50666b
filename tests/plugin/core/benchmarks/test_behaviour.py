"""Sanity measures of a small dense network, beside what its weights say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.behaviour import HIGHER, layered_sanity
from floelens.plugin.core.benchmarks.explaining import LayeredNetwork
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.sanity.run import Settings
from torch import nn

SETTINGS = Settings(noisy=2, sets=12, share=0.25)
FIELDS = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 1, 1, 16)))
CLASSES = torch.from_numpy(np.arange(30) % 2)


def network(*hidden: int) -> LayeredNetwork:
    torch.manual_seed(1)
    sizes = (16, *hidden, 2)
    layers: list[nn.Module] = [nn.Flatten()]
    for one, next_one in zip(sizes, sizes[1:]):
        layers += [nn.Linear(one, next_one), nn.ReLU()]
    return LayeredNetwork(nn.Sequential(*layers[:-1]))


def test_measures_of_a_linear_network_follow_from_its_weights():
    linear = network()
    found = layered_sanity(linear, Method("integrated_gradients", steps=2), FIELDS, CLASSES, SETTINGS)
    weights = linear.network[1].weight.detach().numpy()[CLASSES]
    maps = weights * FIELDS[:, 0, 0].numpy()
    np.testing.assert_allclose(found["infidelity"], 0, atol=1e-12)
    np.testing.assert_allclose(found["faithfulness_correlation"], 1)
    expected = np.linalg.norm(HIGHER * weights, axis=1) / np.linalg.norm(maps, axis=1)
    np.testing.assert_allclose(found["baseline_sensitivity"], expected, rtol=1e-6)
    assert found["sparseness"].shape == (30,)  # more than one batch


@pytest.mark.parametrize("word", ["gradient", "lrp_0", "deeplift"])
def test_every_method_is_measured_on_a_network_of_layers(word):
    found = layered_sanity(network(8), Method(word), FIELDS[:6], CLASSES[:6], SETTINGS)
    assert "baseline_sensitivity" not in found
    assert np.isfinite(found["infidelity"]).all()
    assert np.nanmax(np.abs(found["randomisation"])) < 1  # shuffled weights give another map
    again = layered_sanity(network(8), Method(word), FIELDS[:6], CLASSES[:6], SETTINGS)
    np.testing.assert_array_equal(found["max_sensitivity"], again["max_sensitivity"])
