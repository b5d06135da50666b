"""What is lost without a group: by definition, by all orders, whatever the tiles."""

from __future__ import annotations

import copy
from itertools import permutations

import numpy as np
import pytest
import torch
from floelens.plugin.core.ablation.run import Ablator, plan_ablation, run_ablation
from floelens.plugin.core.ablation.shapley import coalitions, shapley_values
from floelens.plugin.core.streaming.tiling import LARGEST_SIDE, Plan
from floelens.plugin.core.target.baselines import BlurredSource, PairedSource
from floelens.plugin.core.target.channel_groups import ChannelGroup, channel_groups
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.contributions.test_run import EveryLayer, full_card, runner_of
from floelens.tests.plugin.core.tiny_networks import (
    RATIO,
    LinearFusion,
    Listener,
    ListSink,
    TinyFusion,
    tiny_scene,
)

TYPE = Target(head="type", class_name="old ice", reference_class="water")
ICE = Target(head="concentration")


def ablator_of(runner, kind="channel", target=TYPE, **settings):
    return Ablator(runner, target.resolve(runner.card), channel_groups(runner.card, kind), **settings)


def ablate(runner, ablator, source=None, side=1000, progress=None):
    source = source or tiny_scene()
    whole = Window(0, 0, source.rows, source.cols)
    plan = Plan(whole, whole, runner.radius, runner.alignment, side, side)
    sink = ListSink()
    return run_ablation(runner, source, plan, ablator, sink, progress or Silent()), sink.values


def answers(network, source, without=(), baseline=None):
    """Return the plain network's logits (output, row, column), channels `without` at 0 or at a baseline's."""
    module = copy.deepcopy(network).double().eval()
    channels = full_card().channels

    def standard(scene):
        fine = np.stack([(scene.fine[i].astype(float) - channels[i].mean) / channels[i].sd for i in range(2)])
        coarse = np.stack(
            [(scene.coarse[i].astype(float) - channels[2 + i].mean) / channels[2 + i].sd for i in range(3)]
        )
        return np.nan_to_num(np.where(scene.valid, fine, 0)), np.nan_to_num(coarse)

    fine, coarse = standard(source)
    other_fine, other_coarse = (0 * fine, 0 * coarse) if baseline is None else standard(baseline)
    for channel in without:
        if channel < 2:
            fine[channel] = other_fine[channel]
        else:
            coarse[channel - 2] = other_coarse[channel - 2]
    with torch.no_grad():
        return module(torch.from_numpy(fine)[None], torch.from_numpy(coarse)[None])[0].numpy()


def contrast(logits):
    return logits[3] - logits[1]


def shapley_by_orders(value, players):
    """Return the mean of what each player adds over all orders in which they may come."""
    total = 0
    orders = list(permutations(range(players)))
    for order in orders:
        adds = [None] * players
        for place, player in enumerate(order):
            with_it, before = set(order[: place + 1]), set(order[:place])
            adds[player] = value(tuple(sorted(with_it))) - value(tuple(sorted(before)))
        total = total + np.stack(adds) / len(orders)
    return total


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_shapley_values_are_the_mean_over_all_orders(players):
    draw = np.random.default_rng(players)
    table = {members: draw.normal(size=(2, 3)) for members in coalitions(players)}
    found = shapley_values(table.__getitem__, players)
    np.testing.assert_allclose(found, shapley_by_orders(table.__getitem__, players), atol=1e-12)
    everyone = table[tuple(range(players))] - table[()]
    np.testing.assert_allclose(found.sum(axis=0), everyone, atol=1e-12)


def test_too_many_players_are_refused():
    with pytest.raises(ValueError, match="2048 runs"):
        shapley_values(lambda _members: np.zeros(1), 11)


@pytest.mark.parametrize(
    "network", [TinyFusion(1), TinyFusion(2, bilinear=True), EveryLayer(), LinearFusion()]
)
def test_a_band_is_the_logit_with_a_group_minus_without_it(network):
    runner, scene = runner_of(network), tiny_scene(48, 56)
    _, bands = ablate(runner, ablator_of(runner, quantity="logit"), scene)
    whole = contrast(answers(network, scene))
    for channel in range(5):
        expected = whole - contrast(answers(network, scene, [channel]))
        np.testing.assert_allclose(bands[channel][scene.valid], expected[scene.valid], rtol=0, atol=1e-10)
    assert np.isnan(bands[:, ~scene.valid]).all()


