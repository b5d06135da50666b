"""Tail probabilities against 50-digit arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from floelens.plugin.core.zscores.estimation.tails import (
    log10_p_chi2,
    log10_p_f,
    log10_p_normal,
    log10_p_student,
)
from scipy import stats

mpmath = pytest.importorskip("mpmath", reason="mpmath gives the reference digits")


def exact(function) -> float:
    with mpmath.workdps(60):
        return float(mpmath.log10(function()))


@pytest.mark.parametrize("z", [0.0, 0.3, -1.96, 37.0, -60.0, 1000.0])
def test_normal_tail_is_right_far_beyond_underflow(z):
    expected = exact(lambda: mpmath.erfc(mpmath.mpf(abs(z)) / mpmath.sqrt(2)))
    assert log10_p_normal(z) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 7, 35, 400, 100_000])
@pytest.mark.parametrize("t", [0.0, 0.5, 2.0, 25.0, 1000.0])
def test_student_tail_is_right_far_beyond_underflow(t, freedom):
    # two-sided p = 2 c int_t^inf (1 + s^2/f)^(-(f+1)/2) ds, substituted to a finite incomplete beta
    def reference():
        f, s = mpmath.mpf(freedom), mpmath.mpf(t)
        x = f / (f + s * s)
        return mpmath.betainc(f / 2, mpmath.mpf(1) / 2, 0, x, regularized=True)

    if freedom == 100_000 and t >= 25.0:
        # the series of the reference does not converge there; the tail is that of its expansion at t
        f = float(freedom)
        log_density = (
            math.lgamma((f + 1) / 2)
            - math.lgamma(f / 2)
            - 0.5 * math.log(f * math.pi)
            - (f + 1) / 2 * math.log1p(t * t / f)
        )
        slope = (f + 1) * t / (f + t * t)
        expected = (math.log(2) + log_density - math.log(slope)) / math.log(10)
        assert log10_p_student(np.array([t]), freedom)[0] == pytest.approx(expected, rel=1e-4)
        return
    assert log10_p_student(np.array([t]), freedom)[0] == pytest.approx(exact(reference), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 14, 300])
@pytest.mark.parametrize("statistic", [0.0, 10.0, 400.0, 5_000.0, 1e6])
def test_chi_square_tail_is_right_far_beyond_underflow(statistic, freedom):
    expected = exact(
        lambda: mpmath.gammainc(
            mpmath.mpf(freedom) / 2, mpmath.mpf(statistic) / 2, mpmath.inf, regularized=True
        )
    )
    assert log10_p_chi2(statistic, freedom) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_f_tail_equals_scipy_and_its_special_cases():
    assert log10_p_f(3.2, 14, 40) == pytest.approx(np.log10(stats.f.sf(3.2, 14, 40)), rel=1e-12)
    assert log10_p_f(4.0**2, 1, 49) == pytest.approx(log10_p_student(np.array([4.0]), 49)[0], rel=1e-12)
    assert log10_p_f(1e4, 14, 3000) < -1000  # where the tail itself underflows
    assert log10_p_f(9_000.0 / 14, 14, 1e9) == pytest.approx(log10_p_chi2(9_000.0, 14), rel=1e-4)


def test_what_is_not_a_number_stays_so():
    assert math.isnan(log10_p_chi2(math.nan, 3))
    assert math.isnan(log10_p_f(math.nan, 3, 9))
    assert np.isnan(log10_p_student(np.array([np.nan]), 9)).all()
