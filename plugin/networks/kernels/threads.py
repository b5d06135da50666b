"""A thread pool: jobs in parallel, each on one processor core of those that torch may use.

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

Result = TypeVar("Result")
_here = threading.local()
_making = threading.Lock()


def worker_count() -> int:
    """Return how many jobs run in parallel: torch's threads; 1 inside a job, and in :func:`run_sequentially`."""
    return 1 if getattr(_here, "run_sequentially", False) else torch.get_num_threads()


def thread_count() -> int:
    """Return how many threads torch may use, whoever asks first in a thread of its own.

    A thread's first question is answered by the number that was set last in any thread, and the answer stays. While
    workers begin, that is their 1: the question waits until they have.
    """
    with _making:
        return torch.get_num_threads()


@contextmanager
def run_sequentially() -> Iterator[None]:
    """Let the calling thread run all jobs itself, one after the other."""
    before, _here.run_sequentially = getattr(_here, "run_sequentially", False), True
    try:
        yield
    finally:
        _here.run_sequentially = before


def run_parallel(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run jobs in the thread pool, one torch thread each, and return their results in order.

    Jobs have the caller's modes of autograd. Callers in several threads share the pool.

    Parameters
    ----------
    jobs : sequence of callable
        They share no memory that they write to without a lock, and wait for no other job, which may be cancelled.

    Raises
    ------
    Exception
        That of the first job that failed, once all running jobs have ended. Jobs that have not begun are cancelled.
    """
    number = worker_count()
    if min(number, len(jobs)) < 2:
        return [job() for job in jobs]
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def work(job: Callable[[], Result]) -> Result:
        with torch.inference_mode(modes[0]), torch.set_grad_enabled(modes[1]):
            return job()

    with _making:  # else callers in two threads, each the first, would make threads for twice the cores
        pool = _pool(number)
    running: list[Future[Result]] = []
    try:
        for job in jobs:
            running.append(pool.submit(work, job))
        wait(running, return_when=FIRST_EXCEPTION)
    finally:
        cancelled = [each for each in running if each.cancel()]  # a running job goes on
        wait(running)
    # Cancelled jobs carry no useful error. Drop the futures: a stored exception keeps its traceback, and with it the
    # failed job's tensors, alive.
    running = [each for each in reversed(running) if each not in cancelled]
    results = []
    while running:
        results.append(running.pop().result())
    return results


def run_on(device: torch.device, jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Return what jobs return: on CPUs in parallel; another device runs the kernels of each thread in their order."""
    return run_parallel(jobs) if device.type == "cpu" else [job() for job in jobs]


def end_threads() -> None:
    """End the threads: idle ones now, others when the call that they work for returns. Later calls make new ones."""
    _pool.cache_clear()  # a pool that nothing refers to any more ends its threads


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return threads that have a single core each."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="floelens-core", initializer=_begin)
    # A new thread inherits the most recent `set_num_threads` value of any thread. Start all workers behind a barrier,
    # then restore the caller's value.
    meeting = threading.Barrier(threads, timeout=60)
    try:
        wait([pool.submit(meeting.wait) for _ in range(threads)])
    finally:
        torch.set_num_threads(threads)
    return pool


def _begin() -> None:
    torch.get_num_threads()  # a thread's first call takes the number that was set last anywhere, and this is it
    torch.set_num_threads(1)
    _here.run_sequentially = True


def _begin_anew() -> None:
    """Forget the threads, of which a forked process has none, and who was making them."""
    global _making
    _making = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
