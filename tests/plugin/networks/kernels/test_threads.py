"""Work on several cores at once."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import torch
from floelens.plugin.networks.kernels import threads as module
from floelens.plugin.networks.kernels.threads import run_parallel, run_sequentially
from floelens.plugin.networks.kernels.threads import worker_count as count


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
    found = run_parallel([partial(seen, index) for index in range(7)])
    assert [entry[0] for entry in found] == list(range(7))
    assert {entry[1] for entry in found} == {1}
    assert torch.get_num_threads() == cores


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])
def test_every_thread_has_the_modes_of_the_caller(cores, mode):
    with mode():
        expected = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        found = run_parallel([partial(seen, index) for index in range(4)])
    assert {entry[2:] for entry in found} == {expected}


def test_as_many_jobs_run_at_once_as_there_are_cores(cores):
    # Every job waits for the others: fewer threads than cores would wait for ever.
    meeting = threading.Barrier(cores, timeout=60)
    run_parallel([meeting.wait for _ in range(cores)])
    assert not meeting.broken


def test_threads_end_when_asked_to_and_later_jobs_get_new_ones():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        workers = set(run_parallel([threading.current_thread] * 4))
        module.end_threads()
        for worker in workers:
            worker.join(60)
        assert not any(worker.is_alive() for worker in workers)
        assert run_parallel([partial(seen, 0), partial(seen, 1)])[1][0] == 1
    finally:
        torch.set_num_threads(before)


def test_a_later_thread_gets_all_cores(cores):
    run_parallel([lambda: None] * 3)
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
        run_parallel([partial(ended.append, 1), fail, *(partial(ended.append, index) for index in range(5))])
    number = len(ended)
    assert torch.get_num_threads() == cores
    assert run_parallel([partial(int, index) for index in range(3)]) == [0, 1, 2]
    assert len(ended) == number


def test_without_jobs_nothing_is_returned(cores):
    assert run_parallel([]) == []


def test_jobs_of_jobs_are_done_by_the_same_thread(cores):
    def outer():
        return threading.get_ident(), run_parallel([threading.get_ident] * 3)

    for own, inner in run_parallel([outer] * 4):
        assert inner == [own] * 3


def test_one_by_one_the_calling_thread_does_all(cores):
    with run_sequentially():
        assert run_parallel([threading.get_ident] * 3) == [threading.get_ident()] * 3
        assert count() == 1
    assert count() == cores == torch.get_num_threads()


def test_who_asks_first_while_workers_begin_waits_for_the_number_of_cores(monkeypatch):
    """What set one thread in QGIS: a thread asks first, between a worker's 1 and the caller's own number."""
    begun, go, found = threading.Event(), threading.Event(), []

    def begin():
        module.torch.set_num_threads(1)
        begun.set()
        assert go.wait(60)

    def make():
        torch.set_num_threads(2)
        run_parallel([int] * 2)

    before = torch.get_num_threads()
    module.end_threads()
    monkeypatch.setattr(module, "_begin", begin)
    maker = threading.Thread(target=make)
    asking = threading.Thread(target=lambda: found.append(module.thread_count()))
    try:
        maker.start()
        assert begun.wait(60)
        asking.start()
        asking.join(0.1)
        assert found == []
        go.set()
        asking.join(60)
        maker.join(60)
    finally:
        go.set()
        module.end_threads()
        torch.set_num_threads(before)
    assert found == [2]


def test_a_thread_made_during_the_work_gets_all_cores(cores):
    later = []

    def job():
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()

    run_parallel([job] * 3)
    assert later == [cores] * 3


def test_callers_in_several_threads_share_the_cores(cores):
    found = {}

    def call(number):
        torch.set_num_threads(cores)
        for _ in range(20):
            found[number] = run_parallel([partial(pow, number, power) for power in range(9)])
        found[number, "cores"] = torch.get_num_threads()

    callers = [threading.Thread(target=call, args=(number,)) for number in range(2, 6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    for number in range(2, 6):
        assert found[number] == [number**power for power in range(9)]
        assert found[number, "cores"] == cores


def test_callers_in_several_threads_that_come_first_make_threads_for_all_cores_only_once(monkeypatch):
    made, found = [], []

    @functools.cache
    def slow(number):
        made.append(number)
        with suppress(threading.BrokenBarrierError):
            arrived.wait(0.2)  # the other caller would come here now
        return ThreadPoolExecutor(number)

    def call():
        torch.set_num_threads(2)
        arrived.wait(60)
        found.append(run_parallel([int] * 3))

    monkeypatch.setattr(module, "_pool", slow)
    arrived, before = threading.Barrier(2), torch.get_num_threads()
    callers = [threading.Thread(target=call) for _ in range(2)]
    try:
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(60)
    finally:
        torch.set_num_threads(before)
        slow(2).shutdown()
    assert made[0] == 2
    assert len(made) == 1
    assert found == [[0] * 3] * 2


def test_of_several_errors_that_of_the_first_job_that_failed_is_raised(cores):
    begun = threading.Barrier(cores)

    def fail(number):
        if number < cores:  # more may begin or not
            begun.wait(60)
        raise ValueError(number)

    for _ in range(10):
        with pytest.raises(ValueError, match="0"):
            run_parallel([partial(fail, number) for number in range(cores + 2)])


def test_a_job_that_has_not_begun_when_another_fails_hides_no_error(monkeypatch):
    class Late(Future):
        """Begins as soon as it is too late."""

        def cancel(self):
            return super().cancel() and not self.set_running_or_notify_cancel()

    class Busy(ThreadPoolExecutor):
        """Has no thread for the first job."""

        def submit(self, work, job):
            return Late() if job.args == (0,) else super().submit(work, job)

    def fail(number):
        raise ValueError(number)

    monkeypatch.setattr(module, "worker_count", lambda: 2)
    monkeypatch.setattr(module, "_pool", Busy)
    with pytest.raises(ValueError, match="1"):
        run_parallel([partial(fail, number) for number in range(2)])


def test_what_a_failed_job_had_made_goes_with_its_error(cores):
    made = []

    def fail():
        values = torch.empty(3)
        made.append(weakref.ref(values))
        raise ValueError(len(values))

    gc.disable()
    try:
        with pytest.raises(ValueError, match="3"):
            run_parallel([fail, fail])
        assert all(each() is None for each in made)
    finally:
        gc.enable()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    script = textwrap.dedent("""
        import os, signal, sys
        import torch
        from threads import run_parallel

        torch.set_num_threads(2)
        run_parallel([int] * 3)
        child = os.fork()
        if not child:
            signal.alarm(30)
            os._exit(run_parallel([int] * 3) != [0] * 3)
        sys.exit(os.waitpid(child, 0)[1] != 0)
    """)
    folder = Path(run_parallel.__code__.co_filename).parent
    assert subprocess.run([sys.executable, "-c", script], cwd=folder, check=False).returncode == 0
