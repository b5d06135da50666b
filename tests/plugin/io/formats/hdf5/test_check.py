"""HDF5 in the old format, without checksums: what is whole is read, and what is not ends no process."""

from __future__ import annotations

import itertools
import struct
from functools import partial

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.hdf5.check import check_structure
from floelens.plugin.io.formats.hdf5.messages import VARIABLE, read_attribute, read_dataspace, read_datatype
from floelens.plugin.io.formats.hdf5.raw_bytes import Unsound
from floelens.tests.plugin.io.old_hdf5 import old_hdf5
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Granule = partial(Container, driver="HDF5")
Scene = Container
ARRAYS = {
    "Brightness Temperature (6.9GHz,H)": np.arange(12, dtype=np.uint16).reshape(3, 4),
    "Latitude": np.linspace(60, 80, 6, dtype=np.float32).reshape(2, 3),
}
ATTRIBUTES = {
    "ProductName": "AMSR2-L1B",
    "SCALE FACTOR": 0.01,
    "CoRegistrationParameterA1": "6G-1.25,7G--0.1",
}
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def content() -> bytes:
    return old_hdf5(ARRAYS, ATTRIBUTES)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Return a function that writes bytes to a file of its own: the library remembers a file by its place."""
    folder, numbers = tmp_path_factory.mktemp("scratch"), itertools.count()

    def write(data: bytes):
        path = folder / f"{next(numbers)}.h5"
        path.write_bytes(data)
        return path

    return write


def read_all(path) -> bool:
    """Read all that a file holds through both readers; return whether each of them could open it."""
    opened = 0
    for kind in (Granule, Scene):
        try:
            with kind(str(path)) as container:
                opened += 1
                for name in container.names:
                    try:
                        if kind is Granule:
                            container.attributes_of(name)
                            container.read(name)
                        else:
                            variable = container.variable(name)
                            variable.texts() if variable.is_text else variable.whole()
                    except SceneError as error:
                        assert str(error).endswith(".")
        except SceneError as error:
            assert str(error).endswith(".")
    path.unlink()
    return opened == 2


def test_a_file_in_the_old_format_is_read(content, scratch):
    path = scratch(content)
    with Granule(str(path)) as granule:
        assert set(granule.names) == set(ARRAYS)
        assert granule.text("ProductName") == "AMSR2-L1B"
        for name, values in ARRAYS.items():
            np.testing.assert_array_equal(granule.read(name), values)
            assert granule.attributes_of(name)["SCALE FACTOR"] == pytest.approx(0.01, rel=1e-6)
    assert read_all(path)


@settings(max_examples=100, **QUIET)
@given(place=st.floats(0, 1), value=st.integers(0, 255))
def test_one_wrong_byte_anywhere_crashes_nothing(content, scratch, place, value):
    at = int(place * (len(content) - 1))
    read_all(scratch(content[:at] + bytes([value]) + content[at + 1 :]))


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=12_000, **QUIET)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_thousands_of_wrong_bytes_crash_nothing(content, scratch, changes):
    spoilt = bytearray(content)
    for place, value in changes:
        spoilt[int(place * (len(content) - 1))] = value
    read_all(scratch(bytes(spoilt)))


# Each of these ended the process: GDAL takes an attribute that cannot be opened for one that can.
@pytest.mark.parametrize(
    ("offset", "new", "sentence"),
    [
        (8, b"\x09", "an attribute is of no known kind"),
        (8 + 2, b"\xff\xff", "no name, or one that does not end"),
        (8 + 8 + 3, b"\x00", "no name, or one that does not end"),
        (8 + 8 + 16, b"\x1f", "a type of values is of no known kind"),
        (
            8 + 8 + 16,
            b"\x53",
            "damaged or truncated .a type of values is one that only HDF5 1.12 or later writes",
        ),
        (8 + 8 + 16 + 4, b"\xff\xff", "fewer values than it says"),
        (8 + 8 + 16 + 8, b"\x07", "the extent of an array is of no known kind"),
        (4, b"\x02", "borrows what cannot be borrowed"),
    ],
)
def test_a_damaged_attribute_is_told(content, scratch, offset, new, sentence):
    at = content.index(b"ProductName") - 16 + offset
    path = scratch(content[:at] + new + content[at + len(new) :])
    with pytest.raises(SceneError, match=sentence):
        check_structure(str(path), "granule.h5")
    assert not read_all(path)


# What a changed type or layout does to reading is up to the library, which has ended the process for it.
@pytest.mark.parametrize(
    ("offset", "new", "sentence"),
    [
        (0, b"\x01", "lie in no known way"),
        (0, b"\x05", "only HDF5 2.0 or later"),
        (1, b"\x03", "lie in no known way"),
        (1, b"\x02", "ends too early|do not fit its values"),
        (10, b"\x01", "less room than values"),
    ],
)
def test_values_that_do_not_fit_their_place_are_told(content, scratch, offset, new, sentence):
    at = content.index(struct.pack("<HHB3x", 0x08, 24, 0)) + 8 + offset
    path = scratch(content[:at] + new + content[at + len(new) :])
    with pytest.raises(SceneError, match=sentence):
        check_structure(str(path), "granule.h5")
    assert not read_all(path)


def test_values_of_a_larger_type_than_there_is_room_for_are_told(content, scratch):
    at = content.index(struct.pack("<HHB3x", 0x03, 16, 0) + b"\x10\x00\x00\x00\x02") + 8
    path = scratch(content[:at] + b"\x13\x00\x00\x00\x40" + content[at + 5 :])  # texts of 64 bytes
    with pytest.raises(SceneError, match="less room than values"):
        check_structure(str(path), "granule.h5")


def test_values_in_another_file_are_not_followed(content, scratch):
    at = content.index(struct.pack("<HHB3x", 0x05, 8, 0))  # what was never written
    path = scratch(content[:at] + b"\x07" + content[at + 1 :])
    with pytest.raises(SceneError, match="in another file"):
        check_structure(str(path), "granule.h5")


@pytest.mark.parametrize("at", [34, 50])
def test_a_file_that_claims_to_be_split_makes_no_others(content, tmp_path, at):
    """GDAL takes a0.h5 for the first of several, of which the library would make twenty thousand here."""
    path = tmp_path / "a0.h5"
    path.write_bytes(content[:at] + b"\x39" + content[at + 1 :])
    with pytest.raises(SceneError, match="split over several files"):
        Granule(str(path))
    assert list(tmp_path.iterdir()) == [path]


def text_type(size: int) -> bytes:
    return struct.pack("<BBBBI", 0x13, 0, 0, 0, size)


WHOLE = struct.pack("<BBBBIHH", 0x10, 0, 0, 0, 4, 0, 32)


def test_types_of_every_kind_come_out_even():
    name = b"member\0\0"
    kinds = {
        "integer": (WHOLE, 4),
        "real": (struct.pack("<BBBBIHHBBBBI", 0x11, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127), 4),
        "text": (text_type(7), 7),
        "opaque": (struct.pack("<BBBBI", 0x15, 8, 0, 0, 3) + name, 3),
        "texts of variable length": (struct.pack("<BBBBI", 0x10 | VARIABLE, 1, 0, 0, 16) + text_type(1), 16),
        "names": (struct.pack("<BBBBI", 0x18, 1, 0, 0, 4) + WHOLE + name + bytes(4), 4),
        "record": (struct.pack("<BBBBI", 0x16, 1, 0, 0, 4) + name + bytes(4 + 28) + WHOLE, 4),
        "newer record": (struct.pack("<BBBBI", 0x36, 1, 0, 0, 4) + b"m\0\0" + WHOLE, 4),
        "array": (struct.pack("<BBBBIBI", 0x3A, 0, 0, 0, 12, 1, 3) + WHOLE, 12),
        "reference": (struct.pack("<BBBBI", 0x17, 0, 0, 0, 8), 8),
    }
    for kind, (data, size) in kinds.items():
        found = read_datatype(data + b"what follows", 8)
        assert (found.size, found.length) == (size, len(data)), kind
        for length in range(len(data)):
            with pytest.raises(Unsound):
                read_datatype(data[:length], 8)


def test_types_that_contradict_themselves_are_told():
    inside = struct.pack("<BBBBI", 0x10 | VARIABLE, 1, 0, 0, 16)
    for data in (
        struct.pack("<BBBBIHH", 0x10, 0, 0, 0, 4, 1, 32),  # more digits than room
        struct.pack("<BBBBIHHBBBBI", 0x11, 0x20, 31, 0, 4, 0, 32, 20, 8, 0, 23, 127),  # parts that overlap
        struct.pack("<BBBBI", 0x10 | VARIABLE, 1, 0, 0, 12) + text_type(1),  # a reference has 16 bytes
        struct.pack("<BBBBI", 0x36, 1, 0, 0, 3) + b"m\0\0" + WHOLE,  # a member beyond the record
        inside * 40 + text_type(1),  # without an end
    ):
        with pytest.raises(Unsound):
            read_datatype(data, 8)


def test_extents_and_what_is_larger_than_it_may_become():
    assert read_dataspace(struct.pack("<BBB5xQQ", 1, 2, 0, 3, 5), 8) == 15
    assert read_dataspace(struct.pack("<BBBB", 2, 0, 0, 0), 8) == 1
    assert read_dataspace(struct.pack("<BBBB", 2, 0, 0, 2), 8) == 0
    assert read_dataspace(struct.pack("<BBBBQQ", 2, 1, 1, 1, 3, 2**64 - 1), 8) == 3
    with pytest.raises(Unsound, match="larger than it may become"):
        read_dataspace(struct.pack("<BBBBQQ", 2, 1, 1, 1, 3, 2), 8)


def test_an_attribute_with_a_type_of_its_own_leads_there():
    reference = struct.pack("<BBQ", 3, 2, 4096)
    data = struct.pack("<BBHHHB", 3, 1, 2, len(reference), 4, 0) + b"a\0" + reference
    found = read_attribute(data + struct.pack("<BBBB", 2, 0, 0, 0) + bytes(4), 8, 8)
    assert found.shared_type == reference
