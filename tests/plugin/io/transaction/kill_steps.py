"""Kills a transaction before each of its file-system steps, and each half-way through a write.

A script, run by ``test_transaction_kills.py`` in a process of its own, since every case is a fork:
``kill_steps.py ROOT PLACE SCENARIO [DEEP]``. It prints JSON: how many steps there were, and what was
wrong after a kill at which step.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

KILLED = 77
STEPS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.chmod")
OLD, NEW = "old", "new content"
# Files by name; those in `OLD_FILES` exist before, `STALE` described an old one.
FILES = ("one/a.csv", "one/a.qml", "one/b.gpkg", "two/c.csv", "two/made/d.csv")
STALE, MADE = "one/b.gpkg-wal", "two/made"


class Killer:
    """Ends the process before the n-th step, or in the middle of it where it is a write."""

    def __init__(self, last: int, torn: bool) -> None:
        self.last, self.torn, self.count = last, torn, 0
        self._write = os.write
        sys.addaudithook(lambda event, _arguments: self.step() if event in STEPS else None)
        os.write = self.write
        os.fsync = lambda _descriptor: self.step()  # a kill loses nothing that was written

    def step(self) -> None:
        self.count += 1
        if self.count == self.last:
            os._exit(KILLED)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.count + 1 == self.last and self.torn:
            self._write(descriptor, bytes(data)[: len(data) // 2])
        self.step()
        return self._write(descriptor, data)


def prepare(place: Path, existing: bool) -> None:
    shutil.rmtree(place, ignore_errors=True)
    for name in ("one", "two"):
        (place / name).mkdir(parents=True)
    if existing:
        (place / "two/made").mkdir()
        for name in (*FILES, STALE):
            (place / name).write_text(OLD)
            os.utime(place / name, (1_000_000_000, 1_000_000_000))


def run(place: Path, content: str = NEW) -> None:
    from floelens.plugin.io.transaction.outputs import OutputTransaction

    with OutputTransaction() as outputs:
        outputs.folder(place / "two/made")
        for name in FILES:
            outputs.file(place / name).write_text(content)


def mend(place: Path, first: str) -> list[str]:
    """Open the folders as the next run would, beginning with `first`."""
    from floelens.plugin.io.transaction.leftovers import clear

    names = [first, *(name for name in ("one", "two", "two/made") if name != first)]
    return [sentence for name in names for sentence in clear(place / name)]


def state(place: Path) -> dict[str, str | None]:
    files = {
        name: (place / name).read_text() if (place / name).is_file() else None for name in (*FILES, STALE)
    }
    return {**files, MADE: "a folder" if (place / MADE).is_dir() else None}


def of_files(found: dict[str, str | None]) -> dict[str, str | None]:
    return {**found, MADE: None}


def child(last: int, torn: bool, work) -> bool:
    """Do `work` in a fork that is killed at a step; return whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        killer = Killer(last, torn)
        try:
            work()
        except Exception as error:
            if "injected" not in str(error):
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(1)
        killer.last = 0
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, KILLED):
        raise SystemExit(f"step {last} ended with {status}")
    return status == 0


def no_links() -> None:
    def refuse(*_arguments, **_names):
        raise OSError(1, "no hard links here")

    os.link = refuse


def held_open(name: str):
    """Make the file system refuse to replace one of the files, as Windows does where it is open."""

    def setup() -> None:
        replace = os.replace

        def refusing(source, target):
            if str(target).endswith(name) and "floelens-tmp" in str(source):
                raise PermissionError(13, "injected: held open", str(target))
            replace(source, target)

        os.replace = refusing

    return setup


SCENARIOS = {
    "fresh": (False, lambda: None),
    "existing": (True, lambda: None),
    "existing without hard links": (True, no_links),
    "fresh, refused": (False, held_open("c.csv")),
    "existing, refused": (True, held_open("c.csv")),
}


def problem(before: dict, after: dict, sentences: list[str], place: Path, old: dict, new: dict) -> str:
    if after not in (old, new):
        return f"mixed: {after}"
    if of_files(before) not in (of_files(old), of_files(new), of_files(after)) and not sentences:
        return f"mended without a word: {before}"
    left = [str(file) for file in place.rglob("*") if "floelens" in file.name]
    return f"left: {left}" if left else ""


def main() -> None:
    root, place, scenario, deep = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], len(sys.argv) > 4
    spec = importlib.util.spec_from_file_location(
        "floelens", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["floelens"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["floelens"])
    import floelens.plugin.io.transaction.outputs  # noqa: F401

    os.fsync = lambda _descriptor: None
    existing, setup = SCENARIOS[scenario]
    prepare(place, existing)
    old = state(place)
    new = {**dict.fromkeys(FILES, NEW), STALE: None, MADE: "a folder"}
    wrong, step, cases, mixed = [], 0, 0, 0
    while True:
        step += 1
        torn, first = bool(step % 2), ("one", "two", "two/made")[step % 3]
        prepare(place, existing)
        finished = child(step, torn, lambda: (setup(), run(place)))
        before = state(place)
        mixed += of_files(before) not in (of_files(old), of_files(new))
        if deep and not finished:
            inner = 0
            while not child(inner := inner + 1, torn, lambda first=first: mend(place, first)):
                cases += 1
                sentences = ["said by the killed one", *mend(place, first)]
                found = problem(before, state(place), sentences, place, old, new)
                if found:
                    wrong.append(f"{step}, then {inner} (torn {torn}, {first} first): {found}")
                prepare(place, existing)
                child(step, torn, lambda: (setup(), run(place)))
            prepare(place, existing)
            child(step, torn, lambda: (setup(), run(place)))
        sentences = mend(place, first)
        cases += 1
        found = problem(before, state(place), sentences, place, old, new)
        if any(len(sentence) >= 500 for sentence in sentences):
            found = f"long: {sentences}"
        if found:
            wrong.append(f"{step} (torn {torn}, {first} first): {found}")
        if finished:
            break
        prepare(place, existing)
        child(step, torn, lambda: (setup(), run(place)))
        if not child(0, False, lambda: run(place)) or state(place) != new:
            wrong.append(f"{step} (torn {torn}), then a whole run: {state(place)}")
    print(json.dumps({"steps": step - 1, "cases": cases, "mixed": mixed, "wrong": wrong[:20]}))


main()
