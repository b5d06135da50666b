"""Which values a channel can have at all: by sensor, polarisation and quantity.

A channel has a physical range where its card gives it a unit of a quantity known here. Channels that a network
takes without unit (``1``, standardised beforehand) have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ...networks.card import Channel
from .units import BASE_UNITS, Unit, parse_unit

WATER_COLUMNS = ("tcwv", "tclw", "tciw")
CO_POLARISED, CROSS_POLARISED = ("hh", "vv"), ("hv", "vh")
# No scene of sea, ice or land is so bright that nine in ten of its pixels exceed this, in dB; linear power,
# amplitude and digital numbers nearly always do. Cross-polarised backscatter is darker: logarithms of power that
# were not multiplied by 10 exceed its limit.
BRIGHTEST_DECILE_DB = -1.0
BRIGHTEST_CROSS_DECILE_DB = -8.0


@dataclass(frozen=True)
class PhysicalRange:
    """What values of a channel are possible.

    Parameters
    ----------
    quantity : str
        A key of :data:`floelens.plugin.io.scene.units.BASE_UNITS`.
    noun : str
        What messages call the values: ``brightness temperatures``.
    low, high : float
        The range, in the quantity's own unit.
    unit : Unit
        The unit that the network takes.
    measured : bool
        Whether the channel is a sensor's own measurement, which varies over any scene.
    zero_is_fill : bool
        Whether a value of exactly zero is no measurement but a fill.
    brightest_decile : float
        What a tenth of the values at least do not exceed, in the quantity's own unit.
    """

    quantity: str
    noun: str
    low: float
    high: float
    unit: Unit
    measured: bool = False
    zero_is_fill: bool = False
    brightest_decile: float = np.inf

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Return which values, in the quantity's own unit, no measurement can have; NaN is none of them."""
        with np.errstate(invalid="ignore"):
            is_outside = values < self.low
            is_outside |= values > self.high
            if self.zero_is_fill:
                is_outside |= values == 0
        return is_outside

    def plausible(self, values: np.ndarray) -> bool:
        """Return whether values inside of the range are spread as this quantity is, and as no other unit of it."""
        if self.brightest_decile == np.inf or not values.size:
            return True
        return float(np.percentile(values, 10)) <= self.brightest_decile

    @property
    def text(self) -> str:
        """The range as messages have it: ``50 … 350 K``."""
        symbol = {"degree": "°", "kg/m2": "kg/m²"}.get(self._base, self._base)
        return f"{self.low:g} … {self.high:g}" + (f" {symbol}" if symbol else "")

    @property
    def fill_text(self) -> str:
        """What the range leaves out besides, for messages."""
        return ", and never exactly 0" if self.zero_is_fill else ""

    @property
    def _base(self) -> str:
        return BASE_UNITS[self.quantity]


def physical_range(channel: Channel) -> PhysicalRange | None:
    """Return the range of a channel of a card; None where nothing is known of its values."""
    radiometer = channel.sensor == "mwr" or channel.frequency_ghz is not None
    name = channel.name.lower()
    return _range_of(name, channel.sensor, (channel.polarisation or name).lower(), radiometer, channel.unit)


@lru_cache(maxsize=1024)  # an opening asks for the same few hundreds of times
def _range_of(
    name: str, sensor: str, polarisation: str, radiometer: bool, unit_text: str
) -> PhysicalRange | None:
    if sensor == "sar" and (unit := _unit(unit_text, "backscatter")):
        # Calibrated Sentinel-1 has its noise floor near -30 dB; what noise correction leaves may be far lower.
        cross = polarisation in CROSS_POLARISED
        low, high = (-90.0, 30.0) if cross else (-80.0, 40.0)
        brightest = BRIGHTEST_CROSS_DECILE_DB if cross else BRIGHTEST_DECILE_DB
        return PhysicalRange("backscatter", "values of backscatter", low, high, unit, True, True, brightest)
    if radiometer and (unit := _unit(unit_text, "temperature")):
        # Open water at 6.9 GHz has 70 K; nothing on Earth that a radiometer sees exceeds 340 K.
        return PhysicalRange("temperature", "brightness temperatures", 50.0, 350.0, unit, True)
    if sensor in ("sar", "map") and "angle" in name and (unit := _unit(unit_text, "angle")):
        return PhysicalRange("angle", "incidence angles", 5.0, 85.0, unit)
    weather = sensor == "weather"
    if weather and (unit := _unit(unit_text, "temperature")):
        return PhysicalRange("temperature", "temperatures", 170.0, 345.0, unit)
    if weather and (unit := _unit(unit_text, "speed")):
        return PhysicalRange("speed", "wind components", -90.0, 90.0, unit)
    if weather and name in WATER_COLUMNS and (unit := _unit(unit_text, "column")):
        # What a weather model interpolates may fall a little below zero.
        return PhysicalRange("column", "water columns", -0.1, 100.0, unit)
    if unit := _unit(unit_text, "concentration"):
        return PhysicalRange("concentration", "concentrations", 0.0, 100.0, unit)
    return None


def _unit(text: str, quantity: str) -> Unit | None:
    """Return a channel's unit as one of a quantity; ``1`` says nothing."""
    return None if text.strip() in ("1", "") else parse_unit(text, quantity)
