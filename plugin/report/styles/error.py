"""How errors of a map look in QGIS: purple where it has less than the labels, orange where it has more."""

from __future__ import annotations

from .layers import DIVERGING, about_zero, class_style, diverging_style
from .qml import LegendEntry

PERCENT = 50.0  # at which the colours end: the same for all scenes, so that maps can be compared


def error_style(unit: str, limit: float, *, start_time: str | None = None) -> str:
    """Return the style of mapped minus labelled values: white where they agree.

    Parameters
    ----------
    unit : str
        Of the values; may be empty.
    limit : float
        Difference at which the colours end where the unit is not %; one that is not positive counts as 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    limit = PERCENT if unit == "%" else about_zero(limit)
    size = f"{limit:.2g} {unit}".strip()
    limits = f"\u2264 \u2212{size}: less than the labels", f"\u2265 {size}: more than the labels"
    return diverging_style(limit, limits, start_time=start_time)


def difference_style(*, start_time: str | None = None) -> str:
    """Return the style of a raster that is 1 where the class differs from the labels' and 0 where it agrees."""
    entries = (
        LegendEntry(0, "as in the labels", DIVERGING[2]),
        LegendEntry(1, "another class than in the labels", DIVERGING[4]),
    )
    return class_style(entries, start_time=start_time)
