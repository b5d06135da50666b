"""The time that a run is estimated to take, told before its first tile."""

from __future__ import annotations

import re

import numpy as np
import pytest
from floelens.plugin.core.streaming import run_time
from floelens.plugin.core.streaming.engine import tiles_with_work
from floelens.plugin.core.streaming.run_time import Probe, announce, duration
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.ground.protocols import Patch
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import Listener


class Clock:
    """Time that passes only where work is done."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Slow:
    """A scene that takes some time for each pixel read; land on its left half if `land`."""

    def __init__(self, clock, side, land=False):
        self.rows = self.cols = side
        self.clock, self.land, self.reads = clock, land, 0

    def read(self, window):
        self.reads += window.rows * window.cols
        self.clock.now += 1e-7 * window.rows * window.cols
        valid = np.ones((window.rows, window.cols), bool)
        if self.land:
            valid[:, : max(0, self.cols * 2 // 3 - window.col)] = False
        return Patch(window, np.zeros((1, window.rows, window.cols), np.float32), np.zeros((0, 1, 1)), valid)


@pytest.mark.parametrize("land", [False, True])
@pytest.mark.parametrize(
    ("rate", "overhead", "first"), [(4e-6, 0.02, 0.0), (1e-4, 0.5, 9.0), (2e-8, 0.001, 0.1)]
)
def test_the_estimate_is_within_a_factor_of_two(monkeypatch, rate, overhead, first, land):
    """Work costs by pixel and by tile, and the first call something more."""
    clock = Clock()
    monkeypatch.setattr(run_time, "clock", clock)
    source = Slow(clock, 3000, land)
    whole = Window(0, 0, 3000, 3000)
    plan = Plan(whole, whole, 30, 25, 700, 700)
    calls = []

    def work(tile, patch):
        clock.now += overhead + rate * tile.input.rows * tile.input.cols + (0 if calls else first)
        calls.append(tile)

    listener = Listener()
    tiles = tiles_with_work(source, plan, listener, "Working", work, probe=Probe(work))
    next(tiles)
    told, before = listener.messages[0], clock.now  # said before the first tile was computed
    tried = [tile for tile in calls if tile.output.rows < 500]
    assert len(tried) == 2
    assert len(calls) == 3
    assert sum(tile.input.rows * tile.input.cols for tile in tried) <= 0.02 * 3120**2
    began = clock.now
    for _ in tiles:
        pass
    total = (clock.now - began) / (plan.count - 1) * plan.count
    number, unit = re.search(r"estimated time (\d+) (s|min)", told).groups()
    assert 0.5 <= float(number) * {"s": 1, "min": 60}[unit] / total <= 2 or total < 2
    assert before >= began - 1e-9


def test_only_what_is_needed_counts():
    clock = Clock()
    source, whole = Slow(clock, 4000), Window(0, 0, 4000, 4000)
    plan = Plan(whole, whole, 30, 25, 500, 500)
    seen = []
    probe = Probe(lambda tile, _patch: seen.append(tile), lambda tile: tile if tile.output.row == 0 else None)
    announce(source, plan, Listener(), "Working", probe)
    of_strip = sum(t.input.rows * t.input.cols for t in next(plan.strips()))
    assert 2 * seen[0].input.rows * seen[0].input.cols <= 0.02 * of_strip


def test_a_small_region_and_one_without_data_have_no_estimate():
    listener, clock = Listener(), Clock()
    whole = Window(0, 0, 150, 150)
    probe = Probe(lambda _tile, _patch: pytest.fail("nothing is tried"))
    assert (
        announce(Slow(clock, 150), Plan(whole, whole, 30, 25, 400, 400), listener, "Working", probe) is None
    )
    assert not listener.messages


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (95, "2 min"), (3600 * 3 + 23 * 60, "3 h 23 min")]
)
def test_times_are_in_words(seconds, words):
    assert duration(seconds) == words
