"""Swaths of Level 1B and 1R: places, times, temperatures, and files that are not what they should be."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.amsr2.swath import (
    SPACING_89_KM,
    SPACING_KM,
    is_swath,
    low_frequency_places,
    read_swath,
    utc_of_tai93,
)
from floelens.plugin.io.formats.cf.container import Container
from floelens.tests.plugin.io.formats.amsr2.granules import (
    A1,
    A2,
    FREQUENCIES,
    LOW,
    Granule,
    conical_scans,
    low_places,
    slow_low_place,
    smooth_field,
    tai93,
    vectors,
)
from hypothesis import given, settings
from hypothesis import strategies as st

SMALL = {"scans": 6, "samples": 20}


def read(path: str):
    with Container(path, "HDF5") as container:
        assert is_swath(container)
        return read_swath(container)


def group_of(swath, channel: str):
    return next(group for group in swath.footprints if channel in group.values)


@settings(max_examples=80, deadline=None)
@given(
    lon=st.floats(-180, 180),
    lat=st.floats(-89.99, 89.99),
    turn=st.floats(0, 2 * np.pi),
    step=st.floats(2e-4, 2e-3),
    a1=st.floats(-2, 2),
    a2=st.floats(-1, 1),
)
def test_co_registration_agrees_with_turning_one_vector_at_a_time(lon, lat, turn, step, a1, a2):
    p1 = vectors(lon, lat)
    east = np.array([-np.sin(np.radians(lon)), np.cos(np.radians(lon)), 0.0])
    p2 = np.cos(step) * p1 + np.sin(step) * (np.cos(turn) * east + np.sin(turn) * np.cross(p1, east))
    pair = np.degrees([np.arctan2(p1[1], p1[0]), np.arctan2(p2[1], p2[0])])
    heights = np.degrees(np.arctan2([p1[2], p2[2]], [np.hypot(*p1[:2]), np.hypot(*p2[:2])]))
    found = low_frequency_places(pair[None], heights[None], a1, a2)
    expected = slow_low_place(pair, heights, a1, a2)
    # 1e-11 of the Earth's radius is 0.06 mm.
    assert np.abs(vectors(*found)[0, 0] - vectors(*expected)).max() < 1e-11


def test_parameters_of_zero_give_the_first_sample_and_of_one_the_second():
    lon, lat = conical_scans((179.9, 88.0), 40.0, 3, samples=8)
    for a1, first in ((0.0, 0), (1.0, 1)):
        found = vectors(*low_frequency_places(lon, lat, a1, 0.0))
        assert np.abs(found - vectors(lon[:, first::2], lat[:, first::2])).max() < 1e-12


def test_a_place_without_a_neighbour_is_unknown_and_two_samples_at_one_place_are_that_place():
    lon, lat = np.array([[10.0, np.nan, 30.0, 30.0]]), np.array([[80.0, 80.0, 70.0, 70.0]])
    found_lon, found_lat = low_frequency_places(lon, lat, 1.5, 0.3)
    assert np.isnan(found_lon[0, 0])
    assert np.isnan(found_lat[0, 0])
    assert (found_lon[0, 1], found_lat[0, 1]) == pytest.approx((30.0, 70.0), abs=1e-12)


def test_scan_times_count_leap_seconds():
    utc = timezone.utc
    times = [
        datetime(2012, 7, 23, 12, tzinfo=utc),
        datetime(2016, 12, 31, 23, 59, 59, tzinfo=utc),
        datetime(2017, 1, 1, tzinfo=utc),
        datetime(2019, 8, 23, 3, 30, 23, tzinfo=utc),
    ]
    found = utc_of_tai93(np.array([tai93(time) for time in times]))
    assert found.tolist() == [time.timestamp() for time in times]
    # Between the last two of them a second was inserted.
    assert tai93(times[2]) - tai93(times[1]) == 2.0
    # Every leap second since 1993, against the table of the time zone database's TAI − UTC.
    assert utc_of_tai93(np.array([0.0, 15638399.0, 15638401.0])).tolist() == [
        datetime(1993, 1, 1, tzinfo=utc).timestamp(),
        datetime(1993, 6, 30, 23, 59, 59, tzinfo=utc).timestamp(),
        datetime(1993, 7, 1, tzinfo=utc).timestamp(),
    ]


def test_level_1b_has_all_channels_at_their_own_places(tmp_path):
    granule = Granule(smooth_field(), **SMALL)
    swath = read(granule.write(tmp_path / "granule.h5"))
    assert swath.level == "L1B"
    assert len(swath.channels) == 14
    assert swath.parameters == {name: (A1[name], A2[name]) for name in A1}
    lon, lat = granule.horn("A")
    for frequency, name in LOW.items():
        channel = f"btemp_{frequency.replace('.', '_')}h"
        group = group_of(swath, channel)
        places = low_places(lon, lat, name)
        assert np.abs(vectors(group.lon, group.lat) - vectors(*(p.ravel() for p in places))).max() < 1e-12
        expected = np.round(granule.field(f"{frequency}H")(*places) * 100) * 0.01
        assert np.abs(group.values[channel] - expected.ravel()).max() < 1e-4
        assert group.spacing_km == SPACING_KM
    both = group_of(swath, "btemp_89_0v")
    assert both.lon.size == 2 * granule.scans * granule.samples
    assert both.spacing_km == SPACING_89_KM
    assert swath.source["btemp_89_0v"].count("89.0GHz") == 2


def test_a_negative_parameter_has_two_dashes(tmp_path):
    swath = read(Granule(smooth_field(), **SMALL).write(tmp_path / "granule.h5"))
    assert swath.parameters["7G"] == (1.40210, -0.10)


def test_times_belong_to_their_scans(tmp_path):
    granule = Granule(smooth_field(), **SMALL)
    group = group_of(read(granule.write(tmp_path / "g.h5")), "btemp_36_5h")
    expected = [(granule.start + timedelta(seconds=1.5 * scan)).timestamp() for scan in range(granule.scans)]
    assert group.time.reshape(granule.scans, -1).T[3].tolist() == expected


def test_codes_without_data_are_missing_and_counted(tmp_path):
    name = "Brightness Temperature (18.7GHz,V)"

    def break_some(values):
        values[0, :3] = (65535, 65534, 0)
        return values

    swath = read(Granule(smooth_field(), change={name: break_some}, **SMALL).write(tmp_path / "g.h5"))
    values = group_of(swath, "btemp_18_7v").values["btemp_18_7v"]
    assert np.flatnonzero(np.isnan(values)).tolist() == [0, 1, 2]
    assert swath.without_data == 3
    assert np.isfinite(group_of(swath, "btemp_18_7h").values["btemp_18_7h"]).all()


def test_samples_without_a_place_are_left_out(tmp_path):
    def unknown(values):
        values[2] = -9999.0
        return values

    change = {f"{axis} of Observation Point for 89A": unknown for axis in ("Latitude", "Longitude")}
    swath = read(Granule(smooth_field(), change=change, **SMALL).write(tmp_path / "g.h5"))
    assert group_of(swath, "btemp_6_9h").lon.size == 5 * 10
    assert group_of(swath, "btemp_89_0h").lon.size == 5 * 20 + 6 * 20


def test_level_1r_takes_each_channel_at_its_finest_on_odd_samples(tmp_path):
    granule = Granule(smooth_field(), level="L1R", **SMALL)
    swath = read(granule.write(tmp_path / "g.h5"))
    assert swath.level == "L1R"
    assert not swath.parameters
    assert len(swath.channels) == 14
    lon, lat = granule.horn("A")
    for frequency, resolution in zip(FREQUENCIES, ("res06", "res06", "res10", "res23", "res23", "res36")):
        channel = f"btemp_{frequency.replace('.', '_')}v"
        assert resolution in swath.source[channel]
        group = group_of(swath, channel)
        assert (
            np.abs(vectors(group.lon, group.lat) - vectors(lon[:, ::2].ravel(), lat[:, ::2].ravel())).max()
            < 1e-12
        )
        expected = granule.field(f"{frequency}V")(lon[:, ::2], lat[:, ::2])
        assert np.abs(group.values[channel] - expected.ravel()).max() < 0.0051
    assert "original" in swath.source["btemp_89_0h"]


def test_level_1r_without_the_original_89_ghz_takes_the_resampled_one(tmp_path):
    without = [f"Brightness Temperature (original,89GHz-{h},{p})" for h in "AB" for p in "HV"]
    swath = read(Granule(smooth_field(), level="L1R", leave_out=without, **SMALL).write(tmp_path / "g.h5"))
    assert "res36,89.0GHz" in swath.source["btemp_89_0h"]
    assert group_of(swath, "btemp_89_0h") is group_of(swath, "btemp_6_9h")


def test_one_horn_that_lacks_a_polarisation_is_left_out(tmp_path):
    swath = read(
        Granule(smooth_field(), leave_out=["Brightness Temperature (89.0GHz-B,V)"], **SMALL).write(
            tmp_path / "g.h5"
        )
    )
    group = group_of(swath, "btemp_89_0h")
    assert "btemp_89_0v" in group.values
    assert group.lon.size == 6 * 20
    assert group.spacing_km == SPACING_KM


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attributes": {"CoRegistrationParameterA1": "none"}}, "no attribute 'CoRegistrationParameterA1'"),
        ({"leave_out": ["CoRegistrationParameterA2"]}, "no attribute 'CoRegistrationParameterA2'"),
        (
            {"attributes": {"CoRegistrationParameterA2": "7G-1.0,36G-0.5"}},
            "no co-registration parameters for",
        ),
        ({"leave_out": ["Scan Time"]}, "has no 'Scan Time'"),
        (
            {"leave_out": ["Latitude of Observation Point for 89B"]},
            "has no 'Latitude of Observation Point for 89B'",
        ),
        ({"change": {"Scan Time": lambda v: v[:-1]}}, r"has the shape \(5,\) where \(6,\) is due"),
        (
            {"change": {"Brightness Temperature (6.9GHz,H)": lambda v: v[:, :-1]}},
            r"has the shape \(6, 9\) where \(6, 10\) is due",
        ),
        ({"change": {"Longitude of Observation Point for 89A": lambda v: v[0]}}, "has the shape"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_one_sentence(tmp_path, changes, words):
    path = Granule(smooth_field(), **SMALL, **changes).write(tmp_path / "g.h5")
    with pytest.raises(SceneError, match=words) as caught:
        read(path)
    assert "g.h5" in str(caught.value)