@pytest.mark.parametrize("network", [TinyFusion(1), EveryLayer(), LinearFusion()])
def test_shapley_values_of_a_network_are_those_of_all_orders_of_all_channels(network):
    """Also where channels that are linear have none of the enumeration."""
    runner, scene = runner_of(network), tiny_scene(24, 28, gaps=False)
    result, _ = ablate(runner, ablator_of(runner), scene)
    values = {
        members: contrast(answers(network, scene, [c for c in range(5) if c not in members]))
        for members in coalitions(5)
    }
    expected = shapley_by_orders(values.__getitem__, 5)
    np.testing.assert_allclose([e.shapley for e in result.effects[:-1]], expected.mean((1, 2)), atol=1e-10)
    np.testing.assert_allclose(
        [e.shapley_abs for e in result.effects[:-1]], np.abs(expected).mean((1, 2)), atol=1e-10
    )
    everything = (values[tuple(range(5))] - values[()]).mean()
    assert result.effects[-1].shapley == pytest.approx(everything, abs=1e-10)
    assert result.efficiency < 1e-10


def test_linear_channels_are_found_and_need_no_run_of_their_own():
    fusion, mixed, linear = (runner_of(network) for network in (TinyFusion(1), EveryLayer(), LinearFusion()))
    assert ablator_of(fusion).linear == (False, False, True, True, True)
    assert ablator_of(mixed).linear == (False,) * 5
    assert ablator_of(linear).linear == (True,) * 5
    for runner, runs in (
        (fusion, 2 + 2 + 1),
        (linear, 2),
        (mixed, 2**5),
    ):  # whole, nothing; each; all other sets
        assert ablate(runner, ablator_of(runner), tiny_scene(48, 56))[0].runs == runs
    assert ablate(fusion, ablator_of(fusion, shapley=False))[0].runs == 2 + 2


def test_the_table_tells_of_the_map_and_its_classes():
    network, scene = TinyFusion(1), tiny_scene(48, 56)
    runner = runner_of(network)
    result, bands = ablate(runner, ablator_of(runner, "sensor", ICE), scene)
    whole = answers(network, scene)[0][scene.valid]
    for effect, members in zip(result.effects, ([0, 1], [2, 3], [4], range(5))):
        lost = answers(network, scene, members)[0][scene.valid]
        percent = 100 / (1 + np.exp(-whole)) - 100 / (1 + np.exp(-lost))
        assert effect.mean_change == pytest.approx((whole - lost).mean(), abs=1e-10)
        assert effect.mean_abs_change == pytest.approx(np.abs(whole - lost).mean(), abs=1e-10)
        assert effect.rmse_map == pytest.approx(np.sqrt((percent**2).mean()), abs=1e-9)
        assert effect.class_changed == pytest.approx(((whole > 0) != (lost > 0)).mean())
        assert effect.large_change == pytest.approx((np.abs(percent) > 10).mean())
    assert [effect.name for effect in result.effects] == ["sar", "mwr", "weather", "all"]
    assert 0 < result.effects[0].class_changed < 1
    np.testing.assert_allclose(
        bands[0][scene.valid],
        100 / (1 + np.exp(-whole)) - 100 / (1 + np.exp(-answers(network, scene, [0, 1])[0][scene.valid])),
        atol=1e-9,
    )


def test_a_map_of_classes_changes_where_the_largest_logit_does():
    network, scene = TinyFusion(1), tiny_scene(48, 56)
    runner = runner_of(network)
    result, bands = ablate(runner, ablator_of(runner, "sensor", Target(head="type")), scene)
    whole, lost = (answers(network, scene, without)[1:, scene.valid] for without in ([], [0, 1]))
    expected = (whole.argmax(0) != lost.argmax(0)).mean()
    assert result.effects[0].class_changed == pytest.approx(expected)
    p, q = (np.exp(x) / np.exp(x).sum(0) for x in (whole, lost))
    chosen = whole.argmax(0)[None]
    change = 100 * (np.take_along_axis(p, chosen, 0) - np.take_along_axis(q, chosen, 0))[0]
    np.testing.assert_allclose(bands[0][scene.valid], change, atol=1e-9)


SIGMA = 3.1


def paired(kind):
    scene = tiny_scene()
    if kind == "mean":
        return scene
    other = BlurredSource(scene, RATIO, SIGMA) if kind == "blur" else tiny_scene(80, 90, seed=9)
    return PairedSource(scene, other, RATIO)


