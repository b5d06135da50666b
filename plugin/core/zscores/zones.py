"""Scores by zone: where on the map the network leans on which sensor.

A zone keeps its own information; the scores it allows depend on how many pixels it has: of
components from 10 (m + 1) pixels on, of sensors from 10 (s + 1), none below. A zone of few radiometer cells
has scores of sensors only, however many pixels it has: its channels then repeat each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ...ground.window import Window
from .scores import ZScores, compute_scores, summed_strengths
from .skill import SkillAccumulator, zone_columns
from .sums.dense_sums import DenseAccumulator
from .sums.information import Information, OutputLayer, SceneAccumulator, checked_components

PIXELS_A_WEIGHT = 10


@dataclass(frozen=True, eq=False)
class ZoneScores:
    r"""What is known of one zone.

    Parameters
    ----------
    zone : int
        Its number.
    n : int
        Number of pixels.
    level : str
        ``components``, ``sensors`` or ``none``: the finest scores that n allows.
    prevailing_class : str
        The class with the largest mean prediction.
    several_classes : bool
        Whether the head has more than one: of a single one it says nothing that it prevails.
    mean_logit, mean_prediction : float
        Of the prevailing class.
    strength : dict of str to float or None
        By sensor: z of its summed contribution (always positive, see
        :func:`floelens.plugin.core.zscores.scores.summed_strengths`).
    contribution : dict of str to float
        By sensor: mean over the pixels of its part of the prevailing class's logit (softmax: centred
        over the classes).
    information : dict of str to float or None
        By sensor: the divergence sqrt(2 sum KL(p || p without the sensor)), which grows with the pixels.
    leading_sensor, leading_component : str
        With the largest strength, and with the largest \|z\|; empty where n does not allow them.
    leading_z : float or None
        z of the leading component (of the class where it is largest).
    scores : ZScores or None
        Of the components, where n allows them.
    note : str
        Why something is blank.
    against_labels : dict
        ``n_labelled``, and ``mean_mapped, mean_labelled`` or ``agreement`` over the labelled pixels, see
        :func:`.zone_columns`; empty where the run has no labels.
    """

    zone: int
    n: int
    level: str
    prevailing_class: str
    several_classes: bool
    mean_logit: float
    mean_prediction: float
    strength: dict
    contribution: dict
    information: dict
    leading_sensor: str
    leading_component: str
    leading_z: float | None
    scores: ZScores | None
    note: str
    against_labels: dict = field(default_factory=dict)

    def row(self) -> dict:
        """Return the zone as one flat row; the columns by sensor end in its name."""
        row = {
            "zone": self.zone,
            "n": self.n,
            **({"class": self.prevailing_class} if self.several_classes else {}),
            "mean_logit": self.mean_logit,
            "mean_prediction": self.mean_prediction,
            "leading_sensor": self.leading_sensor or None,
            "leading_component": self.leading_component or None,
            "leading_z": self.leading_z,
        }
        for name in ("strength", "contribution", "information"):
            row.update({f"{name}_{sensor}": value for sensor, value in getattr(self, name).items()})
        groups = self.scores.groups if self.scores is not None else ()
        mean_z = {group["group"]: group["mean_abs_z"] for group in groups if group["kind"] == "sensor"}
        row.update({f"mean_abs_z_{sensor}": mean_z.get(sensor) for sensor in self.strength})
        row["note"] = self.note
        return {**row, **self.against_labels}


class ZoneAccumulator:
    """Collects the information of every zone of a scene.

    Parameters
    ----------
    layer : OutputLayer
        The regression whose Z-scores are wanted.
    labelled : bool
        Whether the map is compared with labels in each zone.
    """

    def __init__(self, layer: OutputLayer, labelled: bool = False) -> None:
        self._layer, self._labelled = layer, labelled
        self._zones: dict[int, SceneAccumulator] = {}
        self._skill: dict[int, SkillAccumulator] = {}

    def add(self, components: np.ndarray, zones: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Take a batch of pixels.

        Parameters
        ----------
        components : numpy.ndarray
            (pixel, component).
        zones : numpy.ndarray
            (pixel,): number of the zone, negative outside of all zones.
        labels : numpy.ndarray, optional
            (pixel,): as of :meth:`.SkillAccumulator.add`.

        Raises
        ------
        NumericalError
            If a component is not finite.
        """
        components = checked_components(self._layer, components)
        zones = np.asarray(zones)
        for zone in np.unique(zones[zones >= 0]).tolist():
            accumulator = self._zones.setdefault(zone, SceneAccumulator(self._layer))
            here = zones == zone
            accumulator.add(components[here])
            if self._labelled and labels is not None:
                skill = self._skill.setdefault(zone, SkillAccumulator(self._layer))
                skill.add(components[here], labels[here])

    def close(self) -> dict[int, ZoneScores]:
        """Return the scores by the number of the zone, in its order; zones without pixels are absent."""
        by_zone = {zone: zone_scores(zone, self._zones[zone].close()) for zone in sorted(self._zones)}
        if not self._labelled:
            return by_zone
        skill = {zone: self._skill[zone].close() if zone in self._skill else None for zone in by_zone}
        return {
            zone: replace(scores, against_labels=zone_columns(self._layer.kind, skill[zone]))
            for zone, scores in by_zone.items()
        }


