"""What is said of a place: plain values, so that a window, a table and a test read the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.window import Window


@dataclass(frozen=True)
class Position:
    """Where a place lies.

    Parameters
    ----------
    lon, lat : float
        Its middle, degrees (WGS 84).
    row, col : float
        The same on the scene's grid, pixels.
    pixels : int
        How many of its pixels are valid.
    window : Window
        The pixels around it.
    pixel_m, cell_m : float
        Sizes of a pixel and of a cell of the radiometry on the network's grid, in metres.
    """

    lon: float
    lat: float
    row: float
    col: float
    pixels: int
    window: Window
    pixel_m: float
    cell_m: float


@dataclass(frozen=True)
class Shown:
    """What the map shows on a place, or would show.

    Parameters
    ----------
    name : str
        The class with the largest mean probability; of a head with one class its name.
    value : float
        Mean probability of that class, 0 to 1; of a head in a unit the mean of the map, in that unit.
    unit : str
        Of `value`: empty for a probability.
    """

    name: str
    value: float
    unit: str

    def text(self) -> str:
        """Return it in words: ``young ice (probability 0.83)``, ``ice 87 %``."""
        if self.unit:
            return f"{self.name} {self.value:.0f} {self.unit}"
        return f"{self.name} (probability {self.value:.2f})"


@dataclass(frozen=True)
class Evidence:
    """What channels contribute to a logit, on average over the pixels of a place.

    Parameters
    ----------
    target : str
        Which logit: ``young ice``, or ``young ice rather than open water``.
    logit : float
        The logit.
    bias : float
        What the network gives with all channels at their mean.
    channels : mapping
        Name of a channel → its contribution, in units of the logit. With `bias` they add up to `logit`.
    missing : float
        What they lack of it: the error of integrated gradients with finitely many steps.
    scales : mapping
        The contributions by scale, the smallest first: of SAR by distance from the place, of radiometry by footprint.
    """

    target: str
    logit: float
    bias: float
    channels: dict[str, float]
    missing: float
    scales: dict[str, float]

    def grouped(self, groups: dict[str, tuple[str, ...]]) -> dict[str, float]:
        """Return contributions added up by group, the largest in size first."""
        sums = {name: sum(self.channels[channel] for channel in members) for name, members in groups.items()}
        return dict(sorted(sums.items(), key=lambda item: -abs(item[1])))


@dataclass(frozen=True)
class Footprint:
    """One measurement of a radiometer around the middle of a place.

    Parameters
    ----------
    frequency_ghz : float
        Of its channels.
    width_km, length_km : float
        Its shorter and longer axis.
    near_land : bool
        Whether land is nearer than its longer axis.
    """

    frequency_ghz: float
    width_km: float
    length_km: float
    near_land: bool = False


@dataclass(frozen=True)
class SimilarPlace:
    """A place that the network sees much like another one.

    Parameters
    ----------
    lon, lat : float
        Its middle, degrees (WGS 84).
    distance : float
        Root mean square difference of the last layer's components, in their standard deviations over the scene.
    mapped : Shown
        What the map shows there.
    km : float
        How far it is from the other one.
    """

    lon: float
    lat: float
    distance: float
    mapped: Shown
    km: float


@dataclass(frozen=True)
class PlaceAnswer:
    """Why the network maps what it maps on a place.

    Parameters
    ----------
    position : Position
        Where.
    mapped : Shown
        What the map shows.
    second : Shown or None
        The class with the next largest mean probability; None for a head of one class.
    charted : Shown or None
        What the chart shows on most of the pixels; None without one.
    evidence : Evidence
        What speaks for the mapped class and what against.
    contrast : Evidence or None
        The same for the mapped class rather than the second one.
    without : mapping
        Name of a sensor → what the map would show with its channels at their mean.
    groups : mapping
        Kind of group (channel, sensor, frequency, polarisation) → name → its channels.
    footprints : tuple of Footprint
        Of the radiometer, the smallest first.
    warnings : tuple of str
        What makes the answer doubtful: land within a footprint, missing pixels, relevance that does not add up, and
        what is unusual about the scene.
    relevance : numpy.ndarray
        (fine channel, row, column), float32: relevance of the pixels of `around` for the sum of the logits of the
        place; NaN where not valid.
    around : Window
        Where `relevance` lies on the scene's grid: the place and a receptive field around it.
    """

    position: Position
    mapped: Shown
    second: Shown | None
    charted: Shown | None
    evidence: Evidence
    contrast: Evidence | None
    without: dict[str, Shown]
    groups: dict[str, dict[str, tuple[str, ...]]]
    footprints: tuple[Footprint, ...]
    warnings: tuple[str, ...]
    relevance: np.ndarray
    around: Window
