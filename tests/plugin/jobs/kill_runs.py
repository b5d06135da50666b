"""Kills runs of jobs at random moments, over fresh and existing outputs, and opens their folders again.

A script, run by ``test_killed.py``: ``kill_runs.py ROOT JOBS PLACE KILLS SEED``. `JOBS` is a pickle of a
list of (name, job, fields that name outputs). Each run is a fork of one warm process; half are killed
after a random time, half before a random file-system step. It prints JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import os
import pickle
import random
import shutil
import signal
import sys
import time
from pathlib import Path

STEPS = ("open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir")
OLD = b"of an earlier run"


def count_steps(place: Path, last: int) -> list[int]:
    """Count the steps in a folder from now on; end the process before the last one."""
    counted = [0]

    def step(event: str, arguments: tuple) -> None:
        if event in STEPS and str(place) in str(arguments[0]):
            counted[0] += 1
            if counted[0] == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(step)
    return counted


def run(job, place: Path, last: int = 0, seconds: float = 0.0) -> tuple[float, int]:
    """Run a job in a fork; kill it after some seconds or before a step. Return its time and steps."""
    from floelens.plugin.core.protocols import Silent

    reading, writing = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            counted = count_steps(place, last)
            job.run(Silent())
            os.write(writing, str(counted[0]).encode())
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    os.close(writing)
    if seconds:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = os.read(reading, 100)
    os.close(reading)
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{job} ended with {status}")
    return time.monotonic() - start, int(text or 0)


def contents(place: Path) -> dict[str, str]:
    files = {path for path in place.rglob("*") if path.is_file()}
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    root, jobs_file, place, kills, seed = (*map(Path, sys.argv[1:4]), int(sys.argv[4]), int(sys.argv[5]))
    spec = importlib.util.spec_from_file_location(
        "floelens", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["floelens"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["floelens"])
    import torch
    from floelens.plugin.io.leftovers import clear

    torch.set_num_threads(1)
    jobs = pickle.loads(jobs_file.read_bytes())
    chance = random.Random(seed)
    report: dict[str, object] = {"kills": 0, "all old": 0, "all new": 0, "mended": 0, "ended before": 0, "wrong": []}
    for number, (name, job, fields) in enumerate(jobs):
        at = place / name
        at.mkdir(parents=True)
        outputs = {field: str(at / file) for field, file in fields.items()}
        job = dataclasses.replace(job, **outputs)
        took, steps = run(job, at)
        new = contents(at)
        for kill in range(kills // len(jobs) + (number < kills % len(jobs))):
            shutil.rmtree(at)
            at.mkdir()
            old = {}
            if kill % 2:
                for file in (*new, *(f"{file}.aux.xml" for file in new if file.endswith(".tif"))):
                    (at / file).parent.mkdir(exist_ok=True)
                    (at / file).write_bytes(OLD)
                    os.utime(at / file, (1e9, 1e9))
                old = contents(at)
            # Most steps come at the end; the later a step, the closer to the renaming.
            moment = {"last": chance.randint(1, steps)} if kill % 4 < 2 else {"seconds": chance.uniform(0.01, took)}
            _, ended = run(job, at, **moment)
            hidden = {file for file in contents(at) if "floelens-" in file}
            before = {file: value for file, value in contents(at).items() if file not in hidden}
            sentences = clear(at) + [s for folder in at.iterdir() if folder.is_dir() for s in clear(folder)]
            after = contents(at)
            report["kills"] += 1
            report["ended before"] += bool(ended)
            report["all old"] += after == old
            report["all new"] += after == new
            report["mended"] += bool(sentences)
            if after not in (old, new) or (before not in (old, new) and not sentences):
                report["wrong"].append([name, kill, moment, sorted(before), sorted(after), sentences])
    print(json.dumps(report))


main()
