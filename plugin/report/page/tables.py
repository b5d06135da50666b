"""Tables as CSV with typed columns, and anything plain as JSON: the same content gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

# As many digits as distinguish every float32 from the next. More would be those of the linear algebra library
# and its threads: the same scene has to give the same bytes from Python and from QGIS.
DIGITS = 9

FIELD_TYPES = ("String", "Integer64", "Real")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV; numbers to nine digits, blank where not available.

    Parameters
    ----------
    columns : sequence of str
        Which keys, in this order; they are the header.
    rows : iterable of mapping
        A missing key, None and NaN are blank.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in columns])
    return text.getvalue()


def csvt_text(columns: Sequence[str], types: Mapping[str, str]) -> str:
    """Return the content of the ``.csvt`` file that gives GDAL and QGIS the type of each column.

    Parameters
    ----------
    columns : sequence of str
        As in the CSV.
    types : mapping of str to str
        ``String`` or ``Integer64`` by column; all others are ``Real``.
    """
    return ",".join(f'"{types.get(name, "Real")}"' for name in columns) + "\n"


def csvt_path(path: str | PathLike) -> Path:
    """Return where GDAL and QGIS look for the field types of the CSV file `path`."""
    return Path(path).with_suffix(".csvt")


def json_text(value: Any) -> str:
    """Return plain values, arrays and dataclasses as JSON; what is not a finite number becomes null."""
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(value: Any) -> str:
    value = _plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(float(f"{value:.{DIGITS}g}")) if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """Return a value of JSON's own types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)
