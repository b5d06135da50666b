"""Polygons that are not valid: what they cover, what is said of them, what is refused."""

from __future__ import annotations

import math
import struct
import time

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.geometry import validity
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.validity import usable_polygons
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.io.geometry.zones import PolygonIndex
from floelens.tests.plugin.io.rasters import LOCAL
from osgeo import ogr

LEFT = "((0 0, 50 49.5, 0 99, 0 0))"
RIGHT = "((100 0, 100 99, 50 49.5, 100 0))"


def wkb(wkt: str) -> bytes:
    """Return a geometry as well-known binary; 777 stands for NaN and 888 for infinity."""
    data = bytes(ogr.CreateGeometryFromWkt(wkt).ExportToIsoWkb(ogr.wkbNDR))
    for number, value in ((777.0, math.nan), (888.0, math.inf)):
        data = data.replace(struct.pack("<d", number), struct.pack("<d", value))
    return data


def covered(*wkts: str) -> np.ndarray:
    """Return the pixels of a grid of 100 x 100 metres that polygons cover, as they are read."""
    grid = Grid(100, 100, LOCAL, transform=(1.0, 0.0, 0.0, 0.0, -1.0, 100.0))
    found, _ = usable_polygons(
        "AOI", [wkb(text) for text in wkts], [f"feature {n}" for n in range(len(wkts))]
    )
    kept = tuple(one for one in found if one is not None)
    return PolygonIndex(Polygons(kept, LOCAL), grid).mask(grid.window)


@pytest.mark.parametrize(
    ("drawn", "same"),
    [
        ("POLYGON ((0 0, 100 99, 100 0, 0 99, 0 0))", f"MULTIPOLYGON ({LEFT}, {RIGHT})"),
        ("POLYGON ((0 0, 60 0, 60 90, 60 0, 60 60, 0 60, 0 0))", "POLYGON ((0 0, 60 0, 60 60, 0 60, 0 0))"),
        (  # one part over the other
            "MULTIPOLYGON (((0 0, 60 0, 60 60, 0 60, 0 0)), ((30 0, 90 0, 90 60, 30 60, 30 0)))",
            "POLYGON ((0 0, 90 0, 90 60, 0 60, 0 0))",
        ),
        (  # a hole that is a part of the edge
            "POLYGON ((0 0, 90 0, 90 90, 0 90, 0 0), (0 0, 30 0, 30 30, 0 30, 0 0))",
            "POLYGON ((30 0, 90 0, 90 90, 0 90, 0 30, 30 30, 30 0))",
        ),
        (
            f"GEOMETRYCOLLECTION (POINT (3 3), POLYGON {LEFT}, GEOMETRYCOLLECTION (POLYGON {RIGHT}))",
            f"MULTIPOLYGON ({LEFT}, {RIGHT})",
        ),
        ("POLYGON ZM ((0 0 1 2, 9 0 777 2, 9 9 1 2, 0 0 1 2))", "POLYGON ((0 0, 9 0, 9 9, 0 0))"),
        (f"TIN Z (((0 0 0, 50 49.5 0, 0 99 0, 0 0 0)), {RIGHT.replace(',', ' 0,').replace('))', ' 0))')})",
         f"MULTIPOLYGON ({LEFT}, {RIGHT})"),
    ],
)  # fmt: skip
def test_what_is_drawn_in_a_wrong_way_covers_what_it_says(drawn, same):
    np.testing.assert_array_equal(covered(drawn), covered(same))
    assert covered(same).any()


@pytest.mark.parametrize("far", ["1e7", "1e12", "1.7e308"])
def test_what_lies_far_off_the_earth_is_cut_away(far):
    started = time.process_time()
    found = covered(f"POLYGON ((50 -{far}, {far} -{far}, {far} {far}, 50 {far}, 50 -{far}))")
    np.testing.assert_array_equal(found, np.arange(100) >= np.full((100, 1), 50))
    assert time.process_time() - started < 5


def test_a_hundred_crossings_an_edge_take_no_time():
    corners = np.random.default_rng(3).uniform(0, 100, (400, 2))
    ring = ", ".join(f"{x:.9f} {y:.9f}" for x, y in [*corners, corners[0]])
    started = time.process_time()
    found = covered(f"POLYGON (({ring}))")
    assert 0.3 < found.mean() < 0.7
    assert time.process_time() - started < 5


def test_features_that_are_not_valid_are_named_and_why():
    bow, spike = "POLYGON ((0 0, 9 9, 9 0, 0 9, 0 0))", "POLYGON ((0 0, 9 0, 9 9, 9 0, 9 5, 0 5, 0 0))"
    good = "POLYGON ((0 0, 9 0, 9 9, 0 0))"
    features = [f"feature {number}" for number in (3, 5, 8)]
    found, warnings = usable_polygons("ZONES", [wkb(good), wkb(bow), wkb(spike)], features)
    assert len(found) == 3
    assert len(warnings) == 1
    assert "ZONES: 2 features are no valid polygons (feature 5: Self-intersection" in warnings[0]
    assert "4.5 4.5" in warnings[0]
    assert "feature 8" in warnings[0]
    assert len(warnings[0]) < 500
    assert usable_polygons("ZONES", [wkb(good)], ["feature 3"])[1] == []


def test_what_has_no_area_is_left_out_and_told():
    flat = ["POLYGON EMPTY", "MULTIPOLYGON (((0 0, 1 1, 0 0)))"]
    found, warnings = usable_polygons("AOI", [wkb(text) for text in flat], ["feature 1", "feature 2"])
    assert found == [None, None]
    assert warnings == ["AOI: feature 1; feature 2 have no area and are left out."]


@pytest.mark.parametrize(
    ("wkt", "words"),
    [
        ("POLYGON ((0 0, 777 3, 9 9, 0 0))", r"AOI: feature 7 has a vertex at \(nan, 3\)"),
        ("MULTIPOLYGON (((0 0, 9 888, 9 9, 0 0)))", r"feature 7 has a vertex at \(9, inf\)"),
        ("LINESTRING (0 0, 9 9)", "holds no polygons .feature 7 is a linestring"),
        ("GEOMETRYCOLLECTION (POINT (1 1))", "holds no polygons"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(wkt, words):
    with pytest.raises(SceneError, match=words):
        usable_polygons("AOI", [wkb(wkt)], ["feature 7"])


def test_bytes_that_are_no_geometry_are_refused():
    with pytest.raises(SceneError, match="feature 7 is damaged"):
        usable_polygons("AOI", [wkb("POLYGON ((0 0, 9 0, 9 9, 0 0))")[:40]], ["feature 7"])


def test_large_layers_are_used_without_the_check(monkeypatch):
    monkeypatch.setattr(validity, "MOST_CHECKED_VERTICES", 7)
    bow = wkb("POLYGON ((0 0, 9 9, 9 0, 0 9, 0 0))")
    _, warnings = usable_polygons("AOI", [bow, bow], ["feature 1", "feature 2"])
    assert "1 feature is" in warnings[0]
