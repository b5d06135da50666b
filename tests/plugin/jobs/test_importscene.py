"""The import job: what a file holds becomes rasters, polygons, styles and a summary; or nothing does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import Cancelled, ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import read_polygons
from floelens.plugin.jobs.importreport import drawing_note, drawn_off, extent_of, plain
from floelens.plugin.jobs.importscene import ImportScene
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.netcdf.files import DECODED, Truth, write_asip, write_raw, write_ready
from floelens.tests.plugin.io.rasters import NORTH, gcp_grid
from osgeo import gdal, ogr

NAMES = ("sar", "mwr", "ancillary_fine", "ancillary_coarse", "chart")


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> str:
    """Return an AI4Arctic raw file."""
    return write_raw(tmp_path_factory.mktemp("raw") / "scene.nc")


@pytest.fixture
def place(tmp_path) -> Path:
    """Return an empty folder for results."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def everything(path: str, folder: Path) -> ImportScene:
    return ImportScene(
        path,
        **{name: str(folder / f"{name}.tif") for name in NAMES},
        chart_polygons=str(folder / "polygons.gpkg"),
        summary=str(folder / "summary.json"),
    )


class Log(Silent):
    """Keeps what is said, and stops once `stop_at` is done."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.fractions: list[float] = []
        self._stop_at = stop_at

    def report(self, fraction: float, text: str = "") -> None:
        self.fractions.append(fraction)

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def cancelled(self) -> bool:
        return bool(self.fractions) and self.fractions[-1] >= self._stop_at


@pytest.fixture(scope="module")
def imported(raw, tmp_path_factory):
    """Return the folder of a complete import, its results and its log."""
    folder, log = tmp_path_factory.mktemp("imported"), Log()
    results = everything(raw, folder).run(log)
    return folder, results, log


def test_every_output_is_written_and_named(imported):
    folder, results, _ = imported
    assert {results[name.upper()] for name in NAMES} == {str(folder / f"{name}.tif") for name in NAMES}
    assert results["KIND"] == "AI4Arctic raw NetCDF"
    assert results["SCENE_NAME"].startswith("S1A_EW_GRDM_1SDH_20180124T194759")
    assert results["START_TIME"] == "2018-01-24T19:47:59Z"
    assert results["CHANNELS_MISSING"] == ""
    assert all(isinstance(value, (str, int, float)) for value in results.values())


def test_rasters_hold_the_values_the_place_and_their_origin(imported):
    folder, _, _ = imported
    truth = Truth()
    with open_raster(folder / "sar.tif") as raster:
        assert raster.names == ("hh", "hv", "incidence_angle")
        np.testing.assert_array_equal(raster.read([1], Grid.from_raster(raster).window)[0], truth.hh)
        assert raster.tags["start_time"] == "2018-01-24T19:47:59Z"
        assert "centre of pixel i" in raster.tags["FLOELENS_PIXEL_CONVENTION"]
        assert raster.dataset.units[0] == "dB"
        grid = Grid.from_raster(raster)
    np.testing.assert_allclose(grid.lonlat_to_pixel(*truth.lonlat(100.0, 30.0)), (100, 30), atol=0.1)
    with open_raster(folder / "chart.tif") as chart:
        assert chart.dataset.dtypes == ("uint8",) * 3
        assert chart.dataset.nodata == 255
        assert chart.dataset.tags(2)["CLASS_4"] == "thick first-year ice"
        values = chart.dataset.read()
    here = truth.polygons == 29
    assert [set(np.unique(band[here])) for band in values] == [{value} for value in DECODED[29]]


def test_polygons_have_all_codes_and_the_area_of_their_pixels(imported):
    folder, _, _ = imported
    truth = Truth()
    source = ogr.Open(str(folder / "polygons.gpkg"))
    layer = source.GetLayer()
    found = {}
    for feature in layer:
        geometry = feature.GetGeometryRef()
        assert geometry.IsValid()
        found[feature["poly_id"]] = (geometry.Area(), feature.items())
    assert sorted(found) == sorted(DECODED)
    assert found[29][1]["CF"] == "08-9"
    assert found[29][1]["SB"] == "93"
    assert found[29][1]["stage_of_development"] == "thick first-year ice"
    assert found[29][1]["concentration_percent"] == 100
    # Areas in the plane of the map: that of a pixel there, times the number of pixels.
    grid = Grid.from_file(folder / "sar.tif")
    x, y = grid.pixel_to_map([0, 0, grid.rows, grid.rows], [0, grid.cols, grid.cols, 0])
    pixel = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 / truth.polygons.size
    for number, (area, _) in found.items():
        assert area == pytest.approx(pixel * (truth.polygons == number).sum(), rel=0.01)
    assert read_polygons(folder / "polygons.gpkg").crs


def test_polygons_lie_on_their_pixels(imported):
    folder, _, _ = imported
    truth = Truth()
    grid = Grid.from_file(folder / "sar.tif")
    source = ogr.Open(str(folder / "polygons.gpkg"))
    shapes = {f["poly_id"]: f.GetGeometryRef().Clone() for f in source.GetLayer()}
    random = np.random.default_rng(0)
    row, col = random.integers(0, truth.rows, 300), random.integers(0, truth.cols, 300)
    x, y = grid.pixel_to_map(row + 0.5, col + 0.5)
    for i, j, east, north in zip(row, col, x, y):
        point = ogr.Geometry(ogr.wkbPoint)
        point.AddPoint_2D(float(east), float(north))
        inside = [number for number, shape in shapes.items() if shape.Contains(point)]
        assert inside == ([truth.polygons[i, j]] if truth.polygons[i, j] else [])


def test_the_summary_tells_what_was_found(imported):
    folder, _, log = imported
    facts = json.loads((folder / "summary.json").read_text())
    assert facts["channels"]["missing"] == []
    assert "btemp_89_0v" in facts["channels"]["found"]
    assert facts["start_time"] == "2018-01-24T19:47:59Z"
    assert facts["bands"]["sar"]["hh"]["valid_share"] == pytest.approx(1 - 4 / 270, abs=1e-5)
    assert facts["bands"]["mwr"]["btemp_6_9h"]["valid_share"] == pytest.approx(1 - 1 / 20, abs=1e-5)
    assert facts["chart_polygons"] == {"polygons": 4, "mended": 0}
    assert facts["pixel_size_m"] == pytest.approx(40, abs=0.5)
    assert facts["extent"]["west"] < -35.2 < facts["extent"]["east"]
    said = " ".join(log.lines)
    assert all(text in said for text in ("AI4Arctic raw", "Channels found: hh", "Valid pixels of SAR", "°"))
    assert log.fractions == sorted(log.fractions)
    assert log.fractions[-1] == 1.0


def test_styles_show_the_wmo_colours_and_drive_the_temporal_controller(imported):
    folder, _, _ = imported
    for stem in ("sar", "mwr", "chart", "ancillary_fine", "ancillary_coarse"):
        assert "2018-01-24T19:47:59Z" in (folder / f"{stem}.qml").read_text()
    assert "9/10 to 10/10" in (folder / "chart.qml").read_text()
    stage = (folder / "chart_stage_of_development.qml").read_text()
    assert 'band="2"' in stage
    assert "old ice" in stage
    assert "#b46432" in stage
    assert 'band="3"' in (folder / "chart_floe_size.qml").read_text()
    assert "concentration" in (folder / "polygons.qml").read_text()


def test_a_display_copy_and_a_footprint_that_overlie(raw, place):
    truth = Truth()
    job = ImportScene(raw, display=str(place / "display.tif"), footprint=str(place / "footprint.gpkg"))
    results = job.run(Silent())
    assert set(results) >= {"DISPLAY", "FOOTPRINT"}
    assert "SAR" not in results
    assert {path.name for path in place.iterdir()} == {
        "display.tif",
        "display.qml",
        "footprint.gpkg",
        "footprint.qml",
    }
    assert "2018-01-24T19:47:59Z" in (place / "footprint.qml").read_text()
    with open_raster(place / "display.tif") as raster:
        grid = Grid.from_raster(raster)
        assert grid.transform is not None
        assert raster.names[0] == "hh"
        values = raster.read([1], grid.window)[0]
    assert np.isfinite(values).sum() == pytest.approx(truth.rows * (truth.cols - 4), rel=0.05)
    outline = ogr.CreateGeometryFromWkb(read_polygons(place / "footprint.gpkg").wkb[0]).Buffer(100)
    x, y = grid.pixel_to_map(*(np.argwhere(np.isfinite(values))[::97] + 0.5).T)
    for east, north in zip(x, y):
        point = ogr.Geometry(ogr.wkbPoint)
        point.AddPoint_2D(float(east), float(north))
        assert outline.Contains(point)
    both = replace(job, sar=str(place / "sar.tif"), display=str(place / "again.tif"))
    both.run(Silent())
    assert (place / "again.tif").read_bytes() == (place / "display.tif").read_bytes()


def test_the_same_file_gives_the_same_bytes(raw, imported, place):
    folder, _, _ = imported
    everything(raw, place).run(Silent())
    assert sorted(p.name for p in place.iterdir()) == sorted(p.name for p in folder.iterdir())
    for path in place.iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_only_what_is_asked_for_is_written(raw, place):
    ImportScene(raw, chart=str(place / "chart.tif")).run(Silent())
    assert {path.suffix for path in place.iterdir()} == {".tif", ".qml"}
    assert {path.name.split(".")[0].split("_")[0] for path in place.iterdir()} == {"chart"}


@pytest.mark.parametrize(
    ("drop", "asked", "sentence"),
    [
        (MWR_CHANNELS, "mwr", "holds no AMSR2 brightness temperatures"),
        (("polygon_icechart",), "chart", "holds no ice chart as a raster"),
        (("polygon_codes",), "chart_polygons", "holds no ice chart as polygons"),
        (("distance_map",), "ancillary_fine", "holds no ancillary field"),
    ],
)
def test_what_the_file_does_not_hold_cannot_be_asked_for(tmp_path, place, drop, asked, sentence):
    path = write_raw(tmp_path / "scene.nc", drop=drop)
    suffix = ".gpkg" if asked.endswith("polygons") else ".tif"
    with pytest.raises(SceneError, match=sentence) as caught:
        ImportScene(path, sar=str(place / "sar.tif"), **{asked: str(place / f"out{suffix}")}).run(Silent())
    assert asked.upper() in str(caught.value)
    assert "SAR" in str(caught.value)
    assert list(place.iterdir()) == []


def test_missing_amsr2_is_a_warning_where_mwr_was_not_asked_for(tmp_path, place):
    log = Log()
    path = write_raw(tmp_path / "scene.nc", drop=MWR_CHANNELS)
    results = ImportScene(path, sar=str(place / "sar.tif")).run(log)
    assert any("holds no AMSR2" in text for text in log.warnings)
    assert results["CHANNELS_MISSING"].split(", ") == list(MWR_CHANNELS)


def test_nothing_to_write_and_amsr2_without_mwr_are_told(raw, place):
    with pytest.raises(ParameterError, match="Nothing to write"):
        ImportScene(raw).run(Silent())
    with pytest.raises(ParameterError, match="MWR is not asked for"):
        ImportScene(raw, amsr2=("a.h5",), sar=str(place / "sar.tif")).run(Silent())


@pytest.mark.parametrize("stop_at", [0.0, 0.3, 0.87])
def test_cancel_leaves_nothing(raw, place, stop_at):
    with pytest.raises(Cancelled):
        everything(raw, place).run(Log(stop_at))
    assert list(place.iterdir()) == []


def test_a_truncated_file_leaves_nothing(raw, tmp_path, place):
    content = Path(raw).read_bytes()
    for share in (0.0, 0.3, 0.7, 0.95):
        path = tmp_path / "cut.nc"
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(SceneError, match=r"cut\.nc"):
            everything(str(path), place).run(Silent())
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("write", [write_ready, write_asip])
def test_the_other_kinds_are_imported_whole(tmp_path, place, write):
    truth = Truth(ratio=25, pixel=80.0) if write is write_ready else Truth()
    job = everything(write(tmp_path / "20180124T194759_scene.nc", truth), place)
    job = replace(job, chart_polygons=None) if write is write_ready else replace(job, ancillary_coarse=None)
    results = job.run(Silent())
    assert results["START_TIME"] == "2018-01-24T19:47:59Z"
    with open_raster(place / "mwr.tif") as raster:
        assert raster.names == MWR_CHANNELS


def test_gdal_s_own_warp_keeps_within_two_pixels_of_the_tie_points(tmp_path, place):
    truth = Truth(rows=900, cols=1100, pixel=400.0, place=(20.0, 80.0))  # as large as an EW scene
    path = write_raw(tmp_path / "scene.nc", truth)
    ImportScene(path, sar=str(place / "sar.tif")).run(Silent())
    grid = Grid.from_file(place / "sar.tif")
    from osgeo import gdal

    source = gdal.Open(str(place / "sar.tif"))
    transformer = gdal.Transformer(source, None, ["METHOD=GCP_TPS"])
    polynomial = gdal.Transformer(source, None, [])
    row, col = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 900, 9), np.linspace(0, 1100, 9)))
    x, y = grid.pixel_to_map(row, col)
    for pixel_row, pixel_col, east, north in zip(row, col, x, y):
        for method in (transformer, polynomial):
            _, (at_east, at_north, _) = method.TransformPoint(0, float(pixel_col), float(pixel_row))
            assert np.hypot(at_east - east, at_north - north) < 2 * truth.pixel


def test_how_far_qgis_draws_a_scene_off_its_tie_points_is_told(tmp_path, place):
    """The points of mountains lie off a smooth surface: GDAL's own warp misses them as the log says."""
    smooth = gcp_grid((15.0, 78.0), crs=NORTH)
    points = list(smooth.gcps)
    for number in (7, 12, 13, 14):
        points[number] = replace(points[number], x=points[number].x + 900.0 + 70.0 * number)
    rough = replace(smooth, gcps=tuple(points))
    raster = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "a.tif"), rough.cols, rough.rows, 1)
    raster.SetGCPs([gdal.GCP(p.x, p.y, 0, p.col, p.row) for p in points], rough.crs)
    transformer = gdal.Transformer(raster, None, [])
    misses = []
    for point in points:
        _, (x, y, _) = transformer.TransformPoint(0, point.col, point.row)
        misses.append(np.hypot(x - point.x, y - point.y) / rough.pixel_size())
    told = drawn_off(rough)
    assert told == {
        "mean": pytest.approx(np.mean(misses), abs=0.01),
        "maximum": pytest.approx(max(misses), abs=0.01),
    }
    assert told["maximum"] > 2 > drawn_off(smooth)["maximum"]
    assert drawn_off(Grid(10, 10, NORTH, transform=(80.0, 0, 0, 0, -80.0, 0))) is None
    note = drawing_note(
        {"qgis_draws_off_by_pixels": {"mean": 3.61, "maximum": 25.2}, "pixel_size_m": 40.0}, False
    )
    assert "3.6 pixels (144 m) in the mean and 25 (1008 m) at most" in note
    assert "ask for DISPLAY" in note
    assert drawing_note({"qgis_draws_off_by_pixels": drawn_off(smooth), "pixel_size_m": 40.0}, False) is None
    assert drawing_note({"qgis_draws_off_by_pixels": None}, True) is None


