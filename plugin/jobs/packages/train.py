"""Trains the two demonstration models that ship with FloeLens, from seeds alone.

Run it from a folder that holds the checkout under the name ``floelens`` (``make train`` does)::

    python -m floelens.plugin.jobs.packages.train                        # into the checkout's models/
    python -m floelens.plugin.jobs.packages.train --output elsewhere
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

from ...core.simulation import ASSUMPTIONS
from ...core.training.last_layer import LastLayerFit, Rows, fit_last_layer, set_weights, weights_of
from ...core.training.patches import PIXEL_SIZE, SCENE_PIXELS, Patches, Recipe, simulate_patches
from ...core.training.run import LAST_PIXELS, gather_rows, outputs_of, targets_of, train, with_doubling_pools
from ...core.training.skill import RadiometerRegression, predicted_scenes
from ...ground.protocols import Progress
from ...ground.version import ROOT
from ...io.transaction.packages import save_package
from ...networks.aspp.card import aspp_card
from ...networks.card import Head, HeadClass, ModelCard, Training
from ...networks.package import build
from .compare import MODES, compared, skill_of, standards_of
from .readme import readme

VARIANT = "interpretability_small"
RATIO = 25
_RARE = 1e-3  # share of the pixels that must have a component for it to get a weight
TRUTHS = {
    "concentration": "the ice-covered share of the sea in the 9 x 9 pixels (720 m) around each pixel",
    "icetype": "what each pixel shows: open water or the type of its own floe",
}

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
        (
            "The truth is the ice-covered share of the sea in 9 x 9 pixels (720 m) around each pixel, as the simulated "
            "floes and leads lie: floes, leads and the edge itself are resolved, and a map is rougher than a chart.",
            "Ice-free sea counted several times in the last fit, so that it maps as ice-free; the price is too little "
            "ice in the marginal zone (see skill).",
            "Ice-free sea does not map as 0 % everywhere: 1 to 5 % is open water at wind speeds above 10 m/s and "
            "incidence angles above 40°, and up to 15 % is within 6 km of ice. Read less than 10 % as open water.",
        ),
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
            "The truth is what each pixel shows, open water or its own floe's type: water between floes is open water, "
            "where a chart gives the type that prevails in the region.",
            "In summer first-year and multi-year ice differ in the simulated radar only, and not by much.",
        ),
    ),
}


@dataclass(frozen=True)
class TrainDemonstrations:
    """Train the demonstration models and write their packages.

    Both learn together: one trunk with the outputs of both. Each package holds that trunk and a last layer of
    its own, fitted at the end by Newton's method to all training scenes.

    Parameters
    ----------
    output : str
        Folder in which the packages' folders are made.
    recipe : Recipe
        Scenes, steps, and the seeds the skill is measured on.
    tasks : tuple of {'concentration', 'icetype'}
        Which truths to learn.
    """

    output: str
    recipe: Recipe = field(default_factory=Recipe)
    tasks: tuple[str, ...] = tuple(TASKS)

    def run(self, progress: Progress) -> dict[str, dict]:
        """Simulate, train, fit, measure, and write cards, weights and READMEs; return the skill by task."""
        recipe, standards = self.recipe, standards_of(bare_card(self.tasks[0]))
        patches = simulate_patches(recipe, standards, progress)
        module, losses = self.trained(patches, progress)
        more = simulate_patches(recipe.of_the_fit(), standards, progress)
        return self.finished(module, losses, (patches, more), progress)

    def trained(self, patches: Patches, progress: Progress) -> tuple[nn.Module, list[float]]:
        """Return the network with the outputs of all tasks, trained, and its losses on the way."""
        torch.manual_seed(self.recipe.first_seed)
        module = with_doubling_pools(build(_card("-".join(self.tasks), [TASKS[task] for task in self.tasks])))
        return module, train(module, patches, self.recipe, self.tasks, progress)

    def finished(
        self, module: nn.Module, losses: Sequence[float], patches: Sequence[Patches], progress: Progress
    ) -> dict[str, dict]:
        """Fit the last layers and the regressions beside them to all patches, measure all, write the packages."""
        progress.report(0.0, f"fitting the last layers to {sum(map(len, patches))} patches")
        fitted = self.fitted(module, patches)
        regressions = [self.regressions(mode, patches) for mode in MODES]
        progress.report(0.3, f"measuring on {self.recipe.test_scenes} unseen scenes")
        skills = self.measured([fitted, *regressions])
        results = {}
        for task in self.tasks:
            network, fit = fitted[task]
            own, *others = (skill[task] for skill in skills)
            beside = {
                mode: (regression[task][0], other)
                for mode, regression, other in zip(MODES, regressions, others)
            }
            folder = self.write(task, network, fit, compared(TASKS[task].head, own, beside), losses)
            results[task] = {
                "OUTPUT": str(folder),
                "SKILL": dict(ModelCard.from_json(folder / "card.json").skill),
            }
        return results

    def fitted(
        self, module: nn.Module, patches: Sequence[Patches]
    ) -> dict[str, tuple[nn.Module, LastLayerFit]]:
        """Return a network of each task with the trained trunk and a fitted last layer, and its fit.

        The fit's score and shift are those of the weights as the package holds them, in float32. Components that
        hardly any pixel has get no weight: some pixels of one class would give them any.
        """
        components, targets, ice_free = self._rows(module, patches)
        counts = np.where(ice_free, np.float32(self.recipe.ice_free_counts), np.float32(1.0))
        kept = np.count_nonzero(components, axis=0) >= _RARE * len(components)
        components, columns = components[:, kept], np.append(True, kept)
        trunk = {name: value for name, value in module.state_dict().items() if not name.startswith("output.")}
        networks = {}
        for task, (target, classes) in zip(self.tasks, targets):
            rows = Rows(components, target, classes, counts if classes == 1 else None)
            fit = fit_last_layer(rows, weights_of(module.output)[outputs_of(task, self.tasks)][:, columns])
            network = with_doubling_pools(build(bare_card(task)))
            network.load_state_dict(trunk, strict=False)
            weights = np.zeros((classes, len(columns)))
            weights[:, columns] = fit.weights
            set_weights(network.output, weights)
            rounded = fit_last_layer(rows, weights_of(network.output)[:, columns], most=0)
            networks[task] = network, dataclasses.replace(rounded, steps=fit.steps)
        return networks

    def regressions(self, mode: str, patches: Sequence[Patches]) -> dict[str, tuple[nn.Module, LastLayerFit]]:
        """Return the regressions on the radiometer's channels, fitted to the same pixels."""
        channels = patches[0].coarse.shape[1]
        components, targets, _ = self._rows(RadiometerRegression(channels, 1, mode), patches)
        networks = {}
        for task, (target, classes) in zip(self.tasks, targets):
            network = RadiometerRegression(channels, classes, mode)
            fit = fit_last_layer(Rows(components, target, classes))
            set_weights(network.output, fit.weights)
            networks[task] = network, fit
        return networks

    def _rows(
        self, module: nn.Module, patches: Sequence[Patches]
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, int]], np.ndarray]:
        """Return what a network's last layer reads at many pixels, the tasks' targets, and which patch has no ice."""
        draw = np.random.default_rng(self.recipe.first_seed)
        parts = [
            gather_rows(module, part, np.arange(len(part)), LAST_PIXELS, self.recipe.inset, draw)
            for part in patches
        ]
        components, *truth, ice_free = (np.concatenate(values) for values in zip(*parts))
        return components, targets_of(self.tasks, *truth), ice_free

    def measured(
        self, candidates: Sequence[dict[str, tuple[nn.Module, LastLayerFit]]]
    ) -> list[dict[str, dict]]:
        """Return the skill of each candidate by task on the unseen scenes."""
        recipe = self.recipe
        modules = [candidate[task][0] for candidate in candidates for task in self.tasks]
        scenes = predicted_scenes(
            modules,
            standards_of(bare_card(self.tasks[0])),
            range(recipe.test_seed, recipe.test_seed + recipe.test_scenes),
            recipe.test_blocks,
        )
        by_module = list(zip(*scenes))
        skills = []
        for number in range(len(candidates)):
            part = by_module[number * len(self.tasks) :]
            skills.append(
                {task: skill_of(TASKS[task].head, part[place]) for place, task in enumerate(self.tasks)}
            )
        return skills

    def write(
        self, task: str, network: nn.Module, fit: LastLayerFit, skill: dict, losses: Sequence[float]
    ) -> Path:
        """Write a package; return its folder."""
        recipe = self.recipe
        bare = bare_card(task)
        last = recipe.test_seed + recipe.test_scenes - 1
        described = {
            "measured_on": f"simulated scenes of seeds {recipe.test_seed} to {last}, none of them trained on; one "
            "place anywhere in each scene of 400 km, all sea pixels pooled",
            "truth": TRUTHS[task],
            **skill,
        }
        details = {
            **dataclasses.asdict(recipe),
            "scene_pixels": SCENE_PIXELS,
            "pixel_size_m": PIXEL_SIZE,
            "truth": TRUTHS[task],
            "optimiser": "Adam, one cycle; the trunk is trained on " + " and ".join(self.tasks) + " together",
            "loss": "cross-entropy, soft targets" if task == "concentration" else "cross-entropy",
            "last_layer": {
                "method": f"Newton's method to the maximum of the {_likelihood(recipe, task)}, the trunk fixed, no "
                "penalty; afterwards rounded to float32, for which score and shift are",
                "pixels": fit.rows,
                "pixels_of_ice_free_patches_count": recipe.ice_free_counts if task == "concentration" else 1,
                "no_weight": f"components that are zero at all but {100 * _RARE:g} % of the pixels",
                "steps": fit.steps,
                "loss": round(fit.loss, 5),
                "largest_score_per_pixel": float(f"{fit.score:.1e}"),
                "largest_next_step_in_standard_errors": float(f"{fit.shift:.1e}"),
            },
            "loss_by_percent_of_steps": [round(value, 4) for value in losses],
        }
        training = Training(
            data=f"simulated scenes of seeds {recipe.first_seed} to {recipe.first_seed + recipe.scenes - 1}; the last "
            f"layer also on {recipe.fit_seed} to {recipe.fit_seed + recipe.fit_scenes - 1}",
            script="make train",
            details=details,
        )
        card = dataclasses.replace(bare, training=training, skill=described)
        folder = Path(self.output) / card.id
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_package(folder, card, network, lambda written: {"README.md": readme(written)})
        return folder


def _likelihood(recipe: Recipe, task: str) -> str:
    """Return which likelihood the last layer of a task is fitted by."""
    weighted = task == "concentration" and recipe.ice_free_counts != 1
    return "weighted likelihood" if weighted else "likelihood"


def bare_card(task: str) -> ModelCard:
    """Return the card of a task before its weights and skill are known."""
    return _card(TASKS[task].id, [TASKS[task]])


def _card(name: str, tasks: Sequence[Task]) -> ModelCard:
    """Return the card of a network with the heads of some tasks, called after the first."""
    return aspp_card(
        name,
        VARIANT,
        RATIO,
        [task.head for task in tasks],
        title=tasks[0].title,
        summary=tasks[0].summary,
        pixel_size_m=PIXEL_SIZE,
        demonstration=True,
        limits=(*_LIMITS, *tasks[0].limits),
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
    """Train the models."""
    parser = argparse.ArgumentParser(description="Train the demonstration models on simulated scenes.")
    parser.add_argument("--output", default=str(ROOT / "models"), help="folder of the model packages")
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch; 1 gives the published weights"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    results = TrainDemonstrations(options.output).run(_Log())
    sys.stdout.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
