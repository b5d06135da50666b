"""The rasters of relevance: which channels lie in which, the coarse ones on their own grid, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ground.protocols import Sink
from ...io.rasters.writer import Band
from ...io.scene.reader import Scene
from ...networks.card import Channel, ModelCard
from ...report.relevance.content import ChannelRelevance

if TYPE_CHECKING:
    from ...core.relevance.run import RelevanceResult

# How many pixels of a raster are looked at for the limits of its colours, about.
SHOWN_PIXELS = 250_000
# What the bands of a coarse raster hold: the first keep what adds up to the logit.
SUMS = "sum over all SAR pixels that the cell covers; these sums add up to the explained logits"
PER_PIXEL = "the sum divided by the number of SAR pixels that the cell covers: comparable with SAR relevance"


def channel_sums(
    card: ModelCard, positive: np.ndarray, negative: np.ndarray, coarse: np.ndarray, unit: str
) -> tuple[ChannelRelevance, ...]:
    """Return what speaks for and against by channel, in the card's order.

    Parameters
    ----------
    card : ModelCard
        Its channels.
    positive, negative : numpy.ndarray
        (fine channel,): sums of the positive and of the negative relevance.
    coarse : numpy.ndarray
        (coarse channel, row, column): relevance, NaN where there is none.
    unit : str
        Of the relevance.
    """
    known = np.nan_to_num(coarse)
    positive = [*positive, *np.maximum(known, 0).sum(axis=(1, 2))]
    negative = [*negative, *np.minimum(known, 0).sum(axis=(1, 2))]
    return tuple(
        ChannelRelevance(
            name=channel.name,
            sensor=channel.sensor,
            unit=unit,
            positive=float(for_it),
            negative=float(against),
            frequency_ghz=channel.frequency_ghz,
            polarisation=channel.polarisation,
            footprint_km=channel.footprint_km,
        )
        for channel, for_it, against in zip((*card.fine_channels, *card.coarse_channels), positive, negative)
    )


def coarse_relevance(scene: Scene, result: RelevanceResult) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the relevance of a coarse raster's own pixels: (x - x₀) ⊙ Sᵀ m + Sᵀ r.

    S is the sampler that made the network's cells of the raster, m the multipliers of the cells, r what was
    handed to them as relevance, x the standardised raster and x₀ the baseline; rows of S sum to one, so that
    what the cells received is handed on whole. For methods without the factor it is Sᵀ m itself.

    Returns
    -------
    tuple of numpy.ndarray
        (channel, row, column), float64: mean over the replicas, and their standard deviation (None for a
        single one); NaN where the raster has no value or no cell is made of it; no channel for a network
        without coarse ones.
    """
    varied = len(result.cells) > 1
    if scene.sampler is None:
        empty = np.empty((0, 1, 1))
        return empty, empty if varied else None
    used = np.asarray(abs(scene.sampler.matrix).sum(axis=0)).reshape(scene.sampler.coarse_shape) > 0
    known = used & np.isfinite(scene.coarse_values)

    def handed_back(cells: np.ndarray) -> np.ndarray:
        return scene.sampler.adjoint(np.where(scene.sampler.cell_valid, cells, 0.0))

    # Running mean and sum of squared differences: one raster at a time, however many replicas.
    mean = squares = np.zeros(scene.coarse_values.shape)
    for number, cells in enumerate(result.cells, start=1):
        relevance = handed_back(cells.multipliers)
        if result.method.times_input:
            centre, sd = cells.mean[:, None, None], cells.sd[:, None, None]
            standard = (scene.coarse_values.astype(np.float64) - centre) / sd
            relevance = relevance * (standard - result.baseline[:, None, None])
        if cells.direct is not None:
            relevance = relevance + handed_back(cells.direct)
        before = relevance - mean
        mean = mean + before / number
        squares = squares + before * (relevance - mean)
    deviation = np.sqrt(squares / (len(result.cells) - 1)) if varied else None
    mean = np.where(known, mean, np.nan)
    return mean, np.where(known, deviation, np.nan) if varied else None


