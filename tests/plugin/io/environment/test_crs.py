"""CRSs are compared by what they mean."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.environment.crs import LocalPlane, mean_position, parse_crs, same_crs, transform
from floelens.tests.plugin.io.rasters import LOCAL, LONLAT, NORTH, UTM33


def test_a_crs_is_the_same_in_wkt1_and_wkt2_and_by_its_code():
    crs = pyproj.CRS("EPSG:3413")
    assert same_crs(crs.to_wkt("WKT1_GDAL"), crs.to_wkt("WKT2_2019"))
    assert same_crs(crs.to_wkt("WKT1_GDAL"), "EPSG:3413")


def test_a_crs_without_code_is_the_same_under_another_name():
    assert same_crs(LOCAL, LOCAL.replace("unknown", "unnamed"))


@pytest.mark.parametrize(("one", "other"), [("EPSG:3411", "EPSG:3413"), ("EPSG:3412", "EPSG:3976")])
def test_systems_that_differ_in_datum_alone_are_not_the_same(one, other):
    # 3411 and 3413 share projection and parameters; their ellipsoids differ.
    assert not same_crs(one, other)


def test_the_two_spellings_of_the_hughes_datum_are_the_same():
    hughes = pyproj.CRS("EPSG:3411").to_wkt("WKT1_GDAL")
    # PROJ before and after its release 9.3 or so.
    old, new = "Not_specified_based_on_Hughes_1980_ellipsoid", "Hughes_1980"
    assert (old in hughes) != (f'DATUM["{new}"' in hughes)
    spellings = [hughes.replace(f'DATUM["{a}"', f'DATUM["{b}"') for a, b in ((old, new), (new, old))]
    assert spellings[0] != spellings[1]
    assert same_crs(*spellings)


@pytest.mark.parametrize(
    "change",
    ["+lat_0=84.2 +lon_0=-37.93", "+lat_0=84.17 +lon_0=-37.94", "+lat_0=84.17 +lon_0=-37.93 +x_0=1"],
)
def test_systems_that_differ_in_a_parameter_are_not_the_same(change):
    assert not same_crs(LOCAL, pyproj.CRS(f"+proj=stere {change} +datum=WGS84 +units=m").to_wkt())


def test_systems_that_differ_in_their_unit_are_not_the_same():
    assert not same_crs(
        LOCAL, pyproj.CRS("+proj=stere +lat_0=84.17 +lon_0=-37.93 +datum=WGS84 +units=km").to_wkt()
    )


def test_national_datums_on_one_ellipsoid_are_not_the_same():
    assert not same_crs("EPSG:4269", "EPSG:4258")  # NAD83 and ETRS89, both on GRS 1980


def test_a_geographic_crs_is_not_a_projected_one():
    assert not same_crs(LONLAT, UTM33)


def test_a_text_that_is_no_crs_is_named_in_the_error():
    with pytest.raises(SceneError, match="nonsense"):
        parse_crs("nonsense")


def test_a_crs_without_place_on_the_earth_is_refused():
    with pytest.raises(SceneError, match="no place on the Earth"):
        parse_crs('LOCAL_CS["engine",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]')


def test_the_mean_position_of_points_around_the_antimeridian_is_on_it():
    lon, lat = mean_position(np.array([179.0, -179.0]), np.array([70.0, 70.0]))
    assert abs(abs(lon) - 180.0) < 1e-9
    assert 70.0 < lat < 70.1


def test_the_mean_position_of_points_around_a_pole_is_the_pole():
    _, lat = mean_position(np.arange(0, 360, 30), np.full(12, -88.0))
    assert abs(lat + 90.0) < 1e-9


@pytest.mark.parametrize("crs", [LONLAT, NORTH, LOCAL, "EPSG:3411"])
def test_a_local_plane_leads_to_the_map_and_back(crs):
    lon, lat = np.array([-40.0, -38.0, -30.0]), np.array([83.0, 84.0, 85.0])
    x, y = transform("EPSG:4326", crs, lon, lat)
    plane = LocalPlane(crs, x, y)
    back = plane.to_map(*plane.from_map(x, y))
    np.testing.assert_allclose(back, (x, y), rtol=0, atol=1e-6)


def test_a_place_outside_of_a_projection_is_not_a_number():
    x, y = transform("EPSG:4326", "EPSG:3857", np.array([0.0, 0.0]), np.array([45.0, 91.0]))
    assert np.isfinite([x[0], y[0]]).all()
    assert np.isnan([x[1], y[1]]).all()
