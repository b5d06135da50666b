"""What the distributions of features tell: findings in sentences, the redundancy matrix, confounders, outliers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ground.vocabulary.feature_findings import (
    CONFOUNDER,
    DEAD,
    OUTLIER,
    OVERFITTING,
    REDUNDANT,
    SHIFT,
)
from ..page import figures
from ..page.html import Figure, Section, Table, listed, number_text

_NAMED = 5
_ROWS = 25  # of a table: those with the largest effect
_EACH = 10  # of each comparison
_ABSENT: Mapping[str, str] = {
    CONFOUNDER: "is tied to where or when a sample lies",
    REDUNDANT: "repeats another",
    DEAD: "is dead",
    OUTLIER: "is unlike the others of its class",
}
WORDS: Mapping[str, str] = {
    "incidence_angle": "the incidence angle",
    "land_distance": "the distance to land",
    "row": "the row of the scene",
    "column": "the column of the scene",
    "month": "the month",
    "sub_swath": "the sub-swath",
}


@dataclass(frozen=True, eq=False)
class FeatureDistributions:
    """What the analysis of the distributions of features found, in plain values.

    Parameters
    ----------
    features : tuple of str
        All features.
    samples, number : int
        How many samples, and units of them.
    units : str
        What a unit is, in the plural.
    effective : float
        Independent samples that these are worth, the median over the features.
    findings : tuple of mapping
        ``kind, features, what, effect, q, also, alike, sample`` (the name of a sample, or empty).
    differences, separations, associations, pairs, outliers : tuple of mapping
        The rows behind them.
    correlation : numpy.ndarray
        (K, K), within the classes.
    tested : tuple of str
        Kinds of findings that could be judged.
    notes : tuple of str
        What could not be judged.
    """

    features: tuple[str, ...]
    samples: int
    number: int
    units: str
    effective: float
    findings: tuple[Mapping[str, Any], ...]
    differences: tuple[Mapping[str, Any], ...]
    separations: tuple[Mapping[str, Any], ...]
    associations: tuple[Mapping[str, Any], ...]
    pairs: tuple[Mapping[str, Any], ...]
    outliers: tuple[Mapping[str, Any], ...]
    correlation: np.ndarray = field(repr=False)
    tested: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the findings of a kind, the largest first."""
        return [each for each in self.findings if each["kind"] == kind]


def findings_sentences(found: FeatureDistributions) -> list[str]:
    """Return what was found, a sentence a kind; one sentence where nothing was."""
    sentences = [
        *_overfitting(found),
        *_confounders(found),
        *_shifts(found),
        *_redundant(found),
        *_dead(found),
        *_outliers(found),
    ]
    return sentences or [_clean(found.tested)]


def _clean(tested: Sequence[str]) -> str:
    """Return what was looked for and not found, and what was not looked for."""
    clean = [f"no feature {what}" for kind, what in _ABSENT.items() if kind in tested and kind != OUTLIER]
    clean += [f"no sample {_ABSENT[OUTLIER]}"] if OUTLIER in tested else []
    missing = [
        f"whether a {'sample' if kind == OUTLIER else 'feature'} {what}"
        for kind, what in _ABSENT.items()
        if kind not in tested
    ]
    said = [f"{listed(clean)}." if clean else "", f"{listed(missing)} was not tested." if missing else ""]
    return " ".join(each[0].upper() + each[1:] for each in said if each)


