"""Brightness temperatures in K and concentrations in %, whatever unit a file has them in.

A declared unit is converted. Where a file is silent, or says only ``1``, the range of the values decides,
and the log says so. What fits nothing is refused with the likely cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from ....ground.errors import SceneError
from ...scene.units import Unit, parse_unit

LOWEST_K, HIGHEST_K = 50.0, 350.0
"""What a radiometer sees of the Earth: open water has 70 K at 6.9 GHz, nothing exceeds 340 K."""

_WHOLE = 1.005  # a fraction of 1, with the rounding of what is stored
_CAUSES = (
    ("°C", lambda values: values + 273.15),
    ("hundredths of K", lambda values: values / 100.0),
    ("tenths of K", lambda values: values / 10.0),
)

Warn = Callable[[str, str], None]


def kelvins(values: np.ndarray, unit: str, name: str, path: str, warn: Warn) -> np.ndarray:
    """Return brightness temperatures in K, of the same type.

    Parameters
    ----------
    values : numpy.ndarray
        NaN where there is none.
    unit : str
        As the file writes it.
    name, path : str
        Variable and file, for messages.
    warn : callable
        Takes a sentence for a person, and the variable that it is about.

    Raises
    ------
    SceneError
        The unit is none of temperature, or the values cannot be brightness temperatures in it.
    """
    meant = _loosely(unit, "temperature") if unit.strip() else Unit("temperature", "K")
    if meant is None:
        raise SceneError(
            f"'{name}' in {path} is in '{unit}', which is no unit of temperature that is known here. Correct its "
            "attribute units, for example to K."
        )
    converted = meant.to_base(values)
    known = converted[np.isfinite(converted)]
    if not known.size:
        return converted
    middle = float(np.median(known))
    if LOWEST_K <= middle <= HIGHEST_K:
        if not meant.is_base:
            warn(f"the unit is {unit.strip()}; converted to K.", name)
        return converted
    stated = f"in '{unit.strip()}'" if unit.strip() else "without a unit"
    fits = [
        cause
        for cause, turned in _CAUSES
        if LOWEST_K <= float(np.median(turned(values[np.isfinite(values)].astype(np.float64)))) <= HIGHEST_K
    ]
    likely = (
        f" They may be in {fits[0]}: correct its attribute units."
        if fits
        else " Get the file from its provider."
    )
    raise SceneError(
        f"'{name}' in {path} holds {np.nanmin(values):.4g} … {np.nanmax(values):.4g} {stated}; brightness temperatures "
        f"are {LOWEST_K:g} … {HIGHEST_K:g} K.{likely}"
    )


def percent(values: np.ndarray, unit: str, name: str, path: str, warn: Warn) -> np.ndarray:
    """Return concentrations in %, float32; what is outside of 0 to 100 % stays as it is.

    Parameters and errors are those of :func:`kelvins`.
    """
    plain = unit.strip()
    meant = _loosely(plain, "concentration") if plain else Unit("concentration", "fraction", 100.0)
    if meant is None:
        raise SceneError(
            f"'{name}' in {path} is in '{unit}', which is no unit of concentration that is known here. Correct its "
            "attribute units, for example to percent, 1 or tenths."
        )
    share = _share_up_to(values, 1.0)
    if np.isnan(share):  # no ice at all, or no value: any unit says the same
        return _times(values, meant.scale)
    with np.errstate(invalid="ignore"):
        highest = float(np.max(values, where=values <= 100.0, initial=0.0))
    if (meant.scale == 100.0 and share < 0.5) or (meant.scale == 10.0 and _share_up_to(values, 10.0) < 0.5):
        said = f"the unit is '{plain}'" if plain else "there is no unit"
        if highest <= 10.0:
            raise SceneError(
                f"'{name}' in {path} reaches {highest:.4g}, and {said}: that fits tenths as well as %. Set its "
                "attribute units to tenths or to percent."
            )
        warn(f"{said}, but the values reach {highest:.4g}: taken for %.", name)
        return _times(values, 1.0)
    if meant.scale == 100.0 and not plain:
        warn("there is no unit, and the values are 0 to 1: taken for fractions.", name)
    if meant.scale == 1.0 and highest <= 1.0 + 1e-6:
        warn(
            f"the unit is '{plain}', but no value exceeds {highest:.4g}: next to no ice. If they are fractions, the "
            "unit is wrong: correct the attribute units to 1.",
            name,
        )
    return _times(values, meant.scale)


def _loosely(unit: str, quantity: str) -> Unit | None:
    """Return the unit that a text means, with or without what stands in brackets: ``percent (%)``, ``0.01``."""
    for text in (unit, re.sub(r"[\[(].*", "", unit), *re.findall(r"[\[(]([^\])]*)", unit)):
        meant = parse_unit(text, quantity) if text.strip() else None
        if meant is not None:
            return meant
    # A number is a unit, too: concentrations in 0.01 are in %.
    if quantity == "concentration" and re.fullmatch(r"\d*\.?\d+(e[-+]?\d+)?", unit.strip(), re.I):
        return Unit(quantity, unit.strip(), 100.0 * float(unit)) if float(unit) > 0.0 else None
    return None


def _share_up_to(values: np.ndarray, most: float) -> float:
    """Return which share of values above 0 does not exceed `most`; NaN where none is above 0."""
    with np.errstate(invalid="ignore"):
        positive = values[values > 0.0]
    return float((positive <= most * _WHOLE).mean()) if positive.size else float("nan")


def _times(values: np.ndarray, factor: float) -> np.ndarray:
    values = values.astype(np.float32)
    return values if factor == 1.0 else values * np.float32(factor)
