"""Which zone every pixel belongs to: polygons from a layer, or regular squares.

Polygons are turned vertex by vertex into pixel coordinates of the grid, with edges dense enough
to stay straight in their own CRS, and rasterised window by window; a pixel belongs to the polygon
that its centre lies in, to the last one where several overlap, and a point to its one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rasterio.features import rasterize
from rasterio.transform import Affine

from ...ground.errors import SceneError
from ...ground.window import Window
from ..environment.crs import LONLAT, is_projected, mean_position, parse_crs, transform
from .grid import Grid
from .vector import Polygons, parts_of, polygon_wkb

NO_ZONE = -1
_MARGIN = 2.0  # pixels around the image that clipped polygons keep
_LONGEST_EDGE_PX = 32.0
_EARTH_M = 1e9  # map coordinates of all places but those about the point opposite to a map's centre are less
_PIECES_ON_EARTH = 4096  # more than an edge of 100,000 km or 1000 degrees has
_MOST_PIECES = 1 << 17  # of all longer edges together


class PolygonIndex:
    """Polygons over the pixels of a grid.

    Parameters
    ----------
    polygons : Polygons
        In any CRS; edges are straight there. In longitudes and latitudes an edge longer than 180
        degrees goes the short way across the antimeridian, unless it belongs to an upright rectangle.
    grid : Grid
        Whose pixels.
    """

    def __init__(self, polygons: Polygons, grid: Grid) -> None:
        self.grid, self.polygons = grid, polygons
        self.count = len(polygons.wkb)
        self.names = polygons.names or tuple(str(number) for number in range(1, self.count + 1))
        self._shapes: list[tuple[dict, int, np.ndarray]] = []  # geometry, zone, (low, high) as (row, col)
        self._points: list[tuple[int, int, int]] = []  # row, col, zone
        place = _Place(grid, polygons.crs)
        for zone, wkb in enumerate(polygons.wkb):
            parts, points = parts_of(wkb)
            if not is_projected(polygons.crs):
                _check_degrees([ring for part in parts for ring in part], points)
            for part in parts:
                for rings in place.pixels(part):
                    self._add(rings, zone)
            for x, y in points:
                row, col = place.point(x, y)
                if 0 <= row < grid.rows and 0 <= col < grid.cols:
                    self._points.append((int(row), int(col), zone))

    def _add(self, rings: list[np.ndarray], zone: int) -> None:
        if rings:
            vertices = np.concatenate(rings)
            geometry = {"type": "Polygon", "coordinates": [ring[:, ::-1].tolist() for ring in rings]}
            self._shapes.append((geometry, zone, np.stack([vertices.min(axis=0), vertices.max(axis=0)])))

    @cached_property
    def window(self) -> Window:
        """The pixels around all polygons and points; empty where none touches the image."""
        boxes = [box for _, _, box in self._shapes]
        boxes += [np.array([(row, col), (row + 1, col + 1)]) for row, col, _ in self._points]
        if not boxes:
            return Window(0, 0, 0, 0)
        low = np.floor(np.min([box[0] for box in boxes], axis=0) + 1e-6).astype(int)
        high = np.ceil(np.max([box[1] for box in boxes], axis=0) - 1e-6).astype(int)
        around = Window(
            int(low[0]), int(low[1]), max(0, int(high[0] - low[0])), max(0, int(high[1] - low[1]))
        )
        inside = around.intersection(self.grid.window)
        return Window(0, 0, 0, 0) if inside.empty else inside

    def zones(self, window: Window) -> np.ndarray:
        """Return the number of each pixel's polygon, counted from 0: (row, column), int32; -1 outside of all."""
        out = np.full((window.rows, window.cols), NO_ZONE, dtype=np.int32)
        low, high = (window.row, window.col), (window.row_stop, window.col_stop)
        shapes = [
            (geometry, zone)
            for geometry, zone, box in self._shapes
            if (box[0] < high).all() and (box[1] > low).all()
        ]
        if shapes and not window.empty:
            rasterize(shapes, out=out, transform=Affine.translation(window.col, window.row))
        for row, col, zone in self._points:
            if window.row <= row < window.row_stop and window.col <= col < window.col_stop:
                out[row - window.row, col - window.col] = zone
        return out

    def mask(self, window: Window) -> np.ndarray:
        """Return whether each pixel lies in a polygon: (row, column), bool."""
        return self.zones(window) != NO_ZONE


