"""What the codes of an ice chart say."""

from __future__ import annotations

import pytest
from floelens.plugin.io.formats.chart.codes import (
    CONCENTRATIONS,
    FLOES,
    STAGES,
    DecodedIce,
    UnknownCodes,
    code_number,
    concentration_percent,
    decode_polygon,
    floe_class,
    floe_name,
    stage_class,
    stage_name,
)
from hypothesis import given, settings
from hypothesis import strategies as st

NONE = ("-9",) * 3


@pytest.mark.parametrize("code", ["0", "00", "1", "01", "2", "02", "55", " 55 ", 0, 1.0])
def test_ice_free_open_and_bergy_water_are_no_ice(code):
    assert concentration_percent(code) == 0.0


def test_tenths_are_tens_of_percent():
    assert [concentration_percent(str(tens)) for tens in range(10, 100, 10)] == list(range(10, 100, 10))


def test_an_interval_is_its_midpoint():
    lower_upper = {
        "12": (10, 20), "13": (10, 30), "23": (20, 30), "24": (20, 40), "34": (30, 40), "35": (30, 50),
        "45": (40, 50), "46": (40, 60), "56": (50, 60), "57": (50, 70), "67": (60, 70), "68": (60, 80),
        "78": (70, 80), "79": (70, 90), "89": (80, 90), "81": (80, 100), "91": (90, 100),
    }  # fmt: skip
    for code, limits in lower_upper.items():
        assert concentration_percent(code) == sum(limits) / 2, code


def test_ten_tenths_is_all_ice():
    assert concentration_percent("92") == 100.0


@pytest.mark.parametrize("code", ["99", "-9", "", None, "21", "93", "100", "I", "nan", "inf", "1e400", "9.5"])
def test_anything_else_is_no_data(code):
    assert concentration_percent(code) is None


def test_only_codes_in_no_table_are_counted_as_unknown():
    unknown = UnknownCodes()
    assert not unknown.sentence()
    for code in ("92", "99", "-9", "", "97", "97 ", "I"):
        concentration_percent(code, "ct", unknown)
    for code in ("98", "94", "95", "77"):
        stage_class(code, "SB", unknown)
    for code in ("8", "08", "22", "33"):
        floe_class(code, "FC", unknown)
    assert unknown.as_json() == {"CT=97": 2, "CT=I": 1, "FC=33": 1, "SB=77": 1}
    assert "CT=97 (2 x)" in unknown.sentence()


def test_stages_of_development_have_their_classes():
    classes = {
        0: (0, 80), 1: (81, 82), 2: (83, 84, 85), 3: (87, 88, 89), 4: (86, 91, 93), 5: (95, 96, 97),
        None: (98, 99, -9),
    }  # fmt: skip
    for expected, codes in classes.items():
        assert {stage_class(str(code)) for code in codes} == {expected}


def test_forms_of_ice_have_their_classes():
    classes = {0: (0,), 1: (2,), 2: (3,), 3: (4,), 4: (5,), 5: (6, 7), 6: (9, 10), None: (1, 8, 21, 22, 99)}
    for expected, codes in classes.items():
        assert {floe_class(str(code)) for code in codes} == {expected}
        assert {floe_class(f"{code:02d}") for code in codes} == {expected}


def test_classes_are_numbered_from_zero_with_a_name_and_a_colour_each():
    for table in (STAGES, FLOES):
        assert [value for value, _, _ in table] == list(range(len(table)))
    limits = [value for value, _, _ in CONCENTRATIONS]
    assert limits == sorted(limits)
    for table in (CONCENTRATIONS, STAGES, FLOES):
        assert len({colour for _, _, colour in table}) == len({name for _, name, _ in table}) == len(table)
    assert (stage_name(3), stage_name(None)) == ("thin first-year ice", None)
    assert (floe_name(6), floe_name(None)) == ("bergs", None)


def test_a_code_may_be_unpadded_or_a_number():
    assert code_number("03") == code_number("3") == code_number(3) == code_number(3.0) == 3
    assert code_number(" ") == code_number(None) == -9


