"""Zips are judged alike whatever they are said to hold, and files are read wherever they lie."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.files import sources
from floelens.plugin.io.files.sources import (
    VirtualFile,
    array_files,
    head,
    judged,
    leads_out,
    member_path,
    open_zip,
)
from floelens.plugin.io.formats.amsr2 import open_amsr2
from floelens.plugin.io.formats.chart import open_chart
from floelens.plugin.io.formats.netcdf import open_netcdf
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.products import open_product
from floelens.plugin.io.formats.sentinel1 import open_sentinel1

OPTIONS = ImportOptions()
READERS = {
    "any": lambda path: open_product(path, OPTIONS),
    "netcdf": lambda path: open_netcdf(path, OPTIONS),
    "sentinel1": lambda path: open_sentinel1(path, OPTIONS),
    "amsr2": lambda path: open_amsr2([path], OPTIONS, None, None),
    "chart": lambda path: open_chart(path, OPTIONS),
}
NAMES = ("scene.nc", "S1A.SAFE/manifest.safe", "granule.h5", "chart.shp")


def bad_zip(path: Path, kind: str) -> str:
    """Write a zip with a file of each format's name, and with what no reader may touch."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(name, "nothing")
        if kind == "traversal":
            archive.writestr("a/../../evil.nc", "x")
        elif kind == "bomb":
            archive.writestr("bomb.xml", bytes(17 << 20))
    if kind == "password":
        data = bytearray(path.read_bytes())
        data[data.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(data)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    return str(path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("traversal", r"would lie outside of it \('a/../../evil.nc'\)"),
        ("bomb", r"'bomb.xml', which grows from \d+ to 17825792 bytes: a zip bomb"),
        ("password", "locked with a password"),
        ("cut", "is a damaged or truncated zip"),
    ],
)
def test_a_bad_zip_gets_one_sentence_whoever_reads_it(tmp_path, reader, kind, sentence):
    path = bad_zip(tmp_path / "delivery.zip", kind)
    with pytest.raises(SceneError, match=sentence):
        READERS[reader](path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["delivery.zip"]


@pytest.mark.parametrize(
    ("name", "out"),
    [("a/b.nc", False), ("a..b/..c", False), ("../a", True), ("a/..", True), ("/a", True), ("\\a", True),
     ("C:a", True), ("a\\..\\b", True), ("a\nb", True)],
)  # fmt: skip
def test_names_that_lead_out(name, out):
    assert leads_out(name) is out


def test_a_zip_of_too_many_files_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}", "x")
    with open_zip(str(tmp_path / "a.zip")) as archive:
        assert len(judged(archive, "a.zip", 4)) == 4
        with pytest.raises(SceneError, match="holds 4 files, more than belong to one product"):
            judged(archive, "a.zip", 3)


def test_images_may_be_packed_tightly(tmp_path):
    """A measurement over open water is nearly all of one value; its size is compared with the annotation."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("measurement.tiff", bytes(sources._LARGE_MEMBER + 1))
    with open_zip(str(tmp_path / "a.zip")) as archive:
        assert len(judged(archive, "a.zip")) == 1


def test_array_files_are_found_by_their_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.anything", sources.HDF5_SIGNATURE + b"x")
        archive.writestr("two.nc", "no NetCDF")
        archive.writestr("deep/three", b"CDF\x01 and so on")
    path = str(tmp_path / "a.zip")
    expected = [f"/vsizip/{{{path}}}/{name}" for name in ("one.anything", "deep/three")]
    assert array_files(path) == expected == array_files(f"/vsizip/{path}")
    assert array_files(expected[0]) == [expected[0]]
    assert head(expected[1]) == b"CDF\x01 and so on"
    assert array_files(str(tmp_path / "missing")) == [] == array_files(str(tmp_path))


def test_a_virtual_file_is_read_like_any_other(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    with VirtualFile(str(tmp_path / "a")) as file:
        assert file.size == 100
        assert file.seek(-10, 2) == 90
        assert file.read(3) == b"\x5a\x5b\x5c"
        assert file.seek(-3, 1) == 90
        assert len(file.read()) == 10
        with pytest.raises(OSError, match="before the beginning"):
            file.seek(-1)
    for path in ("missing", ""):
        with pytest.raises(OSError, match=r"no such file|it is a folder"):
            VirtualFile(str(tmp_path / path))


PLACES = (
    "a}b/x.zip",
    "a{b/x.zip",
    "a{}b/x.zip",
    "}{/x}.zip",
    "a}b/x.imz",
    "a{}b/x.imz",
    "{x}/without extension",
)


@pytest.mark.parametrize("place", PLACES)
def test_a_zip_is_read_whatever_braces_are_in_its_path(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in{/}file", "content")
    assert head(member_path(str(path), "in{/}file")) == b"content"


def test_a_zip_that_gdal_has_no_name_for_is_told(tmp_path):
    with pytest.raises(SceneError, match=r"brace without its other half. Rename it"):
        member_path(str(tmp_path / "a}b"), "file")


@pytest.mark.parametrize(
    ("method", "packing"), [(9, "Deflate64"), (12, "BZIP2"), (14, "LZMA"), (7, "method 7")]
)
@pytest.mark.parametrize("reader", READERS)
def test_a_packing_that_is_not_read_is_named(tmp_path, reader, method, packing):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(name, "nothing")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset : at + offset + 2] = method.to_bytes(2, "little")
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    with pytest.raises(SceneError, match=rf"holds '[^']+' packed by {packing}.*Unpack it") as error:
        READERS[reader](str(path))
    assert "again" not in str(error.value)


def test_a_text_beside_the_data_may_be_packed_in_any_way(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("read.me"), "text", compress_type=zipfile.ZIP_LZMA)
        archive.writestr("data.nc", "data")
    with open_zip(str(tmp_path / "a.zip")) as archive:
        assert len(judged(archive, "a.zip")) == 2


def test_names_with_backslashes_are_read_as_gdal_names_them(tmp_path):
    path = str(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder\\data.h5", sources.HDF5_SIGNATURE + b"x")
    assert array_files(path) == [f"/vsizip/{{{path}}}/folder/data.h5"]
    assert head(array_files(path)[0]).startswith(sources.HDF5_SIGNATURE)
