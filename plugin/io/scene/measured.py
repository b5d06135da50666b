"""A raster whose values are measurements: in the channels' units, and no data where a value is impossible.

Values are counted as windows are read, every pixel once, however often windows overlap it: a bit for each pixel
says whether it has been counted. Nothing is read for the counting alone, but the few windows of :func:`probe`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...ground.errors import SceneError
from ...ground.window import Window
from ..files.raster import Raster
from .intake import Intake

# Shares of a band's valid values outside of its range.
WARNED_SHARE = 0.01
REFUSED_SHARE = 0.2
# A share of a probe of a few windows that leaves no doubt about the whole.
HOPELESS_SHARE = 0.6
# The probe: so many windows along each axis, each of at most so many rows and columns.
PROBE_WINDOWS = 4
PROBE_ROWS, PROBE_COLS = 64, 256


@dataclass
class RangeCount:
    """How many values of a channel were met, and how many of them lay outside of its range."""

    valid: int = 0
    outside: int = 0
    lowest: float = field(default=np.inf)
    highest: float = field(default=-np.inf)

    @property
    def share(self) -> float:
        """Share of the valid values that lie outside."""
        return self.outside / self.valid if self.valid else 0.0

    @property
    def text(self) -> str:
        """The count for people: ``12 of 3400 (0.35 %)``."""
        return f"{self.outside} of {self.valid} ({100 * self.share:.2g} %)"


class CountedOnce:
    """Which pixels have been counted: a bit for each."""

    def __init__(self, rows: int, cols: int, region: Window) -> None:
        self._bits = np.zeros((rows, -(-cols // 8)), np.uint8)
        self._region = region

    def fresh(self, window: Window) -> np.ndarray | None:
        """Return which pixels of `window` (row, column) are in the region and new; from now on they are not.

        None where there are none.
        """
        part = window.intersection(self._region)
        if part.empty:
            return None
        first, last = part.col // 8, -(-part.col_stop // 8)
        stored = self._bits[part.row : part.row_stop, first:last]
        seen = np.unpackbits(stored, axis=1)
        inside = seen[:, part.col - 8 * first : part.col_stop - 8 * first]
        if inside.all():
            return None
        new = np.zeros((window.rows, window.cols), bool)
        new[part.slices(window)] = inside == 0
        inside[...] = 1
        stored[...] = np.packbits(seen, axis=1)
        return new


class MeasuredRaster:
    """An open raster that gives the values of channels.

    Parameters
    ----------
    raster : Raster
        What is read.
    intakes : mapping
        What is done with a band, by its number.
    region : Window
        The pixels that are counted.
    accept : bool
        Whether any share of values may lie outside.
    angles : tuple of (int, Intake), optional
        The band of incidence angles, and what is done with it, where a radar quantity is converted by them.
    """

    def __init__(
        self,
        raster: Raster,
        intakes: Mapping[int, Intake],
        region: Window,
        accept: bool,
        angles: tuple[int, Intake] | None = None,
    ) -> None:
        self._angles = angles
        self.raster, self.path, self.dataset = raster, raster.path, raster.dataset
        self.rows, self.cols = raster.rows, raster.cols
        self.intakes = dict(intakes)
        self.counts = {band: RangeCount() for band, intake in self.intakes.items() if intake.range}
        self._counted = CountedOnce(raster.rows, raster.cols, region)
        self._most = np.inf if accept else REFUSED_SHARE * region.rows * region.cols
        self._lock = threading.Lock()

    def read(self, bands: Sequence[int], window: Window) -> np.ndarray:
        """Return the bands over `window` as :meth:`Raster.read` does, in the channels' units.

        Raises
        ------
        SceneError
            The file is damaged, or so many values lie outside that the rest cannot make up for them.
        """
        values = self.raster.read(list(bands), window)
        self.take(values, bands, window)
        return values

    def take(self, values: np.ndarray, bands: Sequence[int], window: Window) -> None:
        """Convert values (band, row, column) in place, and count them."""
        if not self.counts:
            return
        degrees = None
        if self._angles and any(intake.quantities for intake in self.intakes.values()):
            band_of_angles, angles = self._angles
            degrees = self.raster.read([band_of_angles], window)[0]
            angles.convert(degrees, angles.outside(degrees))
        with self._lock:
            new = self._counted.fresh(window)
            for layer, band in zip(values, bands):
                intake = self.intakes.get(band)
                if intake is None or intake.range is None:
                    continue
                outside = intake.outside(layer)
                if new is not None:
                    self._count(band, layer, outside, new)
                if intake.source != intake.range.unit or intake.quantities or outside.any():
                    intake.convert(layer, outside, degrees)

    def _count(self, band: int, values: np.ndarray, outside: np.ndarray, new: np.ndarray) -> None:
        count = self.counts[band]
        count.valid += int(np.count_nonzero(np.isfinite(values) & new))
        impossible = values[outside & new]
        if not impossible.size:
            return
        count.outside += impossible.size
        count.lowest = min(count.lowest, float(impossible.min()))
        count.highest = max(count.highest, float(impossible.max()))
        if count.outside > self._most:
            raise SceneError(self.refusal(band))

    def foresee(
        self, values: np.ndarray, bands: Sequence[int], whole: bool, degrees: np.ndarray | None = None
    ) -> None:
        """Convert a sample (band, value) in place, and refuse the raster where the sample leaves no doubt.

        Parameters
        ----------
        values : numpy.ndarray
            As the file has them.
        bands : sequence of int
            Their bands.
        whole : bool
            Whether the sample holds every value that will be counted.
        degrees : numpy.ndarray, optional
            (value,), what the band of incidence angles holds at the same pixels, as the file has it.

        Raises
        ------
        SceneError
            Too many values are impossible.
        """
        if degrees is not None and self._angles:
            _, angles = self._angles
            angles.convert(degrees, angles.outside(degrees))
        for layer, band in zip(values, bands):
            intake = self.intakes[band]
            if intake.range is None:
                continue
            outside = intake.outside(layer)
            impossible = layer[outside]
            if impossible.size and np.isfinite(self._most):
                span = float(impossible.min()), float(impossible.max())
                count = RangeCount(int(np.isfinite(layer).sum()), impossible.size, *span)
                if count.share > (REFUSED_SHARE if whole else HOPELESS_SHARE):
                    raise SceneError(self.refusal(band, count))
            intake.convert(layer, outside, degrees)

    def check(self) -> None:
        """Refuse a raster of which too many of the values read lay outside.

        Raises
        ------
        SceneError
            More than :data:`REFUSED_SHARE` of a band's valid values.
        """
        for band, count in self.counts.items():
            if np.isfinite(self._most) and count.share > REFUSED_SHARE:
                raise SceneError(self.refusal(band))

    def refusal(self, band: int, count: RangeCount | None = None) -> str:
        """Return the sentence of a band whose values are impossible too often."""
        intake, count = self.intakes[band], count or self.counts[band]
        physical, source = intake.known()
        span = f"{count.lowest:.6g}"
        cause = f"Most likely {span} stands for no data: declare it as the band's no-data value"
        if count.highest != count.lowest:
            span += f" … {count.highest:.6g}"
            cause = "Check the band's unit, and declare the value that stands for no data"
        if source.logarithm and count.highest <= 0:
            cause = "Zero and less have no dB: noise correction left them, or they stand for no data: declare that"
        return (
            f"{100 * count.share:.0f} % of the values of {intake.channel.name} in {self.path} are impossible ({span}): "
            f"{physical.noun} are {physical.text}{physical.fill_text}. {cause}, or set ACCEPT_RANGE to "
            "treat such values as missing."
        )

    def out_of_range(self) -> dict[str, RangeCount]:
        """Return the counts of the channels of which some values lay outside, by the channel's name."""
        return {
            self.intakes[band].channel.name: count for band, count in self.counts.items() if count.outside
        }


