"""Kills runs at moments that the clock chooses, and judges what stands in their folders afterwards.

A run is a process that tells on a pipe what it does, one line an event with its time (:class:`Teller`). Moments
are counted from such an event: from the beginning for any moment of a run, from the lock that a run takes to
replace its files or from its first renaming for the moments that matter.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, LOCK, PUT, SAID = "begin", "lock", "put", "said"
Contents = Mapping[str, str]


@dataclass(frozen=True)
class Moment:
    """When a run is killed.

    Parameters
    ----------
    after : str
        Kind of event; its first one counts.
    seconds : float
        How long after it.
    """

    after: str
    seconds: float


class Teller:
    """What a run tells on a pipe; a progress, too.

    Parameters
    ----------
    pipe : int
        Where to write.
    place : Path
        Folder of the outputs.
    moment : Moment, optional
        When the system is to kill the run.
    """

    def __init__(self, pipe: int, place: Path, moment: Moment | None = None) -> None:
        self._pipe, self._place, self._moment = pipe, str(place), moment
        self._timer = Timer() if moment else None

    def tell(self, event: str, text: str = "") -> None:
        """Write an event."""
        if self._moment is not None and event == self._moment.after:
            self._timer.kill_in(self._moment.seconds)
            self._moment = None
        os.write(self._pipe, f"{event} {time.monotonic()!r} {json.dumps(text)}\n".encode())

    def listen(self) -> None:
        """Tell of files that are locked or get their final names from now on."""
        sys.addaudithook(self._step)

    def _step(self, event: str, arguments: tuple) -> None:
        if event == "open" and str(arguments[0]).endswith(".floelens-commit.lock"):
            self.tell(LOCK)
        elif event == "os.rename" and str(arguments[1]).startswith(self._place) and not _hidden(arguments[1]):
            self.tell(PUT)

    def report(self, fraction: float, text: str = "") -> None:
        """Say nothing of how far the run is."""

    def message(self, text: str) -> None:
        """Say nothing of it."""

    def warn(self, text: str) -> None:
        """Pass a warning on."""
        self.tell(SAID, text)

    def cancelled(self) -> bool:
        """Never stop."""
        return False


class Timer:
    """A timer of the system that ends this process by SIGKILL, to the microsecond however busy the machine is."""

    class _Event(ctypes.Structure):
        _fields_ = (("value", ctypes.c_void_p), ("signal", ctypes.c_int), ("rest", ctypes.c_char * 52))

    def __init__(self) -> None:
        self._library, self._timer = ctypes.CDLL(None, use_errno=True), ctypes.c_void_p()
        event = self._Event(signal=signal.SIGKILL)
        if self._library.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "no timer")

    def kill_in(self, seconds: float) -> None:
        """End the process after some seconds."""
        whole = max(1, round(1e9 * seconds))  # ns; 0 would stop the timer
        times = (ctypes.c_long * 4)(0, 0, *divmod(whole, 1_000_000_000))
        if self._library.timer_settime(self._timer, 0, times, None):
            raise OSError(ctypes.get_errno(), "the timer does not start")


@dataclass(frozen=True)
class Ended:
    """A run that is over.

    Parameters
    ----------
    status : int
        Exit status, negative for a signal.
    events : tuple
        Kind, time in seconds, and text of each event.
    over : float
        When the end of the run was seen, in the same seconds.
    """

    status: int
    events: tuple[tuple[str, float, str], ...]
    over: float

    def first(self, kind: str) -> float | None:
        """Return when the first event of a kind was."""
        return next((when for name, when, _ in self.events if name == kind), None)

    def last(self, kind: str) -> float | None:
        """Return when the last event of a kind was."""
        return max((when for name, when, _ in self.events if name == kind), default=None)

    @property
    def sentences(self) -> list[str]:
        """What the run said of runs before it."""
        said = [text for name, _, text in self.events if name == SAID]
        return [text for text in said if text.startswith(("A run that was killed", "A run was killed"))]


def follow(pid: int, pipe: int) -> Ended:
    """Read what a run tells until it ends."""
    with os.fdopen(pipe, encoding="utf-8") as lines:
        told = [line.split(" ", 2) for line in lines if line.endswith("\n")]
    over = time.monotonic()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Ended(status, tuple((name, float(when), json.loads(text)) for name, when, text in told), over)


def contents(place: Path) -> dict[str, str]:
    """Return the checksum of each file below a folder, empty for a folder."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(place.rglob("*"))
    }


def visible(found: Contents) -> dict[str, str]:
    """Return those that are no hidden files of runs, and no folders."""
    return {name: value for name, value in found.items() if value and not _hidden(name)}


def _hidden(path: str | os.PathLike) -> bool:
    return "floelens-" in Path(path).name


@dataclass
class Tally:
    """How many runs were killed, and what came of them."""

    counts: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def judge(
        self, before: Contents, after: Contents, old: Contents, new: Contents, said: list[str], repeated: bool
    ) -> str:
        """Return what is wrong with a folder after a kill and after it was put in order; count what it was.

        After a run was `repeated` nothing but new files will do.
        """
        seen = visible(before)
        state = "old" if seen == visible(old) else "new" if seen == visible(new) else "mixed"
        self.counts[f"{state} after the kill"] += 1
        result = "new" if after == new else "old" if after == old and not repeated else "neither"
        self.counts[f"{result} in the end"] += 1
        self.counts["mended and said"] += bool(said)
        if result == "neither":
            changed = {
                name for name in {*after, *old, *new} if after.get(name) not in (old.get(name), new.get(name))
            }
            return f"neither old nor new: {sorted(changed) or 'a mixture'}; said {said}"
        if state == "mixed" and not said:
            return f"mended to {result} without a word"
        if any(len(sentence) >= 500 for sentence in said):
            return f"a long sentence: {said}"
        if len(said) == 1 and not repeated and ("earlier files stand" in said[0]) != (result == "old"):
            return f"it says what is not so, all being {result}: {said}"
        return ""


def moments(full: Ended, chance: random.Random, number: int) -> Moment:
    """Return when to kill the next run: half anywhere, half where files are replaced.

    Parameters
    ----------
    full : Ended
        A run that was not killed.
    """
    begin, end = full.first(BEGIN), full.over
    lock, put, last = full.first(LOCK), full.first(PUT), full.last(PUT)
    if number % 2 == 0:
        return Moment(BEGIN, chance.uniform(0.0, 1.05 * (end - begin)))
    if lock is None:  # a file that replaces one by itself takes no lock
        return Moment(BEGIN, chance.uniform(0.9 * (put - begin), 1.02 * (end - begin)))
    if number % 4 == 1 or put is None:  # files that are removed get no names
        return Moment(LOCK, chance.uniform(0.0, 1.05 * (end - lock)))
    return Moment(PUT, chance.uniform(0.0, last - put))
