"""One measurement of :mod:`peers`, in a process of its own: the result is a line of JSON on stdout.

::

    python bench/peer_work.py '{"who": "ours", "what": "predict", "model": "aspp-concentration-sim", ...}'

The peers run the plain definition of the network over tiles as a careful user of theirs would cut them: each
window overlaps its neighbours by the receptive field, begins on a whole coarse cell, and its map is cropped.
They get the scene standardised and in memory; ours reads it from its files.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "build" / "plugins"), str(ROOT / "build" / "peers"), str(ROOT)]

from floelens.plugin.core.artifacts.scene import Question, run_artifacts  # noqa: E402
from floelens.plugin.core.artifacts.settings import Settings  # noqa: E402
from floelens.plugin.core.contributions.run import plan_contributions, run_contributions  # noqa: E402
from floelens.plugin.core.contributions.splitters import GATED, INTEGRATED, Splitting  # noqa: E402
from floelens.plugin.core.features.layer import named_layer  # noqa: E402
from floelens.plugin.core.features.run import collect  # noqa: E402
from floelens.plugin.core.features.sums import Regions  # noqa: E402
from floelens.plugin.core.features.tiles import Analysis  # noqa: E402
from floelens.plugin.core.layers.conservation import Leaks  # noqa: E402
from floelens.plugin.core.relevance.explainers import PathExplainer  # noqa: E402
from floelens.plugin.core.relevance.methods import METHODS, NODES_A_STEP, Method, explainer_for  # noqa: E402
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance  # noqa: E402
from floelens.plugin.core.streaming.engine import plan_predictions, scene_window, stream_predictions  # noqa: E402
from floelens.plugin.core.streaming.runner import Runner  # noqa: E402
from floelens.plugin.core.streaming.tiling import Plan, Tile  # noqa: E402
from floelens.plugin.core.target.target import Target  # noqa: E402
from floelens.plugin.ground.protocols import Silent  # noqa: E402
from floelens.plugin.ground.vocabulary.artifact_tests import DEFAULTS  # noqa: E402
from floelens.plugin.ground.vocabulary.cams import FULL  # noqa: E402
from floelens.plugin.ground.window import Window  # noqa: E402
from floelens.plugin.jobs.common.inputs import SceneInputs  # noqa: E402
from floelens.plugin.networks.kernels.threads import run_sequentially  # noqa: E402
from floelens.plugin.networks.package import load  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from bench.peer_methods import EPSILON, STEPS, method_of  # noqa: E402

# What takes so long that a start does not matter; all else does its first tile twice, and counts it once.
LONG = ("integrated_gradients",)
BY_SENSOR = "integrated contributions by sensor"
ARTIFACTS, FEATURES = "artifacts", "features"
SPLITTINGS = {GATED: Splitting(GATED), BY_SENSOR: Splitting(INTEGRATED, "sensor")}
# Nodes of the reference that errors at single pixels are taken against, and the side of the window, in pixels.
REFERENCE, WINDOW = 512, 125


class Strips:
    """A sink that keeps what it is given, or nothing."""

    def __init__(self, keeping: bool) -> None:
        self._keeping = keeping
        self._strips: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Take a strip (channel, row, column)."""
        if self._keeping:
            self._strips.append(values)

    def map(self) -> np.ndarray | None:
        """Return the strips one below the other; None where nothing is kept."""
        return np.concatenate(self._strips, axis=1) if self._strips else None


class Parts(Strips):
    """A sink that keeps the sum of what a logit is split into, or nothing."""

    def write(self, values: np.ndarray) -> None:
        """Take a strip of bands (groups, bias, logit; row, column)."""
        if self._keeping:
            super().write(values[:-1].sum(0, keepdims=True))


