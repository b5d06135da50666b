"""*Explain a place* in the desktop: joins window, map tool, the thread that answers, and layers of the project."""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import suppress

from pyproj import Geod
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.gui import QgsRubberBand
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtGui import QColor, QPainter

from ..algorithms.framework.geometries import wkt
from ..io.geometry.vector import Polygons
from ..report.places.answer import PlaceAnswer
from ..report.places.sentences import as_sentences
from .place_dock import PlaceDock
from .place_tool import PlaceTool
from .place_worker import Answered, PlaceWorker, remove_overlay

HISTORY = "Explained places"
OVERLAY = "Relevance around the place"
FIELDS = ("maps:string(80)", "value:double", "unit:string(20)", "pixels:integer", "sentences:string(2000)")
_NAMES = tuple(field.split(":")[0] for field in FIELDS)
EARTH = Geod(ellps="WGS84")
WGS84 = "EPSG:4326"


class Places(QObject):
    """Explains what is clicked.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface
        The desktop.
    """

    def __init__(self, iface) -> None:
        super().__init__()
        self._iface, self._canvas = iface, iface.mapCanvas()
        self._folder = tempfile.mkdtemp(prefix="floelens_places_")
        self._place: QgsGeometry | None = None
        self._crs = QgsCoordinateReferenceSystem()  # of the place
        self._history = self._overlay = ""  # ids of layers
        self._overlay_file = ""
        self._closed = False
        self._footprints: list[QgsRubberBand] = []
        self._mark: QgsRubberBand | None = None
        self.worker = PlaceWorker(self._folder)
        self.worker.opened.connect(self._opened)
        self.worker.answered.connect(self._answered)
        self.worker.failed.connect(self._failed)
        self.dock = PlaceDock(iface.mainWindow())
        self.dock.started.connect(self._toggled)
        self.dock.report_wanted.connect(self._report)
        self.dock.visibilityChanged.connect(self._shown)
        self.tool = PlaceTool(self._canvas, self.ask)
        self.tool.deactivated.connect(self._put_down)
        QgsProject.instance().cleared.connect(self._forget)
        iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)

    def close(self) -> None:
        """Take everything away; layers stay in the project, but for the relevance of the last place."""
        if self._closed:
            return
        self._closed = True
        QgsProject.instance().cleared.disconnect(self._forget)
        self.worker.close()
        for signal in (self.worker.opened, self.worker.answered, self.worker.failed):
            signal.disconnect()  # answers may be on their way still
        self.tool.close()
        self._clear()
        self._remove_overlay()
        self._iface.removeDockWidget(self.dock)
        self.dock.deleteLater()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, place: QgsGeometry) -> None:
        """Explain a point or a polygon in the CRS of the map."""
        choice = self.dock.choice()
        if choice is None:
            self.dock.fail("Choose a model and the SAR layer of a scene first.")
            return
        crs = self._canvas.mapSettings().destinationCrs()
        if not crs.isValid():
            self.dock.fail("The project has no coordinate reference system. Set one, and click again.")
            return
        try:
            polygons = _polygons(place, crs)
        except QgsCsException:
            self.dock.fail(
                "This place cannot be found on the Earth in the CRS of the project. Click on the scene."
            )
            return
        self._place, self._crs = place, crs
        self._show_place(place)
        self.dock.wait()
        self.worker.ask(choice, polygons)

    def _put_down(self) -> None:
        self.dock.button.setChecked(False)

    def _forget(self) -> None:
        """Forget the places of a project that is closed."""
        self.worker.drop()
        self._clear()
        self._remove_overlay()
        self._history, self._place = "", None
        self.dock.show_answer(None)

    def _shown(self, visible: bool) -> None:
        if visible:
            self.dock.fill()

    def _toggled(self, on: bool) -> None:
        if on:
            self.dock.fill()
            self._canvas.setMapTool(self.tool)
        elif self._canvas.mapTool() is self.tool:
            self._canvas.unsetMapTool(self.tool)

    def _opened(self, warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            self._iface.messageBar().pushWarning("FloeLens", warning)

    def _failed(self, sentence: str) -> None:
        self._clear_footprints()
        self.dock.fail(sentence)

    def _answered(self, answered: Answered) -> None:
        answer = answered.answer
        self.dock.show_answer(answer)
        self._show_footprints(answer)
        self._show_overlay(answered.overlay)
        self._remember(answer)

    def _show_place(self, place: QgsGeometry) -> None:
        if self._mark is None:
            self._mark = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PointGeometry)
            self._mark.setColor(QColor(0, 0, 0))
            self._mark.setFillColor(QColor(0, 0, 0, 0))
            self._mark.setWidth(2)
        self._mark.setToGeometry(place, None)

    def _show_footprints(self, answer: PlaceAnswer) -> None:
        """Draw a circle a footprint: as wide as its longer axis, since its direction is not known."""
        self._clear_footprints()
        to_map = QgsCoordinateTransform(
            QgsCoordinateReferenceSystem(WGS84),
            self._canvas.mapSettings().destinationCrs(),
            QgsProject.instance(),
        )
        for footprint in answer.footprints:
            azimuths = list(range(0, 361, 5))
            lons, lats, _ = EARTH.fwd(
                [answer.position.lon] * len(azimuths),
                [answer.position.lat] * len(azimuths),
                azimuths,
                [500.0 * footprint.length_km] * len(azimuths),
            )
            with suppress(Exception):  # a map that cannot show a place shows no circle around it
                ring = [to_map.transform(QgsPointXY(lon, lat)) for lon, lat in zip(lons, lats)]
                band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.LineGeometry)
                band.setToGeometry(QgsGeometry.fromPolylineXY(ring), None)
                band.setColor(QColor(0, 90, 160, 150))
                band.setWidth(1)
                self._footprints.append(band)

    def _show_overlay(self, path: str) -> None:
        """Lay the relevance around the place over the scene, in place of that of the last one."""
        self._remove_overlay()
        self._overlay_file = path
        layer = QgsRasterLayer(path, OVERLAY)
        if layer.isValid():
            layer.loadDefaultStyle()
            layer.setBlendMode(
                QPainter.CompositionMode.CompositionMode_Multiply
            )  # the scene shows where it is white
            QgsProject.instance().addMapLayer(layer, False)
            QgsProject.instance().layerTreeRoot().insertLayer(0, layer)
            self._overlay = layer.id()

    def _remove_overlay(self) -> None:
        if self._overlay and QgsProject.instance().mapLayer(self._overlay) is not None:
            QgsProject.instance().removeMapLayer(self._overlay)
        if self._overlay_file:
            remove_overlay(self._overlay_file)
        self._overlay = self._overlay_file = ""

    def _remember(self, answer: PlaceAnswer) -> None:
        """Add the place to a layer in memory, which a person can save."""
        layer = QgsProject.instance().mapLayer(self._history) if self._history else None
        if layer is None or any(layer.fields().lookupField(name) < 0 for name in _NAMES):
            fields = "&".join(f"field={field}" for field in FIELDS)
            layer = QgsVectorLayer(f"Point?crs={WGS84}&{fields}", HISTORY, "memory")
            QgsProject.instance().addMapLayer(layer)
            self._history = layer.id()
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(answer.position.lon, answer.position.lat)))
        shown = answer.mapped
        values = (shown.name, shown.value, shown.unit, answer.position.pixels, as_sentences(answer)[:2000])
        for name, value in zip(_NAMES, values):  # a layer that was saved may have a field before them
            feature.setAttribute(name, value)
        layer.dataProvider().addFeature(feature)
        layer.updateExtents()
        layer.triggerRepaint()

    def _report(self) -> None:
        """Open the dialog of relevance maps with this scene and place."""
        from qgis import processing

        choice = self.dock.choice()
        if choice is None or self._place is None:
            return
        values = {
            "SAR": choice.sar,
            "MWR": choice.mwr or None,
            "MODEL": choice.model,
            "LAND": self.dock.land.currentLayer(),
        }
        if self._place.type() == QgsWkbTypes.GeometryType.PointGeometry:
            point = _in_degrees(self._place, self._crs)
            values["POINT"] = f"{point.x():.9f},{point.y():.9f} [{WGS84}]"
        else:
            region = QgsVectorLayer("Polygon", "Place", "memory")
            region.setCrs(self._crs)  # a custom one has no code
            feature = QgsFeature()
            feature.setGeometry(self._place)
            region.dataProvider().addFeature(feature)
            QgsProject.instance().addMapLayer(region)
            values["AOI"] = region
        processing.execAlgorithmDialog("floelens:relevance", values)

    def _clear(self) -> None:
        self._clear_footprints()
        if self._mark is not None:
            self._canvas.scene().removeItem(self._mark)
            self._mark = None

    def _clear_footprints(self) -> None:
        for band in self._footprints:
            self._canvas.scene().removeItem(band)
        self._footprints = []


def _polygons(place: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> Polygons:
    """Return a geometry of the map as plain values."""
    if place.type() == QgsWkbTypes.GeometryType.PointGeometry:
        point = _in_degrees(place, crs)
        return Polygons.point(point.x(), point.y())
    return Polygons((bytes(place.asWkb()),), wkt(crs))


def _in_degrees(place: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> QgsPointXY:
    """Return the longitude and latitude of a point.

    Raises
    ------
    QgsCsException
        If it is no place of the Earth.
    """
    to_degrees = QgsCoordinateTransform(crs, QgsCoordinateReferenceSystem(WGS84), QgsProject.instance())
    point = to_degrees.transform(place.asPoint())
    if not (math.isfinite(point.x()) and math.isfinite(point.y())):
        raise QgsCsException("no place of the Earth")
    return point