@pytest.mark.parametrize("ct", ["0", "1", "2", "55"])
def test_a_polygon_of_open_water_is_open_water_in_every_respect(ct):
    assert decode_polygon(ct, *NONE, *NONE, *NONE) == DecodedIce(0.0, 0, 0)
    # Bergs in bergy water do not make it ice.
    assert decode_polygon(ct, "-9", "98", "10", *NONE, *NONE) == DecodedIce(0.0, 0, 0)


def test_the_example_row_of_the_challenge():
    row = ["92", "30", "95", "05", "70", "93", "08", "-9", "-9", "-9"]
    assert decode_polygon(*row) == DecodedIce(100.0, 4, None)
    # Fast ice (08) has 70 % and no class; nothing else reaches 65 %.
    assert decode_polygon(*row, dominant_share=71.0) == DecodedIce(100.0, None, None)


def test_a_single_stage_has_the_total_concentration():
    assert decode_polygon("80", "-9", "87", "4", *NONE, *NONE) == DecodedIce(80.0, 3, 3)


def test_a_second_stage_without_a_partial_concentration_leaves_both_open():
    assert decode_polygon("80", "-9", "87", "4", "-9", "83", "3", *NONE) == DecodedIce(80.0, None, None)


def test_partial_concentrations_of_one_class_add_up():
    # 30 + 30 of 80 % is 75 % thin first-year ice, though no part of it reaches 65 %.
    assert decode_polygon("80", "30", "88", "5", "30", "89", "4", "20", "84", "3").stage == 3
    assert decode_polygon("80", "30", "88", "5", "30", "89", "5", "20", "84", "3").floe == 4


def test_a_class_dominates_from_just_its_share_on():
    row = ("80", "40", "95", "5", "40", "84", "3", *NONE)
    assert decode_polygon(*row, dominant_share=50.0) == DecodedIce(80.0, 5, 4)
    assert decode_polygon(*row, dominant_share=50.001) == DecodedIce(80.0, None, None)


def test_an_interval_of_the_total_counts_by_its_midpoint():
    # 50 of 80 % is 62.5 %, of 79 = 7/10 to 9/10.
    assert decode_polygon("79", "50", "95", "5", "30", "84", "3", *NONE).stage is None
    assert decode_polygon("79", "60", "95", "5", "20", "84", "3", *NONE).stage == 5


def test_an_unknown_stage_is_no_data_and_leaves_the_concentration():
    unknown = UnknownCodes()
    assert decode_polygon("90", "-9", "77", "5", *NONE, *NONE, unknown=unknown) == DecodedIce(90.0, None, 4)
    assert unknown.as_json() == {"SA=77": 1}


@pytest.mark.parametrize("poly_type", ["W", "w", "O"])
def test_water_needs_no_total_concentration(poly_type):
    for ct in ("-9", "", "99"):
        assert decode_polygon(ct, *NONE, *NONE, *NONE, poly_type=poly_type) == DecodedIce(0.0, 0, 0)
    # What is said of the ice goes before the type of the polygon.
    assert decode_polygon("92", "-9", "95", "5", *NONE, *NONE, poly_type=poly_type).concentration == 100.0


@pytest.mark.parametrize("poly_type", ["I", "L", "N", "", None])
def test_other_polygons_without_a_total_concentration_are_no_data(poly_type):
    assert decode_polygon("-9", *NONE, *NONE, *NONE, poly_type=poly_type) == DecodedIce(None, None, None)


codes = st.one_of(st.integers(-20, 120).map(str), st.text(max_size=4), st.none(), st.floats(), st.integers())


@settings(deadline=None, max_examples=150)
@given(st.lists(codes, min_size=10, max_size=10), st.floats(0, 100), codes)
def test_any_codes_give_a_value_of_the_tables_or_none(row, share, poly_type):
    unknown = UnknownCodes()
    ice = decode_polygon(*row, dominant_share=share, poly_type=poly_type, unknown=unknown)
    assert ice.concentration is None or 0 <= ice.concentration <= 100
    assert ice.stage is None or ice.stage in range(len(STAGES))
    assert ice.floe is None or ice.floe in range(len(FLOES))
    assert bool(unknown.sentence()) == bool(unknown.as_json())
