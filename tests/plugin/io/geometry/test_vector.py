"""Polygons as values and as GeoPackages."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import OutputError, SceneError
from floelens.plugin.io.environment.crs import same_crs
from floelens.plugin.io.geometry.vector import Polygons, parts_of, polygon_wkb, read_polygons, write_polygons
from floelens.tests.plugin.io.rasters import LOCAL, NORTH
from osgeo import gdal, ogr

SQUARE = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0)])
FIELDS = {"name": ["north", None], "n": [3, 4], "z": [1.5, float("nan")], "large": [np.int64(2**40), 1]}


def squares():
    return [polygon_wkb([SQUARE, SQUARE / 4 + 1]), polygon_wkb([SQUARE + 10])]


@pytest.mark.parametrize("crs", [NORTH, LOCAL, "EPSG:4326"])
def test_polygons_and_fields_come_back(tmp_path, crs):
    path = tmp_path / "zones.gpkg"
    write_polygons(path, squares(), crs, FIELDS, layer="scores")
    found = read_polygons(path, "scores", "n")
    assert found.names == ("3", "4")
    assert same_crs(found.crs, crs)
    rings = [parts_of(wkb)[0][0] for wkb in found.wkb]
    np.testing.assert_array_equal(rings[0][0], SQUARE)
    np.testing.assert_array_equal(rings[0][1], SQUARE / 4 + 1)
    np.testing.assert_array_equal(rings[1][0], SQUARE + 10)
    layer = (dataset := ogr.Open(str(path))).GetLayer(0)
    first, second = layer.GetNextFeature(), layer.GetNextFeature()
    assert [first.GetField(name) for name in FIELDS] == ["north", 3, 1.5, 2**40]
    assert [second.GetField(name) for name in FIELDS] == [None, 4, None, 1]
    assert dataset.GetLayerCount() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["zones.gpkg"]


def test_the_same_polygons_give_the_same_bytes(tmp_path):
    for name in ("a.gpkg", "b.gpkg"):
        write_polygons(tmp_path / name, squares(), NORTH, FIELDS)
    assert (tmp_path / "a.gpkg").read_bytes() == (tmp_path / "b.gpkg").read_bytes()


def test_a_table_without_polygons_is_a_layer_all_the_same(tmp_path):
    write_polygons(tmp_path / "a.gpkg", [], NORTH, {"z": []})
    assert read_polygons(tmp_path / "a.gpkg").wkb == ()


@pytest.mark.parametrize("raising", [False, True])
def test_gdals_exception_mode_is_neither_changed_nor_needed(tmp_path, raising):
    before = [m.GetUseExceptions() for m in (gdal, ogr)]
    if raising:
        gdal.UseExceptions()
        ogr.UseExceptions()
    try:
        now = [m.GetUseExceptions() for m in (gdal, ogr)]
        write_polygons(tmp_path / "a.gpkg", squares(), NORTH, FIELDS)
        assert len(read_polygons(tmp_path / "a.gpkg").wkb) == 2
        with pytest.raises(SceneError):
            parts_of(b"\x01\x03\x00\x00\x00\x09")
        (tmp_path / "bad.gpkg").write_bytes(b"nonsense")
        with pytest.raises(SceneError, match=r"bad\.gpkg"):
            read_polygons(tmp_path / "bad.gpkg")
        assert [m.GetUseExceptions() for m in (gdal, ogr)] == now
    finally:
        for module, was in zip((ogr, gdal), before[::-1]):  # GDAL wants them undone last first
            if not was:
                module.DontUseExceptions()
    assert gdal.GetConfigOption("OGR_CURRENT_DATE") is None


def test_a_missing_folder_and_a_wrong_extension_are_sentences(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        write_polygons(tmp_path / "no" / "a.gpkg", squares(), NORTH, {})
    with pytest.raises(OutputError, match="GeoPackage"):
        write_polygons(tmp_path / "a.shp", squares(), NORTH, {})


def test_a_full_disk_leaves_no_geopackage(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of file sizes need POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(OutputError, match="disk has room"):
            write_polygons(tmp_path / "a.gpkg", squares() * 200, NORTH, {"n": list(range(400))})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_columns_of_another_length_are_a_mistake(tmp_path):
    with pytest.raises(ValueError, match="field 'n'"):
        write_polygons(tmp_path / "a.gpkg", squares(), NORTH, {"n": [1]})


@pytest.mark.parametrize(
    ("layer", "field", "why"), [("x", "", "no layer 'x'.*zones"), ("", "x", "no field 'x'.*name")]
)
def test_what_a_file_lacks_is_named(tmp_path, layer, field, why):
    write_polygons(tmp_path / "a.gpkg", squares(), NORTH, {"name": ["a", "b"]})
    with pytest.raises(SceneError, match=why):
        read_polygons(tmp_path / "a.gpkg", layer, field)
    with pytest.raises(SceneError, match="no file"):
        read_polygons(tmp_path / "gone.gpkg")


@pytest.mark.parametrize(
    ("wkt", "polygons", "points"),
    [
        ("POLYGON ((0 0, 4 0, 4 4, 0 0))", 1, 0),
        ("POLYGON Z ((0 0 1, 4 0 1, 4 4 1, 0 0 1))", 1, 0),
        ("POLYGON ZM ((0 0 1 2, 4 0 1 2, 4 4 1 2, 0 0 1 2))", 1, 0),
        ("MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0)), ((9 9, 4 9, 4 4, 9 9)))", 2, 0),
        ("CURVEPOLYGON (CIRCULARSTRING (0 0, 2 2, 4 0, 2 -2, 0 0))", 1, 0),
        ("POINT (3 4)", 0, 1),
        ("MULTIPOINT (3 4, 5 6)", 0, 2),
        ("GEOMETRYCOLLECTION (POINT (3 4), POLYGON ((0 0, 4 0, 4 4, 0 0)))", 1, 1),
        ("POLYGON EMPTY", 0, 0),
        ("POINT EMPTY", 0, 0),
    ],
)
def test_every_kind_of_polygon_and_point_is_read(wkt, polygons, points):
    wkb = bytes(ogr.CreateGeometryFromWkt(wkt).ExportToIsoWkb())
    found = parts_of(wkb)
    assert (len(found[0]), len(found[1])) == (polygons, points)


def test_big_endian_bytes_are_read():
    wkb = bytes(ogr.CreateGeometryFromWkt("POINT (3 4)").ExportToWkb(ogr.wkbXDR))
    assert parts_of(wkb)[1] == [(3.0, 4.0)]


def test_lines_are_refused():
    with pytest.raises(SceneError, match="lines"):
        parts_of(bytes(ogr.CreateGeometryFromWkt("LINESTRING (0 0, 1 1)").ExportToWkb()))


def test_a_point_is_its_longitude_and_latitude():
    point = Polygons.point(-39.0, 69.5)
    assert parts_of(point.wkb[0])[1] == [(-39.0, 69.5)]
    assert point.crs == "EPSG:4326"


def test_polygons_have_a_name_each_or_none_and_a_crs():
    with pytest.raises(ValueError, match="names"):
        Polygons((b"", b""), NORTH, ("one",))
    with pytest.raises(ValueError, match="coordinate"):
        Polygons((), "")
