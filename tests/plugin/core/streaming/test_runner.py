"""A runner standardises, fills gaps, works in three precisions, and leaves the network alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.relevance.methods import Method, explainer_for
from floelens.plugin.core.streaming import runner as network
from floelens.plugin.core.streaming.runner import Inputs, Runner, resolve_device
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.protocols import Patch
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_card, tiny_scene


def test_inputs_are_standardised_and_gaps_filled():
    scene = tiny_scene()
    scene.valid[0, 0] = False
    inputs = Runner(tiny_card(fill=0.25), TinyFusion(), "cpu").standardise(scene.read(scene.window))
    assert inputs.fine.dtype == torch.float32
    assert inputs.fine[0, 0, 2, 3].item() == pytest.approx((scene.fine[0, 2, 3] + 14.5) / 5.5, rel=1e-5)
    assert inputs.coarse[0, 1, 2, 3].item() == pytest.approx((scene.coarse[1, 2, 3] - 200) / 40, rel=1e-4)
    filled = ~scene.valid
    assert (inputs.fine[0][:, torch.from_numpy(filled)] == 0.25).all()
    assert inputs.coarse[0, 2, 3, 4] == 0.25  # the missing cell
    assert torch.isfinite(inputs.fine).all()
    assert torch.isfinite(inputs.coarse).all()


def test_the_network_sees_the_window_asked_for():
    scene = tiny_scene()
    patch = scene.read(Window(8, 12, 20, 24))
    inputs = Runner(tiny_card(), TinyFusion(), "cpu").standardise(patch, Window(8, 12, 18, 21))
    whole = Runner(tiny_card(), TinyFusion(), "cpu").standardise(scene.read(scene.window))
    assert torch.equal(inputs.fine, whole.fine[:, :, 8:26, 12:33])
    assert torch.equal(inputs.coarse, whole.coarse[:, :, 2:7, 3:9])


def test_a_patch_with_other_channels_is_refused():
    patch = Patch(Window(0, 0, 4, 4), np.zeros((3, 4, 4)), np.zeros((3, 1, 1)), np.ones((4, 4), bool))
    with pytest.raises(ModelError, match="3 fine and 3 coarse channels, model 'tiny' needs 2 and 3"):
        Runner(tiny_card(), TinyFusion(), "cpu").standardise(patch)


def test_a_processor_without_bfloat16_computes_in_float32(monkeypatch):
    for able, used in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(network, "computes_bfloat16", lambda able=able: able)
        runner = Runner(tiny_card(), TinyFusion(), "cpu", "bfloat16")
        assert (runner.precision, runner.dtype) == (used, getattr(torch, used))
        assert network.usable_precision("bfloat16", torch.device("cuda")) == "bfloat16"
        assert network.usable_precision("float64", torch.device("cpu")) == "float64"


def test_unknown_words_are_sentences():
    with pytest.raises(ParameterError, match="Unknown PRECISION 'half'"):
        Runner(tiny_card(), TinyFusion(), "cpu", "half")
    with pytest.raises(ParameterError, match="Unknown DEVICE 'tpu'"):
        resolve_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ParameterError, match="no CUDA device"):
            resolve_device("cuda")
        assert resolve_device("auto").type == "cpu"
    with pytest.raises(ParameterError, match="baseline has 2 values; the model has 5"):
        Runner(tiny_card(), TinyFusion(), "cpu").constant(Inputs(torch.zeros(1, 2, 4, 4), None), (0.0, 1.0))


def test_threads_of_torch_are_left_as_they_are():
    before = torch.get_num_threads()
    scene = tiny_scene()
    runner = Runner(tiny_card(), TinyFusion(), "cpu")
    runner.logits(runner.standardise(scene.read(scene.window)))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("variant", ["fusion", "interpretability_small", "v2"])
@pytest.mark.parametrize(("outputs", "precision", "share"), [(1, "float64", 1e-12), (4, "float32", 1e-4)])
def test_fast_forward_and_plain_walk_have_the_same_logits_and_gradients(variant, outputs, precision, share):
    torch.manual_seed(0)
    network = AsppFusion(2, 3, 4, variant, outputs)
    for norm in (network.norm1, network.norm2):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        torch.nn.init.normal_(norm.bias)
    card = tiny_card(radius=30)
    card.heads = card.heads[:1] if outputs == 1 else card.heads
    runner = Runner(card, network, "cpu", precision)
    inputs = runner.standardise(tiny_scene(40, 45).read(Window(0, 0, 40, 45)))
    seen = []

    def seeds(logits):
        seen.append(logits)
        return torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)

    walked = explainer_for(runner, Method("gradient_x_input")).explain(inputs, seeds, Leaks())
    logits = runner.logits(inputs)
    fine, coarse = runner.gradient(inputs, seeds(logits))
    pairs = ((seen[0], logits), (walked.fine, fine), (walked.coarse, coarse))
    for found, expected in pairs:
        assert (found - expected).abs().max() <= share * expected.abs().max()