class DenseZones:
    """Collects the information of every zone of a scene, and of the pixels outside of all, in one go.

    Parameters
    ----------
    layer : OutputLayer
        The regression whose Z-scores are wanted.
    region : Window
        As for :class:`.DenseAccumulator`.
    """

    def __init__(self, layer: OutputLayer, region: Window) -> None:
        self._layer, self._region = layer, region
        self._zones: dict[int, DenseAccumulator] = {}

    def add(
        self, components: np.ndarray, rows: np.ndarray, cols: np.ndarray, zones: np.ndarray | None = None
    ) -> None:
        """Take a batch of unlabelled pixels: as :meth:`.DenseAccumulator.add`, and as of :meth:`ZoneAccumulator.add`.

        Without `zones` all pixels are outside.
        """
        if zones is None:
            self._of(-1).add(components, rows, cols)
            return
        zones = np.maximum(zones, -1)
        present = np.unique(zones)
        for zone in present.tolist():
            here = slice(None) if len(present) == 1 else zones == zone
            self._of(zone).add(components[here], rows[here], cols[here])

    def whole(self) -> Information:
        """Return the information of all pixels."""
        whole = Information.empty(self._layer)
        for zone in sorted(self._zones):
            whole = whole.merge(self._zones[zone].close())
        return whole

    def close(self) -> dict[int, ZoneScores]:
        """Return the scores by the number of the zone, as :meth:`ZoneAccumulator.close`."""
        return {
            zone: zone_scores(zone, self._zones[zone].close()) for zone in sorted(self._zones) if zone >= 0
        }

    def _of(self, zone: int) -> DenseAccumulator:
        return self._zones.setdefault(zone, DenseAccumulator(self._layer, self._region))


def zone_scores(zone: int, information: Information) -> ZoneScores:
    """Return the scores that the pixels of a zone allow."""
    layer, total, n = information.layer, information.total, information.n
    m = len(layer.components)
    sensors = [(at, group) for at, group in enumerate(layer.groups()) if group.kind == "sensor"]
    names = [group.name for _, group in sensors]
    k = int(np.argmax(total.means))
    weights = layer.weights - layer.weights.mean(axis=0) if layer.kind == "softmax" else layer.weights
    contribution = {
        group.name: float((weights[k, list(group.members)] * total.inputs[list(group.members)]).sum()) / n
        for _, group in sensors
    }
    information_share = {
        group.name: None if layer.kind == "linear" else float(np.sqrt(2.0 * total.divergence[m + at]))
        for at, group in sensors
    }
    strength: dict[str, float | None] = dict.fromkeys(names)
    scores, level, notes = None, "none", []
    if n >= PIXELS_A_WEIGHT * (len(sensors) + 1):
        level = "sensors"
        if layer.kind != "linear":  # a linear head has no errors without labels
            values = summed_strengths(layer, total, [group.members for _, group in sensors])
            strength = {name: float(v) if np.isfinite(v) else None for name, v in zip(names, values)}
    else:
        notes.append(f"{n} pixels: too few for any score ({PIXELS_A_WEIGHT * (len(sensors) + 1)} needed)")
    if n >= PIXELS_A_WEIGHT * (m + 1):
        level = "components"
        scores = compute_scores(information)
        repeated = _repeated_channels(scores)
        if repeated:
            scores, level = None, "sensors"
            notes.append(
                f"too few radiometer cells for scores of components: {repeated} channels repeat others here"
            )
    elif level == "sensors":
        notes.append(f"{n} pixels: too few for scores of components ({PIXELS_A_WEIGHT * (m + 1)} needed)")
    rated = [(name, value) for name, value in strength.items() if value is not None]
    if level != "none" and not rated:
        linear = layer.kind == "linear"
        notes.append("linear head: no errors without labels" if linear else "predictions are saturated")
    rows = [row for row in scores.rows if row["z"] is not None] if scores is not None else []
    leading = max(rows, key=lambda row: abs(row["z"])) if rows else None
    if leading is not None and leading["note"].startswith("carries"):
        notes.append(f"{leading['component']} {leading['note'].partition(';')[0]}")
    return ZoneScores(
        zone=zone,
        n=n,
        level=level,
        prevailing_class=layer.classes[k],
        several_classes=layer.outputs > 1,
        mean_logit=float(total.logits[k]) / n,
        mean_prediction=float(total.means[k]) / n,
        strength=strength,
        contribution=contribution,
        information=information_share,
        leading_sensor=max(rated, key=lambda pair: pair[1])[0] if rated else "",
        leading_component=leading["component"] if leading else "",
        leading_z=leading["z"] if leading else None,
        scores=scores,
        note="; ".join(notes),
    )


def _repeated_channels(scores: ZScores) -> int:
    """Return how many components that are input channels follow from the others on the pixels of a zone.

    Channels of c cells have at most c - 1 directions in which they vary.
    """
    return len(
        {
            row["component"]
            for row in scores.rows
            if row["channel"] and row["note"].startswith(("collinear", "not estimable"))
        }
    )
