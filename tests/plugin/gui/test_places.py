"""*Explain a place*: a click is a question, an answer is text, bars and layers, and nothing is left behind."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.simulate import SimulateScene
from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY, QgsProject, QgsRasterLayer
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QMainWindow


@pytest.fixture
def desktop(provider):
    """Return what the plugin needs of a desktop: a window, a map, and a message bar that keeps what it is given."""
    window, canvas, warnings = QMainWindow(), QgsMapCanvas(), []
    canvas.resize(400, 400)
    bar = SimpleNamespace(pushWarning=lambda _title, text: warnings.append(text))
    yield SimpleNamespace(
        mapCanvas=lambda: canvas,
        mainWindow=lambda: window,
        messageBar=lambda: bar,
        addDockWidget=lambda _area, dock: window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock),
        removeDockWidget=window.removeDockWidget,
        warnings=warnings,
    )
    QgsProject.instance().clear()


@pytest.fixture
def places(desktop, tmp_path):
    """Return *Explain a place* over a simulated scene whose layers are in the project, radiometry first."""
    from floelens.plugin.gui.places import Places

    paths = {name: str(tmp_path / f"{name}.tif") for name in ("sar", "mwr", "chart")}
    SimulateScene(seed=5, rows=200, cols=200, center=(20.0, 79.0), **paths).run(Silent())
    for name in ("mwr", "chart", "sar"):
        QgsProject.instance().addMapLayer(QgsRasterLayer(paths[name], name))
    crs = QgsCoordinateReferenceSystem("EPSG:4326")
    desktop.mapCanvas().setDestinationCrs(crs)
    places = Places(desktop)
    places.dock.fill()
    places.dock.model.setCurrentText("aspp-icetype-sim")
    places.paths = paths
    yield places
    places.close()


def waited(places, answers: list, seconds: float = 60.0) -> None:
    """Let Qt work until something is answered or refused."""
    places.worker.answered.connect(answers.append)
    places.worker.failed.connect(answers.append)
    end = time.monotonic() + seconds
    while not answers and time.monotonic() < end:
        QApplication.processEvents()
    assert answers, "nothing was answered"


def middle(places) -> QgsGeometry:
    with rasterio.open(places.paths["sar"]) as raster:
        points, _ = raster.gcps
    x, y = np.mean([(point.x, point.y) for point in points], axis=0)
    layer = QgsProject.instance().mapLayersByName("sar")[0]
    from qgis.core import QgsCoordinateTransform

    to_map = QgsCoordinateTransform(
        QgsCoordinateReferenceSystem(layer.crs()),
        QgsCoordinateReferenceSystem("EPSG:4326"),
        QgsProject.instance(),
    )
    return QgsGeometry.fromPointXY(to_map.transform(QgsPointXY(x, y)))


def test_the_layers_that_fit_are_chosen_by_the_names_of_their_bands(places):
    choice = places.dock.choice()
    assert (choice.sar, choice.mwr, choice.labels) == (places.paths["sar"], places.paths["mwr"], "")


def test_an_answer_is_shown_as_text_bars_layers_and_circles(places):
    answers: list = []
    places.ask(middle(places))
    waited(places, answers)
    answer = answers[0].answer
    dock = places.dock
    assert answer.mapped.name in dock.headline.text()
    assert answer.contrast.target.lower() in dock.reasons.text().lower()
    assert set(answer.groups["sensor"]) == {"sar", "mwr"}
    assert dock.bars.accessibleName().startswith(("SAR ", "radiometry "))  # called as in the sentences
    (history,) = QgsProject.instance().mapLayersByName("Explained places")
    (feature,) = history.getFeatures()
    assert feature["maps"] == answer.mapped.name
    assert feature["sentences"].startswith(dock.where.text())
    assert len(places.marks.footprints) == len(answer.footprints) == 7
    (overlay,) = QgsProject.instance().mapLayersByName("Relevance around the place")
    assert overlay.bandCount() == 3
    places.close()
    assert not QgsProject.instance().mapLayersByName("Relevance around the place")


def test_only_the_newest_of_several_questions_is_answered(places):
    answers: list = []
    for _ in range(5):
        places.ask(middle(places))
    waited(places, answers)
    QTest.qWait(200)
    assert len(answers) == 1
    assert len(list(QgsProject.instance().mapLayersByName("Explained places")[0].getFeatures())) == 1


def test_a_place_off_the_scene_is_refused_in_a_sentence_and_the_next_one_answered(places):
    answers: list = []
    places.ask(QgsGeometry.fromPointXY(QgsPointXY(100.0, 10.0)))
    waited(places, answers)
    assert "outside of the scene" in places.dock.status.text()
    answers.clear()
    places.ask(middle(places))
    waited(places, answers)
    assert not isinstance(answers[0], str)


def test_a_click_is_a_point_and_a_drag_a_box(desktop):
    from floelens.plugin.gui.place_tool import PlaceTool

    chosen: list = []
    canvas = desktop.mapCanvas()
    canvas.setMapTool(tool := PlaceTool(canvas, chosen.append))
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(canvas.viewport(), left, none, QPoint(100, 100))
    QTest.mousePress(canvas.viewport(), left, none, QPoint(100, 100))
    QTest.mouseRelease(canvas.viewport(), left, none, QPoint(160, 140))
    QTest.mouseClick(canvas.viewport(), Qt.MouseButton.RightButton, none, QPoint(100, 100))
    point, box = chosen
    assert point.asPoint() == tool.toMapCoordinates(QPoint(100, 100))
    corners = {(p.x(), p.y()) for p in box.vertices()}
    one, two = tool.toMapCoordinates(QPoint(100, 100)), tool.toMapCoordinates(QPoint(160, 140))
    assert corners == {(a.x(), b.y()) for a in (one, two) for b in (one, two)}


def test_polygons_of_land_are_read_from_their_layer_of_a_file(places, tmp_path):
    import numpy as np
    from floelens.plugin.gui.place_worker import _Opened, _Waited
    from floelens.plugin.io.geometry.vector import polygon_wkb, write_polygons
    from qgis.core import QgsVectorLayer

    path = tmp_path / "coast.gpkg"
    ring = np.array([(19.0, 78.0), (19.5, 78.0), (19.5, 78.5), (19.0, 78.0)])
    write_polygons(path, [polygon_wkb([ring])], "EPSG:4326", {"name": ["coast"]})
    layer = QgsVectorLayer(str(path), "coast", "ogr")
    QgsProject.instance().addMapLayer(layer)
    places.dock.land.setLayer(layer)
    choice = places.dock.choice()
    assert (choice.land, choice.land_is_polygons) == (str(path), True)
    state = _Opened()
    state.open(choice, _Waited(places.worker, 0))
    assert state.loaded.scene.has_land
    state.close()
