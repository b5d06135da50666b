"""Rasters of a feature analysis: maps on the scale, features, polygons of outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.distributions.outliers import Outlier
from ...core.features.samples import FeatureSamples
from ...core.features.scale import CommonScale
from ...ground.protocols import Sink
from ...ground.vocabulary.cams import IMAGE
from ...ground.window import Window
from ...io.geometry.grid import Grid
from ...io.geometry.vector import write_polygons
from ...io.geometry.zones import ZoneGrid
from ...io.rasters.writer import Band, Outputs
from ...io.scene.reader import Scene
from ...report.styles.features import outlier_style
from ...report.styles.layers import sidecar
from .scenes import SceneFeatures
from .spool import MapSpool

ROWS = 128  # rescaled at a time


@dataclass(frozen=True)
class ScaledMap:
    """How a map is put on its scale.

    Parameters
    ----------
    scale : CommonScale
        The common scale.
    form : str
        ``linear``, ``tanh`` or ``image``.
    width : float
        Of the linear form.
    features : SceneFeatures
        Of the scene, for a scale of each sample.
    """

    scale: CommonScale
    form: str
    width: float
    features: SceneFeatures

    def applied(self, values: np.ndarray, window: Window) -> np.ndarray:
        """Return a map (row, column) over a window on the scale."""
        if self.form != IMAGE:
            return self.scale.applied(values, self.form, self.width)
        numbers = self.features.regions.at(window)
        low, high = (side[np.maximum(numbers, 0)] for side in self.features.sums.extremes.T)
        known = (numbers >= 0) & (high > low)
        width = np.where(known, high - low, np.nan)
        return ((values - low) / width).astype(values.dtype)

    def bands(self, unit: str) -> list[Band]:
        """Return the two bands of a raster."""
        limits = {"low": f"{self.scale.low:.9g}", "high": f"{self.scale.high:.9g}", "form": self.form}
        return [
            Band("cam", "1", {"reading": "class activation map on the scale", **limits}),
            Band(
                "cam_unscaled", unit, {"reading": "class activation map a pixel, neither scaled nor cut off"}
            ),
        ]


def write_scaled(
    spool: MapSpool, region: Window, scaled: ScaledMap, sink: Sink, side: int = 128
) -> tuple[np.ndarray, np.ndarray]:
    """Write a map on its scale and beside it as it is.

    Returns
    -------
    numpy.ndarray
        (sample,), mean of the scaled map in each sample of the scene; NaN where it has no pixel.
    numpy.ndarray
        (row, column), every n-th pixel of the scaled map.
    """
    count = len(scaled.features.regions.names)
    total, pixels = np.zeros(count), np.zeros(count)
    step = max(1, -(-max(region.rows, region.cols) // side))
    kept = []
    for window in region.split(ROWS, region.cols):
        first = window.row - region.row
        values = spool.read(first, first + window.rows)
        shown = scaled.applied(values, window)
        sink.write(np.stack([shown, values]))
        kept.append(shown[-first % step :: step, ::step].copy())
        numbers = scaled.features.regions.at(window)
        known = (numbers >= 0) & np.isfinite(shown)
        total += np.bincount(numbers[known], shown[known].astype(np.float64), count)
        pixels += np.bincount(numbers[known], minlength=count)
    means = np.divide(total, pixels, out=np.full(count, np.nan), where=pixels > 0)
    return means, np.concatenate(kept)


class ScalingSink:
    """Takes strips (1, row, column) of a map and writes them on a scale, and as they are.

    Parameters
    ----------
    sink : Sink
        What is written.
    scaled : ScaledMap
        The scale.
    region : Window
        The pixels of the map.
    """

    def __init__(self, sink: Sink, scaled: ScaledMap, region: Window) -> None:
        self._sink, self._scaled, self._region, self._row = sink, scaled, region, region.row

    def write(self, values: np.ndarray) -> None:
        """Write a strip."""
        window = Window(self._row, self._region.col, values.shape[1], self._region.cols)
        self._sink.write(np.stack([self._scaled.applied(values[0], window), values[0]]))
        self._row += values.shape[1]


def feature_bands(names: Sequence[str], unit: str) -> list[Band]:
    """Return two bands a feature: its activation, and what it adds to the logit."""
    return [
        band
        for name in names
        for band in (
            Band(f"{name} activation", "", {"reading": "what the layer puts out"}),
            Band(
                f"{name} contribution", unit, {"reading": "gradient x activation: what it adds to the logit"}
            ),
        )
    ]


def write_outliers(
    outputs: Outputs, path: str, samples: FeatureSamples, found: Sequence[Outlier], scene: Scene
) -> int:
    """Write the outliers among the samples of a scene as polygons with their style, and return how many there are."""
    own = [each for each in found if samples.scene[each.sample] == 0]
    odd = np.array([each.sample for each in own], dtype=int)
    wkb, crs = outlines(scene.grid, samples.bounds[odd])
    fields = {
        "sample": [samples.names[i] for i in odd],
        "class": [samples.classes[i] for i in samples.group[odd]],
        "predicted": [samples.classes[i] for i in samples.predicted[odd]],
        "ratio": [float(f"{each.ratio:.4g}") for each in own],
        "features": [", ".join(each.features) for each in own],
        "mean_logit": [float(f"{value:.6g}") for value in samples.logit[odd]],
        "pixels": [int(value) for value in samples.pixels[odd]],
    }
    write_polygons(outputs.file(path), wkb, crs, fields, layer="outliers")
    outputs.file(sidecar(path)).write_text(outlier_style(scene.start_time), encoding="utf-8")
    return len(own)


def outlines(grid: Grid, bounds: np.ndarray) -> tuple[list[bytes], str]:
    """Return rectangles of pixels (n, 4) as polygons with dense edges, and their CRS."""
    found: list[bytes] = []
    crs = ZoneGrid(grid, (1, 1)).polygons().crs
    for row, col, row_stop, col_stop in bounds.tolist():
        part = grid.subset(Window(row, col, row_stop - row, col_stop - col))
        found += ZoneGrid(part, (1, 1)).polygons().wkb
    return found, crs
