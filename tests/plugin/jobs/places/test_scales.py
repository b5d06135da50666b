"""Contributions by scale: rings around a place are added up pixel by pixel."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from floelens.plugin.ground.window import Window
from floelens.plugin.jobs.places.scales import by_scale

CHANNELS = [
    SimpleNamespace(name="a", sensor="mwr", footprint_km=(7.0, 12.0)),
    SimpleNamespace(name="b", sensor="mwr", footprint_km=(7.0, 12.0)),
    SimpleNamespace(name="c", sensor="mwr", footprint_km=(3.0, 5.0)),
    SimpleNamespace(name="t2m", sensor="weather", footprint_km=None),
]


def test_sar_is_added_up_by_distance_and_radiometry_by_footprint():
    relevance = np.random.default_rng(4).normal(size=(2, 30, 40)).astype(np.float32)
    relevance[1, 3, 4] = np.nan
    around, place = Window(100, 200, 30, 40), Window(110, 215, 4, 6)
    coarse = {"a": 1.0, "b": -0.25, "c": 2.0, "t2m": 0.5}
    found = by_scale(SimpleNamespace(coarse_channels=CHANNELS), coarse, relevance, around, place, 0.08, 24)
    expected = dict.fromkeys(
        ("SAR within 0.2 km", "SAR 0.2 to 0.5 km", "SAR 0.5 to 1 km", "SAR beyond 1 km"), 0.0
    )
    for row in range(30):
        for col in range(40):
            down = max(10 - row, row - 13, 0)
            right = max(15 - col, col - 20, 0)
            km = 0.08 * math.hypot(down, right)
            name = list(expected)[0 if km <= 0.2 else 1 if km <= 0.5 else 2 if km <= 1 else 3]
            expected[name] += float(np.nansum(relevance[:, row, col])) / 24
    expected |= {"radiometry 3 × 5 km": 2.0, "radiometry 7 × 12 km": 0.75, "weather": 0.5}
    assert found == pytest.approx(expected, abs=1e-6)
    assert list(found) == list(expected)
