"""Trains the two demonstration models that ship with FloeLens, from seeds alone.

Run it from a folder that holds the checkout under the name ``floelens`` (``make train`` does)::

    python -m floelens.plugin.jobs.train                        # both, into the checkout's models/
    python -m floelens.plugin.jobs.train --model icetype --output /tmp/models
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...models.aspp_card import aspp_card
from ...models.card import Head, HeadClass, ModelCard, Training
from ...models.network import build, save_package
from ..core.protocols import Progress
from ..core.simulation import ASSUMPTIONS, WATER_LIMIT
from ..core.training import (
    PIXEL_SIZE,
    SCENE_PIXELS,
    Patches,
    Recipe,
    Standards,
    concentration_skill,
    icetype_skill,
    predicted_scenes,
    simulate_patches,
    train,
    with_doubling_pools,
)
from ..version import ROOT

VARIANT = "interpretability_small"
RATIO = 25

_DEMONSTRATION = "Demonstration model trained on simulated scenes; not for operational use."
_LIMITS = (
    _DEMONSTRATION,
    "It has seen no real radar image. Classes, textures and noise of the simulated radar are round numbers "
    "within published ranges.",
    "Near land, as far as the footprints reach, land in the radiometer's view is easily mapped as ice.",
    "It was trained at 80 m pixels with 2 km radiometer cells; other pixel sizes are outside of its experience.",
    *ASSUMPTIONS,
)


@dataclass(frozen=True)
class Task:
    """What one model is to learn.

    Parameters
    ----------
    id, title, summary : str
        For the card.
    head : Head
        The model's answer.
    limits : tuple of str
        What this model in particular cannot do.
    """

    id: str
    title: str
    summary: str
    head: Head
    limits: tuple[str, ...] = ()


TASKS = {
    "concentration": Task(
        "aspp-concentration-sim",
        "Sea-ice concentration (simulated, demonstration)",
        "Sea-ice concentration in % from Sentinel-1 HH and HV and 14 AMSR2 channels. " + _DEMONSTRATION,
        Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", 100.0),), "%"),
        ("The truth is the smooth concentration a chart would show, not the single floe.",),
    ),
    "icetype": Task(
        "aspp-icetype-sim",
        "Sea-ice type (simulated, demonstration)",
        "Open water, young, first-year and multi-year ice from Sentinel-1 HH and HV and 14 AMSR2 channels. "
        + _DEMONSTRATION,
        # The colours of the WMO colour code for the stage of development.
        Head(
            "icetype",
            "softmax",
            (
                HeadClass("open water", 0, "#0064ff", 0.0),
                HeadClass("young ice", 1, "#aa28f0"),
                HeadClass("first-year ice", 2, "#ffff00"),
                HeadClass("multi-year ice", 3, "#c80000"),
            ),
        ),
        (
            f"Open water is where the concentration is under {100 * WATER_LIMIT:.0f} %; elsewhere the truth is the "
            "region's prevailing type.",
            "In summer first-year and multi-year ice differ in the simulated radar only, and not by much.",
        ),
    ),
}


@dataclass(frozen=True)
class TrainDemonstration:
    """Train one demonstration model and write its package.

    Parameters
    ----------
    task : {'concentration', 'icetype'}
        Which.
    output : str
        Folder in which the package's folder is made.
    recipe : Recipe
        Scenes, steps, and the seeds the skill is measured on.
    """

    task: str
    output: str
    recipe: Recipe = field(default_factory=Recipe)

    def run(self, progress: Progress, patches: Patches | None = None) -> dict[str, object]:
        """Simulate, train, measure, and write card, weights and README; return the skill.

        `patches` are those of the recipe where another model has been trained on them already.
        """
        card = bare_card(self.task)
        torch.manual_seed(self.recipe.first_seed)
        module = with_doubling_pools(build(card))
        if patches is None:
            patches = simulate_patches(self.recipe, standards_of(card), progress)
        losses = train(module, patches, self.recipe, self.task, progress)
        folder = self.write(module, losses, progress)
        return {"OUTPUT": str(folder), "SKILL": dict(ModelCard.from_json(folder / "card.json").skill)}

    def write(self, module: nn.Module, losses: Sequence[float], progress: Progress) -> Path:
        """Measure a trained network on unseen scenes and write its package; return the folder."""
        recipe = self.recipe
        bare = bare_card(self.task)
        seeds = range(recipe.test_seed, recipe.test_seed + recipe.test_scenes)
        progress.report(0.0, f"measuring on {recipe.test_scenes} unseen scenes")
        scenes = list(predicted_scenes(module, standards_of(bare), seeds, recipe.test_blocks))
        names = [c.name for c in bare.head().classes]
        skill = concentration_skill(scenes) if self.task == "concentration" else icetype_skill(scenes, names)
        described = {
            "measured_on": f"simulated scenes of seeds {seeds.start} to {seeds.stop - 1}, none of them trained on; one "
            f"place anywhere in each scene of 400 km, all sea pixels pooled",
            **skill,
        }
        details = {
            **dataclasses.asdict(recipe),
            "scene_pixels": SCENE_PIXELS,
            "pixel_size_m": PIXEL_SIZE,
            "optimiser": "Adam, cosine to zero",
            "loss": "cross-entropy, soft targets"
            if self.task == "concentration"
            else "cross-entropy, young ice counted double",
            "loss_by_percent_of_steps": [round(value, 4) for value in losses],
        }
        training = Training(
            data=f"simulated scenes of seeds {recipe.first_seed} to {recipe.first_seed + recipe.scenes - 1}",
            script="make train",
            details=details,
        )
        card = dataclasses.replace(bare, training=training, skill=described)
        folder = Path(self.output) / card.id
        folder.parent.mkdir(parents=True, exist_ok=True)
        card = save_package(folder, card, module)
        (folder / "README.md").write_text(readme(card), encoding="utf-8")
        return folder


def bare_card(task: str) -> ModelCard:
    """Return the card of a task before its weights and skill are known."""
    chosen = TASKS[task]
    return aspp_card(
        chosen.id,
        VARIANT,
        RATIO,
        [chosen.head],
        title=chosen.title,
        summary=chosen.summary,
        pixel_size_m=PIXEL_SIZE,
        demonstration=True,
        limits=(*_LIMITS, *chosen.limits),
    )


def standards_of(card: ModelCard) -> Standards:
    """Return means and standard deviations of a card's channels."""
    return Standards(
        np.array([(c.mean, c.sd) for c in card.fine_channels]),
        np.array([(c.mean, c.sd) for c in card.coarse_channels]),
    )


