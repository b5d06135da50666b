"""What a long run has finished, kept beside its result, so that the same run begun again goes on from there.

The file ``<result>_unfinished.npz`` holds parts by name, each a JSON text and arrays. It is replaced as a whole after
each part, and removed when the run is complete. A file of other settings is replaced, one that is not ours is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...ground.damaged_arrays import DAMAGED
from ...ground.errors import Cancelled
from ...ground.protocols import Progress
from ...io.transaction.outputs import atomic_path

_MARK = "floelens_unfinished"

Part = tuple[str, dict[str, np.ndarray]]


class Unfinished:
    """The finished parts of a run.

    Parameters
    ----------
    result : str
        The file that the run will write; parts lie beside it.
    settings : mapping
        What shapes the parts: plain values. Parts of other settings are not used.
    """

    def __init__(self, result: str, settings: dict[str, object]) -> None:
        result_path = Path(result)
        self.path = result_path.with_name(f"{result_path.stem}_unfinished.npz")
        self._key = json.dumps(settings, sort_keys=True)
        self._parts: dict[str, Part] = {}
        self._ours = True
        self._read()

    @property
    def names(self) -> tuple[str, ...]:
        """The parts that are there."""
        return tuple(self._parts)

    def get(self, name: str) -> Part | None:
        """Return a part, or None where it is not finished."""
        return self._parts.get(name)

    def keep(self, name: str, text: str, arrays: dict[str, np.ndarray]) -> None:
        """Keep a finished part."""
        self._parts[name] = (text, arrays)
        if not self._ours:
            return
        texts = json.dumps({part: text for part, (text, _) in self._parts.items()})
        stored = {
            f"{part}/{key}": array for part, (_, kept) in self._parts.items() for key, array in kept.items()
        }
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{_MARK: np.array([self._key, texts])}, **stored)

    def remove(self) -> None:
        """Remove the file: the run is complete."""
        if self._ours and self._parts and os.path.lexists(self.path):
            self.path.unlink()

    def _read(self) -> None:
        if not os.path.lexists(self.path):
            return
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                self._ours = _MARK in stored.files
                if not self._ours or str(stored[_MARK][0]) != self._key:
                    return
                for name, text in json.loads(str(stored[_MARK][1])).items():
                    arrays = {
                        key[len(name) + 1 :]: stored[key]
                        for key in stored.files
                        if key.startswith(f"{name}/")
                    }
                    self._parts[name] = (text, arrays)
        except DAMAGED:
            self._ours = False  # damaged, or another program's


def fingerprint(source: str) -> list[object]:
    """Return what tells one version of a file from another; its name alone where it is no plain file."""
    path = Path(source)
    if not path.is_file():
        return [source]
    state = path.stat()
    return [source, state.st_size, state.st_mtime_ns]


def part_check(progress: Progress, number: int, count: int, title: str) -> Callable[[float], None]:
    """Return what a part, of `count`, calls with the share done of it: it reports that, and ends a cancelled run.

    Raises
    ------
    Cancelled
        The person asked to stop.
    """

    def check(share: float) -> None:
        progress.report((number + share) / count, title)
        if progress.cancelled():
            raise Cancelled("Stopped before the end: no result was written.")

    return check
