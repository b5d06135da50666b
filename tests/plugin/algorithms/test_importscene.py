"""The algorithm that imports a scene: from Python and on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.tests.plugin.io.formats.netcdf.files import write_raw
from floelens.tools.headless import results
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsRasterLayer, QgsVectorLayer


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


@pytest.fixture
def run(provider, context):
    """Return a function that runs the algorithm as QGIS does."""

    def call(**parameters) -> dict:
        algorithm = provider.algorithm("importscene").create()
        ok, message = algorithm.checkParameterValues(parameters, context)
        if not ok:
            raise QgsProcessingException(message)
        found, ok = algorithm.run(parameters, context, QgsProcessingFeedback(), {}, False)
        assert ok
        return found

    return call


def test_a_scene_becomes_layers_with_their_styles(run, raw, place):
    paths = {name: str(place / f"{name.lower()}.tif") for name in ("SAR", "MWR", "CHART")}
    found = run(
        INPUT=raw, **paths, CHART_POLYGONS=str(place / "polygons.gpkg"), SUMMARY=str(place / "found.json")
    )
    assert {name: found[name] for name in paths} == paths
    assert found["SCENE_NAME"].startswith("S1A_EW_GRDM")
    chart = QgsRasterLayer(paths["CHART"], "chart")
    assert chart.renderer().type() == "singlebandpseudocolor"
    chart.loadDefaultStyle()  # as when QGIS loads a result
    period = chart.temporalProperties().fixedTemporalRange()
    assert chart.temporalProperties().isActive()
    assert period.begin().toString("yyyy-MM-ddTHH:mm:ss") == "2018-01-24T19:47:59"
    polygons = QgsVectorLayer(str(place / "polygons.gpkg"), "polygons", "ogr")
    assert polygons.featureCount() == 4
    assert polygons.renderer().type() == "categorizedSymbol"


def test_styles_of_the_other_bands_load(run, raw, place):
    run(INPUT=raw, CHART=str(place / "chart.tif"))
    layer = QgsRasterLayer(str(place / "chart.tif"), "chart")
    message, ok = layer.loadNamedStyle(str(place / "chart_stage_of_development.qml"))
    assert ok, message
    assert layer.renderer().type() == "paletted"
    assert layer.renderer().band() == 2
    assert "old ice" in {entry.label for entry in layer.renderer().classes()}


def test_qgis_places_the_scene_within_two_pixels_of_its_tie_points(run, raw, place):
    """QGIS shows a raster of ground control points through a warped copy: its corners have to fit."""
    run(INPUT=raw, SAR=str(place / "sar.tif"))
    layer = QgsRasterLayer(str(place / "sar.tif"), "sar")
    grid = Grid.from_file(place / "sar.tif")
    x, y = grid.pixel_to_map([0, 0, grid.rows, grid.rows], [0, grid.cols, grid.cols, 0])
    assert layer.crs().postgisSrid() == 3413
    extent = layer.extent()
    shown = (extent.xMinimum(), extent.xMaximum(), extent.yMinimum(), extent.yMaximum())
    assert shown == pytest.approx((x.min(), x.max(), y.min(), y.max()), abs=2 * grid.pixel_size())


def test_an_output_that_the_file_cannot_fill_is_refused(run, tmp_path, place):
    path = write_raw(tmp_path / "scene.nc", drop=MWR_CHANNELS)
    with pytest.raises(QgsProcessingException, match=r"holds no AMSR2 brightness temperatures.*MWR empty"):
        run(INPUT=path, SAR=str(place / "sar.tif"), MWR=str(place / "mwr.tif"))
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"INPUT": "/no/where.nc"}, "INPUT: there is no file /no/where.nc"),
        ({"UNITS": "watt"}, "UNITS is 'watt'; it must be one of: db, linear"),
        ({"SCENE": "/no/where.tif"}, "SCENE: there is no file"),
        ({"INPUT": __file__}, "is in no format that is known here"),
        ({"MULTILOK": 2}, "Unknown parameter MULTILOK. Did you mean MULTILOOK?"),
    ],
)
def test_bad_input_is_one_sentence(run, raw, place, changes, sentence):
    with pytest.raises(QgsProcessingException) as caught:
        run(**{"INPUT": raw, "SAR": str(place / "sar.tif"), **changes})
    assert sentence in str(caught.value)
    assert list(place.iterdir()) == []


def test_cancel_leaves_nothing(provider, context, raw, place):
    feedback = QgsProcessingFeedback()
    feedback.progressChanged.connect(lambda percent: feedback.cancel() if percent > 0 else None)
    algorithm = provider.algorithm("importscene").create()
    with pytest.raises(QgsProcessingException, match="Stopped"):
        algorithm.run({"INPUT": raw, "SAR": str(place / "sar.tif")}, context, feedback, {}, False)
    assert list(place.iterdir()) == []


def test_the_command_line_gives_the_same_bytes_as_python(qgis_process, run, raw, tmp_path):
    qgis = replace(qgis_process, variables={"OMP_NUM_THREADS": "1"})
    files = {
        "SAR": "sar.tif",
        "MWR": "mwr.tif",
        "CHART": "chart.tif",
        "CHART_POLYGONS": "chart_polygons.gpkg",
    }
    folders = {name: tmp_path / name for name in ("command", "python")}
    for folder in folders.values():
        folder.mkdir()
    made = {
        name: {key: str(folder / file) for key, file in files.items()} for name, folder in folders.items()
    }
    done = qgis.run("floelens:importscene", INPUT=raw, UNITS="linear", **made["command"])
    assert results(done)["KIND"] == "AI4Arctic raw NetCDF"
    assert "Channels found: hh, hv" in done.stdout
    run(INPUT=raw, UNITS="linear", **made["python"])
    for path in folders["command"].iterdir():
        assert path.read_bytes() == (folders["python"] / path.name).read_bytes(), path.name


def test_a_truncated_file_on_the_command_line_is_one_sentence_and_exit_code_1(
    qgis_process, raw, tmp_path, place
):
    path = tmp_path / "cut.nc"
    path.write_bytes(Path(raw).read_bytes()[:200_000])
    done = qgis_process.run("floelens:importscene", INPUT=path, SAR=place / "sar.tif")
    assert done.returncode == 1
    assert "cut.nc" in done.stdout + done.stderr
    assert "damaged or truncated" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert list(place.iterdir()) == []
