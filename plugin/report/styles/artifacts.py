"""How the share of an artifact looks in QGIS: clear where the data speak, dark where the network draws by itself."""

from __future__ import annotations

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
