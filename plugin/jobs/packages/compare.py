"""Compares the demonstration models with a regression on radiometry alone, on simulated scenes new to both.

Run it from a folder that holds the checkout under the name ``floelens``::

    python -m floelens.plugin.jobs.packages.compare                     # 20 scenes, 4 places in each
    python -m floelens.plugin.jobs.packages.compare --scenes 60 --places 1

The weights of that regression, fitted to the scenes the networks were trained on, stand in their cards.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...core.training.last_layer import set_weights, weights_of
from ...core.training.patches import Standards
from ...core.training.run import with_doubling_pools
from ...core.training.skill import (
    RadiometerRegression,
    TestScene,
    concentration_skill,
    icetype_skill,
    predicted_scenes,
)
from ...networks.card import Head, ModelCard
from ...networks.package import load

MODELS = ("aspp-concentration-sim", "aspp-icetype-sim")
MODES = ("nearest", "bilinear")
"""How the regressions beside the networks carry cells to pixels."""

FIRST_SEED = 950_000
"""Of the scenes to compare on, neither trained nor measured on."""

_MEASURES = {"sigmoid": ("rmse_percent", -1.0), "softmax": ("macro_f1", 1.0)}  # and which way is better


def standards_of(card: ModelCard) -> Standards:
    """Return means and standard deviations of a card's channels."""
    return Standards(
        np.array([(c.mean, c.sd) for c in card.fine_channels]),
        np.array([(c.mean, c.sd) for c in card.coarse_channels]),
    )


def skill_of(head: Head, scenes: Sequence[TestScene]) -> dict:
    """Return the skill of a head over unseen scenes."""
    if head.kind == "sigmoid":
        return concentration_skill(scenes)
    return icetype_skill(scenes, [entry.name for entry in head.classes])


def compared(head: Head, own: dict, others: Mapping[str, tuple[RadiometerRegression, dict]]) -> dict:
    """Return a network's skill with that of the better regression on radiometry alone beside it.

    Parameters
    ----------
    head : Head
        What both answer.
    own : dict
        The network's skill.
    others : mapping of str to (RadiometerRegression, dict)
        Regressions and their skill, by the way cells become pixels.
    """
    measure, sign = _MEASURES[head.kind]
    mode = max(others, key=lambda name: sign * others[name][1][measure])
    regression, best = others[mode]

    def gains(name: str) -> dict:
        part, against = (skill.get(name, {}) if name else skill for skill in (own, best))
        if not part.get(measure) or not against.get(measure):
            return {}
        gain = {measure: round(sign * (part[measure] / against[measure] - 1.0), 4)}
        if measure == "macro_f1" and against[measure] < 1.0:
            gain["error_of_macro_f1"] = round(1.0 - (1.0 - part[measure]) / (1.0 - against[measure]), 4)
        return gain

    kept = ("marginal_zone", "against_chart", "ice_free")
    beside = {
        "method": f"regression on the {regression.output.in_channels} radiometer channels, cells to pixels {mode}, "
        "fitted to the same scenes and truth",
        "mode": mode,
        "weights_bias_first": [[float(f"{x:.7g}") for x in row] for row in weights_of(regression.output)],
        **{name: value for name, value in best.items() if not isinstance(value, (dict, list))},
        **{name: best[name] for name in kept if name in best},
    }
    return {
        **own,
        "radiometer_alone": beside,
        "better_than_radiometer_alone_by": {"all": gains(""), "marginal_zone": gains("marginal_zone")},
    }


def regression_of(card: ModelCard) -> RadiometerRegression:
    """Return the regression on radiometry alone whose weights stand in a card's skill."""
    beside = card.skill["radiometer_alone"]
    weights = np.array(beside["weights_bias_first"])
    regression = RadiometerRegression(weights.shape[1] - 1, len(weights), beside["mode"])
    set_weights(regression.output, weights)
    return regression


def compare_packages(
    models: Sequence[str], seeds: Sequence[int], blocks: int, places: int
) -> dict[str, dict]:
    """Return the skill of packages and of the regressions beside them on simulated scenes, by model.

    Parameters
    ----------
    models : sequence of str
        Ids or folders of demonstration models.
    seeds : sequence of int
        Of the scenes.
    blocks, places : int
        Side of a place in blocks, and places in each scene.
    """
    loaded = {model: load(model) for model in models}
    regressions = {model: regression_of(card) for model, (card, _) in loaded.items()}
    modules = [with_doubling_pools(network) for _, network in loaded.values()]
    standards = standards_of(next(iter(loaded.values()))[0])
    scenes = predicted_scenes([*modules, *regressions.values()], standards, seeds, blocks, places=places)
    by_module = list(zip(*scenes))
    results = {}
    for number, (model, (card, _)) in enumerate(loaded.items()):
        head = card.head()
        own, other = (skill_of(head, by_module[place]) for place in (number, len(loaded) + number))
        results[model] = compared(head, own, {regressions[model].mode: (regressions[model], other)})
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the models and write the figures to standard output."""
    parser = argparse.ArgumentParser(description="Compare the models with radiometry alone.")
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--scenes", type=int, default=20, help="simulated scenes (default: %(default)s)")
    parser.add_argument("--places", type=int, default=4, help="places in each (default: %(default)s)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    seeds = range(FIRST_SEED, FIRST_SEED + options.scenes)
    results = compare_packages(options.models, seeds, 2, options.places)
    sys.stdout.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
