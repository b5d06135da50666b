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
    """Return what the jobs return, each computed by a single core.

    The first runs in the calling thread, the others in threads of their own, with the caller's modes of autograd.

    Parameters
    ----------
    jobs : sequence of callable
        They write to no memory in common. More than there are cores are done one after the other.

    Raises
    ------
    Exception
        What the first of the jobs that failed raised, once all have come to an end.
    """
    cores = torch.get_num_threads()
    if len(jobs) < 2 or cores < 2:
        return [job() for job in jobs]
    pool = _pool(cores - 1)
    modes = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    torch.set_num_threads(1)
    others: list[Future] = []
    try:
        others = [pool.submit(_alone, job, *modes) for job in jobs[1:]]
        first = jobs[0]()
    finally:
        wait(others)
        # Torch also takes the number for threads yet to be made from the last call.
        torch.set_num_threads(cores)
    return [first, *(other.result() for other in others)]


def _alone(job: Callable[[], Found], inference: bool, gradients: bool) -> Found:
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
        return job()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="floelens-core")