class ConvolutionFlops(TorchDispatchMode):
    """Counts two operations for each weight of a convolution, but zeros, at each of its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        """Run and count."""
        result = operation(*args, **(kwargs or {}))
        # aten::conv2d, aten::mkldnn_convolution, mkldnn::_convolution_pointwise; the weight comes second.
        if "conv" in operation.name():
            outputs, weight = result.shape[1], args[1]
            self.total += 2.0 * result.numel() / outputs * int(weight.count_nonzero())
        # A 1 x 1 convolution whose pixels and weights have changed places.
        elif "_linear_pointwise" in operation.name():
            self.total += 2.0 * len(args[1]) * int(args[0].count_nonzero())
        return result


def clocks() -> tuple[float, float]:
    """Return wall-clock and processor seconds."""
    return time.perf_counter(), time.process_time()


def region_of(scene: Window, side: int) -> Window:
    """Return the middle of a scene (the whole where `side` is 0)."""
    if not side or side >= min(scene.rows, scene.cols):
        return scene
    return Window((scene.rows - side) // 2, (scene.cols - side) // 2, side, side)


def target_of(card) -> Target:
    """Return what is explained: the last class of the first head."""
    return Target(class_name=card.heads[0].classes[-1].name)


def opened(task: dict, card):
    """Open the task's scene."""
    return SceneInputs(sar=task["sar"], mwr=task["mwr"]).open(card, Silent())


def ours(task: dict, card, module) -> dict:
    """Run our engine from files to strips in memory, after a tile that does not count."""
    runner = Runner(card, module, device="cpu", precision=task["precision"])
    if runner.precision != task["precision"]:
        return {"missing": f"this processor has no {task['precision']}"}
    with opened(task, card) as scene:  # its blocks are forgotten when it is closed
        region = region_of(scene_window(scene), task["side"])
        plan, run = work_on(task, runner, scene, region)
        if task["what"] not in LONG:
            first = next(plan.strips())[0].output
            alone = dataclasses.replace(plan, region=first, tile_rows=first.rows, tile_cols=first.cols)
            run(scene, alone, Strips(keeping=False))
    kept = (Parts if task["what"] in SPLITTINGS else Strips)(task["keep"])
    with opened(task, card) as scene:
        start = clocks()
        run(scene, plan, kept)
        stop = clocks()
        pixels = region.rows * region.cols
        done = finished(task, start, stop, pixels, region, kept.map())
        if task["what"] == "predict" and task["keep"]:
            with run_sequentially(), ConvolutionFlops() as counter:  # it does not see other threads
                for strip in plan.strips():
                    for tile in strip:
                        runner.logits(runner.standardise(scene.read(tile.read), tile.input))
            done |= {"flops": counter.total / pixels * 1e6, "asked": asked_for(module, runner) * 1e6}
    return done


def work_on(
    task: dict, runner: Runner, scene, region: Window
) -> tuple[Plan, Callable[[object, Plan, Strips], None]]:
    """Return the plan of the work on a region, and what does it: ``run(scene, plan, strips of the map)``."""
    if task["what"] == "predict":

        def predict(scene, plan: Plan, strips: Strips) -> None:
            for strip in stream_predictions(runner, scene, plan, Silent()):
                strips.write(strip.logits)

        return plan_predictions(runner, scene, region, task["memory"]), predict
    if task["what"] in SPLITTINGS:
        splitting, seeding = SPLITTINGS[task["what"]], target_of(runner.card).resolve(runner.card)

        def split(scene, plan: Plan, strips: Strips) -> None:
            run_contributions(runner, scene, plan, seeding, splitting, strips, Silent())

        return plan_contributions(runner, scene, region, splitting, seeding, task["memory"]), split
    if task["what"] == FEATURES:
        seeding = target_of(runner.card).resolve(runner.card)
        analysis = Analysis.of(runner, named_layer(runner, ""), seeding)
        whole = Regions(("all",), lambda window: np.zeros((window.rows, window.cols), int))

        def look(scene, plan: Plan, strips: Strips) -> None:
            collect(analysis, scene, plan, whole, FULL, strips, Silent())

        return analysis.plan(scene, region, task["memory"]), look
    method = Method(task["what"], steps=STEPS, refine=False, tolerance=1.0, epsilon=EPSILON)

    def explain(scene, plan: Plan, strips: Strips) -> None:
        run_relevance(runner, scene, plan, target_of(runner.card), method, strips, Silent())

    return plan_relevance(runner, scene, region, method, task["memory"]), explain


