"""The map tool of *Explain a place*: a click is a point, a drag a box."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import QgsGeometry, QgsPointXY, QgsRectangle, QgsWkbTypes
from qgis.gui import QgsMapCanvas, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtGui import QColor

DRAGGED = 4  # screen pixels: less is a click of an unsteady hand


class PlaceTool(QgsMapTool):
    """Calls a function with what was clicked or dragged.

    Parameters
    ----------
    canvas : QgsMapCanvas
        The map.
    chosen : callable
        Takes a geometry, a point or a polygon, in the CRS of the map.
    """

    def __init__(self, canvas: QgsMapCanvas, chosen: Callable[[QgsGeometry], object]) -> None:
        super().__init__(canvas)
        self._chosen = chosen
        self._begun: QPoint | None = None
        self._box = QgsRubberBand(canvas, QgsWkbTypes.GeometryType.PolygonGeometry)
        self._box.setColor(QColor(0, 0, 0))
        self._box.setFillColor(QColor(255, 255, 255, 40))
        self.setCursor(Qt.CursorShape.CrossCursor)

    def canvasPressEvent(self, event) -> None:  # noqa: N802
        """Begin."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._begun = event.pos()

    def canvasMoveEvent(self, event) -> None:  # noqa: N802
        """Show the box."""
        if self._begun is not None and self._dragged(event.pos()):
            self._box.setToGeometry(self._rectangle(event.pos()), None)

    def canvasReleaseEvent(self, event) -> None:  # noqa: N802
        """Ask about the point or the box."""
        begun, self._begun = self._begun, None
        self._box.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
        if begun is None or event.button() != Qt.MouseButton.LeftButton:
            return
        self._begun = begun
        dragged, box = self._dragged(event.pos()), self._rectangle(event.pos())
        self._begun = None
        point = self.toMapCoordinates(event.pos())
        self._chosen(box if dragged else QgsGeometry.fromPointXY(QgsPointXY(point)))

    def keyPressEvent(self, event) -> None:  # noqa: N802
        """Ask about the middle of the map where Return is pressed; drop a box that was begun on Escape."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._chosen(QgsGeometry.fromPointXY(self.canvas().center()))
        elif event.key() == Qt.Key.Key_Escape:
            self._begun = None
            self._box.reset(QgsWkbTypes.GeometryType.PolygonGeometry)

    def deactivate(self) -> None:
        """Leave nothing on the map."""
        self._box.reset(QgsWkbTypes.GeometryType.PolygonGeometry)
        super().deactivate()

    def close(self) -> None:
        """Take itself off the map, which would keep it."""
        self.canvas().unsetMapTool(self)
        self.canvas().scene().removeItem(self._box)
        self.deleteLater()

    def _dragged(self, now: QPoint) -> bool:
        return self._begun is not None and (now - self._begun).manhattanLength() > DRAGGED

    def _rectangle(self, now: QPoint) -> QgsGeometry:
        one, two = self.toMapCoordinates(self._begun or now), self.toMapCoordinates(now)
        return QgsGeometry.fromRect(QgsRectangle(one, two))
