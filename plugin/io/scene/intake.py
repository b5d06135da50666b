"""How the values of a band become values of a channel: which unit they are in, judged before the run.

A unit that is declared (the band's unit type, its metadata, its name) is taken where the values fit it. Values
without a declared unit are taken as what the network expects where they fit that. What fits nothing is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...ground.errors import SceneError
from ...networks.card import Channel
from ..files.raster import Raster
from .physical_range import CROSS_POLARISED, PhysicalRange, physical_range
from .radar_bands import BETA0, NUMBERS, radar_polarisation
from .radar_quantities import (
    INCIDENCE_ANGLE,
    angle_band,
    custom_unit,
    decibels_to,
    difference_text,
    expected_quantity,
    other_quantity,
    radar_quantity,
)
from .readings import other_readings
from .units import BASE_UNITS, Unit, is_uncalibrated, parse_unit, split_name, units_of, usual_unit

# Fewer values do not show their unit.
LEAST_VALUES = 16
# Of the values that are no repeated fill, at least so many lie inside of the range where the unit is right.
LEAST_INSIDE = 0.5
# So many lie inside where a unit is named as the likely cause of values that fit nothing declared.
LIKELY_INSIDE = 0.9
_UNIT_KEYS = ("units", "unit", "unittype", "unit_type", "uom")
ACCEPTED = "Accepted as ACCEPT_RANGE says."


@dataclass(frozen=True)
class Intake:
    """What is done with a band's values before the network sees them.

    Parameters
    ----------
    channel : Channel
        The channel of the card.
    range : PhysicalRange or None
        What values it can have; None where nothing is known.
    source : Unit or None
        The unit of the file's values; None with no range.
    note : str
        What was converted or assumed; empty where the unit is declared as the network takes it.
    warned : bool
        Whether the note is a warning.
    assumed : bool
        Whether nothing but the values says that they are in that unit.
    quantities : tuple of str, optional
        The radar quantity that the network takes and that of the file, where angles turn one into the other.
    """

    channel: Channel
    range: PhysicalRange | None = None
    source: Unit | None = None
    note: str = ""
    warned: bool = False
    assumed: bool = False
    quantities: tuple[str, str] | None = None

    def known(self) -> tuple[PhysicalRange, Unit]:
        """Return what values the channel can have, and the unit of the file's.

        Raises
        ------
        ValueError
            Nothing is known of them.
        """
        if self.range is None or self.source is None:
            raise ValueError(f"nothing is known of the values of {self.channel.name}")
        return self.range, self.source

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Return which values, as the file has them, no measurement can have: bool; NaN is none of them."""
        physical, source = self.known()
        base = source.to_base(values)
        is_outside = physical.outside(base)
        if not source.is_base:  # the logarithm of 0, and of what noise correction left below it
            is_outside |= np.isfinite(values) & ~np.isfinite(base)
        return is_outside

    def convert(self, values: np.ndarray, outside: np.ndarray, degrees: np.ndarray | None = None) -> None:
        """Bring the file's values in place into the channel's unit, NaN where `outside`.

        Values of another radar quantity are converted by `degrees`, their incidence angles; NaN where these are NaN.
        """
        physical, source = self.known()
        if self.quantities and degrees is not None:
            base = source.to_base(values) + decibels_to(*self.quantities, degrees)
            values[...] = physical.unit.from_base(base)
        elif source != physical.unit:
            values[...] = physical.unit.from_base(source.to_base(values))
        np.copyto(values, np.nan, where=outside)


def judged(channel: Channel, raster: Raster, band: int, values: np.ndarray, accept: bool) -> Intake:
    """Return how the values of a band become those of a channel.

    Parameters
    ----------
    channel : Channel
        What the network takes.
    raster : Raster
        Where the band is, for its declarations and for messages.
    band : int
        Its number, from 1.
    values : numpy.ndarray
        A sample of its values as they are read; NaN where there is no data.
    accept : bool
        Whether values that fit no unit, or do not vary, are taken all the same, with a warning.

    Raises
    ------
    SceneError
        The values fit no unit, or are all the same where a sensor measured them.
    """
    physical = physical_range(channel)
    if physical is None:
        return Intake(channel)
    values = values[np.isfinite(values)]
    declared = declared_units(raster, band)
    named = next((u for u in (parse_unit(text, physical.quantity) for text in declared) if u), None)
    usual = parse_unit(usual_unit(raster.names[band - 1]), physical.quantity)
    uncalibrated = any(is_uncalibrated(text) for text in declared)
    if physical.quantity == "backscatter":
        usual = parse_unit(custom_unit(raster, band), physical.quantity) or usual
        uncalibrated |= radar_quantity(raster, band) == NUMBERS
    other = other_quantity(channel, raster, band)
    if len(values) < LEAST_VALUES:
        return Intake(channel, physical, named or usual or physical.unit)
    candidates = [unit for unit in (named, physical.unit, usual) if unit is not None]
    taken_as = None if uncalibrated else next((u for u in candidates if fits(values, u, physical)), None)
    if taken_as is None:
        refusal = _refusal(channel, physical, raster, values, declared, uncalibrated)
        if not accept:
            raise SceneError(refusal)
        return Intake(channel, physical, named or physical.unit, f"{refusal} {ACCEPTED}", warned=True)
    note, warned = _note(physical, taken_as, named, declared)
    doubt = _constant(channel, physical, raster, values, taken_as)
    if not doubt and taken_as.is_base and named != taken_as:
        doubt = _ambiguous(channel, physical, raster, values)
    if doubt and not accept:
        raise SceneError(doubt)
    if doubt:
        note, warned = f"{doubt} {ACCEPTED}", True
    intake = Intake(channel, physical, taken_as, note, warned, assumed=named != taken_as)
    return _of_other_quantity(intake, raster, other, accept) if other else intake


