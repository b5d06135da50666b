"""What FloeLens costs beside captum, zennit and the plain network, on one scene and this machine.

::

    make bench                                          # 2048 x 2048 pixels, both bundled models
    .venv/bin/python bench/peers.py --threads 1 --scaling 2000 4000 10000

Each measurement is a process of its own (:mod:`peer_work`). Time is wall-clock and, beside it, processor
time per megapixel of *mapped* pixels, whatever overlap it took; reading is in ours and not in the peers';
nobody writes. Everybody does the first tile once before, which is not counted (but of what takes minutes).
Peers are slow, so they run on a few tiles only and are scaled by pixels of output.

What was reached is set against :data:`TARGETS` at the end; with ``--strict`` the exit code is 1 where one is
missed or could not be measured.

A shared machine wanders by a third from minute to minute. So what is compared runs in turn, several rounds of
it: times are medians, and a ratio is the median of those of single rounds, between the least and the largest.

The machine's convolution peak is what one large 3 x 3 convolution of 64 or 128 channels reaches with as many
threads. Ours is set against it in two ways, operations being two for each weight of a convolution at each
output, over the time of the whole run: those that the network's definition asks for at the mapped pixels
(what a perfect machine would have to do without a better idea), and those that ours executes, which are
fewer, margins of tiles included. Sums count for nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT))

from headless import HeadlessQgis  # noqa: E402

from bench.speed import simulated  # noqa: E402

MODELS = ("aspp-concentration-sim", "aspp-icetype-sim")
TILE = 400
REACH = 60  # pixels, the diameter of the receptive field
# What ours is compared with: (method, peer, tiles of the peer, side of our region in pixels, 0 for all).
PAIRS = (
    ("predict", "plain", 4, 0),
    ("gated", "plain", 4, 0),
    ("gradient_x_input", "captum", 2, 0),
    ("integrated_gradients", "captum", 1, 800),
    ("lrp_epsilon", "zennit", 2, 0),
    ("lrp_composite", "zennit", 2, 0),
)
BFLOAT16, PEAK, SIZE = "bfloat16", "share of the peak", "size"
LIKENESS, PASSES = "bfloat16, likeness", "passes"
BY_SENSOR = "integrated contributions by sensor"
ARTIFACTS, MOST_PASSES = "artifacts", 30  # gradient x input passes of the sampled windows
FEATURES, CAM_LIBRARY = "features", "pytorch-grad-cam"
# What is to be reached, by method and by what it is compared with, and in what units. The plain network is taken as
# it is defined; in channels-last layout, which the tables show too, it is faster. Contributions of the bundled models
# may take three forward passes: one, and one for each of the two channels that do not enter at the last layer. bfloat16
# gives what processors with instructions for it give beside memory and the parts that stay in float32.
TARGETS = {
    ("predict", "plain"): (8.0, "times as fast"),
    ("predict", PEAK): (50.0, "% of it, counting the operations asked for"),
    ("predict", BFLOAT16): (1.3, "times as fast as in float32"),
    ("predict", LIKENESS): (0.99, "Pearson's r with float32, of the channel that is least alike"),
    ("gated", "plain"): (1 / 3, "times as fast as a forward pass of the plain definition"),
    ("gradient_x_input", "captum"): (8.0, "times as fast"),
    ("gradient_x_input", BFLOAT16): (1.3, "times as fast as in float32"),
    ("gradient_x_input", LIKENESS): (0.99, "Pearson's r with float32, of the channel that is least alike"),
    ("integrated_gradients", "captum"): (8.0, "times as fast"),
    ("integrated_gradients", PASSES): (2.0, "times fewer passes than Gauss-Legendre nodes as exact"),
    (BY_SENSOR, "gradient_x_input"): (1 / 6, "times as fast by processor time"),
    (ARTIFACTS, PASSES): (1.0, f"times fewer passes than {MOST_PASSES}, counted"),
    (ARTIFACTS, "gradient_x_input"): (1 / MOST_PASSES, "times as fast on as many pixels by processor time"),
    (FEATURES, "predict"): (1 / 2.5, "times as fast"),
    ("lrp_epsilon", "zennit"): (8.0, "times as fast"),
    ("predict", SIZE): (1 / 1.1, "times as fast as the smallest scene measured"),
    ("gradient_x_input", SIZE): (1 / 1.1, "times as fast as the smallest scene measured"),
}


class Verdicts:
    """Which targets were reached: by the median of the rounds, or by every one of them."""

    def __init__(self) -> None:
        self.missed = 0
        self._lines: list[str] = []

    def add(self, model: str, what: str, beside: str, reached: list[float] | str) -> None:
        """Take down what the rounds reached, or why nothing was measured, if there is a target."""
        if (what, beside) not in TARGETS:
            return
        target, unit = TARGETS[what, beside]
        shown, verdict = "", f"**not measured**: {reached}"
        if not isinstance(reached, str):
            shown, verdict = spread(reached, 3), "reached"
            if statistics.median(reached) < target:
                verdict = "**missed**" if max(reached) < target else "**missed** by the median"
            elif min(reached) < target:
                verdict = "reached by the median"
        self.missed += "**" in verdict
        self._lines.append(f"| {model} | {what}, {beside} | {shown} | {target:.3f} {unit} | {verdict} |")

    def show(self) -> None:
        """Print them, if there are any."""
        if not self._lines:
            return
        print("\n### Targets\n\n| model | what | median (least–largest) | target | |\n|---|---|---|---|---|")
        print("\n".join(self._lines))


class Bench:
    """Runs measurements of one scene.

    Parameters
    ----------
    folder : Path
        Where maps are kept for the comparison.
    scene : dict
        SAR and MWR → path.
    threads, memory : int
        Of every process; memory in MiB is ours.
    """

    def __init__(self, folder: Path, scene: dict[str, Path], threads: int, memory: int) -> None:
        self._folder = folder
        self._common = {name.lower(): str(path) for name, path in scene.items()}
        self._common |= {"threads": threads, "memory": memory}

    def run(self, with_map: bool = True, **task: object) -> dict:
        """Return what a measurement found, its map included or not."""
        task = {"precision": "float32", "layout": "contiguous", "side": 0, "tile": TILE, "keep": True} | task
        path = self._folder / f"map_{task['who']}_{task.get('what', '')}_{task['precision']}.npz"
        task |= {**self._common, "map": str(path)}
        environment = {**os.environ, "OMP_NUM_THREADS": str(task["threads"])}
        command = [sys.executable, str(Path(__file__).with_name("peer_work.py")), json.dumps(task)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["?"])[-1]
            return {"missing": last}
        found = json.loads(done.stdout.strip().splitlines()[-1])
        if with_map and path.exists() and "missing" not in found and task["who"] != "peak":
            with np.load(path) as saved:
                found["map"], found["window"] = saved["values"], saved["window"]
        return found

    def in_turn(self, tasks: dict[str, dict], rounds: int) -> dict[str, dict]:
        """Return what several measurements found: median times, the largest memory, the last map, all ``rounds``."""
        runs: dict[str, list[dict]] = {name: [] for name in tasks}
        for number in range(rounds):
            for name, task in tasks.items():
                runs[name].append(self.run(with_map=number == rounds - 1, **task))
        return {name: _middle(found) for name, found in runs.items()}


def _middle(rounds: list[dict]) -> dict:
    for found in rounds:
        if "missing" in found:
            return found
    middle = {clock: statistics.median(found[clock] for found in rounds) for clock in ("wall", "cpu")}
    if "peak" in rounds[0]:
        middle["peak"] = max(found["peak"] for found in rounds)
    return {**rounds[-1], **middle, "rounds": rounds}


def common(one: dict, other: dict, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what two maps say of the pixels that both have, `margin` within the border of the first."""
    (r1, c1, h1, w1), (r2, c2, h2, w2) = one["window"], other["window"]
    top, left = max(r1 + margin, r2), max(c1 + margin, c2)
    bottom, right = min(r1 + h1 - margin, r2 + h2), min(c1 + w1 - margin, c2 + w2)
    return (
        one["map"][:, top - r1 : bottom - r1, left - c1 : right - c1],
        other["map"][:, top - r2 : bottom - r2, left - c2 : right - c2],
    )


