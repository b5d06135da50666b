"""Writing rasters on the geometry of the input: all of it, checked, under its name only when complete.

A raster takes strips of full width from top to bottom, so that memory does not depend on the
scene. Where the grid is affine the result is a cloud-optimised GeoTIFF, otherwise a tiled GeoTIFF
with all ground control points. The same strips give the same bytes, on any day and any machine
with the same GDAL::

    with Outputs() as outputs:
        raster = outputs.raster("relevance.tif", grid, [Band("hh", "logit"), Band("hv", "logit")])
        raster.write(strip)         # (band, row, column), as often as it takes
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from osgeo import gdal

from ...ground.errors import OutputError, SceneError
from ...ground.protocols import Progress
from ..environment.gdal_state import quiet_gdal
from ..geometry.grid import Grid
from ..transaction.outputs import OutputTransaction, atomic_path, atomic_text
from ..transaction.temporary import cannot_write, remove_temporary
from .blocks import lost_block

__all__ = ["Band", "Outputs", "RasterWriter", "atomic_path", "atomic_text"]

_TYPES = {
    "uint8": gdal.GDT_Byte,
    "int16": gdal.GDT_Int16,
    "int32": gdal.GDT_Int32,
    "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
}
_BUFFER_BYTES = 64 << 20
_BLOCKS = (512, 256, 128, 64)
_LEAST_BLOCK = 128  # of a cloud-optimised GeoTIFF
_SIDECARS = (".aux.xml", ".ovr", ".msk", ".ovr.msk", ".msk.ovr")


@dataclass(frozen=True)
class Band:
    """A band to write.

    Parameters
    ----------
    name : str
        The band's description.
    unit : str
        Unit of its values.
    tags : mapping
        More about the band, such as the footprint of a channel.
    """

    name: str
    unit: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def _block_side(grid: Grid, pixel_bytes: int = 0) -> int:
    """Return the side of blocks, in pixels: 512, less where so many rows need too much memory.

    A raster that is smaller lies in one block that is hardly larger than itself: all of a block is compressed.
    """
    sides = [size for size in _BLOCKS if size * grid.cols * pixel_bytes <= _BUFFER_BYTES] or [_BLOCKS[-1]]
    least = max(_LEAST_BLOCK, grid.rows, grid.cols)
    return min((size for size in sides if size >= least), default=sides[0])


class Outputs(OutputTransaction):
    """Files of one run that appear together, when all are complete, or not at all; a context manager."""

    def __init__(self, progress: Progress | None = None) -> None:
        super().__init__(progress)
        self._rasters: list[RasterWriter] = []

    def raster(
        self, path: str | os.PathLike, grid: Grid, bands: Sequence[Band], keep: bool = True, **options: Any
    ) -> RasterWriter:
        """Return a raster to be written (see :class:`RasterWriter`).

        With `keep` false it never gets the name `path`, and goes at the end: for what others are made of.
        """
        writer = RasterWriter(path, grid, bands, transaction=self, **options)
        (self.add if keep else self.add_scratch)(writer)
        self._rasters.append(writer)
        return writer

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags to every raster: what is known only once the scene has been read."""
        for writer in self._rasters:
            writer.tag(tags)


