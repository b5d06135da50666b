"""Work on several cores at once."""

from __future__ import annotations

import threading
from functools import partial

import pytest
import torch
from floelens.models.together import together


@pytest.fixture(params=[1, 2, 3])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def seen(index):
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    return index, torch.get_num_threads(), *modes


def test_results_come_in_the_order_of_the_jobs_and_each_has_a_single_core(cores):
    found = together([partial(seen, index) for index in range(7)])
    assert [entry[0] for entry in found] == list(range(7))
    assert {entry[1] for entry in found} == {1}
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_every_thread_has_the_modes_of_the_caller(cores, mode):
    with mode():
        expected = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = together([partial(seen, index) for index in range(4)])
    assert {entry[2:] for entry in found} == {expected}


def test_as_many_jobs_run_at_once_as_there_are_cores(cores):
    # Every job waits for the others: fewer threads than cores would wait for ever.
    meeting = threading.Barrier(cores, timeout=60)
    together([meeting.wait for _ in range(cores)])
    assert not meeting.broken


def test_a_later_thread_gets_all_cores(cores):
    together([lambda: None] * 3)
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [cores]


def test_an_error_is_raised_when_all_have_ended_and_the_cores_are_given_back(cores):
    ended = []

    def fail():
        raise ValueError("no room")

    with pytest.raises(ValueError, match="no room"):
        together([partial(ended.append, 1), fail, *(partial(ended.append, index) for index in range(5))])
    number = len(ended)
    assert torch.get_num_threads() == cores
    assert together([partial(int, index) for index in range(3)]) == [0, 1, 2]
    assert len(ended) == number


def test_without_jobs_nothing_is_returned(cores):
    assert together([]) == []
