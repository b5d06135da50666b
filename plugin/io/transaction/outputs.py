"""Files of one run that get their names together, when all are complete, or not at all.

A run writes hidden files; at the end of the block they replace the earlier ones::

    with OutputTransaction(progress) as outputs:
        outputs.file("table.csv").write_text(text)
        outputs.file("table.csvt").write_text(types)

An error inside leaves the earlier files as they were. After a kill the next run that opens one of the
folders puts them in order (:mod:`.leftovers`) and says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, TypeVar

from ...ground.errors import OutputError
from ...ground.protocols import Progress, Silent
from .leftovers import COMMIT_LOCK, clear, written_by_another
from .locks import exclusive
from .replacement import Entry, do, forget, relative, to_record, undo
from .run_files import RunFile, sync, sync_folder
from .temporary import (
    NO_ROOM,
    TEMPORARY,
    cannot_write,
    check_destination,
    new_run,
    remove_temporary,
    temporary_name,
)

_WAIT = 60.0  # seconds for another run that is just renaming in the same folder
_Transaction = TypeVar("_Transaction", bound="OutputTransaction")


class OutputTransaction:
    """Several files that get their names together, at the end, or not at all; a context manager.

    Parameters
    ----------
    progress : Progress, optional
        Takes a warning about what a killed run had left and what came of it.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress or Silent()
        self._run = new_run()
        self._number = 0
        self._parts: list[Any] = []
        self._scratch: list[Any] = []
        self._removed: list[Path] = []
        self._made: list[Path] = []
        self._going: list[Path] = []
        self._run_files: dict[Path, RunFile] = {}  # the first is the main one

    def add(self, part: Any) -> None:
        """Take in something with `path`, `temporary`, `stale`, `finish` and `discard`.

        `finish` completes the file `temporary`, `stale` names what stands beside an earlier file `path`
        and described it.
        """
        self._parts.append(part)

    def add_scratch(self, part: Any) -> None:
        """Take in something that gets no name and goes at the end; it has `discard`."""
        self._scratch.append(part)

    def temporary(self, path: str | os.PathLike) -> Path:
        """Return a new hidden name beside `path`, where a file of this run may be written.

        Raises
        ------
        OutputError
            Nothing can be written there.
        """
        path = check_destination(path)
        self._claim(path.parent)
        if written_by_another(path, self._run):
            self._progress.warn(
                f"Another run of FloeLens is writing {path} at this moment: the result of the run that ends last "
                "stays. Stop one of them, or give it another name."
            )
        self._number += 1
        return temporary_name(path, self._run, self._number)

    def file(self, path: str | os.PathLike) -> Path:
        """Return a temporary path to write what will be called `path`."""
        part = _PlainFile(Path(path), self.temporary(path))
        self.add(part)
        return part.temporary

    def remove(self, path: str | os.PathLike) -> None:
        """Take note of a file that goes when the others get their names."""
        self._claim(Path(path).parent)
        self._removed.append(Path(path))

    def remove_folder(self, path: str | os.PathLike) -> None:
        """Take note of a folder that goes at the end where nothing is in it then, also after a kill."""
        folder = Path(path)
        if os.access(folder.parent, os.W_OK):
            own = self._claim(folder.parent)
            own.append({"made": [*own.record().get("made", []), folder.name]})
            self._going.append(folder)

    def folder(self, path: str | os.PathLike) -> None:
        """Make a folder for files to come, where it is missing; it goes again if they fail."""
        folder = Path(path)
        for place in (folder, folder.parent):  # a killed run may have made it: then it goes with that
            self._clear(Path(os.path.realpath(place)))
        if folder.is_dir():
            return
        check_destination(folder)
        own = self._claim(folder.parent)
        try:
            own.append({"made": [*own.record().get("made", []), folder.name]})
            folder.mkdir()
        except OSError as error:
            raise cannot_write(folder, error.strerror or error) from error
        self._made.append(folder)

    def __enter__(self: _Transaction) -> _Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for part in self._parts:
                    part.finish()
                self._commit()
                self._made = self._going
        finally:
            for part in (*self._parts, *self._scratch):
                part.discard()
            self._remove_made()
            for run_file in self._run_files.values():
                run_file.remove()
            self._run_files = {}
        if isinstance(error, OSError) and error.errno in NO_ROOM and self._parts:
            # Files are written as soon as they are asked for: it was the last one.
            raise cannot_write(self._parts[-1].path, error.strerror or error) from error

    def _remove_made(self) -> None:
        """Remove folders that were made for files that failed, or are to go, while this is still written down."""
        for folder in reversed(self._made):
            run_file = self._run_files.pop(Path(os.path.realpath(folder)), None)
            if run_file is not None:
                run_file.remove()
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _claim(self, folder: Path) -> RunFile:
        """Return this run's file in a folder, in which dead runs are ended first."""
        real = Path(os.path.realpath(folder))
        if real not in self._run_files:
            self._clear(real)
            try:
                real.mkdir(exist_ok=True)  # it goes with the files of a killed run that had made it
                self._run_files[real] = RunFile.create(real, self._run)
            except OSError as error:
                raise cannot_write(folder, error.strerror or error) from error
        return self._run_files[real]

    def _clear(self, folder: Path, held: tuple[Path, ...] = ()) -> None:
        clear(folder, held, self._progress.warn)

    # Commit

    def _commit(self) -> None:
        """Give all files their names."""
        if not self._parts and not self._removed:
            return
        for part in self._parts:
            _flush(part)
        stale = self._stale()
        if len(self._parts) == 1 and not stale:
            part = self._parts[0]
            try:
                os.replace(part.temporary, part.path)
            except OSError as error:
                raise _cannot_replace(part.path, error) from error
            sync_folder(part.path.parent)
            return
        folders = tuple(sorted(self._run_files))
        with contextlib.ExitStack() as stack:
            for folder in folders:
                if not _lock(stack, folder):
                    raise OutputError(
                        f"Another run of FloeLens is still replacing files in {folder}. Wait for it and run again; "
                        "nothing was replaced."
                    )
            for folder in folders:
                self._clear(folder, folders)
            self._replace(self._planned(stale))

    def _stale(self) -> list[Path]:
        """Return what is to go: what stands beside earlier files, and is not written anew."""
        written = {_same(part.path) for part in self._parts}
        stale = [
            Path(f"{part.path}{suffix}") for part in self._parts for suffix in part.stale
        ] + self._removed
        return [path for path in stale if _same(path) not in written and os.path.lexists(path)]

    def _planned(self, stale: list[Path]) -> list[Entry]:
        pairs = [(part.path, part.temporary) for part in self._parts] + [(path, None) for path in stale]
        entries = []
        for path, temporary in pairs:
            self._number += 1
            final = Path(os.path.realpath(path.parent)) / path.name
            new = final.with_name(temporary.name) if temporary else None
            entries.append(Entry.planned(final, new, self._run, self._number))
        return entries

    def _replace(self, entries: list[Entry]) -> None:
        main, *others = self._run_files
        try:
            for other in others:
                self._run_files[other].append({"main": relative(main, other)})
                sync_folder(other)
            self._run_files[main].append({"replace": to_record(entries, main)})
            sync_folder(main)
        except OSError as error:
            raise cannot_write(entries[0].final, error.strerror or error) from error
        try:
            do(entries)
        except OSError as error:
            # What cannot be undone either stays written down: the next run tries again.
            try:
                undo(entries)
            except OSError:
                self._abandon()
                raise _cannot_replace(_named(error, entries), error, mixed=True) from error
            self._withdraw(main)
            raise _cannot_replace(_named(error, entries), error) from error
        if not forget(entries):
            self._abandon()
        elif self._going:
            self._withdraw(main)  # before the files of this run go, which a replacement under way would need

    def _withdraw(self, main: Path) -> None:
        """Strike out what was written down, before the new files go."""
        try:
            self._run_files[main].append({"replace": None})
        except OSError:
            self._run_files[main].remove()

    def _abandon(self) -> None:
        """Leave what is written down and all hidden files to the next run."""
        self._parts = []
        self._made = []
        for run_file in self._run_files.values():
            run_file.close()
        self._run_files = {}


