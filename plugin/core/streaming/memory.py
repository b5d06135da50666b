"""How much memory a computation takes, measured on a small case."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from ...networks.kernels.threads import run_sequentially

# What the libraries under torch take beside the arrays: reordered copies inside convolutions.
LIBRARY_BUFFERS = 1.3


class _LiveBytes(TorchDispatchMode):
    """Adds up the memory of the arrays that operations return, for as long as these live."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._holders: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: torch then leaves out a wrapper whose first call imports its compiler, and triton with it."""
        return False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        for value in tree_flatten(result)[0]:
            if isinstance(value, torch.Tensor):
                self._hold(value)
        self.peak = max(self.peak, self.live)
        return result

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        # Views share one memory: it counts once, until the last of them is gone.
        if address not in self._holders:
            self._holders[address] = 0
            self.live += size
        self._holders[address] += 1
        weakref.finalize(tensor, self._release, address, size)

    def _release(self, address: int, size: int) -> None:
        self._holders[address] -= 1
        if not self._holders[address]:
            del self._holders[address]
            self.live -= size


def peak_bytes(work: Callable[[], object]) -> float:
    """Return the bytes torch holds at most while `work` runs, one piece after the other, beyond what existed before.

    Parameters
    ----------
    work : callable
        The computation; its result is thrown away.

    Returns
    -------
    float
        The peak of the arrays, times an allowance for the libraries' own buffers.
    """
    counter = _LiveBytes()
    with run_sequentially(), counter:  # what other threads take is not counted
        work()
    return LIBRARY_BUFFERS * counter.peak
