"""How a scene of any size is cut into tiles.

A network's output at a pixel depends on the inputs within its receptive-field radius, so a tile is two
windows: the `output` pixels it answers for, and the `input` pixels the network sees, a radius more on
each side::

    plan = plan_tiles(region, scene, radius=30, alignment=25, rows=400, cols=400)
    for strip in plan.strips():          # top to bottom
        for tile in strip:               # left to right
            ...                          # run the network on tile.input, use tile.output

Input windows are cut to the *scene*, never padded: zero padding and counts of valid pixels then act at
the true edge of the scene only. What they spoil at the inner edges of a window lies in the margin.

Coarse cells are repeated from the first pixel of an input window, which therefore begins on a multiple
of the coarse ratio. Tiles end where that costs nothing: at the pixels `radius` after such a multiple.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ...ground.errors import ParameterError
from ...ground.window import Window
from ...networks.card_checks import WHOLE_IMAGE

# The larger the tile, the smaller the share of its margin, but memory and the time to a cancel grow. What is
# computed in bands of rows stays in the cache at any size: around 1100 pixels the margin of a receptive field of
# 60 pixels is 11 % of the work, around 400 pixels 32 %. What is computed at once gains nothing beyond 400.
LARGEST_SIDE = 400
LARGEST_SIDE_AT_BEST = 1100
SMALLEST_SIDE = 32
# Windows have a multiple of so many columns where the scene goes on: networks compute blocks of pixels together, and
# the few columns left over would cost more than those that are missing.
BLOCK_COLS = 4
# Rows of a finished strip that are yielded at a time: what is made of them takes little memory beside the strip.
SLAB_ROWS = 128
MEBIBYTE = 1024 * 1024
# Share of the memory that arrays may fill: allocators leave room lying between them. Filled whole, MEMORY=1024
# took `qgis_process` to 1991 MiB on a scene of 100 megapixels.
FILLED = 0.8


@dataclass(frozen=True)
class Tile:
    """A piece of the region, and what the network has to see for it.

    Parameters
    ----------
    output : Window
        The pixels this tile answers for.
    input : Window
        The pixels the network sees; it begins on a multiple of the alignment.
    read : Window
        `input`, grown to whole coarse cells (or the edge of the scene): what a source reads.
    """

    output: Window
    input: Window
    read: Window


@dataclass(frozen=True)
class Plan:
    """The tiles of a region.

    Parameters
    ----------
    region : Window
        The pixels to map or explain, inside the scene.
    scene : Window
        The whole scene.
    radius : int
        Receptive-field radius of the network, in pixels.
    alignment : int
        Input windows begin on multiples of it: the coarse ratio, or a multiple for strided networks.
    tile_rows, tile_cols : int
        Size of an output window; single tiles may be up to `alignment` larger.
    """

    region: Window
    scene: Window
    radius: int
    alignment: int
    tile_rows: int
    tile_cols: int

    def __post_init__(self) -> None:
        if self.region.empty or self.region.intersection(self.scene) != self.region:
            raise ParameterError(
                f"The region {_span(self.region)} does not lie inside the scene {_span(self.scene)}. "
                "Choose an extent that overlaps the scene."
            )
        if min(self.alignment, self.tile_rows, self.tile_cols) < 1 or self.radius < 0:
            raise ValueError("tiles need a positive size and alignment, and a radius of at least 0")

    @property
    def footprint(self) -> Window:
        """The pixels the outputs of the region depend on: the region and a radius around it."""
        return self.region.grown(self.radius, within=self.scene)

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return (len(self._row_breaks()) - 1) * (len(self._col_breaks()) - 1)

    def tile(self, output: Window) -> Tile:
        """Return the tile that answers for the pixels `output` (any window inside the scene)."""
        needed = output.grown(self.radius, within=self.scene)
        row, col = (start // self.alignment * self.alignment for start in (needed.row, needed.col))
        cols = -(-(needed.col_stop - col) // BLOCK_COLS) * BLOCK_COLS
        seen = Window(row, col, needed.row_stop - row, cols).intersection(self.scene)
        return Tile(output, seen, seen.snapped(self.alignment, within=self.scene))

    def strips(self) -> Iterator[tuple[Tile, ...]]:
        """Yield rows of tiles from top to bottom; together their outputs are the region, once each."""
        rows, cols = self._row_breaks(), self._col_breaks()
        for top, bottom in zip(rows, rows[1:]):
            yield tuple(
                self.tile(Window(top, left, bottom - top, right - left))
                for left, right in zip(cols, cols[1:])
            )

    def _row_breaks(self) -> list[int]:
        return breaks(self.region.row, self.region.row_stop, self.tile_rows, self.radius, self.alignment)

    def _col_breaks(self) -> list[int]:
        return breaks(self.region.col, self.region.col_stop, self.tile_cols, self.radius, self.alignment)


def breaks(start: int, stop: int, size: int, radius: int, alignment: int) -> list[int]:
    """Return where tiles of about `size` pixels begin and end between `start` and `stop`.

    All but the first and last lie `radius` after a multiple of `alignment`, so that the windows the
    network sees begin on one without reading more than the radius. The tiles are of about equal size.
    """
    number = -(-(stop - start) // size)
    inner = set()
    for index in range(1, number):
        ideal = start + (stop - start) * index / number
        inner.add(round((ideal - radius) / alignment) * alignment + radius)
    return [start, *sorted(place for place in inner if start < place < stop), stop]


@dataclass(frozen=True)
class Cost:
    """What tiled work needs in memory.

    Parameters
    ----------
    tile : float
        Bytes for each pixel of a tile's input window: the network's arrays, measured.
    strip : float
        Bytes for each pixel of a strip of full width that is held while its tiles are computed.
    fixed : float
        Bytes held throughout, for the coarse cells of the scene.
    column : float
        Bytes for each column of a tile's input window, however many rows it has: what a band of rows needs.
    at_once : callable
        Rows of the input window → how many bands of them are computed at the same time.
    """

    tile: float
    strip: float
    fixed: float = 0.0
    column: float = 0.0
    at_once: Callable[[int], int] = lambda _rows: 1


def plan_tiles(
    region: Window,
    scene: Window,
    radius: int,
    alignment: int,
    cost: Cost,
    memory_mib: float,
    large: bool = False,
) -> Plan:
    """Choose the largest tiles (up to the size that suits the caches) that fit into the memory.

    A network whose output depends on the whole image (a radius of :data:`WHOLE_IMAGE`) gets one tile.

    Parameters
    ----------
    region, scene : Window
        What to map or explain, and the whole scene.
    radius : int
        Receptive-field radius of the network, in pixels.
    alignment : int
        Input windows begin on multiples of it, in pixels.
    cost : Cost
        What the work needs.
    memory_mib : float
        What it may take, in MiB, beside the program and its libraries.
    large : bool
        Whether large tiles cost the work no speed.

    Raises
    ------
    ParameterError
        If not even the smallest tiles fit, naming the memory needed, or if the region is not inside
        the scene.
    """
    if radius >= WHOLE_IMAGE:
        return _whole(region, scene, alignment, cost, memory_mib)
    width = region.grown(radius, within=scene).cols

    def needed(side: int) -> float:
        seen = side + 2 * radius
        bands = cost.column * cost.at_once(seen)
        return cost.fixed + (cost.tile * seen + bands + cost.strip * width) * seen

    budget = FILLED * memory_mib * MEBIBYTE
    if needed(SMALLEST_SIDE) > budget:
        raise ParameterError(
            f"MEMORY={memory_mib:g} MiB is too little for this scene and model: "
            f"at least {-(-needed(SMALLEST_SIDE) // (FILLED * MEBIBYTE)):.0f} MiB are needed. "
            "Raise MEMORY or choose a smaller EXTENT."
        )
    side, largest = SMALLEST_SIDE, LARGEST_SIDE_AT_BEST if large else LARGEST_SIDE
    while side < largest:  # halved each time: what is needed grows with the side
        middle = (side + largest + 1) // 2
        side, largest = (middle, largest) if needed(middle) <= budget else (side, middle - 1)
    return Plan(region, scene, radius, alignment, side, side)


def _whole(region: Window, scene: Window, alignment: int, cost: Cost, memory_mib: float) -> Plan:
    """Return a single tile that sees the whole scene."""
    bands = cost.column * cost.at_once(scene.rows) * scene.cols
    needed = cost.fixed + (cost.tile + cost.strip) * scene.rows * scene.cols + bands
    if needed > FILLED * memory_mib * MEBIBYTE:
        least = -(-needed // (FILLED * MEBIBYTE))
        raise ParameterError(
            f"The network's output depends on the whole image, so that the scene of {scene.rows} x {scene.cols} pixels "
            f"is run at once, which takes {least:.0f} MiB; MEMORY={memory_mib:g}. Raise MEMORY, or use a coarser or "
            "smaller scene."
        )
    return Plan(region, scene, max(scene.rows, scene.cols), alignment, region.rows, region.cols)


def _span(window: Window) -> str:
    return f"(rows {window.row} to {window.row_stop}, columns {window.col} to {window.col_stop})"