def distribution_sections(found: FeatureDistributions, name: str = "d") -> list[Section]:
    """Return the sections of the report; `name` prefixes the ids of the pictures."""
    sections = [
        Section(
            "What the distributions of the features tell",
            text=(_basis(found),),
            points=(*findings_sentences(found), *found.notes),
        ),
        Section(
            "Which features say the same",
            text=(_redundancy_text(found),),
            figures=(
                Figure(
                    figures.svg(
                        figures.correlation_map(found.correlation, found.features),
                        f"{name}r",
                        "correlation of the features within the classes",
                    ),
                    "Correlation of the features over the samples, within their classes: purple \u22121, white 0, "
                    "orange 1; grey: does not vary.",
                ),
            ),
            tables=(Table(_PAIRS, found.pairs, "Redundant pairs"),) if found.pairs else (),
        ),
    ]
    if found.associations:
        rows = sorted(found.associations, key=lambda row: -row["partial_r2"])[:_ROWS]
        sections.append(
            Section(
                "Features tied to where and when a sample lies",
                text=(
                    "A covariate explains a feature where the feature changes with it although class and all other "
                    "features stay the same. Partial R² is the part of the rest that it explains. Named as confounders "
                    "are those with at least 0.1 and q of at most 0.01.",
                    "Scenes are the observations. Under 8 there is no q, and large values are no finding: inside a "
                    "scene smooth features go with the position by chance.",
                    "A network may follow the incidence angle for a reason: backscatter depends on it. Whether that "
                    "is wanted, this table cannot say.",
                ),
                tables=(Table(_known(_ASSOCIATIONS, rows), rows, f"The {len(rows)} strongest"),),
            )
        )
    if found.differences:
        rows = _largest(found)
        sections.append(
            Section(
                "Groups of samples beside each other",
                text=(
                    "Of each class and feature: the largest distance of the distribution functions (KS, Kolmogorov and "
                    "Smirnov), and Wasserstein's distance in standard deviations. q is corrected for many features, "
                    "classes and groups (Benjamini and Hochberg), and blank where scenes are too few for any test.",
                ),
                tables=(
                    Table(_known(_DIFFERENCES, rows), rows, "The largest differences, by what is compared"),
                    *(
                        (Table(_SEPARATIONS, _lost_most(found), "Separation of the target class by split"),)
                        if found.separations
                        else ()
                    ),
                ),
            )
        )
    if found.outliers:
        sections.append(
            Section(
                "Samples unlike the others",
                text=(
                    "The distance of a sample from its class takes into account how features go together. The "
                    "polygons of OUTLIERS show where these samples lie: look at the scene there for land, wrong "
                    "labels or noise.",
                ),
                tables=(Table(_OUTLIERS, found.outliers[:_ROWS]),),
            )
        )
    return sections


def _largest(found: FeatureDistributions) -> list[Mapping[str, Any]]:
    """Return of each comparison the rows with the largest differences."""
    by: dict[str, list[Mapping[str, Any]]] = {}
    for row in found.differences:
        by.setdefault(row["comparison"], []).append(row)
    ordered = (sorted(rows, key=lambda row: -row["wasserstein_sd"])[:_EACH] for rows in by.values())
    return [row for rows in ordered for row in rows]


def _known(
    columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, str], ...]:
    """Return the columns in which any row has a value."""
    return tuple(pair for pair in columns if any(row[pair[0]] == row[pair[0]] for row in rows))


def _basis(found: FeatureDistributions) -> str:
    return (
        f"{found.samples} samples of {found.number} {found.units} are compared. Samples next to each "
        f"other are alike: for the features, the samples are worth about "
        f"{number_text(float(found.effective), 2)} independent ones."
    )


def _overfitting(found: FeatureDistributions) -> list[str]:
    return [
        f"Overfitting: in test samples the features separate the classes {100 * each['effect']:.0f} % less than in "
        f"training samples (p = {number_text(each['q'], 2)}); most is lost by {_names(each['features'])}. Do not trust "
        "the skill on training scenes."
        for each in found.of(OVERFITTING)
    ]


def _confounders(found: FeatureDistributions) -> list[str]:
    by: dict[str, list[Mapping[str, Any]]] = {}
    for each in found.of(CONFOUNDER):
        by.setdefault(each["what"], []).append(each)
    said = []
    for what, rows in by.items():
        names = [each["features"][0] for each in rows]
        also, alike = (
            listed([_covariate(name) for name in sorted({name for each in rows for name in each[key]})])
            for key in ("also", "alike")
        )
        beside = (
            f" Beside it, {'it also follows' if len(names) == 1 else 'some also follow'} {also}."
            if also
            else ""
        )
        other = _capital(f" {alike} cannot be distinguished from {_covariate(what)}.") if alike else ""
        follow = "follows" if len(names) == 1 else "follow"
        said.append(
            f"Confounder: {_names(names)} {follow} {_covariate(what)}, whatever the ice: it explains up to "
            f"{100 * max(each['effect'] for each in rows):.0f} % of what class and other features leave."
            f"{beside}{other}"
        )
    return said


