"""How the relevance around one place looks when it is laid over the scene."""

from __future__ import annotations

from ..styles.layers import about_zero
from ..styles.qml import LegendEntry, pseudo_colour_renderer, raster_style

FOR, AGAINST = "#f28e1c", "#8b5cf6"  # seen on dark and bright ice, and different to colour-blind people
# A network looks a thousand times harder at a place than at the edge of what it sees: colours by powers of ten.
STEPS = ((1.0, 255), (0.1, 215), (0.01, 165), (0.001, 95), (0.0001, 0))  # share of the largest → opacity


def overlay_style(class_name: str, largest: float, *, start_time: str | None = None) -> str:
    """Return the style of band 1: orange speaks for the class, violet against it, and what does neither is clear.

    Parameters
    ----------
    class_name : str
        The class explained.
    largest : float
        The largest relevance in size, where colours end; 1 where it is no positive number.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    largest = about_zero(largest)
    against = [
        LegendEntry(-share * largest, f"{-share * largest:.2g}", AGAINST, alpha) for share, alpha in STEPS
    ]
    for_it = [LegendEntry(share * largest, f"{share * largest:.2g}", FOR, alpha) for share, alpha in STEPS]
    limits = (
        f"−{largest:.2g} speaks against {class_name} (logit, opacity by powers of ten)",
        f"{largest:.2g} speaks for {class_name}",
    )
    entries = [*against, LegendEntry(0.0, "0", "#ffffff", 0), *reversed(for_it)]
    renderer = pseudo_colour_renderer(1, entries, -largest, largest, "INTERPOLATED", limits=limits)
    return raster_style(renderer, start_time)
