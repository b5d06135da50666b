"""What the report of a feature analysis says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..page.html import Section
from ..page.model_facts import ModelFacts


@dataclass(frozen=True)
class ScaleFacts:
    """The intensity scale of the maps.

    Parameters
    ----------
    form : str
        ``linear``, ``tanh`` or ``image``.
    low, high : float
        The limits, logit a pixel.
    samples, scenes : int
        What it rests on.
    reused : bool
        Whether it is that of SCALE_IN.
    """

    form: str
    low: float
    high: float
    samples: int
    scenes: int
    reused: bool


@dataclass(frozen=True)
class Consistency:
    """How the mean of the map in a sample follows the sample's mean logit.

    Parameters
    ----------
    scale : str
        In which the map is.
    pearson, spearman : float
        Correlations over the samples.
    """

    scale: str
    pearson: float
    spearman: float


@dataclass(frozen=True)
class SkillRow:
    """The prediction with some of the features.

    Parameters
    ----------
    kind, fill : str
        Which set, and what the other features are set to.
    share, skill, r2, agreement, accuracy : float
        Of the features kept; skill is accuracy where there are labels, else agreement.
    number, sets : int
        Features kept; sets that this is the mean of.
    low, high : float
        Smallest and largest skill of these sets.
    """

    kind: str
    fill: str
    share: float
    number: int
    skill: float
    r2: float
    agreement: float
    accuracy: float
    sets: int
    low: float
    high: float


@dataclass(frozen=True)
class SkillFacts:
    """How skill falls with the features kept.

    Parameters
    ----------
    whole : float
        Skill of the whole network.
    labelled : bool
        Whether it is accuracy against labels.
    pixels, windows : int
        Predicted again.
    rows : tuple of SkillRow
        All sets.
    smallest : mapping of str to (int or None)
        By fill the smallest top set that keeps 99 % of the logit's variance, of the map, and of the skill above that
        of the best map of one class.
    constant : float
        Skill of the best map of one class.
    """

    whole: float
    labelled: bool
    pixels: int
    windows: int
    rows: tuple[SkillRow, ...]
    smallest: Mapping[str, int | None]
    constant: float = float("nan")


@dataclass(frozen=True, eq=False)
class FeaturePicture:
    """Maps beside each other, every n-th pixel; arrays (row, column).

    Parameters
    ----------
    scene : numpy.ndarray
        The explained logit.
    cam : numpy.ndarray
        The map on its scale.
    features : tuple of (str, numpy.ndarray)
        Contributions of the leading features.
    """

    scene: np.ndarray
    cam: np.ndarray
    features: tuple[tuple[str, np.ndarray], ...]


@dataclass(frozen=True)
class FeatureName:
    """What some features are.

    Parameters
    ----------
    features : tuple of str
        Names of features that differ by their number only.
    short, meaning : str
        In two or three words for a sentence, and for the list of names.
    """

    features: tuple[str, ...]
    short: str
    meaning: str

    @property
    def span(self) -> str:
        """Their names: ``d16_01 to d16_14``."""
        first, last = self.features[0], self.features[-1]
        return first if len(self.features) == 1 else f"{first} to {last}"


@dataclass(frozen=True, eq=False)
class FeatureReport:
    """All that the report says.

    Parameters
    ----------
    model : ModelFacts
        The network.
    scenes : tuple of str
        The mapped one first.
    head, target, layer, cam, sampling : str
        What was looked at, in words.
    columns : tuple of str
        Of the table.
    rows : sequence of mapping
        One a feature, the most important first.
    classes : tuple of (str, int, int, int)
        Name, samples labelled or else predicted as such, labelled ones, correctly classified ones.
    ranked_by : str
        What the order of the features is by.
    scale : ScaleFacts
        The scale.
    consistency : tuple of Consistency
        Of the map on the common scale, unscaled, and on a scale of each sample.
    skill : SkillFacts or None
        None where no window could be predicted again, or none was to be.
    values : mapping of str to sequence of numpy.ndarray
        By leading feature its values in the samples of each class.
    picture : FeaturePicture or None
        Maps.
    last_layer : bool
        Whether the layer is the last one, whose map follows the logit by construction.
    left_out : bool
        Whether windows were to be predicted again with features left out.
    names : tuple of FeatureName
        What the features are.
    beside : str
        A sentence on what else the logit depends on; empty where the layer carries it all.
    sections : tuple of Section
        Further parts: short list and distributions.
    extra : mapping
        Their content for programs.
    provenance : mapping
        Where it came from.
    warnings : tuple of str
        Of scenes and run.
    """

    model: ModelFacts
    scenes: tuple[str, ...]
    head: str
    target: str
    layer: str
    cam: str
    sampling: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    classes: tuple[tuple[str, int, int, int], ...]
    ranked_by: str
    scale: ScaleFacts
    consistency: tuple[Consistency, ...]
    skill: SkillFacts | None
    values: Mapping[str, Sequence[np.ndarray]]
    picture: FeaturePicture | None
    last_layer: bool
    left_out: bool = True
    names: tuple[FeatureName, ...] = ()
    beside: str = ""
    sections: tuple[Section, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
