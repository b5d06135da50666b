"""Units of what sensors measure: how people write them, and the way from one to another.

Every unit of a quantity knows its way to the quantity's own unit (dB, K, degree, m/s, kg/m², %)::

    celsius = parse_unit("degrees_C", "temperature")
    kelvin = celsius.to_base(values)

A name that carries a unit (``Sigma0_HH_db``, ``btemp_89_0v (degC)``) is taken apart by :func:`split_name`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# The unit that stands for each quantity.
BASE_UNITS = {
    "backscatter": "dB",
    "temperature": "K",
    "angle": "degree",
    "speed": "m/s",
    "column": "kg/m2",
    "concentration": "%",
}


@dataclass(frozen=True)
class Unit:
    """A unit of a quantity.

    Parameters
    ----------
    quantity : str
        A key of :data:`BASE_UNITS`.
    name : str
        What messages call it.
    scale, offset : float
        base = values · scale + offset; for logarithms of powers 10·log10(values · scale).
    logarithm : float
        Factor before log10: 10 for linear power, 20 for amplitude, 0 for none.
    """

    quantity: str
    name: str
    scale: float = 1.0
    offset: float = 0.0
    logarithm: float = 0.0

    @property
    def is_base(self) -> bool:
        """Whether values need no conversion to the quantity's own unit."""
        return (self.scale, self.offset, self.logarithm) == (1.0, 0.0, 0.0)

    def scaled(self, factor: float, name: str) -> Unit:
        """Return the unit whose values are to be multiplied by `factor` first."""
        return Unit(self.quantity, name, self.scale * factor, self.offset, self.logarithm)

    def to_base(self, values: np.ndarray) -> np.ndarray:
        """Return values in the quantity's own unit, in the same type; NaN where there is none (log of 0).

        Computed in float64, so that rounding happens once.
        """
        if self.is_base:
            return values
        wide = np.asarray(values, np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if self.logarithm:
                in_base_units = self.logarithm * np.log10(np.where(wide > 0, wide * self.scale, np.nan))
            else:
                in_base_units = wide * self.scale + self.offset
            return in_base_units.astype(np.asarray(values).dtype)

    def from_base(self, values: np.ndarray) -> np.ndarray:
        """Return values of the quantity's own unit in this unit: the inverse of :meth:`to_base`."""
        if self.is_base:
            return values
        wide = np.asarray(values, np.float64)
        with np.errstate(over="ignore"):
            plain = 10 ** (wide / self.logarithm) if self.logarithm else wide - self.offset
            converted = plain / self.scale
        return converted.astype(np.asarray(values).dtype)


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|"))


# Quantity → (unit, its spellings once cleaned by `_clean`).
_SPELLINGS: dict[str, tuple[tuple[Unit, tuple[str, ...]], ...]] = {
    "backscatter": (
        (
            Unit("backscatter", "dB"),
            _words("db|decibel|decibels|log|logarithmic|db sigma0|sigma0 db|10*log10"),
        ),
        (
            Unit("backscatter", "linear power", logarithm=10.0),
            _words(
                "1|linear|lin|power|intensity|linear power|linear intensity|power linear|natural|natural units"
                "|m2/m2|m2 m-2|m/m|sigma0|sigma nought|sigma naught|sigma zero|nrcs|ratio|unitless|dimensionless"
                "|none|-|linear scale|linear units"
            ),
        ),
        (
            Unit("backscatter", "amplitude", logarithm=20.0),
            _words("amplitude|amp|linear amplitude|magnitude|voltage|sqrt power|square root of power"),
        ),
        (
            Unit("backscatter", "log10 of power", scale=10.0),
            _words("b|bel|bels|log10|log10 power|log10(power|log10 of power|log10 intensity|log10 sigma0"),
        ),
        (
            Unit("backscatter", "natural logarithm of power", scale=10.0 / np.log(10.0)),
            _words("ln|ln power|ln(power|ln of power|natural logarithm|natural log|ln intensity|ln sigma0"),
        ),
    ),
    "temperature": (
        (
            Unit("temperature", "K"),
            _words("k|kelvin|kelvins|degk|deg k|degree k|degrees k|degree kelvin|degrees kelvin|°k"),
        ),
        (
            Unit("temperature", "°C", offset=273.15),
            _words(
                "c|°c|degc|deg c|degree c|degrees c|celsius|degree celsius|degrees celsius|deg celsius|centigrade"
                "|degrees centigrade|° celsius"
            ),
        ),
        (
            Unit("temperature", "°F", 5 / 9, 459.67 * 5 / 9),
            _words("f|°f|degf|deg f|degree f|degrees f|fahrenheit|degree fahrenheit|degrees fahrenheit"),
        ),
    ),
    "angle": (
        (
            Unit("angle", "degree"),
            _words("°|deg|degs|degree|degrees|arc degree|degree angle|angular degree|angular degrees"),
        ),
        (Unit("angle", "radian", 180 / np.pi), _words("rad|rads|radian|radians")),
    ),
    "speed": (
        (
            Unit("speed", "m/s"),
            _words(
                "m/s|m s-1|ms-1|m*s-1|m.s-1|mps|m/sec|meter per second"
                "|meters per second|metre per second|metres per second|meter/second|meters/second"
            ),
        ),
        (Unit("speed", "knots", 1852 / 3600), _words("kn|kt|kts|knot|knots|nmi/h")),
        (
            Unit("speed", "km/h", 1 / 3.6),
            _words("km/h|kmh|kph|km h-1|km/hr|kilometers per hour|kilometres per hour"),
        ),
        (Unit("speed", "miles per hour", 0.44704), _words("mph|mi/h|miles per hour")),
        (Unit("speed", "cm/s", 0.01), _words("cm/s|cm s-1")),
    ),
    "column": (
        (
            Unit("column", "kg/m2"),
            _words(
                "kg/m2|kg m-2|kg*m-2|kgm-2|mm|millimeter|millimeters|millimetre|millimetres|kg per m2|kg/m/m"
            ),
        ),
        (Unit("column", "g/m2", 0.001), _words("g/m2|g m-2|gm-2|g*m-2")),
        (Unit("column", "g/cm2", 10.0), _words("g/cm2|g cm-2|cm|centimeter|centimeters")),
    ),
    "concentration": (
        (
            Unit("concentration", "%"),
            _words("%|percent|pct|percentage|per cent|percents|prozent|per hundred"),
        ),
        (
            Unit("concentration", "fraction", 100.0),
            _words("1|fraction|fractions|ratio|unitless|dimensionless|none|-|proportion|area fraction"),
        ),
        (Unit("concentration", "tenths", 10.0), _words("tenths|tenth|1/10|tenths of coverage")),
    ),
}
# What programs call values that nobody has calibrated.
_UNCALIBRATED = re.compile(r"\b(dn|digital numbers?|counts?|uncalibrated|raw)\b")
_FRACTIONS = {
    "tenths": 0.1,
    "tenth": 0.1,
    "hundredths": 0.01,
    "hundredth": 0.01,
    "thousandths": 0.001,
    "thousandth": 0.001,
}
_PREFIXES = {"centi": 0.01, "deci": 0.1, "milli": 0.001, "c": 0.01, "d": 0.1, "m": 0.001}
# What takes a prefix: °C would read as hundredths of a coulomb, and mm as thousandths of a metre.
_PREFIXED = {
    "backscatter": ("db", "decibel", "bel"),
    "temperature": ("k", "kelvin"),
    "angle": ("degree", "deg"),
}
_NUMBER = r"10\s*(?:\^|\*\*)\s*-?\d+|1\s*/\s*\d+|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
_BEFORE = re.compile(rf"^({_NUMBER})\s*[*x]?\s*(\D.*)$")
_AFTER = re.compile(rf"^(.*?[^\s*x/])\s*([*x/])\s*({_NUMBER})$")
_OF = re.compile(r"^(tenths?|hundredths?|thousandths?)\s+(?:of\s+)?(?:an?\s+)?(.+)$")


@lru_cache(maxsize=1024)  # an opening asks for the same few hundreds of times
def parse_unit(text: str, quantity: str) -> Unit | None:
    """Return the unit of a quantity that a text means; None where it is none.

    Parameters
    ----------
    text : str
        As somebody wrote it: ``degC``, ``Kelvin``, ``0.01 K``, ``K*100`` (stored times 100), ``m s**-1``, ``pct``.
    quantity : str
        A key of :data:`BASE_UNITS`.
    """
    return _parsed(_clean(text), text.strip(), quantity)


def _parsed(cleaned: str, text: str, quantity: str) -> Unit | None:
    known = {word: unit for unit, words in _SPELLINGS[quantity] for word in words}
    if cleaned in known:
        return known[cleaned]
    match = _OF.match(cleaned)
    if match:
        return _scaled(_parsed(match[2], text, quantity), _FRACTIONS[match[1]], text)
    match = _AFTER.match(cleaned)
    if match:
        number = _value(match[3])
        # "K*100": stored times 100; "K/100" and "K*0.01": a hundredth of K.
        factor = 1 / number if match[2] == "/" or number > 1 else number
        return _scaled(_parsed(match[1].strip(), text, quantity), factor, text)
    match = _BEFORE.match(cleaned)
    if match:
        return _scaled(_parsed(match[2].strip(), text, quantity), _value(match[1]), text)
    for word in _PREFIXED.get(quantity, ()):
        stem = cleaned[: -len(word)].strip(" -") if cleaned.endswith(word) else ""
        if stem in _PREFIXES:
            return _scaled(known.get(word), _PREFIXES[stem], text)
    return None


def _scaled(unit: Unit | None, factor: float, text: str) -> Unit | None:
    return unit.scaled(factor, text) if unit is not None and factor > 0 else None


def _value(text: str) -> float:
    power = re.match(r"10\s*(?:\^|\*\*)\s*(-?\d+)$", text)
    if power:
        return 10.0 ** max(-30, min(30, int(power[1])))
    over = re.match(r"1\s*/\s*(\d+)$", text)
    if over:
        return 1.0 / max(1, int(over[1]))
    return float(text)


def _clean(text: str) -> str:
    """Return a unit as it is compared: small letters, plain digits, one blank."""
    for sign, plain in (
        ("²", "2"),
        ("⁻", "-"),
        ("¹", "1"),
        ("º", "°"),
        ("˚", "°"),
        ("×", "*"),
        ("·", "*"),
        ("⋅", "*"),
    ):
        text = text.replace(sign, plain)
    text = text.replace("−", "-").strip().strip("[]()").lower().replace("_", " ")
    text = re.sub(r"(?<=[a-z])(?:\^|\*\*)(?=-?\d)", "", text)  # m s**-1, m^2
    return re.sub(r"\s+", " ", text).strip()


def is_uncalibrated(text: str) -> bool:
    """Return whether a unit says that values are digital numbers."""
    return bool(_UNCALIBRATED.search(_clean(text)))


def units_of(quantity: str) -> tuple[Unit, ...]:
    """Return the units of a quantity, its own first, and its own in tenths, hundredths and thousandths."""
    own, *others = (unit for unit, _ in _SPELLINGS[quantity])
    scaled = ((0.1, "tenths"), (0.01, "hundredths"), (0.001, "thousandths"))
    return (own, *others, *(own.scaled(factor, f"{word} of {own.name}") for factor, word in scaled))


_IN_BRACKETS = re.compile(r"^(.*\S)\s*[\[(]\s*([^\])]+?)\s*[\])]$")
_AT_END = re.compile(
    r"^(.*?[^\s_.-])[\s_.-]+(?:in[\s_])?"
    r"(db|decibels?|lin|linear|power|intensity|amplitude|amp|k|kelvin|degc|celsius|deg|degrees?|rad|radians?)$",
    re.I,
)
_AT_START = re.compile(r"^(intensity|amplitude|power)[\s_-]+(.+)$", re.I)
_LINEAR_NAMES = re.compile(
    r"^(sigma|gamma|beta)[\s_-]?(0|nought|naught|zero)\b|^(sigma|gamma|beta)[\s_-]?(0|nought)[\s_-]", re.I
)


def split_name(name: str) -> tuple[str, str]:
    """Return a band's name without its unit, and the unit in it; the unit is empty where there is none.

    ``Sigma0_HH_db`` is ``Sigma0_HH`` in ``db``, ``btemp_89_0v (degC)`` is ``btemp_89_0v`` in ``degC``,
    ``Amplitude_HH`` is ``HH`` in ``Amplitude``.
    """
    name = name.strip()
    match = _IN_BRACKETS.match(name) or _AT_END.match(name)
    if match:
        return match[1].strip(), match[2].strip()
    match = _AT_START.match(name)
    return (match[2].strip(), match[1]) if match else (name, "")


def usual_unit(name: str) -> str:
    """Return the unit that a name has by custom: ``Sigma0_HH`` is linear power; empty where there is none."""
    return "linear power" if _LINEAR_NAMES.match(name.strip()) and not split_name(name)[1] else ""