class RasterWriter:
    """A raster that is written strip by strip; a context manager where it stands alone.

    Parameters
    ----------
    path : str or Path
        Where the raster goes.
    grid : Grid
        Its geometry.
    bands : sequence of Band
        Its bands, in order.
    dtype : {'float32', 'float64', 'uint8', 'int16', 'int32'}
        Type of the pixels.
    nodata : float or None
        What stands for no data; None where every value means something.
    tags : mapping of str
        Tags of the file; nothing that depends on the clock belongs here.
    colours : mapping, optional
        (red, green, blue) of each value, for one band of type uint8.
    categories : mapping, optional
        Name of each value; kept as tags ``CLASS_<value>`` of the band.
    overviews : {'average', 'nearest', None}
        How overviews are made, if at all.
    transaction : OutputTransaction, optional
        Whose file it is; without one it stands alone.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        grid: Grid,
        bands: Sequence[Band],
        dtype: str = "float32",
        nodata: float | None = np.nan,
        tags: Mapping[str, str] | None = None,
        colours: Mapping[int, tuple[int, int, int]] | None = None,
        categories: Mapping[int, str] | None = None,
        overviews: str | None = "average",
        transaction: OutputTransaction | None = None,
    ) -> None:
        if dtype not in _TYPES:
            raise ValueError(f"rasters of {dtype} are not written; known are {', '.join(_TYPES)}")
        if colours and (dtype != "uint8" or len(bands) != 1):
            raise ValueError("colours belong to one band of type uint8")
        if not bands:
            raise ValueError("a raster needs a band")
        self.grid, self.dtype = grid, np.dtype(dtype)
        self._bands, self._overviews = tuple(bands), overviews
        self.path = Path(path)
        owner = OutputTransaction() if transaction is None else transaction
        self._alone = owner if transaction is None else None
        self._temporary = owner.temporary(path)
        # A COG is a copy of a complete raster: the strips go to a working file first.
        self._optimised = grid.transform is not None
        self._working = owner.temporary(path) if self._optimised else self._temporary
        if self._alone is not None:
            self._alone.add(self)
        self._written = 0
        self._finished = False
        self._late_tags: dict[str, str] = {}
        self._dataset: gdal.Dataset | None = None
        self._block = _block_side(grid, len(bands) * self.dtype.itemsize)
        self._buffer = np.empty((len(bands), self._block, grid.cols), dtype=self.dtype)
        self._filled = 0
        try:
            with self._checked():
                self._create(nodata, dict(tags or {}), colours, categories)
        except BaseException as error:
            self.discard()
            if self._alone is not None:
                self._alone.__exit__(type(error), error, None)
            raise

    def __enter__(self) -> RasterWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alone is None:
            raise RuntimeError("a raster of a transaction ends with it")
        self._alone.__exit__(kind, error, trace)

    # Strips

    def write(self, values: np.ndarray) -> None:
        """Append the next rows.

        Parameters
        ----------
        values : numpy.ndarray
            (band, row, column), full width; cast to the raster's type.

        Raises
        ------
        OutputError
            The disk is full or the file cannot be written.
        """
        values = np.asarray(values)
        expected = (len(self._bands), self.grid.cols)
        if values.ndim != 3 or (values.shape[0], values.shape[2]) != expected:
            raise ValueError(
                f"a strip of {self.path.name} has (band, row, column) = ({expected[0]}, any, "
                f"{expected[1]}), not {values.shape}"
            )
        if self._written + self._filled + values.shape[1] > self.grid.rows:
            raise ValueError(f"{self.path.name} has {self.grid.rows} rows; more were given")
        start = 0
        while start < values.shape[1]:
            take = min(self._block - self._filled, values.shape[1] - start)
            self._buffer[:, self._filled : self._filled + take] = values[:, start : start + take]
            self._filled += take
            start += take
            if self._filled == self._block or self._written + self._filled == self.grid.rows:
                self._flush()

    @property
    def held(self) -> int:
        """Bytes that it holds while it is written."""
        return self._buffer.nbytes

    def _open_dataset(self) -> Any:
        if self._dataset is None:
            raise RuntimeError(f"{self.path} is closed")
        return self._dataset

    def _flush(self) -> None:
        """Write the buffered rows: whole rows of blocks, so that no block is compressed twice."""
        with self._checked():
            for number in range(len(self._bands)):
                band = self._open_dataset().GetRasterBand(number + 1)
                band.WriteArray(np.ascontiguousarray(self._buffer[number, : self._filled]), 0, self._written)
            # The order of blocks in the file must not depend on how much GDAL may cache.
            self._open_dataset().FlushCache()
        self._written += self._filled
        self._filled = 0
        if self._written == self.grid.rows:
            self._buffer = self._buffer[:, :0].copy()  # others may be written meanwhile

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add tags to those of the file; until `finish`, from any thread."""
        self._late_tags.update(tags)

    # End

    @property
    def temporary(self) -> Path:
        """Where the complete raster lies after `finish`, until it gets its name; to be read from."""
        return self._temporary

    def finish(self) -> None:
        """Complete the temporary file and check it; its transaction gives it its name. Once is enough.

        Raises
        ------
        OutputError
            Rows are missing, the disk is full, or the file does not hold the geometry.
        """
        if self._finished:
            return
        if self._written != self.grid.rows:
            raise OutputError(
                f"{self.path} is not complete: {self._written} of {self.grid.rows} rows were written."
            )
        with self._checked():
            for key in sorted(self._late_tags):
                self._open_dataset().SetMetadataItem(key, str(self._late_tags[key]))
            self._dataset = None  # closes the file
        if self._optimised:
            self._optimise()
        elif self._overviews:
            self._add_overviews()
        self._check_blocks()
        self._check_geometry()
        self._finished = True

    @property
    def stale(self) -> tuple[str, ...]:
        """What other programs keep beside a raster: it described the file that is replaced."""
        return _SIDECARS

    def discard(self) -> None:
        """Remove what is temporary; a file that has its name stays."""
        if self._dataset is not None:
            with contextlib.suppress(OutputError), self._checked():
                self._dataset = None
        remove_temporary(self._temporary)
        if self._optimised:
            remove_temporary(self._working)

    # GDAL

    @contextlib.contextmanager
    def _checked(self) -> Iterator[None]:
        """Turn every error that GDAL meets inside into an `OutputError`, wherever it was noticed.

        GDAL reports a full disk while it flushes or closes, where no return value shows it.
        """
        errors: list[str] = []
        # Without the option a copy of a raster in EPSG:3411 would be in EPSG:3413.
        with quiet_gdal(errors, OSR_USE_NON_DEPRECATED="NO"):
            try:
                yield
            except RuntimeError as error:
                raise cannot_write(self.path, errors[0] if errors else error) from error
        if errors:
            raise cannot_write(self.path, errors[0])

    def _create(
        self,
        nodata: float | None,
        tags: dict[str, str],
        colours: Mapping[int, tuple[int, int, int]] | None,
        categories: Mapping[int, str] | None,
    ) -> None:
        options = [
            "TILED=YES",
            f"BLOCKXSIZE={self._block}",
            f"BLOCKYSIZE={self._block}",
            "INTERLEAVE=BAND",
            "COMPRESS=DEFLATE",
            f"ZLEVEL={1 if self._optimised else self._level()}",
            f"PREDICTOR={self._predictor()}",
            "BIGTIFF=IF_SAFER",
            "NUM_THREADS=1",
        ]
        dataset = gdal.GetDriverByName("GTiff").Create(
            str(self._working),
            self.grid.cols,
            self.grid.rows,
            len(self._bands),
            _TYPES[self.dtype.name],
            options,
        )
        if dataset is None:
            raise cannot_write(self.path, gdal.GetLastErrorMsg())
        if self.grid.transform is not None:
            a, b, c, d, e, f = self.grid.transform
            dataset.SetProjection(self.grid.crs)
            dataset.SetGeoTransform((c, a, b, f, d, e))
        else:
            gcps = [
                gdal.GCP(g.x, g.y, g.z, g.col, g.row, "", str(number))
                for number, g in enumerate(self.grid.points, start=1)
            ]
            dataset.SetGCPs(gcps, self.grid.crs)
        # One by one and in order: a mapping's own order would show in the file.
        for key in sorted(tags):
            dataset.SetMetadataItem(key, str(tags[key]))
        for number, description in enumerate(self._bands, start=1):
            band = dataset.GetRasterBand(number)
            if nodata is not None:
                band.SetNoDataValue(float(nodata))
            band.SetDescription(description.name)
            if description.unit:
                band.SetUnitType(description.unit)
            for key in sorted(description.tags):
                band.SetMetadataItem(key, str(description.tags[key]))
            for value, name in sorted((categories or {}).items()):
                band.SetMetadataItem(f"CLASS_{value}", str(name))
        if colours:
            table = gdal.ColorTable()
            for value in sorted(colours):
                table.SetColorEntry(int(value), (*(int(part) for part in colours[value]), 255))
            dataset.GetRasterBand(1).SetColorTable(table)
        self._dataset = dataset

    def _predictor(self) -> int:
        return 3 if self.dtype.kind == "f" else 2

    def _level(self) -> int:
        # Real numbers hardly get smaller with more effort (0.928 to 0.926), but take twice as long.
        return 1 if self.dtype.kind == "f" else 6

    def _optimise(self) -> None:
        """Copy the working file to a cloud-optimised GeoTIFF."""
        resampling = (self._overviews or "nearest").upper()
        options = [
            "COMPRESS=DEFLATE",
            f"LEVEL={self._level()}",
            "PREDICTOR=YES",
            f"BLOCKSIZE={_block_side(self.grid)}",
            "NUM_THREADS=1",
            "BIGTIFF=IF_SAFER",
            f"OVERVIEW_RESAMPLING={resampling}",
            f"OVERVIEWS={'AUTO' if self._overviews else 'NONE'}",
        ]
        with self._checked():
            source = gdal.Open(str(self._working))
            copy = gdal.GetDriverByName("COG").CreateCopy(str(self._temporary), source, options=options)
            failed = source is None or copy is None
            copy = source = None  # closes both, and flushes
        if failed:
            raise cannot_write(self.path, "GDAL gave no reason")
        self._working.unlink()

    def _add_overviews(self) -> None:
        levels, level = [], 2
        while max(self.grid.rows, self.grid.cols) // (level // 2) > 512:
            levels.append(level)
            level *= 2
        if not levels or self._overviews is None:
            return
        with self._checked():
            dataset = gdal.OpenEx(
                str(self._working), gdal.OF_RASTER | gdal.OF_UPDATE, open_options=["NUM_THREADS=1"]
            )
            if dataset is None:
                raise cannot_write(self.path, "the file just written cannot be opened")
            dataset.BuildOverviews(self._overviews.upper(), levels)
            dataset = None

    def _check_blocks(self) -> None:
        """Check that every block of every band lies inside of the file: a lost flush leaves gaps."""
        with self._checked():
            problem = lost_block(self._temporary)
        if problem:
            raise cannot_write(self.path, problem)

    def _check_geometry(self) -> None:
        # What GDAL could not put into the file it puts beside it, where it would be lost with the temporary name.
        sidecar = Path(f"{self._temporary}.aux.xml")
        left_out = sidecar.exists()
        sidecar.unlink(missing_ok=True)
        try:
            differences = Grid.from_file(self._temporary).differences(self.grid)
        except SceneError as error:
            if left_out:
                raise OutputError(
                    f"{self.path} could not be written: GeoTIFF does not hold the coordinate reference system of the "
                    "input. Bring the input into a standard one first, for example by QGIS's Warp."
                ) from error
            raise cannot_write(self.path, error) from error
        if differences:
            raise OutputError(
                f"{self.path} could not be written: GeoTIFF does not hold its geometry ({'; '.join(differences)}). "
                "Bring the SAR raster into a standard coordinate reference system first."
            )
