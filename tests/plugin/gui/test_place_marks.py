"""Footprints have their axes on the ground; colours are seen on light and dark, and by colour-blind people."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.gui.bars import DARK, LIGHT
from floelens.plugin.gui.place_marks import COAST, EARTH, SEA, footprint_outline
from floelens.plugin.report.places.answer import Footprint
from floelens.plugin.report.places.overlay_style import AGAINST, FOR

# Machado, Oliveira & Fernandes 2009, severity 1.0: protanopia, deuteranopia, tritanopia, on linear RGB.
DEFICIENCIES = (
    np.eye(3),
    np.array(
        [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)]
    ),
    np.array(
        [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)]
    ),
    np.array(
        [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)]
    ),
)
TO_XYZ = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return CIE L*a*b* of linear sRGB under D65."""
    x, y, z = np.cbrt(np.maximum(TO_XYZ @ np.clip(rgb, 0, 1) / (0.9505, 1.0, 1.089), 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG 2."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("pair", [LIGHT, DARK, (FOR, AGAINST), (SEA.name(), COAST.name())])
def test_for_and_against_differ_to_colour_blind_people(pair):
    for matrix in DEFICIENCIES:
        one, other = (lab(matrix @ linear(colour)) for colour in pair)
        assert np.linalg.norm(one - other) > 25  # 2.3 is just noticeable


@pytest.mark.parametrize(("colours", "window"), [(LIGHT, "#ffffff"), (LIGHT, "#efefef"), (DARK, "#323232")])
def test_bars_stand_out_from_the_window(colours, window):
    assert min(contrast(colour, window) for colour in colours) > 3


@pytest.mark.parametrize("look", [0.0, 35.0, 300.0])
def test_a_footprint_is_an_ellipse_along_the_look_of_the_radiometer(look):
    outline = footprint_outline(Footprint(6.9, 35.0, 62.0), 20.0, 79.0, look)
    assert outline[0] == pytest.approx(outline[-1])
    for lon, lat in outline[::6]:
        azimuth, _, metres = EARTH.inv(20.0, 79.0, lon, lat)
        angle = np.radians(azimuth - look)
        along, across = metres * np.cos(angle) / 31_000, metres * np.sin(angle) / 17_500
        assert along**2 + across**2 == pytest.approx(1.0, abs=1e-6)
    sizes = [EARTH.inv(20.0, 79.0, lon, lat)[2] for lon, lat in outline]
    assert (max(sizes), min(sizes)) == pytest.approx((31_000, 17_500), rel=1e-6)


def test_where_the_look_is_not_known_a_circle_holds_the_footprint():
    circle = footprint_outline(Footprint(6.9, 35.0, 62.0), 20.0, 79.0, None)
    sizes = [EARTH.inv(20.0, 79.0, lon, lat)[2] for lon, lat in circle]
    assert sizes == pytest.approx([31_000] * len(sizes))
