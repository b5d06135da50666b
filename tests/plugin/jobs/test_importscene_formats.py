"""One job imports every format: Sentinel-1, AMSR2 over a scene, and ice charts, told apart by content."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.jobs.importscene import ImportScene
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.amsr2.granules import Granule, smooth_field
from floelens.tests.plugin.io.formats.cf.gridded import LEFT, POLAR, TOP, field, write_map
from floelens.tests.plugin.io.formats.chart.files import write_chart, write_scene, write_zip
from floelens.tests.plugin.io.formats.netcdf.files import Truth, write_raw
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe, zip_safe
from pyproj import Transformer


class Log(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.fractions: list[float] = []

    def report(self, fraction: float, text: str = "") -> None:
        self.fractions.append(fraction)

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def place(tmp_path) -> Path:
    """Return an empty folder for results."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def test_a_sentinel_1_product_and_an_amsr2_swath_become_a_pair(tmp_path, place):
    log = Log()
    manifest = make_safe(tmp_path, rows=400, cols=500, size=80.0)
    swath = Granule(smooth_field(), middle=(15.0, 78.0), scans=30).write(tmp_path / "swath.h5")
    results = ImportScene(
        str(manifest),
        amsr2=(str(swath),),
        sar=str(place / "sar.tif"),
        mwr=str(place / "mwr.tif"),
        summary=str(place / "found.json"),
    ).run(log)
    assert results["KIND"] == "Sentinel-1 GRD"
    with open_raster(place / "sar.tif") as sar, open_raster(place / "mwr.tif") as mwr:
        assert sar.names == ("hh", "hv", "incidence_angle")
        assert mwr.names == (*MWR_CHANNELS, "amsr2_delay")
        assert Grid.from_raster(sar).nesting(Grid.from_raster(mwr)) is not None
        assert mwr.tags["FLOELENS_AMSR2"] == "swath.h5"
        assert mwr.tags["FLOELENS_AMSR2_LEVEL"] == "L1B"
        assert mwr.tags["start_time"] == sar.tags["start_time"] == "2019-08-23T04:30:12Z"
        assert "FLOELENS_AMSR2" not in sar.tags
        low, high = (float(text) for text in mwr.tags["amsr2_delay_s"].split(".."))
        delay = mwr.read([15], Grid.from_raster(mwr).window)[0]
        assert (round(float(delay.min())), round(float(delay.max()))) == (low, high)
    facts = json.loads((place / "found.json").read_text())
    assert facts["bands"]["mwr"]["btemp_89_0v"]["valid_share"] > 0
    assert facts["start_time"] == "2019-08-23T04:30:12Z"
    assert facts["channels"] == {
        "found": ["hh", "hv", "incidence_angle", *MWR_CHANNELS],
        "missing": [],
    }
    assert any("Delay of AMSR2" in line and "AMSR2 minus SAR" in line for line in log.lines)
    assert any(line.startswith("Channels found: hh, hv") for line in log.lines)
    assert log.fractions == sorted(log.fractions)
    assert log.fractions[-1] == 1.0


def test_a_zip_of_a_sentinel_1_product_is_recognised(tmp_path, place):
    archive = zip_safe(make_safe(tmp_path))
    results = ImportScene(str(archive), sar=str(place / "sar.tif")).run(Silent())
    assert results["KIND"] == "Sentinel-1 GRD"
    assert results["START_TIME"]


def test_amsr2_of_other_files_takes_the_place_of_the_scene_s_own(tmp_path, place):
    truth = Truth(rows=400, cols=500, pixel=80.0, ratio=50, place=(15.0, 78.0))
    swath = Granule(smooth_field(), middle=(15.0, 78.0), scans=30).write(tmp_path / "swath.h5")
    path = write_raw(tmp_path / "scene.nc", truth)
    log = Log()
    ImportScene(path, amsr2=(str(swath),), mwr=str(place / "mwr.tif"), summary=str(place / "s.json")).run(log)
    facts = json.loads((place / "s.json").read_text())
    assert any("those of AMSR2 are written instead" in text for text in facts["warnings"])
    assert any(line.startswith("The file gives SAR, ANCILLARY_FINE,") for line in log.lines)
    with open_raster(place / "mwr.tif") as raster:
        values = raster.read([1], Grid.from_raster(raster).window)[0]
    assert not np.allclose(np.nanmean(values), np.nanmean(truth.brightness("btemp_6_9h")), atol=0.5)


def test_an_ice_chart_gives_polygons_and_on_a_scene_s_grid_a_raster(tmp_path, place):
    chart = write_zip(tmp_path / "chart.imz", write_chart(tmp_path / "chart.shp"))
    scene = write_scene(tmp_path / "scene.tif")
    results = ImportScene(
        str(chart),
        options=ImportOptions(scene=str(scene)),
        chart=str(place / "chart.tif"),
        chart_polygons=str(place / "polygons.gpkg"),
        summary=str(tmp_path / "found.json"),
    ).run(Silent())
    with open_raster(place / "chart.tif") as raster:
        values = raster.dataset.read(1)
    said = json.loads((tmp_path / "found.json").read_text())["bands"]["chart"]["concentration"]
    assert said["valid_share"] == pytest.approx((values <= 100).mean(), abs=1e-6)
    assert said["land_share"] == pytest.approx((values == 254).mean(), abs=1e-6)
    assert said["land_share"] > 0
    assert said["maximum"] == 100
    assert "ice chart" in results["KIND"]
    assert "E" in results["EXTENT"]
    assert Grid.from_file(place / "chart.tif").same_as(Grid.from_file(scene))
    assert {path.suffix for path in place.iterdir()} == {".tif", ".gpkg", ".qml"}


