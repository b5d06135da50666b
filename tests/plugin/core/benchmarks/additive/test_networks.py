"""Networks of sums of functions, and the rules that explain them: each by its definition, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.additive import fitting, networks
from floelens.plugin.core.benchmarks.additive.agreement import pearson
from floelens.plugin.core.benchmarks.additive.conditions import EXTENTS, outputs
from floelens.plugin.core.benchmarks.additive.fitting import (
    Training,
    as_fields,
    explained_variance,
    least_squares,
    train,
)
from floelens.plugin.core.benchmarks.additive.piecewise import PiecewiseLinear
from floelens.plugin.core.benchmarks.additive.point import Points, smooth_covariance
from floelens.plugin.core.benchmarks.additive.recovery import BENDS, recovered
from floelens.plugin.core.benchmarks.explaining import LayeredNetwork
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.ground.errors import ModelError
from torch import nn

COVARIANCE = np.array([[1.0, 0.6, -0.2], [0.6, 2.0, 0.1], [-0.2, 0.1, 0.5]])


@pytest.fixture(scope="module")
def points() -> Points:
    return Points.drawn(COVARIANCE, seed=2)


def relevance(network: nn.Module, inputs: np.ndarray, word: str, **settings) -> np.ndarray:
    """Return the relevance (sample, input) of a network of one output."""
    explained = LayeredNetwork(network, torch.float64, patches=inputs.shape[1])
    classes = torch.zeros(len(inputs), dtype=torch.int64)
    maps = explained.explain(Method(word, **settings), as_fields(inputs), classes, lambda: None)
    return maps.relevance[:, 0]


def test_the_exact_network_gives_the_target_and_its_integrated_gradients_the_contributions(points):
    inputs, truth = points.samples(5, 60)
    network = networks.exact(points.functions)
    assert np.abs(outputs(network, inputs)[:, 0] - truth.target).max() < 1e-12
    # A path crosses bends: nodes of the integral meet each slope in proportion, to 1/nodes.
    found = relevance(network, inputs, "integrated_gradients", steps=512)
    np.testing.assert_allclose(found, truth.contributions / 3, atol=0.01)
    alone = relevance(network, inputs, "occlusion")
    np.testing.assert_allclose(alone, truth.contributions / 3, atol=1e-12)


def lrp_0(network: nn.Sequential, inputs: np.ndarray) -> np.ndarray:
    """Return LRP-0 by its definition, R_i = Σ_j z_ij / z_j R_j, layer by layer (Bach et al. 2015)."""
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    values = [inputs]
    for number, layer in enumerate(layers):
        z = values[-1] @ layer.weight.numpy().T + (0 if layer.bias is None else layer.bias.numpy())
        values.append(z if number == len(layers) - 1 else np.maximum(z, 0))
    found = values[-1]
    for layer, below, above in zip(layers[::-1], values[-2::-1], values[:0:-1]):
        parts = below[:, :, None] * layer.weight.numpy().T[None]
        active = above != 0
        quotient = np.divide(found, above, out=np.zeros_like(above), where=active)
        found = (parts * quotient[:, None]).sum(2)
    return found


def test_input_times_gradient_is_lrp_0_on_the_published_network():
    network = networks.dense(7, seed=3).double().requires_grad_(False)
    inputs = np.random.default_rng(1).normal(size=(20, 7))
    assert network[-1].bias is None
    sizes = [layer.weight.shape for layer in network if isinstance(layer, nn.Linear)]
    assert [out for out, _ in sizes] == [512, 256, 128, 64, 32, 16, 1]
    for biased in (False, True):
        if biased:
            for layer in network:
                if isinstance(layer, nn.Linear) and layer.bias is not None:
                    layer.bias.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(0))
        expected = lrp_0(network, inputs)
        size = np.abs(expected).max()
        for word in ("gradient_x_input", "lrp_0"):
            np.testing.assert_allclose(relevance(network, inputs, word), expected, rtol=0, atol=1e-6 * size)
        if not biased:
            np.testing.assert_allclose(expected.sum(1), outputs(network, inputs)[:, 0], atol=1e-9 * size)


def test_the_rule_of_the_first_layer_reaches_the_inputs_behind_a_change_of_shape():
    layer = networks.DenseLayer(np.array([[1.0], [-2.0], [0.5]]), None, rectified=False)
    inputs = np.random.default_rng(1).normal(size=(5, 3))
    found = relevance(networks.stacked((layer,)), inputs, "lrp_composite")
    weights, bound = layer.weight[:, 0], 4.0
    parts = inputs * weights + bound * np.maximum(weights, 0) - bound * np.minimum(weights, 0)  # z^B
    expected = parts / parts.sum(1, keepdims=True) * (inputs @ weights)[:, None]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_least_squares_are_those_of_a_linear_target(points):
    network = least_squares(points, seed=0, samples=7000)
    inputs, truth = points.samples(9, 3000)
    design = np.concatenate([inputs, np.ones((3000, 1))], axis=1)
    best = design @ np.linalg.lstsq(design, truth.target, rcond=None)[0]
    reached, most = (
        explained_variance(given, truth.target) for given in (outputs(network, inputs)[:, 0], best)
    )
    assert most - 0.01 < reached <= most


def test_each_epoch_sees_every_sample_once_whether_they_are_kept_or_drawn_again(points, monkeypatch):
    training = Training(11_000, 2, batch=400)
    seen = []
    for most in (10**9, 1):
        monkeypatch.setattr(fitting, "MOST_KEPT", most)
        pool = fitting.Pool(points, 0, training, lambda _: None)
        for epoch in range(2):
            targets = torch.cat([wanted for _, wanted in pool.batches(epoch)]) * pool.size
            assert len(targets) == 11_000
            seen.append(targets)
    assert not torch.equal(seen[0], seen[1])  # in another order
    kept, again, drawn, drawn_again = (np.sort(targets.numpy()) for targets in seen)
    np.testing.assert_array_equal(kept, again)
    np.testing.assert_array_equal(drawn, drawn_again)
    np.testing.assert_allclose(drawn, kept, atol=1e-6)  # their size is that of the first block


def test_the_same_seed_trains_the_same_network(points):
    found = [networks.dense(3, seed=0) for _ in range(2)]
    for network in found:
        train(network, points, 0, Training(2000, 1, batch=200))
    first, second = (torch.cat([values.flatten() for values in each.parameters()]) for each in found)
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.cat([v.flatten() for v in networks.dense(3, seed=0).parameters()]))


def test_functions_of_a_network_that_is_such_a_sum_are_recovered(points):
    network = networks.exact(points.functions)

    def samples(block: int) -> np.ndarray:
        return points.samples(100 + block, 2000)[0]

    functions = recovered(
        lambda values: outputs(network, values)[:, 0], samples, np.sqrt(np.diag(COVARIANCE)), 3
    )
    assert functions.slopes.shape == (3, len(BENDS) + 1)
    inputs, truth = points.samples(9, 500)
    found = functions.contributions(inputs)
    assert np.nanmedian(pearson(found, truth.contributions)) > 0.99
    assert (functions.contributions(np.zeros((1, 3))) == 0).all()


def test_the_network_of_others_is_judged_by_the_functions_that_are_recovered_from_it(points):
    reads = np.array([2, 0, 1])
    theirs = PiecewiseLinear(points.functions.breaks[reads], points.functions.slopes[reads])
    hidden, output = (layer for layer in networks.exact(theirs) if isinstance(layer, nn.Linear))
    layers = (
        networks.DenseLayer(hidden.weight.detach().numpy().T, hidden.bias.detach().numpy(), rectified=True),
        networks.DenseLayer(output.weight.detach().numpy().T, None, rectified=False),
    )
    generator = replace(points, others=layers, reads=tuple(reads.tolist()))
    condition = generator.conditions()[-1]
    fitted = condition.fit(generator, EXTENTS["quick"], 0, lambda _: None)
    assert condition.word == "point_published"
    inputs, truth = fitted.generator.samples(3, 300)
    np.testing.assert_allclose(np.cov(inputs.T), COVARIANCE[np.ix_(reads, reads)], atol=0.4)
    assert np.nanmedian(pearson(truth.contributions, theirs.contributions(inputs))) > 0.99


def test_an_inverting_network_gives_for_the_negative_what_the_other_gives():
    network = networks.convolutional(seed=1)
    image = torch.rand(2, 1, 65, 65, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given, again = network(image), networks.inverting(network)(1 - image)
    np.testing.assert_allclose(again, given, atol=1e-5)


def test_layers_that_do_not_fit_each_other_are_refused():
    wide, narrow = (networks.DenseLayer(np.ones(shape), None, True) for shape in ((3, 4), (5, 1)))
    with pytest.raises(ModelError, match=r"\(3, 4\), \(5, 1\)"):
        networks.stacked((wide, narrow))


def test_the_correlation_of_cells_falls_with_their_distance():
    found = smooth_covariance(np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0]), 0.5)
    np.testing.assert_allclose(found, np.where(np.eye(3) == 1, 1.0, np.exp(-np.sqrt(2) / 0.5)))
