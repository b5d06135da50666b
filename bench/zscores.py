"""Z-scores of an output layer beside statsmodels, on one and the same sample.

::

    make bench                                   # both heads
    .venv/bin/python bench/zscores.py --pixels 1000000

Ours takes the pixels in batches, as a scene is read: all of a scene without labels, as by default
(*all pixels*), a sample of it without and with labels (robust errors at eight cluster sizes).
statsmodels gets the whole matrix at once and the same weights: its information matrix inverted is the
same computation, its fit is what one would do without a trained network. Time is wall-clock and
processor time a million pixels; *fixed* are the seconds that follow the last pixel, however many there
were; *differs* is the largest relative difference of the standard errors from those above.

A second table takes a scene of noise through the bundled networks: their forward pass alone, with the components
passed on, and with their sums over all pixels, which is what a run without labels waits for, but for its channels.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "build" / "plugins"))

from floelens.plugin.core.streaming.engine import (  # noqa: E402
    SLAB_PIXELS,
    plan_components,
    stream_components,
    tiles_with_patches,
)
from floelens.plugin.core.zscores.collect import collect_components  # noqa: E402
from floelens.plugin.core.zscores.scene_scores import SceneCollector  # noqa: E402
from floelens.plugin.core.zscores.scores import compute_scores  # noqa: E402
from floelens.plugin.core.zscores.sums.clusters import SCENES, BlockLadder, blocks_name  # noqa: E402
from floelens.plugin.core.zscores.sums.dense_sums import DenseAccumulator  # noqa: E402
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer, SceneAccumulator  # noqa: E402
from floelens.plugin.ground.protocols import Patch, Silent  # noqa: E402
from floelens.plugin.ground.window import Window  # noqa: E402
from floelens.plugin.jobs.common.inputs import Compute  # noqa: E402
from floelens.plugin.networks.card import Channel, ModelCard  # noqa: E402  (its folder is known only now)

BATCH = 40_000
SCALES = ("skip", "d2", "d4", "d8", "d16")
SIZES_KM = (8, 16, 32, 64, 128, 256)
BLOCKS = 2048  # of the smallest size


def output_layer(components: int, classes: int) -> OutputLayer:
    """Return a layer of SAR features of five scales and radiometer channels."""
    generator = np.random.default_rng(1)
    radiometer = components // 6
    parts = []
    for at in range(components):
        if at < components - radiometer:
            parts.append(Component(f"feature_{at}", "sar", SCALES[at % 5]))
        else:
            parts.append(Component(f"btemp_{at}", "mwr", "mwr", f"btemp_{at}", 6.9 + at // 2, "hv"[at % 2]))
    kind = "sigmoid" if classes == 1 else "softmax"
    weights = generator.normal(size=(classes, components)) / np.sqrt(components)
    names = tuple(f"class_{k}" for k in range(classes))
    return OutputLayer("ice", kind, names, tuple(parts), weights, np.zeros(classes))


def sample(layer: OutputLayer, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return correlated components (pixel, component), float32, and labels drawn from the layer."""
    generator = np.random.default_rng(2)
    m = len(layer.components)
    mixing = np.eye(m) + 0.5 * generator.normal(size=(m, m)) / np.sqrt(m)
    x = (generator.normal(size=(pixels, m)) @ mixing).astype(np.float32)
    logits = x @ layer.weights.T
    if layer.kind == "sigmoid":
        return x, (generator.random(pixels) < 1 / (1 + np.exp(-logits[:, 0]))).astype(float)
    return x, np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)


def streamed(layer: OutputLayer, x: np.ndarray, labels: np.ndarray | None) -> SceneAccumulator:
    """Return what the pixels give, batch by batch: what takes longer the more pixels there are."""
    blocks = np.arange(len(x)) * BLOCKS // len(x)
    accumulator = SceneAccumulator(layer)
    for start in range(0, len(x), BATCH):
        part = slice(start, start + BATCH)
        if labels is None:
            accumulator.add(x[part])
        else:
            accumulator.add(x[part], labels[part], {"finest": blocks[part]})
    return accumulator


