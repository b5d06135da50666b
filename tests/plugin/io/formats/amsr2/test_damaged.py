"""Damaged and strange files: always a sentence, never a crash, a hang or a wrong kind of error.

Bytes of the arrays, lengths, texts and shapes are varied. Bytes of HDF5's own tables of links are
not: libhdf5 itself fails on some of those (1.10 frees what it has not allocated when a checksum in
a link table is wrong), which no reader above it can prevent.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import FloeLensError, SceneError
from floelens.plugin.io.formats.amsr2 import open_amsr2, recognises
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.product import ImportOptions
from floelens.tests.plugin.io.formats.amsr2.granules import Granule, smooth_field, write_hdf5
from floelens.tests.plugin.io.formats.amsr2.test_grids import concentration, over_scene
from floelens.tests.plugin.io.rasters import gcp_grid
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osgeo import gdal

OPTIONS = ImportOptions()
SCENE = gcp_grid((20.0, 79.0), 215, 205, 80.0)
QUIET = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def outcome(path: str) -> str:
    """Return what opening a file ends in; anything but a product or a sentence fails the test."""
    recognises(path)
    try:
        product = open_amsr2([path], OPTIONS, SCENE, None)
    except FloeLensError as error:
        text = str(error)
        assert text.endswith((".", ")"))
        assert "Traceback" not in text
        return "sentence"
    for raster in product.rasters.values():
        assert raster.values.dtype == np.float32
    return "product"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    """Return small files of each kind as bytes."""
    folder = tmp_path_factory.mktemp("files")
    for level in ("L1B", "L1R"):
        Granule(smooth_field(), level=level, scans=5, samples=16).write(folder / f"{level}.h5")
    over_scene(folder / "grid.nc")
    concentration(folder / "AMSR2.nc")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def virtual(name: str, content: bytes) -> str:
    path = f"/vsimem/floelens-damaged-{name}"
    gdal.FileFromMemBuffer(path, content)
    return path


def check_truncated(files: dict[str, bytes], name: str, share: float) -> None:
    whole = files[name]
    path = virtual(name, whole[: min(int(share * len(whole)), len(whole) - 1)])
    try:
        assert not recognises(path)
        assert outcome(path) == "sentence"
    finally:
        gdal.Unlink(path)


@settings(max_examples=60, **QUIET)
@given(name=st.sampled_from(["L1B.h5", "L1R.h5", "grid.nc", "AMSR2.nc"]), share=st.floats(0, 1))
def test_a_truncated_file_is_a_sentence(files, name, share):
    check_truncated(files, name, share)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=6000, **QUIET)
@given(name=st.sampled_from(["L1B.h5", "L1R.h5", "grid.nc", "AMSR2.nc"]), share=st.floats(0, 1))
def test_truncated_files_of_thousands_of_lengths_are_sentences(files, name, share):
    check_truncated(files, name, share)


TEXTS = st.one_of(
    st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=60),
    st.from_regex(r"(\d{1,2}G-{1,3}[0-9.]{0,8},?){0,8}", fullmatch=True),
)
VALUES = st.sampled_from([0, 1, 65533, 65534, 65535, np.nan, np.inf, -np.inf, -9999.0, 1e300, 90.0, 180.0])
HIGH_A = "Brightness Temperature (89.0GHz-A,V)"
LOW_6 = "Brightness Temperature (6.9GHz,H)"
ODD = st.fixed_dictionaries(
    {},
    optional={
        "A1": TEXTS,
        "A2": TEXTS,
        "GranuleID": TEXTS,
        "leave": st.sampled_from(
            ["Scan Time", LOW_6, "Latitude of Observation Point for 89A", "Longitude of Observation Point for 89B"]
        ),
        "array": st.tuples(
            st.sampled_from([LOW_6, HIGH_A, "Scan Time", "Latitude of Observation Point for 89A"]),
            VALUES,
            st.sampled_from(["one", "all", "shape", "flat", "type"]),
        ),
    },
)  # fmt: skip


def spoil(value: float, how: str):
    def change(values: np.ndarray) -> np.ndarray:
        if how == "shape":
            return np.ascontiguousarray(values[:-1])
        if how == "flat":
            return values.ravel()
        if how == "type":
            return values.astype(np.int16)
        with np.errstate(invalid="ignore"):
            fitting = np.asarray(value).astype(values.dtype)
        values[... if how == "all" else (0,) * values.ndim] = fitting
        return values

    return change


def check_odd(folder: Path, odd: dict) -> None:
    attributes = {f"CoRegistrationParameter{key}": odd[key] for key in ("A1", "A2") if odd.get(key)}
    if odd.get("GranuleID"):
        attributes["GranuleID"] = odd["GranuleID"]
    change = {odd["array"][0]: spoil(*odd["array"][1:])} if "array" in odd else {}
    granule = Granule(
        smooth_field(),
        scans=5,
        samples=16,
        frequencies=("6.9", "89.0"),
        attributes=attributes,
        leave_out=[odd["leave"]] if "leave" in odd else [],
        change=change,
    )
    outcome(granule.write(folder / "odd.h5"))


@settings(max_examples=40, **QUIET)
@given(odd=ODD)
def test_odd_contents_give_a_product_or_a_sentence(tmp_path, odd):
    check_odd(tmp_path, odd)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=6000, **QUIET)
@given(odd=ODD)
def test_thousands_of_odd_contents_give_a_product_or_a_sentence(tmp_path, odd):
    check_odd(tmp_path, odd)


@settings(max_examples=60, **QUIET)
@given(head=st.binary(max_size=200))
def test_anything_behind_the_signature_is_a_sentence(head):
    for signature in (
        b"\x89HDF\r\n\x1a\n",
        b"CDF\x01",
        b"CDF\x02",
        b"CDF\x05",
        b"PK\x03\x04",
        b"\x1f\x8b",
        b"",
    ):
        path = virtual("any", signature + head)
        assert outcome(path) == "sentence"
        gdal.Unlink(path)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory) -> tuple[bytes, int, int]:
    """Return a granule as bytes, and where a compressed array of noise lies in it."""
    values = np.random.default_rng(0).integers(10000, 30000, (40, 40)).astype(np.uint16)
    granule = Granule(smooth_field(), scans=40, samples=80, change={LOW_6: lambda _: values})
    content = Path(granule.write(tmp_path_factory.mktemp("compressed") / "g.h5")).read_bytes()
    # GDAL lets HDF5 put all low bytes before all high ones.
    shuffled = values.view(np.uint8).reshape(-1, 2).T.tobytes()
    for start in range(len(content)):
        stream = zlib.decompressobj()
        try:
            if content[start] == 0x78 and stream.decompress(content[start:]) == shuffled:
                return content, start, len(content) - start - len(stream.unused_data)
        except zlib.error:
            continue
    raise AssertionError("the compressed array was not found")


def test_a_damaged_compressed_block_is_a_sentence(compressed, tmp_path):
    content, start, _ = compressed
    path = tmp_path / "damaged.h5"
    path.write_bytes(content[: start + 100] + bytes(40) + content[start + 140 :])
    with pytest.raises(FloeLensError, match=r"cannot be read.*6\.9GHz,H"):
        open_amsr2([str(path)], OPTIONS, SCENE, None)


@settings(max_examples=60, **QUIET)
@given(share=st.floats(0, 1), change=st.binary(min_size=1, max_size=40))
def test_other_bytes_in_an_array_give_a_product_or_a_sentence(compressed, share, change):
    content, start, length = compressed
    place = start + int(share * (length - len(change)))
    path = virtual("bytes.h5", content[:place] + change + content[place + len(change) :])
    outcome(path)
    gdal.Unlink(path)


def test_an_array_of_unbelievable_size_is_not_allocated(tmp_path):
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(tmp_path / "huge.h5"))
    root = dataset.GetRootGroup()
    sizes = [root.CreateDimension(name, None, None, 200_000) for name in "ab"]
    array = root.CreateMDArray(
        "btemp_6.9h", sizes, gdal.ExtendedDataType.Create(gdal.GDT_Float64), ["COMPRESS=DEFLATE"]
    )
    array = root = dataset = None
    sizes.clear()
    assert array is None
    with (
        Container(str(tmp_path / "huge.h5")) as container,
        pytest.raises(SceneError, match="which no AMSR2 file has"),
    ):
        container.read("btemp_6.9h")


def test_a_file_of_texts_only_is_a_sentence(tmp_path):
    write_hdf5(tmp_path / "text.h5", {}, {"title": "AMSR2"})
    assert outcome(str(tmp_path / "text.h5")) == "sentence"
