"""Several pieces of work at once, one on each processor core that torch may use.

Torch by itself divides every single operation between the cores, which wait for each other after each. Pieces
that do not depend on each other need to wait only once, and keep their data in the cache of their own core.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

import torch

Found = TypeVar("Found")


def together(jobs: Sequence[Callable[[], Found]]) -> list[Found]:
    """Return what the jobs return, each computed by a single core: the next that is free.

    They run in the calling thread and in threads of their own, with the caller's modes of autograd.

    Parameters
    ----------
    jobs : sequence of callable
        They write to no memory in common.

    Raises
    ------
    Exception
        What the first of the jobs that failed raised, once all that had begun have come to an end.
    """
    cores = min(torch.get_num_threads(), len(jobs))
    if cores < 2:
        return [job() for job in jobs]
    allowed = torch.get_num_threads()
    found: list = [None] * len(jobs)
    waiting = iter(list(enumerate(jobs)))
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def work() -> None:
        torch.set_num_threads(1)
        with torch.inference_mode(modes[0]), torch.set_grad_enabled(modes[1]):
            for index, job in waiting:
                found[index] = job()

    others: list[Future] = []
    try:
        others = [_pool(allowed - 1).submit(work) for _ in range(cores - 1)]
        work()
    finally:
        wait(others)
        # Torch also takes the number for threads yet to be made from the last call.
        torch.set_num_threads(allowed)
    for other in others:
        other.result()
    return found


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="floelens-core")
