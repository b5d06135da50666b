"""Files that appear under their name only when they are complete.

A result is written to a hidden file in its own folder and renamed at the end::

    with atomic_path("table.csv") as temporary:
        temporary.write_text(text)

What a killed process left behind is swept when something is next written to the folder.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from ..core.errors import OutputError

_MARK = "floelens-tmp"
_PATTERN = re.compile(rf"^\..*\.(?P<host>[0-9a-f]{{6}})-(?P<pid>\d+)-[0-9a-f]{{8}}\.{_MARK}")
_DAY = 86400.0
# What the system says of a full disk, a quota or a limit, and a disk that fails.
_NO_ROOM = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)
}
_Together = TypeVar("_Together", bound="Together")


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def temporary_name(path: Path) -> Path:
    """Return a new hidden name beside `path` with the same extension."""
    unique = f"{_host()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.stem[:80]}.{unique}.{_MARK}{path.suffix}")


def final_name(path: str | os.PathLike) -> str:
    """Return what a file will be called, for messages: that of a temporary name, or the path itself."""
    path = Path(path)
    match = _PATTERN.match(path.name)
    if not match:
        return str(path)
    return str(path.with_name(path.name[1 : match.start("host") - 1] + path.suffix))


def check_destination(path: str | os.PathLike) -> Path:
    """Return `path` if a file can be made there.

    Raises
    ------
    OutputError
        The folder is missing or not writable, or a folder has that name.
    """
    path = Path(path)
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(
            f"The folder {folder} does not exist. Make it, or choose another place for {path.name}."
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder. Give the name of a file.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder {folder} cannot be written to. Choose another place for {path.name}.")
    return path


def sweep(folder: Path) -> None:
    """Remove our temporary files in `folder` whose process is gone, or which are older than a day."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        match = _PATTERN.match(name)
        if not match:
            continue
        file = folder / name
        with contextlib.suppress(OSError):
            gone = match["host"] == _host() and not _alive(int(match["pid"]))
            if gone or time.time() - file.stat().st_mtime > _DAY:
                file.unlink()


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end the process on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove_temporary(temporary: Path) -> None:
    """Remove a temporary file and whatever was made beside it under its name."""
    for file in temporary.parent.glob(f"{glob_escape(temporary.name)}*"):
        with contextlib.suppress(OSError):
            file.unlink()


def glob_escape(name: str) -> str:
    """Return `name` with the characters that a glob would interpret made plain."""
    return re.sub(r"([*?[])", r"[\1]", name)


class Destination:
    """A file under way: `temporary` is written, `commit` gives it its name, `discard` removes it.

    Parameters
    ----------
    path : str or Path
        The final name.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = check_destination(path)
        sweep(self.path.parent)
        self.temporary = temporary_name(self.path)

    def commit(self) -> None:
        """Flush the temporary file to the disk and rename it."""
        try:
            # Only now does a full disk or an exceeded quota show on some file systems.
            with open(self.temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.temporary, self.path)
        except OSError as error:
            self.discard()
            raise cannot_write(self.path, error) from error

    def discard(self) -> None:
        """Remove the temporary file."""
        remove_temporary(self.temporary)


def cannot_write(path: Path, reason: object) -> OutputError:
    """Return the error of a file that could not be written, for `reason`."""
    return OutputError(
        f"{path} could not be written ({reason}). Check that the disk has room and the folder can be written to; "
        "no file was left under this name."
    )


class Together:
    """Several files that get their names together, at the end, or not at all; a context manager."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._made: list[Path] = []

    def add(self, part: Any) -> None:
        """Take in something with `finish`, `commit`, `discard` and a `path`."""
        self._parts.append(part)

    def file(self, path: str | os.PathLike) -> Path:
        """Return a temporary path to write what will be called `path`."""
        destination = _PlainFile(path)
        self.add(destination)
        return destination.temporary

    def folder(self, path: str | os.PathLike) -> None:
        """Make a folder for files to come, where it is missing; it goes again if they fail."""
        folder = Path(path)
        if folder.is_dir():
            return
        check_destination(folder)
        try:
            folder.mkdir()
        except OSError as error:
            raise cannot_write(folder, error.strerror or error) from error
        self._made.append(folder)

    def __enter__(self: _Together) -> _Together:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        committed: list[Path] = []
        try:
            if kind is None:
                for part in self._parts:
                    part.finish()
                for part in self._parts:
                    part.commit()
                    committed.append(part.path)
                committed = []
                self._made = []
        finally:
            for part in self._parts:
                part.discard()
            for path in committed:
                with contextlib.suppress(OSError):
                    path.unlink()
            for folder in self._made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
        if isinstance(error, OSError) and error.errno in _NO_ROOM and self._parts:
            # Files are written as soon as they are asked for: it was the last one.
            raise cannot_write(self._parts[-1].path, error.strerror or error) from error


class _PlainFile(Destination):
    def finish(self) -> None:
        if not self.temporary.exists():
            raise OutputError(f"Nothing was written for {self.path}.")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; it is renamed to `path` when the block ends well.

    Raises
    ------
    OutputError
        Nothing can be written there; also in place of an `OSError` inside the block.
    """
    destination = _PlainFile(path)
    try:
        yield destination.temporary
        destination.finish()
        destination.commit()
    except OSError as error:
        raise cannot_write(destination.path, error) from error
    finally:
        destination.discard()


@contextlib.contextmanager
def atomic_text(path: str | os.PathLike, newline: str = "\n") -> Iterator[TextIO]:
    """Open a text file (UTF-8) that gets its name `path` when the block ends well (see `atomic_path`)."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline=newline) as file:
        yield file
