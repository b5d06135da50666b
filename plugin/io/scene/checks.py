"""What the values of a scene's rasters are checked for, gathered for logs, reports and tags.

Before the run: units, variance, channels that hold the same values, and how far the scene lies from what the network
was trained on. While it runs: values that no measurement can have. At its end: whether they were too many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ...networks.card import Channel, ModelCard
from ..files.raster import Raster
from .band_order import likelier_order, order_refusal
from .familiarity import (
    Disordered,
    Unfamiliar,
    disordered_pairs,
    halved_error,
    order_error,
    order_warning,
    unfamiliar_channels,
    unfamiliar_warning,
)
from .intake import ACCEPTED, LEAST_VALUES, intake_notes, judged, judged_angles
from .measured import WARNED_SHARE, MeasuredRaster, RangeCount, probe
from .radar_quantities import angle_band, other_quantity


@dataclass
class SceneChecks:
    """The checks of one scene.

    Parameters
    ----------
    card : ModelCard
        What the network takes.
    accept : bool
        Whether values that fit no unit, or that are impossible too often, are taken all the same.

    Attributes
    ----------
    notes, warnings : list of str
        What was converted or assumed; what a person should look at.
    unfamiliar : tuple of Unfamiliar
        Channels that are distributed otherwise than in training.
    disordered : tuple of Disordered
        Pairs of polarisations whose means are in an order that sea and ice do not have.
    bands : list of str
        What is to be said of how bands were found, for tags.
    remarks : dict of str to str
        Further tags of results.
    """

    card: ModelCard
    accept: bool = False
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unfamiliar: tuple[Unfamiliar, ...] = ()
    disordered: tuple[Disordered, ...] = ()
    bands: list[str] = field(default_factory=list)
    remarks: dict[str, str] = field(default_factory=dict)
    _units: list[str] = field(default_factory=list)
    _rasters: list[MeasuredRaster] = field(default_factory=list)
    _samples: dict[str, np.ndarray] = field(default_factory=dict)
    _assumed: set[str] = field(default_factory=set)

    def measure(
        self,
        raster: Raster,
        bands: Sequence[tuple[Channel, int]],
        region: Window,
        values: np.ndarray | None = None,
    ) -> MeasuredRaster:
        """Return a raster that gives the values of channels, after its units are judged.

        Parameters
        ----------
        raster : Raster
            Where the bands are.
        bands : sequence of (Channel, int)
            The channels, and the number of the band of each.
        region : Window
            The raster's pixels that matter.
        values : numpy.ndarray, optional
            (band, row, column) over `region` where it has been read; else a few windows of it are.

        Raises
        ------
        SceneError
            Units do not fit, a band has no variance, two hold the same, or far too many values are impossible.
        """
        numbers = [number for _, number in bands]
        other = any(other_quantity(channel, raster, number) for channel, number in bands)
        angle = angle_band(raster) if other else None
        angles = [] if angle is None else [angle]
        if values is None:
            sample, whole = probe(raster, numbers + angles, region)
        else:
            sample, whole = values.reshape(len(values), -1), True
            if angles:
                sample = np.concatenate([sample, raster.read(angles, region).reshape(1, -1)])
        intakes = {
            number: judged(channel, raster, number, given, self.accept)
            for (channel, number), given in zip(bands, sample)
        }
        for sentence, for_tags, warned in intake_notes(raster.path, intakes):
            (self.warnings if warned else self.notes).append(sentence)
            self._units.append(for_tags)
        by_angle = None if angle is None else (angle, judged_angles(raster, angle, sample[-1], self.accept))
        measured = MeasuredRaster(raster, intakes, region, self.accept, by_angle)
        converted = sample[: len(numbers)].astype(np.float32)
        measured.foresee(converted, numbers, whole, None if angle is None else sample[-1].astype(np.float32))
        self._check_different(raster, bands, converted, intakes)
        for (channel, _), given in zip(bands, converted):
            self._samples[channel.name] = given
        self._assumed.update(intake.channel.name for intake in intakes.values() if intake.assumed)
        self._rasters.append(measured)
        return measured

    def _check_different(self, raster: Raster, bands, values: np.ndarray, intakes) -> None:
        """Refuse two measured channels that hold the same values."""
        seen: dict[bytes, str] = {}
        for (channel, number), given in zip(bands, values):
            known = intakes[number].range
            if self.accept or known is None or not known.measured or np.isfinite(given).sum() < LEAST_VALUES:
                continue
            other = seen.setdefault(given.tobytes(), channel.name)
            if other != channel.name:
                raise SceneError(
                    f"{other} and {channel.name} hold the same values in {raster.path}. Two channels of a sensor "
                    "always differ: give the band of each."
                )

    def compare(self, nameless: Mapping[str, str] | None = None) -> None:
        """Compare the channels' distributions with those in training, and with each other; then forget the samples.

        Parameters
        ----------
        nameless : mapping, optional
            The channels whose bands have no names, and the raster of each: their order is judged by their values.

        Raises
        ------
        SceneError
            The values are not those of the channels in this order.
        """
        self.unfamiliar = unfamiliar_channels(self.card, self._samples)
        if self.unfamiliar:
            self.warnings.append(unfamiliar_warning(self.card, self.unfamiliar))
        self.disordered, impossible = disordered_pairs(self.card, self._samples)
        sentence = self._wrong_order(nameless or {}) or (order_error(self.disordered) if impossible else "")
        if not sentence and not self.disordered:
            sentence = halved_error(self.card, self._samples, self._assumed)
        if sentence and not self.accept:
            raise SceneError(sentence)
        if sentence or self.disordered:
            self.warnings.append(f"{sentence} {ACCEPTED}" if sentence else order_warning(self.disordered))
        self._samples.clear()

    def _wrong_order(self, nameless: Mapping[str, str]) -> str:
        """Return the sentence of radiometer bands without names that are not in the model's order; else empty."""
        channels = [each for each in self.card.channels if each.name in nameless and each.sensor == "mwr"]
        samples = {name: values for name, values in self._samples.items() if name in nameless}
        likelier = likelier_order(channels, samples)
        return "" if likelier is None else order_refusal(nameless[channels[0].name], channels, likelier)

    @property
    def out_of_range(self) -> dict[str, RangeCount]:
        """The channels of which some of the values read so far were impossible."""
        counts: dict[str, RangeCount] = {}
        for raster in self._rasters:
            counts.update(raster.out_of_range())
        return counts

    def conclude(self) -> tuple[list[str], list[str]]:
        """Return notes and warnings of the impossible values among all that were read.

        Raises
        ------
        SceneError
            They are too many.
        """
        for raster in self._rasters:
            raster.check()
        notes: list[str] = []
        warnings: list[str] = []
        for raster in self._rasters:
            few: list[str] = []
            many: list[str] = []
            for name, count in raster.out_of_range().items():
                (many if count.share > WARNED_SHARE else few).append(f"{name} {count.text}")
            for channels, texts in ((few, notes), (many, warnings)):
                if channels:
                    more = f"; and {len(channels) - 4} more channels" if len(channels) > 4 else ""
                    texts.append(
                        f"{raster.path}: values outside of the physical range were treated as missing: "
                        f"{'; '.join(channels[:4])}{more}."
                    )
        return notes, warnings

    def tags(self) -> dict[str, str]:
        """Return what the tags of results say of the checks so far; nothing where there is nothing to say."""
        tags = {}
        if self._units:
            tags["FLOELENS_UNITS"] = "; ".join(self._units)
        if self.bands:
            tags["FLOELENS_BANDS"] = "; ".join(self.bands)
        odd = [*(channel.text for channel in self.unfamiliar), *(pair.text for pair in self.disordered)]
        if odd:
            tags["FLOELENS_UNFAMILIAR"] = "; ".join(odd)
        if self.out_of_range:
            counted = (f"{name} {count.text}" for name, count in self.out_of_range.items())
            tags["FLOELENS_OUT_OF_RANGE"] = "; ".join(counted)
        if self.accept:
            tags["FLOELENS_ACCEPT_RANGE"] = "yes"
        return {**tags, **self.remarks}