def asked_for(module: torch.nn.Module, runner: Runner) -> float:
    """Return the operations that the definition's convolutions take for each pixel."""
    side = 4 * runner.alignment
    fine = torch.zeros(1, len(runner.fine_channels), side, side)
    coarse = torch.zeros(1, len(runner.coarse_channels), side // runner.ratio, side // runner.ratio)
    with torch.inference_mode(), ConvolutionFlops() as counter:
        module.eval()(fine, coarse)
    return counter.total / side**2


def peers_tiles(scene: Window, region: Window, card, size: int, number: int) -> Iterator[Tile]:
    """Yield tiles of `size` pixels from the middle of the region outwards, at most `number` of them."""
    radius, alignment = int(card.receptive_field_radius), int(card.ratio)
    plan = Plan(region, scene, radius, alignment, size, size)
    tiles = [tile for strip in plan.strips() for tile in strip]
    middle = region.row + region.rows / 2, region.col + region.cols / 2
    tiles.sort(
        key=lambda t: abs(t.output.row + size / 2 - middle[0]) + abs(t.output.col + size / 2 - middle[1])
    )
    yield from tiles[:number]


def peer(task: dict, scene, card, module) -> dict:
    """Run a peer over some tiles of the scene."""
    whole = scene_window(scene)
    runner = Runner(card, module, device="cpu", precision=task["precision"])
    inputs = runner.standardise(scene.read(whole))
    module = module.eval()
    layout = torch.channels_last if task["layout"] == "channels_last" else torch.contiguous_format
    if task["who"] == "plain":
        module = module.to(memory_format=layout).requires_grad_(False)
    seeding = target_of(card).resolve(card)
    work = method_of(task["who"], task["what"], module, seeding.first + seeding.wanted)
    own, pixels, found = None, 0, None
    warm_up = 0 if task["what"] in LONG else 1
    region = region_of(whole, task["side"])
    tiles = list(peers_tiles(whole, region, card, task["tile"], task["tiles"]))
    start = clocks()
    for index, tile in enumerate([*tiles[:warm_up], *tiles]):
        if index == warm_up:
            start = clocks()
        rows, cols = tile.input.slices()
        cells = tile.input.coarser(card.ratio).slices()
        fine = inputs.fine[:, :, rows, cols].contiguous(memory_format=layout)
        with torch.inference_mode() if task["who"] == "plain" else nullcontext():
            answer = work(fine, inputs.coarse[(..., *cells)].contiguous())
        cropped = answer.detach()[(0, slice(None), *tile.output.slices(tile.input))].numpy().copy()
        if index >= warm_up:
            pixels += tile.output.rows * tile.output.cols
        if index == warm_up:
            own, found = tile.output, cropped
    stop = clocks()
    return finished(task, start, stop, pixels, own, found)


def passes(task: dict, card, module) -> dict:
    """Return how few steps are as close to integrated gradients, pixel by pixel, as :data:`STEPS` nodes.

    The error is Σ|R - R'| over Σ|R'| of the fine channels, R' being that of :data:`REFERENCE` nodes in float64.
    """
    runner = Runner(card, module, device="cpu", precision="float64")
    with opened(task, card) as scene:
        whole = scene_window(scene)
        side, ratio = min(WINDOW, whole.rows, whole.cols), card.ratio
        row, col = ((size - side) // 2 // ratio * ratio for size in (whole.rows, whole.cols))
        inputs = runner.standardise(scene.read(Window(row, col, side, side)))
    seeding, origin = target_of(card).resolve(card), runner.constant(inputs)

    def relevance(explainer) -> np.ndarray:
        def seeds(logits: torch.Tensor) -> torch.Tensor:
            return seeding.seeds(logits, torch.ones_like(logits[0, 0], dtype=torch.bool))

        multipliers = explainer.explain(inputs, seeds, Leaks()).fine
        return (multipliers * (inputs.fine - origin.fine)).numpy()

    def nodes(number: int) -> np.ndarray:
        return relevance(PathExplainer(runner, runner, (), number, lambda: None))

    reference = nodes(REFERENCE)

    def error(found: np.ndarray) -> float:
        return float(np.abs(found - reference).sum() / np.abs(reference).sum())

    allowed = error(nodes(STEPS))
    for steps in (4, 8, 12, 16, 24, 32):
        method = Method("integrated_gradients", steps=NODES_A_STEP * steps)
        if (reached := error(relevance(explainer_for(runner, method)))) <= allowed:
            return {"steps": steps, "nodes": STEPS, "reference": REFERENCE, "error": reached}
    return {"missing": f"no number of steps is as exact as {STEPS} nodes ({allowed:.3g})"}


def artifacts(task: dict, card, module) -> dict:
    """Run *Fact or artifact* as by default, from files to maps that nobody keeps: times a pixel of its windows."""
    runner = Runner(card, module, device="cpu", precision=task["precision"])
    question = Question(target_of(card), Method("gradient_x_input"), Settings(), DEFAULTS["sample"])
    with opened(task, card) as scene:
        start = clocks()
        result = run_artifacts(
            runner, scene, scene_window(scene), question, task["memory"], (None, None), Silent()
        )
        stop = clocks()
    pixels = sum(window.rows * window.cols for window in result.windows)
    done = finished(task, start, stop, pixels, scene_window(scene), None)
    return done | {"passes": result.counts.passes, "windows": len(result.windows)}


def finished(
    task: dict,
    start: tuple[float, float],
    stop: tuple[float, float],
    pixels: int,
    window: Window,
    values: np.ndarray | None,
) -> dict:
    """Save the map, if there is one, and return the numbers."""
    if values is not None:
        np.savez(task["map"], values=values, window=[window.row, window.col, window.rows, window.cols])
    return {
        "wall": (stop[0] - start[0]) / pixels * 1e6,
        "cpu": (stop[1] - start[1]) / pixels * 1e6,
        "pixels": pixels,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def convolution_peak(task: dict) -> dict:
    """Return what one large 3 x 3 convolution reaches: the fastest of several, in the better of two sizes."""
    dtype = getattr(torch, task["precision"])
    best = {"wall": 0.0, "cpu": 0.0}
    for channels, side in ((64, 256), (128, 128)):
        values, weight = torch.rand(1, channels, side, side), torch.rand(channels, channels, 3, 3)
        values, weight = (
            each.to(dtype).contiguous(memory_format=torch.channels_last) for each in (values, weight)
        )
        with torch.inference_mode():
            for _ in range(15):
                start = clocks()
                torch.nn.functional.conv2d(values, weight, padding=1)
                stop = clocks()
                flops = 2 * 9 * channels**2 * side**2
                best = {
                    name: max(best[name], flops / (stop[i] - start[i]))
                    for i, name in enumerate(("wall", "cpu"))
                }
    return best


def main() -> int:
    """Do the task of the first argument and print what came of it."""
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    if task["who"] == "peak":
        print(json.dumps(convolution_peak(task)))
        return 0
    if task["who"] == "ours" and task["what"] not in ("predict", ARTIFACTS, FEATURES, *SPLITTINGS, *METHODS):
        print(json.dumps({"missing": f"no method {task['what']} here"}))
        return 0
    card, module = load(task["model"])
    if task["who"] == "passes":
        done = passes(task, card, module)
    elif task["what"] == ARTIFACTS:
        done = artifacts(task, card, module)
    elif task["who"] == "ours":
        done = ours(task, card, module)
    else:
        with opened(task, card) as scene:
            done = peer(task, scene, card, module)
    print(json.dumps(done))
    return 0


if __name__ == "__main__":
    sys.exit(main())
