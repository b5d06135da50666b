"""One intensity scale for the class activation maps of many scenes.

Of every sample the extremes of the map before upsampling are kept, of misclassified samples too, and for all classes
alike. The scale reaches from lo, the median of the minima (0 where a map has no negative values), to hi, the 90th
percentile of the maxima (Li et al. 2024, arXiv 2407.01142, and the authors' code):

- linear: M' = (M − s·lo) / (s·hi − s·lo), s = 1 for natural images, 1.5 for medical ones;
- tanh: M' = tanh(k M + b), k = (atanh 0.95 − atanh 0.05) / (hi − lo), so that lo → 0.05 and hi → 0.95.

Percentiles do not merge, extremes do: a scale keeps those of all its samples, in an order that depends on them alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ...ground.errors import ParameterError
from ...ground.vocabulary.cams import FULL, LINEAR, TANH

FORMAT, FORMAT_VERSION = "floelens-cam-scale", 1
HIGH_PERCENTILE, LOW_PERCENTILE = 90.0, 50.0
TANH_LOW, TANH_HIGH = 0.05, 0.95


@dataclass(frozen=True)
class ScaleKey:
    """What a scale holds for; with any other it means nothing.

    Parameters
    ----------
    model, weights_sha256 : str
        The network.
    layer, cam : str
        The layer, and the kind of map.
    target : str
        Which logit, in words.
    """

    model: str
    weights_sha256: str
    layer: str
    cam: str
    target: str


@dataclass(frozen=True, eq=False)
class CommonScale:
    """Extremes of the samples of scenes, and the limits that follow from them.

    Parameters
    ----------
    key : ScaleKey
        What it holds for.
    extremes : mapping of str to numpy.ndarray
        By the identity of a scene (sample, 2), float64: minimum and maximum of each sample.
    """

    key: ScaleKey
    extremes: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, key: ScaleKey, scene: str, minimum: np.ndarray, maximum: np.ndarray) -> CommonScale:
        """Return the scale of the samples of one scene."""
        pairs = np.column_stack([minimum, maximum]).astype(np.float64)
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        return cls(key, {scene: pairs[np.lexsort(pairs.T[::-1])]})

    def __len__(self) -> int:
        return sum(len(pairs) for pairs in self.extremes.values())

    @property
    def _all(self) -> np.ndarray:
        parts = list(self.extremes.values())
        return np.concatenate(parts) if parts else np.empty((0, 2))

    @property
    def low(self) -> float:
        """lo: the median of the minima; 0 for maps without negative values. NaN without samples."""
        if self.key.cam != FULL:
            return 0.0
        return float(np.percentile(self._all[:, 0], LOW_PERCENTILE)) if len(self) else math.nan

    @property
    def high(self) -> float:
        """hi: the 90th percentile of the maxima; NaN without samples."""
        return float(np.percentile(self._all[:, 1], HIGH_PERCENTILE)) if len(self) else math.nan

    @property
    def usable(self) -> bool:
        """Whether hi lies above lo."""
        return self.high > self.low

    def applied(self, values: np.ndarray, form: str = LINEAR, width: float = 1.0) -> np.ndarray:
        """Return maps on the scale, in their own type; NaN everywhere where the scale is not usable.

        Parameters
        ----------
        values : numpy.ndarray
            Of any shape, logit.
        form : {'linear', 'tanh'}
            Which form; the width is that of the linear one.
        width : float
            s.
        """
        if not self.usable:
            return np.full_like(values, np.nan)
        low, high = self.low, self.high
        if form == TANH:
            slope = (math.atanh(TANH_HIGH) - math.atanh(TANH_LOW)) / (high - low)
            return np.tanh(slope * (values - low) + math.atanh(TANH_LOW)).astype(values.dtype, copy=False)
        return ((values - width * low) / (width * (high - low))).astype(values.dtype, copy=False)

    def to_json(self) -> str:
        """Return the scale as a file holds it; numbers come back to the last digit."""
        scenes = [{"scene": name, "extremes": self.extremes[name].tolist()} for name in sorted(self.extremes)]
        limits = {"low": self.low, "high": self.high} if len(self) else {}
        content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(self.key), **limits}
        return (
            json.dumps({**content, "samples": len(self), "scenes": scenes}, indent=1, ensure_ascii=False)
            + "\n"
        )

    @classmethod
    def from_json(cls, text: str, name: str) -> CommonScale:
        """Return the scale of a file; `name` is what errors call it.

        Raises
        ------
        ParameterError
            If it is no scale, or of a later version.
        """
        wrong = ParameterError(
            f"SCALE_IN: {name} is no scale that 'Feature analysis' wrote. Give a file of SCALE."
        )
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise wrong
            if content["format_version"] != FORMAT_VERSION:
                raise ParameterError(
                    f"SCALE_IN: {name} is a scale of version {content['format_version']}, this FloeLens reads version "
                    f"{FORMAT_VERSION}. Make the scale again."
                )
            key = ScaleKey(*(str(content[name]) for name in ScaleKey.__dataclass_fields__))
            extremes = {
                str(scene["scene"]): np.array(scene["extremes"], np.float64).reshape(-1, 2)
                for scene in content["scenes"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise wrong from error
        if not all(np.isfinite(pairs).all() for pairs in extremes.values()):
            raise wrong
        return cls(key, extremes)


_NAMES = {
    "model": "model",
    "weights_sha256": "weights",
    "layer": "NETWORK_LAYER",
    "cam": "CAM",
    "target": "target",
}


def check_key(scale: CommonScale, key: ScaleKey, name: str) -> None:
    """Refuse a scale of anything else.

    Raises
    ------
    ParameterError
        With what differs.
    """
    for field, called in _NAMES.items():
        own, wanted = getattr(scale.key, field), getattr(key, field)
        if own != wanted:
            if field == "weights_sha256":
                own, wanted = f"{own[:8]}…", f"{wanted[:8]}…"
            raise ParameterError(
                f"SCALE_IN: {name} is a scale of another {called} ({own}, here {wanted}); their intensities cannot be "
                "compared. Make a scale with the same settings, or leave SCALE_IN empty."
            )


def merged_scales(scales: Sequence[CommonScale]) -> CommonScale:
    """Return the scale of all samples of several scales, the same in any order; a scene in several counts once.

    Raises
    ------
    ParameterError
        If they do not hold for the same, or one scene has other samples in another file.
    """
    extremes: dict[str, np.ndarray] = {}
    for scale in scales:
        check_key(scale, scales[0].key, "a file")
        for scene, pairs in scale.extremes.items():
            if scene in extremes and not np.array_equal(extremes[scene], pairs):
                raise ParameterError(
                    f"The scene {scene.split('|')[0]} is in SCALE_IN already, with other samples. Use the same SAMPLES "
                    "and SAMPLE_SIZE, or leave that file out."
                )
            extremes[scene] = pairs
    return CommonScale(scales[0].key, {scene: extremes[scene] for scene in sorted(extremes)})


def per_sample(mean: np.ndarray, minimum: np.ndarray, maximum: np.ndarray) -> np.ndarray:
    """Return the mean of each sample on a scale of its own, from its minimum to its maximum: the baseline."""
    width = maximum - minimum
    return np.divide(mean - minimum, width, out=np.full(len(mean), np.nan), where=width > 0)
