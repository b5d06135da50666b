"""Reading rasters: bands by name, physical values as float32, NaN where there is no data.

What has no data is decided band by band, from everything that the file says (see :mod:`.missing`).

Every failure (a missing file, a truncated one, a container without bands) is one `SceneError`
that names the file. Files are opened in rasterio's own environment, with the one setting that
keeps EPSG:3411 and 3412 from being read as other systems; GDAL's global state stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterioWindow

from ...ground.errors import SceneError
from ...ground.window import Window
from ..environment.gdal_state import offline_gdal, quiet_gdal
from .drivers import NAMED_RASTERS, is_remote, split_source
from .missing import MissingData
from .opening import not_read, raster_drivers, service_of
from .virtual import VIRTUAL

READ_ERRORS = (RasterioError, CPLE_BaseError, OSError, ValueError)
"""What reading a damaged raster may raise."""


def environment() -> rasterio.Env:
    """Return the environment in which rasters are opened: deprecated CRS codes keep their datum."""
    return rasterio.Env(OSR_USE_NON_DEPRECATED="NO")


def file_of(source: str) -> str:
    """Return the file of a source: itself, or what ``NETCDF:"file":variable`` names."""
    return "virtual raster" if VIRTUAL in source else split_source(source)[1]


class Raster:
    """An open raster; a context manager. Reads may come from any thread, one at a time.

    Parameters
    ----------
    path : str or Path
        A file, a source such as ``NETCDF:"file.nc":variable``, or the text of a virtual raster.

    Raises
    ------
    SceneError
        The file is missing, not a raster, or a container of several rasters.

    Attributes
    ----------
    measured : tuple of int
        Numbers of the bands that hold values, from 1: all but alpha bands.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        if not self.path:
            raise SceneError("The path of a raster is empty. Name a file.")
        source, file = self.path, file_of(self.path)
        drivers = raster_drivers(source)
        if VIRTUAL in source:
            self.path = file
        elif not file.startswith("/vsi"):
            if not Path(file).exists():
                raise SceneError(f"There is no file {file}. Check the path.")
            if Path(file).is_file() and Path(file).stat().st_size == 0:
                raise SceneError(f"{file} is empty (0 bytes). Copy or make the file again.")
        self._lock = threading.Lock()
        self._remote, self._virtual = is_remote(file), drivers == ["VRT"]
        with offline_gdal(self._remote):
            self._open(source, file, drivers)

    def _open(self, source: str, file: str, drivers: list[str]) -> None:
        try:
            with environment(), warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self.dataset = DatasetReader(source, driver=drivers)
        except READ_ERRORS as error:
            raise self._unreadable(file, error) from error
        # Nothing else may be asked of a container without bands: GDAL's NetCDF driver then crashes.
        if self.dataset.count == 0:
            inside = ", ".join(self.dataset.subdatasets[:20]) or "nothing"
            self.dataset.close()
            raise SceneError(f"{self.path} holds several rasters or none ({inside}). Name one of them.")
        self.rows, self.cols = self.dataset.shape
        self.count = self.dataset.count
        kinds = {
            np.dtype(kind).kind if not kind.startswith("complex") else "c" for kind in self.dataset.dtypes
        }
        if kinds & {"c"}:
            self.dataset.close()
            raise SceneError(
                f"{self.path} holds complex numbers. Convert it to calibrated intensities first."
            )
        self.names = tuple(self._name(band) for band in range(1, self.count + 1))
        self.tags = {
            _unescape(key): _unescape(value)
            for key, value in self.dataset.tags().items()
            if key != "AREA_OR_POINT"
        }
        self._missing = MissingData.of(self.dataset).completed(self.dataset, source, drivers)
        self.measured = self._missing.measured

    def _unreadable(self, file: str, error: Exception) -> SceneError:
        with quiet_gdal():
            service = service_of(file)
        if service:
            return not_read(file, service)
        return SceneError(
            f"{self.path} cannot be opened as a raster ({error}). It may be damaged or truncated, or in a format "
            f"that is not read here. Read are: {NAMED_RASTERS}."
        )

    def _name(self, band: int) -> str:
        name = self.dataset.descriptions[band - 1] or ""
        if not name and self.count == 1:
            name = self.dataset.tags(1).get("NETCDF_VARNAME", "")
        return name

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self.dataset.close()

    def describe_bands(self) -> str:
        """Return the names of the bands for a message: ``hh, band 2``."""
        return ", ".join(
            (name or f"band {number}") + ("" if number in self.measured else " (alpha)")
            for number, name in enumerate(self.names, start=1)
        )

    def read(self, bands: list[int] | tuple[int, ...], window: Window) -> np.ndarray:
        """Return the bands (numbers from 1) over `window`, which may stick out of the raster.

        Returns
        -------
        numpy.ndarray
            (band, row, column), float32; NaN outside, where masked, and where not finite.

        Raises
        ------
        SceneError
            The file is damaged or truncated.
        """
        inside = window.intersection(Window(0, 0, self.rows, self.cols))
        if inside == window:
            return self._read(bands, window)
        out = np.full((len(bands), window.rows, window.cols), np.nan, dtype=np.float32)
        if not inside.empty and len(bands):
            out[(slice(None), *inside.slices(window))] = self._read(bands, inside)
        return out

    def _read(self, bands: list[int] | tuple[int, ...], window: Window) -> np.ndarray:
        out = np.empty((len(bands), window.rows, window.cols), dtype=np.float32)
        where = RasterioWindow(window.col, window.row, window.cols, window.rows)
        masks = self._missing.reader(self.dataset, where)
        # The files that a virtual raster is made of are opened while it is read.
        shut = offline_gdal(self._remote) if self._virtual else contextlib.nullcontext()
        with shut:
            self._fill(out, bands, window, where, masks)
        return out

    def _fill(
        self,
        out: np.ndarray,
        bands: list[int] | tuple[int, ...],
        window: Window,
        where: RasterioWindow,
        masks: Callable[[int, np.ndarray], np.ndarray | None],
    ) -> None:
        """Fill (band, row, column) with the bands over a window inside of the raster."""
        for layer, band in zip(out, bands):
            scale, offset = self.dataset.scales[band - 1], self.dataset.offsets[band - 1]
            as_stored = self.dataset.dtypes[band - 1] == "float32" and (scale, offset) == (1.0, 0.0)
            try:
                with self._lock:
                    values = self.dataset.read(band, window=where, out=layer if as_stored else None)
                    missing = masks(band, values)
            except READ_ERRORS as error:
                raise SceneError(
                    f"{self.path} cannot be read at rows {window.row} to {window.row_stop - 1}, columns "
                    f"{window.col} to {window.col_stop - 1} ({error}). The file is damaged or truncated: "
                    "copy or make it again."
                ) from error
            if not as_stored:
                with np.errstate(over="ignore", invalid="ignore"):
                    layer[...] = values if (scale, offset) == (1.0, 0.0) else values * scale + offset
            known = np.isfinite(layer)
            if missing is not None:
                known &= ~missing
            np.copyto(layer, np.nan, where=~known)


def _unescape(text: str) -> str:
    # Other programs leave XML entities in tags; they would be escaped again on the way out.
    for entity, character in (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def open_raster(path: str | os.PathLike) -> Raster:
    """Open a raster for reading (see :class:`Raster`)."""
    return Raster(path)