class _PlainFile:
    """A file that is written by itself under a temporary name."""

    def __init__(self, path: Path, temporary: Path) -> None:
        self.path, self.temporary = path, temporary
        # SQLite would take what an earlier database left for this one's.
        self.stale = ("-wal", "-shm", "-journal") if path.suffix.lower() == ".gpkg" else ()

    def finish(self) -> None:
        if not self.temporary.exists():
            raise OutputError(f"Nothing was written for {self.path}.")

    def discard(self) -> None:
        remove_temporary(self.temporary)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, progress: Progress | None = None) -> Iterator[Path]:
    """Give a temporary path beside `path`; it is renamed to `path` when the block ends well.

    Raises
    ------
    OutputError
        Nothing can be written there; also in place of an `OSError` inside the block.
    """
    if TEMPORARY.match(Path(path).name):
        yield Path(path)  # a file of a transaction, which renames it
        return
    try:
        with OutputTransaction(progress) as outputs:
            yield outputs.file(path)
    except OSError as error:
        raise cannot_write(Path(path), error) from error


@contextlib.contextmanager
def atomic_text(
    path: str | os.PathLike, newline: str = "\n", progress: Progress | None = None
) -> Iterator[TextIO]:
    """Open a text file (UTF-8) that gets its name `path` when the block ends well (see `atomic_path`)."""
    with (
        atomic_path(path, progress) as temporary,
        temporary.open("w", encoding="utf-8", newline=newline) as file,
    ):
        yield file


def _flush(part: Any) -> None:
    try:
        # Only now does a full disk or an exceeded quota show on some file systems.
        with Path(part.temporary).open("rb+") as file:
            sync(file.fileno())
    except OSError as error:
        raise cannot_write(part.path, error) from error


def _lock(stack: contextlib.ExitStack, folder: Path) -> bool:
    try:
        return stack.enter_context(exclusive(folder / COMMIT_LOCK, _WAIT))
    except OSError as error:
        raise cannot_write(folder, error.strerror or error) from error


def _named(error: OSError, entries: list[Entry]) -> Path:
    """Return the final name of the file that an error is about."""
    names = {str(error.filename), str(error.filename2)}
    for entry in entries:
        if names & {str(entry.final), str(entry.new), str(entry.aside)}:
            return entry.final
    return entries[0].final


def _cannot_replace(path: Path, error: OSError, mixed: bool = False) -> OutputError:
    outcome = (
        "old and new files stand side by side until the next run mends it"
        if mixed
        else "nothing was replaced"
    )
    return OutputError(
        f"{path} cannot be replaced ({error.strerror or error}): another program may hold it open. Close it there "
        f"(in QGIS remove its layer), or choose another name; {outcome}."
    )


def _same(path: Path) -> str:
    return os.path.normcase(os.path.join(os.path.realpath(path.parent), path.name))