@pytest.mark.parametrize(
    ("place_", "west", "east", "north"),
    [
        ((179.9, 71.0), 179.0, -179.0, 71.3),
        ((30.0, 89.99), -180.0, 180.0, 90.0),
        ((15.0, 78.0), 14.0, 16.0, 78.3),
    ],
)
def test_the_extent_knows_the_antimeridian_and_the_pole(place_, west, east, north):
    extent = extent_of(gcp_grid(place_, crs=NORTH))
    assert extent["west"] == pytest.approx(west, abs=1.0)
    assert extent["east"] == pytest.approx(east, abs=1.0)
    assert extent["north"] == pytest.approx(north, abs=0.3)


def test_json_values_are_plain():
    assert plain({1: np.float32("nan"), "a": (np.int64(3), [np.bool_(True)])}) == {
        "1": None,
        "a": [3, [True]],
    }


def test_options_reach_the_reader(raw, place):
    job = ImportScene(raw, options=ImportOptions(decibels=False, multilook=2), sar=str(place / "sar.tif"))
    job.run(Silent())
    dataset = gdal.Open(str(place / "sar.tif"))
    assert (dataset.RasterYSize, dataset.RasterXSize) == (115, 135)
    assert np.nanmin(dataset.GetRasterBand(1).ReadAsArray()) > 0
    assert dataset.GetMetadataItem("FLOELENS_MULTILOOK") == "2"
