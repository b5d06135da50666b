"""Reading rasters: bands by name, physical values as float32, NaN where there is no data.

What has no data is decided band by band, from everything that the file says (see :mod:`.missing`).

Every failure (a missing file, a truncated one, a container without bands) is one `SceneError`
that names the file. Files are opened in rasterio's own environment, with the one setting that
keeps EPSG:3411 and 3412 from being read as other systems; GDAL's global state stays as it is.
"""

from __future__ import annotations

import os
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from ..core.errors import SceneError
from ..core.window import Window
from .missing import MissingData


def environment() -> rasterio.Env:
    """Return the environment in which rasters are opened: deprecated CRS codes keep their datum."""
    return rasterio.Env(OSR_USE_NON_DEPRECATED="NO")


def file_of(source: str) -> str:
    """Return the file of a source: itself, or what ``NETCDF:"file":variable`` names."""
    match = re.match(r'^[A-Za-z0-9_]{2,}:(?:"([^"]+)"|([^":]+))(?::.*)?$', source)
    return (match.group(1) or match.group(2)) if match else source


class Raster:
    """An open raster; a context manager. Reads may come from any thread, one at a time.

    Parameters
    ----------
    path : str or Path
        A file, or a source such as ``NETCDF:"file.nc":variable``.

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
        file = file_of(self.path)
        if not file.startswith("/vsi") and not Path(file).exists():
            raise SceneError(f"There is no file {file}. Check the path.")
        if Path(file).is_file() and Path(file).stat().st_size == 0:
            raise SceneError(f"{file} is empty (0 bytes). Copy or make the file again.")
        self._lock = threading.Lock()
        try:
            with environment(), warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                self.dataset = rasterio.open(self.path)
        except (RasterioError, OSError, ValueError) as error:
            raise SceneError(
                f"{self.path} cannot be opened as a raster ({error}). It may be damaged or truncated, "
                "or in a format that this GDAL does not read."
            ) from error
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
        self._missing = MissingData.of(self.dataset)
        self.measured = self._missing.measured

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
        for layer, band in zip(out, bands):
            scale, offset = self.dataset.scales[band - 1], self.dataset.offsets[band - 1]
            as_stored = self.dataset.dtypes[band - 1] == "float32" and (scale, offset) == (1.0, 0.0)
            try:
                with self._lock:
                    values = self.dataset.read(band, window=where, out=layer if as_stored else None)
                    missing = masks(band, values)
            except (RasterioError, OSError, ValueError) as error:
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
        return out


def _unescape(text: str) -> str:
    # Other programs leave XML entities in tags; they would be escaped again on the way out.
    for entity, character in (("&quot;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, character)
    return text


def open_raster(path: str | os.PathLike) -> Raster:
    """Open a raster for reading (see :class:`Raster`)."""
    return Raster(path)
