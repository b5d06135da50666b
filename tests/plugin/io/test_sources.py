"""Zips are judged alike whatever they are said to hold, and files are read wherever they lie."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from floelens.plugin.core.errors import SceneError
from floelens.plugin.io import sources
from floelens.plugin.io.amsr2 import open_amsr2
from floelens.plugin.io.chart import open_chart
from floelens.plugin.io.netcdf import open_netcdf
from floelens.plugin.io.product import ImportOptions
from floelens.plugin.io.products import open_product
from floelens.plugin.io.sentinel1 import open_sentinel1
from floelens.plugin.io.sources import VirtualFile, array_files, head, judged, leads_out, open_zip

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


def test_a_zip_of_too_many_files_is_refused(tmp_path, monkeypatch):
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
