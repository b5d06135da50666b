"""What a report of relevance holds: the sums of each channel, what was asked, where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...ground.vocabulary.relevance_methods import METHODS
from ..page.map_picture import MapPicture
from ..page.model_facts import ModelFacts
from .conservation import Conservation

# How a report calls the target where each pixel has its own class.
PREDICTED_CLASS = "the predicted class"
BALANCED = 0.05  # net below this share of a channel's absolute relevance speaks neither way


@dataclass(frozen=True)
class ChannelRelevance:
    """Relevance of one input channel, summed over the scene.

    Parameters
    ----------
    name, sensor : str
        As in the model card.
    unit : str
        Of the sums: of the logit, or of slopes.
    positive, negative : float
        Sums of the relevance that speaks for (>= 0) and against (<= 0) the target.
    frequency_ghz : float or None
        Of a radiometer channel.
    polarisation : str
        Of a radiometer channel.
    footprint_km : tuple of float or None
        Size of its footprint on the ground, km.
    """

    name: str
    sensor: str
    unit: str
    positive: float
    negative: float
    frequency_ghz: float | None = None
    polarisation: str = ""
    footprint_km: tuple[float, float] | None = None

    @property
    def net(self) -> float:
        """What is left of for and against."""
        return self.positive + self.negative

    @property
    def absolute(self) -> float:
        """Sum of the absolute relevance."""
        return self.positive - self.negative

    @property
    def speaks(self) -> str:
        """``for``, ``against`` or ``both ways``."""
        if abs(self.net) <= BALANCED * self.absolute:
            return "both ways"
        return "for" if self.net > 0 else "against"


@dataclass(frozen=True)
class RelevanceReport:
    """All that the report says.

    Parameters
    ----------
    model : ModelFacts
        The network.
    scene : str
        Name of the scene.
    head, target_class : str
        What was explained.
    region : str
        Where, in words: "all valid pixels", "2 polygons", "the point at 69.5 N, 39 W".
    pixels : int
        Number of pixels explained.
    method : str
        The method's word.
    channels : tuple of ChannelRelevance
        In the card's order.
    conservation : Conservation
        Where the target went.
    reference_class : str
        The class that the target was compared with; empty: none.
    settings : mapping
        Settings of the method: baseline, steps, epsilon.
    baseline : str
        What a relevance of zero means, in words; empty for methods that have none.
    uncertainty : str
        What the standard deviation was taken over, in words; empty: there is none.
    several_classes : bool
        Whether the head has a logit for each of several classes (softmax).
    component : str
        The component of the last layer through which the logit is explained; empty: all of it.
    component_weight : float or None
        Its weight for the target.
    faithfulness : mapping or None
        Deletion and insertion curves, as :mod:`.faithfulness` takes them; None: not asked for.
    benchmark : str
        What benchmarks with known truth say of the method, from the model's card; empty where it has none.
    picture : MapPicture or None
        Scene, network's map and relevance side by side.
    provenance : mapping
        Where it came from.
    warnings : tuple of str
        Of the scene and the run.
    """

    model: ModelFacts
    scene: str
    head: str
    target_class: str
    region: str
    pixels: int
    method: str
    channels: tuple[ChannelRelevance, ...]
    conservation: Conservation
    reference_class: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    baseline: str = "every channel at its training mean"
    uncertainty: str = ""
    several_classes: bool = False
    component: str = ""
    component_weight: float | None = None
    faithfulness: Mapping[str, Any] | None = None
    benchmark: str = ""
    picture: MapPicture | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The target in words."""
        against = f" rather than '{self.reference_class}'" if self.reference_class else ""
        against += f" through component {self.component}" if self.component else ""
        if self.target_class == PREDICTED_CLASS:
            return self.target_class + against
        return f"'{self.target_class}'{against}"

    @property
    def slopes(self) -> bool:
        """Whether the numbers are slopes, not shares of the logit or changes of it."""
        return not METHODS[self.method].times_input

    @property
    def method_from_baseline(self) -> bool:
        """Whether the method measures from a baseline."""
        return METHODS[self.method].from_baseline

    @property
    def unit(self) -> str:
        """Short unit of the numbers."""
        return "logit per sd" if self.slopes else "logit"

    @property
    def total(self) -> float:
        """Sum of the absolute relevance of all channels."""
        return sum(channel.absolute for channel in self.channels)

    def rows(self) -> list[dict]:
        """Return the channels as rows of the table."""
        return [
            {
                "channel": channel.name,
                "sensor": channel.sensor,
                "unit": channel.unit,
                "frequency_ghz": channel.frequency_ghz,
                "polarisation": channel.polarisation,
                "footprint_km": footprint_text(channel.footprint_km),
                "positive": channel.positive,
                "negative": channel.negative,
                "net": channel.net,
                "absolute": channel.absolute,
                "share": channel.absolute / self.total if self.total else None,
                "speaks": channel.speaks,
                "net_per_pixel": self._per_pixel(channel.net),
            }
            for channel in self.channels
        ]

    def _per_pixel(self, amount: float) -> float | None:
        """Return a sum for each pixel explained: what a channel adds to the logit of one, on average."""
        return amount / self.pixels if self.pixels else None

    def sensor_rows(self) -> list[dict]:
        """Return the same by sensor."""
        rows = []
        for sensor in dict.fromkeys(channel.sensor for channel in self.channels):
            members = [channel for channel in self.channels if channel.sensor == sensor]
            absolute = sum(channel.absolute for channel in members)
            rows.append(
                {
                    "sensor": sensor,
                    "channels": len(members),
                    "net": sum(channel.net for channel in members),
                    "absolute": absolute,
                    "share": absolute / self.total if self.total else None,
                    "net_per_pixel": self._per_pixel(sum(channel.net for channel in members)),
                }
            )
        return rows


def footprint_text(footprint_km: tuple[float, float] | None) -> str:
    """Return a footprint as ``35 x 62 km``; empty for none."""
    return "" if footprint_km is None else f"{footprint_km[0]:g} x {footprint_km[1]:g} km"