def test_an_ice_chart_without_a_scene_has_no_raster_and_no_radar(tmp_path, place):
    chart = write_chart(tmp_path / "chart.shp")
    with pytest.raises(SceneError, match=r"holds no radar backscatter.*Leave SAR empty"):
        ImportScene(str(chart), sar=str(place / "sar.tif")).run(Silent())
    with pytest.raises(SceneError, match=r"name the raster on whose grid the chart is to be laid in SCENE"):
        ImportScene(str(chart), chart=str(place / "chart.tif")).run(Silent())
    ImportScene(str(chart), chart_polygons=str(place / "polygons.gpkg")).run(Silent())
    assert sorted(path.name for path in place.iterdir()) == ["polygons.gpkg", "polygons.qml"]


def test_a_real_chart_is_imported(real_data, place):
    chart, log = next((real_data / "dmi-ice-chart-sigrid3").glob("*.imz")), Log()
    ImportScene(str(chart), chart_polygons=str(place / "c.gpkg"), summary=str(place / "c.json")).run(log)
    facts = json.loads((place / "c.json").read_text())
    assert facts["polygons"] == 74
    assert facts["interval_concentrations"] == 25
    assert any("74 polygons; 25 with an interval as concentration" in line for line in log.lines)


def test_a_damaged_swath_is_told_before_a_library_opens_it(tmp_path, place):
    swath = Path(Granule(smooth_field(), middle=(15.0, 78.0), scans=30).write(tmp_path / "swath.h5"))
    content = bytearray(swath.read_bytes())
    content[content.find(b"OHDR") + 12] ^= 1
    swath.write_bytes(content)
    scene = write_raw(tmp_path / "scene.nc", Truth(place=(15.0, 78.0)))
    for job in (
        ImportScene(str(swath), mwr=str(place / "mwr.tif")),
        ImportScene(scene, amsr2=(str(swath),), mwr=str(place / "mwr.tif")),
    ):
        with pytest.raises(SceneError, match=r"swath\.h5 is damaged or truncated \(the checksum"):
            job.run(Silent())
    assert list(place.iterdir()) == []


def test_a_single_polarisation_says_which_channel_is_missing(tmp_path, place):
    results = ImportScene(str(make_safe(tmp_path, pols=("hh",))), sar=str(place / "sar.tif")).run(Silent())
    assert (results["CHANNELS_FOUND"], results["CHANNELS_MISSING"]) == ("hh, incidence_angle", "hv")


def test_outputs_that_a_chart_cannot_fill_are_named_as_they_were_asked_for(tmp_path, place):
    chart = write_chart(tmp_path / "chart.shp")
    with pytest.raises(
        SceneError, match=r"no raster to outline; it gives CHART_POLYGONS. Leave FOOTPRINT em"
    ):
        ImportScene(str(chart), footprint=str(place / "foot.gpkg")).run(Silent())
    with pytest.raises(SceneError, match=r"holds no radar backscatter; .* Leave DISPLAY empty"):
        ImportScene(str(chart), display=str(place / "display.tif")).run(Silent())
    assert list(place.iterdir()) == []


def test_a_concentration_is_no_brightness_temperature_and_looks_like_ice(real_data, tmp_path, place):
    sic = sorted((real_data / "amsr2-sic-nsidc0803").glob("*_N_*.nc"))[0]
    scene = write_raw(tmp_path / "scene.nc", Truth(place=(15.0, 78.0)))
    with pytest.raises(SceneError, match=r"holds no AMSR2 brightness temperatures\. Give swaths"):
        ImportScene(scene, amsr2=(str(sic),), mwr=str(place / "mwr.tif")).run(Silent())
    assert list(place.iterdir()) == []
    results = ImportScene(str(sic), ancillary_coarse=str(place / "ice.tif")).run(Silent())
    assert results["ANCILLARY_COARSE_TITLE"] == "Sea-ice concentration"
    assert "9/10 to 10/10" in (place / "ice.qml").read_text()


def test_radiometry_has_the_time_of_its_own_file_and_never_that_of_the_scene(tmp_path, place):
    def hours(dataset):
        dataset.createDimension("time", 1)
        time = dataset.createVariable("time", "f8", ("time",))
        time.units = "hours since 2018-03-15 00:00"
        time[:] = 6.5

    manifest = make_safe(tmp_path, rows=60, cols=80)
    with open_raster(ImportScene(str(manifest), sar=str(place / "sar.tif")).run(Silent())["SAR"]) as raster:
        seen = Grid.from_raster(raster)
    east, north = Transformer.from_crs(seen.crs, 3413, always_xy=True).transform(
        *seen.pixel_to_map(30.0, 40.0)
    )
    mapping = {**POLAR, "false_easting": LEFT + 45_000 - east, "false_northing": TOP - 35_000 - north}
    field3 = {"btemp_36_5v": field()[None]}
    cases = (
        ("dated.nc", {"channels": field3, "more": hours}, "2018-03-15T06:30:00Z"),
        ("asi-AMSR2-n6250-20180316-v5.4.nc", {}, "2018-03-16"),
        ("silent.nc", {}, None),
    )
    for name, change, expected in cases:
        grid = write_map(tmp_path / name, mapping=mapping, **change)
        for source, parameters in (
            (grid, {"options": ImportOptions(scene=str(place / "sar.tif"))}),
            (str(manifest), {"amsr2": (grid,)}),
        ):
            log = Log()
            ImportScene(source, mwr=str(place / "mwr.tif"), **parameters).run(log)
            with open_raster(place / "mwr.tif") as raster:
                assert raster.tags.get("start_time") == expected
            assert any("does not say when it was measured" in line for line in log.warnings) == (
                expected is None
            )
