"""The file by which a run says in a folder that it lives, and what it is about to replace there.

A run keeps ``.floelens-RUN.run`` in each folder that it writes to, locked as long as it lives: the
system releases the lock when the process ends, whatever ends it, so neither a reused process id nor
another container's counts. Its lines are records, each with a checksum: one that was torn by a kill
or a full disk counts as not written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from .locks import is_at, lock
from .temporary import RUN_FILE, TEMPORARY, host

_MOST_BYTES = 4 << 20
_DAY = 86400.0
_COMMIT_AGE = 600.0  # seconds that no run needs to rename its files
# What file systems say that cannot flush a file or a folder, network drives among them.
_NO_SYNC = {"EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EISDIR", "EACCES", "EPERM"}


def name_of(run: str) -> str:
    """Return the name of a run's file."""
    return f".floelens-{run}.run"


def sync(descriptor: int) -> None:
    """Flush a file to the disk, where its file system can."""
    import errno

    try:
        os.fsync(descriptor)
    except OSError as error:
        if errno.errorcode.get(error.errno or 0) not in _NO_SYNC:
            raise


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where its file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class RunFile:
    """The file of a run in one folder, open and locked; made by `create` or taken over by `take`.

    Parameters
    ----------
    path : Path
        Its path.
    descriptor : int
        The open file.
    locked : bool
        Whether the file system has locks.
    """

    def __init__(self, path: Path, descriptor: int, locked: bool) -> None:
        self.path, self._descriptor, self._locked = path, descriptor, locked

    @classmethod
    def create(cls, folder: Path, run: str) -> RunFile:
        """Make the file of a run that lives.

        Raises
        ------
        OSError
            It cannot be made there.
        """
        path = folder / name_of(run)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
        file = cls(path, descriptor, lock(descriptor) is True)
        try:
            file.append(_identity(os.getpid()))
        except OSError:
            file.remove()
            raise
        return file

    @classmethod
    def take(cls, path: Path) -> RunFile | None:
        """Return the file of a run that is dead, locked; None where the run may live, or nothing is known.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        """
        flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(path, os.O_RDWR | flags)
        except FileNotFoundError:
            raise
        except OSError:
            try:
                descriptor = os.open(path, os.O_RDONLY | flags)
            except FileNotFoundError:
                raise
            except OSError:
                return None
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                held = lock(descriptor)
                if not is_at(descriptor, path):
                    raise FileNotFoundError(path)
                file = cls(path, descriptor, held is True)
                if held is not False and file._is_dead():
                    descriptor = -1
                    return file
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def run(self) -> str:
        """The name of the run."""
        match = RUN_FILE.match(self.path.name)
        return match["run"] if match else ""

    def __enter__(self) -> RunFile:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Release the lock."""
        self.close()

    def append(self, record: dict[str, Any]) -> None:
        """Write a record to the disk.

        Raises
        ------
        OSError
            It cannot be written.
        """
        text = json.dumps(record)
        line = f"{_checksum(text)} {text}\n".encode()
        os.lseek(self._descriptor, 0, os.SEEK_END)
        while line:
            line = line[os.write(self._descriptor, line) :]
        sync(self._descriptor)

    def record(self) -> dict[str, Any]:
        """Return all that the records say, later ones last."""
        entries: dict[str, Any] = {}
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            content = b""
            while len(content) < _MOST_BYTES:
                part = os.read(self._descriptor, 1 << 16)
                if not part:
                    break
                content += part
        except OSError:
            return entries
        for line in content.split(b"\n")[:-1]:
            checksum, _, text = line.decode("utf-8", "replace").partition(" ")
            if checksum == _checksum(text):
                with contextlib.suppress(ValueError, RecursionError):
                    record = json.loads(text)
                    if isinstance(record, dict):
                        entries.update(record)
        return entries

    def close(self) -> None:
        """Release the lock and leave the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Remove the file and release the lock."""
        if os.name == "nt":
            self.close()  # a file that is open stays there
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()

    def _is_dead(self) -> bool:
        """Return whether the run is gone, its lock being free or the file system without locks."""
        owner = self.record()
        mine = _identity(0)
        same_kernel = bool(mine["boot"]) and owner.get("boot") == mine["boot"]
        same_node = owner.get("node", mine["node"]) == mine["node"]
        if self._locked and (same_kernel or same_node):
            return True
        if not self._locked and same_kernel and owner.get("space") == mine["space"]:
            pid = owner.get("pid")
            return isinstance(pid, int) and owner.get("started") != _started(pid)
        # Locks may not reach other computers: only time shows.
        patience = _COMMIT_AGE if "replace" in owner else _DAY
        return time.time() - self._newest() > patience

    def _newest(self) -> float:
        """Return when the run last wrote to its folder, in seconds since 1970."""
        newest = os.fstat(self._descriptor).st_mtime
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.path.parent):
                match = TEMPORARY.match(entry.name)
                if match and match["run"] == self.run:
                    newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
        return newest


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _identity(pid: int) -> dict[str, Any]:
    """Return what distinguishes a process from all others on this computer: also after its id is used again."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        boot = space = ""
    return {"node": host(), "boot": boot, "space": space, "pid": pid, "started": _started(pid)}


def _started(pid: int) -> str:
    """Return when a process of Linux was started, in ticks since boot; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError, ValueError):
        return ""
