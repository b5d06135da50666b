"""Deletion and insertion of blocks: what follows from linearity, from order, and from where blocks lie."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from floelens.plugin.core.faithfulness.blocks import BlockGrid, BlockRelevance, sample_blocks, whole_cells
from floelens.plugin.core.faithfulness.curves import SHARES, Control
from floelens.plugin.core.faithfulness.run import plan_faithfulness, run_faithfulness
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import run_relevance
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import (
    RATIO,
    LinearFusion,
    Listener,
    TinyFusion,
    tiny_card,
    tiny_scene,
)

SIDE = 12
LINEAR_RADIUS = 9
TYPE = Target(head="type", class_name="old ice")


class Setting:
    """A network, a scene, and the relevance of its blocks by gradient x input."""

    def __init__(
        self,
        network,
        scene,
        target=TYPE,
        tile=1000,
        region=None,
        radius=LINEAR_RADIUS,
        precision="float64",
        fill=0.0,
    ):
        self.runner = Runner(tiny_card(radius=radius, fill=fill), network, "cpu", precision)
        self.scene, self.target = scene, target
        whole = scene_window(scene)
        self.plan = Plan(region or whole, whole, radius, self.runner.alignment, tile, tile)
        self.grid = BlockGrid(self.plan.region, SIDE, RATIO)
        self.seeding = target.resolve(self.runner.card)
        self.blocks = BlockRelevance(self.grid, self.seeding, radius, 2)
        self.result = run_relevance(self.runner, scene, self.plan, target, Method(), self.blocks, Silent())
        self.blocks.add_cells(self.result.coarse_relevance)

    def follow(self, control=None, progress=None, **settings):
        return run_faithfulness(
            self.runner,
            self.scene,
            self.plan,
            self.seeding,
            self.blocks,
            progress or Silent(),
            control,
            **settings,
        )


def whole_inputs(scene, fill=0.0):
    """Return a scene's standardised fine and coarse channels, by hand."""
    channels = tiny_card().channels
    fine = np.stack([(scene.fine[i].astype(float) - c.mean) / c.sd for i, c in enumerate(channels[:2])])
    coarse = np.stack([(scene.coarse[i].astype(float) - c.mean) / c.sd for i, c in enumerate(channels[2:])])
    return np.where(scene.valid, fine, fill), np.where(np.isfinite(coarse), coarse, fill)


def followed_by_hand(network, scene, away, levels=(0.0,) * 5, fill=0.0, logit=3):
    """Return mean logit and probability over valid pixels, with blocks put at a baseline; no tiles, no engine.

    `away` is a set of blocks (row, column), counted from the scene's first pixel.
    """
    fine, coarse = whole_inputs(scene, fill)
    for row, col in away:
        here = np.s_[row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE]
        for channel in range(2):
            fine[channel][here] = np.where(scene.valid[here], levels[channel], fine[channel][here])
        n = SIDE // RATIO
        here = np.s_[row * n : (row + 1) * n, col * n : (col + 1) * n]
        for channel in range(3):
            known = np.isfinite(scene.coarse[channel][here])
            coarse[channel][here] = np.where(known, levels[2 + channel], coarse[channel][here])
    network = copy.deepcopy(network).double().eval()
    with torch.no_grad():
        logits = network(torch.from_numpy(fine)[None], torch.from_numpy(coarse)[None])[0]
    chosen = torch.from_numpy(scene.valid)
    return logits[logit][chosen].mean().item(), logits[1:].softmax(0)[logit - 1][chosen].mean().item()


def counts_of(found, measure):
    return np.round(measure.shares * found.blocks).astype(int)


