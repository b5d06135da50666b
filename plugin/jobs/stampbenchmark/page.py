"""What the stamp benchmark found, as the one report form of benchmarks takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ground.rankings import Measure
from ...ground.vocabulary.relevance_methods import METHODS
from ...ground.vocabulary.stamps import MWR_OFFSET
from ...report.ranking.page import Condition, Example, OtherScore, RankingPage
from ..common.rankings import sanity_facts, sanity_scores

if TYPE_CHECKING:
    from ...core.benchmarks.stamps.run import ClassifierResult
    from ...core.benchmarks.stamps.scene import MethodChanges, SceneStudy
    from ...core.benchmarks.stamps.stamps import Stamp
    from ...ground.rankings import Judged

SHOWN_AROUND = 12  # pixels or cells around a stamp, in pictures of a scene
TITLES = {"bright_point": "bright point", "dark_lead": "dark lead", "mwr_offset": "radiometer offset"}
_LINEAR = ", as gradients do not where a channel enters linearly"
CLASSIFIERS = "small convolutional classifiers"
ON_SENSOR = Measure(
    "on_sensor", "relevance on the stamp's sensor", "higher", None, 1.0,
    "Share of Σ|relevance| on the sensor that was stamped; nothing of the other one tells the classes apart.",
)  # fmt: skip
CORRELATION = Measure(
    "sum_correlation", "correlation of the changes", "higher", 0.0, 1.0,
    "Pearson's correlation, over places, of the sum of the change of relevance with the change of the logits.",
)  # fmt: skip
SLOPE = Measure(
    "sum_slope", "slope of the changes", "", None, 1.0,
    "Of the summed change of relevance on that of the logits, through the origin; 1 where both are the same. What is "
    "missing went to biases.",
)  # fmt: skip
CHANGED = Measure(
    "logit_change", "change of the logits", "", None, None,
    "What the stamp changes in the summed logits: where it is next to nothing, the network overlooks the stamp.",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """All that a run found.

    Parameters
    ----------
    classifiers : tuple of ClassifierResult
        One a stamp.
    changes : tuple of MethodChanges
        One a method and stamp; none where no network of one's own was tried.
    controls : tuple of Judged
        Of the changes.
    study : SceneStudy or None
        What the changes were found on.
    refused : mapping
        Method → why it does not apply to that network.
    """

    classifiers: tuple[ClassifierResult, ...]
    changes: tuple[MethodChanges, ...] = ()
    controls: tuple[Judged, ...] = ()
    study: SceneStudy | None = None
    refused: Mapping[str, str] | None = None


def stamp_page(
    found: Found,
    seed: int,
    images: str,
    scene: str,
    model: str,
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
    warnings: Sequence[str] = (),
) -> RankingPage:
    """Return the report.

    Parameters
    ----------
    found : Found
        What it is about.
    seed : int
        Of the resamples.
    images, scene, model : str
        Where the images come from, the scene that was stamped, and the network that maps it, in words.
    settings, provenance : mapping
        What was asked for, and versions.
    warnings : sequence of str
        About the scene.
    """
    from ...core.benchmarks.ranking import rankings
    from ...core.benchmarks.stamps.run import MEASURES
    from ...core.benchmarks.stamps.scene import SCENE_MEASURES, judged_changes

    trained = [judged for result in found.classifiers for judged in result.judged]
    changed = [*judged_changes(found.changes), *found.controls]
    return RankingPage(
        title="Stamps whose place is known",
        subject=CLASSIFIERS if found.classifiers else f"networks like {model}",
        conditions=(*_classifier_conditions(found, images), *_scene_conditions(found, scene, model)),
        rankings=(
            *rankings(trained, MEASURES, seed),
            *rankings(changed, SCENE_MEASURES, seed),
        ),
        maps=(*_classifier_examples(found), *_scene_examples(found)),
        facts=_facts(found),
        other_measures=(ON_SENSOR, CORRELATION, SLOPE, CHANGED, *sanity_facts()),
        other_scores=(*_on_sensor(found), *_agreements(found, seed), *_sanity(found, seed)),
        notes=(*warnings, *_notes(found)),
        settings=settings,
        provenance=provenance,
    )


def described(stamp: Stamp) -> str:
    """Return a stamp in words: ``The stamp is hv + 12 dB, 1 x 1 pixels``."""
    unit, grid = ("K", "cells") if stamp.word == MWR_OFFSET else ("dB", "pixels")
    rows, cols = stamp.shape(False)
    sign = "+" if stamp.change > 0 else "−"
    return (
        f"The stamp is {', '.join(stamp.names)} {sign} {abs(stamp.change):g} {unit}, {rows} × {cols} {grid}"
    )


def _classifier_conditions(found: Found, images: str) -> list[Condition]:
    return [
        Condition(
            result.stamp.word,
            f"{TITLES[result.stamp.word]} in images (classifier)",
            CLASSIFIERS,
            (
                f"{described(result.stamp)}. {images}",
                f"The classifier tells {100 * result.accuracy:.3g} % of the held-out images right "
                f"({100 * result.accuracy_training:.3g} % in training), after {result.passes} passes; "
                f"only the {100 * result.recognised:.3g} % that it gets right with and without the stamp are scored.",
                "One network was trained. In a trial, means of networks trained with other seeds differed by about "
                "twice what the intervals say: run it with another SEED before a small difference counts.",
                "After Jung and Kwon 2020 (doi 10.1109/ACCESS.2020.3040349). Their data, network and numbers are "
                "not published in detail, so there is no published order to set beside this one.",
            ),
            broken="the stamp itself",
        )
        for result in found.classifiers
    ]


def _scene_conditions(found: Found, scene: str, model: str) -> list[Condition]:
    if found.study is None:
        return []
    from ...core.benchmarks.stamps.scene import scene_condition

    return [
        Condition(
            scene_condition(stamp.word),
            f"{TITLES[stamp.word]} in the scene ({model})",
            f"networks like {model}",
            (
                f"{described(stamp)}, at {len(found.study.places)} places of {scene}. Nothing is trained: what is "
                "judged is the change of relevance from the scene as it is to the scene with the stamp.",
            ),
            broken="the stamp itself",
        )
        for stamp in found.study.stamps
    ]


def _classifier_examples(found: Found) -> list[Example]:
    return [
        Example(
            f"{TITLES[result.stamp.word]} in {result.stamp.names[0]}",
            result.example.truth.astype(float),
            {"(the image)": result.example.image, **result.example.maps},
            "The image is in standard deviations from its training mean.",
        )
        for result in found.classifiers
    ]


def _scene_examples(found: Found) -> list[Example]:
    """Return the change of relevance at the place where the logits change most."""
    if found.study is None or not found.changes:
        return []
    examples = []
    for stamp in found.study.stamps:
        own = [each for each in found.changes if each.stamp == stamp.word]
        if not own:
            continue
        at, channel = int(np.abs(own[0].logits).argmax()), stamp.channels[0]
        truth = found.study.truth(stamp, found.study.places[at], found.study.masks(stamp)[at])[channel]
        shown = _around(truth)
        change = own[0].logits[at]
        examples.append(
            Example(
                f"change of relevance by the {TITLES[stamp.word]}, {stamp.names[0]}",
                np.copysign(truth[shown].astype(float), change),
                {each.method: each.relevance[at][channel][shown] for each in own},
                f"At the place where the summed logits change most: they {'fall' if change < 0 else 'rise'} by "
                f"{abs(change):.3g}, so that relevance should {'fall' if change < 0 else 'rise'} on the stamp.",
            )
        )
    return examples


def _around(truth: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns within a few values of a stamp (row, column)."""
    rows, cols = (np.flatnonzero(truth.any(axis)) for axis in (1, 0))
    return (
        slice(max(0, rows[0] - SHOWN_AROUND), rows[-1] + SHOWN_AROUND + 1),
        slice(max(0, cols[0] - SHOWN_AROUND), cols[-1] + SHOWN_AROUND + 1),
    )


