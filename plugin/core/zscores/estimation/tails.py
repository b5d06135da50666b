r"""Tail probabilities on a log scale.

The p-value of a network's component underflows beyond \|z\| of about 38, and components of a
trained network reach hundreds: so every p-value here is a log10, valid as far as the statistic
itself is a number.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

_LN10 = math.log(10.0)
_TINY = 1e-290  # below it the library's own tail functions lose digits, then underflow


def log10_p_normal(z: np.ndarray) -> np.ndarray:
    """Return log10 of the two-sided p-value of a standard normal statistic.

    Parameters
    ----------
    z : numpy.ndarray
        Statistics of any shape; NaN stays NaN.
    """
    return np.minimum(0.0, (special.log_ndtr(-np.abs(z)) + math.log(2.0)) / _LN10)


def log10_p_student(t: np.ndarray, freedom: float) -> np.ndarray:
    """Return log10 of the two-sided p-value of Student's t with `freedom` degrees of freedom.

    Parameters
    ----------
    t : numpy.ndarray
        Statistics of any shape; NaN stays NaN.
    freedom : float
        Degrees of freedom, positive.
    """
    squares = np.square(np.asarray(t, dtype=np.float64))
    return np.vectorize(lambda square: log10_p_f(square, 1, freedom), otypes=[np.float64])(squares)


def log10_p_chi2(statistic: float, freedom: float) -> float:
    """Return log10 of the upper tail of chi-square with `freedom` degrees of freedom."""
    if math.isnan(statistic):
        return math.nan
    shape, x = freedom / 2.0, max(statistic, 0.0) / 2.0
    upper = float(special.gammaincc(shape, x))
    if upper > _TINY:
        return math.log10(upper)
    # Legendre's continued fraction of the upper incomplete gamma function, here where x >> shape
    b = x + 1.0 - shape
    fraction = _continued_fraction(b, ((-i * (i - shape), b + 2.0 * i) for i in range(1, 10_000)))
    return (-x + shape * math.log(x) - math.lgamma(shape) - math.log(fraction)) / _LN10


def log10_p_f(statistic: float, freedom: float, freedom_below: float) -> float:
    """Return log10 of the upper tail of F with `freedom` and `freedom_below` degrees of freedom."""
    if math.isnan(statistic):
        return math.nan
    ratio = freedom * max(statistic, 0.0) / freedom_below
    a, b, x = freedom_below / 2.0, freedom / 2.0, 1.0 / (1.0 + ratio)
    upper = float(special.betainc(a, b, x))
    if upper > _TINY:
        return min(0.0, math.log10(upper))
    # I_x(a, b) = x^a (1-x)^b / (a B(a, b)) / continued fraction; 1-x and log x without cancellation
    log_front = -a * math.log1p(ratio) + b * (math.log(ratio) - math.log1p(ratio))
    log_front -= math.log(a) + float(special.betaln(a, b))

    def terms():
        for i in range(1, 10_000):
            half, odd = divmod(i, 2)
            if odd:
                yield -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1)), 1.0
            else:
                yield half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half)), 1.0

    return (log_front - math.log(_continued_fraction(1.0, terms()))) / _LN10


def _continued_fraction(first: float, terms) -> float:
    """Return b0 + a1/(b1 + a2/(b2 + ...)) for `terms` (a, b), by the method of Lentz."""
    value = c = first or 1e-300
    d = 0.0
    for a, b in terms:
        d = 1.0 / ((b + a * d) or 1e-300)
        c = (b + a / c) or 1e-300
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value