def _of_other_quantity(intake: Intake, raster: Raster, given: str, accept: bool) -> Intake:
    """Return the intake of a band that is gamma0, say, where the network takes sigma0.

    Raises
    ------
    SceneError
        The two lie far apart, and no incidence angle is there to convert by.
    """
    channel, expected = intake.channel, expected_quantity(intake.channel)
    angle, warned, quantities = angle_band(raster), intake.warned, None
    if angle is not None:
        note = f"converted from {given} to {expected} by the incidence angles of band {angle}"
        quantities = expected, given
    else:
        note = (
            f"it is {given}, and the network takes {expected}, which is {difference_text(expected, given)} at 19 … 47° "
            f"of incidence; calibrate it to {expected}, or add its incidence angles as a band incidence_angle"
        )
        if BETA0 in (given, expected) and not accept:
            raise SceneError(f"{channel.name} of {raster.path}: {note}.")
        warned = True
    return replace(
        intake, note="; ".join(filter(None, (note, intake.note))), warned=warned, quantities=quantities
    )


def judged_angles(raster: Raster, band: int, values: np.ndarray, accept: bool) -> Intake:
    """Return how the values of a band of incidence angles become degrees (see :func:`judged`)."""
    return judged(INCIDENCE_ANGLE, raster, band, values, accept)


def declared_units(raster: Raster, band: int) -> list[str]:
    """Return what a band says of its unit: its unit type, its metadata, its name, its description."""
    said = [raster.dataset.units[band - 1] or ""]
    tags = raster.dataset.tags(band)
    said += [text for key, text in tags.items() if key.lower() in _UNIT_KEYS]
    said.append(split_name(raster.names[band - 1])[1])
    said += [split_name(text)[1] for key, text in tags.items() if key.lower() in ("long_name", "description")]
    return list(dict.fromkeys(text.strip() for text in said if text and text.strip()))


def fits(values: np.ndarray, unit: Unit, physical: PhysicalRange, least: float = LEAST_INSIDE) -> bool:
    """Return whether values (n,) in `unit` can be measurements, a share of `least` of them inside of the range."""
    base = unit.to_base(values)
    inside = np.isfinite(base) & ~physical.outside(base)
    others = values[~inside]
    if others.size:
        _, repeated = _most_frequent(others)
        left = len(values) - repeated
        if left < LEAST_VALUES or inside.sum() < least * left:
            return False
    return physical.plausible(base[inside])


def _most_frequent(values: np.ndarray) -> tuple[float, int]:
    levels, counts = np.unique(values, return_counts=True)
    place = int(counts.argmax())
    return float(levels[place]), int(counts[place])


def _note(
    physical: PhysicalRange, taken_as: Unit, named: Unit | None, declared: list[str]
) -> tuple[str, bool]:
    """Return what is to be said of the unit that values are taken as, and whether it is a warning."""
    target = physical.unit.name
    said = next((text for text in declared if parse_unit(text, physical.quantity) == named), "")
    if named is not None and taken_as == named:
        return (
            ("", False)
            if taken_as == physical.unit
            else (f"converted from {_called(taken_as, said)} to {target}", False)
        )
    if named is not None:
        weak = said.lower() in ("1", "none", "-", "unitless", "dimensionless")
        return f"declared as '{said}', but its values are {target} and are taken so", not weak
    if taken_as != physical.unit:
        return f"taken as {taken_as.name}, as its name and values say, and converted to {target}", False
    if declared:
        return (
            f"declared as '{declared[0]}', which is no unit of it; taken as {target} by its values",
            True,
        )
    return f"no unit declared; taken as {target}, which its values fit", False


def _called(unit: Unit, said: str) -> str:
    return unit.name if said.lower() == unit.name.lower() else f"{unit.name} ('{said}')"


def _constant(
    channel: Channel, physical: PhysicalRange, raster: Raster, values: np.ndarray, unit: Unit
) -> str:
    """Return the sentence of a measurement without variance; empty where it varies."""
    base = unit.to_base(values)
    inside = base[np.isfinite(base) & ~physical.outside(base)]
    if not physical.measured or len(inside) < LEAST_VALUES or inside.min() != inside.max():
        return ""
    return (
        f"{channel.name} of {raster.path} is {inside[0]:g} everywhere: no sensor measures without variance. "
        "Check the band, and give the raster of the measurement."
    )


