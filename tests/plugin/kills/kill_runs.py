"""Kills runs of jobs at random moments, over fresh and existing outputs, and opens their folders again.

A script, run by ``test_killed_runs.py``: ``kill_runs.py ROOT JOBS PLACE INPUTS KILLS SEED``. `JOBS` is a pickle of a
list of (name, job, where its outputs go). Each run is a fork of this process, which has imported all and
started no thread. It prints JSON.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(sys.argv[1])
spec = importlib.util.spec_from_file_location(
    "floelens", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
)
sys.modules["floelens"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["floelens"])

from floelens.plugin.io.transaction.leftovers import clear  # noqa: E402
from floelens.tests.plugin.kills.kill_jobs import EARLIER, place_outputs  # noqa: E402
from floelens.tests.plugin.kills.killing import (  # noqa: E402
    BEGIN,
    LOCK,
    PUT,
    Contents,
    Ended,
    Moment,
    Tally,
    Teller,
    contents,
    follow,
    moments,
)


def run(job, place: Path, moment: Moment | None = None, modules: Path | None = None, fails=False) -> Ended:
    """Run a job in a fork; kill it at a moment. `modules` takes the names of what it imported; it may fail."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        teller = Teller(writing, place, moment)
        try:
            if hasattr(job, "begin"):
                job.begin()
            teller.listen()
            teller.tell(BEGIN)
            job.run(teller)
            if modules:
                modules.write_text("\n".join(sys.modules))
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(job).__name__}: {type(error).__name__}: {error}\n".encode())
            os._exit(1)
    os.close(writing)
    ended = follow(pid, reading)
    if ended.status not in (0, -9, 1 if fails else 0):
        raise SystemExit(f"{job} ended with {ended.status}")
    return ended


def import_all(names: list[str]) -> None:
    """Import what a run has imported: it need not do it again, and its time is that of its work."""
    for name in names:
        if name not in sys.modules and not name.startswith("processing"):  # which needs a running QGIS
            try:
                importlib.import_module(name)
            except Exception:  # a module that imports only inside of another
                continue
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise SystemExit(f"{threads} threads: a fork would not have them")


