"""A product is known by its content and read from wherever it lies; nothing outside of it is touched."""

from __future__ import annotations

import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1, recognises
from floelens.plugin.io.formats.sentinel1.store import XML_LIMIT, inside, open_store
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe, zip_safe


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_safe(tmp_path_factory.mktemp("safe"), rows=60, cols=80)


def test_a_product_is_recognised_in_every_guise(manifest, tmp_path):
    packed = zip_safe(manifest, tmp_path / "2019 ice.zip")
    nameless = zip_safe(manifest, tmp_path / "download(1)")
    renamed = tmp_path / "copy.SAFE"
    shutil.copytree(manifest.parent, renamed)
    (renamed / "manifest.safe").rename(renamed / "manifest (1).xml")
    guises = [
        manifest,
        manifest.parent,
        f"{manifest.parent}/",
        manifest.parent.parent,
        packed,
        nameless,
        f"/vsizip/{packed}",
        f"/vsizip/{{{nameless}}}/{manifest.parent.name}",
        f"/vsizip/{packed}/{manifest.parent.name}/manifest.safe",
        renamed / "manifest (1).xml",
    ]
    for path in guises:
        assert recognises(str(path)), path
        with open_sentinel1(str(path), ImportOptions()) as product:
            assert product.name in (manifest.parent.stem, "copy")
            raster = product.rasters["sar"]
            assert raster.read(raster.grid.window).shape == (3, 60, 80)


def test_a_zip_inside_of_a_zip_is_read(manifest, tmp_path):
    inner = zip_safe(manifest, tmp_path / "inner.zip")
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as archive:
        archive.write(inner, "inner.zip")
    path = f"/vsizip/{outer}/inner.zip"
    assert recognises(path)
    with open_sentinel1(path, ImportOptions()) as product:
        raster = product.rasters["sar"]
        assert raster.read(raster.grid.window).shape == (3, 60, 80)


def test_other_files_are_not_recognised(manifest, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text.txt").write_text("sentinel-1")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    with zipfile.ZipFile(tmp_path / "chart.zip", "w") as archive:
        archive.writestr("chart.shp", b"x")
    other = tmp_path / "S2A.SAFE"
    other.mkdir()
    (other / "manifest.safe").write_text('<xfdu:XFDU xmlns:safe="http://www.esa.int/safe/sentinel/1.1"/>')
    tiff = next((manifest.parent / "measurement").iterdir())
    for path in (
        *tmp_path.iterdir(),
        tmp_path,
        tiff,
        "",
        "/vsistdin/",
        "/nowhere/at all",
        "a\0b",
        "NETCDF:x:y",
    ):
        assert recognises(str(path)) is False, path


@pytest.mark.parametrize(
    "name",
    [
        "../x.tiff",
        "a/../../x",
        "/etc/passwd",
        "C:/x",
        "a\\..\\b",
        "http://x/y",
        "",
        "a\nb",
        "./../x",
        "/vsicurl/http",
    ],
)
def test_a_name_that_leads_out_of_the_product_is_refused(name):
    with pytest.raises(SceneError, match="outside of the product"):
        inside(name, "product.zip")


def test_a_manifest_that_points_outside_is_refused(manifest, tmp_path):
    text = manifest.read_text()
    for target in ("../../../etc/passwd", "/etc/passwd", "/vsicurl/http://example.com/x.tiff"):
        copy = tmp_path / f"{len(target)}.SAFE"
        shutil.copytree(manifest.parent, copy)
        (copy / "manifest.safe").write_text(text.replace("./measurement/", f"{target}?", 1))
        with pytest.raises(SceneError, match="outside of the product"):
            open_sentinel1(str(copy), ImportOptions())


def test_a_zip_with_path_traversal_is_refused(manifest, tmp_path):
    packed = zip_safe(manifest, tmp_path / "evil.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../../evil.sh", b"boo")
    assert recognises(str(packed))  # so that the sentence is told, and not that the format is unknown
    with pytest.raises(SceneError, match=r"would lie outside of it \('../../evil.sh'\)"):
        open_store(str(packed))


def test_a_zip_bomb_is_refused(manifest, tmp_path):
    packed = zip_safe(manifest, tmp_path / "bomb.zip")
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{manifest.parent.name}/annotation/more.xml", bytes(20 << 20))
    with pytest.raises(SceneError, match="zip bomb"):
        open_store(str(packed))


def test_a_zip_that_declares_an_absurd_size_is_refused(manifest, tmp_path):
    packed = zip_safe(manifest, tmp_path / "liar.zip", zipfile.ZIP_STORED)
    data = bytearray(packed.read_bytes())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 0xF0000000)  # the uncompressed size in the directory
    packed.write_bytes(data)
    with pytest.raises(SceneError, match="zip bomb"):
        open_store(str(packed))


def test_an_xml_file_that_is_too_large_is_refused(manifest, tmp_path):
    copy = tmp_path / "large.SAFE"
    shutil.copytree(manifest.parent, copy)
    with Path(next((copy / "annotation").glob("*.xml"))).open("ab") as file:
        file.truncate(XML_LIMIT + 1)
    with pytest.raises(SceneError, match="more than any of its kind"):
        open_sentinel1(str(copy), ImportOptions())


def test_a_zip_of_two_products_asks_for_one(manifest, tmp_path):
    packed = zip_safe(manifest, tmp_path / "two.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.write(manifest, "other.SAFE/manifest.safe")
    with pytest.raises(SceneError, match="holds 2 products"):
        open_store(str(packed))


def test_what_is_no_product_gets_a_sentence(tmp_path):
    (tmp_path / "text.txt").write_text("nothing")
    for path in (tmp_path / "text.txt", tmp_path / "missing", tmp_path):
        with pytest.raises(SceneError, match="is no Sentinel-1 product"):
            open_sentinel1(str(path), ImportOptions())
    with pytest.raises(SceneError, match="empty"):
        open_sentinel1("", ImportOptions())
