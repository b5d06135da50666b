"""Every file that belongs to an input is known, however it is named, and no other file is."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.io.transaction.protected import ProtectedFiles, local_path
from osgeo import gdal, ogr


@pytest.fixture
def place(tmp_path):
    """Return a folder with a product, a mosaic of rasters, a shapefile, a zip, and files of nobody."""
    safe = tmp_path / "S1A.SAFE"
    for name in ("manifest.safe", "measurement/hh.tiff", "annotation/hh.xml", "annotation/calibration/n.xml"):
        (safe / name).parent.mkdir(parents=True, exist_ok=True)
        (safe / name).write_text(f"content of {name}")
    for name in ("a", "b", "c"):
        raster = gdal.GetDriverByName("GTiff").Create(str(tmp_path / f"{name}.tif"), 4, 4)
        raster.SetGeoTransform((0, 1, 0, 0, 0, -1))
        raster.GetRasterBand(1).WriteArray(np.ones((4, 4)))
        raster = None
    gdal.BuildVRT(
        str(tmp_path / "inner.vrt"), [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    ).FlushCache()
    (tmp_path / "outer.vrt").write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">inner.vrt</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    gdal.GetDriverByName("ENVI").Create(str(tmp_path / "scene.tif"), 4, 4).FlushCache()
    shapes = ogr.GetDriverByName("ESRI Shapefile").CreateDataSource(str(tmp_path / "zones.shp"))
    shapes.CreateLayer("zones", geom_type=ogr.wkbPolygon).CreateField(ogr.FieldDefn("name"))
    shapes = None
    with zipfile.ZipFile(tmp_path / "packed}.tif", "w") as archive:
        archive.writestr("x/manifest.safe", "content")
    (tmp_path / "a.tif.ovr").write_text("overviews")
    (tmp_path / "nobody.tif").write_text("of nobody")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("S1A.SAFE/manifest.safe", "S1A.SAFE/measurement/hh.tiff"),
        ("S1A.SAFE", "S1A.SAFE/annotation/calibration/n.xml"),
        ("S1A.SAFE/measurement/hh.tiff", "S1A.SAFE/annotation/hh.xml"),
        (".", "S1A.SAFE/measurement/hh.tiff"),
        ("a.tif", "a.tif"),
        ("a.tif", "a.tif.ovr"),
        ("a.tif?bands=1", "a.tif"),
        ("vrt://{}/a.tif?bands=1", "a.tif"),
        ("GTIFF_DIR:1:{}/a.tif", "a.tif"),
        ('NETCDF:"{}/a.tif":x', "a.tif"),
        ("file://{}/a.tif?delimiter=,", "a.tif"),
        ("/vsisubfile/0_100,{}/a.tif", "a.tif"),
        ("/vsicached?chunk_size=1,{}/a.tif", None),
        ("outer.vrt", "inner.vrt"),
        ("outer.vrt", "a.tif"),
        ("inner.vrt", "b.tif"),
        ("scene.hdr", "scene.hdr"),
        ("scene.tif", "scene.hdr"),
        ("zones.shp", "zones.dbf"),
        ("zones.dbf", "zones.shp"),
        ("{}/zones.shp|layername=zones", "zones.shx"),
        ("/vsizip/{{{}/packed}}.tif}}/x/manifest.safe", "packed}.tif"),
        ("model", "model/card.json"),
    ],
)
def test_what_belongs_to_a_source_is_known(place, monkeypatch, source, file):
    monkeypatch.chdir(place)
    protected = ProtectedFiles()
    protected.add(source.format(place) if "{}" in source else source)
    if file is not None:
        assert protected.owner(place / file) is not None
    assert protected.owner(place / "nobody.tif") is None
    assert protected.owner(place / "not_there.tif") is None


def test_links_and_other_spellings_are_the_same_file(place):
    hidden = place / "elsewhere"
    hidden.mkdir()
    os.link(place / "S1A.SAFE" / "measurement" / "hh.tiff", hidden / "hard.tif")
    (hidden / "soft.tif").symlink_to(place / "S1A.SAFE" / "measurement" / "hh.tiff")
    (hidden / "folder").symlink_to(place / "S1A.SAFE" / "measurement")
    protected = ProtectedFiles()
    protected.add(str(place / "S1A.SAFE" / "manifest.safe"))
    for name in ("hard.tif", "soft.tif", "folder/hh.tiff", "../elsewhere/./folder/hh.tiff"):
        assert protected.owner(hidden / name) is not None, name


def test_a_product_read_through_a_link_is_protected_where_it_lies(place):
    (place / "link").symlink_to(place / "S1A.SAFE" / "manifest.safe")
    protected = ProtectedFiles()
    protected.add(str(place / "link"))
    assert protected.owner(place / "S1A.SAFE" / "measurement" / "hh.tiff") is not None


def test_a_manifest_of_another_name_protects_what_it_names(place):
    folder = place / "renamed"
    shutil.copytree(place / "S1A.SAFE" / "measurement", folder / "m")
    (folder / "xfdu.xml").write_text('<xfdu:XFDU><fileLocation href="./m/hh.tiff"/></xfdu:XFDU>')
    (folder / "result.tif").write_text("of an earlier run")
    protected = ProtectedFiles()
    protected.add(str(folder / "xfdu.xml"))
    assert protected.owner(folder / "m" / "hh.tiff") is not None
    assert protected.owner(folder / "result.tif") is None


def test_results_beside_an_input_stay_free(place):
    for name in ("a_relevance.tif", "a.html", "a-relevance.tif", "a.csv"):
        (place / name).write_text("of an earlier run")
    protected = ProtectedFiles()
    protected.add(str(place / "a.tif"))
    for name in ("a_relevance.tif", "a.html", "a-relevance.tif", "a.csv", "b.tif"):
        assert protected.owner(place / name) is None, name


@pytest.mark.parametrize(
    "content",
    [
        "<SourceFilename><![CDATA[c.tif]]></SourceFilename>",
        '<SourceFilename relativeToVRT="1">vrt://c.tif?bands=1</SourceFilename>',
        "<!-- " + "much " * 500 + "--><SourceFilename>\n c.tif\n</SourceFilename>",
        '<SourceDataset relativeToVRT="1">c.tif</SourceDataset>',
    ],
)
def test_a_mosaic_protects_its_sources_however_it_names_them(place, content):
    before = "<!-- made by hand -->" * 200
    (place / "mosaic.vrt").write_text(f"{before}<VRTDataset>{content}</VRTDataset>")
    protected = ProtectedFiles()
    protected.add(str(place / "mosaic.vrt"))
    assert protected.owner(place / "c.tif") is not None


def test_a_mosaic_of_itself_and_a_pipe_come_to_an_end(place):
    (place / "loop.vrt").write_text("<VRTDataset><SourceFilename>loop.vrt</SourceFilename></VRTDataset>")
    os.mkfifo(place / "pipe.tif")
    protected = ProtectedFiles()
    for name in (
        "loop.vrt",
        "pipe.tif",
        "nothing.tif",
        "",
        "a\0b",
        "/vsistdin/",
        "/vsicurl/http://a.b/c.tif",
    ):
        protected.add(str(place / name) if "vsi" not in name and name else name)
    assert protected.owner(place / "loop.vrt") is not None


def test_the_file_of_a_source_is_found(place):
    assert local_path("memory") is None
    assert local_path(f"{place}/a.tif/") == f"{place}/a.tif"
    assert Path(local_path(f'HDF5:"{place}/a.tif"://x/y')) == place / "a.tif"
