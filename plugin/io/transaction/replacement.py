"""Several files that replace others at once, in steps that can be taken up again, or back, after a kill.

1. What is to be replaced is written down (:mod:`.run_files`) while all new files lie under hidden names.
2. Each earlier file gets a second, hidden name.
3. Each new file gets its final name.
4. The hidden names of the earlier files are removed.

No content is given up before step 4, so after a kill in any step the rest can be done, or all undone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run_files import sync_folder
from .temporary import TEMPORARY, temporary_name, unlink_quietly

_SAME_TIME = 2_000_000_000  # ns: some file systems keep times to two seconds


@dataclass(frozen=True)
class Content:
    """What distinguishes one content of a file from another without reading it.

    Parameters
    ----------
    size : int
        In bytes.
    time : int
        Of its last change, in ns.
    """

    size: int
    time: int

    @classmethod
    def of(cls, path: Path) -> Content | None:
        """Return that of a file, None where there is none."""
        try:
            status = os.lstat(path)
        except OSError:
            return None
        return cls(status.st_size, status.st_mtime_ns)

    def is_at(self, path: Path) -> bool:
        """Return whether the file at `path` still has this content."""
        other = Content.of(path)
        return other is not None and other.size == self.size and abs(other.time - self.time) <= _SAME_TIME


@dataclass(frozen=True)
class Entry:
    """A name that gets a new file, or loses the one it has.

    Parameters
    ----------
    final : Path
        The name.
    new : Path or None
        Where the complete new file lies, in the same folder; None where the name goes.
    aside : Path
        Hidden name of the earlier file.
    new_content, old_content : Content or None
        Of the new and of the earlier file, where there is one.
    """

    final: Path
    new: Path | None
    aside: Path
    new_content: Content | None
    old_content: Content | None

    @classmethod
    def planned(cls, final: Path, new: Path | None, run: str, number: int) -> Entry:
        """Return the entry of a name as it stands now."""
        aside = temporary_name(final, run, number, kind="old")
        return cls(final, new, aside, Content.of(new) if new else None, Content.of(final))

    def in_place(self) -> bool:
        """Return whether the new file has its name already."""
        return self.new is not None and not os.path.lexists(self.new)

    def lost(self) -> bool:
        """Return whether the new file is nowhere, while the earlier one still is."""
        if not self.in_place() or (self.new_content and self.new_content.is_at(self.final)):
            return False
        if not os.path.lexists(self.final):
            return os.path.lexists(self.aside)
        return self.old_content is not None and self.old_content.is_at(self.final)

    def vanished(self) -> bool:
        """Return whether neither the new file nor an earlier one is anywhere."""
        return self.in_place() and not any(map(os.path.lexists, (self.final, self.aside)))

    def changed(self) -> bool:
        """Return whether another program wrote under the name since the entry was planned."""
        if self.new is None or self.in_place() or not os.path.lexists(self.final):
            return False
        return self.old_content is None or not self.old_content.is_at(self.final)

    def keep_changed(self) -> Path:
        """Give a changed file another, visible name; return it."""
        token = TEMPORARY.match(self.aside.name)
        run = token["run"] if token else "0"
        kept = self.final.with_name(f"{self.final.stem}.kept-{run[-8:]}{self.final.suffix}")
        os.rename(self.final, kept)
        return kept

    def set_aside(self) -> None:
        """Give the earlier file its hidden name."""
        if self.in_place() or os.path.lexists(self.aside) or not os.path.lexists(self.final):
            return
        if self.new is None and not (self.old_content and self.old_content.is_at(self.final)):
            return  # made since, beside the new file
        if self.new is not None and os.name == "posix":
            # A second name rather than another one: no moment without the file.
            try:
                os.link(self.final, self.aside, follow_symlinks=False)
            except (OSError, NotImplementedError):
                os.rename(self.final, self.aside)
        else:
            os.rename(self.final, self.aside)  # Windows refuses here where a program holds the file open

    def put(self) -> None:
        """Give the new file its name."""
        if self.new is not None and os.path.lexists(self.new):
            os.replace(self.new, self.final)

    def undo(self) -> None:
        """Give the earlier file its name again, and the new one its hidden name."""
        if self.in_place() and self.new_content and self.new_content.is_at(self.final):
            os.replace(self.final, str(self.new))
        if os.path.lexists(self.aside):
            os.replace(self.aside, self.final)
            with contextlib.suppress(FileNotFoundError):
                self.aside.unlink()  # two names of one file: replacing one by the other does nothing


def do(entries: Sequence[Entry]) -> None:
    """Set all earlier files aside and give the new ones their names: what is left of it.

    Raises
    ------
    OSError
        A step was refused, such as where another program holds a file open; see `undo`.
    """
    for entry in entries:
        entry.set_aside()
    for entry in entries:
        entry.put()
    for folder in folders(entries):
        sync_folder(folder)


def can_be_done(entries: Sequence[Entry]) -> bool:
    """Return whether all new files are there, or have their names."""
    if any(entry.lost() for entry in entries):
        return False
    pending = any(entry.new is not None and not entry.in_place() for entry in entries)
    return not (pending and any(entry.vanished() for entry in entries))


def undo(entries: Sequence[Entry]) -> None:
    """Give all earlier files their names again.

    Raises
    ------
    OSError
        A step was refused.
    """
    for entry in reversed(entries):
        entry.undo()
    for folder in folders(entries):
        sync_folder(folder)


def forget(entries: Iterable[Entry]) -> bool:
    """Remove the earlier files; return whether all are gone."""
    return all(unlink_quietly(entry.aside) for entry in entries)


def folders(entries: Iterable[Entry]) -> list[Path]:
    """Return the folders of entries, each once."""
    return list(dict.fromkeys(entry.final.parent for entry in entries))


# Records


def to_record(entries: Sequence[Entry], main: Path) -> dict[str, Any]:
    """Return entries as JSON values; folders are relative to `main`, so that all may be moved together."""
    places = folders(entries)
    return {
        "folders": [relative(place, main) for place in places],
        "entries": [
            [
                places.index(entry.final.parent),
                entry.final.name,
                entry.new.name if entry.new else None,
                entry.aside.name,
                _numbers(entry.new_content),
                _numbers(entry.old_content),
            ]
            for entry in entries
        ],
    }


def from_record(record: Any, main: Path, run: str) -> list[Entry] | None:
    """Return the entries of a record; None where it is not one that this run may have written."""
    try:
        places = [Path(os.path.normpath(main / place)) for place in record["folders"]]
        entries = []
        for index, final, new, aside, new_content, old_content in record["entries"]:
            hidden = [aside] if new is None else [aside, new]
            matches = [TEMPORARY.match(name) for name in hidden]
            if not all(match and match["run"] == run for match in matches) or TEMPORARY.match(final):
                return None
            if not all(_is_plain(name) for name in (final, *hidden)):
                return None
            folder = places[index]
            entries.append(
                Entry(
                    folder / final,
                    folder / new if new else None,
                    folder / aside,
                    Content(*new_content) if new_content else None,
                    Content(*old_content) if old_content else None,
                )
            )
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        return None
    return entries


def relative(place: Path, main: Path) -> str:
    """Return a folder relative to another; in full where they have no drive in common."""
    try:
        return os.path.relpath(place, main)
    except ValueError:
        return str(place)


def _numbers(content: Content | None) -> list[int] | None:
    return [content.size, content.time] if content else None


def _is_plain(name: str) -> bool:
    return (
        name not in ("", ".", "..") and not any(c in name for c in "/\0") and os.path.basename(name) == name
    )
