"""Ground control points as a mesh: pixel coordinates to plane coordinates and back, exactly inverse.

Points on a full lattice are interpolated bilinearly in its cells, all others linearly in their
Delaunay triangles. Up to a cell outside, the outermost cells go on; further out the affine map
fitted to all points does, so that every pixel coordinate has one place, and every place one pixel.
Nothing depends on the size of the image: the points of a part of an image give the same geometry.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay, QhullError, cKDTree

from ...ground.errors import SceneError

_CHUNK = 1 << 17
_TOLERANCE = 1e-8  # of a pixel


class Mesh:
    """An invertible map from pixels to a plane through given points.

    Parameters
    ----------
    row, col : numpy.ndarray
        (point,) pixel coordinates, float64.
    u, v : numpy.ndarray
        (point,) plane coordinates in metres, float64.

    Raises
    ------
    SceneError
        There are fewer than three points, they lie on a line, or they fold the image over.
    """

    def __init__(self, row: np.ndarray, col: np.ndarray, u: np.ndarray, v: np.ndarray) -> None:
        pixels = np.stack([row, col], axis=1).astype(np.float64)
        plane = np.stack([u, v], axis=1).astype(np.float64)
        if not np.isfinite(pixels).all() or not np.isfinite(plane).all():
            raise SceneError("some ground control points have no place in their coordinate reference system")
        pixels, plane = _merge_twins(pixels, plane)
        if len(pixels) < 3:
            raise SceneError(
                f"there are only {len(pixels)} different ground control points; three are needed"
            )
        self._low = pixels.min(axis=0)
        self._size = pixels.max(axis=0) - self._low
        design = np.column_stack(
            [np.ones(len(pixels)), (pixels - self._low) / np.where(self._size, self._size, 1)]
        )
        if np.linalg.matrix_rank(design, tol=1e-6 * np.sqrt(len(pixels))) < 3:
            raise SceneError("the ground control points lie on one line")
        coefficients = np.linalg.lstsq(design, plane, rcond=None)[0]  # (1 row col, u v)
        self._affine = (coefficients[1:] / self._size[:, None]).T  # (u v, row col), metres a pixel
        self._origin = coefficients[0] - self._affine @ self._low
        if abs(np.linalg.det(self._affine)) < 1e-12 * np.abs(self._affine).max() ** 2:
            raise SceneError("the ground control points lie on one line of the map")
        self._surface = _lattice(pixels, plane) or _Triangles(
            pixels, plane, self._low, self._size, self._predict
        )
        if self._surface.folded(np.sign(np.linalg.det(self._affine))):
            raise SceneError("the ground control points contradict each other: they fold the image over")

    def _predict(self, pixels: np.ndarray) -> np.ndarray:
        return self._origin + pixels @ self._affine.T

    def forward(self, row: np.ndarray, col: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return plane coordinates (u, v) in metres of pixel coordinates of any one shape."""
        row, col = np.broadcast_arrays(np.asarray(row, dtype=np.float64), np.asarray(col, dtype=np.float64))
        pixels = np.stack([row.ravel(), col.ravel()], axis=1)
        out = np.empty_like(pixels)
        for start in range(0, len(pixels), _CHUNK):
            out[start : start + _CHUNK] = self._evaluate(pixels[start : start + _CHUNK])[0]
        return out[:, 0].reshape(row.shape), out[:, 1].reshape(row.shape)

    def inverse(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pixel coordinates (row, col) of plane coordinates in metres of any one shape."""
        u, v = np.broadcast_arrays(np.asarray(u, dtype=np.float64), np.asarray(v, dtype=np.float64))
        plane = np.stack([u.ravel(), v.ravel()], axis=1)
        out = np.empty_like(plane)
        for start in range(0, len(plane), _CHUNK):
            out[start : start + _CHUNK] = self._solve(plane[start : start + _CHUNK])
        return out[:, 0].reshape(u.shape), out[:, 1].reshape(u.shape)

    def _evaluate(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return plane coordinates (point, 2) and their derivatives (point, u v, row col)."""
        inside = np.clip(pixels, self._surface.low, self._surface.high)
        plane, slope = self._surface.evaluate(inside)
        beyond = pixels - inside
        outside = beyond != 0
        if outside.any():
            plane = plane + beyond @ self._affine.T
            slope = np.where(outside[:, None, :], self._affine, slope)
        return plane, slope

    def _solve(self, plane: np.ndarray) -> np.ndarray:
        """Return the pixels of plane coordinates (point, 2) by Newton's steps from the affine map."""
        pixels = (plane - self._origin) @ np.linalg.inv(self._affine).T
        active = np.flatnonzero(np.isfinite(pixels).all(axis=1))
        for step_number in range(60):
            if not len(active):
                break
            value, slope = self._evaluate(pixels[active])
            miss = plane[active] - value
            determinant = slope[:, 0, 0] * slope[:, 1, 1] - slope[:, 0, 1] * slope[:, 1, 0]
            step = np.stack(
                [
                    (slope[:, 1, 1] * miss[:, 0] - slope[:, 0, 1] * miss[:, 1]) / determinant,
                    (slope[:, 0, 0] * miss[:, 1] - slope[:, 1, 0] * miss[:, 0]) / determinant,
                ],
                axis=1,
            )
            # A whole step may swing for ever between two triangles; shorter ones do not.
            pixels[active] += step if step_number < 20 else 0.5 * step
            # Far outside a double does not resolve the tolerance in absolute terms.
            far = _TOLERANCE + 1e-13 * np.abs(pixels[active]).max(axis=1)
            active = active[np.abs(step).max(axis=1) > far]
        pixels[active] = np.nan
        return pixels


def _merge_twins(pixels: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the points with those at one pixel replaced by their mean."""
    _, inverse, count = np.unique(np.round(pixels, 6), axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    if (count == 1).all():
        return pixels, plane

    def mean(values: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(inverse, weights=v) / count for v in values.T], axis=1)

    return mean(pixels), mean(plane)


def _lattice(pixels: np.ndarray, plane: np.ndarray) -> _Lattice | None:
    """Return the bilinear surface where the points are a full lattice of rows and columns, else None."""
    rows, row_index = np.unique(pixels[:, 0], return_inverse=True)
    cols, col_index = np.unique(pixels[:, 1], return_inverse=True)
    if len(rows) < 2 or len(cols) < 2 or len(rows) * len(cols) != len(pixels):
        return None
    nodes = np.full((len(rows), len(cols), 2), np.nan)
    nodes[row_index.ravel(), col_index.ravel()] = plane
    return None if np.isnan(nodes).any() else _Lattice(rows, cols, nodes)


class _Lattice:
    """Bilinear interpolation in the cells of a lattice, one cell further on each side."""

    def __init__(self, rows: np.ndarray, cols: np.ndarray, nodes: np.ndarray) -> None:
        self._rows, self._cols, self._nodes = rows, cols, nodes
        self.low = np.array([2 * rows[0] - rows[1], 2 * cols[0] - cols[1]])
        self.high = np.array([2 * rows[-1] - rows[-2], 2 * cols[-1] - cols[-2]])

    def evaluate(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        i = np.clip(np.searchsorted(self._rows, pixels[:, 0], side="right") - 1, 0, len(self._rows) - 2)
        j = np.clip(np.searchsorted(self._cols, pixels[:, 1], side="right") - 1, 0, len(self._cols) - 2)
        height, width = self._rows[i + 1] - self._rows[i], self._cols[j + 1] - self._cols[j]
        s = ((pixels[:, 0] - self._rows[i]) / height)[:, None]
        t = ((pixels[:, 1] - self._cols[j]) / width)[:, None]
        a, b = self._nodes[i, j], self._nodes[i, j + 1]
        c, d = self._nodes[i + 1, j], self._nodes[i + 1, j + 1]
        top, bottom = a + t * (b - a), c + t * (d - c)
        by_row = (bottom - top) / height[:, None]
        by_col = ((1 - s) * (b - a) + s * (d - c)) / width[:, None]
        return top + s * (bottom - top), np.stack([by_row, by_col], axis=2)

    def folded(self, orientation: float) -> bool:
        down = np.diff(self._nodes, axis=0)
        right = np.diff(self._nodes, axis=1)
        # The determinant of a bilinear cell is linear along its edges: its corners decide.
        corners = [
            d[..., 0] * r[..., 1] - d[..., 1] * r[..., 0]
            for d in (down[:, :-1], down[:, 1:])
            for r in (right[:-1], right[1:])
        ]
        return any((orientation * corner <= 0).any() for corner in corners)


class _Triangles:
    """Linear interpolation in the Delaunay triangles of scattered points and of a frame around them."""

    def __init__(self, pixels, plane, low, size, predict) -> None:
        margin = 0.1 * size
        self.low, self.high = low - margin, low + size + margin
        steps = np.linspace(0, 1, 5)
        frame = np.array([(r, c) for r in steps for c in steps if {r, c} & {0.0, 1.0}])
        frame = self.low + frame * (self.high - self.low)
        # Outside of the points: the affine map, shifted to fit at the nearest point.
        nearest = cKDTree(pixels / size).query(frame / size)[1]
        frame_plane = predict(frame) + (plane - predict(pixels))[nearest]
        self._points = np.vstack([pixels, frame])
        self._scale_low, self._scale = low, size
        # Rounded, so that the same points in other pixel units give the same triangles.
        scaled = np.round((self._points - low) / size, 9)
        try:
            self._delaunay = Delaunay(scaled)
        except QhullError as error:  # pragma: no cover (a frame around points always has triangles)
            raise SceneError("the ground control points cannot be joined into triangles") from error
        corners = self._delaunay.simplices  # (triangle, 3)
        values = np.vstack([plane, frame_plane])[corners]
        self._at = self._points[corners[:, 0]]
        self._value = values[:, 0]
        edges = self._points[corners[:, 1:]] - self._at[:, None]  # (triangle, edge, row col)
        self._slope = np.linalg.solve(edges, values[:, 1:] - values[:, :1]).transpose(0, 2, 1)

    def evaluate(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scaled = np.clip((pixels - self._scale_low) / self._scale, -0.1 + 1e-9, 1.1 - 1e-9)
        triangle = self._delaunay.find_simplex(scaled)
        slope = self._slope[triangle]
        return self._value[triangle] + np.einsum("nij,nj->ni", slope, pixels - self._at[triangle]), slope

    def folded(self, orientation: float) -> bool:
        return bool((orientation * np.linalg.det(self._slope) <= 0).any())
