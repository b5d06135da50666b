"""Units: as people write them, and what values in them mean."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.scene.units import is_uncalibrated, parse_unit, split_name, units_of, usual_unit


@pytest.mark.parametrize(
    ("text", "quantity", "value", "base"),
    [
        ("K", "temperature", 250.0, 250.0),
        (" Kelvin ", "temperature", 250.0, 250.0),
        ("degrees_kelvin", "temperature", 250.0, 250.0),
        ("°C", "temperature", -10.0, 263.15),
        ("ºC", "temperature", -10.0, 263.15),
        ("degrees Celsius", "temperature", -10.0, 263.15),
        ("degree_C", "temperature", -10.0, 263.15),
        ("[degC]", "temperature", -10.0, 263.15),
        ("degF", "temperature", 14.0, 263.15),
        ("0.01 K", "temperature", 26315.0, 263.15),
        ("0.01K", "temperature", 26315.0, 263.15),
        ("1e-2 K", "temperature", 26315.0, 263.15),
        ("10^-2 K", "temperature", 26315.0, 263.15),
        ("1/100 K", "temperature", 26315.0, 263.15),
        ("K*100", "temperature", 26315.0, 263.15),
        ("K x 100", "temperature", 26315.0, 263.15),
        ("K × 0.01", "temperature", 26315.0, 263.15),
        ("K/100", "temperature", 26315.0, 263.15),
        ("hundredths of K", "temperature", 26315.0, 263.15),
        ("hundredth of a kelvin", "temperature", 26315.0, 263.15),
        ("centikelvin", "temperature", 26315.0, 263.15),
        ("cK", "temperature", 26315.0, 263.15),
        ("dK", "temperature", 2631.5, 263.15),
        ("tenths of K", "temperature", 2631.5, 263.15),
        ("mK", "temperature", 263150.0, 263.15),
        ("0.1 degC", "temperature", -100.0, 263.15),
        ("dB", "backscatter", -20.0, -20.0),
        ("decibels", "backscatter", -20.0, -20.0),
        ("0.01 dB", "backscatter", -2000.0, -20.0),
        ("dB*100", "backscatter", -2000.0, -20.0),
        ("1", "backscatter", 0.01, -20.0),
        ("intensity", "backscatter", 0.01, -20.0),
        ("m^2/m^2", "backscatter", 0.01, -20.0),
        ("m2 m**-2", "backscatter", 0.01, -20.0),
        ("m/m", "backscatter", 0.01, -20.0),
        ("Linear_Power", "backscatter", 0.01, -20.0),
        ("amplitude", "backscatter", 0.1, -20.0),
        ("radians", "angle", np.pi / 6, 30.0),
        ("0.01 degree", "angle", 3000.0, 30.0),
        ("m s**-1", "speed", 5.0, 5.0),
        ("m s⁻¹", "speed", 5.0, 5.0),
        ("kt", "speed", 10.0, 5.1444),
        ("km/h", "speed", 18.0, 5.0),
        ("kg m**-2", "column", 8.0, 8.0),
        ("mm", "column", 8.0, 8.0),
        ("g/m²", "column", 80.0, 0.08),
        ("per cent", "concentration", 40.0, 40.0),
        ("pct", "concentration", 40.0, 40.0),
        ("fraction", "concentration", 0.4, 40.0),
        ("tenths", "concentration", 4.0, 40.0),
        ("1/10", "concentration", 4.0, 40.0),
    ],
)
def test_a_unit_is_known_however_it_is_written(text, quantity, value, base):
    unit = parse_unit(text, quantity)
    found = unit.to_base(np.array([value]))
    np.testing.assert_allclose(found, [base], rtol=1e-5)
    np.testing.assert_allclose(unit.from_base(found), [value], rtol=1e-9)


@pytest.mark.parametrize(
    ("text", "quantity"),
    [
        ("", "temperature"),
        ("m", "temperature"),
        ("mm", "temperature"),
        ("foo", "backscatter"),
        ("K", "backscatter"),
        ("dB", "temperature"),
        ("0 K", "temperature"),
        ("days since 2000", "speed"),
    ],
)
def test_a_text_of_another_kind_is_no_unit(text, quantity):
    assert parse_unit(text, quantity) is None


def test_conversion_keeps_the_type_and_what_is_missing():
    values = np.array([0.01, 0.0, -0.001, np.nan, np.inf], np.float32)
    found = parse_unit("linear", "backscatter").to_base(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([-20, np.nan, np.nan, np.nan, np.inf], np.float32))
    same = parse_unit("dB", "backscatter").to_base(values)
    assert same is values


def test_every_quantity_begins_with_the_unit_that_needs_no_conversion():
    for quantity in ("backscatter", "temperature", "angle", "speed", "column", "concentration"):
        units = units_of(quantity)
        assert [unit.is_base for unit in units] == [True] + [False] * (len(units) - 1)


@pytest.mark.parametrize(
    ("name", "plain", "unit"),
    [
        ("Sigma0_HH_db", "Sigma0_HH", "db"),
        ("sigma0_hv (dB)", "sigma0_hv", "dB"),
        ("HH [dB]", "HH", "dB"),
        ("hh in dB", "hh", "dB"),
        ("hh_linear", "hh", "linear"),
        ("Amplitude_HH", "HH", "Amplitude"),
        ("btemp_89.0v (degC)", "btemp_89.0v", "degC"),
        ("btemp_89_0v_K", "btemp_89_0v", "K"),
        ("btemp_6_9h", "btemp_6_9h", ""),
        ("u10m_rotated", "u10m_rotated", ""),
        ("tclw", "tclw", ""),
        ("hh", "hh", ""),
        ("", "", ""),
    ],
)
def test_a_unit_in_a_name_is_taken_apart(name, plain, unit):
    assert split_name(name) == (plain, unit)


def test_sigma0_without_a_unit_is_by_custom_linear():
    assert (
        usual_unit("Sigma0_HH") == usual_unit("sigmaNought_HH".replace("Nought", " nought")) == "linear power"
    )
    assert usual_unit("Sigma0_HH_db") == usual_unit("hh") == usual_unit("btemp_6_9h") == ""


def test_digital_numbers_are_known_by_their_unit():
    assert all(is_uncalibrated(text) for text in ("DN", "digital number", "counts", "Digital_Numbers"))
    assert not any(is_uncalibrated(text) for text in ("dB", "K", "1", "intensity", ""))