def _shifts(found: FeatureDistributions) -> list[str]:
    said = []
    for each in found.of(SHIFT)[:_NAMED]:
        first, second, label = each["also"]
        verb = "is" if len(each["features"]) == 1 else "are"
        size = number_text(float(each["effect"]), 2)
        said.append(
            f"Shift by {each['what']}: in samples of '{label}', {_names(each['features'])} {verb} distributed "
            f"otherwise in {first} than in {second}, by up to {size} standard deviations."
        )
    return said


def _redundant(found: FeatureDistributions) -> list[str]:
    pairs = found.of(REDUNDANT)
    if not pairs:
        return []
    named = [f"{first} and {second}" for first, second in (each["features"] for each in pairs[:_NAMED])]
    more = f" and {len(pairs) - _NAMED} pairs more" if len(pairs) > _NAMED else ""
    said = f"Redundant: {'; '.join(named)}{more} say the same within a class (correlation of 0.95 and more)."
    opposite = [" and ".join(each["features"]) for each in pairs if each["effect"] < 0]
    if not opposite:
        return [said]
    return [f"{said} Of opposite sign, so that they cancel each other, are {_names(opposite)}."]


def _dead(found: FeatureDistributions) -> list[str]:
    names = [each["features"][0] for each in found.of(DEAD)]
    if not names:
        return []
    return [f"Dead: {_names(names)} {'does' if len(names) == 1 else 'do'} not vary in any sample."]


def _outliers(found: FeatureDistributions) -> list[str]:
    samples = [str(each["sample"]) for each in found.of(OUTLIER)]
    if not samples:
        return []
    what = "Sample" if len(samples) == 1 else "Samples"
    verb = "is" if len(samples) == 1 else "are"
    return [
        f"{what} {_names(samples)} {verb} unlike the others of the class: look there first for wrong labels or noise."
    ]


def _redundancy_text(found: FeatureDistributions) -> str:
    number = len(found.pairs)
    if not number:
        return "No two features are so alike within the classes that one of them could go."
    pairs = "1 pair" if number == 1 else f"{number} pairs"
    return f"Of {pairs} of features one could go: the other says the same."


def _covariate(name: str) -> str:
    return WORDS.get(name, name.replace("_", " "))


def _names(names: Sequence[str]) -> str:
    return listed([*names[:_NAMED], *([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])])


def _capital(text: str) -> str:
    return text[:1] + text[1:2].upper() + text[2:] if text else ""


def _lost_most(found: FeatureDistributions) -> list[Mapping[str, Any]]:
    """Return all features together, then those that lose most separation from training to test."""
    together, *alone = found.separations
    return [together, *sorted(alone, key=lambda row: row["test"] - row["train"])[: _ROWS - 1]]


_PAIRS = (
    ("first", "feature"),
    ("second", "feature"),
    ("correlation", "correlation"),
    ("low", "at least"),
    ("same", "the same"),
)
_ASSOCIATIONS = (
    ("feature", "feature"),
    ("covariate", "covariate"),
    ("partial_r2", "partial R²"),
    ("correlation", "correlation"),
    ("p", "p"),
    ("q", "q"),
    ("samples", "samples"),
    ("units", "units"),
)
_DIFFERENCES = (
    ("comparison", "by"),
    ("first", "group"),
    ("second", "against"),
    ("label", "class"),
    ("feature", "feature"),
    ("ks", "KS"),
    ("wasserstein", "Wasserstein (logit)"),
    ("wasserstein_sd", "Wasserstein (sd)"),
    ("p", "p"),
    ("q", "q"),
    ("n_first", "samples"),
    ("n_second", "against"),
)
_SEPARATIONS = (
    ("feature", "feature"),
    ("train", "training (sd)"),
    ("test", "test (sd)"),
    ("drop", "lost"),
    ("p", "p"),
    ("q", "q"),
)
_OUTLIERS = (
    ("name", "sample"),
    ("scene", "scene"),
    ("label", "class"),
    ("ratio", "times as far as the median sample"),
    ("features", "most unusual features"),
)
