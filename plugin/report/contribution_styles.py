"""How contributions and ablations look in QGIS: purple - white - orange about zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import styles
from .styles import DIVERGING, LegendEntry, relevance_style


def contribution_style(
    shown: str,
    limit: float,
    *,
    band: int = 1,
    footprint_km: Sequence[float] | None = None,
    start_time: str | None = None,
) -> str:
    """Return the style of a raster of contributions: purple speaks against the class, orange for it.

    Parameters
    ----------
    shown : str
        The class whose logit is split.
    limit : float
        Contribution (logit) at which the colours end.
    band : int
        Band shown, from 1.
    footprint_km : sequence of float, optional
        Footprint of the channel of `band`, for a microwave radiometer.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    return relevance_style(shown, limit, band=band, footprint_km=footprint_km, start_time=start_time)


def ablation_style(
    shown: str, group: str, limit: float, unit: str, *, band: int = 1, start_time: str | None = None
) -> str:
    """Return the style of a raster of changes: orange where a group raises the prediction, purple lowers it.

    Parameters
    ----------
    shown : str
        The class whose prediction changes.
    group : str
        Group of channels of `band`.
    limit : float
        Change at which the colours end; one that is not a positive number counts as 1.
    unit : str
        Of the change: ``%`` or ``logit``; may be empty.
    band : int
        Band shown, from 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    limit = float(limit) if math.isfinite(limit) and limit > 0 else 1.0
    entries = [
        LegendEntry(limit * share, f"{limit * share:.3g}", colour)
        for share, colour in zip((-1.0, -0.5, 0.0, 0.5, 1.0), DIVERGING)
    ]
    size = f"{limit:.2g} {unit}".strip()
    limits = (f"≤ −{size}: {group} lowers {shown}", f"≥ {size}: {group} raises {shown}")
    renderer = styles._pseudo_colour(band, entries, -limit, limit, "INTERPOLATED", limits=limits)
    return styles._raster(renderer, start_time)


def standardised_style(channel: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of a raster of standardised contributions: white where a channel pulls as usual.

    Parameters
    ----------
    channel : str
        Of `band`.
    band : int
        Band shown, from 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    entries = [
        LegendEntry(value, f"{value:g}", colour)
        for value, colour in zip((-4.0, -2.0, 0.0, 2.0, 4.0), DIVERGING)
    ]
    limits = (f"≤ −4 sd: {channel} speaks unusually against", f"≥ 4 sd: {channel} speaks unusually for")
    renderer = styles._pseudo_colour(band, entries, -4.0, 4.0, "INTERPOLATED", limits=limits)
    return styles._raster(renderer, start_time)
