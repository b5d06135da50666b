"""The style of standardised contributions: where a channel contributes more than it does on the model's reference."""

from __future__ import annotations

from .layers import diverging_style

LIMIT = 4.0  # standard deviations at which the colours end


def standardised_style(channel: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of a raster of standardised contributions: white where a channel contributes as usual.

    Parameters
    ----------
    channel : str
        Of `band`.
    band : int
        Band shown, from 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    limits = (
        f"≤ −{LIMIT:g} sd: {channel} speaks unusually against",
        f"≥ {LIMIT:g} sd: {channel} speaks unusually for",
    )
    return diverging_style(LIMIT, limits, band=band, start_time=start_time)
