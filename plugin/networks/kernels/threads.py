"""Several pieces of work at once, one on each processor core that torch may use.

Torch by itself divides every single operation between the cores, which wait for each other after each. Pieces
that do not depend on each other need to wait only once, and keep their data in the cache of their own core.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Found = TypeVar("Found")
_here = threading.local()
_making = threading.Lock()


def cores() -> int:
    """Return how many pieces of work run at once: the cores of torch; 1 inside a job, and in :func:`one_by_one`."""
    return 1 if getattr(_here, "one_by_one", False) else torch.get_num_threads()


@contextmanager
def one_by_one() -> Iterator[None]:
    """Let the calling thread do all jobs itself, one after the other."""
    before, _here.one_by_one = getattr(_here, "one_by_one", False), True
    try:
        yield
    finally:
        _here.one_by_one = before


def together(jobs: Sequence[Callable[[], Found]]) -> list[Found]:
    """Return what the jobs return, each computed by a single core: the next that is free.

    They run in threads of their own, with the caller's modes of autograd. Callers in several threads share
    the cores.

    Parameters
    ----------
    jobs : sequence of callable
        They write to no memory in common but under a lock, and wait for none of the others, which may be left out.

    Raises
    ------
    Exception
        What the first of the jobs that failed raised, once all that had begun have come to an end. Those that
        had not are left out.
    """
    number = cores()
    if min(number, len(jobs)) < 2:
        return [job() for job in jobs]
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def work(job: Callable[[], Found]) -> Found:
        with torch.inference_mode(modes[0]), torch.set_grad_enabled(modes[1]):
            return job()

    with _making:  # else callers in two threads, each the first, would make threads for twice the cores
        pool = _pool(number)
    running: list[Future[Found]] = []
    try:
        for job in jobs:
            running.append(pool.submit(work, job))
        wait(running, return_when=FIRST_EXCEPTION)
    finally:
        left_out = [each for each in running if each.cancel()]  # what has begun does not notice
        wait(running)
    # Where a job failed, those left out before it have no error worth telling. None of these stays at hand: an
    # error would keep itself, and with it all that its job had made.
    running = [each for each in reversed(running) if each not in left_out]
    found = []
    while running:
        found.append(running.pop().result())
    return found


def end_threads() -> None:
    """End the threads: idle ones now, others when the call that they work for returns. Later calls make new ones."""
    _pool.cache_clear()  # a pool that nothing refers to any more ends its threads


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that have a single core each."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="floelens-core", initializer=_begin)
    # Torch takes the number of cores of a thread yet to be made from the last call in any thread. So all are made
    # at once (each waits for the others), and the number is given back before anything is computed.
    meeting = threading.Barrier(threads, timeout=60)
    try:
        wait([pool.submit(meeting.wait) for _ in range(threads)])
    finally:
        torch.set_num_threads(threads)
    return pool


def _begin() -> None:
    torch.get_num_threads()  # a thread's first call takes the number that was set last anywhere, and this is it
    torch.set_num_threads(1)
    _here.one_by_one = True


def _begin_anew() -> None:
    """Forget the threads, of which a forked process has none, and who was making them."""
    global _making
    _making = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
