"""Reading ahead, computing ahead, writing behind: in order, with all errors, and without a thread left."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from floelens.plugin.core.streaming.pipeline import computed_ahead, read_ahead, writing_behind
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import ListSink


def test_what_the_source_raises_while_reading_ahead_is_raised_here():
    class Broken:
        def read(self, window):
            if window.row == 3:
                raise SceneError("the file ends here")
            return window

    patches = read_ahead(Broken(), (Window(row, 0, 1, 1) for row in range(9)))
    assert [next(patches).row for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SceneError, match="ends here"):
        next(patches)


def test_reading_ahead_waits_and_ends_when_it_is_closed():
    class Counting:
        number = 0

        def read(self, window):
            self.number += 1
            return window

    source, before = Counting(), threading.active_count()
    patches = read_ahead(source, (Window(row, 0, 1, 1) for row in range(1000)))
    next(patches)
    patches.close()
    assert source.number <= 5
    assert threading.active_count() == before


def test_strips_written_behind_keep_their_order_and_errors():
    sink = ListSink()
    with writing_behind(sink) as behind:
        for row in range(7):
            behind.write(np.full((1, 1, 1), row))
    assert sink.values.ravel().tolist() == list(range(7))

    class Full:
        def write(self, values):
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"), writing_behind(Full()) as behind:
        behind.write(np.zeros((1, 1, 1)))


def product(tile, patch):
    return tile * patch


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_what_is_computed_ahead_comes_in_order(ahead):
    pairs = [(number, number + 1) for number in range(9)]
    found = list(computed_ahead(iter(pairs), product, ahead))
    assert found == [(pair, pair[0] * pair[1]) for pair in pairs]
    assert list(computed_ahead(iter([]), product, ahead)) == []


def test_as_many_are_computed_at_the_same_time_as_is_said():
    meeting = threading.Barrier(3, timeout=60)
    pairs = [(number, 0) for number in range(6)]
    found = list(computed_ahead(iter(pairs), lambda _tile, _patch: meeting.wait(), 2))
    assert sorted(number for _, number in found) == [0, 0, 1, 1, 2, 2]


def test_with_none_ahead_the_thread_that_asks_does_the_work():
    found = list(computed_ahead(iter([(0, 0)]), lambda _tile, _patch: threading.get_ident(), 0))
    assert found == [((0, 0), threading.get_ident())]


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_tiles_are_asked_for_as_late_as_can_be(ahead):
    asked = []

    def tiles():
        for number in range(9):
            asked.append(number)
            yield number, 1

    for number, _ in enumerate(computed_ahead(tiles(), product, ahead)):
        assert len(asked) == min(9, number + 1 + ahead)


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_an_error_is_raised_in_its_place_and_no_thread_stays(ahead):
    def work(tile, patch):
        if tile == 3:
            raise ValueError("no room")
        return tile

    before, found = threading.active_count(), []
    with pytest.raises(ValueError, match="no room"):
        for _, number in computed_ahead(((number, 0) for number in range(9)), work, ahead):
            found.append(number)
    assert found == [0, 1, 2]
    assert threading.active_count() == before


def test_closing_waits_for_what_has_begun():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(tile, patch):
        if tile == 1:
            begun.set()
            go_on.wait(60)
        done.append(tile)

    computed = computed_ahead(((number, 0) for number in range(9)), work, 1)
    next(computed)
    begun.wait(60)
    threading.Timer(0.1, go_on.set).start()
    computed.close()
    assert done == [0, 1]


def test_who_computes_ahead_has_all_cores_whatever_another_thread_was_told():
    before = torch.get_num_threads()
    other = threading.Thread(target=torch.set_num_threads, args=(1,))
    try:
        torch.set_num_threads(3)
        computed = computed_ahead(iter([(0, 0)] * 4), lambda _tile, _patch: torch.get_num_threads(), 1)
        other.start()
        other.join()
        assert [number for _, number in computed] == [3] * 4
    finally:
        torch.set_num_threads(before)
