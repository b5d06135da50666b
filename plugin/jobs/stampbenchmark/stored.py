"""Finished parts of a run as text and arrays, so that a stopped run goes on from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..common.unfinished import Part

if TYPE_CHECKING:
    from ...core.benchmarks.stamps.run import ClassifierResult
    from ...core.benchmarks.stamps.scene import MethodChanges
    from ...core.benchmarks.stamps.stamps import Stamp
    from ...ground.rankings import Judged


def stored_classifier(result: ClassifierResult) -> Part:
    """Return what a classifier of a stamp showed."""
    facts = {
        "accuracy": result.accuracy,
        "accuracy_training": result.accuracy_training,
        "recognised": result.recognised,
        "passes": result.passes,
        "constant": dict(result.constant),
        "on_sensor": dict(result.on_sensor),
        "refused": dict(result.refused),
        "judged": [[each.method, each.condition, each.seconds, each.control] for each in result.judged],
    }
    arrays = {"image": result.example.image, "truth": result.example.truth}
    arrays |= {f"map/{word}": each for word, each in result.example.maps.items()}
    for method, values in result.sanity.items():
        arrays |= {f"sanity/{method}/{word}": numbers for word, numbers in values.items()}
    return json.dumps(facts), arrays | _scores(result.judged)


def classifier_of(stamp: Stamp, text: str, arrays: dict[str, np.ndarray]) -> ClassifierResult:
    """Return what was stored of a classifier."""
    from ...core.benchmarks.stamps.run import ClassifierResult, Example
    from ...ground.rankings import Judged

    facts = json.loads(text)
    judged = tuple(
        Judged(method, condition, _named(arrays, f"score/{method}/"), seconds, control)
        for method, condition, seconds, control in facts.pop("judged")
    )
    example = Example(arrays["image"], arrays["truth"], _named(arrays, "map/"))
    words = [each.method for each in judged if not each.control]
    sanity = {word: _named(arrays, f"sanity/{word}/") for word in words}
    return ClassifierResult(stamp=stamp, judged=judged, example=example, sanity=sanity, **facts)


def stored_changes(changes: Sequence[MethodChanges]) -> Part:
    """Return what each stamp changed by one method."""
    facts = [[each.method, each.stamp, each.constant, each.seconds, each.times_input] for each in changes]
    arrays: dict[str, np.ndarray] = {}
    for each in changes:
        arrays |= {f"{each.stamp}/score/{word}": values for word, values in each.scores.items()}
        arrays |= {f"{each.stamp}/relevance/{at:04d}": values for at, values in enumerate(each.relevance)}
        arrays[f"{each.stamp}/sums"], arrays[f"{each.stamp}/logits"] = each.relevance_sums, each.logits
    return json.dumps(facts), arrays


def changes_of(text: str, arrays: dict[str, np.ndarray]) -> list[MethodChanges]:
    """Return what was stored of changes."""
    from ...core.benchmarks.stamps.scene import MethodChanges

    return [
        MethodChanges(
            method, stamp, _named(arrays, f"{stamp}/score/"), arrays[f"{stamp}/sums"], arrays[f"{stamp}/logits"],
            constant, seconds, tuple(_named(arrays, f"{stamp}/relevance/").values()), times_input,
        )
        for method, stamp, constant, seconds, times_input in json.loads(text)
    ]  # fmt: skip


def _scores(judged: Sequence[Judged]) -> dict[str, np.ndarray]:
    return {f"score/{each.method}/{word}": values for each in judged for word, values in each.scores.items()}


def _named(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
