"""Where the pixels of a raster lie: an affine transform or ground control points, and a CRS.

A grid is a value. Pixel coordinates are (row, col) floats with (0, 0) at the upper-left corner of
the first pixel, so the centre of pixel (i, j) is (i + 0.5, j + 0.5)::

    grid = Grid.from_file("scene.tif")
    lon, lat = grid.pixel_to_lonlat(0.5, 0.5)
    grid.lonlat_to_pixel(lon, lat)            # (0.5, 0.5) again
    grid.coarser(50)                          # the cells of 50 x 50 pixels

Ground control points are interpolated in their mesh, in a plane that touches the Earth amid
them: neither a pole nor the antimeridian is special.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from rasterio.transform import Affine

from ...ground.errors import SceneError
from ...ground.window import Window
from ..environment.crs import (
    LONLAT,
    LocalPlane,
    geodesic_length,
    is_projected,
    parse_crs,
    same_crs,
    transform,
)
from ..files.raster import READ_ERRORS, Raster, environment, open_raster
from .mesh import Mesh

Coordinates = tuple[np.ndarray, np.ndarray]

# Share of a coarse pixel by which two geometries may differ and still count as nested.
NESTING_TOLERANCE = 0.01


@dataclass(frozen=True)
class GroundControlPoint:
    """A pixel whose place is known.

    Parameters
    ----------
    row, col : float
        Pixel coordinates, (0, 0) at the upper-left corner of the first pixel.
    x, y, z : float
        Map coordinates, x or longitude first, and height.
    """

    row: float
    col: float
    x: float
    y: float
    z: float = 0.0


@dataclass(frozen=True)
class Nesting:
    """How coarse pixels lie on fine ones: ``row_coarse = row * row_scale + row_offset``."""

    row_scale: float
    col_scale: float
    row_offset: float
    col_offset: float

    def coarse(self, row: ArrayLike, col: ArrayLike) -> Coordinates:
        """Return coarse pixel coordinates of fine ones."""
        return np.asarray(row) * self.row_scale + self.row_offset, np.asarray(
            col
        ) * self.col_scale + self.col_offset


@dataclass(frozen=True)
class Grid:
    """The geometry of a raster.

    Parameters
    ----------
    rows, cols : int
        Size in pixels.
    crs : str
        Coordinate reference system as WKT.
    transform : tuple of float, optional
        (a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f.
    gcps : tuple of GroundControlPoint, optional
        Ground control points; exactly one of `transform` and `gcps` is given.
    """

    rows: int
    cols: int
    crs: str
    transform: tuple[float, float, float, float, float, float] | None = None
    gcps: tuple[GroundControlPoint, ...] | None = None

    def __post_init__(self) -> None:
        if self.rows < 1 or self.cols < 1:
            raise ValueError(f"a grid cannot have {self.rows} x {self.cols} pixels")
        if (self.transform is None) == (self.gcps is None):
            raise ValueError("a grid has either a transform or ground control points")
        if not self.crs:
            raise ValueError("a grid needs a coordinate reference system")
        if self.transform is not None:
            object.__setattr__(self, "transform", tuple(float(value) for value in self.transform))
            a, b, _, d, e, _ = self.transform
            if not np.isfinite(self.transform).all() or a * e - b * d == 0:
                raise ValueError(f"the transform {self.transform} cannot be inverted")
        else:
            object.__setattr__(self, "gcps", tuple(self.points))

    def __getstate__(self) -> dict:
        """Leave cached meshes and planes behind: they are made again where they are needed."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict) -> None:
        """Restore the fields."""
        self.__dict__.update(state)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> Grid:
        """Return the geometry of a raster file.

        Raises
        ------
        SceneError
            The file cannot be read or has no georeferencing.
        """
        with open_raster(path) as raster:
            return cls.from_raster(raster)

    @classmethod
    def from_raster(cls, raster: Raster) -> Grid:
        """Return the geometry of an open raster.

        Raises
        ------
        SceneError
            The raster has no georeferencing, or one that cannot be used.
        """
        try:
            with environment():
                gcps, gcp_crs = raster.dataset.gcps
                crs = raster.dataset.crs
                affine = raster.dataset.transform
                # Serialised inside the environment too, where codes 3411 and 3412 keep their meaning.
                wkt = (crs.to_wkt() if crs else "") if affine != Affine.identity() else ""
                gcp_wkt = gcp_crs.to_wkt() if gcps and gcp_crs else ""
        except READ_ERRORS as error:
            raise SceneError(
                f"The georeferencing of {raster.path} cannot be read ({error}). Assign it again."
            ) from error
        if affine == Affine.identity() and not gcps:
            raise SceneError(
                f"{raster.path} has no georeferencing: neither a transform nor ground control points. "
                "Georeference it in QGIS (Georeferencer); of a Sentinel-1, ASIP or AI4Arctic product give the product "
                "itself to 'Import scene'."
            )
        if not (gcp_wkt if affine == Affine.identity() else wkt):
            raise SceneError(
                f"{raster.path} has coordinates but no coordinate reference system. Assign the right one."
            )
        try:
            if affine != Affine.identity():
                grid = cls(raster.rows, raster.cols, wkt, transform=tuple(affine)[:6])
                parse_crs(grid.crs)
            else:
                points = tuple(GroundControlPoint(g.row, g.col, g.x, g.y, g.z or 0.0) for g in gcps)
                grid = cls(raster.rows, raster.cols, gcp_wkt, gcps=points)
                _ = grid._mesh
        except (SceneError, ValueError) as error:
            raise SceneError(f"The georeferencing of {raster.path} cannot be used: {error}.") from error
        return grid

    # Pixels, map and globe

    @cached_property
    def _plane(self) -> LocalPlane:
        return LocalPlane(
            self.crs, np.array([g.x for g in self.points]), np.array([g.y for g in self.points])
        )

    @cached_property
    def _mesh(self) -> Mesh:
        row, col, x, y = np.array([(g.row, g.col, g.x, g.y) for g in self.points]).T
        return Mesh(row, col, *self._plane.from_map(x, y))

    @property
    def points(self) -> tuple[GroundControlPoint, ...]:
        """The ground control points; none where there is a transform."""
        return self.gcps or ()

    @cached_property
    def affine(self) -> Affine:
        """The transform, of a grid that has one."""
        if self.transform is None:
            raise ValueError("a grid of ground control points has no transform")
        return Affine(*self.transform)

    @cached_property
    def _middle_x(self) -> float:
        return float((self.affine * (self.cols / 2, self.rows / 2))[0])

    def pixel_to_map(self, row: ArrayLike, col: ArrayLike) -> Coordinates:
        """Return map coordinates (x, y), float64, of pixel coordinates of any one shape."""
        row, col = np.asarray(row, dtype=np.float64), np.asarray(col, dtype=np.float64)
        if self.transform is None:
            return self._plane.to_map(*self._mesh.forward(row, col))
        a, b, c, d, e, f = self.transform
        return a * col + b * row + c, d * col + e * row + f

    def map_to_pixel(self, x: ArrayLike, y: ArrayLike) -> Coordinates:
        """Return pixel coordinates (row, col), float64, of map coordinates; NaN where there is none."""
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        if self.transform is None:
            return self._mesh.inverse(*self._plane.from_map(x, y))
        if not is_projected(self.crs):
            # 185 degrees east is 175 west: take the turn that is nearest to the raster's middle.
            x = self._middle_x + (x - self._middle_x + 180.0) % 360.0 - 180.0
        a, b, c, d, e, f = (float(value) for value in tuple(~self.affine)[:6])
        return d * x + e * y + f, a * x + b * y + c

    def pixel_to_lonlat(self, row: ArrayLike, col: ArrayLike) -> Coordinates:
        """Return WGS 84 longitudes and latitudes in degrees, float64, of pixel coordinates."""
        return transform(self.crs, LONLAT, *self.pixel_to_map(row, col))

    def lonlat_to_pixel(self, lon: ArrayLike, lat: ArrayLike) -> Coordinates:
        """Return pixel coordinates (row, col) of WGS 84 longitudes and latitudes; NaN where there is none."""
        return self.map_to_pixel(*transform(LONLAT, self.crs, lon, lat))

    def pixels_in(self, other: Grid, row: ArrayLike, col: ArrayLike) -> Coordinates:
        """Return where pixel coordinates of this grid lie in `other`, as (row, col); NaN where nowhere."""
        if same_crs(self.crs, other.crs):
            return other.map_to_pixel(*self.pixel_to_map(row, col))
        return other.lonlat_to_pixel(*self.pixel_to_lonlat(row, col))

    # Other grids

    @property
    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.rows, self.cols)

    def coarser(self, ratio: int) -> Grid:
        """Return the grid of the cells of `ratio` x `ratio` pixels; the last cells may stick out."""
        rows, cols = -(-self.rows // ratio), -(-self.cols // ratio)
        if self.transform is not None:
            return replace(self, rows=rows, cols=cols, transform=tuple(self.affine * Affine.scale(ratio))[:6])
        gcps = tuple(replace(g, row=g.row / ratio, col=g.col / ratio) for g in self.points)
        return replace(self, rows=rows, cols=cols, gcps=gcps)

    def subset(self, window: Window) -> Grid:
        """Return the grid of the pixels of `window`."""
        if window == self.window:
            return self
        if self.transform is not None:
            moved = self.affine * Affine.translation(window.col, window.row)
            return replace(self, rows=window.rows, cols=window.cols, transform=tuple(moved)[:6])
        # All points stay, those outside of the window too: the mesh inside is then the same.
        gcps = tuple(replace(g, row=g.row - window.row, col=g.col - window.col) for g in self.points)
        return replace(self, rows=window.rows, cols=window.cols, gcps=gcps)

    def pixel_size(self) -> float:
        """Return the size of a pixel on the ground in metres: at the centre, mean of rows and columns."""
        row, col = self.rows / 2, self.cols / 2
        # A tenth of the raster: a single pixel is at the mercy of rounding.
        down, right = max(1.0, self.rows / 10), max(1.0, self.cols / 10)
        rows = np.array([row - down / 2, row + down / 2, row, row])
        cols = np.array([col, col, col - right / 2, col + right / 2])
        lon, lat = self.pixel_to_lonlat(rows, cols)
        return 0.5 * (
            geodesic_length(lon[0], lat[0], lon[1], lat[1]) / down
            + geodesic_length(lon[2], lat[2], lon[3], lat[3]) / right
        )

    def nesting(self, coarse: Grid) -> Nesting | None:
        """Return how the pixels of `coarse` lie on those of this grid, or None where they are askew.

        Cells need not be whole pixels; the two geometries may differ by a hundredth of a coarse pixel.
        """
        row, col = (
            axis.ravel()
            for axis in np.meshgrid(np.linspace(0, self.rows, 9), np.linspace(0, self.cols, 9), indexing="ij")
        )
        coarse_row, coarse_col = self.pixels_in(coarse, row, col)
        if not (np.isfinite(coarse_row).all() and np.isfinite(coarse_col).all()):
            return None
        row_scale, row_offset = np.polyfit(row, coarse_row, 1)
        col_scale, col_offset = np.polyfit(col, coarse_col, 1)
        if row_scale <= 0 or col_scale <= 0:
            return None
        nesting = Nesting(float(row_scale), float(col_scale), float(row_offset), float(col_offset))
        fitted_row, fitted_col = nesting.coarse(row, col)
        error = max(np.abs(fitted_row - coarse_row).max(), np.abs(fitted_col - coarse_col).max())
        return nesting if error <= NESTING_TOLERANCE else None

    def same_as(self, other: Grid) -> bool:
        """Return whether both grids have the same pixels at the same places."""
        return not self.differences(other)

    def differences(self, other: Grid) -> list[str]:
        """Return what differs between two grids, field by field, in words; empty where nothing does.

        Numbers may differ by the rounding of files (1e-12 of the coordinates' size); CRSs are
        compared by meaning, the datum included.
        """
        texts = []
        if (self.rows, self.cols) != (other.rows, other.cols):
            texts.append(f"size {self.rows} x {self.cols} and {other.rows} x {other.cols}")
        if (self.transform is None) != (other.transform is None):
            texts.append("a transform and ground control points")
        elif self.transform is not None and other.transform is not None:
            corner = max(abs(self.transform[2]), abs(self.transform[5]), 1e-300)
            pixel = max(abs(value) for value in (self.transform[i] for i in (0, 1, 3, 4)))
            tolerance = np.array([pixel, pixel, corner + pixel, pixel, pixel, corner + pixel]) * 1e-12
            if (np.abs(np.subtract(self.transform, other.transform)) > tolerance).any():
                texts.append(f"transform {self.transform} and {other.transform}")
        elif len(self.points) != len(other.points):
            texts.append(f"{len(self.points)} and {len(other.points)} ground control points")
        else:
            ours, theirs = (
                np.array([(p.row, p.col, p.x, p.y, p.z) for p in grid.points]) for grid in (self, other)
            )
            apart = np.flatnonzero(~np.isclose(ours, theirs, rtol=1e-12, atol=1e-9).all(-1))
            if len(apart):
                first = apart[0]
                texts.append(
                    f"ground control point {first + 1}: {self.points[first]} and {other.points[first]}"
                )
        if not same_crs(self.crs, other.crs):
            texts.append(
                f"CRS {parse_crs(self.crs).name} on {parse_crs(self.crs).ellipsoid} and "
                f"{parse_crs(other.crs).name} on {parse_crs(other.crs).ellipsoid}"
            )
        return texts
