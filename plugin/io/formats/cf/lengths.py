"""Units of the axes of a grid: any unit of length in metres, and the spellings of degrees.

Units of length are those that PROJ's database knows (52 of them), metres with any prefix of the SI, and
multiples of either: ``km``, ``kilometre``, ``1000 m``, ``1e3 m``, ``10 km``, ``US survey foot``, ``mi``.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

_PREFIXES = {
    "Y": ("yotta", 24),
    "Z": ("zetta", 21),
    "E": ("exa", 18),
    "P": ("peta", 15),
    "T": ("tera", 12),
    "G": ("giga", 9),
    "M": ("mega", 6),
    "k": ("kilo", 3),
    "h": ("hecto", 2),
    "da": ("deca", 1),
    "d": ("deci", -1),
    "c": ("centi", -2),
    "m": ("milli", -3),
    "u": ("micro", -6),
    "n": ("nano", -9),
}
# Spellings that the database has not, by those that it has.
_ALSO = {
    "mile": "statute mile",
    "international mile": "statute mile",
    "land mile": "statute mile",
    "international foot": "foot",
    "us foot": "us survey foot",
    "survey foot": "us survey foot",
    "foot_us": "us survey foot",
    "ft us": "us survey foot",
    "ftus": "us survey foot",
    "us mile": "us survey mile",
    "nmi": "nautical mile",
    "yd": "yard",
    "international yard": "yard",
    "fathom": "fathom",
    "in": "inch",
}
_INCH = 0.0254
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_POWER = r"10\s*(?:\^|\*\*)\s*[-+]?\d+|10[-+]\d+"
_MULTIPLE = re.compile(rf"(?P<factor>{_POWER}|{_NUMBER})\s*[*.x×·]?\s*(?P<unit>[^\d\s*.×·+-].*)")
_DEGREES = re.compile(r"(?:arc ?)?deg(?:ree)?s?(?:[ _]?(?:n(?:orth)?|e(?:ast)?|true))?|°(?: ?[ne])?|º")
_RADIANS = re.compile(r"rad(?:ian)?s?")


def metres(unit: str) -> float | None:
    """Return how many metres a unit has; None where it is no length that is known.

    Parameters
    ----------
    unit : str
        As a file writes it.
    """
    text = unit.strip()
    factor = 1.0
    multiple = _MULTIPLE.fullmatch(text)
    if multiple:
        factor, text = _factor(multiple["factor"]), multiple["unit"].strip()
    size = _single(text)
    whole = None if size is None else factor * size
    return whole if whole is not None and math.isfinite(whole) and whole > 0.0 else None


def degrees(unit: str) -> float | None:
    """Return how many degrees a unit of angle has; None where it is none that is known."""
    text = unit.strip().lower()
    if _DEGREES.fullmatch(text):
        return 1.0
    return math.degrees(1.0) if _RADIANS.fullmatch(text) else None


def _factor(text: str) -> float:
    power = re.fullmatch(r"10\s*(?:\^|\*\*)\s*([-+]?\d+)|10([-+]\d+)", text)
    return 10.0 ** int(power[1] or power[2]) if power else float(text)


def _single(text: str) -> float | None:
    """Return the metres of a unit without a number before it."""
    # Symbols differ by case: Mm is a thousand kilometres, mm a thousandth of a metre.
    symbol = re.fullmatch(r"(da|[YZEPTGMkhdcmunµμ]?)m", text)
    if symbol:
        prefix = "u" if symbol[1] in ("µ", "μ") else symbol[1]
        return float(f"1e{_PREFIXES[prefix][1]}") if prefix else 1.0
    plain = re.sub(r"[\s_]+", " ", text.lower()).strip(" .")
    for word in dict.fromkeys(
        (plain, plain.replace("feet", "foot"), plain.rstrip("s"), plain.replace("inches", "inch"))
    ):
        for name in (word, _ALSO.get(word, "")):
            if name in _named():
                return _named()[name]
    return None


@lru_cache(maxsize=1)
def _named() -> dict[str, float]:
    """Return names of units, lower case, to metres."""
    from pyproj.database import get_units_map

    factors = {"inch": _INCH, "inche": _INCH}
    for prefix, (name, power) in {"": ("", 0), **_PREFIXES}.items():
        for unit in ("metre", "meter", "mtr"):
            factors[name + unit] = float(f"1e{power}")
        if prefix and prefix not in "YZEPTGMmdhn":
            factors[f"{prefix}m"] = float(f"1e{power}")
    factors["dekametre"] = factors["dekameter"] = 10.0
    for known in get_units_map(category="linear").values():
        for word in (known.name, known.proj_short_name):
            if word:
                factors.setdefault(word.lower(), float(known.conv_factor))
    factors["km"] = 1000.0
    return factors
