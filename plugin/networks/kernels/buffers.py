"""A pool of buffers that one tile after the other uses: fresh memory costs more than what is computed in it."""

from __future__ import annotations

import threading

import torch

# glibc gives freed memory back to the system, and its pages are cleared anew when they are asked for again, unless a
# block as large was freed before: mallopt(3), M_MMAP_THRESHOLD. It looks at blocks of less than 32 MiB only.
LARGEST_KEPT = 31 << 20
# Tiles differ by a coarse cell in their rows and columns.
ROOM = 1.1


class BufferPool:
    """Buffers kept from one pass over a tile to the next.

    A named buffer belongs to the latest pass alone, in a single thread: see :meth:`begin`. An acquired buffer belongs
    to its caller until it is put back, so that several threads can acquire buffers.
    """

    def __init__(self) -> None:
        self._named: dict[str, torch.Tensor] = {}
        self._free: list[torch.Tensor] = []
        self._lock = threading.Lock()
        self._passes = 0
        torch.empty(LARGEST_KEPT, dtype=torch.uint8)  # freed at once

    def begin(self) -> int:
        """Return the number of a new pass; what earlier ones have taken may change from now on."""
        self._passes += 1
        return self._passes

    def check(self, number: int) -> None:
        """Raise RuntimeError if a later pass than that of this number has begun."""
        if number != self._passes:
            raise RuntimeError(
                "a later forward pass has used the memory of this one; run its backward pass first"
            )

    def named(self, name: str, shape: tuple[int, int, int, int], like: torch.Tensor) -> torch.Tensor:
        """Return an array (sample, channel, row, column) of any values, channels last, of the kind of `like`.

        It is kept under its name, with some room, until the next one does not fit or is less than half as large.
        """
        samples, channels, rows, cols = shape
        number = samples * channels * rows * cols
        kept = self._named.pop(name, None)
        if not _serves(kept, number, like.dtype, like.device) or len(kept) > 2 * ROOM * number:
            kept = None  # freed before more is asked for
            kept = _memory(number, like.dtype, like.device)
        self._named[name] = kept
        return kept[:number].view(samples, rows, cols, channels).permute(0, 3, 1, 2)

    def acquire(self, number: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return at least `number` numbers of any value, until :meth:`put_back`."""
        with self._lock:
            for index, memory in enumerate(self._free):
                if _serves(memory, number, dtype, device):
                    return self._free.pop(index)
            if self._free:
                self._free.pop(0)  # what is too small now would stay so
        return _memory(number, dtype, device)

    def put_back(self, memory: torch.Tensor) -> None:
        """Take an acquired buffer back; on the CPU it is kept, other devices' allocators keep memory themselves."""
        if memory.device.type == "cpu":
            with self._lock:
                self._free.append(memory)

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._named, self._free = {}, []


def _serves(memory: torch.Tensor | None, number: int, dtype: torch.dtype, device: torch.device) -> bool:
    return memory is not None and memory.dtype == dtype and memory.device == device and len(memory) >= number


def _memory(number: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    # What is made in torch's inference mode could not be written to outside of it, where it may be used next.
    with torch.inference_mode(False):
        return torch.empty(int(ROOM * number), dtype=dtype, device=device)
