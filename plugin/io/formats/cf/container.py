"""NetCDF and HDF5 files as named arrays: windows with missing values as NaN, strings, attributes.

GDAL's multidimensional interface reads them, so that nothing is turned over and nothing but the window
asked for comes into memory. NetCDF goes to the netCDF driver (the classic format, 64-bit offset, CDF-5
and NetCDF-4), other HDF5 to the HDF5 driver. A file may lie in a zip, be gzipped or lie under one of
GDAL's virtual file systems; it is read there, never unpacked to disk::

    with Container("scene.nc") as container:
        container.variable("nersc_sar_primary").read(Window(0, 0, 100, 200))

What is cut off or damaged in its tables is recognised before a library sees it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from osgeo import gdal

from ....ground.errors import SceneError
from ...environment.gdal_state import quiet_gdal
from ...files.sources import ARRAY_SIGNATURES, HDF5_SIGNATURE, array_files, head, is_zip, zip_of
from ..hdf5.check import check_structure
from .codecs import missing_codec
from .variable import LARGEST_ARRAY, Variable, attributes_of, times

__all__ = [
    "Container",
    "Variable",
    "as_numbers",
    "as_text",
    "check_size",
    "is_container",
    "locate",
    "members",
]

_FORMATS = {
    b"CDF\x01": "classic NetCDF",
    b"CDF\x02": "classic NetCDF with 64-bit offsets",
    b"CDF\x05": "CDF-5 (NetCDF with 64-bit data)",
}
_DAMAGED = "The file is damaged or truncated: copy or download it again."


def is_container(path: str) -> bool:
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


class Container:
    """An open NetCDF or HDF5 file; a context manager.

    Parameters
    ----------
    path : str or Path
        A file, a zip that holds one, or a path that begins with ``/vsi``.
    driver : {'netCDF', 'HDF5'}
        Which of GDAL's drivers reads HDF5. NetCDF-4 is HDF5 with dimensions and types of its own, which only
        the netCDF driver knows; where that cannot open a file, the other one is tried.

    Attributes
    ----------
    names : tuple of str
        Names of the arrays of the root group.
    attributes : dict
        Global attributes.

    Raises
    ------
    SceneError
        There is no such file, it is neither NetCDF nor HDF5, it is damaged, or GDAL lacks the driver.
    """

    def __init__(self, path: str | os.PathLike, driver: str = "netCDF") -> None:
        self.path = os.fspath(path)
        self.source = locate(self.path)
        if not self.source:
            if not head(self.path):
                raise SceneError(f"There is no file {self.path}, or it is empty. Check the path.")
            raise SceneError(f"{self.path} is neither a NetCDF nor an HDF5 file. Check the file.")
        self.is_hdf5 = head(self.source).startswith(HDF5_SIGNATURE)
        self.filters = check_structure(self.source, self.path) if self.is_hdf5 else frozenset()
        self._notes: dict[str, list[str]] = {}
        self._dataset: Any = None
        self._group: Any = None
        self._variables: dict[str, Variable] = {}
        drivers = (
            [driver, "HDF5"] if self.is_hdf5 and driver != "HDF5" else [driver if self.is_hdf5 else "netCDF"]
        )
        self._open(drivers)
        group: Any = self._group
        with self.checked("cannot be opened"):
            # The driver leaves out what has no dimensions, as grid mappings have none, unless it is asked.
            names = group.GetMDArrayNames(["SHOW_ALL=YES"]) or ()
            # A damaged name comes as bytes.
            self.names: tuple[str, ...] = tuple(name for name in names if isinstance(name, str))
            self.attributes = attributes_of(group)[0]

    def _open(self, drivers: list[str]) -> None:
        """Open the file by the first driver that can."""
        with quiet_gdal():
            present = [name for name in drivers if gdal.GetDriverByName(name) is not None]
        if not present:
            raise SceneError(
                f"This GDAL ({gdal.__version__}) has no {drivers[0]} driver, which {self.path} needs. Install a GDAL "
                "with it (Debian: libgdal as packaged; OSGeo4W: package gdal-hdf5; conda: libgdal-hdf5, "
                "libgdal-netcdf)."
            )
        reasons: list[str] = []
        for name in present:
            # With the prefixes GDAL does not mind the file's extension.
            what = f'NETCDF:"{self.source}"' if name == "netCDF" else f"HDF5:{self.source}"
            with quiet_gdal(reasons, CPL_VSIL_GZIP_WRITE_PROPERTIES="NO"):
                try:
                    dataset = gdal.OpenEx(
                        what, gdal.OF_MULTIDIM_RASTER | gdal.OF_READONLY, allowed_drivers=[name]
                    )
                    group = dataset.GetRootGroup() if dataset is not None else None
                except (RuntimeError, ValueError, TypeError, MemoryError) as error:
                    reasons.append(str(error))
                    continue
            if group is not None:
                self._dataset, self._group = dataset, group
                return
        form = _FORMATS.get(head(self.source)[:4])
        reason = f"{form}; " * bool(form) + (_line(reasons[0]) if reasons else "no reason given")
        raise self.damaged("cannot be opened", reason)

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file.

        The library shares what it has open: one array that is still held would keep the file, as it was,
        even where it has been written anew since.
        """
        for variable in self._variables.values():
            variable.release()
        self._variables = {}
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
        if name not in self._variables:
            with self.checked(f"has a variable '{name}' that cannot be read"):
                array = self._group.OpenMDArray(name)
                if array is None:
                    raise self.damaged(f"has a variable '{name}' that cannot be read", "")
                self._variables[name] = Variable(self, name, array)
        return self._variables[name]

    def nested(self, path: str) -> Variable:
        """Return an array of an inner group, by the names of the groups and its own with ``/`` between them.

        Raises
        ------
        SceneError
            There is none of this name, or it is damaged.
        """
        if path not in self._variables:
            *groups, name = path.split("/")
            with self.checked(f"has no array '{path}'"):
                group = self._group
                for inner in groups:
                    group = group.OpenGroup(inner) if group is not None else None
                array = group.OpenMDArray(name) if group is not None else None
                if array is None:
                    raise self.damaged(f"has no array '{path}'", "")
                self._variables[path] = Variable(self, path, array)
        return self._variables[path]

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Return the attributes of an array; numbers, texts, or lists of them."""
        return self.variable(name).attributes

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array."""
        return self.variable(name).shape

    def read(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
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
        there = self.shape(name)
        if shape is not None and there != shape:
            raise SceneError(
                f"'{name}' in {self.path} has the shape {there} where {shape} is due. "
                "The file is not what its names say: get it again from its provider."
            )
        return self.variable(name).stored(LARGEST_ARRAY)

    def text(self, name: str) -> str:
        """Return a global attribute as text, empty where there is none."""
        return as_text(self.attributes.get(name))

    def whole_text(self, name: str) -> str:
        """Return a global attribute of any length as it is stored, empty where there is none or it is no text."""
        with self.checked(f"has an attribute '{name}' that cannot be read"):
            attribute = self._group.GetAttribute(name)
            value = None if attribute is None else attribute.Read()
        return value if isinstance(value, str) else ""

    def warn(self, sentence: str, variable: str = "") -> None:
        """Note what a person should know, once; of several variables alike together.

        Parameters
        ----------
        sentence : str
            A sentence; of a variable what follows "In a file, ".
        variable : str
            What it is about; empty for the file.
        """
        self._notes.setdefault(sentence, []).append(variable)

    @property
    def warnings(self) -> list[str]:
        """What the decoder had to assume, in sentences for a person."""
        texts = []
        for sentence, names in self._notes.items():
            known = list(dict.fromkeys(name for name in names if name))
            listed = ", ".join(known[:3]) + (f" and {len(known) - 3} more" if len(known) > 3 else "")
            texts.append(f"{self.path}, {listed}: {sentence}" if known else sentence)
        return texts

    @contextmanager
    def checked(self, what: str) -> Iterator[list[str]]:
        """Turn what GDAL raises inside the block into a sentence; gives the list of its errors."""
        errors: list[str] = []
        with quiet_gdal(errors):
            try:
                yield errors
            except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
                raise self.damaged(what, errors[0] if errors else str(error)) from error

    def damaged(self, what: str, reason: str) -> SceneError:
        """Return the error of what cannot be read: damaged, or compressed in a way that is not known here."""
        codec = missing_codec(self.filters)
        if codec:
            return SceneError(
                f"{self.path} {what}: its data are compressed with {codec}, which the library of this QGIS cannot "
                "unpack. The file may well be whole. Convert it where the codec is there, for example by "
                "nccopy -F none old.nc new.nc or h5repack -f GZIP=4 old.h5 new.h5."
            )
        return SceneError(f"{self.path} {what}{f' ({_line(reason)})' if reason else ''}. {_DAMAGED}")


def as_text(value: Any) -> str:
    """Return an attribute as text: the first of several."""
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    return "" if value is None else str(value).strip().strip("\x00").strip()


def as_numbers(value: Any) -> list[float]:
    """Return an attribute as numbers; empty where it holds something else."""
    values = value if isinstance(value, (list, tuple)) else [value]
    try:
        return [float(entry) for entry in values]
    except (TypeError, ValueError):
        return []


def check_size(container: Container, variable: Variable, most: int = 100_000) -> tuple[int, int]:
    """Return rows and columns of a two-dimensional variable.

    Raises
    ------
    SceneError
        It has another number of dimensions, or no believable size.
    """
    if len(variable.shape) != 2 or not all(1 <= size <= most for size in variable.shape):
        raise SceneError(
            f"In {container.path} the variable '{variable.name}' is {times(variable.shape)}: no image. "
            "The file is damaged, or of a version that is not known."
        )
    return variable.shape[0], variable.shape[1]


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:160]
