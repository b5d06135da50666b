"""In which order the four numbers of a rectangle were meant: programs do not agree on it.

QGIS takes xmin,xmax,ymin,ymax; rasterio, GeoJSON and most services write xmin,ymin,xmax,ymax. Read in the wrong order,
four numbers often make a rectangle that holds the whole scene, or none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..environment.crs import transform
from .grid import Grid

# Other orders, and where xmin, xmax, ymin and ymax stand in them.
ORDERS = {
    "xmin,ymin,xmax,ymax": (0, 2, 1, 3),
    "ymin,xmin,ymax,xmax": (1, 3, 0, 2),
    "ymin,ymax,xmin,xmax": (2, 3, 0, 1),
}
# By this share of its size a rectangle inside of the scene may stick out of it.
_MARGIN = 0.05
# So many times the scene's size a side of a rectangle of this scene has at most.
_LARGEST = 2.0


def other_order(numbers: Sequence[float], crs: str, grid: Grid) -> tuple[str, tuple[float, ...]] | None:
    """Return the order that four numbers were meant in, and the numbers as QGIS takes them; None where they fit.

    Parameters
    ----------
    numbers : sequence of float
        As written; QGIS reads them as xmin, xmax, ymin, ymax.
    crs : str
        The CRS of the numbers.
    grid : Grid
        The scene.
    """
    left, right, bottom, top = bounds = _bounds(grid, crs)
    width, height = right - left, top - bottom
    if not np.isfinite(bounds).all():
        return None

    def proper(box: Sequence[float]) -> bool:
        return box[0] < box[1] and box[2] < box[3]

    def inside(box: Sequence[float]) -> bool:
        across, down = _MARGIN * width, _MARGIN * height
        horizontal = left - across <= box[0] and box[1] <= right + across
        return horizontal and bottom - down <= box[2] and box[3] <= top + down

    def overlaps(box: Sequence[float]) -> bool:  # QGIS sorts the two numbers of an axis
        (x_0, x_1), (y_0, y_1) = sorted(box[:2]), sorted(box[2:])
        return x_0 < right and x_1 > left and y_0 < top and y_1 > bottom

    overlapping = overlaps(numbers)
    small = numbers[1] - numbers[0] <= _LARGEST * width and numbers[3] - numbers[2] <= _LARGEST * height
    if proper(numbers) and overlapping and small:
        return None
    boxes = [(order, tuple(numbers[place] for place in places)) for order, places in ORDERS.items()]
    boxes = [(order, box) for order, box in boxes if proper(box)]
    within = [(order, box) for order, box in boxes if inside(box)]
    around = [] if overlapping else [(order, box) for order, box in boxes if overlaps(box)]
    return next(iter(within + around), None)


def _bounds(grid: Grid, crs: str) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of a scene in a CRS."""
    rows, cols = np.meshgrid(np.linspace(0, grid.rows, 9), np.linspace(0, grid.cols, 9), indexing="ij")
    x, y = transform(grid.crs, crs, *grid.pixel_to_map(rows, cols))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return (np.nan,) * 4
    x, y = x[known], y[known]
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())