class Runs:
    """Runs of one job, killed and put in order again.

    Parameters
    ----------
    job
        Its outputs lie below `place`.
    place : Path
        Folder of the outputs, which holds nothing else.
    tally : Tally
        Takes what came.
    chance : random.Random
        Chooses the moments.
    package : Path, optional
        Model package that stands at ``package`` before a run over existing outputs.
    """

    def __init__(
        self,
        name: str,
        job,
        place: Path,
        tally: Tally,
        chance: random.Random,
        package: Path | None = None,
    ) -> None:
        self.name, self.job, self.place, self.tally, self.chance = name, job, place, tally, chance
        self.made = [str(folder.relative_to(place)) for folder in place.rglob("*")]
        self.sizes: dict[str, int] = {}
        self.package, self.removes = package, name == "removemodel"
        self._prepare("alike" if self.removes else None)
        run(job, place, modules=place.with_suffix(".modules"))
        import_all(place.with_suffix(".modules").read_text().split("\n"))
        self.new = contents(place)
        self.sizes = {name: (place / name).stat().st_size for name, value in self.new.items() if value}
        self._prepare("alike" if self.removes else None)
        self.full = run(job, place)
        if contents(place) != self.new:
            raise SystemExit(
                f"{name}: two runs differ in {set(contents(place).items()) ^ set(self.new.items())}"
            )

    def _prepare(self, earlier: str | None) -> Contents:
        """Make the folder as it is before a run; return its contents."""
        shutil.rmtree(self.place)
        for folder in (".", *self.made):
            (self.place / folder).mkdir(parents=True, exist_ok=True)
        if earlier and self.package:
            shutil.copytree(self.package, self.place / "package")
        elif earlier:
            for name, size in self.sizes.items():
                names = [name, f"{name}.aux.xml"] if name.endswith(".tif") else [name]
                names += [f"{name}-wal"] if name.endswith(".gpkg") else []
                for each in names:
                    file = self.place / each
                    file.parent.mkdir(exist_ok=True)
                    # Of the same size and time as the new file: only its content tells it from that.
                    file.write_bytes(b"e" * size if earlier == "alike" else b"of an earlier run")
                    if earlier == "years ago":
                        os.utime(file, (1e9, 1e9))
        return contents(self.place)

    def kill(self, number: int) -> None:
        """Kill a run, put its folder in order, and judge."""
        earlier = (None, "alike", None, "years ago")[self.chance.randrange(4)]
        earlier = "alike" if self.removes else earlier
        old = self._prepare(earlier)
        moment = moments(self.full, self.chance, number)
        ended = run(self.job, self.place, moment)
        self.tally.counts["kills"] += 1
        self.tally.counts[f"over {'existing' if earlier else 'fresh'} outputs"] += 1
        self.tally.counts["ended before the kill" if ended.status == 0 else "killed in the run"] += 1
        for kind, what in ((LOCK, "lock"), (PUT, "first renaming")):
            self.tally.counts[f"killed after the {what}"] += (
                ended.status != 0 and ended.first(kind) is not None
            )
        before, said = contents(self.place), []
        if number % 8 == 7:  # the run that would mend is killed, too
            moment = moments(self.full, self.chance, self.chance.randrange(4))
            again = run(self.job, self.place, moment, fails=self._gone())
            said = again.sentences
            self.tally.counts["a second run killed"] += again.status != 0
        repeated = number % 5 == 4
        if repeated:
            said += run(self.job, self.place, fails=self._gone()).sentences
            self.tally.counts["followed by a whole run"] += 1
        else:
            said += self._open()
        problem = self.tally.judge(before, contents(self.place), old, self.new, said, repeated)
        if problem:
            sys.stderr.write(f"{problem}\n")
            self.tally.wrong.append(f"{self.name}, kill {number} ({moment}, {earlier}): {problem}")

    def _gone(self) -> bool:
        """Return whether the model is removed already: whoever removes it again is refused."""
        return self.removes and not (self.place / "package" / "card.json").exists()

    def _open(self) -> list[str]:
        """Do what a run does that opens the folders; return what it says."""
        folders = [self.place, *(path for path in self.place.rglob("*") if path.is_dir())]
        self.chance.shuffle(folders)
        return [sentence for folder in folders for sentence in clear(folder)]


def main() -> None:
    """Run all jobs, kill them in turn, and print what came."""
    jobs_file, place, inputs, kills, seed = (*map(Path, sys.argv[2:5]), int(sys.argv[5]), int(sys.argv[6]))
    jobs = pickle.loads(jobs_file.read_bytes())
    tally, chance, runs = Tally(), random.Random(seed), []
    given = contents(inputs)
    for name, job, files in jobs:
        at = place / name
        at.mkdir(parents=True)
        package = inputs / EARLIER[name] if name in EARLIER else None
        runs.append(Runs(name, place_outputs(job, at, files), at, tally, chance, package))
    started = time.monotonic()
    for number in range(kills):
        runs[number % len(runs)].kill(number // len(runs))
        if number % 20 == 19:
            sys.stderr.write(f"{time.monotonic() - started:.0f} s: {json.dumps(tally.counts)}\n")
        if contents(inputs) != given:
            raise SystemExit(f"kill {number} of {runs[number % len(runs)].name}: an input has changed")
    spans = {each.name: [each.full.over - each.full.first(BEGIN), *_window(each.full)] for each in runs}
    seconds = time.monotonic() - started
    print(json.dumps({**tally.counts, "wrong": tally.wrong, "seconds": seconds, "spans": spans}))


def _window(ended: Ended) -> list[float]:
    put = ended.first(PUT)
    return [] if put is None else [sum(name == PUT for name, _, _ in ended.events), ended.last(PUT) - put]


main()