def _facts(found: Found) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for result in found.classifiers:
        title = TITLES[result.stamp.word]
        facts[f"{title}: accuracy on held-out images"] = result.accuracy
        facts[f"{title}: accuracy in training"] = result.accuracy_training
        facts[f"{title}: held-out images right with and without the stamp"] = result.recognised
        facts[f"{title}: constant maps"] = sum(result.constant.values())
    return facts


def _on_sensor(found: Found) -> list[OtherScore]:
    return [
        OtherScore(result.stamp.word, method, ON_SENSOR.word, share)
        for result in found.classifiers
        for method, share in result.on_sensor.items()
    ]


def _agreements(found: Found, seed: int) -> list[OtherScore]:
    from ...core.benchmarks.ranking import mean_intervals
    from ...core.benchmarks.stamps.scene import scene_condition

    scores = []
    for each in found.changes:
        condition = scene_condition(each.stamp)
        for word, (value, low, high) in each.agreement(seed).items():
            scores.append(OtherScore(condition, each.method, word, value, low, high))
        low, high = (float(ends[0]) for ends in mean_intervals(each.logits[:, None], seed))
        scores.append(OtherScore(condition, each.method, CHANGED.word, float(each.logits.mean()), low, high))
    return scores


def _sanity(found: Found, seed: int) -> list[OtherScore]:
    return [
        score
        for result in found.classifiers
        for method, values in result.sanity.items()
        for score in sanity_scores(result.stamp.word, method, values, seed)
    ]


def _notes(found: Found) -> list[str]:
    notes = []
    for result in found.classifiers:
        notes += [
            f"{TITLES[result.stamp.word]}: {number} of the maps of {method} are constant and have no distance; each "
            "counts as √2, a map that tells nothing."
            for method, number in result.constant.items()
        ]
        notes += [f"{method} was left out: {why}" for method, why in result.refused.items()]
    notes += [
        f"{TITLES[each.stamp]} in a scene: the map of {each.method} does not change at {each.constant} of "
        f"{len(each.logits)} places{'' if METHODS[each.method].times_input else _LINEAR}; each counts as √2, a map "
        "that tells nothing."
        for each in found.changes
        if each.constant
    ]
    notes += [f"{method} was left out: {why}" for method, why in (found.refused or {}).items()]
    return list(dict.fromkeys(notes))