def sar_pixels(scene: Scene, ratio: int) -> np.ndarray:
    """Return how many SAR pixels each pixel of the coarse raster stands for: (row, column), float64, 0 for none.

    Sᵀ n, n being the number of SAR pixels in each of the network's cells: where a cell is a weighted mean of
    several coarse pixels, each stands for its weight of the cell's pixels. `ratio` is the number of pixels along
    the side of a cell; cells at the edge of the scene may have fewer.
    """
    sampler = scene.sampler
    inside = [
        np.minimum(ratio, size - ratio * np.arange(cells))
        for size, cells in zip((scene.rows, scene.cols), sampler.cell_shape)
    ]
    return sampler.adjoint(np.where(sampler.cell_valid, np.outer(*inside), 0.0)[None])[0]


def per_pixel(relevance: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return relevance (channel, row, column) of coarse pixels divided by the SAR pixels each stands for."""
    return np.divide(relevance, pixels, out=np.full(relevance.shape, np.nan), where=pixels > 0)


def per_pixel_bands(channels: Sequence[tuple[int, Channel]], unit: str) -> list[Band]:
    """Return the bands of the second reading of a coarse raster: on one scale with relevance of SAR pixels."""
    return [
        Band(f"{band.name}_per_pixel", f"{unit} per SAR pixel", {**band.tags, "reading": PER_PIXEL})
        for band in channel_bands(channels, False, unit)
    ]


def channel_bands(channels: Sequence[tuple[int, Channel]], varied: bool, unit: str) -> list[Band]:
    """Return the bands of a relevance raster in `unit`, those of deviations last if `varied`.

    A radiometer's carry their frequency and footprint.
    """
    bands = []
    for _, channel in channels:
        tags = {}
        if channel.frequency_ghz:
            tags["frequency_ghz"] = f"{channel.frequency_ghz:g}"
            tags["polarisation"] = channel.polarisation
        if channel.footprint_km:
            tags["footprint_km"] = " x ".join(f"{side:g}" for side in channel.footprint_km)
        bands.append(Band(channel.name, unit, tags))
    # Behind the maps, so that these keep their numbers.
    return bands + [Band(f"{band.name}_sd", band.unit, band.tags) for band in bands if varied]


class Layer:
    """A raster of some of the fine channels, and a thinned copy for the limits of its colours."""

    def __init__(self, path: str, channels: Sequence[tuple[int, Channel]], among: int) -> None:
        self.path = path
        self._all = among
        self.channels = channels
        self.sink: Sink | None = None
        self._positions = [position for position, _ in channels]
        self._rows = 0
        self._sample: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Write the layer's channels of a strip, and their deviations where it holds any."""
        chosen = values[self._positions]
        deviations = [p + self._all for p in self._positions] if len(values) > self._all else []
        self.sink.write(values[[*self._positions, *deviations]])
        step = max(1, int(np.sqrt(chosen.shape[2] ** 2 / SHOWN_PIXELS)))
        first = -self._rows % step
        self._sample.append(chosen[:, first::step, ::step].copy())
        self._rows += chosen.shape[1]

    def sample(self) -> np.ndarray:
        """Return the thinned copy: (channel, row, column)."""
        return np.concatenate(self._sample, axis=1)


class Split:
    """A sink that hands each layer its channels, and sums what speaks for and against."""

    def __init__(self, layers: Sequence[Sink], channels: int) -> None:
        self._layers, self._channels = layers, channels
        self.positive = np.zeros(channels)
        self.negative = np.zeros(channels)

    def write(self, values: np.ndarray) -> None:
        """Write a strip of all fine channels, and of their deviations where there are any."""
        known = np.nan_to_num(values[: self._channels])
        self.positive += np.maximum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        self.negative += np.minimum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        for layer in self._layers:
            layer.write(values)
