"""Nothing is fetched that a person has not named, and nothing in a file is run, however it is asked for."""

from __future__ import annotations

import ast
import contextlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.gdal_state import offline_gdal, quiet_gdal
from floelens.plugin.io.files import opening, virtual
from floelens.plugin.io.files.drivers import is_remote, split_source
from floelens.plugin.io.files.opening import check_file, raster_drivers
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.formats.chart import open_chart
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.vector import read_polygons
from floelens.tests.plugin.io.hostile import (
    COLS,
    ROWS,
    bad_json,
    bad_sidecars,
    bad_virtual,
    plain,
    vrt,
    write_services,
)
from floelens.tests.plugin.io.listener import Listener, listening
from osgeo import gdal

WHOLE = Window(0, 0, ROWS, COLS)
BAD_VIRTUAL = sorted(
    bad for bad in (
        "vsicurl", "vsicurl in a zip", "streamed", "bucket", "http", "entities", "literal", "subdataset", "connection",
        "protocol", "server share", "text in text", "service", "nested", "mask", "overview", "overview in metadata",
        "reference system", "warped", "warped reference system", "python", "python by another name", "multidimensional",
        "without end", "missing", "damaged",
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def listener(tmp_path_factory) -> Listener:
    """Return a server on this machine that counts who calls."""
    with listening(tmp_path_factory.mktemp("listener")) as found:
        yield found


def read_all(path) -> np.ndarray:
    """Return all values of a raster."""
    with open_raster(path) as raster:
        return raster.read(list(range(1, raster.count + 1)), WHOLE)


def sentence(error: pytest.ExceptionInfo) -> str:
    """Return the text of an error, which has to be one short sentence or a few."""
    text = str(error.value)
    assert len(text) < 500, text
    return text


def opened_by_gdal(path):
    """Return a dataset, or None; QGIS from 3.40 on switches GDAL's exceptions on."""
    with contextlib.suppress(RuntimeError):
        return gdal.OpenEx(str(path), gdal.OF_RASTER | gdal.OF_VECTOR)
    return None


def test_the_listener_hears_gdal_where_nobody_shuts_the_network(tmp_path, listener):
    before = len(listener.requests)
    with quiet_gdal():
        for path in write_services(tmp_path, listener.url)[:4]:
            assert opened_by_gdal(path) is None or "tms" in path.name or "wms" in path.name
        opened_by_gdal(bad_json(tmp_path, listener.url)[0])
    assert len(listener.requests) >= before + 3


def test_descriptions_of_services_are_refused_whatever_their_name(tmp_path, listener):
    before = listener.requests
    for path in write_services(tmp_path, listener.url):
        for opens in (read_all, read_polygons, check_file):
            with pytest.raises(SceneError) as error:
                opens(str(path))
            assert path.name in sentence(error)
    assert listener.requests == before


@pytest.mark.parametrize("kind", BAD_VIRTUAL)
def test_virtual_rasters_of_remote_or_computed_pixels_are_refused(tmp_path, listener, monkeypatch, kind):
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    text, before = bad_virtual(tmp_path, listener.url)[kind], listener.requests
    path = tmp_path / "bad.vrt"
    path.write_text(text)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for entry in tmp_path.glob("*.*"):
            if entry.suffix != ".zip":
                archive.write(entry, f"d/{entry.name}")
    for source in (path, f"/vsizip/{tmp_path}/a.zip/d/bad.vrt"):
        for opens in (read_all, check_file):
            with pytest.raises(SceneError) as error:
                opens(os.fspath(source))
            assert "bad.vrt" in sentence(error)
    if kind not in (
        "without end",
        "missing",
        "nested",
        "service",
        "damaged",
    ):  # these are made of files beside them
        with pytest.raises(SceneError, match=r"[Vv]irtual raster"):
            read_all(text)
    assert listener.requests == before
    assert not (tmp_path / "ran").exists()


def test_virtual_rasters_of_files_on_this_machine_are_read(tmp_path, monkeypatch):
    values = plain(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "relative.vrt").write_text(
        "<?xml version='1.0'?>\n<!-- made by hand -->" + vrt("plain.tif", True)
    )
    (tmp_path / "absolute.vrt").write_text(vrt(str(tmp_path / "plain.tif")))
    (tmp_path / "working.vrt").write_text(vrt("plain.tif"))
    (tmp_path / "deep" / "nested.vrt").write_text(vrt("../relative.vrt", True))
    (tmp_path / "deep" / "linked.vrt").symlink_to(tmp_path / "relative.vrt")
    notes = "<Metadata><MDI key='references'>https://example.org/doc</MDI></Metadata><Metadata domain='xml:A'><x:y xmlns:x='http://z/'/></Metadata>"
    (tmp_path / "notes.vrt").write_text(
        vrt("plain.tif", True, head=notes, band="<Description>see http://a/b</Description>")
    )
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write("plain.tif")
        archive.write("relative.vrt")
    (tmp_path / "zipped.vrt").write_text(vrt(f"/vsizip/{tmp_path}/a.zip/relative.vrt"))
    for source in [
        *tmp_path.rglob("*.vrt"),
        f"/vsizip/{tmp_path}/a.zip/relative.vrt",
        vrt(str(tmp_path / "plain.tif")),
    ]:
        np.testing.assert_array_equal(read_all(os.fspath(source)), values)


def test_what_gdal_writes_as_a_virtual_raster_is_read(tmp_path):
    plain(tmp_path)
    source = str(tmp_path / "plain.tif")
    points = [
        gdal.GCP(500_000 + 80 * x, 8_700_000 - 80 * y, 0, x, y) for x in (0, 20, 40) for y in (0, 15, 30)
    ]
    with quiet_gdal():
        system = gdal.Open(source).GetProjection()
        gdal.Translate(str(tmp_path / "points.tif"), source, GCPs=points, outputSRS=system)
    made = {
        "scaled": lambda out: gdal.Translate(out, source, format="VRT", scaleParams=[[0, 9, 0, 1]], exponents=[2]),
        "smaller": lambda out: gdal.Translate(out, source, format="VRT", width=9, height=9, resampleAlg="average"),
        "masked": lambda out: gdal.Translate(out, source, format="VRT", bandList=[1, 1], maskBand=2, stats=True),
        "mosaic": lambda out: gdal.BuildVRT(out, [source], resampleAlg="cubic", srcNodata=0, addAlpha=True),
        "warped": lambda out: gdal.Warp(out, source, format="VRT", dstSRS="EPSG:4326", dstAlpha=True),
        "from points": lambda out: gdal.Warp(out, str(tmp_path / "points.tif"), format="VRT", dstSRS="EPSG:4326"),
        "by splines": lambda out: gdal.Warp(out, str(tmp_path / "points.tif"), format="VRT", tps=True),
    }  # fmt: skip
    for name, make in made.items():
        path = str(tmp_path / f"{name}.vrt")
        with quiet_gdal():
            make(path)
            opened = gdal.Open(path)  # a band does not keep its dataset open
            expected = opened.GetRasterBand(1).ReadAsArray().astype("f4")
        with open_raster(path) as raster:
            found = raster.read([1], Window(0, 0, raster.rows, raster.cols))[0]
        known = np.isfinite(found)
        assert known.any(), name
        np.testing.assert_array_equal(found[known], expected[known], err_msg=name)


def test_what_lies_beside_a_raster_is_judged_with_it(tmp_path, listener):
    before = listener.requests
    for path in bad_sidecars(tmp_path, listener.url).values():
        for opens in (read_all, check_file):
            with pytest.raises(SceneError) as error:
                opens(str(path))
            assert "Remove it" in sentence(error)
    assert listener.requests == before


def test_polygons_that_name_their_reference_system_by_an_address_are_refused(tmp_path, listener):
    before = listener.requests
    for path in bad_json(tmp_path, listener.url):
        for opens in (read_polygons, lambda path: open_chart(path, ImportOptions())):
            with pytest.raises(SceneError, match="address on another machine") as error:
                opens(str(path))
            sentence(error)
    assert listener.requests == before


def test_the_network_stays_shut_where_a_judgement_should_miss_something(tmp_path, listener, monkeypatch):
    """The second barrier: each file is let through, and GDAL still reaches nobody."""
    texts, before = bad_virtual(tmp_path, listener.url), listener.requests
    monkeypatch.setattr(opening, "check_virtual", lambda _path: None)
    monkeypatch.setattr(opening, "check_sidecars", lambda _path: None)
    for kind, text in texts.items():
        # The library of NetCDF has an HTTP client of its own, which GDAL does not rule.
        if kind not in ("subdataset", "bucket", "server share", "damaged", "without end", "missing"):
            (tmp_path / "let.vrt").write_text(text)
            try:
                read_all(str(tmp_path / "let.vrt"))
            except SceneError:
                continue
    for path in bad_sidecars(tmp_path, listener.url).values():
        read_all(str(path))
    with offline_gdal(), quiet_gdal():
        for path in [*write_services(tmp_path, listener.url), *bad_json(tmp_path, listener.url)]:
            found = opened_by_gdal(path)
            if found is not None and found.RasterCount:
                with contextlib.suppress(RuntimeError):
                    found.ReadAsArray()
    assert listener.requests == before


def test_a_person_may_name_a_file_elsewhere_and_is_told_how(tmp_path, listener):
    before = len(listener.requests)
    with pytest.raises(SceneError, match="cannot be opened"):
        open_raster(f"/vsicurl/{listener.url}/scene.tif")
    assert len(listener.requests) > before
    before = listener.requests
    for source in (f"{listener.url}/scene.tif", f'NETCDF:"{listener.url}/scene.nc":tb'):
        with pytest.raises(SceneError, match=r"lies on another machine.*under /vsicurl/"):
            open_raster(source)
    for source in (
        "WMS:http://x",
        "PG:dbname=a",
        "DERIVED_SUBDATASET:AMPLITUDE:a.tif",
    ):
        with pytest.raises(SceneError, match="no file, nor a part of one"):
            open_raster(source)
    pieces = tmp_path / "pieces.xml"
    pieces.write_text(
        f"<VSISparseFile><SubfileRegion><Filename>/vsicurl/{listener.url}/a</Filename></SubfileRegion></VSISparseFile>"
    )
    with pytest.raises(SceneError, match="pieces that lie anywhere"):
        open_raster(f"/vsisparse/{pieces}")
    assert listener.requests == before


def test_options_are_put_back():
    keys = ("GDAL_HTTP_PROXY", "CPL_VSIL_CURL_ALLOWED_FILENAME", "GDAL_VRT_ENABLE_PYTHON")
    before = [gdal.GetThreadLocalConfigOption(key) for key in keys]
    with offline_gdal():
        assert gdal.GetConfigOption("GDAL_VRT_ENABLE_PYTHON") == "NO"
    assert [gdal.GetThreadLocalConfigOption(key) for key in keys] == before


def test_other_formats_are_refused_with_those_that_are_read(tmp_path):
    plain(tmp_path)
    with quiet_gdal():
        gdal.Translate(str(tmp_path / "a.pix"), str(tmp_path / "plain.tif"), format="PCIDSK")
    with pytest.raises(SceneError, match=r"a\.pix cannot be opened.*Read are: GeoTIFF") as error:
        open_raster(tmp_path / "a.pix")
    sentence(error)


def test_a_product_is_sent_to_the_import(tmp_path):
    path = tmp_path / "manifest.safe"
    path.write_text(
        '<?xml version="1.0"?><xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" version="esa/safe/sentinel-1.0"/>'
    )
    for opens in (read_all, check_file):
        with pytest.raises(
            SceneError, match=r"manifest\.safe is a satellite product.*'Import scene'"
        ) as error:
            opens(str(path))
        sentence(error)


@pytest.mark.parametrize("name", ["ENVI", "HFA", "netCDF", "PNG", "GPKG", "AAIGrid", "SAGA", "RST", "EHdr"])
def test_formats_of_the_field_are_read(tmp_path, name):
    extension = {
        "HFA": ".img",
        "netCDF": ".nc",
        "PNG": ".png",
        "GPKG": ".gpkg",
        "AAIGrid": ".asc",
        "SAGA": ".sdat",
        "RST": ".rst",
    }
    path = str(tmp_path / f"a{extension.get(name, '.bil')}")
    values = np.arange(ROWS * COLS, dtype="u1").reshape(ROWS, COLS)
    memory = gdal.GetDriverByName("MEM").Create("", COLS, ROWS, 1, gdal.GDT_Byte)
    memory.SetGeoTransform((0, 80, 0, 0, 0, -80))
    memory.GetRasterBand(1).WriteArray(values)
    with quiet_gdal():
        assert gdal.GetDriverByName(name).CreateCopy(path, memory) is not None
    with open_raster(path) as raster:
        found = raster.read([1], WHOLE)[0]
    np.testing.assert_array_equal(found[np.isfinite(found)], values[np.isfinite(found)])


@pytest.mark.parametrize(
    ("path", "remote"),
    [("/data/vsicurl.tif", False), ("/data/vsicurl/a.tif", False),
     ("/vsizip/a.zip/b.tif", False), ("/vsizip//vsicurl/http://a/b.zip/c", True),
     ("/vsis3/a", True), ("/vsitar/{/vsigzip/a.gz}/b", False), ("/vsisubfile/0_1,/vsicurl/http://a", True)],
)  # fmt: skip
def test_remote_paths_are_known(path, remote):
    assert is_remote(path) is remote


def test_prefixes_are_told_from_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day:1.tif").touch()
    assert split_source("GTIFF_DIR:2:/data/a.tif") == ("GTIFF_DIR", "/data/a.tif")
    assert split_source("day:1.tif") == ("", "day:1.tif")
    assert raster_drivers("NETCDF:a.nc:tb") == ["netCDF"]
    assert virtual.VIRTUAL not in raster_drivers("day:1.tif")


def test_every_door_names_its_drivers():
    """Files that a person chose are opened with named drivers; what was written just now needs none."""
    own = {"rasters/blocks.py", "rasters/writer.py", "formats/netcdf/chart.py"}
    calls = {"gdal.Open", "gdal.OpenEx", "gdal.OpenShared", "ogr.Open", "rasterio.open", "DatasetReader"}
    folder = Path(opening.__file__).parents[2]
    doors = []
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in calls:
                named = {keyword.arg for keyword in node.keywords}
                doors.append((str(file.relative_to(folder / "io") if "io" in file.parts else file), named))
    bare = {name for name, named in doors if not named & {"allowed_drivers", "driver"}}
    assert len(doors) > 8
    assert bare <= own, bare - own
