"""What a stamp changes in a scene is, for a linear network, the stamp itself; sums and places are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.ranking import rank
from floelens.plugin.core.benchmarks.stamps.places import places_of
from floelens.plugin.core.benchmarks.stamps.scene import MISMATCH, MethodChanges, SceneStudy, method_of
from floelens.plugin.core.benchmarks.stamps.stamps import Stamp, StampSettings
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.rankings import Judged
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import (
    RADIUS,
    LinearFusion,
    ListSink,
    TinyFusion,
    tiny_card,
    tiny_scene,
)
from torch import nn

WORDS = "bright_point", "dark_lead", "mwr_offset"


def study_of(network, target: Target, number: int = 4, rows: int = 150, cols: int = 160) -> SceneStudy:
    runner = Runner(tiny_card(), network, "cpu", "float64")
    source = tiny_scene(rows, cols, gaps=False)
    stamps = tuple(Stamp.of(word, runner.card, StampSettings()) for word in WORDS)
    places = places_of(runner, source, source.window, stamps, number, 3)
    return SceneStudy(runner, source, target, stamps, "random", places, 3)


def test_a_linear_network_changes_its_relevance_on_the_stamp_alone_and_by_all_of_the_logit():
    study = study_of(LinearFusion(), Target("concentration"))
    for each in study.method_changes(
        "gradient_x_input", method_of("gradient_x_input", 2, 2, 0), lambda _: None
    ):
        assert each.scores["mass"] == pytest.approx(1.0, abs=1e-9)
        assert each.scores["within_field"] == pytest.approx(1.0, abs=1e-9)
        assert each.scores["overlap"] == pytest.approx(1.0)
        assert each.scores["mismatch"] == pytest.approx(0.0, abs=1e-9)
        assert each.relevance_sums == pytest.approx(each.logits, abs=1e-9)
        # Whichever way the logits go: relevance on the stamp goes the same way.
        assert (each.scores["distance"] < 1.0).all()
        agreement = each.agreement(0)
        assert agreement["sum_slope"] == pytest.approx((1.0, 1.0, 1.0), abs=1e-6)
        # Of a linear network the logits change by the same amount at all places, but for rounding.
        assert "sum_correlation" not in agreement


def test_sums_of_random_sign_and_noise_around_a_stamp_are_not_recommended():
    # Of the right size, and of the right sign in half of the places.
    useless = np.where(np.arange(24) % 2, 0.0, 1.0)
    fair = np.where(np.arange(24) % 6, 0.1, 1.0)
    ranking = rank([Judged("useless", "x", {"mismatch": useless}, 1.0)], MISMATCH, 0)
    assert ranking.recommended is None
    assert rank([Judged("fair", "x", {"mismatch": fair}, 1.0)], MISMATCH, 0).recommended == "fair"
    study = study_of(LinearFusion(), Target("concentration"))
    stamp = study.stamps[0]
    noise = next(each for each in study.controls(stamp) if each.method == "random").scores["within_field"]
    place, mask = study.places[0], study.masks(stamp)[0]
    row, col = np.argwhere(mask)[0] + (place.core.row - place.seen.row, place.core.col - place.seen.col)
    rows, cols = (
        min(at + RADIUS + 1, side) - max(at - RADIUS, 0)
        for at, side in ((row, place.seen.rows), (col, place.seen.cols))
    )
    assert noise[0] == pytest.approx(rows * cols / (place.seen.rows * place.seen.cols), abs=0.05)
    assert (noise < 0.95).all()


def test_agreement_is_that_of_pearson_and_of_least_squares_through_the_origin():
    draw = np.random.default_rng(4)
    logits = draw.standard_normal(12)
    sums = 0.5 * logits + 0.1 * draw.standard_normal(12)
    found = MethodChanges("lrp_0", "bright_point", {}, sums, logits, 0, 0.0, (), True).agreement(1)
    value, low, high = found["sum_correlation"]
    assert value == pytest.approx(np.corrcoef(logits, sums)[0, 1])
    assert low < value < high
    assert found["sum_slope"][0] == pytest.approx(np.linalg.lstsq(logits[:, None], sums, rcond=None)[0][0])


def map_of_the_scene(study: SceneStudy, source, method, place) -> np.ndarray:
    """Return the map of a scene whose logits at a place are explained, over what is seen there."""

    def region(window: Window) -> np.ndarray:
        mask = np.zeros((window.rows, window.cols), bool)
        shared = window.intersection(place.tile.output)
        mask[shared.slices(window)] = not shared.empty
        return mask

    target = replace(study.target, region=region)
    plan = plan_relevance(study.runner, source, source.window, method, 512)
    sink = ListSink()
    run_relevance(study.runner, source, plan, target, method, sink, Silent())
    return sink.values[(slice(None), *place.seen.slices())]


@pytest.mark.parametrize("name", ["integrated_gradients", "gradient", "occlusion"])
def test_the_change_is_the_map_of_the_stamped_scene_minus_that_of_the_scene(name):
    study = study_of(TinyFusion(), Target("concentration"), number=3)
    stamp, place, mask = study.stamps[0], study.places[1], study.masks(study.stamps[0])[1]
    method = replace(method_of(name, 8, 2, 0), patch=20)
    changes = study.method_changes(name, method, lambda _: None)[0]
    stamped = tiny_scene(150, 160, gaps=False)
    where = np.argwhere(study.truth(stamp, place, mask))
    assert len(where) == 1
    channel, row, col = where[0]
    stamped.fine[channel, row + place.seen.row, col + place.seen.col] += stamp.change
    after, before = (map_of_the_scene(study, each, method, place) for each in (stamped, study.source))
    scale = np.abs(after).max()
    np.testing.assert_allclose(changes.relevance[1], after - before, atol=1e-6 * scale)
    assert np.abs(after - before).max() > 1e-3 * scale
    if name == "gradient":
        assert "mismatch" not in changes.scores
        assert changes.agreement(0) == {}
    else:
        off = np.abs(changes.relevance_sums - changes.logits)
        expected = off / (np.abs(changes.relevance_sums) + np.abs(changes.logits))
        assert changes.scores["mismatch"] == pytest.approx(expected)
        assert name == "occlusion" or expected.max() < 0.2


def test_places_lie_in_the_region_apart_from_each_other_and_away_from_gaps():
    source = tiny_scene(220, 230, gaps=False)
    source.valid[:60] = False
    runner = Runner(tiny_card(), TinyFusion(), "cpu", "float64")
    region = Window(0, 0, 220, 200)
    stamps = [Stamp.of("dark_lead", runner.card, StampSettings())]
    places = places_of(runner, source, region, stamps, 50, 0)
    assert len(places) > 3
    taken = np.zeros((220, 230), int)
    for place in places:
        assert place.core.intersection(region) == place.core
        assert source.valid[place.tile.output.slices()].all()
        assert place.seen.rows >= place.core.rows + 2 * RADIUS
        taken[place.seen.slices()] += 1
    assert taken.max() == 1
    assert not taken[:, 200:].any()
    source.valid[:] = False
    with pytest.raises(SceneError, match="room for 0 stamps"):
        places_of(runner, source, region, stamps, 5, 0)


def test_a_cells_change_is_shared_out_to_its_pixels():
    study = study_of(TinyFusion(), Target("concentration"), number=3)
    stamp, place = study.stamps[2], study.places[0]
    cells = place.seen.coarser(4)
    values = np.random.default_rng(0).standard_normal((3, cells.rows, cells.cols))
    pixels = study.by_pixel(stamp, place, values)
    assert pixels.shape == (place.seen.rows, place.seen.cols)
    assert pixels[0, 0] == pytest.approx(values[:, 0, 0].sum() / 16)
    assert pixels[5, 9] == pytest.approx(values[:, 1, 2].sum() / 16)


class OfSarAlone(nn.Module):
    """A network without radiometer."""

    def __init__(self) -> None:
        super().__init__()
        self.network = LinearFusion()

    def forward(self, fine, coarse):
        return self.network.output(torch.cat([self.network.conv(fine)] * 2 + [fine], 1))


def test_a_network_without_radiometer_is_studied_too():
    card = tiny_card()
    card.channels = tuple(channel for channel in card.channels if channel.sensor == "sar")
    runner = Runner(card, OfSarAlone(), "cpu", "float64")
    source = tiny_scene(150, 160, gaps=False)
    source.coarse, source.ratio = source.coarse[:0], card.ratio
    stamps = tuple(Stamp.of(word, card, StampSettings()) for word in WORDS[:2])
    places = places_of(runner, source, source.window, stamps, 3, 3)
    study = SceneStudy(runner, source, Target("concentration"), stamps, "random", places, 3)
    found = study.method_changes("lrp_0", method_of("lrp_0", 2, 2, 0), lambda _: None)
    for each in found:
        assert each.relevance_sums == pytest.approx(each.logits, abs=1e-9)
        assert each.scores["mass"] == pytest.approx(1.0, abs=1e-9)
