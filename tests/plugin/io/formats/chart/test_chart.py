"""Ice charts in every format, mended, decoded and named."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.chart import open_chart, recognises
from floelens.plugin.io.formats.chart.chart import parse_time
from floelens.plugin.io.formats.chart.crossings import crossings
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.vector import write_polygons
from floelens.tests.plugin.io.formats.chart.files import (
    BOXES,
    EXPECTED,
    FIELDS,
    polygon,
    write_chart,
    write_scene,
    write_zip,
)
from osgeo import ogr

SQUARE = [(10, 75), (11, 75), (11, 76), (10, 76), (10, 75)]
BOW_TIE = [(10, 75), (11, 76), (11, 75), (10, 76), (10, 75)]
ICE = {"CT": "92", "SA": "95", "FA": "5"}


@pytest.fixture
def shapefile(tmp_path):
    return write_chart(tmp_path / "201504261200_Box_WA.shp")


def decoded(product):
    fields = product.polygons.fields
    names = ("concentration_percent", "stage_of_development", "floe_size")
    return list(zip(*(fields[name] for name in names)))


def source(tmp_path, kind):
    if kind == "shapefile":
        return write_chart(tmp_path / "chart.shp")
    if kind == "GeoJSON":
        return write_chart(tmp_path / "chart.geojson", driver="GeoJSON")
    if kind == "GeoPackage":
        return write_chart(tmp_path / "chart.gpkg", driver="GPKG")
    shapefile = write_chart(tmp_path / "inside.shp")
    if kind == "zip with a folder":
        return write_zip(tmp_path / "chart.zip", shapefile, "chart/")
    return write_zip(tmp_path / f"chart.{kind}", shapefile)


KINDS = ["shapefile", "GeoJSON", "GeoPackage", "zip", "imz", "zip with a folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_chart(tmp_path, kind):
    path = source(tmp_path, kind)
    assert recognises(path)
    with open_chart(path) as product:
        truth = open_chart(write_chart(tmp_path / "truth.shp"))
        assert decoded(product) == decoded(truth)
        assert [product.polygons.fields[name] for name in FIELDS] == [
            truth.polygons.fields[name] for name in FIELDS
        ]
        shapes = [ogr.CreateGeometryFromWkb(wkb) for wkb in product.polygons.wkb]
        for one, two in zip(shapes, (ogr.CreateGeometryFromWkb(wkb) for wkb in truth.polygons.wkb)):
            assert one.SymDifference(two).GetArea() < 1e-9
        assert product.name == path.stem
        assert product.found["polygons"] == len(BOXES)


def test_the_name_of_a_file_does_not_matter(tmp_path, shapefile):
    zipped = write_zip(tmp_path / "a.zip", shapefile)
    named = zipped.rename(tmp_path / "chart.nc")
    assert recognises(named)
    assert open_chart(named).found["polygons"] == len(BOXES)


def test_a_chart_may_lie_under_a_virtual_file_system(tmp_path, shapefile):
    zipped = write_zip(tmp_path / "chart.zip", shapefile)
    for path in (f"/vsizip/{zipped}", f"/vsizip/{{{zipped}}}", f"/vsizip/{zipped}/{shapefile.name}"):
        assert recognises(path)
        assert open_chart(path).found["polygons"] == len(BOXES)


def test_what_is_no_chart_is_not_recognised(tmp_path):
    (tmp_path / "notes.shp").write_text("a text")
    (tmp_path / "item.json").write_text('{"type": "Feature"}')
    (tmp_path / "short.zip").write_bytes(b"PK\x03\x04")
    scene = write_scene(tmp_path / "scene.tif")
    other = tmp_path / "product.zip"
    import zipfile

    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.SAFE/manifest.safe", "")
        archive.writestr("a.SAFE/footprint.geojson", "{}")
    for path in (
        tmp_path,
        scene,
        other,
        tmp_path / "missing.shp",
        "",
        "\0",
        None,
        7,
        *tmp_path.glob("*.[sjz]*"),
    ):
        assert not recognises(path), path


def test_codes_are_decoded_and_kept(shapefile):
    fields = open_chart(shapefile).polygons.fields
    assert list(fields) == [*FIELDS, "concentration_percent", "stage_of_development", "floe_size"]
    assert fields["CT"] == ["-9", "92", "35", "90", "80", "01", "81", "-9", "99", "97", "60", "91"]
    assert fields["POLY_TYPE"] == [row.get("POLY_TYPE", "I") for row in BOXES]
    expected = [None if value > 100 else float(value) for value, _, _ in EXPECTED]
    assert fields["concentration_percent"] == expected
    assert fields["stage_of_development"][:4] == [
        "open water", "thick first-year ice", "thin first-year ice", "old ice",
    ]  # fmt: skip
    assert fields["floe_size"][2] == "small floes (20 to 100 m)"
    assert fields["stage_of_development"][4] is None


def test_unknown_codes_are_counted_and_told(shapefile):
    product = open_chart(shapefile)
    assert product.found["unknown_codes"] == {"CT=97": 1, "FA=33": 1, "SA=77": 1}
    assert any("CT=97 (1 x)" in sentence for sentence in product.warnings)


def test_the_dominant_share_is_a_choice(shapefile):
    def stage(share):
        product = open_chart(shapefile, ImportOptions(dominant_share=share))
        return product.polygons.fields["stage_of_development"][3]

    assert stage(65.0) == "old ice"
    assert stage(80.0) is None


def test_field_names_may_be_in_any_case(tmp_path):
    path = write_chart(tmp_path / "chart.geojson", fields=[name.lower() for name in FIELDS], driver="GeoJSON")
    assert decoded(open_chart(path)) == decoded(open_chart(write_chart(tmp_path / "chart.shp")))


def test_codes_may_be_numbers(tmp_path):
    path = write_chart(tmp_path / "chart.geojson", driver="GeoJSON")
    text = path.read_text()
    for code in ("92", "86", "35", "87", "3", "8"):
        text = text.replace(f'"{code}"', code)
    path.write_text(text)
    assert decoded(open_chart(path)) == decoded(open_chart(write_chart(tmp_path / "chart.shp")))


def test_fields_that_a_chart_does_not_have_count_as_not_given(tmp_path):
    path = write_chart(tmp_path / "chart.shp", fields=["CT", "SA"])
    product = open_chart(path)
    assert product.found["missing_fields"] == ["CA", "FA", "CB", "SB", "FB", "CC", "SC", "FC"]
    assert any("CA, FA" in sentence for sentence in product.warnings)
    # Without CA and SB the one stage has the whole concentration; without POLY_TYPE nothing is water.
    assert product.polygons.fields["stage_of_development"][3] == "old ice"
    assert product.polygons.fields["concentration_percent"][0] is None


@pytest.mark.parametrize("kind", ["shapefile", "zip", "GeoJSON"])
def test_a_chart_without_total_concentration_is_refused_in_a_sentence(tmp_path, kind):
    if kind == "GeoJSON":
        path = write_chart(tmp_path / "chart.geojson", fields=["SA", "name"], driver="GeoJSON")
    else:
        path = write_chart(tmp_path / "chart.shp", fields=["SA", "name"])
        path = write_zip(tmp_path / "chart.zip", path) if kind == "zip" else path
    assert recognises(path)
    with pytest.raises(SceneError, match=r"no field CT.*fields: SA"):
        open_chart(path)


def test_invalid_geometries_are_mended_and_told(tmp_path):
    path = write_chart(tmp_path / "chart.shp", [ICE, ICE], [polygon(BOW_TIE), polygon(SQUARE)])
    product = open_chart(path)
    assert product.found["mended_geometries"] == 1
    assert "1 of 2 polygons had an invalid geometry, which was mended." in product.warnings
    shapes = [ogr.CreateGeometryFromWkb(wkb) for wkb in product.polygons.wkb]
    assert all(shape.IsValid() for shape in shapes)
    # The two triangles of a bow tie hold half of its square.
    assert [shape.GetArea() for shape in shapes] == pytest.approx([0.5, 1.0])


def test_what_is_no_polygon_is_left_out_and_counted(tmp_path):
    line = ogr.CreateGeometryFromWkt("LINESTRING (10 75, 11 76)")
    flat = polygon([(10, 75), (11, 76), (10, 75), (10, 75)])
    far = polygon([(1000, 75), (1001, 75), (1001, 76), (1000, 75)])
    mixed = ogr.Geometry(ogr.wkbGeometryCollection)
    mixed.AddGeometry(polygon(SQUARE))
    mixed.AddGeometry(line)
    shapes = [line, polygon(SQUARE), flat, far, mixed, ogr.CreateGeometryFromWkt("POLYGON EMPTY")]
    path = write_chart(tmp_path / "chart.geojson", [ICE] * len(shapes), shapes, driver="GeoJSON")
    product = open_chart(path)
    assert len(product.polygons.wkb) == 2
    assert product.found["dropped_features"] == {
        "no polygon": 1,
        "a geometry that cannot be mended": 1,
        "coordinates that are no place on the Earth": 1,
        "no geometry": 1,
    }
    assert "Features left out for no polygon: 1." in product.warnings


def test_a_chart_of_lines_alone_is_refused(tmp_path):
    line = ogr.CreateGeometryFromWkt("LINESTRING (10 75, 11 76)")
    path = write_chart(tmp_path / "chart.geojson", [ICE], [line], driver="GeoJSON")
    with pytest.raises(SceneError, match="holds no polygons"):
        open_chart(path)


def test_a_chart_without_a_coordinate_system_is_refused(tmp_path):
    path = write_chart(tmp_path / "chart.shp", epsg=None)
    with pytest.raises(SceneError, match=r"no coordinate reference system.*\.prj"):
        open_chart(path)


def test_a_coordinate_system_without_a_way_to_the_globe_is_a_sentence(shapefile):
    shapefile.with_suffix(".prj").write_text('LOCAL_CS["here",UNIT["metre",1]]')
    with pytest.raises(SceneError, match="coordinate reference system of"):
        open_chart(shapefile)


@pytest.mark.parametrize("suffix", [".dbf", ".shx"])
def test_a_shapefile_with_a_part_missing_is_refused(shapefile, suffix):
    shapefile.with_suffix(suffix).unlink()
    with pytest.raises(SceneError, match=r"\.dbf"):
        open_chart(shapefile)


def test_fields_of_a_chart_go_into_a_geopackage_whatever_their_names(tmp_path):
    fields = [*FIELDS, "fid", "geom", "Floe_Size", "name"]
    rows = [{**row, "FID": "7", "GEOM": "x", "FLOE_SIZE": "x", "NAME": "x"} for row in BOXES]
    path = write_chart(tmp_path / "chart.geojson", rows, fields=fields, driver="GeoJSON")
    polygons = open_chart(path).polygons
    write_polygons(tmp_path / "out.gpkg", polygons.wkb, polygons.crs, polygons.fields, "ice_chart")
    layer = (dataset := ogr.Open(str(tmp_path / "out.gpkg"))).GetLayer(0)
    names = [field.GetName() for field in layer.schema]
    assert {"CT", "POLY_TYPE", "CHART_FID", "CHART_GEOM", "floe_size"} <= set(names)
    feature = layer.GetFeature(3)
    assert (feature["CT"], feature["concentration_percent"]) == ("35", 40.0)
    assert feature["stage_of_development"] == "thin first-year ice"
    del feature, layer, dataset


def test_text_that_is_not_utf_8_is_read(tmp_path):
    path = write_chart(tmp_path / "chart.shp", [{**ICE, "CF": "Scoresby Sund"}], [polygon(SQUARE)])
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace(b"Scoresby Sund", b"K\xf8benhavn\x01\x02\xff "))
    path.with_suffix(".cpg").unlink(missing_ok=True)
    assert "benhavn" in open_chart(path).polygons.fields["CF"][0]


def test_messages_of_gdal_that_are_not_utf_8_do_no_harm(tmp_path):
    path = write_chart(tmp_path / "chart.geojson", driver="GeoJSON")
    path.write_bytes(path.read_bytes()[:-40] + b'"\xff\xfe\xfa": }')
    with pytest.raises(SceneError, match="cannot be read as GeoJSON"):
        open_chart(path)


def test_time_and_name_come_from_the_file(shapefile, tmp_path):
    product = open_chart(shapefile)
    assert product.name == "201504261200_Box_WA"
    assert product.time == datetime(2015, 4, 26, 12, tzinfo=timezone.utc)
    inside = open_chart(write_zip(tmp_path / "latest.zip", shapefile))
    assert (inside.name, inside.time) == (product.name, product.time)


def test_time_comes_from_a_field_where_the_name_has_none(tmp_path):
    path = write_chart(
        tmp_path / "chart.shp",
        [{**ICE, "DATE": "2020/02/29 18:30"}],
        [polygon(SQUARE)],
        fields=[*FIELDS, "DATE"],
    )
    assert open_chart(path).time == datetime(2020, 2, 29, 18, 30, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cis_SGRDREA_20150420T1800Z_pl_a", datetime(2015, 4, 20, 18)),
        ("nic_arctic_20190105_pl_a", datetime(2019, 1, 5)),
        ("20210304T071201_dmi", datetime(2021, 3, 4, 7, 12, 1)),
        ("2020-02-29 18:30:05", datetime(2020, 2, 29, 18, 30, 5)),
        ("20159999_20150101", datetime(2015, 1, 1)),
        ("chart 123456789012345", None),
        ("chart", None),
    ],
)  # fmt: skip
def test_times_as_agencies_write_them(text, expected):
    assert parse_time(text) == (expected and expected.replace(tzinfo=timezone.utc))


def test_without_a_scene_there_are_only_polygons_and_that_is_told(shapefile):
    product = open_chart(shapefile)
    assert product.rasters == {}
    assert any("polygons only" in sentence for sentence in product.warnings)


def test_crossings_are_counted_pair_by_pair():
    star = [
        (np.cos(a), np.sin(a)) for a in 4 * np.pi * np.arange(6) / 5
    ]  # a pentagram crosses itself five times
    assert crossings([np.array(star)]) == 5
    assert crossings([np.array(SQUARE, float)]) == 0
    squares = [np.array(SQUARE, float) + (shift, shift) for shift in (0, 0.5)]
    assert crossings(squares) == 2
    # Two thousand vertices up and down across a line: a sample of the pairs tells within a tenth.
    teeth = [(x, (-1) ** x) for x in range(2000)]
    comb = np.array([(0, 0), *teeth, (2000, 0), (0, 0.0)])
    assert crossings([comb]) == pytest.approx(2000, rel=0.1)


def test_a_polygon_that_crosses_itself_thousands_of_times_stays_as_drawn(tmp_path):
    """GEOS takes minutes to mend it; beside it a bow-tie is mended as ever, and a second later all is read."""
    scribble = np.random.default_rng(4).uniform((10, 75), (11, 76), (400, 2)).tolist()
    path = write_chart(tmp_path / "chart.geojson", [ICE, ICE], [polygon([*scribble, scribble[0]]), polygon(BOW_TIE)],
                       driver="GeoJSON")  # fmt: skip
    start = time.process_time()
    product = open_chart(path)
    assert time.process_time() - start < 5
    assert product.found["mended_geometries"] == product.found["geometries_as_drawn"] == 1
    assert any("1 of 2 polygons cross themselves too often to be mended" in told for told in product.warnings)
    shape = ogr.CreateGeometryFromWkb(product.polygons.wkb[0])
    assert shape.GetEnvelope() == pytest.approx((10, 11, 75, 76), abs=0.02)


def test_the_chart_of_greenland(real_data):
    path = real_data / "dmi-ice-chart-sigrid3" / "201504261200_Greenland_WA.imz"
    assert recognises(path)
    product = open_chart(path)
    assert (product.name, product.time) == (
        "201504261200_Greenland_WA",
        datetime(2015, 4, 26, 12, tzinfo=timezone.utc),
    )
    assert product.found["polygons"] == 74
    assert product.found["interval_concentrations"] == 25
    assert product.found["mended_geometries"] == 2
    assert product.found["unknown_codes"] == {}
    # Two ice polygons have no concentration; fast ice is the one stage that is given alone.
    assert product.found["without_concentration"] == 2
    fields = product.polygons.fields
    assert set(fields["CA"]) == {"-9"}
    midpoints = {
        "12": 15,
        "13": 20,
        "24": 30,
        "35": 40,
        "45": 45,
        "46": 50,
        "57": 60,
        "67": 65,
        "68": 70,
        "79": 80,
        "89": 85,
    }
    for code, percent in zip(fields["CT"], fields["concentration_percent"]):
        if code in midpoints:
            assert percent == midpoints[code]
    assert {c for c in fields["CT"] if c in midpoints} <= set(midpoints)
    assert sum(code in midpoints for code in fields["CT"]) == 25
