"""A NetCDF file as named arrays: windows with missing values as NaN, strings, attributes.

GDAL's multidimensional interface reads it, so that nothing is turned over and nothing but the
window asked for comes into memory. A file may lie in a zip or under one of GDAL's virtual file
systems; it is read there, never unpacked::

    with Container("scene.nc") as container:
        container.variable("nersc_sar_primary").read(Window(0, 0, 100, 200))
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from osgeo import gdal

from ...core.errors import SceneError
from ...core.window import Window
from ..gdal_state import quiet_gdal
from ..hdf5 import check_structure
from ..mdarrays import number_type, read_numbers
from ..sources import ARRAY_SIGNATURES, HDF5_SIGNATURE, array_files, head

_MAX_SIDE = 100_000
_MAX_SMALL = 25_000_000  # values of an array that is read whole
_ABSURD = 1e30  # NetCDF fills what was never written with 9.97e36


def is_netcdf(path: str) -> bool:
    """Return whether a file begins as NetCDF or HDF5 does."""
    return head(path).startswith(ARRAY_SIGNATURES)


def locate(path: str | os.PathLike) -> str:
    """Return what GDAL opens: the file itself, or the one NetCDF file inside a zip; else an empty string.

    Raises
    ------
    SceneError
        A zip holds several NetCDF files, or is not safe to read.
    """
    inside = array_files(os.fspath(path))
    if len(inside) > 1:
        raise SceneError(
            f"{os.fspath(path)} holds several NetCDF files "
            f"({', '.join(source.rpartition('}/')[2] for source in inside[:5])}). Name one, as in {inside[0]}"
        )
    return inside[0] if inside else ""


class Container:
    """An open NetCDF file; a context manager.

    Parameters
    ----------
    path : str or Path
        A NetCDF file, a zip that holds one, or a path that begins with ``/vsi``.

    Raises
    ------
    SceneError
        There is no such file, it is no NetCDF, or it is damaged.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = os.fspath(path)
        self.source = source = locate(self.path)
        if not source:
            if not head(self.path):
                raise SceneError(f"There is no file {self.path}, or it is empty. Check the path.")
            raise SceneError(f"{self.path} is no NetCDF file. Check the file.")
        if not head(source).startswith(HDF5_SIGNATURE):
            raise SceneError(
                f"{self.path} is a classic NetCDF file; ASIP and AI4Arctic scenes are NetCDF-4. Take the "
                "original file."
            )
        check_structure(source, self.path)
        self._dataset: Any = None
        self._arrays: dict[str, Any] = {}
        with self._checked("cannot be opened"):
            # The prefix tells the driver not to mind the file's extension.
            self._dataset = gdal.OpenEx(
                f'NETCDF:"{source}"', gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY, allowed_drivers=["netCDF"]
            )
            group = self._dataset.GetRootGroup() if self._dataset is not None else None
            if group is None:
                raise self._damaged("cannot be opened", "")
            # A damaged name comes as bytes.
            names = group.GetMDArrayNames() or ()
            self.names: tuple[str, ...] = tuple(name for name in names if isinstance(name, str))
            self.attributes = _attributes(group)
            self._group = group

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file.

        The library shares what it has open: one array that is still held would keep the file, as it was,
        even where it has been written anew since.
        """
        for variable in self._arrays.values():
            variable.release()
        self._arrays = {}
        self._group = None
        self._dataset = None

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def variable(self, name: str) -> Variable:
        """Return a variable.

        Raises
        ------
        SceneError
            There is none of this name, or it is damaged.
        """
        if name not in self.names:
            raise SceneError(
                f"{self.path} has no variable '{name}' (variables: {', '.join(self.names[:40])})."
            )
        if name not in self._arrays:
            with self._checked(f"has a variable '{name}' that cannot be read"):
                array = self._group.OpenMDArray(name)
                if array is None:
                    raise self._damaged(f"has a variable '{name}' that cannot be read", "")
                self._arrays[name] = Variable(self, name, array)
        return self._arrays[name]

    @contextmanager
    def _checked(self, what: str) -> Iterator[list[str]]:
        errors: list[str] = []
        with quiet_gdal(errors):
            try:
                yield errors
            except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
                raise self._damaged(what, errors[0] if errors else str(error)) from error

    def _damaged(self, what: str, reason: str) -> SceneError:
        reason = " ".join(reason.split())[:160]
        return SceneError(
            f"{self.path} {what}{f' ({reason})' if reason else ''}. The file is damaged or truncated: "
            "copy or download it again."
        )


class Variable:
    """One array of a :class:`Container`."""

    def __init__(self, container: Container, name: str, array: Any) -> None:
        self.name = name
        self._container = container
        self._array = array
        dimensions = array.GetDimensions() or []
        self.dims = tuple(d.GetName() for d in dimensions)
        self.shape = tuple(int(d.GetSize()) for d in dimensions)
        self.is_text = array.GetDataType().GetClass() == gdal.GEDTC_STRING
        self.attributes = _attributes(array)
        self.unit = str(array.GetUnit() or self.attributes.get("units", ""))
        self._scale, self._offset = array.GetScale(), array.GetOffset()
        fills = [array.GetNoDataValueAsDouble()] if not self.is_text else []
        fills += [self._number(key) for key in ("missing_value", "variable_fill_value")]
        self._fills = sorted({fill for fill in fills if fill is not None and np.isfinite(fill)})
        limits = self.attributes.get("valid_range", ())
        low, high = limits if isinstance(limits, (list, tuple)) and len(limits) == 2 else (None, None)
        self._low = low if isinstance(low, (int, float)) else self._number("valid_min")
        self._high = high if isinstance(high, (int, float)) else self._number("valid_max")

    def release(self) -> None:
        """Let go of the file; nothing can be read any more."""
        self._array = None

    def _number(self, key: str) -> float | None:
        value = self.attributes.get(key)
        return float(value) if isinstance(value, (int, float)) else None

    @property
    def block_rows(self) -> int:
        """Rows that the file keeps together; 0 where it does not say."""
        blocks = self._array.GetBlockSize() or [0]
        return int(blocks[0])

    def check_shape(self, shape: tuple[int, ...], of: str) -> None:
        """Check that the array has the shape of `of`.

        Raises
        ------
        SceneError
            It has another one.
        """
        if self.shape != shape:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' is {_times(self.shape)}, but {of} "
                f"{_times(shape)}. The file is damaged, or of a version that is not known."
            )

    def read(self, window: Window) -> np.ndarray:
        """Return (row, column), float64 or float32, in the variable's unit; NaN where there is no value.

        Raises
        ------
        SceneError
            The file is damaged there.
        """
        return self._masked(self._raw([window.row, window.col], [window.rows, window.cols]))

    def whole(self) -> np.ndarray:
        """Return all values of a small array, as `read` does.

        Raises
        ------
        SceneError
            The array is too large to be what it should, or damaged.
        """
        if int(np.prod([float(size) for size in self.shape])) > _MAX_SMALL:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' is {_times(self.shape)}: too large "
                "for what it should hold. The file is damaged, or of a version that is not known."
            )
        return self._masked(self._raw([0] * len(self.shape), list(self.shape)))

    def texts(self) -> list[str]:
        """Return the strings of a small array of text."""
        if not self.is_text or not self.shape or self.shape[0] > 100_000:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' holds no text. The file is damaged, "
                "or of a version that is not known."
            )
        with self._container._checked(f"cannot be read in the variable '{self.name}'"):
            values = self._array.Read()
        return [str(value) if value is not None else "" for value in values or []]

    def _raw(self, start: list[int], count: list[int]) -> np.ndarray:
        what = f"cannot be read in the variable '{self.name}'"
        with self._container._checked(what) as errors:
            dtype = number_type(self._array)
            if not dtype:
                raise SceneError(
                    f"In {self._container.path} the variable '{self.name}' holds no numbers. The file is "
                    "damaged, or of a version that is not known."
                )
            values = read_numbers(self._array, start, count) if all(count) else np.empty(count, dtype)
            if values is None or errors:
                raise self._container._damaged(what, errors[0] if errors else "a block cannot be decoded")
        return values

    def _masked(self, raw: np.ndarray) -> np.ndarray:
        values = raw if raw.dtype == np.float32 else raw.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            bad = ~np.isfinite(values) | (np.abs(values) > _ABSURD)
            for fill in self._fills:
                # Compared in the file's own precision: an attribute may be kept in a wider type.
                bad |= values == values.dtype.type(fill)
            if self._low is not None:
                bad |= values < self._low
            if self._high is not None:
                bad |= values > self._high
            if self._scale not in (None, 1.0) or self._offset not in (None, 0.0):
                factor = 1.0 if self._scale is None else self._scale
                values = values * factor + (0.0 if self._offset is None else self._offset)
        return np.where(bad, np.asarray(np.nan, dtype=values.dtype), values)


def check_size(container: Container, variable: Variable) -> tuple[int, int]:
    """Return rows and columns of a two-dimensional variable.

    Raises
    ------
    SceneError
        It has another number of dimensions, or no believable size.
    """
    if len(variable.shape) != 2 or not all(1 <= size <= _MAX_SIDE for size in variable.shape):
        raise SceneError(
            f"In {container.path} the variable '{variable.name}' is {_times(variable.shape)}: no image. "
            "The file is damaged, or of a version that is not known."
        )
    return variable.shape[0], variable.shape[1]


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) or "a single value"


def _attributes(owner: Any) -> dict[str, Any]:
    """Return attributes as plain values; those that cannot be read are left out."""
    found = {}
    for attribute in owner.GetAttributes() or []:
        name = attribute.GetName()
        value = attribute.Read()
        if isinstance(value, str):
            value = re.sub(r"[\x00-\x1f\x7f]+", " ", value).strip()[:2000]
        if value is not None and name:
            found[name] = value
    return found
