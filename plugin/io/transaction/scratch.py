"""A folder for files that only a step of a run needs; what killed runs left of theirs goes when the next is made."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .run_files import RunFile, name_of
from .temporary import RUN, cannot_write, new_run

_FOLDER = re.compile(rf"^floelens-{RUN}$")
_DAY = 86400.0


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder among the system's temporary files; it goes at the end.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    place, run = Path(tempfile.gettempdir()), new_run()
    _sweep(place)
    folder = place / f"floelens-{run}"
    try:
        folder.mkdir(mode=0o700)
        owner = RunFile.create(folder, run)
    except OSError as error:
        raise cannot_write(folder, error.strerror or error) from error
    try:
        yield folder
    finally:
        owner.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove the folders of runs that are dead."""
    with contextlib.suppress(OSError):
        for folder in place.iterdir():
            match = _FOLDER.match(folder.name)
            if match and _is_dead(folder, match["run"]):
                shutil.rmtree(folder, ignore_errors=True)


def _is_dead(folder: Path, run: str) -> bool:
    try:
        owner = RunFile.take(folder / name_of(run))
    except FileNotFoundError:  # killed before it was written, or just being made
        with contextlib.suppress(OSError):
            return time.time() - folder.lstat().st_mtime > _DAY
        return False
    if owner is None:
        return False
    owner.close()
    return True
