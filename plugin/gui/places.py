"""*Explain a place* in the desktop: joins window, map tool, the thread that answers, and layers of the project."""

from __future__ import annotations

import math
import shutil
import tempfile
from contextlib import suppress

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
from qgis.PyQt.QtCore import QEvent, QObject, Qt
from qgis.PyQt.QtGui import QKeySequence

from ..algorithms.framework.geometries import wkt
from ..io.geometry.vector import Polygons
from ..report.places.answer import PlaceAnswer, SimilarPlace
from ..report.places.sentences import as_sentences
from .place_dock import PlaceDock
from .place_marks import EARTH, WGS84, PlaceMarks
from .place_tool import PlaceTool
from .place_worker import Answered, PlaceWorker, Similar, remove_overlay

HISTORY = "Explained places"
OVERLAY = "Relevance around the place"
FIELDS = ("maps:string(80)", "value:double", "unit:string(20)", "pixels:integer", "sentences:string(2000)")
_NAMES = tuple(field.split(":")[0] for field in FIELDS)


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
        self._answer: PlaceAnswer | None = None
        self.marks = PlaceMarks(self._canvas)
        self.worker = PlaceWorker(self._folder)
        self.worker.opened.connect(self._opened)
        self.worker.answered.connect(self._answered)
        self.worker.similar.connect(self._similar)
        self.worker.failed.connect(self._failed)
        self.dock = PlaceDock(iface.mainWindow())
        self.dock.started.connect(self._toggled)
        self.dock.report_wanted.connect(self._report)
        self.dock.feature_wanted.connect(self._ask_about_selected)
        self.dock.similar_chosen.connect(self._go)
        self.dock.look_changed.connect(self._look_changed)
        self.dock.visibilityChanged.connect(self._shown)
        self.tool = PlaceTool(self._canvas, self.ask, self.move, self.dock.copy_answer)
        self.dock.polygons_wanted.connect(self.tool.draw_polygons)
        self._canvas.installEventFilter(self)
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
        self._canvas.removeEventFilter(self)
        for signal in (self.worker.opened, self.worker.answered, self.worker.similar, self.worker.failed):
            signal.disconnect()  # answers may be on their way still
        self.tool.close()
        self.marks.clear()
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
        self.marks.show_place(place)
        self.dock.wait()
        self.worker.ask(choice, polygons)

    def move(self, right: int, up: int, cells: bool) -> None:
        """Explain the place that lies so many pixels, or cells, of the scene beside the last one on the map."""
        if self._place is None or self._answer is None:
            return
        position = self._answer.position
        step = position.cell_m if cells else position.pixel_m
        place, crs = QgsGeometry(self._place), self._canvas.mapSettings().destinationCrs()
        with suppress(QgsCsException):
            place.transform(QgsCoordinateTransform(self._crs, crs, QgsProject.instance()))
            middle = place.centroid().asPoint()
            units = [_metres_a_unit(middle, crs, *direction) for direction in ((1, 0), (0, 1))]
            place.translate(right * step / units[0], up * step / units[1])
            self.ask(place)

    def eventFilter(self, watched, event) -> bool:  # noqa: N802
        """Take Ctrl+C on the map for the answer while places are explained, before the desktop copies features."""
        if (
            event.type() == QEvent.Type.ShortcutOverride
            and self._canvas.mapTool() is self.tool
            and event.matches(QKeySequence.StandardKey.Copy)
        ):
            event.accept()
            return True
        return super().eventFilter(watched, event)

    def _ask_about_selected(self) -> None:
        """Explain the selected features of the active layer."""
        layer = self._iface.activeLayer()
        place = _selected(layer) if isinstance(layer, QgsVectorLayer) else None
        if place is None:
            self.dock.fail(
                "No polygon or point is selected in the active layer. Click on a layer of polygons in the list of "
                "layers, select a feature, and try again."
            )
            return
        crs = self._canvas.mapSettings().destinationCrs()
        try:
            place.transform(QgsCoordinateTransform(layer.crs(), crs, QgsProject.instance()))
        except QgsCsException:
            self.dock.fail("The selected feature does not fit on the map. Choose another CRS of the project.")
            return
        self.ask(place)

    def _go(self, similar: SimilarPlace) -> None:
        """Go to a similar place and explain it."""
        to_map = QgsCoordinateTransform(
            QgsCoordinateReferenceSystem(WGS84),
            self._canvas.mapSettings().destinationCrs(),
            QgsProject.instance(),
        )
        with suppress(QgsCsException):
            point = to_map.transform(QgsPointXY(similar.lon, similar.lat))
            if not self._canvas.extent().contains(point):
                self._canvas.setCenter(point)
                self._canvas.refresh()
            self.ask(QgsGeometry.fromPointXY(point))

    def _look_changed(self) -> None:
        if self._answer is not None:
            self.marks.show_footprints(self._answer, self.dock.look_to())
            self.dock.show_legend()

    def _similar(self, similar: Similar) -> None:
        self.dock.show_similar(similar)
        self.marks.show_similar(similar.places)

    def _put_down(self) -> None:
        self.dock.button.setChecked(False)

    def _forget(self) -> None:
        """Forget the places of a project that is closed."""
        self.worker.drop()
        self.marks.clear()
        self._remove_overlay()
        self._history, self._place, self._answer = "", None, None
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
        self.marks.clear_footprints()
        self.dock.fail(sentence)

    def _answered(self, answered: Answered) -> None:
        self._answer = answer = answered.answer
        self.dock.show_answer(answer)
        self.marks.show_footprints(answer, self.dock.look_to())
        self.marks.clear_similar()
        self._show_overlay(answered.overlay)
        self._remember(answer)

    def _show_overlay(self, path: str) -> None:
        """Lay the relevance around the place over the scene, in place of that of the last one."""
        self._remove_overlay()
        self._overlay_file = path
        layer = QgsRasterLayer(path, OVERLAY)
        if layer.isValid():
            layer.loadDefaultStyle()
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


def _metres_a_unit(point: QgsPointXY, crs: QgsCoordinateReferenceSystem, right: float, up: float) -> float:
    """Return how many metres on the ground one unit of the map is at a point, to the right or up."""
    size = 1e-4 if crs.isGeographic() else 1.0
    ends = [
        _in_degrees(QgsGeometry.fromPointXY(QgsPointXY(point.x() + s * right, point.y() + s * up)), crs)
        for s in (-size, size)
    ]
    _, _, metres = EARTH.inv(ends[0].x(), ends[0].y(), ends[1].x(), ends[1].y())
    return max(metres, 1e-9) / (2 * size)


def _selected(layer: QgsVectorLayer) -> QgsGeometry | None:
    """Return the selected features of a layer as polygons or a point in its CRS; None where there is none."""
    shapes = []
    for feature in layer.selectedFeatures():
        if feature.hasGeometry():
            shape = QgsGeometry(feature.geometry().constGet().segmentize())
            shape.get().dropZValue()
            shape.get().dropMValue()
            shapes.append(shape)
    kinds = {shape.type() for shape in shapes}
    if kinds == {QgsWkbTypes.GeometryType.PolygonGeometry}:
        return QgsGeometry.unaryUnion(shapes)
    if kinds == {QgsWkbTypes.GeometryType.PointGeometry}:
        return QgsGeometry.fromPointXY(shapes[0].centroid().asPoint())
    return None
