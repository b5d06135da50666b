"""What a map does not tell by itself: where land is, data are missing, or the radiometer may see land.

A class raster to lay over any result of the scene. Land beside a pixel reaches into a channel as
far as the channel's footprint is wide, so there is one coastal zone a footprint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.protocols import Progress
from ...ground.window import Window
from ...io.geometry.coast import LandDistance
from ...io.geometry.grid import Grid
from ...io.rasters.writer import Band, Outputs, RasterWriter
from ...io.scene.reader import Scene
from ...networks.card import CLASS_LAND, CLASS_NODATA, ModelCard
from ...report.styles.layers import LAND_COLOUR, LegendEntry, class_style, sidecar

MAPPED = 0
# One hue, denser where more channels see land; the map below keeps its colours where few do.
_COLOUR = "#7a0177"
_OPACITIES = (30, 140)  # of the widest zone and the narrowest, of 255


@dataclass(frozen=True)
class CoastalZone:
    """The pixels that are within a footprint's width of land.

    Parameters
    ----------
    width_km : float
        Width of the footprint: its longer side.
    label : str
        What the legend says.
    """

    width_km: float
    label: str


def coastal_zones(card: ModelCard) -> tuple[CoastalZone, ...]:
    """Return one zone for each width of footprint that the network reads, the widest first."""
    frequencies: dict[float, set[float]] = {}
    for channel in card.channels:
        if channel.footprint_km is not None and channel.frequency_ghz is not None:
            frequencies.setdefault(max(channel.footprint_km), set()).add(channel.frequency_ghz)
    zones = []
    for width in sorted(frequencies, reverse=True):
        names = " and ".join(f"{frequency:g}" for frequency in sorted(frequencies[width]))
        zones.append(CoastalZone(width, f"{names} GHz may see land (within {width:g} km)"))
    return tuple(zones)


class CoverageMap:
    """A coverage raster that is written strip by strip.

    Parameters
    ----------
    outputs : Outputs
        The files of the run.
    path : str
        The raster to write.
    scene : Scene
        Its land is flagged, where it is known.
    grid : Grid
        Of the raster: the scene's, or the part of it that is processed.
    card : ModelCard
        The network's channels have the footprints.
    tags : dict of str
        Tags of the file.
    progress : Progress
        Gets a warning where land is not known.
    """

    def __init__(
        self,
        outputs: Outputs,
        path: str,
        scene: Scene,
        grid: Grid,
        card: ModelCard,
        tags: dict[str, str],
        progress: Progress,
    ) -> None:
        self._scene = scene
        self._zones = coastal_zones(card) if scene.has_land else ()
        self._distance: LandDistance | None = None
        if self._zones:
            self._distance = scene.land_distance(self._zones[0].width_km)
        elif not scene.has_land:
            progress.warn(
                "COVERAGE shows neither land nor coastal zones, since LAND is not given: near coasts the radiometer "
                "sees land, which a network may take for ice."
            )
        entries = self._entries()
        self._writer: RasterWriter = outputs.raster(
            path,
            grid,
            [Band("coverage", "class")],
            dtype="uint8",
            nodata=None,
            tags=tags,
            categories={int(entry.value): entry.label for entry in entries},
            overviews="nearest",
        )
        style = class_style(entries, start_time=scene.start_time)
        outputs.file(sidecar(path)).write_text(style, encoding="utf-8")

    def write(self, window: Window, valid: np.ndarray) -> None:
        """Append a strip: `valid` (row, column) tells where `window` is mapped."""
        self._writer.write(coverage_codes(self._scene, self._distance, self._zones, window, valid)[None])

    def _entries(self) -> list[LegendEntry]:
        what = "mapped, no land within any footprint" if self._zones else "mapped"
        entries = [LegendEntry(MAPPED, what, "#ffffff", 0)]
        for number, zone in enumerate(self._zones, start=1):
            share = (number - 1) / max(1, len(self._zones) - 1)
            opacity = round(_OPACITIES[0] + share * (_OPACITIES[1] - _OPACITIES[0]))
            entries.append(LegendEntry(number, zone.label, _COLOUR, opacity))
        if self._scene.has_land:
            entries.append(LegendEntry(CLASS_LAND, "land (not mapped)", LAND_COLOUR))
        entries.append(LegendEntry(CLASS_NODATA, "no data (not mapped)", "#9a9a9a"))
        return entries


def coverage_codes(
    scene: Scene,
    distance: LandDistance | None,
    zones: tuple[CoastalZone, ...],
    window: Window,
    valid: np.ndarray,
) -> np.ndarray:
    """Return the code of each pixel: (row, column), uint8; of several zones the narrowest."""
    codes = np.zeros(valid.shape, dtype=np.uint8)
    if distance is not None:
        km = distance.read(window)
        for number, zone in enumerate(zones, start=1):
            codes[km <= zone.width_km] = number
    codes[~valid] = CLASS_NODATA
    if scene.has_land:
        codes[scene.land(window)] = CLASS_LAND
    return codes
