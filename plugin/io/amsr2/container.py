"""HDF5 and NetCDF files as named arrays with attributes, wherever GDAL can read them.

GDAL's multidimensional interface reads both. HDF5 (which NetCDF-4 is, too) goes to the HDF5 driver,
classic NetCDF to the netCDF driver. Sources may be plain files, members of a zip, gzipped, or lie
under any ``/vsi`` path; nothing is unpacked to disk. What is cut off or damaged in its tables is
recognised before a library sees it.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

import numpy as np
from osgeo import gdal

from ...core.errors import SceneError
from ..gdal_state import quiet_gdal
from ..hdf5 import check_structure
from ..mdarrays import number_type, read_numbers
from ..sources import ARRAY_SIGNATURES, HDF5_SIGNATURE, array_files, file_size, head, is_zip, zip_of

LARGEST_FILE = 2 << 30
"""Bytes. A half orbit has 50 MB; a member of a zip that claims more than this is no AMSR2 file."""

LARGEST_ARRAY = 1 << 26
"""Elements. A half orbit at 89 GHz has a million."""

Attribute = Any


class Container:
    """An open file of named arrays; a context manager.

    Parameters
    ----------
    path : str
        A file, or a path under ``/vsi``.

    Raises
    ------
    SceneError
        It is no HDF5 or NetCDF file, is truncated or damaged, or GDAL lacks the driver.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        driver = _driver_for(path)
        with quiet_gdal(CPL_VSIL_GZIP_WRITE_PROPERTIES="NO"):
            try:
                # The prefix keeps GDAL from leaving a name with ".nc" to the other driver.
                name = f"HDF5:{path}" if driver == "HDF5" else path
                self._dataset = gdal.OpenEx(name, gdal.OF_MULTIDIM_RASTER, allowed_drivers=[driver])
                self._root = self._dataset.GetRootGroup() if self._dataset is not None else None
                found = self._root.GetMDArrayNames() if self._root is not None else None
                # A damaged name comes as bytes.
                self.names = tuple(name for name in found or () if isinstance(name, str))
                self.attributes = _attributes(self._root) if self._root is not None else {}
            except (RuntimeError, ValueError, TypeError) as error:
                raise SceneError(f"{path} cannot be opened ({error}). {_DAMAGED}") from error
        if self._root is None:
            raise SceneError(f"{path} cannot be opened by GDAL's {driver} driver. {_DAMAGED}")
        self._cache: dict[str, tuple[Any, dict[str, Attribute]]] = {}

    def __enter__(self) -> Container:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._cache.clear()
        self._root = self._dataset = None

    def _array(self, name: str) -> tuple[Any, dict[str, Attribute]]:
        if name not in self._cache:
            with quiet_gdal():
                try:
                    array = self._root.OpenMDArray(name)
                    attributes = _attributes(array) if array is not None else {}
                    if array is not None:
                        # Drivers keep some of these to themselves.
                        for key, value in (
                            ("scale_factor", array.GetScale()),
                            ("add_offset", array.GetOffset()),
                            ("units", array.GetUnit() or None),
                            ("_FillValue", _fill_value(array)),
                        ):
                            if value is not None:
                                attributes.setdefault(key, value)
                except (RuntimeError, ValueError, TypeError) as error:
                    raise SceneError(
                        f"'{name}' in {self.path} cannot be read ({error}). {_DAMAGED}"
                    ) from error
            if array is None:
                raise SceneError(f"'{name}' in {self.path} cannot be read. {_DAMAGED}")
            self._cache[name] = (array, attributes)
        return self._cache[name]

    def attributes_of(self, name: str) -> dict[str, Attribute]:
        """Return the attributes of an array; numbers, texts, or lists of them."""
        return self._array(name)[1]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        with quiet_gdal():
            return tuple(int(d.GetSize()) for d in self._array(name)[0].GetDimensions() or ())

    def read(self, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
        """Return an array as it is stored.

        Parameters
        ----------
        name : str
            Its name.
        shape : tuple of int, optional
            The shape it has to have.

        Raises
        ------
        SceneError
            It has another shape, does not hold numbers, is unbelievably large, or cannot be read.
        """
        array, _ = self._array(name)
        there = self.shape(name)
        if shape is not None and there != shape:
            raise SceneError(
                f"'{name}' in {self.path} has the shape {there} where {shape} is due. "
                "The file is not what its names say: get it again from its provider."
            )
        if not there or not 0 < math.prod(there) <= LARGEST_ARRAY:
            raise SceneError(f"'{name}' in {self.path} has the shape {there}, which no AMSR2 file has.")
        errors: list[str] = []
        dtype, values = "", None
        with quiet_gdal(errors):
            try:
                dtype = number_type(array)
                values = read_numbers(array) if dtype else None
            except (RuntimeError, ValueError, MemoryError) as error:
                errors.append(str(error))
        if values is None or errors:
            why = (
                errors[0] if errors else "its data cannot be decoded" if dtype else "it holds no real numbers"
            )
            raise SceneError(f"'{name}' in {self.path} cannot be read ({why}). {_DAMAGED}")
        return values

    def text(self, name: str) -> str:
        """Return a global attribute as text, empty where there is none."""
        return as_text(self.attributes.get(name))


_DAMAGED = "It is damaged, truncated or of another format: copy or download it again."


def as_text(value: Attribute) -> str:
    """Return an attribute as text: the first of several."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return "" if value is None else str(value).strip().strip("\x00").strip()


def as_numbers(value: Attribute) -> list[float]:
    """Return an attribute as numbers; empty where it holds something else."""
    values = value if isinstance(value, (list, tuple)) else [value]
    try:
        return [float(entry) for entry in values]
    except (TypeError, ValueError):
        return []


def members(path: str) -> list[str]:
    """Return the HDF5 and NetCDF files that a source stands for: itself, or those inside of a zip.

    Raises
    ------
    SceneError
        It is a zip that is not safe to read.
    """
    start = head(path)
    if start.startswith(b"\x1f\x8b"):
        return [f"/vsigzip/{path}"]
    # What is nothing of the kind stands for itself: opening it says what it is.
    return array_files(path) or ([] if is_zip(start) or zip_of(path) != path else [path])


def is_container(path: str) -> bool:
    """Return whether a path leads to an HDF5 or NetCDF file, by its first bytes."""
    return head(path).startswith(ARRAY_SIGNATURES)


def _driver_for(path: str) -> str:
    """Return the name of the driver that reads a file, or raise a sentence."""
    start, size = head(path), file_size(path) or 0
    if not start:
        raise SceneError(f"There is no file {path}, or it is empty. Check the path.")
    if not start.startswith(ARRAY_SIGNATURES):
        raise SceneError(f"{path} is neither an HDF5 nor a NetCDF file. Give the AMSR2 product itself.")
    if path.startswith("/vsi") and size > LARGEST_FILE:
        raise SceneError(
            f"{path} claims {size >> 20} MiB, which no AMSR2 file has. Unpack it to look inside."
        )
    driver = "HDF5" if start.startswith(HDF5_SIGNATURE) else "netCDF"
    with quiet_gdal():
        present = gdal.GetDriverByName(driver) is not None
    if not present:
        raise SceneError(
            f"This GDAL ({gdal.__version__}) has no {driver} driver, which {path} needs. Install a GDAL with it "
            "(Debian: libgdal as packaged; OSGeo4W: package gdal-hdf5; conda: libgdal-hdf5, libgdal-netcdf)."
        )
    if driver == "HDF5":
        check_structure(path, path)
    return driver


def _attributes(holder: Any) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    for attribute in holder.GetAttributes() or ():
        try:
            found[attribute.GetName()] = attribute.Read()
        except (RuntimeError, ValueError, TypeError, UnicodeError):
            # References between dimensions and such: of no use here.
            continue
    return found


def _fill_value(array: Any) -> float | None:
    if array.GetDataType().GetClass() != gdal.GEDTC_NUMERIC:
        return None
    value = array.GetNoDataValueAsDouble()
    return None if value is None else float(value)
