"""How values are stored: what means missing, the valid range, scale and offset.

The order is that of the CF conventions (sections 2.5.1 and 8.1) and of the NetCDF Users' Guide:

1. ``_Unsigned`` says that integers are without a sign (or with one), whatever their type;
2. ``_FillValue``, ``missing_value`` (one or several) and, where no fill value is named, the library's
   own one for the type, mark what is missing; they are compared as stored;
3. ``valid_min``, ``valid_max`` or ``valid_range`` bound what is stored, too;
4. ``scale_factor`` and ``add_offset`` unpack the rest.

Many files give the valid range in unpacked units. That reading is taken where the one of the
conventions leaves nothing, or where the range is a fraction while what is stored are whole numbers, and
unpacked it fits and keeps more; it is said in a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

ABSURD = 1e30
"""No quantity is as large; NetCDF fills what was never written with 9.97e36."""

# What the library fills arrays with that were never written; bytes have none (NetCDF Users' Guide).
_NEVER_WRITTEN = {
    "int16": -32767,
    "uint16": 65535,
    "int32": -2147483647,
    "uint32": 4294967295,
}
_FILLS = ("_FillValue", "missing_value", "variable_fill_value")
_FLOATS = ("Float32", "Float64")
_MUCH = 0.1  # share of values that a valid range may take away in silence


def numbers(value: Any) -> list[float]:
    """Return an attribute as numbers, from text too; empty where it holds something else."""
    values = value if isinstance(value, (list, tuple)) else [value]
    try:
        return [float(entry) for entry in values]
    except (TypeError, ValueError):
        return []


@dataclass(frozen=True)
class Packing:
    """How the values of a variable are stored.

    Parameters
    ----------
    dtype : str
        The type that is stored, by the file's library.
    meant : str
        The type that is meant: another one where ``_Unsigned`` says so.
    fills : tuple of float
        What marks missing values, as stored.
    unpacked_fills : tuple of float
        Missing values that cannot be stored in this type, so that they stand for unpacked values.
    low, high : float, optional
        Valid range.
    unpacked_range : bool
        Whether it bounds unpacked values instead of stored ones.
    fraction_range : bool
        Whether it is given with a fraction's type, while what is stored are whole numbers.
    scale, offset : float, optional
        Value = stored × scale + offset.
    flags : tuple of (float, str)
        Stored values that are codes, and what they mean.
    """

    dtype: str
    meant: str
    fills: tuple[float, ...] = ()
    unpacked_fills: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    unpacked_range: bool = False
    fraction_range: bool = False
    scale: float | None = None
    offset: float | None = None
    flags: tuple[tuple[float, str], ...] = ()

    @classmethod
    def of(cls, attributes: Mapping[str, Any], types: Mapping[str, str], dtype: str) -> Packing:
        """Return the packing that attributes of a variable describe.

        Parameters
        ----------
        attributes : mapping
            By name: numbers, texts, or lists of them.
        types : mapping
            Types of attributes that are numbers, as GDAL names them.
        dtype : str
            Type of what is stored, as numpy names it.
        """
        sign = str(attributes.get("_Unsigned", "")).strip().lower()
        meant = _meant(dtype, sign)
        scale, offset = (
            next(iter(numbers(attributes.get(key))), None) for key in ("scale_factor", "add_offset")
        )
        scale, offset = (None if scale == 1.0 else scale), (None if offset == 0.0 else offset)
        given = [fill for key in _FILLS if key in attributes for fill in numbers(attributes[key])]
        if not numbers(attributes.get("_FillValue")) and meant in _NEVER_WRITTEN:
            given.append(float(_NEVER_WRITTEN[meant]))
        fills: list[float] = []
        others: list[float] = []
        for fill in dict.fromkeys(fill for fill in given if np.isfinite(fill)):
            stored = _stored(_turned(fill, meant) if sign else fill, meant)
            (others if stored is None else fills).append(fill if stored is None else stored)
        packed = scale is not None or offset is not None
        limits = numbers(attributes.get("valid_range", ()))
        low, high = limits if len(limits) == 2 else (None, None)
        names = ("valid_range",) if len(limits) == 2 else ("valid_min", "valid_max")
        if len(limits) != 2:
            low, high = (next(iter(numbers(attributes.get(key))), None) for key in names)
        low, high = (value if value is not None and np.isfinite(value) else None for value in (low, high))
        if sign:
            low, high = (value if value is None else _turned(value, meant) for value in (low, high))
        return cls(
            dtype,
            meant,
            tuple(fills),
            tuple(others) if packed else (),
            low,
            high,
            fraction_range=np.dtype(meant).kind in "iu" and any(types.get(name) in _FLOATS for name in names),
            scale=scale,
            offset=offset,
            flags=tuple((_turned(flag, meant) if sign else flag, text) for flag, text in _flags(attributes)),
        )

    @property
    def ambiguous(self) -> bool:
        """Whether the valid range bounds other values where it is taken for unpacked ones."""
        packed = self.scale is not None or self.offset is not None
        return packed and (self.low is not None or self.high is not None)

    def settled(self, raw: np.ndarray) -> tuple[Packing, str]:
        """Return the packing with its valid range read as fits the values, and what to warn of.

        Parameters
        ----------
        raw : numpy.ndarray
            All that is stored, or some of it.
        """
        stored = self.stored(raw)
        marked = self._marked(stored)
        for flag, _ in self.flags:  # codes lie outside of the valid range for good reason
            marked |= stored == flag
        known = stored[~marked]
        if not known.size:
            return self, ""
        other = replace(self, unpacked_range=True)
        packed, unpacked = (float(1.0 - one._outside(known).mean()) for one in (self, other))
        limits = f"{_limit(self.low)} to {_limit(self.high)}"
        fits = unpacked > packed and self._storable()
        if fits and (packed == 0.0 or self.fraction_range):
            return other, (
                f"the valid range of {limits} is taken for unpacked values. Of stored values, which CF asks for, it "
                f"would leave {100 * packed:.0f} %."
            )
        if fits and packed < 1.0 - _MUCH:
            return self, (
                f"by the valid range of {limits}, {100 - 100 * packed:.0f} % of the values are missing. CF bounds "
                "stored values by it; if unpacked ones are meant, correct the attribute."
            )
        if packed < 1.0 - _MUCH:
            return self, (
                f"by the valid range of {limits}, {100 - 100 * packed:.0f} % of the values are missing."
            )
        return self, ""

    def _storable(self) -> bool:
        """Return whether the valid range could be stored, were it of unpacked values."""
        if np.dtype(self.meant).kind not in "iu":
            return True
        info = np.iinfo(self.meant)
        scale, offset = self.scale or 1.0, self.offset or 0.0
        ends = [(value - offset) / scale for value in (self.low, self.high) if value is not None]
        return all(info.min - 0.5 <= end <= info.max + 0.5 for end in ends)

    # Decoding

    def stored(self, raw: np.ndarray) -> np.ndarray:
        """Return what is stored, in the type that is meant."""
        return raw if self.meant == self.dtype else raw.astype(self.meant)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Return values, float32 where that is stored unpacked, else float64; NaN where there is none."""
        stored = self.stored(raw)
        with np.errstate(invalid="ignore", over="ignore"):
            bad = self._marked(stored) | self._outside(stored)
            return self._unpacked(stored, bad)

    def counted(self, raw: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Return values as :meth:`decode` does, with codes as NaN too, and how often each reason holds."""
        stored = self.stored(raw)
        bad = ~np.isfinite(stored)
        codes: dict[str, int] = {}

        def take(where: np.ndarray, name: str) -> None:
            new = where & ~bad
            if new.any():
                codes[name] = codes.get(name, 0) + int(new.sum())
                bad[new] = True

        with np.errstate(invalid="ignore", over="ignore"):
            for flag, meaning in self.flags:
                take(stored == flag, meaning)
            take(self._marked(stored), "fill value")
            take(self._outside(stored), "outside of the valid range")
            return self._unpacked(stored, bad), codes

    def _marked(self, stored: np.ndarray) -> np.ndarray:
        """Return where a value is marked as missing."""
        if stored.dtype.kind == "f":
            bad = ~np.isfinite(stored) | (np.abs(stored) > ABSURD)
        else:
            bad = np.zeros(stored.shape, dtype=bool)
        for fill in self.fills:
            # Compared in the file's own precision: an attribute may be kept in a wider type.
            bad |= stored == stored.dtype.type(fill)
        if self.unpacked_fills:
            values = self._values(stored)
            for fill in self.unpacked_fills:
                bad |= np.isclose(values, fill, rtol=1e-6, atol=abs(self.scale or 1.0) / 2.0)
        return bad

    def _outside(self, stored: np.ndarray) -> np.ndarray:
        """Return where a value lies outside of the valid range."""
        bad = np.zeros(stored.shape, dtype=bool)
        if self.low is None and self.high is None:
            return bad
        values, slack = stored, 0.0
        if self.unpacked_range:
            # A limit is as precise as what can be stored.
            values, slack = self._values(stored), abs(self.scale or 1.0) / 2.0
        if self.low is not None:
            bad |= values < self._as(self.low, values) - slack
        if self.high is not None:
            bad |= values > self._as(self.high, values) + slack
        return bad

    @staticmethod
    def _as(value: float, values: np.ndarray) -> float:
        return float(values.dtype.type(value)) if values.dtype.kind == "f" else value

    def _values(self, stored: np.ndarray) -> np.ndarray:
        factor, offset = (1.0 if self.scale is None else self.scale), (self.offset or 0.0)
        return stored.astype(np.float64) * factor + offset

    def _unpacked(self, stored: np.ndarray, bad: np.ndarray) -> np.ndarray:
        if self.scale is None and self.offset is None:
            values = stored if stored.dtype == np.float32 else stored.astype(np.float64)
        else:
            values = self._values(stored)
        return np.where(bad, np.asarray(np.nan, dtype=values.dtype), values)


def _meant(dtype: str, unsigned: str) -> str:
    kind, plain = np.dtype(dtype).kind, dtype.lstrip("u")
    if unsigned == "true" and kind == "i":
        return f"u{plain}"
    if unsigned == "false" and kind == "u":
        return plain
    return dtype


def _turned(value: float, meant: str) -> float:
    """Return a number of the type that is stored in the one that is meant: −1 is 255 among bytes without a sign."""
    if np.dtype(meant).kind not in "iu" or value != int(value):
        return value
    info = np.iinfo(meant)
    span = 1 << info.bits
    turned = value + span if value < info.min else value - span if value > info.max else value
    return turned if info.min <= turned <= info.max else value


def _stored(fill: float, meant: str) -> float | None:
    """Return a fill value as it is stored; None where it cannot be."""
    if np.dtype(meant).kind not in "iu":
        return fill
    info = np.iinfo(meant)
    return fill if fill == int(fill) and info.min <= int(fill) <= info.max else None


def _flags(attributes: Mapping[str, Any]) -> list[tuple[float, str]]:
    stated = attributes.get("flag_meanings")
    meanings = (stated[0] if isinstance(stated, (list, tuple)) and stated else str(stated or "")).split()
    values = numbers(attributes["flag_values"]) if "flag_values" in attributes else []
    return list(zip(values, meanings)) if len(meanings) == len(values) else []


def _limit(value: float | None) -> str:
    return "any value" if value is None else f"{value:g}"
