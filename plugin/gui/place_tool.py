"""The map tool of *Explain a place*: a click is a point, a drag a box; clicks in turn are the corners of a polygon."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import QgsGeometry, QgsPointXY, QgsRectangle, QgsWkbTypes
from qgis.gui import QgsMapCanvas, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, Qt
from qgis.PyQt.QtGui import QColor, QKeySequence

DRAGGED = 4  # screen pixels: less is a click of an unsteady hand
POLYGON = QgsWkbTypes.GeometryType.PolygonGeometry
MOVES = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, 1),
    Qt.Key.Key_Down: (0, -1),
}


class PlaceTool(QgsMapTool):
    """Calls functions with what was clicked, dragged, or typed.

    Parameters
    ----------
    canvas : QgsMapCanvas
        The map.
    chosen : callable
        Takes a geometry, a point or a polygon, in the CRS of the map.
    moved : callable, optional
        Takes an arrow key as steps to the right and up, and whether they are whole cells.
    copied : callable, optional
        Called where Ctrl+C is pressed.
    """

    def __init__(
        self,
        canvas: QgsMapCanvas,
        chosen: Callable[[QgsGeometry], object],
        moved: Callable[[int, int, bool], object] | None = None,
        copied: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(canvas)
        self._chosen, self._moved, self._copied = chosen, moved, copied
        self._begun: QPoint | None = None
        self._corners: list[QgsPointXY] = []
        self.draws_polygons = False
        self._box = QgsRubberBand(canvas, POLYGON)
        self._box.setColor(QColor(0, 0, 0))
        self._box.setSecondaryStrokeColor(QColor(255, 255, 255))
        self._box.setFillColor(QColor(255, 255, 255, 40))
        self.setCursor(Qt.CursorShape.CrossCursor)

    def draw_polygons(self, on: bool) -> None:
        """Take clicks for the corners of a polygon, or for points."""
        self.draws_polygons = on
        self._drop()

    def canvasPressEvent(self, event) -> None:  # noqa: N802
        """Begin."""
        if event.button() == Qt.MouseButton.LeftButton and not self.draws_polygons:
            self._begun = event.pos()

    def canvasMoveEvent(self, event) -> None:  # noqa: N802
        """Show the box, or the polygon with a corner where the mouse is."""
        if self._corners:
            self._show_corners(self.toMapCoordinates(event.pos()))
        elif self._begun is not None and self._dragged(event.pos()):
            self._box.setToGeometry(self._rectangle(event.pos()), None)

    def canvasReleaseEvent(self, event) -> None:  # noqa: N802
        """Ask about the point or the box; add a corner, or finish the polygon."""
        if self.draws_polygons:
            if event.button() == Qt.MouseButton.LeftButton:
                self._corners.append(QgsPointXY(self.toMapCoordinates(event.pos())))
                self._show_corners()
            elif event.button() == Qt.MouseButton.RightButton:
                self._finish()
            return
        begun = self._begun
        if begun is None or event.button() != Qt.MouseButton.LeftButton:
            self._drop()
            return
        dragged, box = self._dragged(event.pos()), self._rectangle(event.pos())
        self._drop()
        point = self.toMapCoordinates(event.pos())
        self._chosen(box if dragged else QgsGeometry.fromPointXY(QgsPointXY(point)))

    def keyPressEvent(self, event) -> None:  # noqa: N802
        """Take Return, Escape, Backspace, arrows and Ctrl+C, as the window says."""
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self._corners:
                self._finish()
            else:
                self._chosen(QgsGeometry.fromPointXY(self.canvas().center()))
        elif key == Qt.Key.Key_Escape:
            self._drop()
        elif key in (Qt.Key.Key_Backspace, Qt.Key.Key_Delete) and self._corners:
            self._corners.pop()
            self._show_corners()
        elif key in MOVES and self._moved is not None:
            self._moved(*MOVES[key], bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        elif event.matches(QKeySequence.StandardKey.Copy) and self._copied is not None:
            self._copied()
        else:
            return
        event.ignore()  # the map takes no further notice of a key that a tool ignores

    def deactivate(self) -> None:
        """Leave nothing on the map."""
        self._drop()
        super().deactivate()

    def close(self) -> None:
        """Take itself off the map, which would keep it."""
        self.canvas().unsetMapTool(self)
        self.canvas().scene().removeItem(self._box)
        self.deleteLater()

    def _finish(self) -> None:
        """Ask about the polygon; one of fewer than three corners is dropped."""
        corners = self._corners
        self._drop()
        if len(corners) >= 3:
            self._chosen(QgsGeometry.fromPolygonXY([[*corners, corners[0]]]))

    def _show_corners(self, *more: QgsPointXY) -> None:
        self._box.reset(POLYGON)
        for corner in (*self._corners, *more):
            self._box.addPoint(QgsPointXY(corner))

    def _drop(self) -> None:
        """Drop what was begun."""
        self._begun, self._corners = None, []
        self._box.reset(POLYGON)

    def _dragged(self, now: QPoint) -> bool:
        return self._begun is not None and (now - self._begun).manhattanLength() > DRAGGED

    def _rectangle(self, now: QPoint) -> QgsGeometry:
        one, two = self.toMapCoordinates(self._begun or now), self.toMapCoordinates(now)
        return QgsGeometry.fromRect(QgsRectangle(one, two))
