"""Synthetic sea-ice scenes with known ice: geography, radar and radiometer.

:class:`SimulatedScene` makes a scene of any size window by window; the modules below it each hold
one part: smooth noise, the ice and its floes, backscatter, brightness temperatures.
"""

from .ancillary import FINE_CHANNELS, Surroundings
from .backscatter import FLOOR_DB, LOOKS
from .ice import LAND, UNKNOWN, WATER_LIMIT, Climate, Surface
from .radiometry import ASSUMPTIONS, CHANNELS, FOOTPRINTS_KM, NOISE_K, STATISTICS_SOURCE
from .scene import BLOCK, NO_DATA, SimulatedScene

__all__ = [
    "ASSUMPTIONS",
    "BLOCK",
    "CHANNELS",
    "FINE_CHANNELS",
    "FLOOR_DB",
    "FOOTPRINTS_KM",
    "LAND",
    "LOOKS",
    "NOISE_K",
    "NO_DATA",
    "STATISTICS_SOURCE",
    "UNKNOWN",
    "WATER_LIMIT",
    "Climate",
    "SimulatedScene",
    "Surface",
    "Surroundings",
]
