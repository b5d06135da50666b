"""The picture of a report of relevance: scene, network's map and relevance, kept while the scene is explained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core.target.probabilities import class_probabilities, mapped_values
from ...ground.window import Window
from ...io.scene.reader import Scene
from ...networks.card import CLASS_NODATA, Channel, Head
from ...report.page.map_picture import CLASSES, CONCENTRATION, GREY, RELEVANCE, MapPanel, MapPicture
from ...report.styles.layers import LegendEntry
from ..common.percentile_sink import colour_limit
from .layers import per_pixel, sar_pixels

if TYPE_CHECKING:
    from ...core.streaming.thumbnail import PicturedSource
    from ...core.target.target import Seeding

LEAST_AROUND = 100  # pixels shown around a region or a point, at least
LEAST_KNOWN = 0.2  # share of the pixels of the scene whose prediction is known; else it is not shown


class ScenePicture:
    """Thumbnails of a run of relevance; also the sink of its fine channels.

    Parameters
    ----------
    scene : Scene
        What is explained.
    seeding : Seeding
        Which logits.
    explained : Window or None
        The rectangle around the region explained; None: all.
    around : int
        Pixels shown around it.
    whole : bool
        Whether the network is explained as it is, so that its logits are the map.

    Attributes
    ----------
    logits : Thumbnail or None
        To be filled with the logits of the explained head.
    """

    def __init__(
        self, scene: Scene, seeding: Seeding, explained: Window | None, around: int, whole: bool
    ) -> None:
        from ...core.streaming.thumbnail import MeanThumbnail, Thumbnail

        self._scene, self._seeding = scene, seeding
        region = scene.region
        if explained is not None:
            region = explained.grown(max(around, LEAST_AROUND), within=scene.region)
        fine = scene.card.fine_channels
        self._sar = [number for number, channel in enumerate(fine) if channel.sensor == "sar"]
        self._fine, self._relevance = Thumbnail(region, 1), MeanThumbnail(region)
        self.logits = Thumbnail(region, seeding.outputs) if whole else None
        self._row = scene.region.row

    def source(self) -> PicturedSource:
        """Return the scene as a source whose first SAR channel is kept."""
        from ...core.streaming.thumbnail import PicturedSource

        return PicturedSource(self._scene, self._fine, self._shown)

    @property
    def _shown(self) -> int:
        return self._sar[0] if self._sar else 0

    def write(self, values: np.ndarray) -> None:
        """Keep the summed relevance of the SAR channels of a strip of all fine channels."""
        rows, region = values.shape[1], self._scene.region
        window = Window(self._row, region.col, rows, region.cols)
        self._row += rows
        if not window.intersection(self._relevance.region).empty:
            self._relevance.add(window, values[self._sar or [0]].sum(axis=0))

    def picture(self, coarse: np.ndarray, unit: str) -> MapPicture:
        """Return the maps side by side.

        Parameters
        ----------
        coarse : numpy.ndarray
            (coarse channel, row, column): relevance on the grid of the radiometer's raster.
        unit : str
            Short unit of relevance.
        """
        card, rows, cols = self._scene.card, self._fine.rows, self._fine.cols
        at = np.meshgrid(rows + 0.5, cols + 0.5, indexing="ij")
        lon, lat = self._scene.grid.pixel_to_lonlat(*at)
        channel = card.fine_channels[self._shown]
        panels = [MapPanel(f"scene: {channel.name}", self._fine.values[0], GREY, channel.unit)]
        panels += self._mapped()
        maps = {"relevance of SAR": self._relevance.values}
        cells = self._on_pixels(coarse, card.coarse_channels, at)
        if cells is not None:
            maps["relevance of the radiometer"] = cells
        limit = max(colour_limit(values) for values in maps.values())
        panels += [
            MapPanel(title, values, RELEVANCE, f"{unit} a SAR pixel", limit) for title, values in maps.items()
        ]
        return MapPicture(tuple(panels), np.asarray(lon), np.asarray(lat))

    def _mapped(self) -> list[MapPanel]:
        """Return the network's own map, if it is known; a list of one panel or none."""
        if self.logits is None:
            return []
        known = np.isfinite(self.logits.values).all(axis=0)
        if known.sum() < max(1.0, LEAST_KNOWN * np.isfinite(self._fine.values[0]).sum()):
            return []
        head = self._seeding.head
        values = mapped_values(class_probabilities(np.nan_to_num(self.logits.values), head), known, head)
        values = np.where(known & ((head.kind != "softmax") | (values != CLASS_NODATA)), values, np.nan)
        return [MapPanel(f"network's map: {head.name}", values, *_look_of(head))]

    def _on_pixels(
        self, coarse: np.ndarray, channels: Sequence[Channel], at: Sequence[np.ndarray]
    ) -> np.ndarray | None:
        """Return the summed relevance of the radiometer a SAR pixel, at the pixels of the picture."""
        scene, chosen = self._scene, [i for i, channel in enumerate(channels) if channel.sensor == "mwr"]
        if scene.coarse_grid is None or not chosen:
            return None
        shared = per_pixel(coarse[chosen], sar_pixels(scene, scene.ratio)).sum(axis=0)
        row, col = (
            np.floor(np.asarray(part)).astype(int) for part in scene.grid.pixels_in(scene.coarse_grid, *at)
        )
        inside = (row >= 0) & (row < shared.shape[0]) & (col >= 0) & (col < shared.shape[1])
        values = shared[np.clip(row, 0, shared.shape[0] - 1), np.clip(col, 0, shared.shape[1] - 1)]
        return np.where(inside & np.isfinite(self._fine.values[0]), values, np.nan)


def _look_of(head: Head) -> tuple:
    """Return colours, unit, limit and classes of the map of a head, as a panel takes them."""
    if head.kind == "softmax":
        entries = tuple(LegendEntry(entry.value, entry.name, entry.colour) for entry in head.classes)
        return CLASSES, "", 1.0, entries
    return (CONCENTRATION if head.unit == "%" else GREY), head.unit, 1.0, ()
