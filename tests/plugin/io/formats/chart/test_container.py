"""Zips that are not what they seem are refused, each in a sentence, and nothing is unpacked."""

from __future__ import annotations

import struct
import zipfile

import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.chart import container, open_chart, recognises
from floelens.tests.plugin.io.formats.chart.files import write_chart, write_zip


@pytest.fixture
def shapefile(tmp_path):
    return write_chart(tmp_path / "chart.shp")


def test_a_zip_is_read_and_nothing_is_unpacked(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.imz", shapefile)
    before = sorted(tmp_path.iterdir())
    open_chart(path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["../evil.shp", "/etc/evil.txt", "a/../../evil", "..\\evil.dbf", "C:\\evil.prj"]
)
def test_a_zip_that_reaches_out_of_itself_is_refused(tmp_path, shapefile, name):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    assert recognises(path)
    with pytest.raises(SceneError, match="would lie outside of it"):
        open_chart(path)


def test_two_dots_in_a_name_are_no_way_out(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile, "weekly..chart/")
    assert open_chart(path).found["polygons"]


def test_a_zip_of_very_many_files_is_refused(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(container.MAX_ENTRIES):
            archive.writestr(f"{number}", b"")
    with pytest.raises(SceneError, match="holds 1004 files"):
        open_chart(path)


def test_a_zip_bomb_is_refused(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("chart.sbn", bytes(20 << 20))
    assert path.stat().st_size < 100_000
    with pytest.raises(SceneError, match=r"grows from \d+ to 20971520 bytes: a zip bomb"):
        open_chart(path)


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path, shapefile, monkeypatch):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    monkeypatch.setattr(container, "MAX_BYTES", 1000)
    with pytest.raises(SceneError, match="would unpack to"):
        open_chart(path)


def test_a_size_that_is_a_lie_is_noticed(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    data = bytearray(path.read_bytes())
    size = shapefile.stat().st_size
    # Both the local header and the directory say 100 bytes.
    true, lie = struct.pack("<I", size), struct.pack("<I", 100)
    assert data.count(true) >= 2
    path.write_bytes(bytes(data).replace(true, lie))
    with pytest.raises(SceneError, match="damaged"):
        open_chart(path)


def test_a_damaged_or_truncated_zip_is_a_sentence(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("chart.dbf").header_offset + 60
    for damaged in (whole[: len(whole) // 2], whole[:at] + bytes(9) + whole[at + 9 :], whole[:30]):
        path.write_bytes(damaged)
        with pytest.raises(SceneError, match="damaged or truncated zip"):
            open_chart(path)
    path.write_bytes(whole[: len(whole) // 2])
    assert recognises(path)  # so that the sentence is told


def test_a_zip_with_a_password_is_a_sentence(tmp_path, shapefile):
    path = write_zip(tmp_path / "chart.zip", shapefile)
    data = path.read_bytes()
    # Bit 0 of the flags, in the directory: they come eight bytes after its signature.
    at = data.index(b"PK\x01\x02") + 8
    path.write_bytes(data[:at] + b"\x01" + data[at + 1 :])
    with pytest.raises(SceneError, match="password"):
        open_chart(path)


def test_a_zip_without_a_chart_is_a_sentence(tmp_path):
    path = tmp_path / "chart.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "x")
    assert not recognises(path)
    with pytest.raises(SceneError, match="holds no ice chart"):
        open_chart(path)


def test_of_several_charts_in_a_zip_the_first_is_read_and_the_others_are_named(tmp_path, shapefile):
    path = write_zip(tmp_path / "charts.zip", shapefile)
    other = write_chart(tmp_path / "later.shp")
    with zipfile.ZipFile(path, "a") as archive:
        for part in tmp_path.glob("later.*"):
            archive.write(part, part.name)
    assert other.exists()
    assert any("later.shp" in sentence for sentence in open_chart(path).warnings)


@pytest.mark.parametrize("path", ["", "missing.shp", "/vsizip/missing.zip/a.shp"])
def test_a_missing_file_is_a_sentence(path):
    with pytest.raises(SceneError, match=r"There is no ice chart|is empty"):
        open_chart(path)


def test_a_folder_or_another_file_is_a_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(SceneError, match="it is a folder"):
        open_chart(tmp_path)
    with pytest.raises(SceneError, match="no ice chart that can be read"):
        open_chart(tmp_path / "notes.txt")


def test_a_zip_is_recognised_whatever_byte_follows_a_name_in_it(tmp_path, shapefile):
    """The usual zip programs write a time ("UT") there; without it come data, or the next entry ("PK")."""
    path = tmp_path / "chart.imz"
    with zipfile.ZipFile(path, "w") as archive:
        for part in sorted(shapefile.parent.glob(f"{shapefile.stem}.*")):
            member = zipfile.ZipInfo(part.name)
            member.extra = b"UT\x05\x00\x03" + bytes(4)
            archive.writestr(member, part.read_bytes())
    assert recognises(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chart.shp", b"abc")
    assert recognises(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("chart.shp.xml", b"<a/>")
    assert not recognises(path)
