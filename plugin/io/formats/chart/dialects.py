"""Fields and codes of ice charts that are not quite SIGRID-3, turned into those that are.

Services have fields of their own: Canada's ``SGD_CT`` holds SIGRID-3 codes and ``E_CT`` those of the egg
as people draw it; the U.S. National Ice Center writes all codes into ``ICECODE``; Norway names the class of
drift ice in ``NIS_CLASS``. Some charts give concentrations in tenths (``9+``, ``5``) instead of codes (91, 50).
What was turned is said; columns that are right already stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

EGG = ("CT", "CA", "SA", "FA", "CB", "SB", "FB", "CC", "SC", "FC")
_AMOUNTS = ("CT", "CA", "CB", "CC")
_PREFIXES = ("SGD_", "SIGRID_", "SIGRID3_", "E_", "EGG_")
_ICECODE = re.compile(r"(C[TABC]|S[ABC]|F[ABC])\s*([0-9]{2})")
_CLASS_FIELDS = ("NIS_CLASS", "ICE_CLASS", "ICETYPE", "ICE_TYPE")
# Classes of the WMO in words, to the concentration's code: the longer names first.
_CLASSES = (
    (r"fast|consolidated|compact", "92"),
    (r"very close", "91"),
    (r"very open", "13"),
    (r"close", "78"),
    (r"open (drift|pack)|open ice", "46"),
    (r"bergy", "02"),
    (r"open water", "01"),
    (r"ice[ _-]?free|no ice", "55"),
)
# The egg's own numbers of stages of development (MANICE); a dot stands behind the older ones.
_EGG_STAGES = {
    "1": "81", "2": "82", "3": "83", "4": "84", "5": "85", "6": "86", "7": "87", "8": "88", "9": "89",
    "1.": "91", "4.": "93", "7.": "95", "8.": "96", "9.": "97",
}  # fmt: skip
_EGG_FORMS = {
    "0": "22",
    "1": "01",
    "2": "02",
    "3": "03",
    "4": "04",
    "5": "05",
    "6": "06",
    "7": "07",
    "8": "08",
    "9": "10",
}

Columns = dict[str, list[Any]]


def concentration_field(names: Any) -> str | None:
    """Return the field of the concentration of a chart; None where there is none."""
    known = set(names)
    for name in ("CT", *(f"{prefix}CT" for prefix in _PREFIXES), "ICECODE", *_CLASS_FIELDS):
        if name in known:
            return name
    return None


def as_sigrid(columns: Mapping[str, list[Any]]) -> tuple[Columns, list[str]]:
    """Return columns with the egg's fields in codes of SIGRID-3, and what to say of them.

    Parameters
    ----------
    columns : mapping
        Upper-case field names to one value a polygon.
    """
    translated: Columns = dict(columns)
    notes: list[str] = []
    source = concentration_field(columns)
    if source is None:
        return translated, notes
    prefix = source[: -len("CT")]
    if source == "ICECODE":
        texts = [dict(_ICECODE.findall(str(value or "").upper())) for value in columns[source]]
        translated.update({name: [codes.get(name, "-9") for codes in texts] for name in EGG})
        notes.append("The codes are read from the field ICECODE.")
    elif source in _CLASS_FIELDS:
        translated["CT"] = [_class(value) for value in columns[source]]
        notes.append(
            f"The concentration is read from the classes in the field {source}; there are no stages."
        )
    elif prefix:
        translated.update({name: columns[prefix + name] for name in EGG if prefix + name in columns})
        notes.append(f"The codes are read from the fields {prefix}CT, {prefix}CA and so on.")
    if prefix in ("E_", "EGG_"):
        for name in EGG:
            if name in translated and name[0] != "C":
                table = _EGG_STAGES if name[0] == "S" else _EGG_FORMS
                translated[name] = [_turned(table, value) for value in translated[name]]
    if _in_tenths(translated.get("CT", [])):
        for name in _AMOUNTS:
            if name in translated:
                translated[name] = [_of_tenths(value) for value in translated[name]]
        notes.append("Concentrations are given in tenths, not in codes of SIGRID-3: read so.")
    return translated, notes


def _class(value: Any) -> str:
    text = re.sub(r"[\s_]+", " ", str(value or "").lower())
    return next((code for pattern, code in _CLASSES if re.search(pattern, text)), "-9")


def _turned(table: Mapping[str, str], value: Any) -> str:
    text = re.sub(r"\.0+$", "", str(value)) if isinstance(value, float) else str(value or "").strip()
    text = text.replace("·", ".").replace("•", ".")
    return table.get(text, "-9" if not text or text.upper() in ("X", "-") else text)


def _in_tenths(values: list[Any]) -> bool:
    """Return whether total concentrations are tenths: none above ten, and some that no code of SIGRID-3 is."""
    tenths = [_tenths(value) for value in values]
    given = [tenth for tenth in tenths if tenth is not None]
    fits = all(tenth is not None for tenth, value in zip(tenths, values) if not _absent(value))
    return fits and any(2.0 < tenth < 10.0 for tenth in given)


def _absent(value: Any) -> bool:
    return str(value if value is not None else "").strip().upper() in (
        "",
        "-9",
        "-9.0",
        "99",
        "99.0",
        "X",
        "-",
    )


def _tenths(value: Any) -> float | None:
    """Return tenths as a number: ``9+`` is 9.5; None where a value is none."""
    text = str(value if value is not None else "").strip()
    if re.fullmatch(r"9\s*\+", text):
        return 9.5
    match = re.fullmatch(r"(\d{1,2})(?:\.0+)?", text)
    return float(match[1]) if match and float(match[1]) <= 10.0 else None


def _of_tenths(value: Any) -> str:
    tenth = None if _absent(value) else _tenths(value)
    if tenth is None:
        return "-9" if _absent(value) else str(value)
    return {9.5: "91", 10.0: "92", 0.0: "00"}.get(tenth, f"{10 * tenth:.0f}")
