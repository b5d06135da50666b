"""Samples as published, small networks, and scores by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks import networks, scores
from floelens.plugin.core.benchmarks.explaining import LayeredNetwork
from floelens.plugin.core.benchmarks.samples import held_out
from floelens.plugin.core.benchmarks.squares import Squares
from floelens.plugin.core.benchmarks.training import Training, train
from floelens.plugin.core.relevance.methods import Method


def test_samples_are_the_published_ones():
    inputs, truth = Squares(20).samples(0)
    assert inputs.shape == (40, 100, 100)
    assert truth.classes.sum() == 20
    for picture, number in zip(inputs, truth.classes):
        expected = np.zeros((100, 100))
        expected[20:30, 70:80] = 0.5
        expected[70:80, 70:80] = -0.5
        expected[45:55, 20:30] = -0.5 if number else 0.5
        assert np.abs(picture - expected).max() <= 0.1
    assert truth.inside.sum() == 100
    assert truth.inside[45:55, 20:30].all()
    assert truth.structure.sum() == 300
    np.testing.assert_array_equal(inputs, Squares(20).samples(0)[0])
    assert not np.array_equal(inputs, Squares(20).samples(1)[0])
    assert held_out(500) == slice(400, 500)


def random_fields(number: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(number, 1, 12, 16, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "method", ["gradient_x_input", "integrated_gradients", "deeplift", "lrp_0", "lrp_epsilon", "occlusion"]
)
def test_of_a_linear_network_every_method_gives_weight_times_input(method):
    network = networks.linear(12, 16, seed=1)
    given, classes = random_fields(), torch.tensor([0, 1, 1, 0])
    found = LayeredNetwork(network).explain(Method(method, epsilon=1e-12), given, classes, lambda: None)
    expected = (network[1].weight.double()[classes].view(given.shape) * given)[:, 0].numpy()
    relevance = found.relevance
    if method == "occlusion":  # patches of 2 x 2 pixels share what they change
        relevance, expected = (a.reshape(4, 6, 2, 8, 2).sum((2, 4)) for a in (relevance, expected))
    np.testing.assert_allclose(relevance, expected, rtol=1e-7, atol=1e-12)


def test_of_a_rectifier_network_relevance_and_biases_add_up_to_the_logit():
    network = networks.mlp(12, 16, seed=1)
    for layer in network:
        if hasattr(layer, "bias"):
            torch.nn.init.zeros_(layer.bias)
    given, classes = random_fields(), torch.tensor([0, 1, 1, 0])
    for method in ("gradient_x_input", "lrp_epsilon", "lrp_gamma"):
        found = LayeredNetwork(network).explain(Method(method, epsilon=1e-12), given, classes, lambda: None)
        np.testing.assert_allclose(found.relevance.sum((1, 2)), found.explained, rtol=1e-8)
        assert scores.conservation_error(found.relevance, found.explained) < 1e-8


def test_networks_are_the_same_from_the_same_seed_and_leave_torch_as_it_was():
    before = torch.random.get_rng_state()
    fields, classes = random_fields(20).float(), torch.arange(20) % 2
    weights = []
    for _ in range(2):
        network = networks.cnn(12, 16, seed=4)
        train(network, fields, classes, 4, Training(epochs=2))
        weights.append(network[0].weight.clone())
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], networks.cnn(12, 16, seed=5)[0].weight)
    assert torch.equal(before, torch.random.get_rng_state())


def test_scores_are_those_of_maps_made_by_hand():
    inside = np.zeros((10, 10), dtype=bool)
    inside[:2, :2] = True
    maps = np.zeros((2, 10, 10))
    maps[0, :2, :2], maps[0, 5, 5] = -1.0, 12.0  # 4 of 16 inside
    maps[1, :2, :2] = 0.5  # all inside
    assert scores.mass_inside(maps, inside) == pytest.approx((4 / 16 + 1) / 2)
    assert scores.rank_accuracy(maps, inside) == pytest.approx((3 / 4 + 1) / 2)
    assert scores.conservation_error(maps, np.array([4.0, 2.0])) == pytest.approx((1.0 + 0.0) / 2)
    assert scores.mass_inside(np.zeros((1, 10, 10)), inside) is None


def test_a_map_that_noise_gives_too_leaves_nothing_and_what_the_data_add_stays():
    weights = np.random.default_rng(0).uniform(0.5, 1.5, (10, 10))
    shares = scores.null_share(np.stack([weights, 3 * weights]))
    assert shares.sum() == pytest.approx(1)
    assert not scores.corrected(-weights[None], shares[None]).any()
    maps = weights[None].copy()
    maps[0, 4, 4] = -weights.sum()
    left = scores.corrected(maps, shares[None])[0]
    assert left[4, 4] == pytest.approx(-(weights.sum() - shares[4, 4] * np.abs(maps).sum()))
    assert (np.delete(left.ravel(), 44) == 0).all()


def test_stripes_border_and_decay_are_found_where_they_were_planted():
    draw = np.random.default_rng(0)
    noise = draw.uniform(0.9, 1.1, (40, 50))
    everywhere = np.ones((40, 50), dtype=bool)
    assert scores.stripes(noise, everywhere, 1) < 0.05
    striped = noise * (1 + np.arange(50) % 2)
    assert scores.stripes(striped, everywhere, 1) > 0.9
    assert scores.stripes(striped, everywhere, 0) < 0.05
    assert scores.stripes(np.ones((40, 50)), everywhere, 1) is None
    edged = noise.copy()
    edged[[0, 1, -2, -1]] *= 3
    edged[2:-2, [0, 1, -2, -1]] *= 3
    assert scores.border(edged, everywhere) == pytest.approx(3, rel=0.02)
    faded = 0.9 ** np.arange(50)[::-1] * np.ones((40, 1))
    assert scores.decay(scores.profile(faded, everywhere, 1)) == pytest.approx(0.9, rel=1e-9)
    assert scores.decay(scores.profile(faded[:, ::-1], everywhere, 1, backwards=True)) == pytest.approx(0.9)
