"""Jobs run in threads that stay; the thread that waits serves them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from floelens.plugin.algorithms.framework.job_threads import Caller, JobThreads
from floelens.plugin.ground.errors import Cancelled


@pytest.fixture
def threads():
    """Return threads that end with the test."""
    made = JobThreads()
    yield made
    made.close()


def here(*_arguments) -> int:
    return threading.get_ident()


def test_jobs_one_after_the_other_have_one_thread_whoever_begins_them(threads):
    found = [threads.run(here)]
    with ThreadPoolExecutor(1) as others:
        found.append(others.submit(threads.run, here).result())
    assert found[0] == found[1] != here()


def test_what_a_job_asks_for_is_called_in_the_thread_that_waits(threads):
    def work(caller):
        with ThreadPoolExecutor(2) as others:  # a job's own threads may ask, too
            return [caller.call(here), *others.map(caller.call, [here] * 4)]

    assert set(threads.run(work)) == {here()}


def test_errors_reach_whom_they_belong_to(threads):
    def wrong(*_arguments):
        raise KeyError("x")

    with pytest.raises(KeyError):
        threads.run(wrong)

    def asks(caller):
        with pytest.raises(KeyError):
            caller.call(wrong)
        return "went on"

    assert threads.run(asks) == "went on"


def test_a_job_within_a_job_and_one_that_the_waiting_thread_begins_end(threads):
    def inner(caller):
        return here(), caller.call(here)

    def outer(caller):
        return threads.run(inner), caller.call(threads.run, here), here()

    (within, served), beside, own = threads.run(outer)
    assert within == own
    assert served == here()
    assert beside not in (own, here())


def test_nothing_of_a_failed_job_stays(threads):
    class Large:
        pass

    kept = []

    def work(_caller):
        large = Large()
        kept.append(weakref.ref(large))
        raise ValueError("no")

    gc.disable()
    try:
        with pytest.raises(ValueError, match="no") as caught:
            threads.run(work)
        caught.value.__traceback__ = None
        del caught
        time.sleep(0.05)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_a_job_that_nobody_waits_for_any_longer_is_cancelled(threads):
    reasons: list[Cancelled] = []
    ended = threading.Event()

    def work(caller: Caller):
        try:
            caller.call(here)
            caller._inbox.put((None, (False, KeyboardInterrupt()), None))  # as Ctrl+C ends the waiting
            time.sleep(0.05)
            caller.call(here)
        except Cancelled as error:
            reasons.append(error)
            ended.set()

    with pytest.raises(KeyboardInterrupt):
        threads.run(work)
    assert ended.wait(5)
    assert "nobody waits" in str(reasons[0])


def test_closing_ends_idle_threads_and_busy_ones_after_their_job(threads):
    began, go = threading.Event(), threading.Event()

    def busy_one(_caller) -> threading.Thread:
        began.set()
        go.wait(30)
        return threading.current_thread()

    with ThreadPoolExecutor(1) as others:
        busy = others.submit(threads.run, busy_one)
        assert began.wait(30)
        idle = threads.run(lambda _caller: threading.current_thread())
        threads.close()
        idle.join(30)
        go.set()
        busy.result().join(30)
    assert not idle.is_alive()
    assert not busy.result().is_alive()
    assert threads.run(here) != here()  # a plugin may be loaded again


def test_who_waits_can_do_something_meanwhile_in_its_own_thread(threads):
    seen = []

    def work(caller):
        while len(seen) < 3:
            time.sleep(0.01)
        return caller.call(here)

    assert threads.run(work, lambda: seen.append(here())) == here()
    assert set(seen) == {here()}


def test_a_job_has_as_many_threads_of_torch_as_who_waits_for_it(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        worker = threading.Thread(target=torch.set_num_threads, args=(1,))  # what new threads get from now on
        worker.start()
        worker.join()
        assert threads.run(lambda _caller: torch.get_num_threads()) == 2
    finally:
        torch.set_num_threads(before)
