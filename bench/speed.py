"""Seconds a megapixel and peak memory of the algorithms that read a scene, as `qgis_process` runs them.

::

    make bench                                   # 2000 x 2000 pixels, MEMORY=1024
    .venv/bin/python bench/speed.py --size 10000 --memory 1024

The scene is simulated once and kept under ``build/bench``. Time is wall-clock of the whole process,
QGIS's own start (measured by ``floelens:environment``) taken off; memory is the process's peak
resident set as the kernel accounts it.
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


def simulated(qgis: HeadlessQgis, folder: Path, size: int) -> tuple[Path, Path, Cost | None]:
    """Return the SAR and MWR rasters of a scene of `size` x `size` pixels, made where missing."""
    sar, mwr = folder / f"sar_{size}.tif", folder / f"mwr_{size}.tif"
    if sar.exists() and mwr.exists():
        return sar, mwr, None
    chart = folder / f"chart_{size}.tif"
    command = qgis.command(
        "floelens:simulatescene", SEED=1, ROWS=size, COLS=size, SAR=sar, MWR=mwr, CHART=chart
    )
    return sar, mwr, measure(qgis, command)


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
    start = measure(qgis, qgis.command("floelens:environment", OUTPUT=folder / "environment.html"))
    sar, mwr, simulation = simulated(qgis, folder, arguments.size)
    scene = {"SAR": sar, "MWR": mwr, "MODEL": MODEL, "MEMORY": arguments.memory}
    relevance = {
        "SAR_RELEVANCE": folder / "relevance_sar.tif",
        "MWR_RELEVANCE": folder / "relevance_mwr.tif",
    }
    jobs = {
        "predict": {"OUTPUT": folder / "ice.tif"},
        "relevance, gradient_x_input": {"METHOD": "gradient_x_input", **relevance},
        "relevance, lrp_epsilon": {"METHOD": "lrp_epsilon", **relevance},
        "zscores": {"OUTPUT": folder / "zscores.csv"},
    }

    megapixels = arguments.size**2 / 1e6
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; ", end="")
    print(f"scene {arguments.size} x {arguments.size}, MEMORY={arguments.memory}; QGIS starts in ", end="")
    print(f"{start.seconds:.1f} s\n\n| job | s | s a megapixel | peak MiB |\n|---|---|---|---|")

    def row(title: str, cost: Cost) -> None:
        seconds = max(0.0, cost.seconds - start.seconds)
        print(f"| {title} | {seconds:.1f} | {seconds / megapixels:.2f} | {cost.peak:.0f} |", flush=True)

    if simulation is not None:
        row("simulatescene", simulation)
    for title, outputs in jobs.items():
        command = qgis.command(f"floelens:{title.split(',')[0]}", **scene, **outputs)
        costs = [measure(qgis, command) for _ in range(arguments.repeats)]
        row(title, min(costs, key=lambda cost: cost.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