def probe(raster: Raster, bands: Sequence[int], region: Window) -> tuple[np.ndarray, bool]:
    """Return a sample of values, (band, value), and whether it holds all of the region.

    Read are sixteen small windows, spread over the region, which begin where blocks of the file do; nine times as many
    where they hold no data.
    """
    if region.rows * region.cols <= PROBE_WINDOWS**2 * PROBE_ROWS * PROBE_COLS // 4:
        return raster.read(list(bands), region).reshape(len(bands), -1), True
    sample = _probed(raster, bands, region, PROBE_WINDOWS)
    if not np.isfinite(sample).sum(axis=1).all():  # data are rare: look at more places
        sample = _probed(raster, bands, region, 3 * PROBE_WINDOWS)
    return sample, False


def _probed(raster: Raster, bands: Sequence[int], region: Window, windows: int) -> np.ndarray:
    block_rows, block_cols = raster.dataset.block_shapes[0]
    parts = []
    for row in _starts(region.row, region.row_stop, PROBE_ROWS, block_rows, windows):
        for col in _starts(region.col, region.col_stop, PROBE_COLS, block_cols, windows):
            window = Window(row, col, PROBE_ROWS, PROBE_COLS).intersection(region)
            parts.append(raster.read(list(bands), window).reshape(len(bands), -1))
    return np.concatenate(parts, axis=1)


def _starts(start: int, stop: int, size: int, block: int, windows: int) -> list[int]:
    """Return where the probe's windows begin along an axis: spread evenly, at the edges of blocks if small."""
    places = set()
    for number in range(windows):
        place = start + (stop - start) * (2 * number + 1) // (2 * windows) - size // 2
        if block <= (stop - start) // windows:
            place = place // block * block
        places.add(max(start, min(place, stop - size)))
    return sorted(places)
