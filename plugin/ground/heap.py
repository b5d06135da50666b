"""Gives memory that a job has freed back to the system.

The C library keeps freed memory in one heap a thread; after jobs in changing threads several hundred
MiB lie idle there (glibc: `malloc_trim` in mallopt(3)). Other systems give it back by themselves.
"""

from __future__ import annotations

import ctypes
import sys


def give_back_free_memory() -> None:
    """Return the free pages of all heaps to the system (about 10 ms); does nothing where glibc is not."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
