"""Damaged, cut and foreign files: one sentence each; no crash, no hang."""

from __future__ import annotations

import itertools
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.formats.cf.container import Container
from floelens.plugin.io.formats.hdf5.check import check_structure
from floelens.plugin.io.formats.hdf5.raw_bytes import checksum
from floelens.plugin.io.formats.netcdf import open_netcdf, recognises
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.products import open_product
from floelens.tests.plugin.io.formats.netcdf.files import (
    CODES,
    HEADER,
    Truth,
    Variable,
    write_asip,
    write_netcdf,
    write_raw,
    write_ready,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osgeo import gdal

WRITERS = {"raw": write_raw, "ready": write_ready, "asip": write_asip}
SMALL = {"rows": 110, "cols": 120}


@pytest.fixture(scope="module")
def contents(tmp_path_factory) -> dict[str, bytes]:
    """Return the bytes of a small file of each kind."""
    folder = tmp_path_factory.mktemp("small")
    made = {}
    for kind, write in WRITERS.items():
        truth = Truth(**SMALL, **({"ratio": 25, "pixel": 80.0} if kind == "ready" else {}))
        made[kind] = Path(write(folder / f"{kind}.nc", truth)).read_bytes()
    return made


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Return a function that writes bytes to a file of its own: the library remembers a file by its place."""
    folder, numbers = tmp_path_factory.mktemp("scratch"), itertools.count()

    def write(content: bytes) -> Path:
        path = folder / f"{next(numbers)}.nc"
        path.write_bytes(content)
        return path

    return write


def read_everything(path: Path) -> bool:
    """Read all that a file holds; return whether it could be."""
    try:
        with open_netcdf(str(path), ImportOptions()) as product:
            for raster in product.rasters.values():
                values = raster.read(raster.grid.window)
                assert values.shape == (len(raster.bands), raster.grid.rows, raster.grid.cols)
                assert values.dtype.name == raster.dtype
            if product.polygons_from is not None:
                product.polygons_from(None)
    except SceneError as error:
        assert path.name in str(error)
        assert "\n" not in str(error)
        assert str(error).endswith(".")
        return False
    finally:
        path.unlink()
    return True


def spoilt(content: bytes, cut: float, changes: list[tuple[float, int, bool]]) -> bytes:
    """Return bytes cut to a share, with some changed: anywhere, or in the tables, which are few."""
    out = bytearray(content[: int(cut * len(content))])
    marks = (b"TREE", b"GCOL", b"OHDR", b"OCHK", b"FHDB", b"FRHP", b"BTLF", b"BTHD", b"FHIB")
    for place, value, in_tables in changes:
        at = int(place * (len(content) - 1))
        if in_tables:
            found = content.find(marks[value % len(marks)], at)
            at = found + int(place * 7919) % 500 if found >= 0 else at
        if at < len(out):
            out[at] = value
    return bytes(out)


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.booleans()), max_size=20)


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(cut=st.one_of(st.just(1.0), st.floats(0, 1)), changes=CHANGES)
def test_spoilt_bytes_never_crash(contents, scratch, kind, cut, changes):
    read_everything(scratch(spoilt(contents[kind], cut, changes)))


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=4000, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(cut=st.one_of(st.just(1.0), st.floats(0, 1)), changes=CHANGES)
def test_thousands_of_spoilt_files_never_crash(contents, scratch, kind, cut, changes):
    read_everything(scratch(spoilt(contents[kind], cut, changes)))


@pytest.mark.parametrize("kind", WRITERS)
def test_an_unspoilt_file_is_read_whole(contents, scratch, kind):
    assert read_everything(scratch(contents[kind]))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_cut_file_is_told_before_anything_is_read(contents, scratch, kind):
    content = contents[kind]
    for share in (0.001, 0.2, 0.5, 0.9, 0.9999):
        path = scratch(content[: int(share * len(content))])
        with pytest.raises(SceneError, match="damaged or truncated"):
            open_netcdf(str(path), ImportOptions())
        assert not recognises(str(path))


@pytest.mark.parametrize(
    ("text", "value"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)]
)
def test_the_checksum_is_that_of_its_author(text, value):
    assert checksum(text) == value


def test_one_wrong_byte_in_a_table_is_found(contents, scratch):
    content = contents["raw"]
    for mark in (b"OHDR", b"FRHP", b"BTHD", b"BTLF", b"FHDB"):
        at = content.find(mark)
        assert at > 0
        spoiled = bytearray(content)
        spoiled[at + 12] ^= 1
        with pytest.raises(SceneError, match=f"checksum of the {mark.decode()} block"):
            check_structure(str(scratch(bytes(spoiled))), "spoilt.nc")


def later_type(content: bytes, version: int) -> bytes:
    """Return a file one of whose arrays has real numbers of a later version, its checksum being right."""
    head = -1
    while True:
        head = content.index(b"OHDR", head + 1)
        flags = content[head + 5]
        at = head + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        end = at + width + int.from_bytes(content[at : at + width], "little")
        kind = content.find(b"\x11\x20\x1f\x00\x04\x00\x00\x00", at, end)  # real, four bytes, version 1
        if kind > 0:
            break
    assert checksum(content[head:end]) == int.from_bytes(content[end : end + 4], "little")
    block = content[head:kind] + bytes([version << 4 | 1]) + content[kind + 1 : end]
    return content[:head] + block + checksum(block).to_bytes(4, "little") + content[end + 4 :]


@pytest.mark.parametrize("version", [4, 5])
def test_the_newest_format_is_told_from_damage(contents, scratch, version):
    path = scratch(later_type(contents["raw"], version))
    for open_ in (open_netcdf, open_product):
        with pytest.raises(SceneError, match=r"newest format of HDF5.*Convert it.*nccopy") as told:
            open_(str(path), ImportOptions())
        assert "damaged" not in str(told.value)
    assert not recognises(str(path))
    with pytest.raises(SceneError, match="damaged or truncated"):
        check_structure(str(scratch(later_type(contents["raw"], 6))), "scene.nc")


def test_addresses_without_a_checksum_are_followed(contents, scratch):
    content = contents["raw"]
    tree, heap = content.find(b"TREE"), content.find(b"GCOL")
    changes = {
        "address of a chunk": (tree + 24 + 32, bytes(8 * [0x7F]), "ends before the values|damaged"),
        "number of entries": (tree + 6, b"\xff\x7f", "no index of arrays"),
        "size of a text": (heap + 16 + 8, b"\xff\xff\xff\x7f", "collection of texts"),
    }
    for at, new, sentence in changes.values():
        spoiled = content[:at] + new + content[at + len(new) :]
        with pytest.raises(SceneError, match=sentence):
            check_structure(str(scratch(spoiled)), "spoilt.nc")


def test_a_block_that_cannot_be_decoded_is_told_and_not_made_up(tmp_path):
    # GDAL returns whatever lay in memory for such a block, without an error.
    values = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    dataset = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(tmp_path / "whole.nc"))
    root = dataset.GetRootGroup()
    sizes = [root.CreateDimension(name, None, None, size) for name, size in (("row", 200), ("col", 300))]
    kind = gdal.ExtendedDataType.Create(gdal.GDT_Float32)
    array = root.CreateMDArray("field", sizes, kind, ["COMPRESS=DEFLATE", "BLOCKSIZE=50,300"])
    array.Write(values)
    array = root = dataset = None
    sizes.clear()
    content = (tmp_path / "whole.nc").read_bytes()
    blocks = [place for place in range(len(content)) if _begins_stream(content, place)]
    assert len(blocks) == 4
    path = tmp_path / "broken.nc"
    path.write_bytes(content[: blocks[2] + 500] + bytes(200) + content[blocks[2] + 700 :])
    with Container(path) as container:
        field = container.variable("field")
        np.testing.assert_array_equal(field.read(Window(50, 0, 50, 300)), values[50:100])
        with pytest.raises(SceneError, match=r"'field'.*(cannot be decoded|HDF error)"):
            field.read(Window(100, 0, 50, 300))
        with pytest.raises(SceneError, match=r"'field'.*(cannot be decoded|HDF error)"):
            field.whole()


def _begins_stream(content: bytes, place: int) -> bool:
    if content[place] != 0x78:
        return False
    try:
        return len(zlib.decompressobj().decompress(content[place : place + 5000])) > 1000
    except zlib.error:
        return False


def test_real_files_are_sound(real_data):
    files = [*real_data.glob("amsr2-on-s1-*/*.nc"), *real_data.glob("amsr2-sic-*/*.nc")]
    assert len(files) == 3
    for path in files:
        check_structure(str(path), str(path))


@pytest.mark.parametrize(
    ("drop", "sentence"),
    [
        (("sar_grid_latitude",), "has no tie points: the variable 'sar_grid_latitude' is missing"),
        (("sar_grid_line",), "has no tie points: the variable 'sar_grid_line' is missing"),
        (("nersc_sar_primary", "nersc_sar_secondary"), "no ASIP or AI4Arctic scene"),
    ],
)
def test_what_a_scene_cannot_do_without_is_named(tmp_path, drop, sentence):
    path = write_raw(tmp_path / "scene.nc", drop=drop)
    with pytest.raises(SceneError, match=sentence):
        open_netcdf(path, ImportOptions())


@pytest.mark.parametrize(
    ("lon", "lat", "sentence"),
    [
        (np.nan, 70.0, "no usable tie points"),
        (10.0, 70.0, "tie points of .* cannot be used"),
        (10.0, 700.0, "no longitudes and latitudes"),
    ],
)
def test_tie_points_that_place_nothing_are_told(tmp_path, lon, lat, sentence):
    class Nowhere(Truth):
        def tie_points(self, lines=6, samples=7):
            ties = Truth.tie_points(self)
            return {**ties, "longitude": 0 * ties["line"] + lon, "latitude": 0 * ties["line"] + lat}

    path = write_raw(tmp_path / "scene.nc", Nowhere())
    with pytest.raises(SceneError, match=sentence):
        open_netcdf(path, ImportOptions())


def test_a_chart_without_total_concentration_is_told(tmp_path):
    codes = [HEADER.replace("CT;", ""), *CODES[1:]]
    path = write_raw(tmp_path / "scene.nc", codes=codes)
    with pytest.raises(SceneError, match="no total concentration"):
        open_netcdf(path, ImportOptions())


def test_unknown_codes_and_broken_lines_are_no_data_and_counted(tmp_path):
    codes = [*CODES[:2], "7;97;-9;93;06;-9;-9;-9;-9;-9;-9;-9;-9;-9;I", "rubbish", *CODES[3:]]
    truth = Truth()
    with open_netcdf(write_raw(tmp_path / "scene.nc", truth, codes=codes), ImportOptions()) as product:
        assert product.found["unknown_codes"] == {"CT=97": 1}
        assert any("CT=97 (1 x)" in text for text in product.warnings)
        assert any("1 of 5 lines" in text for text in product.warnings)
        values = product.rasters["chart"].read(product.rasters["chart"].grid.window)
        assert (values[:, truth.polygons == 7] == 255).all()
        assert (values[0, truth.polygons == 12] == 40).all()


def test_pixels_of_polygons_without_codes_are_no_data_and_counted(tmp_path):
    truth = Truth()
    path = write_raw(tmp_path / "scene.nc", truth, codes=[*CODES[:2], *CODES[3:]])
    with open_netcdf(path, ImportOptions()) as product:
        values = product.rasters["chart"].read(product.rasters["chart"].grid.window)
        assert (values[:, truth.polygons == 7] == 255).all()
        found = product.found["chart_pixels_without_codes"]
        assert found == {"polygon_icechart=7": int((truth.polygons == 7).sum())}


def test_cells_that_do_not_fit_the_pixels_are_refused(tmp_path):
    path = write_raw(tmp_path / "scene.nc", Truth(ratio=30))
    with pytest.raises(SceneError, match="do not cover the image"):
        open_netcdf(path, ImportOptions())


def test_a_foreign_netcdf_lists_its_variables(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"x": 2}, {"sic": Variable(("x",), np.zeros(2))}, {})
    assert not recognises(path)
    with pytest.raises(SceneError, match=r"no ASIP or AI4Arctic scene.*variables: sic"):
        open_netcdf(path, ImportOptions())
    with pytest.raises(SceneError, match=r"of no known kind \(variables: sic\)"):
        open_product(path, ImportOptions())


@pytest.mark.parametrize("kind", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF4_CLASSIC"])
def test_classic_netcdf_is_judged_by_what_it_holds(tmp_path, kind):
    library = pytest.importorskip("netCDF4", reason="GDAL 3.10 cannot write NETCDF4_CLASSIC")
    path = tmp_path / "a.nc"
    with library.Dataset(path, "w", format=kind) as dataset:
        dataset.createDimension("x", 2)
        dataset.createVariable("sic", "f8", ("x",))[:] = 0.0
    with pytest.raises(SceneError, match=r"no ASIP or AI4Arctic scene.*variables: sic"):
        open_netcdf(path, ImportOptions())


@pytest.mark.parametrize(
    "content", [b"", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04" + bytes(100), b"nothing at all"]
)
def test_what_is_no_scene_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "a.nc"
    path.write_bytes(content)
    assert not recognises(str(path))
    for open_ in (open_netcdf, open_product):
        with pytest.raises(SceneError, match=r"a\.nc"):
            open_(str(path), ImportOptions())


def test_a_zip_of_several_scenes_asks_for_one(tmp_path, contents):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(f"{name}.nc", content)
    with pytest.raises(SceneError, match=r"holds several NetCDF files.*Name one.*/vsizip/"):
        open_netcdf(str(path), ImportOptions())
    with pytest.raises(SceneError, match=r"holds several NetCDF files.*Name one.*/vsizip/"):
        open_product(str(path), ImportOptions())


def test_a_zip_that_reaches_out_of_itself_is_refused(tmp_path, contents):
    path = tmp_path / "scene.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../scene.nc", contents["raw"])
    assert not recognises(str(path))
    for open_ in (open_netcdf, open_product):
        with pytest.raises(SceneError, match=r"would lie outside of it \('\.\./\.\./scene\.nc'\)"):
            open_(str(path), ImportOptions())


def test_the_dispatcher_opens_scenes_by_their_content(tmp_path, contents):
    for kind, content in contents.items():
        path = tmp_path / f"{kind}.anything"
        path.write_bytes(content)
        with open_product(str(path), ImportOptions()) as product:
            assert "NetCDF" in product.kind