def test_on_a_linear_network_the_curves_are_sorted_cumulative_sums():
    setting = Setting(LinearFusion(), tiny_scene(), tile=19)
    found = setting.follow()
    logit = found.measures[0]
    # Relevance by blocks, independently: weight x input of the whole scene by autograd.
    scene = setting.scene
    fine, coarse = (torch.from_numpy(part)[None].requires_grad_() for part in whole_inputs(scene))
    network = copy.deepcopy(LinearFusion()).double()
    total = network(fine, coarse)[0, 3][torch.from_numpy(scene.valid)].sum()
    gradients = torch.autograd.grad(total, (fine, coarse))
    maps = [(g * x)[0].sum(0).detach().numpy() for g, x in zip(gradients, (fine, coarse))]
    n = SIDE // RATIO
    parts = sorted(
        (
            maps[0][r * SIDE : (r + 1) * SIDE, c * SIDE : (c + 1) * SIDE].sum()
            + maps[1][r * n : (r + 1) * n, c * n : (c + 1) * n].sum()
            for r, c in itertools.product(range(6), range(7))
        ),
        reverse=True,
    )
    assert found.blocks == len(parts) == 42
    lost = np.concatenate([[0.0], np.cumsum(parts)])[counts_of(found, logit)]
    np.testing.assert_allclose(
        logit.deletion, (total.item() - lost) / scene.valid.sum(), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(logit.insertion, lost / scene.valid.sum(), rtol=1e-10, atol=1e-10)


def test_curves_equal_forward_passes_over_the_whole_scene():
    # Bilinear, so that the cell nothing was measured in acts on valid pixels beside it.
    network, levels, fill = TinyFusion(bilinear=True), (0.3, -0.2, 0.1, 0.0, 0.5), 0.4
    setting = Setting(network, tiny_scene(41, 50), tile=17, fill=fill)
    found = setting.follow(Control(orders=2), baseline=levels)
    order = np.argwhere(setting.blocks.players)[np.argsort(-setting.blocks.sums[setting.blocks.players])]
    for name, measure in zip(("logit", "probability"), found.measures):
        assert measure.name == name
        for at in (0, 3, 7, len(measure.shares) - 1):
            count = counts_of(found, measure)[at]
            for curve, away in ((measure.deletion, order[:count]), (measure.insertion, order[count:])):
                expected = followed_by_hand(network, setting.scene, away, levels, fill)
                assert curve[at] == pytest.approx(expected[name == "probability"], rel=1e-10)
        assert measure.deletion[0] == measure.insertion[-1] == measure.random[0, 0]
        assert measure.deletion[-1] == measure.insertion[0] == measure.random[1, -1]


@pytest.mark.parametrize("network", [LinearFusion, TinyFusion])
def test_a_good_ranking_beats_random_order_and_its_reverse_is_worse(network):
    setting = Setting(network(), tiny_scene())
    good = setting.follow().measures[0].as_dict()
    setting.blocks.sums *= -1
    bad = setting.follow().measures[0].as_dict()
    assert good["deletion_area"] < good["random_area_low"]
    assert good["insertion_area"] > good["random_area_high"]
    assert bad["deletion_area"] > bad["random_area_high"]
    assert bad["insertion_area"] < bad["random_area_low"]


def test_random_order_of_a_linear_network_has_its_expected_area_exactly():
    setting = Setting(LinearFusion(), tiny_scene())
    for seed in range(3):
        logit = setting.follow(Control(orders=2, seed=seed)).measures[0]
        # Each block falls when its turn comes, on average halfway.
        expected = (logit.deletion[0] + logit.deletion[-1]) / 2
        areas = logit.random_areas
        assert np.mean(areas) == pytest.approx(expected, rel=1e-10)
        assert abs(areas[0] - expected) > 1e-4 * abs(expected)
        content = logit.as_dict()
        assert content["deletion_minus_random"] == pytest.approx(
            content["deletion_area"] - expected, rel=1e-9
        )


def test_random_curves_of_a_linear_network_lie_around_the_straight_line():
    setting = Setting(LinearFusion(), tiny_scene(gaps=False), region=Window(0, 0, 24, 24))
    found = setting.follow(Control(orders=600))
    logit, number = found.measures[0], found.blocks
    assert number == 4
    parts = setting.blocks.sums.ravel() / found.pixels
    share = logit.shares
    expected = logit.deletion[0] + share * (logit.deletion[-1] - logit.deletion[0])
    # Drawing k of n without replacement: variance k (1 - k/n) s².
    error = np.sqrt(share * number * (1 - share) * parts.var(ddof=1) / 300)
    assert (np.abs(logit.random.mean(0) - expected) <= 4 * error + 1e-12).all()
    spread = logit.random.std(0)[1:-1]
    assert np.allclose(spread, (error * np.sqrt(300))[1:-1], rtol=0.15)


@pytest.mark.parametrize(("precision", "share"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("most_pixels", [10**6, 4000])
def test_curves_do_not_depend_on_the_tiles(precision, share, most_pixels):
    control = Control(orders=2, most_pixels=most_pixels)
    scene, whole = tiny_scene(90, 110), None
    for tile in (1000, 29):
        setting = Setting(TinyFusion(), scene, tile=tile, precision=precision)
        found = setting.follow(control)
        whole = whole or found
        assert (found.pixels, found.blocks, found.windows) == (whole.pixels, whole.blocks, whole.windows)
        for a, b in zip(found.measures, whole.measures):
            for name in ("deletion", "insertion", "random"):
                np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=share, atol=share)
    assert (whole.windows > 0) == (most_pixels == 4000)


def test_a_sample_follows_the_change_of_the_whole_target():
    network, scene = TinyFusion(), tiny_scene(90, 110)
    setting = Setting(network, scene)
    found = setting.follow(Control(orders=2, most_pixels=4000))
    logit = found.measures[0]
    assert 0 < found.blocks <= 4000 // SIDE**2 < found.of_blocks
    chosen, _ = sample_blocks(setting.grid, setting.blocks.players, 4000, 0)
    number = scene.valid.sum()
    change = (
        followed_by_hand(network, scene, [])[0] - followed_by_hand(network, scene, np.argwhere(chosen))[0]
    )
    assert (logit.deletion[0] - logit.deletion[-1]) * found.pixels == pytest.approx(change * number, rel=1e-9)


def test_a_sample_is_drawn_by_whole_windows_and_holds_one_at_least():
    grid = BlockGrid(Window(0, 0, 480, 600), SIDE, RATIO)
    players = np.ones(grid.shape, bool)
    players[:8, :12] = False
    seen = set()
    for seed in range(4):
        chosen, windows = sample_blocks(grid, players, 100 * SIDE**2, seed)
        assert not (chosen & ~players).any()
        whole = chosen.reshape(10, 4, -1)[:, :, :48].reshape(10, 4, 12, 4).sum((1, 3))
        assert set(np.unique(whole)) == {0, 16}
        assert chosen.sum() <= 100
        assert windows in (6, 7)
        seen.add(chosen.tobytes())
    assert len(seen) == 4
    assert sample_blocks(grid, players, 1, 0)[1] == 1
    with pytest.raises(ParameterError, match="No block"):
        sample_blocks(grid, np.zeros(grid.shape, bool), 1, 0)


def test_only_blocks_that_can_act_on_the_target_take_part():
    row, col = 30, 31

    def point(window):
        mask = np.zeros((window.rows, window.cols), bool)
        if window.row <= row < window.row_stop and window.col <= col < window.col_stop:
            mask[row - window.row, col - window.col] = True
        return mask

    target = Target("type", "old ice", region=point)
    setting = Setting(LinearFusion(), tiny_scene(gaps=False), target, tile=13)
    expected = {
        (r // SIDE, c // SIDE)
        for r in range(row - LINEAR_RADIUS, row + LINEAR_RADIUS + 1)
        for c in range(col - LINEAR_RADIUS, col + LINEAR_RADIUS + 1)
    }
    assert {tuple(place) for place in np.argwhere(setting.blocks.players)} == expected
    found = setting.follow()
    assert found.pixels == 1
    assert found.blocks == len(expected)


def test_blocks_without_measurements_take_no_part():
    scene = tiny_scene(gaps=False)
    scene.valid[12:24, 24:36] = False  # no SAR in one block
    scene.valid[12:24, 36:48] = False  # nor in the next, nor radiometry
    scene.coarse[:, 3:6, 9:12] = np.nan
    players = Setting(LinearFusion(), scene).blocks.players
    assert players[1, 2]
    assert not players[1, 3]
    assert players.sum() == players.size - 1


def test_inputs_outside_an_extent_stay():
    region = Window(8, 12, 32, 40)
    setting = Setting(LinearFusion(), tiny_scene(gaps=False), region=region)
    assert setting.grid.shape == (4, 4)  # from row 8 in block 0 to row 39 in block 3
    found = setting.follow()
    logit = found.measures[0]
    lost = (logit.deletion[0] - logit.deletion[-1]) * found.pixels
    conservation = setting.result.conservation
    assert lost == pytest.approx(conservation.target_sum - conservation.outside_region, rel=1e-9)
    assert conservation.outside_region != 0


def test_the_predicted_class_is_that_of_the_whole_inputs():
    scene = tiny_scene(41, 50)
    network = TinyFusion()
    setting = Setting(network, scene, Target("type"), tile=20)
    found = setting.follow(Control(orders=2))
    with torch.no_grad():
        inputs = [torch.from_numpy(part)[None] for part in whole_inputs(scene)]
        net = copy.deepcopy(network).double().eval()
        before = net(*inputs)[0, 1:]
        blank = net(*(torch.zeros_like(part) for part in inputs))[0, 1:]
    chosen = before.argmax(0)
    after = blank.gather(0, chosen[None])[0][torch.from_numpy(scene.valid)].mean()
    assert (blank.argmax(0) != chosen)[torch.from_numpy(scene.valid)].any()
    assert found.measures[0].deletion[-1] == pytest.approx(after.item(), rel=1e-10)
    p = blank.softmax(0).gather(0, chosen[None])[0][torch.from_numpy(scene.valid)].mean()
    assert found.measures[1].deletion[-1] == pytest.approx(p.item(), rel=1e-10)


def test_a_contrast_follows_the_difference_of_logits():
    scene, network = tiny_scene(41, 50), TinyFusion()
    found = [
        Setting(network, scene, Target("type", *classes)).follow(Control(orders=2))
        for classes in (("old ice", "water"), ("old ice",), ("water",))
    ]
    ends = [(f.measures[0].deletion[0], f.measures[0].deletion[-1]) for f in found]
    np.testing.assert_allclose(ends[0], np.subtract(ends[1], ends[2]), rtol=1e-10)
    assert found[0].measures[1].deletion[0] == found[1].measures[1].deletion[0]


def test_few_blocks_have_few_steps_and_ends_at_nothing_and_all():
    region = Window(0, 0, 12, 36)
    found = Setting(TinyFusion(), tiny_scene(gaps=False), region=region).follow()
    assert found.measures[0].shares.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    alone = Setting(TinyFusion(), tiny_scene(gaps=False), region=Window(0, 0, 12, 12)).follow()
    content = alone.measures[0].as_dict()
    assert alone.blocks == 1
    assert content["deletion_minus_random"] == pytest.approx(0, abs=1e-12)


def test_the_content_is_plain():
    import json

    content = Setting(TinyFusion(), tiny_scene(41, 50)).follow(Control(orders=2)).as_dict()
    assert json.loads(json.dumps(content)) == content
    assert [measure["measure"] for measure in content["measures"]] == ["logit", "probability"]
    assert len(content["shares"]) == len(SHARES)
    logit = content["measures"][0]
    assert logit["random_insertion"]["mean"] == logit["random_deletion"]["mean"][::-1]


def test_cancel_stops_between_two_forward_passes():
    setting, passes = Setting(TinyFusion(), tiny_scene()), []
    plain = setting.runner.logits

    class Impatient(Silent):
        def cancelled(self):
            return len(passes) >= 5

    setting.runner.logits = lambda inputs: passes.append(1) or plain(inputs)
    with pytest.raises(Cancelled):
        setting.follow(progress=Impatient())
    assert len(passes) == 5
    listener = Listener()
    setting.runner.logits = plain
    setting.follow(Control(orders=2), listener)
    assert listener.fractions[-1] == 1.0


def test_a_region_without_valid_pixels_is_a_sentence():
    setting = Setting(TinyFusion(), tiny_scene())
    nothing = BlockRelevance(setting.grid, setting.seeding, LINEAR_RADIUS, 2)
    nothing.write(np.full((2, setting.scene.rows, setting.scene.cols), np.nan))
    nothing.add_cells(setting.result.coarse_relevance)
    setting.blocks = nothing
    with pytest.raises(ParameterError, match=r"No block .* can act on the target.*Choose another"):
        setting.follow()


def test_logits_that_are_not_finite_without_a_block_are_a_sentence():
    from floelens.plugin.ground.errors import NumericalError

    setting = Setting(TinyFusion(), tiny_scene())
    with pytest.raises(NumericalError, match="not finite at rows 0"):
        setting.follow(baseline=(float("inf"), 0.0, 0.0, 0.0, 0.0))


def test_random_orders_come_in_pairs():
    for number in (0, 1, 3):
        with pytest.raises(ParameterError, match="even"):
            Control(orders=number)


def test_a_side_is_a_whole_number_of_cells():
    assert [whole_cells(50, ratio) for ratio in (1, 4, 25, 30, 200)] == [50, 48, 50, 60, 200]


def test_memory_sets_the_tiles():
    setting = Setting(TinyFusion(), tiny_scene())
    small, large = (
        plan_faithfulness(setting.runner, setting.scene, setting.plan.region, memory) for memory in (6, 500)
    )
    assert small.tile_rows < large.tile_rows
    with pytest.raises(ParameterError, match="too little"):
        plan_faithfulness(setting.runner, setting.scene, setting.plan.region, 1)
