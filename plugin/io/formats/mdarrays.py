"""Numbers out of GDAL's multidimensional arrays, and nothing that was not in the file.

Where a block cannot be decoded GDAL's ``ReadAsArray`` returns whatever lay in the memory that it was
to fill, and says nothing; ``Read`` returns None.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from osgeo import gdal

_DTYPES = {
    gdal.GDT_Byte: "uint8",
    gdal.GDT_UInt16: "uint16",
    gdal.GDT_Int16: "int16",
    gdal.GDT_UInt32: "uint32",
    gdal.GDT_Int32: "int32",
    gdal.GDT_Float32: "float32",
    gdal.GDT_Float64: "float64",
    # Not known to every GDAL that runs this.
    getattr(gdal, "GDT_UInt64", -1): "uint64",
    getattr(gdal, "GDT_Int64", -2): "int64",
    getattr(gdal, "GDT_Int8", -3): "int8",
}


def number_type(array: Any) -> str:
    """Return the type of an array's numbers as numpy names it; empty where it holds no real numbers."""
    kind = array.GetDataType()
    if kind.GetClass() != gdal.GEDTC_NUMERIC:
        return ""
    return _DTYPES.get(kind.GetNumericDataType(), "")


def read_numbers(
    array: Any, start: Sequence[int] | None = None, count: Sequence[int] | None = None
) -> np.ndarray | None:
    """Return numbers of an array, all or those of a window; None where they cannot be decoded.

    Parameters
    ----------
    array : osgeo.gdal.MDArray
        It holds real numbers (see :func:`number_type`).
    start, count : sequence of int, optional
        First index and number along each dimension, none of them 0.
    """
    shape = tuple(count) if count is not None else tuple(d.GetSize() for d in array.GetDimensions() or ())
    content = array.Read() if count is None else array.Read(list(start or [0] * len(shape)), list(shape))
    return None if content is None else np.frombuffer(content, dtype=number_type(array)).reshape(shape)
