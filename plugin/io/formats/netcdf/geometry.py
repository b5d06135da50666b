"""Where the pixels of a NetCDF scene lie: tie points as ground control points, cells nested in pixels.

The files name tie points by the index of a line and a sample, from 0 to the last one. An index is
taken as the *centre* of its pixel: in pixel coordinates, whose (0, 0) is the corner of the first
pixel, index i lies at i + 0.5. The points are written in polar stereographic coordinates, because
programs that fit a polynomial through them err by kilometres in degrees near the pole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....ground.errors import SceneError
from ....ground.window import Window
from ...environment.crs import LONLAT, geodesic_length, mean_position, transform
from ...files.raster import environment
from ...geometry.grid import Grid, GroundControlPoint

NORTH, SOUTH = 3413, 3976
CENTRES = "tie-point index i is the centre of pixel i, 0.5 pixels from its corner"
RAW_PIXEL = 40.0  # m, of the images that ready-to-train files were averaged from


@dataclass(frozen=True)
class TiePoints:
    """Tie points of a scene.

    Parameters
    ----------
    row, col : numpy.ndarray
        (point,) pixel coordinates, (0, 0) at the corner of the first pixel.
    lon, lat : numpy.ndarray
        (point,) degrees.
    height : numpy.ndarray
        (point,) metres.
    """

    row: np.ndarray
    col: np.ndarray
    lon: np.ndarray
    lat: np.ndarray
    height: np.ndarray

    def grid(self, rows: int, cols: int, path: str) -> Grid:
        """Return the grid of an image of `rows` x `cols` pixels, in polar stereographic coordinates.

        Raises
        ------
        SceneError
            The points cannot place an image.
        """
        values = np.stack([self.row, self.col, self.lon, self.lat])
        if values.shape[1] < 3 or not np.isfinite(values).all():
            raise SceneError(
                f"{path} has no usable tie points: {values.shape[1]} points, "
                f"{int((~np.isfinite(values)).any(axis=0).sum())} without a place. Without them the scene "
                "cannot be placed: download the file again, or take another version of it."
            )
        if np.abs(self.lat).max() > 90.0 or np.abs(self.lon).max() > 360.0:
            raise SceneError(
                f"{path} has tie points that are no longitudes and latitudes (latitudes "
                f"{self.lat.min():g} to {self.lat.max():g}). The file is damaged: download it again."
            )
        if min(self.row.min(), self.col.min()) < -rows or (
            self.row.max() > 2.0 * rows or self.col.max() > 2.0 * cols
        ):
            raise SceneError(
                f"{path} has tie points far outside of its {rows} x {cols} pixels. The file is damaged, or "
                "was cut without its tie points: take the original one."
            )
        crs = polar_stereographic(mean_position(self.lon, self.lat)[1])
        x, y = transform(LONLAT, crs, self.lon, self.lat)
        heights = np.where(np.isfinite(self.height), self.height, 0.0)
        points = tuple(
            GroundControlPoint(*map(float, point)) for point in zip(self.row, self.col, x, y, heights)
        )
        try:
            grid = Grid(rows, cols, crs, gcps=points)
            grid.pixel_to_map(rows / 2, cols / 2)
        except (SceneError, ValueError) as error:
            raise SceneError(
                f"The tie points of {path} cannot be used: {error}. Download the file again."
            ) from error
        return grid

    def lattice(self, values: np.ndarray) -> Lattice | None:
        """Return `values` (point,) as a surface over the pixels; None where the points are no full lattice."""
        rows, row_index = np.unique(self.row, return_inverse=True)
        cols, col_index = np.unique(self.col, return_inverse=True)
        if len(rows) < 2 or len(cols) < 2 or len(rows) * len(cols) != len(values):
            return None
        nodes = np.full((len(rows), len(cols)), np.nan)
        nodes[row_index.ravel(), col_index.ravel()] = values
        return Lattice(rows, cols, nodes) if np.isfinite(nodes).all() else None

    def display_flip(self, grid: Grid) -> int:
        """Return the axis along which the image has to be turned over to look like a map: 0 or 1.

        A radar image is a mirror image of the map. Where the rows run north it looks right when
        turned upside down (0), where they run south when turned left to right (1).
        """
        lat = grid.pixel_to_lonlat(np.array([0.0, grid.rows]), np.array([grid.cols / 2] * 2))[1]
        return 0 if lat[1] > lat[0] else 1

    def mirrored(self, grid: Grid) -> bool:
        """Return whether the image is a mirror image of the map, as a right-looking radar takes it."""
        row, col = grid.rows / 2, grid.cols / 2
        step = max(1.0, min(grid.rows, grid.cols) / 4)
        x, y = grid.pixel_to_map(np.array([row, row + step, row]), np.array([col, col, col + step]))
        return bool((x[2] - x[0]) * (y[1] - y[0]) - (y[2] - y[0]) * (x[1] - x[0]) > 0)


@dataclass(frozen=True)
class Lattice:
    """Values known on a lattice of pixel coordinates, bilinear between, level outside.

    Parameters
    ----------
    rows, cols : numpy.ndarray
        Ascending pixel coordinates of the nodes.
    nodes : numpy.ndarray
        (row, column) values.
    """

    rows: np.ndarray
    cols: np.ndarray
    nodes: np.ndarray

    def read(self, window: Window) -> np.ndarray:
        """Return the values at the centres of the pixels of `window`, float32."""
        row = np.arange(window.row, window.row_stop) + 0.5
        col = np.arange(window.col, window.col_stop) + 0.5
        along = np.stack([np.interp(col, self.cols, line) for line in self.nodes])
        upper = np.clip(np.searchsorted(self.rows, row, side="right") - 1, 0, len(self.rows) - 2)
        share = (row - self.rows[upper]) / (self.rows[upper + 1] - self.rows[upper])
        share = np.clip(share, 0.0, 1.0)[:, None]
        return (along[upper] * (1.0 - share) + along[upper + 1] * share).astype(np.float32)


def listed(values: Mapping[str, np.ndarray]) -> TiePoints:
    """Return the tie points of lists of all of them, by name: line, sample, latitude, longitude, height."""
    ravelled = {name: np.ravel(array).astype(np.float64) for name, array in values.items()}
    height = ravelled.get("height", np.zeros_like(ravelled["line"]))
    return TiePoints(
        ravelled["line"] + 0.5,
        ravelled["sample"] + 0.5,
        ravelled["longitude"],
        ravelled["latitude"],
        height,
    )


def evenly_spread(
    lon: np.ndarray, lat: np.ndarray, rows: int, cols: int, pixel: float
) -> tuple[TiePoints, bool]:
    """Return tie points that are spread evenly over an image, and whether their axes were exchanged.

    The outermost ones are the centres of the outermost pixels of the image of 40 m that this one was
    averaged from. Their axes carry names the wrong way round, so that the size on the ground decides.

    Parameters
    ----------
    lon, lat : numpy.ndarray
        (line, sample) degrees, or (sample, line).
    rows, cols : int
        Size of the image.
    pixel : float
        Size of a pixel in metres.
    """

    def misfit(along: np.ndarray, across: np.ndarray) -> float:
        down = geodesic_length(along[0, 0], across[0, 0], along[-1, 0], across[-1, 0])
        right = geodesic_length(along[0, 0], across[0, 0], along[0, -1], across[0, -1])
        return float(
            abs(np.log(max(down, 1.0) / (rows * pixel))) + abs(np.log(max(right, 1.0) / (cols * pixel)))
        )

    exchanged = misfit(lon.T, lat.T) < misfit(lon, lat) - 0.02
    if exchanged:
        lon, lat = lon.T, lat.T
    edge = 0.5 * min(1.0, RAW_PIXEL / pixel)
    row, col = np.meshgrid(
        np.linspace(edge, rows - edge, lon.shape[0]),
        np.linspace(edge, cols - edge, lon.shape[1]),
        indexing="ij",
    )
    points = TiePoints(row.ravel(), col.ravel(), lon.ravel(), lat.ravel(), np.zeros(lon.size))
    return points, exchanged


def nested(fine: Grid, rows: int, cols: int, ratio: int) -> Grid:
    """Return the grid of `rows` x `cols` cells of `ratio` x `ratio` pixels from the first pixel on."""
    gcps = tuple(GroundControlPoint(g.row / ratio, g.col / ratio, g.x, g.y, g.z) for g in fine.points)
    return Grid(rows, cols, fine.crs, gcps=gcps)


def placed(fine: Grid, line: np.ndarray, sample: np.ndarray, path: str) -> Grid:
    """Return the grid of cells whose centres lie at the given pixel indices of `fine`.

    Parameters
    ----------
    fine : Grid
        The pixels.
    line, sample : numpy.ndarray
        Indices of pixels, ascending; steps may differ.
    path : str
        For messages.

    Raises
    ------
    SceneError
        The indices do not ascend.
    """
    axes = []
    for name, index, points in (
        ("line", line, [g.row for g in fine.points]),
        ("sample", sample, [g.col for g in fine.points]),
    ):
        if len(index) < 2 or not np.isfinite(index).all() or not (np.diff(index) > 0).all():
            raise SceneError(
                f"In {path} the axis '{name}' of the radiometer's cells does not ascend. The file is damaged: "
                "download it again."
            )
        cells, pixels = np.arange(len(index)) + 0.5, index + 0.5
        # A node wherever a tie point lies and wherever the step changes: nothing bends in between.
        bends = cells[1:-1][np.abs(np.diff(pixels, 2)) > 1e-6 * np.diff(pixels)[1:]]
        nodes = np.unique(np.concatenate([_along(np.unique(points), pixels, cells), bends]))
        axes.append((nodes, _along(nodes, cells, pixels)))
    (cell_row, row), (cell_col, col) = axes
    x, y = fine.pixel_to_map(*np.meshgrid(row, col, indexing="ij"))
    at_row, at_col = np.meshgrid(cell_row, cell_col, indexing="ij")
    gcps = tuple(
        GroundControlPoint(*map(float, point))
        for point in zip(at_row.ravel(), at_col.ravel(), x.ravel(), y.ravel())
    )
    return Grid(len(line), len(sample), fine.crs, gcps=gcps)


def _along(at: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return `values` at `at`, linear between the known places, and beyond the outermost ones."""
    at = np.asarray(at, dtype=np.float64)
    interpolated = np.interp(at, known, values)
    first, last = (
        (values[1] - values[0]) / (known[1] - known[0]),
        (values[-1] - values[-2]) / (known[-1] - known[-2]),
    )
    interpolated = np.where(at < known[0], values[0] + (at - known[0]) * first, interpolated)
    return np.where(at > known[-1], values[-1] + (at - known[-1]) * last, interpolated)


def polar_stereographic(lat: float) -> str:
    """Return the polar stereographic CRS of a hemisphere as WKT."""
    from rasterio.crs import CRS

    with environment():
        return CRS.from_epsg(NORTH if lat >= 0 else SOUTH).to_wkt()
