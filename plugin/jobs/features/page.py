"""What a feature analysis found, as the content of its report."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...core.features.decomposition import MEAN, ZERO, Decomposition
from ...core.features.importance import Importance, correlations
from ...core.features.layer import COMPONENTS, LayerShape
from ...core.features.samples import FeatureSamples
from ...core.features.scale import per_sample
from ...networks.card import ModelCard
from ...report.features.content import Consistency, SkillFacts, SkillRow
from .maps import ScaledMap

SHOWN_VALUES = 6  # features whose values are drawn


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of the importance in each class."""
    return [f"im_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}" for name in classes]


def table(
    card: ModelCard,
    shape: LayerShape,
    samples: FeatureSamples,
    importance: Importance,
    wanted: int,
    means: np.ndarray,
    kept: np.ndarray,
) -> tuple[tuple[str, ...], list[dict[str, object]]]:
    """Return columns and rows of the table, the most important feature first.

    Parameters
    ----------
    wanted : int
        The target's class among the samples', negative for the predicted one.
    means : numpy.ndarray
        (K,), mean activation.
    kept : numpy.ndarray
        (K,), bool: in the top share.
    """
    order = importance.order(wanted)
    leading = importance.leading_class(wanted)
    components = card.components if shape.name == COMPONENTS else ()
    columns = class_columns(samples.classes)
    spread = samples.f.std(axis=0)
    rows = []
    for rank, number in enumerate(order.tolist()):
        part = components[number] if number < len(components) else None
        rows.append(
            {
                "feature": samples.features[number],
                "rank": rank + 1,
                "sensor": part.sensor if part else "",
                "scale": part.scale if part else "",
                "kept": bool(kept[number]),
                "im_diff": None if leading is None else float(importance.difference[leading[number], number]),
                "differs_most_in": "" if leading is None else samples.classes[leading[number]],
                "im_all": float(importance.overall[number]),
                **{column: _number(importance.by_class[c, number]) for c, column in enumerate(columns)},
                "sd": float(spread[number]),
                "mean_activation": float(means[number]),
            }
        )
    return tuple(rows[0]), rows


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def class_counts(samples: FeatureSamples) -> tuple[tuple[str, int, int, int], ...]:
    """Return for each class its name, samples, labelled ones, and those that importance counts."""
    return tuple(
        (
            name,
            int((samples.group == number).sum()),
            int(((samples.group == number) & samples.labelled).sum()),
            int(((samples.group == number) & samples.correct).sum()),
        )
        for number, name in enumerate(samples.classes)
    )


def consistency(
    samples: FeatureSamples, map_means: np.ndarray, scaled_means: np.ndarray, scaled: ScaledMap
) -> tuple[Consistency, ...]:
    """Return how the maps follow the logit: on the common scale, as they are, on a scale of each sample.

    Parameters
    ----------
    map_means : numpy.ndarray
        (n,), mean of the unscaled map in each sample.
    scaled_means : numpy.ndarray
        (n,), the same on the tanh scale; NaN for samples of scenes that are not mapped.
    """
    linear = scaled.scale.applied(map_means, width=scaled.width)
    rows = [("common linear", linear)]
    if scaled.form == "tanh":
        rows.insert(0, ("common tanh", scaled_means))
    rows.append(("each sample by itself", per_sample(map_means, samples.minimum, samples.maximum)))
    return tuple(Consistency(name, *correlations(values, samples.logit)) for name, values in rows)


def skill_facts(found: Decomposition | None) -> SkillFacts | None:
    """Return the skill by features kept as the report has it."""
    if found is None:
        return None
    rows = tuple(
        SkillRow(
            row.kind,
            row.fill,
            row.share,
            row.number,
            row.skill,
            row.r2,
            row.agreement,
            row.accuracy,
            row.sets,
            *row.spread,
        )
        for row in found.rows
    )
    smallest = {fill: found.smallest(fill) for fill in (ZERO, MEAN)}
    return SkillFacts(
        found.whole,
        found.labelled,
        found.pixels,
        found.windows,
        rows,
        {fill: row.number if row else None for fill, row in smallest.items()},
        found.constant_accuracy if found.labelled else found.constant_agreement,
    )


def class_values(samples: FeatureSamples, order: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Return the values of the leading features in the samples of each class."""
    return {
        samples.features[number]: [samples.f[samples.group == c, number] for c in range(len(samples.classes))]
        for number in order[:SHOWN_VALUES].tolist()
    }
