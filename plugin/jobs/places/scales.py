"""What speaks for a class by scale: SAR by its distance from the place, radiometry by the size of its footprints."""

from __future__ import annotations

import numpy as np

from ...ground.window import Window
from ...networks.card import ModelCard

RINGS_KM = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
RINGS = 3  # limits that are shown: the largest that the receptive field passes


def by_scale(
    card: ModelCard,
    channels: dict[str, float],
    relevance: np.ndarray,
    around: Window,
    place: Window,
    pixel_km: float,
    pixels: int,
) -> dict[str, float]:
    """Return contributions by scale, the smallest first; they add up to those of the channels.

    Parameters
    ----------
    card : ModelCard
        Channels and their footprints.
    channels : mapping
        Name of a channel → its contribution, on average over the pixels of the place.
    relevance : numpy.ndarray
        (fine channel, row, column) over `around`, for the sum of the logits of the place; NaN where not valid.
    around, place : Window
        All pixels that the network reads for the place, and the place.
    pixel_km : float
        Size of a pixel.
    pixels : int
        Valid pixels of the place.
    """
    down = _outside(around.row, around.rows, place.row, place.row_stop)
    right = _outside(around.col, around.cols, place.col, place.col_stop)
    away = np.hypot(down[:, None], right[None]) * pixel_km
    here = np.nansum(relevance, 0, dtype=np.float64) / pixels
    limits = [limit for limit in RINGS_KM if limit < away.max()][-RINGS:]
    found: dict[str, float] = {}
    if not limits:
        found["SAR"] = float(here.sum())
    else:
        ring = np.searchsorted(limits, away)
        sums = np.bincount(ring.ravel(), here.ravel(), len(limits) + 1)
        found[f"SAR within {limits[0]:g} km"] = float(sums[0])
        for low, high, value in zip(limits, limits[1:], sums[1:]):
            found[f"SAR {low:g} to {high:g} km"] = float(value)
        found[f"SAR beyond {limits[-1]:g} km"] = float(sums[-1])
    sized = [(channel.footprint_km, channel.name) for channel in card.coarse_channels if channel.footprint_km]
    for axes, channel_name in sorted(sized, key=lambda entry: max(entry[0])):
        name = f"radiometry {min(axes):g} × {max(axes):g} km"
        found[name] = found.get(name, 0.0) + channels[channel_name]
    for channel in card.coarse_channels:
        if not channel.footprint_km:
            found[channel.sensor] = found.get(channel.sensor, 0.0) + channels[channel.name]
    return found


def _outside(start: int, size: int, first: int, stop: int) -> np.ndarray:
    """Return how many pixels rows lie before `first` or behind the last before `stop`."""
    at = np.arange(start, start + size)
    return np.maximum(np.maximum(first - at, at - (stop - 1)), 0)
