"""How a class activation map looks in QGIS: on its common scale, the same colours in every scene."""

from __future__ import annotations

from .layers import diverging_style
from .qml import LegendEntry, outline_style, pseudo_colour_renderer, raster_style

_RAMP = ("#ffffff", "#fee391", "#fe9929", "#cc4c02", "#662506")


def cam_style(target: str, text: str, *, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of a map on the common scale: from 0, clear, to 1, dark, whatever the scene.

    Parameters
    ----------
    target : str
        The class explained.
    text : str
        The scale in words, for the legend.
    band : int
        Band shown, from 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    entries = [
        LegendEntry(step / 4, f"{step / 4:g}", colour, 255 if step else 0)
        for step, colour in enumerate(_RAMP)
    ]
    limits = (f"0: little for {target}", f"1: much for {target} ({text})")
    return raster_style(
        pseudo_colour_renderer(band, entries, 0.0, 1.0, "INTERPOLATED", limits=limits), start_time
    )


def contribution_style(
    feature: str, target: str, limit: float, *, band: int, start_time: str | None = None
) -> str:
    """Return the style of a feature's contribution: purple against, orange for the class."""
    limits = (f"{feature} speaks against {target}", f"{feature} speaks for {target}")
    return diverging_style(limit, limits, band=band, start_time=start_time)


def outlier_style(start_time: str | None = None) -> str:
    """Return the style of outlier samples: a blue outline, which the maps do not hold."""
    return outline_style("#0072b2", 0.5, start_time)