def readme(card: ModelCard) -> str:
    """Return the README of a package: what it is, how good it is, what it must not be used for."""
    skill = card.skill
    if "r2" in skill:
        figures = (
            f"R² {skill['r2']:.3f}, RMSE {skill['rmse_percent']:.1f} %, bias {skill['bias_percent']:+.1f} %"
        )
        rows = ["| true concentration | RMSE, % | bias, % |", "|---|---|---|"]
        rows += [
            f"| {e['from_percent']:g}–{e['to_percent']:g} % | {e['rmse_percent']:.1f} | {e['bias_percent']:+.1f} |"
            for e in skill["by_concentration"]
        ]
    else:
        figures = f"macro F1 {skill['macro_f1']:.3f}, accuracy {skill['accuracy']:.3f}"
        names = [c.name for c in card.head().classes]
        rows = ["| truth \\ map | " + " | ".join(names) + " | F1 |", "|---" * (len(names) + 2) + "|"]
        for name, counts in zip(names, skill["confusion_rows_truth"]):
            shares = (f"{100.0 * count / max(sum(counts), 1):.1f} %" for count in counts)
            rows.append(
                f"| {name} | " + " | ".join(shares) + f" | {skill['f1'].get(name, float('nan')):.3f} |"
            )
    seasons = []
    for season in ("winter", "summer"):
        part = skill.get(season, {})
        number = part.get("r2", part.get("macro_f1"))
        if number is not None:
            seasons.append(f"{season} {number:.3f} ({part['scenes']} scenes)")
    return "\n".join(
        [
            f"# {card.title}",
            "",
            card.summary,
            "",
            f"Skill on {skill['measured_on']}: {figures}" + (f"; {', '.join(seasons)}." if seasons else "."),
            "",
            *rows,
            "",
            f"Trained on {card.training.data}, by `{card.training.script}`. The network is the small "
            "interpretability variant of Malmgren-Hansen et al.; citations are in `card.json`.",
            "",
            "Limits:",
            "",
            *(f"- {limit}" for limit in card.limits),
            "",
        ]
    )


class _Log:
    """Progress on standard error, with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def report(self, fraction: float, text: str = "") -> None:
        sys.stderr.write(f"{time.monotonic() - self._start:7.0f} s  {100 * fraction:3.0f} %  {text}\n")

    def message(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")

    warn = message

    def cancelled(self) -> bool:
        return False


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the models named on the command line."""
    parser = argparse.ArgumentParser(description="Train the demonstration models on simulated scenes.")
    parser.add_argument("--model", choices=[*TASKS, "all"], default="all", help="which model (default: all)")
    parser.add_argument("--output", default=str(ROOT / "models"), help="folder of the model packages")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch; 1 gives the published weights"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    tasks = list(TASKS) if options.model == "all" else [options.model]
    log, recipe = _Log(), Recipe()
    patches = simulate_patches(recipe, standards_of(bare_card(tasks[0])), log)
    for task in tasks:
        results = TrainDemonstration(task, options.output, recipe).run(log, patches)
        sys.stdout.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
