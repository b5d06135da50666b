"""Makes the reference of contributions of the bundled models, from simulated scenes they were not trained on.

Run it from a folder that holds the checkout under the name ``floelens`` (``make reference`` does)::

    python -m floelens.plugin.jobs.packages.reference                    # both, into the checkout's models/

The reference lies beside a model's card as ``contributions.json``: for every head and way of splitting the
mean and spread of each channel's contribution.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...core.simulation import BLOCK, SimulatedScene
from ...core.streaming.runner import Inputs, Runner
from ...core.training.patches import PIXEL_SIZE, SCENE_PIXELS, Standards
from ...core.zscores.channels.collect import method_text
from ...core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from ...core.zscores.channels.levels import input_channels
from ...core.zscores.channels.reference import FILE, ContributionReference
from ...ground.digests import with_escaped_digests
from ...ground.errors import ParameterError
from ...ground.protocols import Silent
from ...ground.version import ROOT
from ...ground.window import Window
from ...io.transaction.outputs import atomic_text
from ...networks import registry
from ...networks.card import ModelCard
from ..common.inputs import Compute
from ..scoring.channels import channel_splitter

METHODS = ("integrated", "gated")
FIRST_SEED = 800_000  # neither trained nor tested on
SCENES = 40
MARGIN = 50  # pixels at the border of a place, whose neighbours the network does not see


def make_references(
    runner: Runner, methods: Sequence[str], seeds: Sequence[int]
) -> list[ContributionReference]:
    """Return the references of all heads of a model, over one place in each simulated scene."""
    card = runner.card
    if method := next((name for name in methods if name not in METHODS), ""):
        raise ParameterError(f"There is no method '{method}'. Choose among {', '.join(METHODS)}.")
    accumulators = {
        (head.name, method): ChannelAccumulator(
            ChannelEvidence.empty(
                head.name,
                head.kind,
                [entry.name for entry in head.classes],
                input_channels(card),
                method_text(method),
            ),
            "reference",
        )
        for head in card.heads
        for method in methods
    }
    splitters = {method: channel_splitter(runner, method, Silent()) for method in methods}
    for seed in seeds:
        inputs, sea = _place(card, seed)
        sea[:MARGIN] = sea[-MARGIN:] = False
        sea[:, :MARGIN] = sea[:, -MARGIN:] = False
        rows, cols = np.nonzero(sea)
        chosen = (rows % 5 == 0) & (cols % 5 == 0)
        rows, cols = rows[chosen], cols[chosen]
        for method, splitter in splitters.items():
            bands = runner.array(splitter.split_outputs(inputs))[:, :, rows, cols].astype(np.float64)
            for head in card.heads:
                own = bands[:, card.head_slice(head.name)]
                accumulators[head.name, method].add(own[-2].T, own[:-2].transpose(2, 1, 0), rows, cols)
    return [
        ContributionReference.of(accumulator.close(), card.id, card.weights.sha256)
        for accumulator in accumulators.values()
    ]


def _place(card: ModelCard, seed: int) -> tuple[Inputs, np.ndarray]:
    """Return what a model sees of one place in a simulated scene, and where there is sea."""
    scene = SimulatedScene(seed, SCENE_PIXELS, SCENE_PIXELS, PIXEL_SIZE)
    draw = np.random.default_rng(seed)
    row, col = draw.integers(0, SCENE_PIXELS // BLOCK, size=2) * BLOCK
    window = Window(int(row), int(col), BLOCK, BLOCK)
    cells = window.coarser(scene.ratio).slices()
    values = (scene.backscatter(window), scene.brightness_temperature()[(slice(None), *cells)])
    tensors = []
    for part, channels in zip(values, (card.fine_channels, card.coarse_channels)):
        standards = np.array([(channel.mean, channel.sd) for channel in channels])
        standard = Standards.apply(part, standards).astype(np.float32)
        tensors.append(torch.from_numpy(standard)[None].contiguous(memory_format=torch.channels_last))
    return Inputs(*tensors), np.isfinite(scene.surface(window).concentration)


def write_references(folder: Path, references: Sequence[ContributionReference], seeds: Sequence[int]) -> Path:
    """Write the references of a model beside its card; the same numbers give the same bytes."""
    entries = [reference.as_dict() for reference in references]
    content = {
        "scenes": f"simulated, seeds {seeds[0]} to {seeds[-1]}, one place of 16 km in each",
        "references": entries,
    }
    for entry in entries:
        for name in ("mean", "sd"):
            entry[name] = [[float(f"{value:.6g}") for value in row] for row in entry[name]]
    path = folder / FILE
    with atomic_text(path) as file:
        file.write(with_escaped_digests(json.dumps(content, indent=1)) + "\n")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the references of the models named on the command line."""
    parser = argparse.ArgumentParser(description="Make the references of contributions.")
    parser.add_argument("models", nargs="*", default=["aspp-concentration-sim", "aspp-icetype-sim"])
    parser.add_argument("--scenes", type=int, default=SCENES, help="simulated scenes (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the sums of several threads differ in the last digit
    seeds = range(FIRST_SEED, FIRST_SEED + options.scenes)
    for model in options.models:
        folder = registry.find(str(ROOT / "models" / model))
        runner = Compute(device="cpu").runner(str(folder))
        path = write_references(folder, make_references(runner, METHODS, seeds), seeds)
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
