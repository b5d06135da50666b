"""*Explain a place* while people go on working: tabs, saved layers, custom CRS, closed projects, unloading."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from floelens.plugin import main
from floelens.plugin.gui import places as module
from floelens.plugin.gui.bars import Bars
from floelens.plugin.gui.place_worker import SceneChoice
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorFileWriter,
)
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QApplication, QDockWidget, QMainWindow


@pytest.fixture
def desktop(provider):
    """Return what the plugin needs of a desktop."""
    window, canvas = QMainWindow(), QgsMapCanvas()
    window.resize(900, 600)

    def nothing(*_given) -> None:
        """Take it."""

    yield SimpleNamespace(
        mapCanvas=lambda: canvas,
        mainWindow=lambda: window,
        messageBar=lambda: SimpleNamespace(pushMessage=nothing, pushWarning=nothing),
        addDockWidget=lambda _area, dock: window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock),
        removeDockWidget=window.removeDockWidget,
        **dict.fromkeys(
            (
                *("addPluginToMenu", "addToolBarIcon", "removePluginMenu", "removeToolBarIcon"),
                *("registerOptionsWidgetFactory", "unregisterOptionsWidgetFactory"),
            ),
            nothing,
        ),
    )
    QgsProject.instance().clear()


@pytest.fixture
def places(desktop, monkeypatch):
    """Return *Explain a place* that is asked about a scene and never answers by itself."""
    places = module.Places(desktop)
    places.asked = []
    monkeypatch.setattr(places.worker, "ask", lambda *given: places.asked.append(given))
    monkeypatch.setattr(places.dock, "choice", lambda: SceneChoice("sar.tif", "model"))
    yield places
    places.close()


def point(x: float, y: float) -> QgsGeometry:
    return QgsGeometry.fromPointXY(QgsPointXY(x, y))


def test_a_window_behind_another_tab_stays_where_it_is(desktop, provider):
    window, plugin = desktop.mainWindow(), main.FloeLensPlugin(desktop)
    plugin.provider = provider
    plugin.initGui()
    plugin._action.trigger()
    dock, other = plugin._places.dock, QDockWidget("Layers", window)
    desktop.addDockWidget(None, other)
    window.tabifyDockWidget(dock, other)
    window.show()
    other.raise_()
    QApplication.processEvents()
    assert not plugin._action.isChecked()
    assert not dock.isHidden()  # behind the other one
    plugin._action.trigger()
    QApplication.processEvents()
    assert plugin._action.isChecked()
    assert dock.visibleRegion().isEmpty() is False
    plugin.provider = None
    plugin.unload()
    window.hide()


def test_places_go_on_in_a_layer_that_was_saved(places, tmp_path, monkeypatch):
    """A GeoPackage has a field of its own before those of the places."""
    monkeypatch.setattr(module, "as_sentences", lambda _answer: "Ice.")
    answer = SimpleNamespace(
        mapped=SimpleNamespace(name="ice", value=0.5, unit="%"),
        position=SimpleNamespace(lon=10.0, lat=80.0, pixels=7),
    )
    places._remember(answer)
    (layer,) = QgsProject.instance().mapLayersByName(module.HISTORY)
    file, options = str(tmp_path / "places.gpkg"), QgsVectorFileWriter.SaveVectorOptions()
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, file, QgsProject.instance().transformContext(), options)
    layer.setDataSource(file, layer.name(), "ogr")
    places._remember(answer)
    assert [(f["maps"], f["pixels"], f["sentences"]) for f in layer.getFeatures()] == [("ice", 7, "Ice.")] * 2


@pytest.mark.parametrize("box", [False, True])
def test_the_full_report_of_a_place_in_a_custom_crs_is_of_that_place(places, desktop, monkeypatch, box):
    from qgis import processing

    crs = QgsCoordinateReferenceSystem.fromProj("+proj=laea +lat_0=80 +lon_0=-30 +ellps=sphere")
    assert crs.isValid()
    assert not crs.authid()
    desktop.mapCanvas().setDestinationCrs(crs)
    places.ask(QgsGeometry.fromRect(QgsRectangle(0, 0, 1000, 1000)) if box else point(0.0, 0.0))
    desktop.mapCanvas().setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    opened: list = []
    monkeypatch.setattr(processing, "execAlgorithmDialog", lambda *given: opened.append(given), raising=False)
    places._report()
    ((name, values),) = opened
    assert name == "floelens:relevance"
    if box:
        assert values["AOI"].crs() == crs
        assert values["AOI"].extent().width() == 1000
    else:
        position, _, code = values["POINT"].partition(" ")
        assert code == "[EPSG:4326]"
        assert [float(each) for each in position.split(",")] == pytest.approx([-30, 80], abs=1e-6)


def test_a_click_that_is_no_place_of_the_earth_is_a_sentence(places, desktop):
    desktop.mapCanvas().setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    places.ask(point(1e30, 1e30))
    assert "cannot be found on the Earth" in places.dock.status.text()
    assert not places.asked


def test_a_project_that_is_closed_takes_its_places_with_it(places, desktop):
    desktop.mapCanvas().setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    places.ask(point(10, 80))
    newest = places.worker.newest()
    assert places.marks.place is not None
    QgsProject.instance().clear()
    assert places.marks.place is None
    assert places._place is None
    assert places.worker.newest() > newest  # what is asked is dropped


def test_an_answer_on_its_way_at_unloading_is_dropped(desktop, monkeypatch):
    raised: list = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: raised.append(error))
    places = module.Places(desktop)
    thread = threading.Thread(target=lambda: places.worker.answered.emit("an answer"))
    thread.start()
    thread.join()
    tool = places.tool
    places.close()
    QApplication.sendPostedEvents()
    QApplication.processEvents()
    assert not raised
    assert desktop.mapCanvas().mapTool() is not tool


def test_rasters_of_earlier_places_do_not_stay(places, tmp_path):
    folder = Path(places._folder)
    for number in (1, 2):
        for ending in ("tif", "qml", "tif.aux.xml"):
            (folder / f"relevance_{number}.{ending}").write_text("x")
        places._show_overlay(str(folder / f"relevance_{number}.tif"))
    assert {file.name.split(".")[0] for file in folder.iterdir()} == {"relevance_2"}


def test_bars_are_painted(qgis_processing):
    bars = Bars()
    bars.resize(300, 60)
    empty = bars.grab().toImage()
    bars.show_rows([("SAR", 1.5), ("radiometry", -0.5)])
    assert bars.grab().toImage() != empty
