"""Grad-CAM, Grad-CAM++ and XGrad-CAM as pytorch-grad-cam computes them: `make test-references`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from floelens.plugin.core.features.run import collect, sample_weights, weighted_map
from floelens.plugin.core.features.sums import Regions
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.protocols import Silent
from floelens.tests.plugin.core.contributions.test_run import runner_of
from floelens.tests.plugin.core.features.test_run import TYPE, analysis_of, planned
from floelens.tests.plugin.core.tiny_networks import ListSink, TinyFusion, tiny_scene
from torch import nn

# The package imports these for pictures and for other methods; none is called here.
ABSENT = (
    "cv2", "sklearn", "sklearn.decomposition", "torchvision", "torchvision.transforms",
    "torchvision.transforms.functional", "tqdm", "requests", "PIL",
)  # fmt: skip
REVERSED = Target(head="type", class_name="water", reference_class="old ice")
CAMS = {"gradcam": "GradCAM", "gradcam_plus_plus": "GradCAMPlusPlus", "xgradcam": "XGradCAM"}


@pytest.fixture
def grad_cam(monkeypatch):
    """Return the package; what stands in for libraries that it does not need is gone after the test."""
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        pytest.skip("pytorch_grad_cam is not installed: run make test-references")
    for name in ABSENT:
        first = name.partition(".")[0]
        if isinstance(sys.modules.get(first), MagicMock) or importlib.util.find_spec(first) is None:
            monkeypatch.setitem(sys.modules, name, MagicMock())
    return importlib.import_module("pytorch_grad_cam")


class Explained(nn.Module):
    """A network of the fine input alone, which returns the explained logits."""

    def __init__(self, network: nn.Module, coarse: torch.Tensor, seeds: torch.Tensor) -> None:
        super().__init__()
        self.network, self.coarse, self.seeds = network, coarse, seeds

    def forward(self, fine: torch.Tensor) -> torch.Tensor:
        return self.network(fine, self.coarse) * self.seeds


@pytest.mark.parametrize("cam", CAMS)
@pytest.mark.parametrize(("layer", "target"), [("relu1", TYPE), ("relu2", REVERSED)])
def test_a_map_of_a_whole_scene_is_that_of_pytorch_grad_cam(grad_cam, cam, layer, target):
    scene, runner = tiny_scene(gaps=False), runner_of(TinyFusion(), "float64")
    analysis, sink = analysis_of(runner, layer, target), ListSink()
    whole = Regions(("scene",), lambda window: np.zeros((window.rows, window.cols), np.int32))
    plan = planned(analysis, scene, 23)
    sums = collect(analysis, scene, plan, whole, cam, None, Silent())
    weights = sample_weights(analysis, scene, plan, whole, cam, sums, Silent())
    weighted_map(analysis, scene, plan, whole, weights, sums, sink, Silent())
    inputs = runner.standardise(scene.read(scene.window))
    logits = runner.module(inputs.fine, inputs.coarse)
    seeds = target.resolve(runner.card).seeds(logits, torch.ones(logits.shape[2:], dtype=torch.bool))
    network = Explained(runner.module, inputs.coarse, seeds)
    place = network.network.get_submodule(layer)
    theirs = getattr(grad_cam, CAMS[cam])(network, [place])
    fine = inputs.fine.clone().requires_grad_()
    theirs.activations_and_grads(fine).sum().backward()
    activations = theirs.activations_and_grads.activations[0].numpy()
    gradients = theirs.activations_and_grads.gradients[0].numpy()
    image = np.maximum(theirs.get_cam_image(fine, place, None, activations, gradients)[0], 0)
    assert image.max() > 0
    np.testing.assert_allclose(sink.values[0], image, rtol=1e-5, atol=1e-5 * image.max())
