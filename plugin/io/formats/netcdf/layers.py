"""What fills a band of a scene, window by window: a variable, a lattice of tie points, one row for all.

:class:`FineRaster` joins such layers to a raster in physical units: standardised values are turned
back, decibels become power where asked for, and pixels may be averaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ....ground.window import Window
from ...geometry.grid import Grid
from ...rasters.writer import Band
from ..cf.container import Variable

_STRIP_BYTES = 32 << 20


class Layer(Protocol):
    """Fills a band at the file's own pixels."""

    def read(self, window: Window) -> np.ndarray:
        """Return (row, column); NaN where there is no value."""


@dataclass(frozen=True)
class Standardised:
    """A variable that holds (x - mean)/sd.

    Parameters
    ----------
    variable : Variable
        The variable.
    mean, sd : float
        Global statistics of the training data.
    """

    variable: Variable
    mean: float
    sd: float

    def read(self, window: Window) -> np.ndarray:
        """Return the values in physical units, float32."""
        return (self.variable.read(window).astype(np.float64) * self.sd + self.mean).astype(np.float32)


@dataclass(frozen=True)
class Columns:
    """One value a column, the same in all rows."""

    values: np.ndarray

    def read(self, window: Window) -> np.ndarray:
        """Return (row, column), float32."""
        row = self.values[window.col : window.col_stop].astype(np.float32)
        return np.broadcast_to(row, (window.rows, window.cols))


@dataclass(frozen=True)
class FineBand:
    """A band of a :class:`FineRaster`.

    Parameters
    ----------
    band : Band
        Name and unit.
    layer : Layer
        What fills it.
    kind : {'sigma0', 'mean', 'nearest'}
        Backscatter in dB; a quantity that may be averaged; classes.
    """

    band: Band
    layer: Layer
    kind: str


