"""The rasters of relevance: which channels lie in which, the coarse ones on their own grid, and their sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...ground.protocols import Sink
from ...io.rasters.writer import Band
from ...io.scene.reader import Scene
from ...networks.card import Channel, ModelCard
from ...report.relevance.content import ChannelRelevance
from ..common.percentile_sink import Subsample, colour_limit

if TYPE_CHECKING:
    from ...core.relevance.run import RelevanceResult

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
    speaks_for = [*positive, *np.maximum(known, 0).sum(axis=(1, 2))]
    speaks_against = [*negative, *np.minimum(known, 0).sum(axis=(1, 2))]
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
        for channel, for_it, against in zip(
            (*card.fine_channels, *card.coarse_channels), speaks_for, speaks_against
        )
    )


def coarse_relevance(scene: Scene, result: RelevanceResult) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the relevance of a coarse raster's own pixels: (x - x₀) ⊙ Sᵀ m + Sᵀ r.

    S is the sampler that made the network's cells of the raster, m the multipliers of the cells, r their direct
    relevance, x the standardised raster and x₀ the baseline; rows of S sum to one, so that the relevance of the
    cells is conserved. For methods without the factor it is Sᵀ m itself.

    Returns
    -------
    tuple of numpy.ndarray
        (channel, row, column), float64: mean over the replicas, and their standard deviation (None for a
        single one); NaN where the raster has no value or no cell is made of it; no channel for a network
        without coarse ones.
    """
    varied = len(result.cells) > 1
    sampler, values = scene.sampler, scene.coarse_values
    if sampler is None or values is None:
        empty = np.empty((0, 1, 1))
        return empty, empty if varied else None
    used = np.asarray(abs(sampler.matrix).sum(axis=0)).reshape(sampler.coarse_shape) > 0
    known = used & np.isfinite(values)

    def transposed(cells: np.ndarray) -> np.ndarray:
        return sampler.adjoint(np.where(sampler.cell_valid, cells, 0.0))

    # Running mean and sum of squared differences: one raster at a time, however many replicas.
    mean = squares = np.zeros(values.shape)
    for number, cells in enumerate(result.cells, start=1):
        relevance = transposed(cells.multipliers)
        if result.method.times_input:
            centre, sd = cells.mean[:, None, None], cells.sd[:, None, None]
            standard = (values.astype(np.float64) - centre) / sd
            relevance = relevance * (standard - result.baseline[:, None, None])
        if cells.direct is not None:
            relevance = relevance + transposed(cells.direct)
        before = relevance - mean
        mean = mean + before / number
        squares = squares + before * (relevance - mean)
    mean = np.where(known, mean, np.nan)
    if not varied:
        return mean, None
    return mean, np.where(known, np.sqrt(squares / (len(result.cells) - 1)), np.nan)


def sar_pixels(scene: Scene, ratio: int) -> np.ndarray:
    """Return how many SAR pixels each pixel of the coarse raster stands for: (row, column), float64, 0 for none.

    Sᵀ n, n being the number of SAR pixels in each of the network's cells: where a cell is a weighted mean of
    several coarse pixels, each stands for its weight of the cell's pixels. `ratio` is the number of pixels along
    the side of a cell; cells at the edge of the scene may have fewer.
    """
    sampler = scene.sampler
    if sampler is None:
        raise ValueError("a scene without a coarse raster has no pixels of one")
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


@dataclass(frozen=True)
class Shown:
    """What the style of a raster looks at.

    Parameters
    ----------
    channels : sequence
        Channels with their positions.
    sample : numpy.ndarray
        (channel, row, column): relevance for each SAR pixel.
    first_band : int
        The band of the first of them, from 1.
    """

    channels: Sequence[tuple[int, Channel]]
    sample: np.ndarray
    first_band: int = 1

    @property
    def leading(self) -> int:
        """The channel with most relevance, from 0."""
        return int(np.argmax(np.nansum(np.abs(self.sample), axis=(1, 2))))

    @property
    def limit(self) -> float:
        """Where its colours end: a high percentile of the absolute relevance; 0 where it has none."""
        return colour_limit(self.sample[self.leading])


class FineRaster:
    """A raster of some of the fine channels, subsampled for the limits of its colours.

    Parameters
    ----------
    path : str
        Where it is written.
    channels : sequence
        Its channels with their positions among the fine ones.
    among : int
        Number of all fine channels.
    sink : Sink
        Takes its bands.
    """

    def __init__(self, path: str, channels: Sequence[tuple[int, Channel]], among: int, sink: Sink) -> None:
        self.path, self.channels = path, channels
        self._among, self._sink = among, sink
        self._positions = [position for position, _ in channels]
        self._subsample = Subsample()

    def write(self, values: np.ndarray) -> None:
        """Write the raster's channels of a strip, and their deviations where it holds any."""
        deviations = [p + self._among for p in self._positions] if len(values) > self._among else []
        self._sink.write(values[[*self._positions, *deviations]])
        self._subsample.add(values[self._positions])

    def sample(self) -> np.ndarray:
        """Return the subsample: (channel, row, column)."""
        return self._subsample.values()


class FineSink:
    """A sink that passes all fine channels on to each raster, and sums what speaks for and against."""

    def __init__(self, sinks: Sequence[Sink], channels: int) -> None:
        self._sinks, self._channels = sinks, channels
        self.positive = np.zeros(channels)
        self.negative = np.zeros(channels)

    def write(self, values: np.ndarray) -> None:
        """Write a strip of all fine channels, and of their deviations where there are any."""
        known = np.nan_to_num(values[: self._channels])
        self.positive += np.maximum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        self.negative += np.minimum(known, 0).sum(axis=(1, 2), dtype=np.float64)
        for sink in self._sinks:
            sink.write(values)
