"""Replicas: mean and standard deviation of whole explanations, whatever the tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.random_fields import normal_deviates, uniform_deviates
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.relevance.uncertainty import Uncertainty
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import ListSink, TinyFusion, tiny_card, tiny_scene

SCENE = tiny_scene(41, 50)


def runner_of(seed=0, precision="float64", **card):
    return Runner(tiny_card(**card), TinyFusion(seed), "cpu", precision)


def explain(runner, uncertainty=None, method=None, target=None, side=1000):
    """Return result and map."""
    whole = SCENE.window
    plan = Plan(whole, whole, runner.radius, runner.alignment, side, side)
    sink = ListSink()
    target = target or Target("type", "old ice")
    method = method or Method()
    return run_relevance(runner, SCENE, plan, target, method, sink, Silent(), uncertainty), sink.values


def far(found, expected):
    return np.nanmax(np.abs(found - expected)) / np.nanmax(np.abs(expected))


KINDS = {
    "smoothgrad": lambda: Uncertainty("smoothgrad", samples=3, noise=0.3, seed=4),
    "dropout": lambda: Uncertainty("dropout", samples=3, seed=4),
    "ensemble": lambda: Uncertainty("ensemble", members=(runner_of(1), runner_of(2))),
}


def test_deviates_belong_to_places_and_are_normal():
    whole = normal_deviates("key", Window(0, 0, 300, 400))
    assert (normal_deviates("key", Window(120, 250, 30, 40)) == whole[120:150, 250:290]).all()
    assert abs(whole.mean()) < 0.01
    assert abs(whole.std() - 1) < 0.01
    assert abs((np.abs(whole) > 1.96).mean() - 0.05) < 0.003
    beside = np.corrcoef(whole[:, 1:].ravel(), whole[:, :-1].ravel())[0, 1]
    other = np.corrcoef(whole.ravel(), normal_deviates("another", Window(0, 0, 300, 400)).ravel())[0, 1]
    assert max(abs(beside), abs(other)) < 0.015
    uniform = uniform_deviates("key", Window(0, 0, 300, 400))
    assert uniform.min() > 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["gradient_x_input", "lrp_epsilon", "integrated_gradients"])
def test_tiles_do_not_matter(kind, method):
    method = Method(method, steps=3, refine=False, tolerance=1.0)
    whole, expected = explain(runner_of(), KINDS[kind](), method)
    tiled, found = explain(runner_of(), KINDS[kind](), method, side=13)
    assert found.shape == (4, 41, 50)
    assert far(found[:2], expected[:2]) < 1e-10
    assert far(found[2:], expected[2:]) < 1e-10
    assert far(tiled.coarse_relevance, whole.coarse_relevance) < 1e-10
    assert tiled.conservation.relative_residual == pytest.approx(
        whole.conservation.relative_residual, abs=1e-10
    )
    assert method.name == "integrated_gradients" or tiled.conservation.relative_residual < 1e-12


def test_an_ensemble_is_mean_and_deviation_of_its_members():
    maps = [explain(runner_of(seed)) for seed in (0, 1, 2)]
    result, found = explain(runner_of(), KINDS["ensemble"]())
    alone = np.stack([values for _, values in maps])
    assert far(found[:2], alone.mean(0)) < 1e-12
    assert far(found[2:], alone.std(0, ddof=1)) < 1e-12
    targets = [result.conservation.target_sum for result, _ in maps]
    assert result.conservation.target_sum == pytest.approx(np.mean(targets))
    assert result.pixels == maps[0][0].pixels
    expected = np.mean([single.coarse_relevance for single, _ in maps], axis=0)
    assert far(result.coarse_relevance, expected) < 1e-12


def test_smoothgrad_is_the_mean_of_its_replicas_of_the_gradient():
    settings = {"samples": 4, "noise": 0.3, "seed": 8}
    _, expected = explain(runner_of(), method=Method("smoothgrad", **settings))
    _, found = explain(runner_of(), Uncertainty("smoothgrad", **settings), Method("smoothgrad", **settings))
    _, gradients = explain(runner_of(), Uncertainty("smoothgrad", **settings), Method("gradient"))
    assert far(found[:2], expected) < 1e-12
    assert far(gradients[:2], expected) < 1e-12
    assert np.nanmin(found[2:]) >= 0
    assert np.nanmax(found[2:]) > 0


def test_dropped_units_scatter_relevance_and_conserve_it():
    result, found = explain(runner_of(), Uncertainty("dropout", samples=6, seed=1))
    assert np.nanmedian(found[2:]) > 0
    assert result.conservation.relative_residual < 1e-12
    other = explain(runner_of(), Uncertainty("dropout", samples=6, seed=2))[1]
    assert far(found, other) > 0.01


def test_all_replicas_explain_the_class_that_is_predicted_without_noise():
    runner = runner_of()
    from floelens.tests.plugin.core.relevance.test_run import standardised

    with torch.no_grad():
        logits = runner.module(*standardised(SCENE))[0, 1:]
    predicted = logits.argmax(0).numpy()
    uncertainty = Uncertainty("smoothgrad", samples=2, noise=2.0)
    _, found = explain(runner, uncertainty, target=Target("type"), side=20)
    parts = 0
    for index, name in enumerate(("water", "young ice", "old ice")):
        target = Target("type", name, region=lambda w, i=index: (predicted == i)[w.slices()])
        if (predicted[SCENE.valid] == index).any():
            parts = parts + explain(runner, uncertainty, target=target)[1][:2]
    assert far(found[:2], parts) < 1e-10


def test_plans_hold_the_strips_of_all_replicas():
    runner = runner_of(precision="float32")
    one, many = (
        plan_relevance(runner, SCENE, SCENE.window, Method(), 32, uncertainty).tile_rows
        for uncertainty in (None, Uncertainty("smoothgrad", samples=200))
    )
    assert many < one
    wide = Uncertainty("ensemble", members=(runner_of(1, "float32", radius=20),))
    assert plan_relevance(runner, SCENE, SCENE.window, Method(), 64, wide).radius == 20


def test_what_does_not_fit_is_a_sentence():
    odd = tiny_card()
    odd.heads = odd.heads[1:]
    member = Runner(odd, TinyFusion(), "cpu")
    with pytest.raises(ModelError, match="has other heads and classes than"):
        explain(runner_of(), Uncertainty("ensemble", members=(member,)))
    dry = runner_of()
    dry.module.drop1 = torch.nn.Identity()
    with pytest.raises(ModelError, match="has no dropout to sample"):
        explain(dry, Uncertainty("dropout"))
    for settings, says in (
        ({"kind": "guess"}, "Unknown UNCERTAINTY 'guess'"),
        ({"kind": "dropout", "samples": 1}, "at least 2 SAMPLES"),
        ({"kind": "smoothgrad", "noise": 0}, "NOISE above 0"),
        ({"kind": "ensemble"}, "set ENSEMBLE"),
        ({"kind": "none", "members": (member,)}, "leave ENSEMBLE empty"),
    ):
        with pytest.raises(ParameterError, match=says):
            Uncertainty(**settings)