class _Place:
    """Turns polygons of one CRS into pixel coordinates of one grid.

    Vertices far away (a land polygon may span half the Earth) have no exact pixel in every
    geometry. They are placed in a stereographic plane about the image instead, from which only the
    opposite point of the Earth is missing; a polygon that contains that point comes out inverted,
    as a few test points show.
    """

    def __init__(self, grid: Grid, crs: str) -> None:
        self._grid, self._crs = grid, crs
        self._projected = is_projected(crs)
        self._step = 25_000.0 / _metres(crs) if self._projected else 0.25
        row, col = (
            axis.ravel()
            for axis in np.meshgrid(
                np.linspace(0, grid.rows, 17), np.linspace(0, grid.cols, 17), indexing="ij"
            )
        )
        lon, lat = grid.pixel_to_lonlat(row, col)
        known = np.isfinite(lon)
        row, col, lon, lat = row[known], col[known], lon[known], lat[known]
        lon_0, lat_0 = np.radians(mean_position(lon, lat))
        self._centre = np.array([np.cos(lat_0) * np.cos(lon_0), np.cos(lat_0) * np.sin(lon_0), np.sin(lat_0)])
        self._east = np.array([-np.sin(lon_0), np.cos(lon_0), 0.0])
        self._north = np.cross(self._centre, self._east)
        # Off by some 50 km, lest the opposite point lie on a meridian or parallel that bounds a polygon.
        centre = self._centre + 0.0071 * self._east + 0.0043 * self._north
        self._centre = centre / np.linalg.norm(centre)
        self._east -= (self._east @ self._centre) * self._centre
        self._east /= np.linalg.norm(self._east)
        self._north = np.cross(self._centre, self._east)
        away = np.degrees(np.arccos(np.clip(_unit(lon, lat) @ self._centre, -1, 1)))
        self._near = 2 * away.max() + 2.0  # degrees
        # A geographic grid is its own plane: there longitudes only have to be counted on.
        self._geographic = grid.transform is not None and not is_projected(grid.crs)
        design = np.column_stack([np.ones(len(row)), self._stereographic(lon, lat)])
        self._fit = np.linalg.lstsq(design, np.column_stack([row, col]), rcond=None)[0]
        middle = slice(None, None, max(1, len(row) // 9))
        self._tests = np.column_stack([row[middle], col[middle]]), np.column_stack([lon[middle], lat[middle]])

    def point(self, x: float, y: float) -> tuple[float, float]:
        row, col = self._grid.lonlat_to_pixel(*transform(self._crs, LONLAT, np.array([x]), np.array([y])))
        return float(row[0]), float(col[0])

    def pixels(self, part: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the polygon as rings of pixel coordinates (vertex, row col), clipped to the image.

        There may be several: a geographic grid meets a polygon again after a whole turn.
        """
        if not self._projected:
            part = _unwrapped(part)
        else:
            part = [_on_earth(ring, _EARTH_M / _metres(self._crs)) for ring in part]
        rings, far = [], False
        for ring in part:
            if len(ring) < 4:
                continue
            dense = _densified(ring, _pieces(ring, self._step))
            pixels, lonlat = self._convert(dense)
            dense = _densified(dense, self._lengths(pixels))
            pixels, lonlat = self._convert(dense)
            keep = np.isfinite(pixels).all(axis=1)
            far = far or bool((_unit(*lonlat[keep].T) @ self._centre < 0).any())
            if keep.sum() > 3:
                rings.append(pixels[keep])
        if not rings:
            return []
        if self._geographic:
            across = self._grid.affine.a
            turn = abs(360.0 / across) if across else 0.0
            turned = [
                [ring + np.array([0.0, k * turn]) for ring in rings] for k in ((-1, 0, 1) if turn else (0,))
            ]
        else:
            inverted = far and self._inverted(part, rings)
            turned = [[*rings, self._frame(2 * _MARGIN)] if inverted else rings]
        low = (-_MARGIN, -_MARGIN)
        high = (self._grid.rows + _MARGIN, self._grid.cols + _MARGIN)
        clipped = [[_clipped(ring, low, high) for ring in polygon] for polygon in turned]
        return [kept for polygon in clipped if (kept := [ring for ring in polygon if len(ring) > 3])]

    def _frame(self, margin: float) -> np.ndarray:
        bottom, right = self._grid.rows + margin, self._grid.cols + margin
        return np.array(
            [(-margin, -margin), (-margin, right), (bottom, right), (bottom, -margin), (-margin, -margin)]
        )

    def _stereographic(self, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        direction = _unit(lon, lat)
        depth = np.maximum(1 + direction @ self._centre, 1e-9)
        return np.column_stack([direction @ self._east, direction @ self._north]) / depth[:, None]

    def _convert(self, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel coordinates (vertex, row col) and longitudes and latitudes (vertex, 2)."""
        lon, lat = transform(self._crs, LONLAT, ring[:, 0], ring[:, 1])
        lonlat = np.column_stack([lon, lat])
        if self._geographic:
            x, y = transform(LONLAT, self._grid.crs, lon, lat)
            known = np.isfinite(x)
            x[known] = np.unwrap(x[known], period=360.0)
            a, b, c, d, e, f = tuple(~self._grid.affine)[:6]
            return np.column_stack([d * x + e * y + f, a * x + b * y + c]), lonlat
        design = np.column_stack([np.ones(len(lon)), self._stereographic(lon, lat)])
        pixels = design @ self._fit
        away = np.degrees(np.arccos(np.clip(_unit(lon, lat) @ self._centre, -1, 1)))
        near = away < self._near
        if near.any():
            exact = np.column_stack(self._grid.lonlat_to_pixel(lon[near], lat[near]))
            known = np.isfinite(exact).all(axis=1)
            pixels[np.flatnonzero(near)[known]] = exact[known]
        return pixels, lonlat

    def _lengths(self, pixels: np.ndarray) -> np.ndarray:
        """Return into how many pieces each edge is cut, (edge,): only those in sight of the image are."""
        size = np.array([self._grid.rows, self._grid.cols])
        low = np.minimum(pixels[:-1], pixels[1:])
        high = np.maximum(pixels[:-1], pixels[1:])
        with np.errstate(invalid="ignore"):
            seen = ((low < size + 64) & (high > -64)).all(axis=1)
            pieces = np.ceil(np.hypot(*(high - low).T) / _LONGEST_EDGE_PX)
        return np.where(seen & np.isfinite(pieces), np.clip(pieces, 1, 256), 1).astype(int)

    def _inverted(self, part: list[np.ndarray], rings: list[np.ndarray]) -> bool:
        pixels, lonlat = self._tests
        x, y = transform(LONLAT, self._crs, *lonlat.T)
        turns = (0.0,) if self._projected else (-360.0, 0.0, 360.0)
        truth = np.any([_inside(part, x + turn, y) for turn in turns], axis=0)
        is_inside = _inside(rings, *pixels.T)
        return bool((truth != is_inside).mean() > 0.5)


def _check_degrees(rings: list[np.ndarray], points: list[tuple[float, float]]) -> None:
    """Refuse coordinates that are no longitudes and latitudes: mostly metres under the wrong name."""
    for ring in [*rings, np.array(points, dtype=float).reshape(-1, 2)]:
        wrong = ring[(np.abs(ring[:, 0]) > 540.0) | (np.abs(ring[:, 1]) > 90.0 + 1e-6)]
        if len(wrong):
            x, y = wrong[0]
            raise SceneError(
                f"The polygons are said to be in degrees, but one has a vertex at ({x:g}, {y:g}). Set the layer's own "
                "coordinate reference system."
            )


def _unit(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    lam, phi = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def _metres(crs: str) -> float:
    axes = parse_crs(crs).axis_info
    return axes[0].unit_conversion_factor if axes else 1.0


def _unwrapped(part: list[np.ndarray]) -> list[np.ndarray]:
    """Return rings in degrees whose longitudes run on across the antimeridian."""
    outer = part[0]
    upright = len(outer) == 5 and all((a == b).any() for a, b in zip(outer[:-1], outer[1:]))
    if upright or not any((np.abs(np.diff(ring[:, 0])) > 180).any() for ring in part):
        return part
    rings = [np.column_stack([np.unwrap(ring[:, 0], period=360.0), ring[:, 1]]) for ring in part]
    middle = rings[0][:, 0].mean()
    turns = [360.0 * np.round((middle - ring[:, 0].mean()) / 360.0) for ring in rings]
    return [ring + np.array([turn, 0.0]) for ring, turn in zip(rings, turns)]


def _on_earth(ring: np.ndarray, limit: float) -> np.ndarray:
    """Return the ring without what lies beyond `limit`: other programs write 1e30 and the like for a pole."""
    if np.abs(ring).max(initial=0.0) <= limit:
        return ring
    finite = np.clip(ring, -1e100, 1e100)  # differences stay numbers
    return _clipped(finite, (-limit, -limit), (limit, limit))


def _pieces(ring: np.ndarray, step: float) -> np.ndarray:
    """Return into how many pieces each edge is cut, (edge,), so that none is longer than `step`.

    There are at most some 130,000 on the edges that are longer than any on the Earth: there pieces are longer, too.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        pieces = np.nan_to_num(np.ceil(np.hypot(*np.diff(ring, axis=0).T) / step), nan=1.0)
    most = max(2.0, _MOST_PIECES / max(1, np.count_nonzero(pieces > _PIECES_ON_EARTH)))
    return np.clip(pieces, 1, np.where(pieces > _PIECES_ON_EARTH, most, pieces)).astype(int)


def _densified(ring: np.ndarray, pieces: np.ndarray) -> np.ndarray:
    """Return the ring with every edge cut into its number of `pieces`, (edge,)."""
    edges = np.diff(ring, axis=0)
    if (pieces == 1).all():
        return ring
    first = np.repeat(np.arange(len(edges)), pieces)
    within = np.arange(len(first)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    share = (within / pieces[first])[:, None]
    return np.vstack([ring[first] + share * edges[first], ring[-1:]])


def _clipped(ring: np.ndarray, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Return the ring cut to a box, one side after the other (Sutherland and Hodgman 1974), closed."""
    for axis in (0, 1):
        for sign, limit in ((1.0, low[axis]), (-1.0, high[axis])):
            depth = sign * (ring[:, axis] - limit)
            inside = depth >= 0
            if inside.all():
                continue
            if not inside.any():
                return np.empty((0, 2))
            a, b = ring[:-1], ring[1:]
            crossing = inside[:-1] != inside[1:]
            with np.errstate(divide="ignore", invalid="ignore"):
                share = (depth[:-1] / (depth[:-1] - depth[1:]))[:, None]
            cut = a + np.where(crossing[:, None], share, 0) * (b - a)
            cut[crossing, axis] = limit
            both = np.stack([a, cut], axis=1)  # each vertex, then the cut of the edge after it
            keep = np.stack([inside[:-1], crossing], axis=1)
            ring = both[keep]
            ring = np.vstack([ring, ring[:1]])
    return ring


def _inside(rings: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return whether points lie in the rings by the even-odd rule: (point,), bool."""
    odd = np.zeros(len(x), dtype=bool)
    for ring in rings:
        (x_1, y_1), (x_2, y_2) = ring[:-1].T, ring[1:].T
        for number, (px, py) in enumerate(zip(x, y)):
            between = (y_1 > py) != (y_2 > py)
            at = x_1[between] + (py - y_1[between]) / (y_2[between] - y_1[between]) * (
                x_2[between] - x_1[between]
            )
            odd[number] ^= bool((at > px).sum() % 2)
    return odd


@dataclass(frozen=True)
class ZoneGrid:
    """A scene cut into equal blocks of pixels, with no sliver left over at an edge.

    Parameters
    ----------
    grid : Grid
        Whose pixels.
    shape : tuple of int
        Rows and columns of zones.
    """

    grid: Grid
    shape: tuple[int, int]

    @property
    def count(self) -> int:
        """Number of zones."""
        return self.shape[0] * self.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """``row-column`` of each zone, counted from 1."""
        return tuple(f"{i + 1}-{j + 1}" for i in range(self.shape[0]) for j in range(self.shape[1]))

    def zones(self, window: Window) -> np.ndarray:
        """Return the number of each pixel's zone, counted from 0, row by row: (row, column), int32."""
        row = np.arange(window.row, window.row_stop) * self.shape[0] // self.grid.rows
        col = np.arange(window.col, window.col_stop) * self.shape[1] // self.grid.cols
        return (row[:, None] * self.shape[1] + col).astype(np.int32)

    def polygons(self) -> Polygons:
        """Return the outlines, with dense vertices, in the grid's projected CRS or a polar stereographic one."""
        crs = self.grid.crs
        if not is_projected(crs):
            _, lat = self.grid.pixel_to_lonlat(self.grid.rows / 2, self.grid.cols / 2)
            crs = parse_crs("EPSG:3413" if lat >= 0 else "EPSG:3976").to_wkt()
        share = np.linspace(0, 1, 9)
        top = np.column_stack([np.zeros(8), share[:-1]])
        sides = [
            top,
            top[:, ::-1] * (1, 0) + (0, 1),
            (1, 1) - top,
            np.column_stack([1 - share[:-1], np.zeros(8)]),
        ]
        outline = np.vstack([*sides, top[:1]])  # (vertex, row col) of a unit square
        # The first pixel of each zone: the least r with r * zones // pixels = zone.
        rows, cols = (
            -(-np.arange(zones + 1) * pixels // zones)
            for zones, pixels in zip(self.shape, (self.grid.rows, self.grid.cols))
        )
        outlines = []
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                low = np.array([rows[i], cols[j]])
                outlines.append(low + outline * (rows[i + 1] - rows[i], cols[j + 1] - cols[j]))
        row, col = np.concatenate(outlines).T
        if crs == self.grid.crs:
            x, y = self.grid.pixel_to_map(row, col)
        else:
            x, y = transform(LONLAT, crs, *self.grid.pixel_to_lonlat(row, col))
        rings = np.column_stack([x, y]).reshape(self.count, len(outline), 2)
        return Polygons(tuple(polygon_wkb([ring]) for ring in rings), crs, self.names)


def regular_zones(grid: Grid, size_km: float) -> ZoneGrid:
    """Return equal zones whose sides come as close to `size_km` kilometres as whole zones allow."""
    pixels = size_km * 1000.0 / grid.pixel_size()
    down, across = (min(length, max(1, round(length / pixels))) for length in (grid.rows, grid.cols))
    return ZoneGrid(grid, (down, across))
