"""Analyses of the samples of features: distributions and the short list, as the report takes them.

The samples come from :class:`~floelens.plugin.core.features.samples.FeatureSamples`; no pixel is read again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core.distributions.outliers import Outlier, outliers
from ...core.distributions.run import Distributions, analyse
from ...core.distributions.separation import SPLIT
from ...core.distributions.table import LEAST_SCENES, FeatureTable
from ...core.shortlist.moments import Moments
from ...core.shortlist.run import short_lists
from ...ground.protocols import Progress, Silent
from ...ground.vocabulary.short_lists import IMPORTANCE, INFORMATION
from ...report.features.distributions import FeatureDistributions, distribution_sections
from ...report.page.html import Section
from ...report.page.short_lists import ShortLists, short_list_section
from ..scoring.shortlist import listed_orders

if TYPE_CHECKING:
    from ...core.features.samples import FeatureSamples

SEASONS = ("winter", "spring", "summer", "autumn")
# Of covariates that explain the same, the first is named.
COVARIATES = ("incidence_angle", "sub_swath", "land_distance", "month", "row", "column")
CODES = frozenset({"sub_swath"})
MIXED = 0.2  # of the next code in the mean of a sample, up to which it counts as one of its code


def feature_table(
    samples: FeatureSamples, target: int, block_pixels: int, splits: Sequence[str] = ()
) -> FeatureTable:
    """Return the samples as the analysis of distributions takes them.

    Parameters
    ----------
    samples : FeatureSamples
        What the features add to the logit of the target.
    target : int
        Its class.
    block_pixels : int
        Side of the blocks that stand for scenes where these are few.
    splits : sequence of str
        ``train``, ``test`` or '' for each scene; nothing where it is not known.
    """
    scenes = len(np.unique(samples.scene))
    by_scene = scenes >= LEAST_SCENES
    groups = {}
    if splits:
        groups[SPLIT] = np.array(splits)[samples.scene]
    if scenes > 1:
        # Scenes may share a name: their position keeps them apart.
        names = [
            name if samples.scenes.count(name) == 1 else f"{name} ({at + 1})"
            for at, name in enumerate(samples.scenes)
        ]
        groups["scene"] = np.array(names)[samples.scene]
    season = _seasons(samples.covariates.get("month"))
    if season is not None and len(set(season) - {""}) > 1:
        groups["season"] = season
    values = {
        name: _of_one_code(each) if name in CODES else each for name, each in samples.covariates.items()
    }
    known = {
        name: values[name]
        for name in (*COVARIATES, *(each for each in values if each not in COVARIATES))
        if name in values and np.isfinite(values[name]).any()
    }
    return FeatureTable(
        samples.features,
        np.asarray(samples.f, np.float64),
        samples.classes,
        np.asarray(samples.group),
        target,
        np.asarray(samples.scene) if by_scene else _blocks(samples, block_pixels),
        "scenes" if by_scene else f"blocks of {block_pixels} pixels",
        covariates=known,
        categorical=CODES & known.keys(),
        groups=groups,
        scene=np.asarray(samples.scene),
    )


def distributions_of(
    samples: FeatureSamples,
    target: int,
    block_pixels: int,
    splits: Sequence[str] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[FeatureDistributions, Distributions]:
    """Return what the distributions of features tell, for the report, and the analysis behind it."""
    table = feature_table(samples, target, block_pixels, splits)
    found = analyse(table, seed, progress or Silent())
    return _of_report(samples, table, found), found


def outliers_of(
    samples: FeatureSamples, target: int, block_pixels: int, splits: Sequence[str] = ()
) -> tuple[Outlier, ...]:
    """Return the outliers alone, as :func:`distributions_of` finds them."""
    return outliers(feature_table(samples, target, block_pixels, splits))[1]


def short_lists_of(
    samples: FeatureSamples,
    importance: np.ndarray,
    sensors: Sequence[str] = (),
    head: str = "",
    called: str = "features",
) -> ShortLists | None:
    r"""Return how few features reproduce the logits of the samples; None where these do not vary.

    Parameters
    ----------
    samples : FeatureSamples
        What the features add to the logit.
    importance : numpy.ndarray
        (K,), \|IM_diff\|, NaN where it is not known.
    sensors : sequence of str
        Of the features; nothing where they belong to none.
    head : str
        Name of the head.
    called : str
        ``components`` where they are those of the last layer.
    """
    moments = Moments.of_values(samples.f)
    parts = np.abs(np.diag(moments.covariance))
    if not parts.sum() > 0:
        return None
    measures = {IMPORTANCE: np.asarray(importance, np.float64), INFORMATION: parts / parts.sum()}
    lists = short_lists(measures, moments, np.ones((1, len(samples.features))))
    return ShortLists(
        head,
        samples.features,
        tuple(sensors) or ("",) * len(samples.features),
        listed_orders(samples.features, lists),
        counted=f", over the means of {len(samples)} samples",
        called=called,
    )


def further_sections(
    samples: FeatureSamples,
    importance: np.ndarray,
    target: int,
    block_pixels: int,
    sensors: Sequence[str] = (),
    head: str = "",
    splits: Sequence[str] = (),
    called: str = "features",
    seed: int = 0,
    progress: Progress | None = None,
    lists: ShortLists | None = None,
    notes: Sequence[str] = (),
) -> tuple[tuple[Section, ...], dict[str, object], tuple[Outlier, ...]]:
    r"""Return the sections of the short list and of the distributions, their content for programs, and the outliers.

    Parameters
    ----------
    samples : FeatureSamples
        What the features add to the logit of the target.
    importance : numpy.ndarray
        (K,), \|IM_diff\|.
    target : int
        Class of the target; negative for the predicted one.
    block_pixels : int
        Side of the blocks that stand for scenes where these are few.
    sensors : sequence of str
        Of the features.
    head : str
        Name of the head.
    splits : sequence of str
        ``train``, ``test`` or '' for each scene.
    called : str
        ``components`` where they are those of the last layer.
    seed : int
        Of what is drawn.
    progress : Progress, optional
        Asked between the analyses whether to go on.
    lists : ShortLists, optional
        The short list, where it is not to be that of the samples.
    notes : sequence of str
        What else must be known of the samples.

    Raises
    ------
    Cancelled
        If the user asked to stop.
    """
    found, analysed = distributions_of(samples, target, block_pixels, splits, seed, progress)
    found = dataclasses.replace(found, notes=(*found.notes, *notes))
    lists = lists or short_lists_of(samples, importance, sensors, head, called)
    sections = distribution_sections(found)
    if lists is not None:
        sections.insert(0, short_list_section(lists, "s"))
    return tuple(sections), {"short_list": lists, "distributions": found}, analysed.outliers


def _of_one_code(means: np.ndarray) -> np.ndarray:
    """Return the code (n,) of samples of which nearly all pixels have one; NaN for the others."""
    code = np.round(means)
    return np.where(np.abs(means - code) <= MIXED, code, np.nan)


def _blocks(samples: FeatureSamples, side: int) -> np.ndarray:
    """Return the block of each sample, (n,), by its centre; blocks of different scenes are different."""
    bounds = np.asarray(samples.bounds, np.float64)
    row, col = (bounds[:, 0] + bounds[:, 2]) // (2 * side), (bounds[:, 1] + bounds[:, 3]) // (2 * side)
    places = np.column_stack([samples.scene, row, col])
    return np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)


def _seasons(month: np.ndarray | None) -> np.ndarray | None:
    """Return the season of each sample by its month, '' where it is unknown: winter from December on."""
    if month is None:
        return None
    number = np.nan_to_num(month, nan=0.0).astype(int)
    return np.where(number > 0, np.array(SEASONS)[number % 12 // 3], "")


def _of_report(samples: FeatureSamples, table: FeatureTable, found: Distributions) -> FeatureDistributions:
    names, scenes = samples.names, samples.scenes
    return FeatureDistributions(
        features=table.features,
        samples=len(table),
        number=len(np.unique(table.unit)),
        units=table.units,
        effective=float(np.median(found.effective)),
        findings=tuple(
            {**vars(each), "sample": "" if each.sample is None else str(names[each.sample])}
            for each in found.findings
        ),
        differences=_rows(found.differences),
        separations=_rows(found.separations),
        associations=_rows(found.associations),
        pairs=_rows(found.pairs),
        outliers=tuple(
            {
                **vars(each),
                "name": str(names[each.sample]),
                "scene": scenes[int(samples.scene[each.sample])],
                "label": table.classes[int(table.label[each.sample])],
            }
            for each in found.outliers
        ),
        correlation=found.correlation,
        tested=found.tested,
        notes=found.notes,
    )


def _rows(values: Sequence) -> tuple[Mapping, ...]:
    return tuple(dataclasses.asdict(each) for each in values)
