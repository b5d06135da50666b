"""The job that writes simulated scenes."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.simulation import CHANNELS, SimulatedScene, Surroundings
from floelens.plugin.ground.errors import Cancelled, ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.rasters.writer import Band, RasterWriter
from floelens.plugin.jobs.simulate import SimulateScene, projected_grid, tie_point_grid
from floelens.plugin.networks.standard_channels import WEATHER_CHANNELS
from pyproj import Geod


def job(folder: Path, **changes: object) -> SimulateScene:
    folder.mkdir(exist_ok=True)
    values = {
        "seed": 5,
        "rows": 260,
        "cols": 310,
        "center": (30.0, 79.0),
        "sar": str(folder / "sar.tif"),
        "mwr": str(folder / "mwr.tif"),
        "chart": str(folder / "chart.tif"),
    }
    return SimulateScene(**{**values, **changes})


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize("georeferencing", ["gcps", "projected"])
def test_a_scene_is_written_with_names_units_tags_and_one_geometry(tmp_path, georeferencing):
    made = job(tmp_path, georeferencing=georeferencing)
    results = made.run(Silent())
    assert results["SAR"] == made.sar
    assert results["RATIO"] == 25
    grid = made.grid()
    for path in (made.sar, made.chart):
        assert Grid.from_file(path).same_as(grid)
    coarse = Grid.from_file(made.mwr)
    assert coarse.same_as(grid.coarser(25))
    assert (coarse.rows, coarse.cols) == (11, 13)
    assert grid.nesting(coarse) is not None
    with rasterio.open(made.sar) as sar:
        assert sar.descriptions == ("hh", "hv")
        assert sar.units == ("dB", "dB")
        tags = sar.tags()
        assert tags["FLOELENS_SEED"] == "5"
        assert "Young ice" in tags["FLOELENS_ASSUMPTIONS"]
        assert tags["start_time"].endswith("Z")
        assert (sar.crs is not None) == (georeferencing == "projected")
    with rasterio.open(made.mwr) as mwr:
        assert mwr.descriptions == CHANNELS
        assert set(mwr.units) == {"K"}
        assert mwr.tags(1)["footprint_km"] == "35 x 62"
    with rasterio.open(made.chart) as chart:
        assert chart.descriptions == ("concentration", "icetype")
        assert chart.nodata == 255
        assert chart.dtypes[0] == "uint8"


def test_the_rasters_hold_the_simulated_scene(tmp_path):
    made = job(tmp_path)
    made.run(Silent())
    scene = SimulatedScene(5, 260, 310, 80.0)
    with open_raster(made.sar) as sar, open_raster(made.mwr) as mwr, open_raster(made.chart) as chart:
        np.testing.assert_array_equal(sar.read([1, 2], scene.window), scene.backscatter(scene.window))
        values = scene.brightness_temperature()
        cells = scene.window.coarser(25)
        np.testing.assert_array_equal(mwr.read(list(range(1, 15)), cells), values)
        expected = scene.chart(scene.window).astype(np.float32)
        expected[expected == 255] = np.nan
        np.testing.assert_array_equal(chart.read([1, 2], scene.window), expected)


def test_the_same_parameters_give_the_same_bytes(tmp_path):
    one, two = job(tmp_path / "a"), job(tmp_path / "b")
    one.run(Silent())
    two.run(Silent())
    for name in ("sar", "mwr", "chart"):
        assert digest(getattr(one, name)) == digest(getattr(two, name))


@pytest.mark.parametrize("center", [(30.0, 79.0), (-179.9, 75.0), (100.0, 89.9), (-45.0, -70.0)])
@pytest.mark.parametrize("make", [projected_grid, tie_point_grid])
def test_the_scene_lies_at_its_centre_with_its_pixel_size(make, center):
    grid = make(400, 500, 80.0, *center)
    lon, lat = grid.pixel_to_lonlat(200.0, 250.0)
    assert Geod(ellps="WGS84").inv(float(lon), float(lat), *center)[2] < 5.0
    # The polar plane is true at 70 degrees; at the pole it is 3 % off.
    assert grid.pixel_size() == pytest.approx(80.0, rel=0.035 if make is projected_grid else 1e-3)


def test_tie_points_are_a_mesh_turned_as_a_descending_pass():
    grid = tie_point_grid(1000, 1200, 80.0, 20.0, 70.0)
    assert len(grid.gcps) == 21 * 21
    assert grid.transform is None
    assert (grid.gcps[-1].row, grid.gcps[-1].col) == (1000.0, 1200.0)
    lon, lat = grid.pixel_to_lonlat(np.array([500.0, 510.0]), np.array([600.0, 600.0]))
    heading = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0] % 360.0
    # Rows run south by west: 180 degrees and the angle of the orbit, asin(0.1423 / cos 70°) = 24.6°.
    assert heading == pytest.approx(204.6, abs=0.3)
    lon, lat = grid.pixel_to_lonlat(np.array([500.0, 500.0]), np.array([600.0, 610.0]))
    look = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[0] % 360.0
    assert look == pytest.approx(294.6, abs=0.3)


def test_a_scene_can_follow_the_chart_of_another_on_that_charts_own_grid(tmp_path):
    first = job(tmp_path / "a", georeferencing="gcps")
    first.run(Silent())
    second = job(tmp_path / "b", seed=9, rows=10, cols=10, concentration=first.chart)
    results = second.run(Silent())
    assert (results["ROWS_WRITTEN"], results["COLS_WRITTEN"]) == (260, 310)
    assert Grid.from_file(second.sar).same_as(Grid.from_file(first.sar))
    window = Grid.from_file(first.chart).window
    with open_raster(first.chart) as one, open_raster(second.chart) as two, open_raster(second.sar) as sar:
        np.testing.assert_array_equal(two.read([1], window), one.read([1], window))
        unknown = np.isnan(one.read([1], window)[0])
        np.testing.assert_array_equal(np.isnan(sar.read([1], window)[0]), unknown)


def constant_chart(path: Path, value: float, pixel_size: float = 80.0, nodata: float = 255.0) -> str:
    grid = projected_grid(60, 60, pixel_size, 30.0, 79.0)
    with RasterWriter(path, grid, [Band("concentration", "%")], dtype="uint8", nodata=nodata) as raster:
        raster.write(np.full((1, 60, 60), value))
    return str(path)


def test_a_chart_without_any_concentration_is_refused_and_nothing_is_left(tmp_path):
    made = job(tmp_path / "out", concentration=constant_chart(tmp_path / "land.tif", 254))
    with pytest.raises(SceneError, match="no pixel from 0 to 100"):
        made.run(Silent())
    assert not list((tmp_path / "out").iterdir())


def test_a_chart_of_impossible_pixels_is_refused(tmp_path):
    made = job(tmp_path / "out", concentration=constant_chart(tmp_path / "coarse.tif", 50, pixel_size=25e3))
    with pytest.raises(SceneError, match="Resample the chart"):
        made.run(Silent())


class Impatient(Silent):
    """Stops after the first strip."""

    def __init__(self) -> None:
        self.asked = 0

    def cancelled(self) -> bool:
        self.asked += 1
        return self.asked > 1


def test_cancelling_leaves_no_file(tmp_path):
    with pytest.raises(Cancelled):
        job(tmp_path / "out").run(Impatient())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"center": (0.0, 95.0)}, "CENTER"),
        ({"georeferencing": "affine"}, "GEOREFERENCING"),
        ({"rows": 0}, "ROWS"),
        ({"pixel_size": 3.0}, "PIXEL_SIZE"),
        ({"sar": None, "mwr": None, "chart": None}, "Nothing to write"),
    ],
)
def test_impossible_parameters_are_told_in_a_sentence(tmp_path, changes, message):
    with pytest.raises(ParameterError, match=message):
        job(tmp_path / "out", **changes).run(Silent())


def test_only_what_was_asked_for_is_written(tmp_path):
    results = job(tmp_path / "out", sar=None, chart=None).run(Silent())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mwr.qml", "mwr.tif"]
    assert "SAR" not in results
    assert "CHART" not in results


def test_a_real_chart_keeps_its_points_and_its_datum(real_data):
    """The DMI chart lies on 483 points in EPSG:3411, whose datum GDAL likes to swap."""
    chart = next((real_data / "amsr2-on-s1-20190823").glob("*.tiff"))
    grid = Grid.from_file(chart)
    from floelens.plugin.core.simulation.scene import SimulatedScene as Scene
    from floelens.plugin.ground.window import Window
    from floelens.plugin.jobs.simulate import chart_reader

    with open_raster(chart) as given:
        read = chart_reader(given, Silent())
        scene = Scene(1, grid.rows, grid.cols, round(grid.pixel_size(), 1), chart=read)
        window = Window(1500, 2900, 300, 300)
        truth = read(window)
        sea = truth <= 100
        assert sea.mean() > 0.5
        ice = (scene.surface(window).classes[sea] != 0).mean()
        assert ice == pytest.approx(truth[sea].mean() / 100.0, abs=0.08)
    assert "6378273" in grid.crs


def test_a_scene_that_follows_a_dated_chart_is_of_its_time(tmp_path):
    chart = tmp_path / "chart_20190823T033023.tif"
    SimulateScene(seed=3, rows=100, cols=100, chart=str(chart)).run(Silent())
    with rasterio.open(chart, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        raster.update_tags(start_time="")
    results = SimulateScene(seed=4, concentration=str(chart), sar=str(tmp_path / "sar.tif")).run(Silent())
    assert results["START_TIME"] == "2019-08-23T03:30:23Z"


def test_the_time_it_takes_is_estimated_when_two_strips_are_made(tmp_path):
    class Log(Silent):
        def __init__(self):
            self.said, self.reports = [], 0

        def message(self, text):
            self.said.append((text, self.reports))

        def report(self, fraction, text=""):
            self.reports += 1

    log = Log()
    sar, chart = tmp_path / "sar.tif", tmp_path / "chart.tif"
    start = time.perf_counter()
    SimulateScene(rows=1000, cols=400, sar=str(sar), chart=str(chart)).run(log)
    took = time.perf_counter() - start
    (told, reports), *others = log.said
    assert not others
    assert reports == 1
    seconds = float(re.fullmatch(r"Simulating: estimated time (\d+) s, from the second strip\.", told)[1])
    assert 0.3 * took - 1 <= seconds <= 3 * took + 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chart.qml", "chart.tif", "sar.qml", "sar.tif"]


def test_ancillary_channels_lie_on_both_grids_and_change_nothing_else(tmp_path):
    plain, made = (
        job(tmp_path / "plain"),
        job(tmp_path / "more", ancillary_fine=str(tmp_path / "more" / "fine.tif")),
    )
    made = dataclasses.replace(made, ancillary_coarse=str(tmp_path / "more" / "weather.tif"))
    plain.run(Silent())
    results = made.run(Silent())
    for name in ("sar", "mwr", "chart"):
        assert digest(getattr(plain, name)) == digest(getattr(made, name))
    with (
        rasterio.open(results["ANCILLARY_FINE"]) as fine,
        rasterio.open(results["ANCILLARY_COARSE"]) as coarse,
    ):
        assert fine.descriptions == ("incidence_angle", "distance_map")
        assert coarse.descriptions == WEATHER_CHANNELS
        assert coarse.units == ("m/s", "m/s", "K", "K", "kg/m2", "kg/m2")
        around = Surroundings(SimulatedScene(5, 260, 310, 80.0))
        np.testing.assert_array_equal(coarse.read(), around.weather())
        np.testing.assert_array_equal(fine.read(), around.fine(Window(0, 0, 260, 310)))
    assert Grid.from_file(made.ancillary_fine).same_as(made.grid())
    assert Grid.from_file(made.ancillary_coarse).same_as(Grid.from_file(made.mwr))
