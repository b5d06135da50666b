"""Kills runs at moments that the clock chooses, and judges what stands in their folders afterwards.

A run is a process that tells on a pipe what it does, one line an event with its time (:class:`Teller`). Moments
are counted from such an event: from the beginning for any moment of a run, from the lock that a run takes to
replace its files or from its first renaming for the moments that matter::

    ended = follow(start(), Moment("begin", 0.8))
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, LOCK, PUT, SAID, FAILED = "begin", "lock", "put", "said", "failed"
_SPIN = 0.004  # seconds before a moment in which the clock is asked again and again
Contents = Mapping[str, str]


class Teller:
    """What a run tells on a pipe; a progress, too.

    Parameters
    ----------
    pipe : int
        Where to write.
    places : iterable of Path
        Folders of the outputs.
    """

    def __init__(self, pipe: int, places: Iterable[Path]) -> None:
        self._pipe, self._places = pipe, tuple(str(place) for place in places)

    def tell(self, event: str, text: str = "") -> None:
        """Write an event."""
        os.write(self._pipe, f"{event} {time.monotonic()!r} {json.dumps(text)}\n".encode())

    def listen(self) -> None:
        """Tell of files that are locked or get their final names from now on."""
        sys.addaudithook(self._step)

    def _step(self, event: str, arguments: tuple) -> None:
        if event == "open" and str(arguments[0]).endswith(".floelens-commit.lock"):
            self.tell(LOCK)
        elif event == "os.rename" and str(arguments[1]).startswith(self._places) and not _hidden(arguments[1]):
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


def follow(pid: int, pipe: int, moment: Moment | None = None) -> Ended:
    """Read what a run tells until it ends; kill it at a moment."""
    os.set_blocking(pipe, False)
    rest, events, deadline = b"", [], None
    while True:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline, moment = None, None
        waits = 1.0 if deadline is None else deadline - now - _SPIN
        near = moment is not None and moment.after == PUT and any(name == LOCK for name, _, _ in events)
        if waits > 0 and not near:
            select.select([pipe], [], [], waits)
        try:
            part = os.read(pipe, 1 << 16)
        except BlockingIOError:
            continue
        if not part:
            break
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            name, when, text = line.decode().split(" ", 2)
            events.append((name, float(when), json.loads(text)))
            if moment is not None and deadline is None and name == moment.after:
                deadline = float(when) + moment.seconds
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(pipe)
    return Ended(status, tuple(events), time.monotonic())


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
    return "floelens-" in os.path.basename(path)


@dataclass
class Tally:
    """How many runs were killed, and what came of them."""

    counts: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def judge(self, before: Contents, after: Contents, old: Contents, new: Contents, said: list[str]) -> str:
        """Return what is wrong with a folder after a kill and after it was put in order; count what it was."""
        seen, whole = visible(before), (visible(old), visible(new))
        state = "old" if seen == whole[0] else "new" if seen == whole[1] else "mixed"
        self.counts[f"{state} after the kill"] += 1
        result = "old" if after == old else "new" if after == new else "neither"
        self.counts[f"{result} in the end"] += 1
        self.counts["mended and said"] += bool(said)
        if result == "neither":
            changed = {name for name in {*after, *old, *new} if after.get(name) not in (old.get(name), new.get(name))}
            return f"neither old nor new: {sorted(changed) or 'a mixture'}; said {said}"
        if state == "mixed" and not said:
            return f"mended to {result} without a word"
        if any(len(sentence) >= 500 for sentence in said):
            return f"a long sentence: {said}"
        if len(said) == 1 and old != new and ("earlier files stand" in said[0]) != (result == "old"):
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
    if number % 4 == 1:
        return Moment(LOCK, chance.uniform(0.0, 1.05 * (end - lock)))
    return Moment(PUT, chance.uniform(0.0, last - put))