def all_pixels(layer: OutputLayer, x: np.ndarray, _labels: None = None) -> DenseAccumulator:
    """Return what the pixels give, as those of a scene of 1000 columns."""
    rows, cols = np.arange(len(x)) // 1000, np.arange(len(x)) % 1000
    accumulator = DenseAccumulator(layer, Window(0, 0, -(-len(x) // 1000), 1000))
    for start in range(0, len(x), SLAB_PIXELS):
        part = slice(start, start + SLAB_PIXELS)
        accumulator.add(x[part], rows[part], cols[part])
    return accumulator


def finished(layer: OutputLayer, accumulator: SceneAccumulator | DenseAccumulator) -> np.ndarray:
    """Return the naive errors (class, component): what takes as long for few pixels as for many."""
    numbers = np.arange(BLOCKS)
    nested = {blocks_name(size): numbers // (size // 8) ** 2 for size in SIZES_KM}
    nested[SCENES] = np.zeros(BLOCKS, np.int64)
    dense = isinstance(accumulator, DenseAccumulator)
    scores = compute_scores(accumulator.close() if dense else accumulator.close({"finest": nested}))
    rows = scores.contrasts(layer.classes[0]) if layer.kind == "softmax" else scores.rows
    return np.array([row["se"] for row in rows])


def theirs(layer: OutputLayer, x: np.ndarray, labels: np.ndarray, fit: bool) -> np.ndarray:
    """Return the errors of statsmodels: at the layer's weights, or at its own fit."""
    import statsmodels.api as sm

    design = sm.add_constant(x.astype(float))
    kind = sm.Logit if layer.kind == "sigmoid" else sm.MNLogit
    model = kind(labels, design)
    if fit:
        return (
            np.asarray(model.fit(disp=0, method="newton").bse).T.reshape(-1, design.shape[1])[:, 1:].ravel()
        )
    weights = np.concatenate([layer.bias[:, None], layer.weights], axis=1)
    if layer.kind == "softmax":
        weights = weights[1:] - weights[0]
    covariance = np.linalg.inv(-model.hessian(weights.ravel()))
    return np.sqrt(np.diag(covariance)).reshape(weights.shape)[:, 1:].ravel()


def timed(work: Callable, *given: object) -> tuple[float, float, object]:
    """Return wall-clock seconds, processor seconds and the result of ``work(*given)``."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work(*given)
    return time.perf_counter() - wall, time.process_time() - processor, result


def compare(layer: OutputLayer, pixels: int) -> None:
    """Print the lines of one head."""
    x, labels = sample(layer, pixels)
    megapixels = pixels / 1e6
    title = f"{layer.kind}, {len(layer.components)} components, {max(layer.outputs, 2)} classes | {pixels}"

    def line(what: str, wall: float, processor: float, fixed: str = "", differs: str = "") -> None:
        print(
            f"| {title} | {what} | {wall / megapixels:.1f} | {processor / megapixels:.1f} | {fixed} | {differs} |"
        )

    reference = None
    ways = (
        ("FloeLens", streamed, None),
        ("FloeLens, all pixels", all_pixels, None),
        ("FloeLens with labels", streamed, labels),
    )
    for what, way, given in ways:
        wall, processor, accumulator = timed(way, layer, x, given)
        fixed, _, errors = timed(finished, layer, accumulator)
        differs = "" if reference is None else f"{np.max(np.abs(errors / reference - 1)):.0e}"
        reference = errors
        line(what, wall, processor, f"{fixed:.1f}", differs)
    wall, processor, errors = timed(theirs, layer, x, labels, False)
    line("statsmodels, information", wall, processor, "", f"{np.max(np.abs(errors / reference - 1)):.0e}")
    wall, processor, _ = timed(theirs, layer, x, labels, True)
    line("statsmodels, fit", wall, processor)


class Noise:
    """A scene of noise in memory, of the size and the channels that a network takes."""

    def __init__(self, card: ModelCard, side: int) -> None:
        self.rows = self.cols = side
        self._window, self._ratio = Window(0, 0, side, side), card.ratio
        self._fine, self._coarse = (
            np.stack([drawn(channel, -(-side // step)) for channel in channels])
            for channels, step in ((card.fine_channels, 1), (card.coarse_channels, card.ratio))
        )

    def read(self, window: Window) -> Patch:
        """Return what lies in a window."""
        cells = window.coarser(self._ratio)
        rows, cols = slice(cells.row, cells.row_stop), slice(cells.col, cells.col_stop)
        fine = self._fine[(slice(None), *window.slices(self._window))]
        return Patch(window, fine, self._coarse[:, rows, cols], np.ones((window.rows, window.cols), bool))


def drawn(channel: Channel, side: int) -> np.ndarray:
    """Return values of a channel, (side, side)."""
    generator = np.random.default_rng(3)
    return (channel.mean + channel.sd * generator.normal(size=(side, side))).astype(np.float32)


def compare_stream(model: str, side: int) -> None:
    """Print what a network's forward pass, its components and their sums take of a whole scene."""
    runner = Compute().runner(model, Silent())
    scene = Noise(runner.card, side)
    region = Window(0, 0, side, side)
    plan = plan_components(runner, scene, region, 2048, every=True)
    weights = runner.output_weights()
    layers = [OutputLayer.from_card(runner.card, head.name, *weights) for head in runner.card.heads]

    def forward() -> None:
        for tile, patch, _ in tiles_with_patches(scene, plan, Silent(), ""):
            runner.components(runner.standardise(patch, tile.input))

    def components(summed: bool = False) -> None:
        collector = SceneCollector(layers, BlockLadder.over(region, 40.0, 64.0), every=region)
        if summed:
            collect_components(runner, scene, plan, collector, Silent())
            return
        for _ in stream_components(runner, scene, plan, Silent()):
            pass

    forward()  # memory and kernels that are paid for once
    for what, work in (
        ("forward pass", forward),
        ("components passed on", components),
        ("components summed up", lambda: components(True)),
    ):
        wall, processor, _ = timed(work)
        megapixels = side * side / 1e6
        print(f"| {model} | {what} | {wall / megapixels:.2f} | {processor / megapixels:.2f} |", flush=True)


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--pixels", type=int, default=200_000, help="of the sigmoid head; a tenth for the softmax"
    )
    arguments = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start\n"
    )
    print("| head | pixels | what | wall s/Mpx | processor s/Mpx | fixed s | differs |")
    print("|---|---|---|---|---|---|---|", flush=True)
    compare(output_layer(84, 1), arguments.pixels)
    compare(output_layer(140, 12), arguments.pixels // 10)
    print("\n| model | all pixels of a scene | wall s/Mpx | processor s/Mpx |\n|---|---|---|---|", flush=True)
    for model in ("aspp-concentration-sim", "aspp-icetype-sim"):
        compare_stream(model, int(np.sqrt(5 * arguments.pixels)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
