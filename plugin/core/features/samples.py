"""Values of the features of a layer by sample: what importance, scale and distribution analysis start from.

A sample is a region of a scene: a tile, a polygon, or the whole scene. Each feature has one value in it, the mean of
what it adds to the logit at the pixels of the region (Li et al. 2024, arXiv 2407.01142, whose sums would grow with the
region)::

    samples.f            # (n, K): f_k, Σ_k f_k = mean of the full CAM
    samples.logit        # (n,): mean logit of the target
    samples.correct      # (n,): predicted as labelled
    samples.covariates["incidence_angle"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

UNKNOWN = -1  # class of a sample without a label


@dataclass(frozen=True, eq=False)
class FeatureSamples:
    """Values of n samples and K features.

    Parameters
    ----------
    features : tuple of str
        (K,), names of the features.
    classes : tuple of str
        (C,), names of the classes of the head; of a head with one logit below and above its threshold.
    scenes : tuple of str
        Names of the scenes.
    f : numpy.ndarray
        (n, K), float64, logit: mean of gradient x activation of a feature over the pixels of a sample.
    logit : numpy.ndarray
        (n,), float64: mean of the target's logit.
    label : numpy.ndarray
        (n,), int: class as labelled, :data:`UNKNOWN` without a label.
    predicted : numpy.ndarray
        (n,), int: class as predicted.
    scene : numpy.ndarray
        (n,), int: position in `scenes`.
    pixels : numpy.ndarray
        (n,), int: valid pixels.
    bounds : numpy.ndarray
        (n, 4), int: first row and column, and those after the last, in pixels of the scene.
    names : tuple of str
        (n,), such as the number of a tile or the name of a polygon.
    covariates : mapping of str to numpy.ndarray
        (n,) each, float64, NaN where unknown: ``incidence_angle`` (degrees), ``land_distance`` (km), ``row``,
        ``column`` (pixels), ``month`` (1 to 12).
    minimum, maximum : numpy.ndarray
        (n,), float64, logit: extremes of the CAM in a sample, of which the common scale is made.

    Raises
    ------
    ValueError
        If the parts do not have the same numbers of samples or features.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    scenes: tuple[str, ...]
    f: np.ndarray
    logit: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    scene: np.ndarray
    pixels: np.ndarray
    bounds: np.ndarray
    names: tuple[str, ...]
    minimum: np.ndarray
    maximum: np.ndarray
    covariates: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.logit)
        per_sample = (*(getattr(self, name) for name in _BY_SAMPLE), *self.covariates.values(), self.names)
        if self.f.shape != (n, len(self.features)) or any(len(values) != n for values in per_sample):
            raise ValueError("the parts of feature samples do not fit each other")

    def __len__(self) -> int:
        return len(self.logit)

    @property
    def labelled(self) -> np.ndarray:
        """Whether each sample has a label: (n,), bool."""
        return self.label != UNKNOWN

    @property
    def correct(self) -> np.ndarray:
        """Whether each sample is predicted as labelled, or has no label: (n,), bool."""
        return ~self.labelled | (self.label == self.predicted)

    @property
    def group(self) -> np.ndarray:
        """The class each sample belongs to: (n,), as labelled, else as predicted."""
        return np.where(self.labelled, self.label, self.predicted)

    def chosen(self, which: np.ndarray) -> FeatureSamples:
        """Return some of the samples.

        Parameters
        ----------
        which : numpy.ndarray
            (n,) bool, or positions.
        """
        at = np.arange(len(self))[which]
        values = {name: getattr(self, name)[at] for name in _BY_SAMPLE}
        covariates = {name: each[at] for name, each in self.covariates.items()}
        return FeatureSamples(
            **{name: getattr(self, name) for name in _COMMON},
            **values,
            names=tuple(self.names[i] for i in at),
            covariates=covariates,
        )


_COMMON = ("features", "classes", "scenes")
_BY_SAMPLE = tuple(
    each.name for each in fields(FeatureSamples) if each.name not in (*_COMMON, "names", "covariates")
)


def merged(parts: Sequence[FeatureSamples]) -> FeatureSamples:
    """Return the samples of several scenes as one; scenes of one name stay apart.

    Raises
    ------
    ValueError
        If there is none, or they have other features or classes.
    """
    first = parts[0]
    if any((part.features, part.classes) != (first.features, first.classes) for part in parts):
        raise ValueError("samples of different features or classes do not merge")
    offsets = np.cumsum([0, *(len(part.scenes) for part in parts)])
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _BY_SAMPLE}
    values["scene"] = np.concatenate([part.scene + offset for part, offset in zip(parts, offsets)])
    known = dict.fromkeys(name for part in parts for name in part.covariates)
    covariates = {
        name: np.concatenate([part.covariates.get(name, np.full(len(part), np.nan)) for part in parts])
        for name in known
    }
    return FeatureSamples(
        first.features,
        first.classes,
        tuple(name for part in parts for name in part.scenes),
        **values,
        names=tuple(name for part in parts for name in part.names),
        covariates=covariates,
    )
