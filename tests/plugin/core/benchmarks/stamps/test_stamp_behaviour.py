"""Sanity measures of a classifier of stamps that has no hidden units: what it loses is what its map says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.stamps.behaviour import image_sanity
from floelens.plugin.core.benchmarks.stamps.classifier import Classifier, StampNetwork
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.sanity.run import Settings
from floelens.tests.plugin.core.benchmarks.stamps.test_classifier import images
from torch import nn

SETTINGS = Settings(noisy=1, sets=6)
CHOSEN = np.arange(27)  # more than are explained together


class Linear(nn.Module):
    """One weight for each input of both grids."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fine, self.coarse = nn.Linear(800, 1), nn.Linear(75, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return self.fine(fine.flatten(1)) + self.coarse(coarse.flatten(1))


@pytest.mark.parametrize("word", ["gradient_x_input", "gradient"])
def test_a_linear_classifier_loses_what_its_maps_say(word):
    found = image_sanity(Classifier(Linear().eval(), 4), Method(word), images(30), CHOSEN, SETTINGS)
    np.testing.assert_allclose(found["infidelity"], 0, atol=1e-8)
    assert found["sparseness"].shape == (27,)
    if word == "gradient":
        np.testing.assert_allclose(found["max_sensitivity"], 0, atol=1e-6)


def test_integrated_gradients_from_a_higher_baseline_of_a_linear_classifier_differ_by_half_of_its_weights():
    given, network = images(30), Linear().eval()
    found = image_sanity(Classifier(network, 4), Method("integrated_gradients"), given, CHOSEN, SETTINGS)
    weights = np.concatenate([network.fine.weight.detach().ravel(), network.coarse.weight.detach().ravel()])
    values = np.concatenate([part[CHOSEN].reshape(27, -1) for part in (given.fine, given.coarse)], axis=1)
    expected = np.linalg.norm(0.5 * weights) / np.linalg.norm(values * weights, axis=1)
    np.testing.assert_allclose(found["baseline_sensitivity"], expected, rtol=1e-5)


def test_images_without_radiometry_are_measured_too():
    small = images(9, coarse=False)
    network = Classifier(StampNetwork(small, 0).eval(), 1)
    found = image_sanity(network, Method("lrp_zplus"), small, np.arange(4), SETTINGS)
    assert np.isfinite(found["infidelity"]).all()
    assert np.abs(found["randomisation"]).max() < 1
