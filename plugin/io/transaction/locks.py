"""Exclusive locks on open files, which the system releases when a process ends, however it ends.

Advisory locks on POSIX (``flock``: of the open file, so that two runs in one process exclude each
other), a lock of one byte far behind the content on Windows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_FAR = 1 << 30
_BUSY = {errno.EACCES, errno.EAGAIN, errno.EDEADLK, getattr(errno, "EWOULDBLOCK", errno.EAGAIN)}


def lock(descriptor: int) -> bool | None:
    """Lock an open file without waiting.

    Parameters
    ----------
    descriptor : int
        The file; closing it releases the lock.

    Returns
    -------
    bool or None
        True where the lock is now held here, False where someone else holds it, None where the file
        system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        return False if error.errno in _BUSY else None
    return True


def is_at(descriptor: int, path: str | os.PathLike) -> bool:
    """Return whether an open file is still the one at `path`: it may have been removed or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except OSError:
        return False


@contextlib.contextmanager
def exclusive(path: Path, wait: float) -> Iterator[bool]:
    """Hold the lock of a file of this name, which is made for it and removed again.

    Parameters
    ----------
    path : Path
        The lock file.
    wait : float
        Seconds to wait for another holder.

    Yields
    ------
    bool
        Whether nobody else holds it; also True where the file system knows no locks.
    """
    deadline = time.monotonic() + wait
    descriptor, held = -1, None
    try:
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            held = lock(descriptor)
            if held is None or (held and is_at(descriptor, path)):
                break
            os.close(descriptor)
            descriptor = -1
            if not held and time.monotonic() > deadline:
                break
            time.sleep(0.01)
        yield held is not False
    finally:
        if descriptor >= 0:
            if held is not False and fcntl is not None:
                with contextlib.suppress(OSError):
                    path.unlink()  # while it is locked: who waits for it then takes a new one
            os.close(descriptor)
            if fcntl is None:
                with contextlib.suppress(OSError):
                    path.unlink()  # Windows refuses where another run has it open
