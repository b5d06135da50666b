"""What a killed run left in a folder: half-written files are removed, half-done replacements completed.

A folder is looked through when something is to be written to it, or read from it. Files of runs that
live are not touched (see :mod:`.run_files`).
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .locks import exclusive
from .replacement import Entry, can_be_done, do, forget, from_record, undo
from .run_files import RunFile, name_of
from .temporary import RUN_FILE, TEMPORARY, final_name, host, unlink_quietly

COMMIT_LOCK = ".floelens-commit.lock"
_DAY = 86400.0
_WAIT = 5.0  # seconds for another run that is just renaming
# Folders that earlier versions made for the raster that a display copy is made of.
_OLD_FOLDER = re.compile(r"^\.floelens-[a-z0-9_]{8}$")
_SHOWN = 3


Say = Callable[[str], object]


def clear(folder: Path, held: Collection[Path] = (), say: Say | None = None) -> list[str]:
    """Remove or complete what runs that are dead left in a folder.

    Parameters
    ----------
    folder : Path
        Where to look.
    held : collection of Path
        Folders whose lock for renaming is held already.
    say : callable, optional
        Takes each sentence while it is still written down what was done: whoever is killed before that is not silent,
        since the next one says it again.

    Returns
    -------
    list of str
        A sentence for each replacement that was completed or undone, or cannot be.
    """
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []
    sentences: list[str] = []
    if not any(name.startswith(".") and "floelens-" in name for name in names):
        return sentences

    def heard(sentence: str) -> None:
        sentences.append(sentence)
        if say is not None:
            say(sentence)

    for name in names:
        if RUN_FILE.match(name):
            with contextlib.suppress(FileNotFoundError):
                _end(folder / name, held, heard)
    for name in names:
        match = TEMPORARY.match(name)
        if match and not os.path.lexists(folder / name_of(match["run"])):
            _remove_unowned(folder / name, match["host"], int(match["pid"]))
        elif _OLD_FOLDER.match(name):
            _remove_old_folder(folder / name)
        elif name == COMMIT_LOCK and folder not in held:
            with contextlib.suppress(OSError), exclusive(folder / name, 0.0):
                pass  # the lock of a killed run goes
    return sentences


def written_by_another(path: Path, run: str) -> bool:
    """Return whether a run other than `run` that lives is writing a file of this name; dead ones must be cleared."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(path.parent):
            match = TEMPORARY.match(entry.name)
            if match is None or match["run"] == run or ".floelens-tmp" not in entry.name:
                continue
            if Path(final_name(entry.path)).name == path.name:
                return os.path.lexists(path.parent / name_of(match["run"]))
    return False


