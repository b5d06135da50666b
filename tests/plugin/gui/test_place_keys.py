"""*Explain a place* by keys, polygons, selected features and the list of similar places."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from floelens.plugin.gui import places as module
from floelens.plugin.gui.place_dock import CORNERS
from floelens.plugin.gui.place_tool import PlaceTool
from floelens.plugin.gui.place_worker import SceneChoice, Similar
from floelens.plugin.report.places.answer import Shown, SimilarPlace
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication, QMainWindow

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
ALIKE = SimilarPlace(21.0, 79.5, 0.31, Shown("young ice", 0.75, ""), 42.0)


@pytest.fixture
def canvas(provider):
    canvas = QgsMapCanvas()
    canvas.resize(400, 400)
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3413"))
    return canvas


@pytest.fixture
def places(canvas, monkeypatch):
    """Return *Explain a place* that keeps what it is asked and never answers."""
    window, chosen = QMainWindow(), SimpleNamespace(layer=None)
    desktop = SimpleNamespace(
        mapCanvas=lambda: canvas,
        mainWindow=lambda: window,
        messageBar=lambda: None,
        activeLayer=lambda: chosen.layer,
        addDockWidget=lambda _area, dock: window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock),
        removeDockWidget=window.removeDockWidget,
    )
    places = module.Places(desktop)
    places.asked, places.chosen = [], chosen
    monkeypatch.setattr(places.worker, "ask", lambda _choice, place: places.asked.append(place))
    monkeypatch.setattr(places.dock, "choice", lambda: SceneChoice("sar.tif", "model"))
    yield places
    places.close()
    QgsProject.instance().clear()


def test_clicks_are_the_corners_of_a_polygon_that_a_right_click_finishes(canvas):
    chosen: list = []
    canvas.setMapTool(tool := PlaceTool(canvas, chosen.append))
    tool.draw_polygons(True)
    viewport, corners = canvas.viewport(), [(100, 100), (200, 100), (300, 300), (200, 200)]
    for corner in corners:
        QTest.mouseClick(viewport, LEFT, NONE, QPoint(*corner))
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)  # takes back the third but one
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, NONE, QPoint(10, 10))
    (polygon,) = chosen
    expected = [tool.toMapCoordinates(QPoint(*corner)) for corner in (*corners[:3], corners[0])]
    assert [(p.x(), p.y()) for p in polygon.vertices()] == [(p.x(), p.y()) for p in expected]
    for corner in corners[:3]:
        QTest.mouseClick(viewport, LEFT, NONE, QPoint(*corner))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)  # drops them
    QTest.mouseClick(viewport, Qt.MouseButton.RightButton, NONE, QPoint(10, 10))
    assert len(chosen) == 1
    for corner in corners[:3]:
        QTest.mouseClick(viewport, LEFT, NONE, QPoint(*corner))
    QTest.keyClick(canvas, Qt.Key.Key_Return)
    assert len(chosen) == 2


@pytest.mark.parametrize(
    ("key", "modifier", "east", "north"),
    [
        (Qt.Key.Key_Right, NONE, 40.0, 0.0),
        (Qt.Key.Key_Up, NONE, 0.0, 40.0),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier, -1000.0, 0.0),
    ],
)
def test_arrows_move_the_place_by_a_pixel_and_with_shift_by_a_cell(
    places, canvas, key, modifier, east, north
):
    canvas.setMapTool(places.tool)
    places.ask(QgsGeometry.fromPointXY(QgsPointXY(100_000.0, -1_200_000.0)))
    places._answer = SimpleNamespace(position=SimpleNamespace(pixel_m=40.0, cell_m=1000.0))
    before, extent = places._place.asPoint(), canvas.extent()
    QTest.keyClick(canvas, key, modifier)
    after = places._place.asPoint()
    # EPSG:3413 is true to scale at 70° N; at 79° N lengths on the map are shorter.
    scale = (1 + math.sin(math.radians(70))) / (1 + math.sin(math.radians(79)))
    assert after.x() - before.x() == pytest.approx(east * scale, abs=0.001 * abs(east))
    assert after.y() - before.y() == pytest.approx(north * scale, abs=0.001 * abs(north))
    assert len(places.asked) == 2
    assert canvas.extent() == extent  # the map stays


def test_arrows_begin_at_the_place_after_the_map_has_got_another_reference_system(places, canvas):
    places.ask(QgsGeometry.fromPointXY(QgsPointXY(100_000.0, -1_200_000.0)))
    places._answer = SimpleNamespace(position=SimpleNamespace(pixel_m=40.0, cell_m=1000.0))
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3995"))
    places.move(1, 0, False)
    first, second = (np.frombuffer(place.wkb[0][5:], "<f8") for place in places.asked)
    assert second == pytest.approx(first, abs=0.005)


def test_copying_from_the_map_copies_the_answer(places, canvas, monkeypatch):
    from floelens.plugin.gui import place_dock

    monkeypatch.setattr(place_dock, "as_sentences", lambda _answer: "Young ice.")
    canvas.setMapTool(places.tool)
    places.dock._answer = SimpleNamespace()
    places.dock.show_similar(Similar((ALIKE,), 1.0, True))
    QTest.keyClick(canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    text = QApplication.clipboard().text()
    assert text.startswith("Young ice. The network sees most alike: 79.5000° N, 21.0000° E: young ice")
    QApplication.clipboard().clear()
    QTest.keyClick(places.dock.bars, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QApplication.clipboard().text() == text


def test_selected_polygons_of_a_layer_are_a_place(places):
    layer = QgsVectorLayer("PolygonZ?crs=EPSG:4326", "areas", "memory")
    for west in (20.0, 21.0):
        feature = QgsFeature()
        wkt = f"PolygonZ (({west} 79 1, {west} 79.5 1, {west + 0.5} 79 1, {west} 79 1))"
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        layer.dataProvider().addFeature(feature)
    QgsProject.instance().addMapLayer(layer)
    places.chosen.layer = layer
    places.dock.feature.click()
    assert "is selected in the active layer" in places.dock.status.text()
    assert not places.asked
    layer.selectAll()
    places.dock.feature.click()
    (asked,) = places.asked
    whole = QgsGeometry()
    whole.fromWkb(asked.wkb[0])
    assert whole.isMultipart()
    assert whole.area() == pytest.approx(places._place.area())
    layer.selectByIds([1])
    places.dock.feature.click()
    assert places._place.area() == pytest.approx(whole.area() / 2, rel=0.05)


def test_similar_places_are_listed_marked_and_gone_to(places):
    places._similar(Similar((), 0.25, True))
    assert "25 % of the scene" in places.dock.alike_text.text()
    places._similar(Similar((ALIKE, ALIKE), 1.0, True))
    assert places.dock.alike.item(0).text() == "1. young ice (probability 0.75), distance 0.31, 42 km away"
    assert [mark.number for mark in places.marks.similar] == [1, 2]
    places.dock.alike.setCurrentRow(1)
    places.dock.alike.itemActivated.emit(places.dock.alike.item(1))
    assert len(places.asked) == 1
    assert module._in_degrees(places._place, places._crs).x() == pytest.approx(21.0)
    places._similar(Similar((), 1.0, False))
    assert "not known for this network" in places.dock.alike_text.text()
    assert not places.marks.similar


def test_the_window_says_how_a_polygon_is_drawn(places):
    places.dock.shape.setCurrentIndex(1)
    assert places.tool.draws_polygons
    assert places.dock.status.text() == CORNERS


def test_tab_goes_through_the_window_as_its_parts_stand(places):
    dock = places.dock
    order = [
        dock.model,
        dock.sar,
        dock.mwr,
        dock.chart,
        dock.land,
        dock.look,
        dock.button,
        dock.shape,
        dock.feature,
    ]
    order += [dock.kind, dock.target, dock.alike, dock.copy, dock.report]
    chain, widget = [], dock.model
    for _ in range(200):
        if widget in order and widget not in chain:
            chain.append(widget)
        widget = widget.nextInFocusChain()
    assert chain == order