class FineRaster:
    """The radar's pixels as a raster that is read window by window.

    Parameters
    ----------
    grid : Grid
        The file's own pixels.
    bands : sequence of FineBand
        What it holds.
    decibels : bool
        Backscatter in dB, else as linear power.
    multilook : int
        Pixels averaged along each side.
    zero_is_missing : sequence of Variable
        Variables that are all exactly 0 where there is no data.
    """

    dtype = "float32"
    nodata = float("nan")

    def __init__(
        self,
        grid: Grid,
        bands: Sequence[FineBand],
        decibels: bool = True,
        multilook: int = 1,
        zero_is_missing: Sequence[Variable] = (),
    ) -> None:
        self._native, self._layers = grid, tuple(bands)
        self._decibels, self._looks = decibels, multilook
        self._zero_is_missing = tuple(zero_is_missing)
        self.grid = grid.coarser(multilook) if multilook > 1 else grid
        self.bands = tuple(
            replace(item.band, unit="1") if item.kind == "sigma0" and not decibels else item.band
            for item in bands
        )
        variables = [getattr(item.layer, "variable", item.layer) for item in bands]
        blocks = [v.block_rows for v in variables if isinstance(v, Variable)]
        self.strip_rows = strip_rows(grid, multilook, max(blocks, default=0))

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column), float32; NaN where there is no value."""
        native = native_window(window, self._looks, self._native)
        missing = None
        if self._zero_is_missing:
            missing = np.ones((native.rows, native.cols), dtype=bool)
            for variable in self._zero_is_missing:
                missing &= variable.read(native) == 0
        out = np.empty((len(self._layers), window.rows, window.cols), dtype=np.float32)
        for target, item in zip(out, self._layers):
            values = item.layer.read(native)
            if item.kind == "sigma0":
                if missing is not None:
                    values = np.where(missing, np.float32(np.nan), values)
                target[...] = self._backscatter(values)
            elif item.kind == "mean":
                target[...] = block_mean(values, self._looks)
            else:
                target[...] = middles(values, self._looks)
        return out

    def _backscatter(self, decibels: np.ndarray) -> np.ndarray:
        if self._looks == 1 and self._decibels:
            return decibels
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            power = block_mean(10.0 ** (decibels.astype(np.float64) / 10.0), self._looks)
            values = 10.0 * np.log10(power) if self._decibels else power
        return np.where(np.isfinite(values), values, np.nan)


class ChartRaster:
    """The decoded chart: concentration, stage of development and floe size, one byte each.

    Parameters
    ----------
    grid : Grid
        The file's own pixels.
    bands : sequence of Band
        Concentration in %, stage and floe classes.
    layers : sequence of Variable
        One that holds polygon numbers, or one a band.
    tables : sequence of mapping
        What a value of a layer means, one mapping a band; a value that is missing is no data.
    multilook : int
        The pixel in the middle of so many along each side is taken.
    """

    dtype = "uint8"
    nodata = 255.0

    def __init__(
        self,
        grid: Grid,
        bands: Sequence[Band],
        layers: Sequence[Variable],
        tables: Sequence[Mapping[int, int]],
        multilook: int = 1,
    ) -> None:
        self._native, self._looks = grid, multilook
        self._layers, self._tables = tuple(layers), [Table(table) for table in tables]
        self.grid = grid.coarser(multilook) if multilook > 1 else grid
        self.bands = tuple(bands)
        self.strip_rows = strip_rows(grid, multilook, max(v.block_rows for v in layers))
        self.unknown: Counter[str] = Counter()

    def read(self, window: Window) -> np.ndarray:
        """Return (band, row, column), uint8; 255 where there is no data."""
        native = native_window(window, self._looks, self._native)
        out = np.empty((len(self.bands), window.rows, window.cols), dtype=np.uint8)
        shared = len(self._layers) == 1
        for number, layer in enumerate(self._layers):
            tables = self._tables if shared else self._tables[number : number + 1]
            values = middles(layer.read(native), self._looks)
            places = tables[0].places(values)
            for band, table in enumerate(tables, start=number):
                out[band] = table.meaning[places]
            strange = values[places == tables[0].nowhere]
            for value, pixels in _counts(strange[~np.isnan(strange)]):
                self.unknown[f"{layer.name}={value:g}"] += pixels
        return out


class Table:
    """What whole numbers mean; anything else is 255.

    Parameters
    ----------
    meaning : mapping
        Number to one byte.
    """

    def __init__(self, meaning: Mapping[int, int]) -> None:
        self._keys = np.array(sorted(meaning), dtype=np.float64)
        self.nowhere = len(self._keys)
        self.meaning = np.array([*(meaning[int(key)] for key in self._keys), 255], dtype=np.uint8)

    def places(self, values: np.ndarray) -> np.ndarray:
        """Return where in `meaning` values stand; `nowhere` (that is 255) for those that do not."""
        places = np.searchsorted(self._keys, values)
        known = np.append(self._keys, np.nan)[places] == values
        return np.where(known, places, self.nowhere)


def _counts(values: np.ndarray) -> list[tuple[float, int]]:
    """Return how often values occur, twenty of them at most."""
    strange, counts = np.unique(values, return_counts=True)
    return [(float(value), int(count)) for value, count in zip(strange[:20], counts[:20])]


def strip_rows(grid: Grid, looks: int, block_rows: int) -> int:
    """Return how many rows of the result are cheap to read together: whole blocks, bounded memory."""
    most = max(1, _STRIP_BYTES // (4 * grid.cols))
    rows = block_rows if 64 <= block_rows <= most else min(256, most)
    return max(1, rows // looks)


def native_window(window: Window, looks: int, grid: Grid) -> Window:
    """Return the file's pixels of a window of averaged ones."""
    wide = Window(window.row * looks, window.col * looks, window.rows * looks, window.cols * looks)
    return wide.intersection(grid.window)


def block_mean(values: np.ndarray, looks: int) -> np.ndarray:
    """Return the mean of the known pixels of blocks of `looks` x `looks`; blocks at the edge may be cut."""
    if looks == 1:
        return values
    known = np.isfinite(values)
    sums = _block_sum(np.where(known, values, 0.0).astype(np.float64), looks)
    counts = _block_sum(known.astype(np.float64), looks)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / np.where(counts > 0, counts, np.nan)


def _block_sum(values: np.ndarray, looks: int) -> np.ndarray:
    sums = np.add.reduceat(values, np.arange(0, values.shape[0], looks), axis=0)
    return np.add.reduceat(sums, np.arange(0, values.shape[1], looks), axis=1)


def middles(values: np.ndarray, looks: int) -> np.ndarray:
    """Return the middle pixel of blocks of `looks` x `looks`; of what is there, at the edge."""
    if looks == 1:
        return values

    def at(size: int) -> np.ndarray:
        starts = np.arange(0, size, looks)
        return starts + (np.minimum(starts + looks, size) - starts) // 2

    return values[np.ix_(at(values.shape[0]), at(values.shape[1]))]