def likeness(one: dict, other: dict, margin: int = 0) -> str:
    """Return the largest difference as a share of the largest value, and Pearson's r by channel."""
    first, second = common(one, other, margin)
    shown = [f"{r:.5f}" for r in pearson(one, other, margin)]
    known = np.isfinite(first) & np.isfinite(second)
    largest = np.abs(first - second)[known].max() / np.abs(second[known]).max()
    return f"{largest:.1e} | {', '.join(shown)}"


def pearson(one: dict, other: dict, margin: int = 0) -> list[float]:
    """Return Pearson's r of two maps by channel."""
    found = []
    for a, b in zip(*common(one, other, margin)):
        known = np.isfinite(a) & np.isfinite(b)
        found.append(float(np.corrcoef(a[known], b[known])[0, 1]))
    return found


def cells(found: dict) -> str:
    """Return the columns of a measurement."""
    if "missing" in found:
        return f"{found['missing']} | | "
    return f"{found['wall']:.2f} | {found['cpu']:.2f} | {found['peak']:.0f} "


def spread(values: list[float], digits: int = 1) -> str:
    """Return the median of some values, and the least and the largest."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def shares_of(one: dict, other: dict, clock: str = "wall") -> list[float]:
    """Return how many times the one took of the other, round by round."""
    return [a[clock] / b[clock] for a, b in zip(one["rounds"], other["rounds"])]


def ratio(one: dict, other: dict) -> str:
    """Return how many times the one took of the other, round by round: by wall and by processor time."""
    shown = []
    for clock in ("wall", "cpu"):
        shares = shares_of(one, other, clock)
        shown.append(spread(shares, 1 if statistics.median(shares) > 3 else 2))
    return ", ".join(shown)


def peak_shares(mine: dict, peak: dict, key: str, clock: str) -> list[float]:
    """Return what percentage of the convolution peak a prediction reaches, round by round."""
    return [100 * a[key] / a[clock] / b[clock] for a, b in zip(mine["rounds"], peak["rounds"])]


def peak_rows(mine: dict, peak: dict) -> Iterator[str]:
    """Yield in words what share of the convolution peak a prediction reaches."""
    for clock in ("wall", "cpu"):
        speeds = statistics.median(each[clock] for each in peak["rounds"]) / 1e9
        shares = [
            f"{name} {spread(peak_shares(mine, peak, key, clock), 0)} %"
            for key, name in (("asked", "asked for"), ("flops", "executed"))
        ]
        yield f"of {speeds:.0f} GFLOP/s by {clock} time: {', '.join(shares)}"


def why_not(*found: dict) -> str:
    """Return why the first of several measurements that is missing is so."""
    return next(each["missing"] for each in found if "missing" in each)


def compare(bench: Bench, model: str, methods: list[str], rounds: int, verdicts: Verdicts) -> None:
    """Print the table of one model, and take down what was reached."""
    print(f"\n### {model}\n")
    print("| method | who | s/Mpx | cpu s/Mpx | peak MiB | ratio wall, cpu | max. difference | Pearson |")
    print("|---|---|---|---|---|---|---|---|")
    for what, who, tiles, side in PAIRS:
        if what not in methods:
            continue
        tasks = {"ours": {"who": "ours"}}
        for layout in ("contiguous", "channels_last") if what == "predict" else ("contiguous",):
            tasks[f"{who}, {layout}"] = {"who": who, "tiles": tiles, "layout": layout}
        if what in ("predict", "gradient_x_input"):
            tasks["ours, bfloat16"] = {"who": "ours", "precision": "bfloat16"}
        if what == "predict":
            tasks["peak"] = {"who": "peak"}
        tasks = {name: {"what": what, "model": model, "side": side, **task} for name, task in tasks.items()}
        # Integrated gradients take minutes, in which the machine has time to even out.
        found = bench.in_turn(tasks, 1 if what == "integrated_gradients" else rounds)
        mine = found["ours"]
        for name, each in found.items():
            if name == "peak":
                if "missing" not in mine and "missing" not in each:
                    for shares in peak_rows(mine, each):
                        print(f"| {what} | {shares} | | | | | | |")
                    verdicts.add(model, what, PEAK, peak_shares(mine, each, "asked", "wall"))
                else:
                    verdicts.add(model, what, PEAK, why_not(mine, each))
                continue
            row = f"| {what} | {name} | {cells(each)}"
            beside = BFLOAT16 if name.startswith("ours") else name.removesuffix(", contiguous")
            if each is mine:
                row += "| | | "
            elif "missing" in mine or "missing" in each:
                row += "| | | "
                verdicts.add(model, what, beside, why_not(mine, each))
                if beside == BFLOAT16:
                    verdicts.add(model, what, LIKENESS, why_not(mine, each))
            elif name.startswith("ours"):
                row += f"| {ratio(mine, each)} of ours | {likeness(each, mine)} "
                verdicts.add(model, what, beside, shares_of(mine, each))
                verdicts.add(model, what, LIKENESS, [min(pearson(each, mine))])
            else:
                # Ours explains a part of the scene only; its border lacks what lies beyond.
                row += f"| {ratio(each, mine)} | {likeness(mine, each, REACH if side else 0)} "
                verdicts.add(model, what, beside, shares_of(each, mine))
            print(f"{row}|", flush=True)


def compare_paths(bench: Bench, model: str, rounds: int, verdicts: Verdicts) -> None:
    """Print what integrals along the path cost: passes of relevance, and contributions by sensor in turn."""
    found = bench.run(who="passes", model=model)
    if "missing" in found:
        verdicts.add(model, "integrated_gradients", PASSES, found["missing"])
    else:
        print(
            f"| integrated_gradients | {found['steps']} steps are as close to {found['reference']} nodes as "
            f"{found['nodes']} nodes, {100 * found['error']:.1f} % of Σ\\|relevance\\| | | | | | | |"
        )
        verdicts.add(model, "integrated_gradients", PASSES, [found["nodes"] / found["steps"]])
    tasks = {what: {"who": "ours", "what": what, "model": model} for what in (BY_SENSOR, "gradient_x_input")}
    taken = bench.in_turn(tasks, rounds)
    mine, other = taken.values()
    if "missing" in mine or "missing" in other:
        verdicts.add(model, BY_SENSOR, "gradient_x_input", why_not(mine, other))
        return
    print(f"| {BY_SENSOR} | ours | {cells(mine)}| {ratio(mine, other)} of gradient x input | | |", flush=True)
    verdicts.add(model, BY_SENSOR, "gradient_x_input", shares_of(other, mine, "cpu"))


def compare_artifacts(bench: Bench, model: str, verdicts: Verdicts) -> None:
    """Print what the default run of *Fact or artifact* costs, in passes of gradient x input over its windows."""
    tasks = {
        what: {"who": "ours", "what": what, "model": model, "keep": False}
        for what in (ARTIFACTS, "gradient_x_input")
    }
    taken = bench.in_turn(tasks, 1)  # it takes a minute, in which the machine has time to even out
    mine, other = taken.values()
    if "missing" in mine or "missing" in other:
        for beside in (PASSES, "gradient_x_input"):
            verdicts.add(model, ARTIFACTS, beside, why_not(mine, other))
        return
    print(
        f"| {ARTIFACTS} | ours, {mine['windows']} windows, {mine['passes']:.1f} passes counted | {cells(mine)}| "
        f"{ratio(mine, other)} of gradient x input | | |",
        flush=True,
    )
    verdicts.add(model, ARTIFACTS, PASSES, [MOST_PASSES / mine["passes"]])
    verdicts.add(model, ARTIFACTS, "gradient_x_input", shares_of(other, mine, "cpu"))


def compare_features(bench: Bench, model: str, rounds: int, verdicts: Verdicts) -> None:
    """Print what the full class activation map of the last features costs, beside a prediction and a library."""
    tasks = {
        FEATURES: {"who": "ours", "what": FEATURES, "model": model},
        "predict": {"who": "ours", "what": "predict", "model": model, "keep": False},
        CAM_LIBRARY: {"who": CAM_LIBRARY, "what": FEATURES, "model": model, "tiles": 2},
    }
    mine, predict, peer = bench.in_turn(tasks, rounds).values()
    print(f"| {FEATURES} | ours | {cells(mine)}| | | |")
    if "missing" in mine or "missing" in predict:
        verdicts.add(model, FEATURES, "predict", why_not(mine, predict))
        return
    print(f"| {FEATURES} | a prediction | {cells(predict)}| {ratio(mine, predict)} of it is ours | | |")
    verdicts.add(model, FEATURES, "predict", shares_of(predict, mine))
    beside = "| | |" if "missing" in peer else f"{ratio(peer, mine)} | {likeness(mine, peer)} |"
    print(f"| {FEATURES} | {CAM_LIBRARY} | {cells(peer)}| {beside}", flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=2048, help="rows and columns of the scene")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every process")
    parser.add_argument("--memory", type=int, default=1024, help="the MEMORY parameter of ours, MiB")
    parser.add_argument("--rounds", type=int, default=3, help="of all that is compared")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--methods", nargs="*", default=[*(pair[0] for pair in PAIRS), FEATURES, ARTIFACTS])
    parser.add_argument(
        "--scaling", nargs="*", type=int, default=[2000, 4000], help="sides of scenes, pixels"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a target is missed")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds has to be 1 or more")
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    qgis.enable("floelens")

    def bench_of(size: int) -> Bench:
        return Bench(folder, simulated(qgis, folder, size), arguments.threads, arguments.memory)

    bench = bench_of(arguments.size)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{arguments.size} x {arguments.size} pixels, {arguments.threads} threads, load {load}; ", end="")
    print(f"peers over tiles of {TILE} pixels and the receptive field around them")
    verdicts = Verdicts()
    for model in arguments.models:
        compare(bench, model, arguments.methods, arguments.rounds, verdicts)
        if "integrated_gradients" in arguments.methods:
            compare_paths(bench, model, arguments.rounds, verdicts)
        if FEATURES in arguments.methods:
            compare_features(bench, model, arguments.rounds, verdicts)
        if ARTIFACTS in arguments.methods:
            compare_artifacts(bench, model, verdicts)
    if arguments.scaling:
        print(
            "\n### Size of the scene\n\n| method | megapixels | s/Mpx | cpu s/Mpx | peak MiB | s/Mpx of the first |"
        )
        print("|---|---|---|---|---|---|")
        benches = {size: bench_of(size) for size in sorted(set(arguments.scaling))}
        for what in ("predict", "gradient_x_input"):
            runs: dict[int, list[dict]] = {size: [] for size in benches}
            for _ in range(arguments.rounds):
                for size, sized in benches.items():
                    runs[size].append(
                        sized.run(with_map=False, keep=False, who="ours", what=what, model=MODELS[0])
                    )
            sizes = {size: _middle(found) for size, found in runs.items()}
            first = sizes[min(sizes)]
            for size, found in sizes.items():
                share = "" if "missing" in found or "missing" in first else ratio(found, first)
                print(f"| {what} | {size**2 / 1e6:.0f} | {cells(found)}| {share} |", flush=True)
                if found is not first:
                    reached = shares_of(first, found) if share else why_not(first, found)
                    verdicts.add(f"{MODELS[0]}, {size**2 / 1e6:.0f} Mpx", what, SIZE, reached)
    verdicts.show()
    print(f"\nload at the end: {', '.join(f'{value:.1f}' for value in os.getloadavg())}")
    return int(arguments.strict and verdicts.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
