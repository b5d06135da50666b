"""Fingerprint of results: what every job writes on small scenes, to be compared before and after a change of code.

::

    make fingerprint FOLDER=build/before                # this checkout
    make fingerprint FOLDER=build/after AGAINST=build/before
    .venv/bin/python tools/fingerprint.py run build/old --plugins ../old/build/plugins --like build/before

Both must be made on the same machine with the same libraries, as floating-point results hang on them: digests are
never kept in the repository. ``--like`` takes the scenes and model packages of another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from digests import difference, digests, parts  # noqa: E402  (their folder is known only now)
from fingerprint_cases import Case, cases, simulations, vary  # noqa: E402

FILE = "fingerprint.json"


class Silent:
    """A progress that says nothing and never stops."""

    def report(self, fraction: float, text: str = "") -> None:
        """Take no notice."""

    def message(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Take no notice."""

    def cancelled(self) -> bool:
        """Return False."""
        return False


def fingerprint(case: Case, folder: Path) -> dict[str, str]:
    """Run a case into a folder; return what it gave, or its error."""
    folder.mkdir(parents=True)
    try:
        results = case.job(folder).run(Silent())
    except Exception as error:  # an error is a result too
        return {"error": f"{type(error).__name__}: {str(error).replace(str(folder), '')}"}
    found = {
        f"result {name}": repr(value) for name, value in results.items() if str(folder) not in str(value)
    }
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inner = digests(path)
        found.update({f"{path.relative_to(folder)}: {name}": value for name, value in inner.items()})
        found.setdefault(f"{path.relative_to(folder)}: is there", "yes")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Run all cases and write their fingerprint."""
    sys.path.insert(0, str(arguments.plugins.resolve()))
    folder = arguments.folder.resolve()
    like = arguments.like.resolve() if arguments.like else None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if like is None:
        skipped = shutil.ignore_patterns("__pycache__", "*.py", "*.pyc")
        shutil.copytree(arguments.plugins / "floelens" / "models", folder / "models", ignore=skipped)
        vary(folder / "models")
        for case in simulations():
            fingerprint(case, folder / "scenes" / case.name.split("/")[1])
    # Not copied: the tags of some results have the paths.
    scenes, models = (like or folder) / "scenes", (like or folder) / "models"
    found: dict[str, dict[str, str]] = {}
    data = arguments.data if arguments.data.is_dir() else None
    for case in cases(scenes, models, data):
        if not re.search(arguments.cases, case.name):
            continue
        start = time.process_time()
        found[case.name] = fingerprint(case, folder / case.name)
        said = found[case.name].get("error", f"{len(found[case.name])} parts")
        print(f"{time.process_time() - start:7.1f} s  {case.name}: {said}", flush=True)
        (folder / FILE).write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0


def compare(arguments: argparse.Namespace) -> int:
    """Print what differs; return 1 where anything does."""
    before, after = (
        json.loads((folder / FILE).read_text(encoding="utf-8"))
        for folder in (arguments.before, arguments.after)
    )
    changed = same = 0
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        if one is None or other is None:
            print(f"{name}: only {'before' if other is None else 'after'}")
            continue
        gone = [key for key in (*one, *other) if one.get(key) != other.get(key)]
        same += sum(one.get(key) == other.get(key) for key in {**one, **other})
        for key in dict.fromkeys(gone):
            if any(word in f"{name}: {key}" for word in arguments.ignore):
                continue
            changed += 1
            print(f"{name}: {key}: {_difference(arguments, name, key, one.get(key), other.get(key))}")
    print(f"{same} parts are the same, {changed} differ")
    return int(changed > 0)


def _difference(
    arguments: argparse.Namespace, case: str, key: str, one: str | None, other: str | None
) -> str:
    """Return in words how a part differs: from the files, where they are still there."""
    if one is None or other is None:
        return f"only {'before' if other is None else 'after'}: {one or other}"
    file, _, part = key.partition(": ")
    paths = [folder / case / file for folder in (arguments.before, arguments.after)]
    if part and all(path.is_file() for path in paths):
        return difference(*(_parts(path).get(part) for path in paths))
    return f"{one}, then {other}"


@lru_cache(maxsize=8)  # the files of one case, before and after
def _parts(path: Path) -> dict[str, object]:
    return dict(parts(path))


def main() -> int:
    """Read the command line; run or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run", help="run all cases into a folder")
    running.add_argument("folder", type=Path)
    running.add_argument(
        "--plugins", type=Path, default=ROOT / "build" / "plugins", help="folder that holds floelens"
    )
    running.add_argument("--like", type=Path, help="folder of an earlier run, for its scenes and models")
    running.add_argument(
        "--data", type=Path, default=ROOT.parent / "shared" / "data", help="real files, for imports"
    )
    running.add_argument("--cases", default="", help="regular expression that the names of cases must match")
    running.set_defaults(work=run)
    comparing = commands.add_parser("compare", help="print what differs between two runs")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--ignore", nargs="*", default=(), help="words of parts that may differ")
    comparing.set_defaults(work=compare)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums then have one order
    return int(arguments.work(arguments))


if __name__ == "__main__":
    sys.exit(main())
