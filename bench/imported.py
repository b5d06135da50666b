"""What an imported U-Net costs beside captum, zennit and the plain network in channels-last layout, on one tile.

::

    make bench
    .venv/bin/python bench/imported.py --rounds 7 --whole

The network is a U-Net of the AutoICE challenge's starter kit with its published filters and heads and random weights,
24 channels on the pixels of a tile of 400 x 400, which has no margin for anybody. Everything runs in one process on one
thread and in turn, after one round that is not counted. Ours is what a run does with one of its tiles: it standardises,
explains and multiplies by the inputs; what it does once a run, such as to compare the logits layer by layer with those
of the network on its first tile, is in the round that is not counted, as in bench/peers.py. The peers take inputs
that are standardised. Times are processor time in seconds; a ratio is the median of those of single rounds. ``--whole``
measures runs over the single tile instead, with all that is done once.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
for folder in ("build/peers", "build/plugins", "."):
    sys.path.insert(0, str(ROOT / folder))

from floelens.plugin.core.relevance.methods import Method  # noqa: E402
from floelens.plugin.core.relevance.pieces import Pieces  # noqa: E402
from floelens.plugin.core.relevance.run import run_relevance  # noqa: E402
from floelens.plugin.core.relevance.uncertainty import Uncertainty, replicas_of  # noqa: E402
from floelens.plugin.core.streaming.runner import Runner  # noqa: E402
from floelens.plugin.core.streaming.tiling import Plan  # noqa: E402
from floelens.plugin.core.target.target import Target  # noqa: E402
from floelens.plugin.ground.protocols import Patch, Silent  # noqa: E402
from floelens.plugin.ground.window import Window  # noqa: E402
from floelens.plugin.networks.card import Architecture, Channel, Head, HeadClass, ModelCard  # noqa: E402
from floelens.plugin.networks.graph.examples import unet  # noqa: E402
from floelens.plugin.networks.graph.geometry import geometry  # noqa: E402
from floelens.plugin.networks.graph.modules import build  # noqa: E402

from bench.peer_methods import method_of  # noqa: E402

TILE, CHANNELS, LOGIT = 400, 24, 3
HEADS = {"sic": 12, "sod": 7, "floe": 8}
# Ours, what it is compared with, and how many times as fast it is to be.
TARGETS = (
    ("predict", "plain, channels-last", 1.0),
    ("gradient_x_input", "captum", 2.0),
    ("lrp_epsilon", "zennit", 2.0),
)


class Tile:
    """A source of one tile with noise in all channels."""

    ratio = 1

    def __init__(self) -> None:
        self.window = Window(0, 0, TILE, TILE)
        self.rows = self.cols = TILE
        draw = np.random.default_rng(0)
        self.fine = draw.standard_normal((CHANNELS, TILE, TILE)).astype(np.float32)

    def read(self, window: Window) -> Patch:
        """Return what is in a window."""
        rows, cols = window.slices()
        nothing = np.zeros((0, window.rows, window.cols), np.float32)
        return Patch(
            window, self.fine[:, rows, cols].copy(), nothing, np.ones((window.rows, window.cols), bool)
        )


def tasks(whole: bool = False) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; `whole`: ours as runs over a single tile."""
    from captum.attr import InputXGradient

    spec = unet(fine=CHANNELS, coarse=0, ratio=1, heads=tuple(HEADS.values()), filters=(16, 32, 64, 64))
    torch.manual_seed(0)
    module = build(spec).eval().requires_grad_(False)
    card = ModelCard(
        id="bench-unet",
        title="U-Net",
        licence="none",
        architecture=Architecture("graph", {"graph": spec.to_json()}),
        channels=tuple(
            Channel(f"c{n}", sensor="sar", grid="fine", unit="1", mean=0.0, sd=1.0) for n in range(CHANNELS)
        ),
        heads=tuple(
            Head(name, "softmax", tuple(HeadClass(f"class {n}", n, "#0000ff") for n in range(number)))
            for name, number in HEADS.items()
        ),
        components=(),
        pixel_size_m=80.0,
        receptive_field_radius=64,
        alignment=geometry(spec).alignment,
    )
    source, runner = Tile(), Runner(card, module, "cpu")
    plan = Plan(source.window, source.window, 64, card.alignment, TILE, TILE)
    patch = source.read(source.window)
    fine = torch.from_numpy(source.fine)[None]
    plain = build(spec).eval().requires_grad_(False)
    plain.load_state_dict(module.state_dict())
    plain, last = (
        plain.to(memory_format=torch.channels_last),
        fine.to(memory_format=torch.channels_last),
    )
    captum = InputXGradient(lambda values: module(values, None)[:, LOGIT].sum((1, 2)))
    zennit = method_of("zennit", "lrp_epsilon", module, LOGIT)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return plain(last, None)

    def relevance(name: str) -> Callable[[], object]:
        target, method = Target(head="sic", class_name=f"class {LOGIT}"), Method(name)
        if whole:
            return lambda: run_relevance(runner, source, plan, target, method, None, Silent(), audited=False)
        levels = np.zeros(CHANNELS)
        pieces = Pieces(plan, target.resolve(card), method, levels, lambda: None)
        ready = replicas_of(runner, method, Uncertainty(), lambda: None, source.window)
        tile = plan.tile(source.window)
        return lambda: pieces.explain(patch, ready, tile)

    return {
        "predict": lambda: runner.logits(runner.standardise(patch)),
        "plain, channels-last": forward,
        "gradient_x_input": relevance("gradient_x_input"),
        "captum": lambda: captum.attribute(fine.clone().requires_grad_()),
        "lrp_epsilon": relevance("lrp_epsilon"),
        "zennit": lambda: zennit(fine.clone(), None),
    }


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--whole", action="store_true", help="runs over the tile, with what is done once a run"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    works = tasks(given.whole)
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(given.rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            if number:
                times[name].append(time.process_time() - start)
    print(f"\n### An imported U-Net, {TILE} x {TILE} pixels, one thread\n")
    print("| ours | s | peer | s | times as fast | target | |\n|---|---|---|---|---|---|---|")
    for ours, peer, target in TARGETS:
        ratios = [theirs / own for own, theirs in zip(times[ours], times[peer])]
        middle = statistics.median(ratios)
        own, theirs = statistics.median(times[ours]), statistics.median(times[peer])
        verdict = "reached" if middle >= target else "**missed**"
        print(
            f"| {ours} | {own:.3f} | {peer} | {theirs:.3f} | {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | "
            f"{target:g} | {verdict} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
