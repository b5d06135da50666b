"""Channels that follow from a scene's place and date: month, latitude and longitude.

No raster has to hold them; where one does, its band is read. The month is the number of the calendar, 1 to 12, in UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ...networks.card import Channel, ModelCard
from ..geometry.grid import Grid
from .acquisition import acquisition
from .raster_roles import RasterRole

MONTH, LATITUDE, LONGITUDE = "month", "latitude", "longitude"
_STEP = 16  # pixels between exact places; between them a chord on the sphere is as good to a metre
_DEGREES = ("degree", "degrees", "deg", "°")


def can_be_made(channel: Channel) -> bool:
    """Return whether a channel follows from a scene's place or date, on its pixels and in the unit it is made in."""
    if channel.grid != "fine":
        return False
    return channel.name == MONTH or (channel.name in (LATITUDE, LONGITUDE) and channel.unit in _DEGREES)


def channels_to_make(card: ModelCard, found: Collection[str]) -> list[Channel]:
    """Return the channels of a card that are made, since no raster holds a band of theirs."""
    return [channel for channel in card.channels if channel.name not in found and can_be_made(channel)]


@dataclass(frozen=True)
class MadeChannels:
    """Channels made on the pixels of a grid.

    Parameters
    ----------
    names : tuple of str
        Which ones, in order; bands are counted from 0.
    grid : Grid
        Of the scene.
    month : int
        Of the acquisition, 1 to 12; 0 where no channel needs it.
    note : str
        What was made, as a sentence.
    """

    names: tuple[str, ...]
    grid: Grid
    month: int = 0
    note: str = ""

    @classmethod
    def of(cls, channels: Sequence[Channel], roles: Sequence[RasterRole], grid: Grid) -> MadeChannels:
        """Return the channels of a scene.

        Raises
        ------
        SceneError
            The month is needed, and neither tags nor names of the rasters say the date.
        """
        names = tuple(channel.name for channel in channels)
        sources, month = [], 0
        if MONTH in names:
            month, day = _month(roles)
            sources.append(f"month from the date of the scene ({day})")
        places = [name for name in names if name != MONTH]
        if places:
            sources.append(f"{' and '.join(places)} from the grid of SAR")
        return cls(
            names, grid, month, f"No raster holds these channels, they are made: {', '.join(sources)}."
        )

    def read(self, bands: Sequence[int], window: Window) -> np.ndarray:
        """Return channels at the centres of the pixels of `window`: (band, row, column), float32.

        The month, and degrees north and east of WGS 84, -180 to 180; NaN where the grid lies outside of its map.
        """
        out = np.full((len(bands), window.rows, window.cols), np.float32(self.month), dtype=np.float32)
        wanted = {self.names[band]: place for place, band in enumerate(bands)}
        if window.empty or not wanted.keys() - {MONTH}:
            return out
        x, y, z = self._directions(window)
        if LATITUDE in wanted:
            out[wanted[LATITUDE]] = np.degrees(np.arctan2(z, np.hypot(x, y)))
        if LONGITUDE in wanted:
            out[wanted[LONGITUDE]] = np.degrees(np.arctan2(y, x))
        return out

    def _directions(self, window: Window) -> np.ndarray:
        """Return vectors (3, row, column) whose angles are latitude and longitude: smooth at poles and date line."""
        rows, row_before, row_share = _nodes(window.row, window.rows, self.grid.rows)
        cols, col_before, col_share = _nodes(window.col, window.cols, self.grid.cols)
        lon, lat = np.radians(self.grid.pixel_to_lonlat(*np.meshgrid(rows, cols, indexing="ij")))
        at = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        at = at[:, row_before] * (1 - row_share)[:, None] + at[:, row_before + 1] * row_share[:, None]
        return at[:, :, col_before] * (1 - col_share) + at[:, :, col_before + 1] * col_share


def _nodes(start: int, size: int, whole: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places of exact values along an axis, and for each pixel the one before it and its share of the next.

    They do not depend on where the window begins, so that tiles give what the whole gives.
    """
    first = start // _STEP
    numbers = np.arange(first, (start + size - 1) // _STEP + 2)
    nodes = np.minimum(numbers * _STEP, whole - 1)
    at = np.arange(start, start + size)
    before = at // _STEP - first
    length = nodes[before + 1] - nodes[before]
    return nodes + 0.5, before, (at - nodes[before]) / np.maximum(length, 1)


def _month(roles: Sequence[RasterRole]) -> tuple[int, str]:
    for item in roles:
        if item.role in ("sar", "mwr") and (span := acquisition(item.raster)) is not None:
            return span.first.month, f"{span.first:%Y-%m-%d}"
    raise SceneError(
        f"The model reads the month of the scene, and nothing in {roles[0].raster.path} says its date. Give the raster "
        "a tag start_time (2023-03-16T07:20:00Z), or a name with the date as in S1A_20230316T072000.tif."
    )
