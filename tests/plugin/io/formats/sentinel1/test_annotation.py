"""Pixels lie where the tie points say, anywhere on the Earth, and the angle is theirs."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.environment.crs import geodesic_length, parse_crs
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1
from floelens.plugin.io.formats.sentinel1.annotation import read_annotation
from floelens.plugin.io.formats.sentinel1.xml import parse
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe
from floelens.tests.plugin.io.formats.sentinel1.safe_texts import annotation, geolocation

PLACES = {
    "svalbard": ((15.0, 78.0), "NSIDC Sea Ice Polar Stereographic North"),
    "north pole": ((30.0, 89.9), "NSIDC Sea Ice Polar Stereographic North"),
    "south pole": ((-120.0, -89.95), "NSIDC Sea Ice Polar Stereographic South"),
    "antimeridian": ((179.9, 71.0), "NSIDC Sea Ice Polar Stereographic North"),
    "antimeridian near the pole": ((-179.99, 88.0), "NSIDC Sea Ice Polar Stereographic North"),
    "antimeridian at low latitude": ((-179.5, -17.0), "UTM zone 1S"),
    "bohai": ((120.5, 39.0), "UTM zone 51N"),
}


def annotation_at(place, rows=9000, cols=10000):
    text = annotation("001", "hh", "EW", rows, cols, 40.0, place, step=(500, 525))
    return read_annotation(parse(text.encode(), "annotation.xml"))


@pytest.mark.parametrize("name", PLACES)
def test_pixels_agree_with_the_tie_points_to_a_tenth_of_a_pixel(name):
    place, system = PLACES[name]
    grid = annotation_at(place).grid()
    assert system in parse_crs(grid.crs).name
    at = geolocation(place, 9000, 10000, 40.0)
    # The tie points themselves, and pixels between them: indices of samples, so centres at + 0.5.
    line = np.array([0, 500, 8999, 8999, 0, 3500, 250, 4499, 7777])
    pixel = np.array([0, 525, 9999, 0, 9999, 5250, 262, 5000, 123])
    lon, lat = at(line, pixel)
    row, col = grid.lonlat_to_pixel(lon, lat)
    np.testing.assert_allclose(row, line + 0.5, atol=0.1)
    np.testing.assert_allclose(col, pixel + 0.5, atol=0.1)
    again = grid.pixel_to_lonlat(line + 0.5, pixel + 0.5)
    metres = [geodesic_length(*values) for values in zip(lon, lat, *again)]
    assert max(metres) < 0.1 * 40.0


def test_pixels_of_a_real_product_agree_with_its_tie_points(real_data):
    path = real_data / "s1-ew-severnaya-zemlya/annotation/ew-hh.xml"
    found = read_annotation(parse(path.read_bytes(), path.name))
    grid, points = found.grid(), found.tie_points
    line, pixel = np.meshgrid(points.lines, points.pixels, indexing="ij")
    row, col = grid.lonlat_to_pixel(points.longitude, points.latitude)
    assert np.abs(row - line - 0.5).max() < 0.1
    assert np.abs(col - pixel - 0.5).max() < 0.1
    assert (found.rows, found.cols, points.latitude.size) == (10708, 10487, 483)
    assert found.start.isoformat() == "2022-11-30T01:43:42.546629+00:00"
    assert found.direction == "Descending"
    assert grid.pixel_size() == pytest.approx(40.0, rel=0.02)


def test_indices_of_a_real_geolocation_grid_are_samples(real_data):
    # The first point has the times of the first line and sample, the last ones the indices size − 1.
    path = real_data / "s1-ew-severnaya-zemlya/annotation/ew-hh.xml"
    root = parse(path.read_bytes(), path.name)
    information = root.all("imageAnnotation/imageInformation")[0]
    points = root.all("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    assert points[0].number("slantRangeTime") == information.number("slantRangeTime")
    assert points[0].integer("line") == points[0].integer("pixel") == 0
    assert points[-1].integer("line") == information.integer("numberOfLines") - 1
    assert points[-1].integer("pixel") == information.integer("numberOfSamples") - 1
    lines = (points[-1].time("azimuthTime") - points[0].time("azimuthTime")).total_seconds()
    assert lines / information.number("azimuthTimeInterval") == pytest.approx(10707, abs=1)


def test_the_incidence_angle_is_bilinear_in_the_geolocation_grid(tmp_path):
    manifest = make_safe(tmp_path)
    with open_sentinel1(str(manifest), ImportOptions()) as product:
        raster = product.rasters["sar"]
        angle = raster.read(raster.grid.window)[2]
        points = next(iter(product.rasters.values()))._tie_points
    lines, pixels = points.lines.astype(int), points.pixels.astype(int)
    np.testing.assert_allclose(angle[np.ix_(lines, pixels)], points.incidence, atol=5e-6)
    middle = (lines[0] + lines[1]) // 2, (pixels[2] + pixels[3]) // 2
    s = (middle[0] - lines[0]) / (lines[1] - lines[0])
    t = (middle[1] - pixels[2]) / (pixels[3] - pixels[2])
    corners = points.incidence[0:2, 2:4]
    expected = np.array([1 - s, s]) @ corners @ np.array([1 - t, t])
    assert angle[middle] == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<latitude>", "<latitude>9", "not on the Earth|latitude"),
        ("<numberOfLines>240", "<numberOfLines>99999999", "no Sentinel-1 scene"),
        ("<numberOfLines>240", "<numberOfLines>2400", "does not cover"),
        ("<numberOfLines>240", "<numberOfLines>two", "no whole number"),
        ("<incidenceAngle>1", "<incidenceAngle>-1", "incidence angles"),
        ("<line>40</line>", "<line>41</line>", "holes"),
        ("<startTime>2019", "<startTime>year", "no time"),
    ],
)
def test_an_annotation_that_cannot_be_gets_a_sentence(old, new, message):
    from floelens.plugin.ground.errors import SceneError

    text = annotation("001", "hh", "EW", 240, 300, 40.0, (15.0, 78.0))
    assert old in text
    with pytest.raises(SceneError, match=message):
        read_annotation(parse(text.replace(old, new, 1).encode(), "annotation.xml"))
