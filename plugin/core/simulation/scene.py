"""A simulated scene, made window by window.

The scene is a mosaic of fixed blocks; every block is a function of the seed and its place, and
windows are cut from blocks. So the bytes of a pixel do not depend on the windows asked for, and no
more than a few blocks are in memory whatever the size of the scene::

    scene = SimulatedScene(seed=7, rows=10_000, cols=10_000, pixel_size=80.0)
    backscatter = scene.backscatter(Window(0, 0, 200, 10_000))      # (2, 200, 10000), dB
    temperature = scene.brightness_temperature()                     # (14, 400, 400), K
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.ndimage import distance_transform_edt

from ...ground.errors import ParameterError
from ...ground.window import Window
from .backscatter import Backscatter
from .ice import LAND_CODE, ChartReader, Climate, IceGeography, Surface
from .noise import Axis
from .radiometry import CELL_SIZE, CHANNELS, MARGIN_CELLS, Radiometer

_Made = TypeVar("_Made")

BLOCK = 200
"""Side of the blocks a scene is made of, pixels."""

NO_DATA = 255
"""Chart value on land and where nothing is known."""

_SUBCELLS = 3  # the coastline is sampled at 3 x 3 places of a cell


class SimulatedScene:
    """Known ice, and what a radar and a radiometer see of it.

    Parameters
    ----------
    seed : int
        Same seed, size and pixel size: same scene, byte by byte.
    rows, cols : int
        Size of the radar image, pixels.
    pixel_size : float
        Size of a pixel, m.
    chart : callable, optional
        Reads windows of a real chart to follow: (row, column), %; 254 land, NaN or other values
        above 100 no data.
    summer : bool, optional
        Season by hand; drawn from the seed where None.

    Raises
    ------
    ParameterError
        A size that no scene can have.
    """

    def __init__(
        self,
        seed: int,
        rows: int,
        cols: int,
        pixel_size: float,
        chart: ChartReader | None = None,
        summer: bool | None = None,
    ) -> None:
        if rows < 1 or cols < 1:
            raise ParameterError(
                f"A scene of {rows} x {cols} pixels is empty: give ROWS and COLS of at least 1."
            )
        if not 10.0 <= pixel_size <= CELL_SIZE:
            raise ParameterError(f"PIXEL_SIZE is {pixel_size:g} m: give one from 10 to {CELL_SIZE:g} m.")
        self.rows, self.cols, self.pixel_size = rows, cols, float(pixel_size)
        self.seed = seed
        self.climate = Climate.draw(seed, summer)
        height, width = rows * self.pixel_size, cols * self.pixel_size
        self.geography = IceGeography(
            seed, self.climate, (height / 2.0, width / 2.0), max(height, width), self.pixel_size
        )
        self.radar = Backscatter(seed, self.climate, width, self.pixel_size)
        self.radiometer = Radiometer(seed, self.climate.summer)
        self._chart = chart
        # Two rows of blocks: a strip of full width is made once, whatever is asked of it.
        self._kept = max(16, 2 * -(-cols // BLOCK))
        self._surfaces: OrderedDict[tuple[int, int], Surface] = OrderedDict()
        self._backscatter: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()

    @property
    def window(self) -> Window:
        """The whole scene."""
        return Window(0, 0, self.rows, self.cols)

    @property
    def ratio(self) -> int:
        """Pixels along the side of a radiometer cell."""
        return max(1, round(CELL_SIZE / self.pixel_size))

    @property
    def cell_shape(self) -> tuple[int, int]:
        """Rows and columns of radiometer cells; the last ones may overhang the scene."""
        return -(-self.rows // self.ratio), -(-self.cols // self.ratio)

    def _axes(self, window: Window) -> tuple[Axis, Axis]:
        size = self.pixel_size
        return (
            Axis((window.row + 0.5) * size, size, window.rows),
            Axis((window.col + 0.5) * size, size, window.cols),
        )

    def _remembered(
        self, store: OrderedDict[tuple[int, int], _Made], key: tuple[int, int], make: Callable[[], _Made]
    ) -> _Made:
        """Return a block from `store`, made if need be; the least recently used blocks are dropped."""
        if key in store:
            store.move_to_end(key)
        else:
            store[key] = make()
            while len(store) > self._kept:
                store.popitem(last=False)
        return store[key]

    def _block_window(self, row: int, col: int) -> Window:
        # Whole blocks, also at the scene's edges: the draw of a pixel's speckle depends on its block's shape.
        return Window(row * BLOCK, col * BLOCK, BLOCK, BLOCK)

    def _chart_block(self, window: Window) -> np.ndarray | None:
        """Return the given chart over a block; what lies beyond the scene has no data."""
        if self._chart is None:
            return None
        inside = window.intersection(self.window)
        values = np.full((window.rows, window.cols), np.nan, dtype=np.float32)
        values[inside.slices(window)] = self._chart(inside)
        return values

    def _surface_block(self, row: int, col: int) -> Surface:
        def make() -> Surface:
            window = self._block_window(row, col)
            return self.geography.surface(*self._axes(window), chart=self._chart_block(window))

        return self._remembered(self._surfaces, (row, col), make)

    def _backscatter_block(self, row: int, col: int) -> np.ndarray:
        def make() -> np.ndarray:
            surface = self._surface_block(row, col)
            axes = self._axes(self._block_window(row, col))
            return self.radar.observe(*axes, surface.classes, surface.concentration, (row, col))

        return self._remembered(self._backscatter, (row, col), make)

    def _assembled(
        self,
        window: Window,
        arrays: tuple[np.ndarray, ...],
        block: Callable[[int, int], tuple[np.ndarray, ...]],
    ) -> None:
        """Fill `arrays` (…, row, column) over `window` from the blocks that `block(row, col)` returns."""
        blocks = window.intersection(self.window).coarser(BLOCK)
        for row in range(blocks.row, blocks.row_stop):
            for col in range(blocks.col, blocks.col_stop):
                place = self._block_window(row, col)
                shared = place.intersection(window)
                for array, values in zip(arrays, block(row, col)):
                    array[(..., *shared.slices(window))] = values[(..., *shared.slices(place))]

    def surface(self, window: Window) -> Surface:
        """Return concentration, type and pixel classes over `window` (inside the scene)."""
        shape = (window.rows, window.cols)
        surface = Surface(np.empty(shape, np.float32), np.empty(shape, np.uint8), np.empty(shape, np.uint8))

        def block(row: int, col: int) -> tuple[np.ndarray, ...]:
            made = self._surface_block(row, col)
            return made.concentration, made.icetype, made.classes

        self._assembled(window, (surface.concentration, surface.icetype, surface.classes), block)
        return surface

    def backscatter(self, window: Window) -> np.ndarray:
        """Return HH and HV over `window` (inside the scene): (2, row, column) float32, dB."""
        values = np.empty((2, window.rows, window.cols), np.float32)
        self._assembled(window, (values,), lambda row, col: (self._backscatter_block(row, col),))
        return values

    def chart(self, window: Window) -> np.ndarray:
        """Return what an analyst would chart: (2, row, column) uint8, 255 on land and without data.

        The first band is the concentration in whole %, the second the ice type: 0 open water (under
        15 %), 1 young, 2 first-year, 3 multi-year.
        """
        surface = self.surface(window)
        percent = np.where(
            np.isfinite(surface.concentration), np.rint(100.0 * surface.concentration), NO_DATA
        )
        return np.stack([percent.astype(np.uint8), surface.icetype])

    def _chart_fractions(self, chart: Callable[[Window], np.ndarray], row: int) -> np.ndarray:
        """Return mean concentration of the sea, share of land and share known of one row of cells: (3, C)."""
        ratio = self.ratio
        strip = Window(row * ratio, 0, ratio, self.cols).intersection(self.window)
        values = chart(strip)
        land = values == LAND_CODE
        sea = (values >= 0.0) & (values <= 100.0)
        starts = np.arange(0, self.cols, ratio)

        def per_cell(array: np.ndarray) -> np.ndarray:
            return np.add.reduceat(array.sum(axis=0, dtype=np.float64), starts)

        count, sea_count, land_count = per_cell(np.ones_like(sea)), per_cell(sea), per_cell(land)
        ice = per_cell(np.where(sea, values, 0.0)) / 100.0
        return np.stack(
            [
                ice / np.maximum(sea_count, 1.0),
                land_count / np.maximum(sea_count + land_count, 1.0),
                (sea_count + land_count) / count,
            ]
        )

    def cell_fractions(self, margin: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the shares of water, young, first-year, multi-year ice and land in each cell.

        Returns
        -------
        fractions : numpy.ndarray
            (5, R + 2 margin, C + 2 margin) float64, sum 1: the expected shares, that is the smooth fields
            and not the floes.
        known : numpy.ndarray
            (R, C) bool: at least half of the cell lies where a given chart has data.
        """
        shape = self.cell_shape
        rows, cols = self.cell_axes(margin)
        closeness = self.geography.closeness(rows, cols)
        if self._chart is None:
            concentration = self.geography.concentration(rows, cols, closeness).astype(np.float64)
            land = self._land_share(rows, cols)
            known = np.ones(shape, dtype=bool)
        else:
            cells = np.stack([self._chart_fractions(self._chart, row) for row in range(shape[0])], axis=1)
            known = cells[2] >= 0.5
            concentration, land = self._extended(cells[:2], cells[2] > 0.0, margin)
        types = self.geography.type_fractions(self.geography.stage(rows, cols, closeness))
        sea = 1.0 - land
        return np.stack([sea * (1.0 - concentration), *(sea * concentration * types), land]), known

    def _land_share(self, rows: Axis, cols: Axis) -> np.ndarray:
        """Return the share of land in each cell, from places within it."""

        def finer(axis: Axis) -> Axis:
            step = axis.step / _SUBCELLS
            return Axis(axis.start - axis.step / 2.0 + step / 2.0, step, axis.count * _SUBCELLS)

        land = self.geography.land(finer(rows), finer(cols))
        return land.reshape(rows.count, _SUBCELLS, cols.count, _SUBCELLS).mean(axis=(1, 3))

    @staticmethod
    def _extended(values: np.ndarray, known: np.ndarray, margin: int) -> np.ndarray:
        """Return (n, R, C) `values` carried on from the nearest known cell, beyond the scene too."""
        known = np.pad(known, margin)
        values = np.pad(values, ((0, 0), (margin, margin), (margin, margin)))
        if not known.any():
            return np.zeros_like(values)
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        return values[:, nearest[0], nearest[1]]

    def cell_axes(self, margin: int = 0) -> tuple[Axis, Axis]:
        """Return the positions of the cell centres, with `margin` cells more on each side."""
        size = self.ratio * self.pixel_size
        rows, cols = (Axis((0.5 - margin) * size, size, count + 2 * margin) for count in self.cell_shape)
        return rows, cols

    def brightness_temperature(self) -> np.ndarray:
        """Return the 14 channels on the scene's cells: (14, R, C) float32 in K, NaN without data."""
        margin = int(np.ceil(MARGIN_CELLS * CELL_SIZE / (self.ratio * self.pixel_size)))
        fractions, known = self.cell_fractions(margin)
        values = self.radiometer.observe(fractions, *self.cell_axes(margin), margin)
        if values.shape != (len(CHANNELS), *self.cell_shape):
            raise AssertionError("values.shape != (len(CHANNELS), *self.cell_shape)")
        values[:, ~known] = np.nan
        return values
