"""Units of axes."""

from __future__ import annotations

import pytest
from floelens.plugin.io.formats.cf.lengths import degrees, metres


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("m", 1.0),
        ("Metres", 1.0),
        ("km", 1000.0),
        ("kilometre", 1000.0),
        ("Kilometers", 1000.0),
        ("1000 m", 1000.0),
        ("1e3m", 1000.0),
        ("10^3 m", 1000.0),
        ("1000*meter", 1000.0),
        ("10 km", 10_000.0),
        ("12.5 kilometres", 12_500.0),
        ("hm", 100.0),
        ("Mm", 1e6),
        ("mm", 1e-3),
        ("dam", 10.0),
        ("feet", 0.3048),
        ("US survey feet", 1200 / 3937),
        ("mi", 1609.344),
        ("miles", 1609.344),
        ("nautical_miles", 1852.0),
        ("yards", 0.9144),
    ],
)
def test_lengths_are_known_however_they_are_written(unit, expected):
    assert metres(unit) == pytest.approx(expected, rel=1e-9)
    assert degrees(unit) is None


@pytest.mark.parametrize(
    "unit", ["", "1", "furlong", "kg", "degrees", "-5 m", "0 km", "1e400 m", "K", "pixels"]
)
def test_what_is_no_length_is_none(unit):
    assert metres(unit) is None


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("degrees_north", 1.0),
        ("degree_E", 1.0),
        ("degreesN", 1.0),
        ("deg", 1.0),
        ("°", 1.0),
        ("radians", 57.29577951308232),
    ],
)
def test_angles_are_known_however_they_are_written(unit, expected):
    assert degrees(unit) == pytest.approx(expected)
    assert metres(unit) is None
