"""What a stamp is: which values of which channels it changes, by how much.

Jung and Kwon 2020 (IEEE Access, doi 10.1109/ACCESS.2020.3040349) put a small simple image, the *stamp*, into images; a
perfect map of relevance is the stamp itself. Their stamp, data and network are not published in detail; these are ours,
of sea ice: a bright point target, a dark lead, an offset of one radiometer channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....ground.errors import ParameterError
from ....ground.vocabulary.settings import Setting
from ....ground.vocabulary.stamps import (
    BRIGHT_POINT,
    CENTRE,
    CONTRAST,
    DARK_LEAD,
    MWR_OFFSET,
    OFFSET_KELVIN,
    POSITIONS,
    STAMP_SIZE,
    STAMPED_CHANNELS,
    STAMPS,
)
from ....ground.vocabulary.words import check_word, default_word
from ....networks.card import Channel, ModelCard

LEAD_LENGTH = 16  # pixels, at most


@dataclass(frozen=True)
class StampSettings:
    """Size, contrast and position of stamps.

    Parameters
    ----------
    size : int
        Side of a point and width of a lead, in pixels; side of a radiometer stamp, in cells.
    contrast : float
        dB that a point is brighter and a lead darker.
    offset : float
        K that a radiometer stamp adds.
    channels : tuple of str
        Names of the channels that stamps are put into; empty: the usual one of each stamp.
    position : str
        A word of :data:`floelens.plugin.ground.vocabulary.stamps.POSITIONS`.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    size: int = STAMP_SIZE.default
    contrast: float = CONTRAST.default
    offset: float = OFFSET_KELVIN.default
    channels: tuple[str, ...] = ()
    position: str = default_word(POSITIONS)

    def __post_init__(self) -> None:
        check_word("POSITION", self.position, POSITIONS)
        for name, value, row in (
            ("STAMP_SIZE", self.size, STAMP_SIZE),
            ("CONTRAST", self.contrast, CONTRAST),
            ("MWR_OFFSET", self.offset, OFFSET_KELVIN),
        ):
            _check_bounds(name, value, row)
        if self.offset == 0:
            raise ParameterError("MWR_OFFSET is 0 K, which changes nothing. Give another number.")


@dataclass(frozen=True)
class Stamp:
    """One kind of stamp for the channels of a network.

    Parameters
    ----------
    word : str
        Of :data:`floelens.plugin.ground.vocabulary.stamps.STAMPS`.
    channels : tuple of int
        Positions of the stamped channels among the fine ones, or among the coarse ones for a radiometer stamp.
    names : tuple of str
        Their names.
    number : int
        How many channels there are on that grid.
    size : int
        Side or width.
    change : float
        What is added, in dB or K.
    sd : numpy.ndarray
        (channel,): standard deviation by which the network standardises each channel of that grid.
    """

    word: str
    channels: tuple[int, ...]
    names: tuple[str, ...]
    number: int
    size: int
    change: float
    sd: tuple[float, ...]

    @classmethod
    def of(cls, word: str, card: ModelCard, settings: StampSettings) -> Stamp:
        """Return the stamp for the network of a card.

        Raises
        ------
        ParameterError
            If there is no such stamp, or the network does not read the channels.
        """
        check_word("STAMPS", word, STAMPS)
        sensor = "mwr" if word == MWR_OFFSET else "sar"
        every = card.coarse_channels if word == MWR_OFFSET else card.fine_channels
        chosen = _chosen(word, sensor, every, card, settings)
        change = {BRIGHT_POINT: settings.contrast, DARK_LEAD: -settings.contrast, MWR_OFFSET: settings.offset}
        return cls(
            word,
            tuple(every.index(channel) for channel in chosen),
            tuple(channel.name for channel in chosen),
            len(every),
            settings.size,
            change[word],
            tuple(float(channel.sd) for channel in every),
        )

    @property
    def coarse(self) -> bool:
        """Whether it lies on radiometer cells."""
        return self.word == MWR_OFFSET

    def shape(self, upright: bool) -> tuple[int, int]:
        """Return its rows and columns; `upright`: a lead that runs down the columns."""
        if self.word != DARK_LEAD:
            return self.size, self.size
        length = max(LEAD_LENGTH, self.size)
        return (length, self.size) if upright else (self.size, length)

    def drawn(self, shape: tuple[int, int], position: str, draw: np.random.Generator) -> np.ndarray:
        """Return where it lies in an image of `shape` (row, column), bool; larger ones are cut at the edge."""
        rows, cols = self.shape(bool(draw.integers(2)))
        rows, cols = min(rows, shape[0]), min(cols, shape[1])
        top, left = (shape[0] - rows) // 2, (shape[1] - cols) // 2
        if position != CENTRE:
            top, left = int(draw.integers(shape[0] - rows + 1)), int(draw.integers(shape[1] - cols + 1))
        place = np.zeros(shape, dtype=bool)
        place[top : top + rows, left : left + cols] = True
        return place

    def truth(self, place: np.ndarray) -> np.ndarray:
        """Return which values it changes: (…, channel, row, column) bool of `place` (…, row, column)."""
        truth = np.zeros((*place.shape[:-2], self.number, *place.shape[-2:]), dtype=bool)
        for channel in self.channels:
            truth[..., channel, :, :] = place
        return truth

    def physical(self, place: np.ndarray) -> np.ndarray:
        """Return what it adds to values (channel, row, column), in dB or K."""
        return np.where(self.truth(place), self.change, 0.0)

    def standardised(self, place: np.ndarray) -> np.ndarray:
        """Return what it adds to standardised values (…, channel, row, column)."""
        return self.physical(place) / np.array(self.sd)[:, None, None]


def _chosen(
    word: str, sensor: str, every: Sequence[Channel], card: ModelCard, settings: StampSettings
) -> list[Channel]:
    """Return the channels that a stamp is put into."""
    own = [channel for channel in every if channel.sensor == sensor]
    names = [channel.name for channel in own]
    if not own:
        raise ParameterError(
            f"STAMPS={word} needs {'radiometer' if sensor == 'mwr' else 'SAR'} channels, but model '{card.id}' reads "
            "none. Leave this stamp out."
        )
    known = [channel.name for channel in (*card.fine_channels, *card.coarse_channels)]
    for name in settings.channels:
        if name not in known:
            raise ParameterError(
                f"STAMP_CHANNELS names '{name}', which model '{card.id}' does not read. Choose of: {', '.join(known)}."
            )
    wanted = [name for name in settings.channels if name in names]
    if not wanted:
        wanted = [name for name in STAMPED_CHANNELS[word] if name in names][:1] or names[:1]
    return [channel for channel in own if channel.name in wanted]


def _check_bounds(name: str, value: float, row: Setting) -> None:
    if not row.least <= value <= row.most:
        raise ParameterError(f"{name} is {value:g}: give a number from {row.least:g} to {row.most:g}.")
