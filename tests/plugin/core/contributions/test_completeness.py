"""The evidence of channels, of all outputs at once, is checked where every channel is computed on its own."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.core.contributions.completeness import CompletenessCheck
from floelens.plugin.core.contributions.splitters import GATED, INTEGRATED, PathSplitter, Splitting
from floelens.plugin.core.layers import affine, split_activations
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.ground.protocols import Silent
from floelens.tests.plugin.core.contributions.test_run import (
    a_forgotten_channel,
    a_slope_of_the_end,
    full_card,
    runner_of,
)
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_scene

CHANNELS = Splitting(INTEGRATED, "channel", steps=4)


def checked(runner, splitting=CHANNELS, scene=None, windows=2):
    scene = scene or tiny_scene()
    plan = Plan(scene.window, scene.window, runner.radius, runner.alignment, 40, 40)
    check = CompletenessCheck(runner, plan, None, splitting, Silent())
    check.run_anywhere(scene, windows)
    return check.found


@pytest.mark.parametrize(("precision", "accepted"), [("float64", 1e-10), ("float32", 1e-4)])
def test_channels_add_up_at_every_output(precision, accepted):
    found = checked(Runner(full_card(), TinyFusion(1), "cpu", precision))
    assert found.windows == 2
    assert 0 < found.residual < accepted


@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (split_activations.Step, "activate", a_slope_of_the_end),
        (affine.Convolution, "part", a_forgotten_channel),
    ],
)
def test_a_wrong_rule_shows_though_one_channel_is_what_the_others_leave(monkeypatch, kind, name, wrong):
    runner = runner_of(TinyFusion(1))
    monkeypatch.setattr(kind, name, wrong)
    scene = tiny_scene()
    bands = PathSplitter(runner, CHANNELS, lambda: None).split_outputs(
        runner.standardise(scene.read(scene.window))
    )
    assert torch.allclose(bands[:-1].sum(0), bands[-1], atol=1e-10)  # the run's own bands show nothing
    assert checked(runner).residual > 0.01


def test_wrong_logits_of_one_output_show(monkeypatch):
    runner = runner_of(TinyFusion(1))
    right = runner.logits

    def wrong(inputs):
        found = right(inputs).clone()
        found[:, -1] *= 1.05
        return found

    monkeypatch.setattr(runner, "logits", wrong)
    assert checked(runner).residual > 0.001


def test_few_valid_pixels_beside_the_fixed_windows_are_checked_there():
    scene = tiny_scene()
    scene.valid[:] = False
    scene.valid[23:26, 28:31] = True
    found = checked(runner_of(TinyFusion(1)), scene=scene)
    assert found.windows == 1
    assert scene.valid[found.place]


def test_gated_contributions_have_no_rest_and_need_no_windows():
    assert checked(runner_of(TinyFusion(1)), Splitting(GATED, "channel")).windows == 0
