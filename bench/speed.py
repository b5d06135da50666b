"""Seconds a megapixel and peak memory of the algorithms that read a scene, as `qgis_process` runs them.

*Squares benchmark* reads none: its quick form is measured as it is, and should end within 30 s.

::

    make bench                                   # 2000 x 2000 pixels, MEMORY=1024
    .venv/bin/python bench/speed.py --size 10000 --memory 1024

The scene is simulated once and kept under ``build/bench``. Time is wall-clock of the whole process;
what the same job takes on a scene of a few cells (QGIS's start, the import of torch) is shown as
*start* and taken off. Memory is the process's peak resident set as the kernel accounts it.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from headless import HeadlessQgis  # noqa: E402  (its folder is known only now)

MODEL = "aspp-concentration-sim"
FEW = 100  # rows and columns of a scene that costs nothing beyond the start


@dataclass(frozen=True)
class Cost:
    """What a process took.

    Parameters
    ----------
    seconds : float
        Wall-clock time.
    peak : float
        Largest resident memory, MiB.
    """

    seconds: float
    peak: float


def measure(qgis: HeadlessQgis, command: Sequence[str]) -> Cost:
    """Run `command` in the environment of `qgis`.

    Raises
    ------
    RuntimeError
        Where the command fails; the message is what it printed.
    """
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        to_log = [(os.POSIX_SPAWN_DUP2, log.fileno(), stream) for stream in (1, 2)]
        process = os.posix_spawn(command[0], list(command), qgis.environment, file_actions=to_log)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status):
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}\n{log.read().decode(errors='replace')}")
    return Cost(seconds, usage.ru_maxrss / 1024)


def fastest(qgis: HeadlessQgis, command: Sequence[str], repeats: int) -> Cost:
    """Return what the fastest of `repeats` runs took."""
    return min((measure(qgis, command) for _ in range(repeats)), key=lambda cost: cost.seconds)


def simulated(qgis: HeadlessQgis, folder: Path, size: int) -> dict[str, Path]:
    """Return the SAR and MWR rasters of a scene of `size` x `size` pixels, made where missing."""
    outputs = {name: folder / f"{name.lower()}_{size}.tif" for name in ("SAR", "MWR", "CHART")}
    if not all(path.exists() for path in outputs.values()):
        measure(qgis, qgis.command("floelens:simulatescene", SEED=1, ROWS=size, COLS=size, **outputs))
    return {name: outputs[name] for name in ("SAR", "MWR")}


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2000, help="rows and columns of the scene")
    parser.add_argument("--memory", type=int, default=1024, help="the MEMORY parameter, MiB")
    parser.add_argument("--repeats", type=int, default=1, help="runs; the fastest counts")
    arguments = parser.parse_args()

    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    qgis.enable("floelens")
    settings = {"MODEL": MODEL, "MEMORY": arguments.memory}
    scene = {**simulated(qgis, folder, arguments.size), **settings}
    few = {**simulated(qgis, folder, FEW), **settings}
    relevance = {
        "SAR_RELEVANCE": folder / "relevance_sar.tif",
        "MWR_RELEVANCE": folder / "relevance_mwr.tif",
    }
    jobs = {
        "predict": {"OUTPUT": folder / "ice.tif"},
        "relevance, gradient_x_input": {"METHOD": "gradient_x_input", **relevance},
        "relevance, lrp_epsilon": {"METHOD": "lrp_epsilon", **relevance},
        "zscores": {"OUTPUT": folder / "zscores.csv"},
        "artifacts, 12 windows": {"ARTIFACT": folder / "artifact.tif"},
    }

    megapixels = arguments.size**2 / 1e6
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; ", end="")
    print(f"scene {arguments.size} x {arguments.size}, MEMORY={arguments.memory}\n")
    print("| job | start, s | s | s a megapixel | peak MiB |\n|---|---|---|---|---|")
    for title, outputs in jobs.items():
        algorithm = f"floelens:{title.split(',')[0]}"
        start = fastest(qgis, qgis.command(algorithm, **few, **outputs), arguments.repeats)
        cost = fastest(qgis, qgis.command(algorithm, **scene, **outputs), arguments.repeats)
        seconds = cost.seconds - start.seconds
        print(f"| {title} | {start.seconds:.1f} | {seconds:.1f} | {seconds / megapixels:.2f} ", end="")
        print(f"| {cost.peak:.0f} |", flush=True)
    tables = {"OUTPUT": folder / "squares.csv", "REPORT": folder / "squares.html"}
    cost = fastest(qgis, qgis.command("floelens:squaresbenchmark", **tables), arguments.repeats)
    print(f"| squaresbenchmark, quick, with QGIS's start | | {cost.seconds:.1f} | | {cost.peak:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
