"""In which other units undeclared values of backscatter may be: judged by how bright they are and how far they spread.

Logarithms of power or amplitude lie inside the range of decibels, and so do standardised values. Read as decibels
they would be a scene brighter, or brighter and smoother, than sea and ice are; read as what they are, a usual one.
"""

from __future__ import annotations

import numpy as np

# What programs write for backscatter beside dB, and by what its values are multiplied to become dB.
_OTHERS = {
    "log10 of power": 10.0,
    "natural logarithm of power": 10.0 / np.log(10.0),
    "log2 of power": 10.0 * np.log10(2.0),
    "log10 of amplitude": 20.0,
    "natural logarithm of amplitude": 20.0 / np.log(10.0),
    "10 log10 of amplitude": 2.0,
}
# Medians (dB) and spreads (half the way from the 16th to the 84th percentile, dB) of usual scenes, by whether
# polarisation is crossed: bright pack ice has -18.7 dB of HV. Speckle alone spreads the pixels of Sentinel-1's EW
# images by 1.4 dB.
_USUAL_MEDIAN = {False: (-27.0, -5.0), True: (-40.0, -17.0)}
_USUAL_SPREAD = (1.25, 8.0)
# Like-polarised scenes brighter than this are rough ice or a rough sea at steep incidence; these are not smooth.
_BRIGHT_AND_SMOOTH = -8.0
# Values with mean 0 and standard deviation 1 over many scenes have these in one of them.
_STANDARDISED_MEDIAN, _STANDARDISED_SPREAD = 2.5, (0.2, 2.0)


def other_readings(values: np.ndarray, crossed: bool) -> tuple[str, ...]:
    """Return the units that fit undeclared values better than decibels do; empty where decibels fit.

    Parameters
    ----------
    values : numpy.ndarray
        (n,), read as dB, all possible.
    crossed : bool
        Whether they are of HV or VH.
    """
    if not values.size:
        return ()
    low, median, high = (float(each) for each in np.percentile(values, [16, 50, 84]))
    spread = 0.5 * (high - low)
    darkest, brightest = _USUAL_MEDIAN[crossed]
    smooth = not crossed and median > _BRIGHT_AND_SMOOTH and spread < _USUAL_SPREAD[0]
    if median <= brightest and not smooth:
        return ()
    readings = [
        name
        for name, factor in _OTHERS.items()
        if darkest <= factor * median <= brightest and _USUAL_SPREAD[0] <= factor * spread <= _USUAL_SPREAD[1]
    ]
    if abs(median) <= _STANDARDISED_MEDIAN and _STANDARDISED_SPREAD[0] <= spread <= _STANDARDISED_SPREAD[1]:
        readings.append("standardised values")
    return tuple(readings)