def _ambiguous(channel: Channel, physical: PhysicalRange, raster: Raster, values: np.ndarray) -> str:
    """Return the sentence of undeclared backscatter that fits another unit better than dB; empty where dB fit."""
    if physical.quantity != "backscatter":
        return ""
    inside = values[~physical.outside(values)]
    others = other_readings(inside, radar_polarisation(channel) in CROSS_POLARISED)
    if not others:
        return ""
    low, high = np.percentile(inside, [1, 99])
    return (
        f"{channel.name} of {raster.path} is {low:.4g} … {high:.4g} and declares no unit: in dB that is brighter or "
        f"smoother than sea and ice are, and it fits {' or '.join(others[:3])}. Declare the band's unit, or convert it "
        "to dB; if it is dB, set ACCEPT_RANGE."
    )


def _refusal(
    channel: Channel,
    physical: PhysicalRange,
    raster: Raster,
    values: np.ndarray,
    declared: list[str],
    uncalibrated: bool,
) -> str:
    """Return the sentence of values that fit nothing: what was found, what is expected, the likely cause."""
    said = f", declared as '{declared[0]}'" if declared else ""
    other = None if uncalibrated else _of_other_sensor(physical, values, declared)
    cause, remedy = other or _cause(physical, raster, values, uncalibrated)
    low, high = np.percentile(values, [1, 99])
    return (
        f"{channel.name} of {raster.path} is {low:.4g} … {high:.4g}{said}; {physical.noun} are "
        f"{physical.text}: {cause}? {remedy}"
    )


def _of_other_sensor(
    physical: PhysicalRange, values: np.ndarray, declared: list[str]
) -> tuple[str, str] | None:
    """Return cause and remedy where unit or values are those of the other sensor, SAR or radiometer."""
    check = "Check that SAR and MWR are not interchanged"
    units = [parse_unit(text, other) for text in declared for other in ("backscatter", "temperature")]
    named = {unit.quantity for unit in units if unit is not None}
    decibels = any(unit is not None and unit.is_base for unit in units)
    if physical.quantity == "temperature" and named == {"backscatter"} and decibels:
        return "backscatter of a radar", f"{check}."
    if physical.quantity != "backscatter":
        return None
    if named == {"temperature"}:
        return "brightness temperatures of a radiometer", f"{check}."
    low, high = np.percentile(values, [1, 99])
    if not named and 60 <= low < high <= 345 and not (values == np.round(values)).all():
        return (
            "brightness temperatures of a radiometer, or uncalibrated amplitudes",
            f"{check}, or calibrate first.",
        )
    return None


def _cause(
    physical: PhysicalRange, raster: Raster, values: np.ndarray, uncalibrated: bool
) -> tuple[str, str]:
    backscatter = physical.quantity == "backscatter"
    low, high = float(values.min()), float(values.max())
    if low == high:
        return "a raster without data", "Check the band, and its no-data value."
    whole = low >= 0 and high > 2 and bool((values == np.round(values)).all())
    if backscatter and (uncalibrated or whole or raster.dataset.driver in ("SAFE", "SENTINEL1")):
        return (
            "digital numbers of a product, or an optical image",
            "Calibrate it first, as the algorithm 'Import scene' does.",
        )
    fitting = [unit for unit in units_of(physical.quantity) if fits(values, unit, physical, LIKELY_INSIDE)]
    if fitting:
        base = BASE_UNITS[physical.quantity]
        # Power and amplitude look alike by their values, and so do logarithms; of hundredths and thousandths
        # the first is likelier.
        alike = [unit.name for unit in fitting if unit.logarithm]
        alike = alike or [unit.name for unit in fitting if "log" in unit.name] or [fitting[0].name]
        return " or ".join(alike), f"Declare the band's unit, or convert it to {base}."
    if backscatter and low >= 0 and high > 10:
        return "uncalibrated intensities", "Calibrate it first, as the algorithm 'Import scene' does."
    return (
        "another quantity, or values that are packed or standardised",
        "Check that it is the right band, its scale and its unit.",
    )


def intake_notes(path: str, intakes: dict[int, Intake]) -> Iterator[tuple[str, str, bool]]:
    """Yield (sentence, the same for tags, whether it is a warning) of what was converted or assumed.

    Channels of which the same is to be said stand together.
    """
    grouped: dict[tuple[str, bool], list[str]] = {}
    for intake in intakes.values():
        if intake.note:
            grouped.setdefault((intake.note, intake.warned), []).append(intake.channel.name)
    for (note, warned), names in grouped.items():
        listed = listed_channels(names)
        if note.endswith(ACCEPTED):
            yield note, f"{listed}: accepted against the checks", warned
        else:
            yield f"{path}: {listed}: {note}.", f"{listed}: {note}", warned


def listed_channels(names: list[str]) -> str:
    """Return channels for a message: all of up to three, else the first, the last and their number."""
    return ", ".join(names) if len(names) <= 3 else f"{names[0]} … {names[-1]} ({len(names)} channels)"
