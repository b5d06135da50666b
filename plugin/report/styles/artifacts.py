"""How fact and artifact look in QGIS.

The share of an artifact is clear where the data speak, and dark where the network draws by itself. The corrected map
has the colours of relevance: full where a pixel is fact, faint where it may be chance; where no pixel is fact, full
everywhere, with a word in the legend.
"""

from __future__ import annotations

from .layers import relevance_style
from .qml import LegendEntry, pseudo_colour_renderer, raster_style


def share_style(*, band: int = 1, start_time: str | None = None) -> str:
    """Return the style of the share of a map that is there without the data, 0 to 1."""
    ramp = [
        LegendEntry(0.0, "0", "#ffffff", 0),
        LegendEntry(0.5, "0.5", "#fdae61"),
        LegendEntry(1.0, "1", "#7f2704"),
    ]
    limits = ("0: from the data", "1: drawn whatever the input")
    renderer = pseudo_colour_renderer(band, ramp, 0.0, 1.0, "INTERPOLATED", limits=limits)
    return raster_style(renderer, start_time)


def fact_style(
    class_name: str,
    limit: float,
    *,
    opacity_band: int | None,
    start_time: str | None = None,
    slopes: bool = False,
) -> str:
    """Return the style of the corrected map: full colours where its band of opacities says fact, faint elsewhere.

    Parameters
    ----------
    class_name : str
        The class explained.
    limit : float
        Relevance at which the colours end, as in the report.
    opacity_band : int or None
        The band that holds opacities; None where no pixel is fact: all would be faint.
    start_time : str, optional
        Start of the scene, ISO 8601.
    slopes : bool
        Whether the values are slopes.
    """
    note = "; no pixel is fact (q > 0.05)" if opacity_band is None else "; faint: may be chance (q > 0.05)"
    return relevance_style(
        class_name, limit, start_time=start_time, slopes=slopes, opacity_band=opacity_band, note=note
    )
