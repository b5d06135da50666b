"""Names of files under way, and whether a result can be written where it was asked for.

A result is written to a hidden file in its own folder, ``.stem.RUN-3.floelens-tmp.tif``, and gets its
name at the end (see :mod:`.outputs`). ``RUN`` names the run: host, process and a random part.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
from pathlib import Path

from ...ground.errors import OutputError

RUN = r"(?P<run>(?P<host>[0-9a-f]{6})-(?P<pid>\d{1,10})-[0-9a-f]{8})"
TEMPORARY = re.compile(rf"^\..*\.{RUN}(?:-\d+)?\.floelens-(?:tmp|old)")
RUN_FILE = re.compile(rf"^\.floelens-{RUN}\.run$")
_STEM_BYTES = 120
# What the system says of a full disk, a quota or a limit, and a disk that fails.
NO_ROOM = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS") if hasattr(errno, name)
}


def host() -> str:
    """Return what stands for this computer in names, six hexadecimal digits."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def new_run() -> str:
    """Return a name for a run that no other has."""
    return f"{host()}-{os.getpid()}-{secrets.token_hex(4)}"


def temporary_name(path: Path, run: str | None = None, number: int = 0, kind: str = "tmp") -> Path:
    """Return a hidden name beside `path` with the same extension.

    Parameters
    ----------
    path : Path
        The final name.
    run : str, optional
        The run it belongs to; a new one by default.
    number : int
        Tells the files of one run apart.
    kind : {'tmp', 'old'}
        New content, or the earlier file kept until all new ones have their names.
    """
    stem = path.stem
    while len(os.fsencode(stem)) > _STEM_BYTES:
        stem = stem[:-1]
    return path.with_name(f".{stem}.{run or new_run()}-{number}.floelens-{kind}{path.suffix}")


def final_name(path: str | os.PathLike) -> str:
    """Return what a file will be called, for messages: that of a temporary name, or the path itself."""
    path = Path(path)
    match = TEMPORARY.match(path.name)
    if not match:
        return str(path)
    return str(path.with_name(path.name[1 : match.start("run") - 1] + path.suffix))


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


def cannot_write(path: Path, reason: object) -> OutputError:
    """Return the error of a file that could not be written, for `reason`."""
    # Further lines name temporary files and tell how GDAL came to fail.
    (first, *_) = str(reason).splitlines() or ("no reason given",)
    return OutputError(
        f"{path} could not be written ({first.strip()}). Check that the disk has room and the folder can be written "
        "to; no file was left under this name."
    )


def remove_temporary(temporary: Path) -> None:
    """Remove a temporary file and whatever was made beside it under its name."""
    try:
        beside = list(temporary.parent.iterdir())
    except OSError:
        return
    for path in beside:
        if path.name.startswith(temporary.name):
            unlink_quietly(path)


def unlink_quietly(path: Path) -> bool:
    """Remove a file, also one that is read-only; return whether it is gone."""
    for attempt in range(2):
        try:
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError:
            if attempt or path.is_symlink():
                return False
            try:
                path.chmod(0o600)  # Windows keeps files that are read-only
            except OSError:
                return False
        else:
            return True
    return False