@pytest.mark.parametrize("kind", ["mean", "blur", "scene"])
@pytest.mark.parametrize(("precision", "within"), [("float64", 1e-10), ("float32", 1e-5)])
def test_tiled_ablation_equals_that_of_the_whole_scene(kind, precision, within):
    runner = runner_of(TinyFusion(1), precision)
    ablator = ablator_of(runner, quantity="logit")
    whole_result, whole = ablate(runner, ablator, paired(kind))
    result, tiled = ablate(runner, ablator, paired(kind), side=17)
    assert np.nanmax(np.abs(tiled - whole)) < within * np.nanmax(np.abs(whole))
    assert (np.isnan(tiled) == ~tiny_scene().valid).all()
    found, expected = ([e.shapley for e in r.effects] for r in (result, whole_result))
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * within)
    assert max(result.efficiency, whole_result.efficiency) < {"float64": 1e-10, "float32": 1e-6}[precision]


def test_the_blur_is_a_gaussian_mean_over_what_is_known():
    scene = tiny_scene()
    part = BlurredSource(scene, RATIO, SIGMA).read(Window(8, 12, 16, 20))
    rows, cols = np.mgrid[0 : scene.rows, 0 : scene.cols]
    reach = int(3 * SIGMA + 0.5)
    for row, col, channel in ((9, 14, 0), (20, 30, 1), (12, 18, 1)):
        near = (abs(rows - row) <= reach) & (abs(cols - col) <= reach) & scene.valid
        weight = np.where(near, np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / (2 * SIGMA**2)), 0)
        expected = (weight * np.nan_to_num(scene.fine[channel])).sum() / weight.sum()
        assert part.fine[channel, row - 8, col - 12] == pytest.approx(expected, rel=1e-6)
    assert (part.valid == scene.valid[8:24, 12:32]).all()


def test_another_scene_stands_in_for_a_channel():
    network, scene, other = TinyFusion(1), tiny_scene(48, 56), tiny_scene(48, 56, seed=9)
    runner = runner_of(network)
    _, bands = ablate(runner, ablator_of(runner, quantity="logit"), PairedSource(scene, other, RATIO))
    for channel in (1, 3):
        expected = contrast(answers(network, scene)) - contrast(answers(network, scene, [channel], other))
        np.testing.assert_allclose(bands[channel][scene.valid], expected[scene.valid], rtol=0, atol=1e-10)


def test_what_cannot_be_done_is_a_sentence():
    runner = runner_of(TinyFusion(1))
    seeding = TYPE.resolve(runner.card)
    with pytest.raises(ParameterError, match="Unknown QUANTITY 'p'"):
        ablator_of(runner, quantity="p")
    many = tuple(ChannelGroup(f"g{i}", (0,)) for i in range(11))
    with pytest.raises(ParameterError, match=r"2048 times; 10 groups are the most. Choose larger groups"):
        Ablator(runner, seeding, many)
    assert Ablator(runner, seeding, many, shapley=False).bent == tuple(range(11))
    with pytest.raises(ParameterError, match="fewer than the 61 x 74"):
        PairedSource(tiny_scene(), tiny_scene(60, 74), RATIO)
    with pytest.raises(ParameterError, match="wider than 0"):
        BlurredSource(tiny_scene(), RATIO, 0.0)


def test_cancel_comes_through():
    runner = runner_of(TinyFusion(1))
    with pytest.raises(Cancelled):
        ablate(runner, ablator_of(runner), side=17, progress=Listener(stop_after=1))


def test_a_network_with_a_layer_that_cannot_be_followed_is_run_for_every_group():
    network = TinyFusion(1)
    network.relu2 = torch.nn.Softsign()
    runner, scene = runner_of(network), tiny_scene(24, 28)
    ablator = ablator_of(runner, quantity="logit")
    assert ablator.linear == (False,) * 5
    result, bands = ablate(runner, ablator, scene)
    expected = contrast(answers(network, scene)) - contrast(answers(network, scene, [3]))
    np.testing.assert_allclose(bands[3][scene.valid], expected[scene.valid], rtol=0, atol=1e-10)
    assert result.efficiency < 1e-10


def test_tiles_shrink_with_the_memory():
    runner, scene = runner_of(TinyFusion(1), "float32"), tiny_scene()
    ablator = ablator_of(runner)
    sides = [
        plan_ablation(runner, scene, scene.window, ablator, memory).tile_rows for memory in (4, 16, 4096)
    ]
    assert sides[0] < sides[1] < sides[2] == LARGEST_SIDE
