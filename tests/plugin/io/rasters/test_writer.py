"""Writing: geometry checked, complete or not at all, the same bytes, and full disks noticed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from floelens.plugin.ground.errors import Cancelled, OutputError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.rasters import writer as writer_module
from floelens.plugin.io.rasters.writer import Band, Outputs, RasterWriter
from floelens.tests.plugin.io.rasters import LOCAL, NORTH, PLACES, affine_grid, gcp_grid, ramp
from osgeo import gdal

BANDS = [Band("hh", "logit", {"footprint": "93 x 87 m"}), Band("hv")]
GRIDS = {
    "affine": affine_grid(),
    "rotated": affine_grid(turn=33.0),
    "gcps in lon/lat": gcp_grid(rows=300, cols=350),
    "gcps in a CRS without code": gcp_grid(
        rows=300, cols=350, crs=LOCAL, scattered=[(33.3, 44.1), (100.7, 222.2)]
    ),
    "gcps on Hughes 1980": gcp_grid(rows=300, cols=350, crs=pyproj.CRS("EPSG:3411").to_wkt("WKT1_GDAL")),
    "affine on Hughes 1980": Grid(
        60, 80, pyproj.CRS("EPSG:3411").to_wkt("WKT1_GDAL"), transform=(80, 0, 900_000, 0, -80, 500_000)
    ),
    "affine without code": Grid(60, 80, LOCAL, transform=(80, 0, 1_000, 0, -80, 2_000)),
    "gcps at the south pole": gcp_grid(PLACES["south pole"], rows=300, cols=350, mirrored=True),
    "a part of gcps": gcp_grid().subset(Window(120, 40, 100, 130)),
}


def write(path, grid, values, strips=37, **options):
    with RasterWriter(path, grid, BANDS[: len(values)], **options) as raster:
        for row in range(0, grid.rows, strips):
            raster.write(values[:, row : row + strips])


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", GRIDS)
def test_values_and_geometry_come_back(tmp_path, kind):
    grid = GRIDS[kind]
    values = ramp(2, grid.rows, grid.cols)
    values[0, 3, 4] = np.nan
    write(tmp_path / "out.tif", grid, values, tags={"FLOELENS_MODEL": "test"})
    assert Grid.from_file(tmp_path / "out.tif").differences(grid) == []
    with rasterio.open(tmp_path / "out.tif") as found:
        np.testing.assert_array_equal(found.read(), values)
        assert found.descriptions == ("hh", "hv")
        assert found.units == ("logit", None)
        assert np.isnan(found.nodata)
        assert found.tags()["FLOELENS_MODEL"] == "test"
        assert found.tags(1)["footprint"] == "93 x 87 m"
        assert found.profile["tiled"]
        assert found.compression.name == "deflate"
    assert files_in(tmp_path) == ["out.tif"]


@pytest.mark.parametrize("kind", ["affine", "gcps in lon/lat"])
@pytest.mark.parametrize("strips", [1, 64, 1000])
def test_the_height_of_strips_does_not_show_in_the_file(tmp_path, kind, strips):
    grid = GRIDS[kind]
    values = ramp(2, grid.rows, grid.cols)
    write(tmp_path / "a.tif", grid, values)
    write(tmp_path / "b.tif", grid, values, strips=strips)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("make", [affine_grid, gcp_grid])
def test_the_bytes_do_not_depend_on_gdals_cache(tmp_path, make):
    grid = make(rows=1200, cols=1100)
    values = np.round(ramp(2, grid.rows, grid.cols))
    before = gdal.GetCacheMax()
    try:
        write(tmp_path / "a.tif", grid, values)
        gdal.SetCacheMax(2 << 20)
        write(tmp_path / "b.tif", grid, values)
    finally:
        gdal.SetCacheMax(before)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_an_affine_raster_is_cloud_optimised(tmp_path):
    grid = affine_grid(rows=700, cols=900)
    write(tmp_path / "out.tif", grid, ramp(1, 700, 900))
    assert gdal.Open(str(tmp_path / "out.tif")).GetMetadata("IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize("make", [affine_grid, gcp_grid])
@pytest.mark.parametrize(("overviews", "expected"), [("average", 7.5), ("nearest", 0.0), (None, None)])
def test_overviews_are_made_as_asked(tmp_path, make, overviews, expected):
    grid = make(rows=600, cols=1200)
    values = np.zeros((1, 600, 1200), np.float32)
    values[:, 1::2, :] = 10.0
    values[:, :, 1::2] += 5.0
    write(tmp_path / "out.tif", grid, values, overviews=overviews)
    with rasterio.open(tmp_path / "out.tif") as found:
        levels = found.overviews(1)
        assert bool(levels) == (overviews is not None)
        if levels:
            assert levels[0] == 2
            small = found.read(1, out_shape=(300, 600))
            assert np.abs(small - expected).max() < 1e-6


def test_classes_have_colours_and_names_inside_of_the_file(tmp_path):
    grid = gcp_grid(rows=40, cols=50)
    values = np.random.default_rng(0).integers(0, 3, (1, 40, 50)).astype("uint8")
    values[0, 0, 0] = 255
    with RasterWriter(
        tmp_path / "classes.tif",
        grid,
        [Band("type", "class")],
        dtype="uint8",
        nodata=255,
        colours={0: (0, 100, 255), 1: (255, 0, 0), 2: (1, 2, 3)},
        categories={0: "open water", 1: "ice", 2: "old"},
        overviews="nearest",
    ) as raster:
        raster.write(values)
    with rasterio.open(tmp_path / "classes.tif") as found:
        np.testing.assert_array_equal(found.read(), values)
        assert found.nodata == 255
        assert found.colormap(1)[1] == (255, 0, 0, 255)
        assert found.tags(1)["CLASS_0"] == "open water"
    assert files_in(tmp_path) == ["classes.tif"]


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match=r"folder .*nowhere does not exist"):
        RasterWriter(tmp_path / "nowhere" / "out.tif", affine_grid(), BANDS)


def test_a_folder_under_the_name_is_a_sentence(tmp_path):
    (tmp_path / "out.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        RasterWriter(tmp_path / "out.tif", affine_grid(), BANDS)


@pytest.mark.parametrize("kind", ["affine", "gcps in lon/lat"])
@pytest.mark.parametrize("error", [Cancelled("stop"), ValueError("bug"), KeyboardInterrupt()])
def test_an_interrupted_raster_leaves_nothing_and_spares_the_old_file(tmp_path, kind, error):
    (tmp_path / "out.tif").write_text("old")
    grid = GRIDS[kind]
    with pytest.raises(type(error)), RasterWriter(tmp_path / "out.tif", grid, BANDS) as raster:
        raster.write(ramp(2, grid.rows - 5, grid.cols))
        raise error
    assert files_in(tmp_path) == ["out.tif"]
    assert (tmp_path / "out.tif").read_text() == "old"


@pytest.mark.parametrize("kind", ["affine", "gcps in lon/lat"])
def test_an_incomplete_raster_is_an_error_and_leaves_nothing(tmp_path, kind):
    grid = GRIDS[kind]
    with (
        pytest.raises(OutputError, match=rf"{grid.rows - 5} of {grid.rows} rows|0 of {grid.rows} rows"),
        RasterWriter(tmp_path / "out.tif", grid, BANDS) as raster,
    ):
        raster.write(ramp(2, grid.rows - 5, grid.cols))
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("shape", [(1, 10, 80), (2, 10, 79), (2, 61, 80), (80, 10)])
def test_strips_of_the_wrong_shape_are_mistakes(tmp_path, shape):
    mistake = pytest.raises(ValueError, match=r"a strip of|more were given")
    with mistake, RasterWriter(tmp_path / "out.tif", affine_grid(), BANDS) as raster:
        raster.write(np.zeros(shape, np.float32))
    assert files_in(tmp_path) == []


@contextlib.contextmanager
def largest_file(size: int):
    """Let no file grow beyond `size` bytes, as on a full disk: writes fail with EFBIG."""
    resource = pytest.importorskip("resource", reason="limits of file sizes need POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("make", [affine_grid, gcp_grid])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 0.99, 1.0])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, make, share):
    grid = make(rows=700, cols=600)
    values = ramp(2, grid.rows, grid.cols)
    write(tmp_path / "whole.tif", grid, values)
    room = int((tmp_path / "whole.tif").stat().st_size * share) - (1 if share == 1.0 else 0)
    # At the last shares only the very last flush, of a block or of the directory, finds no room.
    with pytest.raises(OutputError, match="Check that the disk has room"), largest_file(max(room, 0)):
        write(tmp_path / "out.tif", grid, values)
    assert files_in(tmp_path) == ["whole.tif"]


def test_a_full_disk_is_noticed_whether_gdal_raises_or_not(tmp_path):
    grid = gcp_grid(rows=700, cols=600)
    before = gdal.GetUseExceptions()
    gdal.UseExceptions()
    try:
        with pytest.raises(OutputError, match="disk"), largest_file(50_000):
            write(tmp_path / "out.tif", grid, ramp(2, grid.rows, grid.cols))
        assert gdal.GetUseExceptions() == 1
    finally:
        if not before:
            gdal.DontUseExceptions()
    assert files_in(tmp_path) == []


def test_blocks_that_are_missing_at_the_end_are_noticed(tmp_path, monkeypatch):
    # A file system that loses the last flush without a word: the file is cut after it was closed.
    def lose_the_end(self):
        path = self.temporary
        os.truncate(path, path.stat().st_size - 2000)

    grid = affine_grid(rows=700, cols=600)
    monkeypatch.setattr(
        RasterWriter, "_optimise", lambda self, do=RasterWriter._optimise: (do(self), lose_the_end(self))
    )
    with pytest.raises(OutputError, match=r"not in the file|cannot be opened"):
        write(tmp_path / "out.tif", grid, ramp(2, 700, 600))
    assert files_in(tmp_path) == []


def test_a_geometry_that_did_not_survive_is_an_error(tmp_path, monkeypatch):
    grid = affine_grid()
    moved = affine_grid(size=80.5)
    monkeypatch.setattr(writer_module.Grid, "from_file", classmethod(lambda _cls, _path: moved))
    with pytest.raises(OutputError, match=r"does not hold its geometry.*transform"):
        write(tmp_path / "out.tif", grid, ramp(2, grid.rows, grid.cols))
    assert files_in(tmp_path) == []


def test_a_reference_system_that_geotiff_does_not_hold_is_an_error(tmp_path):
    turned = "+proj=ob_tran +o_proj=longlat +o_lon_p=-162 +o_lat_p=39.25 +lon_0=180 +type=crs"
    grid = Grid(60, 80, pyproj.CRS(turned).to_wkt(), transform=(0.1, 0, 10.0, 0, -0.1, 5.0))
    with pytest.raises(OutputError, match="does not hold the coordinate reference system of the input"):
        write(tmp_path / "map.tif", grid, ramp(1, 60, 80))
    assert files_in(tmp_path) == []


def test_gdals_state_is_left_as_it_was(tmp_path):
    before = gdal.GetUseExceptions(), gdal.GetConfigOption("OSR_USE_NON_DEPRECATED")
    write(tmp_path / "out.tif", affine_grid(), ramp(2, 60, 80))
    assert (gdal.GetUseExceptions(), gdal.GetConfigOption("OSR_USE_NON_DEPRECATED")) == before


def test_statistics_that_described_the_old_file_are_removed(tmp_path):
    (tmp_path / "out.tif.aux.xml").write_text("<PAMDataset/>")
    (tmp_path / "out.tif.ovr").write_text("old overviews")
    write(tmp_path / "out.tif", affine_grid(), ramp(2, 60, 80))
    assert files_in(tmp_path) == ["out.tif"]


def test_memory_does_not_grow_with_the_raster(tmp_path):
    with pytest.raises(OutputError, match="not complete"), Outputs() as outputs:
        small, large = (
            outputs.raster(tmp_path / f"{n}.tif", gcp_grid(rows=n, cols=500), BANDS) for n in (600, 6000)
        )
        assert small._buffer.nbytes == large._buffer.nbytes <= 64 << 20
    assert files_in(tmp_path) == []


def test_outputs_appear_together(tmp_path):
    grid = affine_grid()
    with Outputs() as outputs:
        a = outputs.raster(tmp_path / "a.tif", grid, BANDS)
        b = outputs.raster(tmp_path / "b.tif", grid, BANDS[:1], dtype="uint8", nodata=255)
        table = outputs.file(tmp_path / "t.csv")
        a.write(ramp(2, 60, 80))
        b.write(np.zeros((1, 60, 80)))
        table.write_text("x,y\n")
        assert not {"a.tif", "b.tif", "t.csv"} & set(files_in(tmp_path))
    assert files_in(tmp_path) == ["a.tif", "b.tif", "t.csv"]


def refusing_tables(replace):
    """Return `replace` as it is, but for tables."""

    def refuse(source, target):
        if Path(target).suffix == ".csv":
            raise OSError("denied")
        replace(source, target)

    return refuse


@pytest.mark.parametrize("missing", ["rows", "table", "rename"])
def test_if_one_output_fails_none_appears(tmp_path, missing, monkeypatch):
    grid = affine_grid()
    with pytest.raises(OutputError), Outputs() as outputs:
        a = outputs.raster(tmp_path / "a.tif", grid, BANDS)
        b = outputs.raster(tmp_path / "b.tif", grid, BANDS)
        table = outputs.file(tmp_path / "t.csv")
        a.write(ramp(2, 60, 80))
        b.write(ramp(2, 60 if missing != "rows" else 50, 80))
        if missing != "table":
            table.write_text("x")
        if missing == "rename":
            monkeypatch.setattr(os, "replace", refusing_tables(os.replace))
    assert files_in(tmp_path) == []


def test_what_is_no_raster_cannot_be_asked_for(tmp_path):
    for options, reason in (
        ({"dtype": "complex64"}, "complex64 are not written"),
        ({"colours": {0: (0, 0, 0)}}, "colours belong to"),
    ):
        with pytest.raises(ValueError, match=reason):
            RasterWriter(tmp_path / "a.tif", affine_grid(), BANDS, **options)
    with pytest.raises(ValueError, match="band"):
        RasterWriter(tmp_path / "a.tif", affine_grid(), [])
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("crs", [NORTH, LOCAL])
def test_rasters_on_polar_grids_can_be_written_into_folders_of_any_name(tmp_path, crs):
    folder = tmp_path / "Größe [1] {x}* $HOME"
    folder.mkdir()
    grid = Grid(60, 80, crs, transform=(80, 0, 0, 0, -80, 0))
    write(folder / "a [b]*.tif", grid, ramp(2, 60, 80))
    assert files_in(folder) == ["a [b]*.tif"]


@pytest.mark.parametrize(
    ("rows", "cols", "side"), [(40, 40, 128), (9, 200, 256), (300, 128, 512), (513, 40, 512), (700, 600, 512)]
)
@pytest.mark.parametrize("make", [affine_grid, gcp_grid])
def test_a_small_raster_lies_in_a_block_hardly_larger_than_itself(tmp_path, make, rows, cols, side):
    write(tmp_path / "out.tif", make(rows=rows, cols=cols), ramp(2, rows, cols))
    with rasterio.open(tmp_path / "out.tif") as found:
        assert found.block_shapes == [(side, side)] * 2
        assert bool(found.overviews(1)) == (rows > 512)