def _end(path: Path, held: Collection[Path], say: Say) -> None:
    """End a run that is dead in the folder of its file.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    file = RunFile.take(path)
    if file is not None and "main" in file.record():
        main = Path(os.path.normpath(path.parent / str(file.record()["main"]))) / path.name
        file.close()
        if not main.parent.is_dir():
            say(
                f"A run that was killed had files in {path.parent} and in {main.parent}, which is not there. Make "
                f"that folder available again, so that both are put in order, or delete {path}."
            )
            return
        with contextlib.suppress(FileNotFoundError):
            _end(main, held, say)
        if os.path.lexists(main) or not os.path.lexists(path):
            return  # it may live, or cannot be ended; or it is ended
        file = RunFile.take(path)
    if file is None:
        return
    with file:
        record = file.record()
        others: set[Path] = set()
        entries = from_record(record.get("replace"), path.parent, file.run)
        if entries:
            if not _complete(entries, path, held, say):
                return
            others = {entry.final.parent for entry in entries} - {path.parent}
        _remove_files_of(file.run, path.parent)
        _remove_made(record, path, held, say)
        file.remove()
        for other in others:
            _remove_files_of(file.run, other)
            unlink_quietly(other / path.name)


def _remove_made(record: dict, path: Path, held: Collection[Path], say: Say) -> None:
    """Remove the folders that a dead run made, where nothing else came to lie in them.

    Its own file in such a folder leads back to the one at `path`, which is just being ended.
    """
    made = record.get("made")
    for name in made if isinstance(made, list) else []:
        if not (isinstance(name, str) and os.path.basename(name) == name and name not in ("", ".", "..")):
            continue
        folder = path.parent / name
        with contextlib.suppress(FileNotFoundError):
            inside = RunFile.take(folder / path.name)
            if inside is not None:
                with inside:
                    _remove_files_of(inside.run, folder)
                    _remove_made(inside.record(), inside.path, held, say)
                    inside.remove()
        clear(folder, held, say)
        with contextlib.suppress(OSError):
            folder.rmdir()


def _complete(entries: Sequence[Entry], main: Path, held: Collection[Path], say: Say) -> bool:
    """Complete a replacement, or undo it; return whether the files now belong together."""
    folders = sorted({entry.final.parent for entry in entries} | {main.parent})
    for folder in folders:
        # The other folder must know of the run as well: no file can reach out of its own folder.
        if folder != main.parent and not _knows(folder / main.name, main.parent):
            say(_cannot(entries, main, f"{folder} is not there, or knows nothing of it"))
            return False
    kept: list[Path] = []
    try:
        with contextlib.ExitStack() as stack:
            for folder in folders:
                if folder not in held and not stack.enter_context(exclusive(folder / COMMIT_LOCK, _WAIT)):
                    return False
            if can_be_done(entries):
                try:
                    kept = [entry.keep_changed() for entry in entries if entry.changed()]
                    do(entries)
                except OSError:
                    pass
                else:
                    say(_completed(entries, kept))
                    forget(entries)
                    return True
            undo(entries)
            say(
                f"A run was killed while it replaced files in {main.parent}; the earlier files stand there again: "
                f"{_names(entries)}. Run it again for new ones."
            )
            forget(entries)
            return True
    except OSError as error:
        say(_cannot(entries, main, error.strerror or str(error)))
        return False


def _completed(entries: Sequence[Entry], kept: Sequence[Path]) -> str:
    if all(entry.new is None for entry in entries):
        return (
            f"A run was killed while it removed files in {entries[0].final.parent}; now all of them are gone."
        )
    sentence = (
        f"A run was killed while it replaced files in {entries[0].final.parent}; its new files were complete and "
        f"now all have their names: {_names(entries)}."
    )
    if kept:
        sentence += f" Changed since, and kept: {', '.join(path.name for path in kept[:_SHOWN])}."
    return sentence


def _cannot(entries: Sequence[Entry], main: Path, reason: str) -> str:
    return (
        f"A run was killed while it replaced files in {main.parent}: old and new ones may stand side by side there "
        f"({_names(entries)}), which cannot be mended ({reason}). Make these files again before you use them."
    )


def _names(entries: Sequence[Entry]) -> str:
    names = [entry.final.name for entry in entries if entry.new is not None]
    names = names or [entry.final.name for entry in entries]  # a run that only removes
    names = [name if len(name) <= 40 else f"{name[:20]}…{name[-15:]}" for name in names]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _knows(path: Path, main: Path) -> bool:
    try:
        other = RunFile.take(path)
    except FileNotFoundError:
        return False
    if other is None:
        return False
    with other:
        leads = other.record().get("main")
        return isinstance(leads, str) and Path(os.path.normpath(path.parent / leads)) == main


def _remove_files_of(run: str, folder: Path) -> None:
    """Remove the hidden files of a run."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            match = TEMPORARY.match(entry.name)
            if match and match["run"] == run:
                unlink_quietly(entry)


def _remove_unowned(file: Path, made_by: str, pid: int) -> None:
    """Remove a hidden file of a run without a file of its own, where its process is gone, or after a day."""
    with contextlib.suppress(OSError):
        gone = made_by == host() and not _alive(pid)
        if not gone and time.time() - file.lstat().st_mtime <= _DAY:
            return
        earlier = Path(final_name(file))
        if ".floelens-old" in file.name and not os.path.lexists(earlier):
            os.rename(file, earlier)  # nobody knows of it any more, and it is the only one
        else:
            unlink_quietly(file)


def _remove_old_folder(folder: Path) -> None:
    """Remove a folder for display that an earlier version left, where nobody writes to it any more."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return
        content = list(os.scandir(folder))
        matches = [TEMPORARY.match(entry.name) for entry in content]
        if not all(match or entry.name.startswith("sar.tif") for match, entry in zip(matches, content)):
            return
        times = [entry.stat(follow_symlinks=False).st_mtime for entry in content]
        newest = max([folder.lstat().st_mtime, *times])
        owners = [match for match in matches if match]
        gone = bool(owners) and all(m["host"] == host() and not _alive(int(m["pid"])) for m in owners)
        if gone or time.time() - newest > _DAY:
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end the process on Windows
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
