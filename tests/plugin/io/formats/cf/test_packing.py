"""What is stored and what it means: held to xarray's decoder and to netCDF4's masks over generated files."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.cf.packing import Packing
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

netCDF4 = pytest.importorskip("netCDF4", reason="netCDF4 is the second opinion")  # noqa: N816
xarray = pytest.importorskip("xarray", reason="xarray's decoder is the first opinion")

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
FORMS = ("NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4_CLASSIC")
CLASSIC = ("i1", "i2", "i4", "f4", "f8")  # types that the classic data model has


@st.composite
def stored_variables(draw):
    """Return the format of a file, and type, values and attributes of a variable in it."""
    form = draw(st.sampled_from(FORMS))
    few = form in ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF4_CLASSIC")
    kind = np.dtype(draw(st.sampled_from(CLASSIC if few else TYPES)))
    info = np.iinfo(kind) if kind.kind != "f" else None
    numbers = (
        st.integers(int(info.min), int(info.max))
        if info
        else st.floats(-1e6, 1e6, width=8 * kind.itemsize, allow_subnormal=False)
    )
    # Few values often: codes have to be met.
    some = st.sampled_from(draw(st.lists(numbers, min_size=1, max_size=6)))
    values = draw(hnp.arrays(kind, (3, 4), elements=st.one_of(some, numbers)))
    attributes = {}
    if kind.kind == "i" and draw(st.booleans()):
        attributes["_Unsigned"] = "true"
    if draw(st.booleans()):
        attributes["scale_factor"] = draw(st.sampled_from((0.01, 0.5, 2.0, -0.25, 1e-4)))
    if draw(st.booleans()):
        attributes["add_offset"] = draw(st.sampled_from((-50.0, 0.5, 273.15)))
    fill = draw(st.one_of(st.none(), some))
    if fill is not None:
        attributes["_FillValue"] = kind.type(fill)
    # xarray compares a missing value below 0 with what is meant, where all else is as stored.
    if "_Unsigned" not in attributes and draw(st.booleans()):
        count = draw(st.integers(1, 3))
        missing = draw(st.lists(some, min_size=count, max_size=count))
        attributes["missing_value"] = np.array(missing, kind) if count > 1 else kind.type(missing[0])
    return form, kind, values, attributes


def write(path, form, kind, values, attributes):
    with netCDF4.Dataset(path, "w", format=form) as dataset:
        for name, size in (("y", 3), ("x", 4)):
            dataset.createDimension(name, size)
        fill = attributes.get("_FillValue")
        variable = dataset.createVariable("v", kind, ("y", "x"), fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.setncatts({key: value for key, value in attributes.items() if key != "_FillValue"})
        variable[:] = values


def read(path):
    with Container(path) as container:
        return container.variable("v").whole()


def library_fill(kind, unsigned):
    """Return what the library fills arrays of a type with; bytes have none."""
    if kind.kind == "f" or kind.itemsize == 1:
        return None
    return netCDF4.default_fillvals[("u" if unsigned else kind.kind) + str(kind.itemsize)]


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    folder, numbers = tmp_path_factory.mktemp("packed"), itertools.count()
    return lambda: folder / f"{next(numbers)}.nc"


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(stored=stored_variables())
def test_values_are_those_of_xarrays_decoder(numbered, stored):
    _, kind, values, attributes = stored
    path = numbered()
    write(path, *stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of several fill values
        with xarray.open_dataset(path, engine="netcdf4", decode_times=False) as dataset:
            expected = dataset["v"].values.astype(np.float64)
    got = read(path)
    path.unlink()
    # xarray knows only the fill values that are declared; the library's own is one, too.
    never = library_fill(kind, "_Unsigned" in attributes) if "_FillValue" not in attributes else None
    if never is not None:
        meant = values.view(f"u{kind.itemsize}") if "_Unsigned" in attributes else values
        expected = np.where(meant == never, np.nan, expected)
    size = max(1.0, float(np.abs(np.where(np.isfinite(expected), expected, 0.0)).max()))
    # It unpacks small integers in float32.
    np.testing.assert_allclose(got, expected, rtol=3e-7, atol=3e-7 * size + 3e-5)


@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(stored=stored_variables(), ends=st.tuples(st.floats(0, 1), st.floats(0, 1)), one=st.booleans())
def test_valid_ranges_leave_what_netcdf4_leaves(numbered, stored, ends, one):
    form, kind, values, attributes = stored
    # Bytes have no fill value of the library's own (NetCDF Users' Guide); netCDF4 gives them one.
    fill = netCDF4.default_fillvals[f"{kind.kind}{kind.itemsize}"]
    assume(kind.itemsize > 1 or "_FillValue" in attributes or not (values == fill).any())
    attributes = {k: v for k, v in attributes.items() if k not in ("scale_factor", "add_offset", "_Unsigned")}
    low, high = sorted(np.quantile(values.astype(np.float64), ends))
    low, high = (kind.type(value if kind.kind == "f" else round(value)) for value in (low, high))
    given_range = (
        {"valid_range": np.array([low, high], kind)} if one else {"valid_min": low, "valid_max": high}
    )
    path = numbered()
    write(path, form, kind, values, {**attributes, **given_range})
    with netCDF4.Dataset(path) as dataset:
        masked = dataset["v"][:]
    got = read(path)
    path.unlink()
    assert np.array_equal(np.isnan(got), np.ma.getmaskarray(masked) | np.isnan(np.ma.getdata(masked)))


def values_of(attributes, stored, types=None):
    """Return values, and what is warned of, of what is stored."""
    stored = np.asarray(stored)
    packing = Packing.of(attributes, types or {}, stored.dtype.name)
    told = ""
    if packing.ambiguous:
        packing, told = packing.settled(stored)
    return packing.decode(stored), told


def test_a_range_of_unpacked_values_is_taken_where_the_other_reading_leaves_nothing():
    stored = np.array([5000, 15000, 27000, 65535], np.uint16)
    attributes = {"scale_factor": 0.01, "_FillValue": 65535, "valid_range": [0, 260]}
    values, told = values_of(attributes, stored)
    np.testing.assert_allclose(values, [50, 150, np.nan, np.nan])
    assert "0 to 260 is taken for unpacked values" in told


def test_a_range_of_stored_values_stays_one_though_it_takes_much_away():
    stored = np.array([10, 20, 30, 40, 5000], np.int16)
    values, told = values_of({"scale_factor": 0.01, "add_offset": -20.0, "valid_range": [0, 25]}, stored)
    np.testing.assert_allclose(values, [-19.9, -19.8, np.nan, np.nan, np.nan])
    assert "60 % of the values are missing" in told


def test_a_range_with_a_fractions_type_bounds_unpacked_values_where_these_fit_better():
    stored = np.array([0, 50, 100, 150, 250, 251], np.uint8)
    attributes = {"scale_factor": 0.4, "valid_min": 0.0, "valid_max": 100.0}
    values, told = values_of(attributes, stored, {"valid_min": "Float32", "valid_max": "Float32"})
    np.testing.assert_allclose(values, [0, 20, 40, 60, 100, np.nan])
    assert "unpacked" in told
    # 40,000 cannot be a number of kelvins in 16 bits: it bounds what is stored, whatever its type.
    stored = np.array([39000, 40001], np.uint16)
    values, told = values_of({"scale_factor": 0.01, "valid_max": 40000.0}, stored, {"valid_max": "Float32"})
    np.testing.assert_allclose(values, [390, np.nan])


def test_codes_outside_of_the_valid_range_are_no_reason_to_warn():
    attributes = {"scale_factor": 0.4, "valid_range": [0, 250], "flag_values": [254], "flag_meanings": "land"}
    assert values_of(attributes, np.array([254, 254, 254, 100], np.uint8))[1] == ""


def test_bytes_without_a_sign_have_their_codes_without_one():
    stored = np.array([-6, -5, 0, 100, -56], np.int8)
    attributes = {"_Unsigned": "true", "_FillValue": -6, "missing_value": [-5, -1], "valid_range": [0, -56]}
    values, _ = values_of(attributes, stored)
    np.testing.assert_allclose(values, [np.nan, np.nan, 0, 100, 200])


def test_a_missing_value_that_cannot_be_stored_stands_for_unpacked_ones():
    values, _ = values_of({"scale_factor": 0.01, "missing_value": -9.99}, np.array([-999, 100], np.int16))
    np.testing.assert_allclose(values, [np.nan, 1.0])
    # One that is stored is one as stored: 100 is no 1.00.
    values, _ = values_of({"scale_factor": 0.01, "missing_value": 1}, np.array([1, 100], np.int16))
    np.testing.assert_allclose(values, [np.nan, 1.0])


def test_reasons_are_counted_apart():
    stored = np.array([[251, 254, 254, 255, 240, 7]], np.uint8)
    attributes = {
        "_FillValue": 255,
        "valid_max": 200,
        "flag_values": [251, 254],
        "flag_meanings": "pole_hole land",
    }
    packing = Packing.of(attributes, {}, "uint8")
    values, codes = packing.counted(stored)
    assert codes == {"pole_hole": 1, "land": 2, "fill value": 1, "outside of the valid range": 1}
    assert values.tolist()[0][-1] == 7.0
    assert np.isnan(values[0, :-1]).all()
