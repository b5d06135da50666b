"""What *Explain a place* draws on the map: the place, footprints of the radiometer, and similar places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

from pyproj import Geod
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsWkbTypes,
)
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem, QgsRubberBand
from qgis.PyQt.QtCore import QPointF, QRectF, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPen

from ..report.places.answer import Footprint, PlaceAnswer, SimilarPlace

EARTH = Geod(ellps="WGS84")
WGS84 = "EPSG:4326"
# Okabe and Ito's sky blue and vermilion, each with a dark or light edge: seen on dark and bright ice.
SEA, COAST, HALO = QColor("#56b4e9"), QColor("#d55e00"), QColor(0, 0, 0, 150)
RADIUS = 10  # screen pixels of a mark with a number


class PlaceMarks:
    """Draws on the map and takes it away again.

    Parameters
    ----------
    canvas : qgis.gui.QgsMapCanvas
        The map.
    """

    def __init__(self, canvas: QgsMapCanvas) -> None:
        self._canvas = canvas
        self.place: QgsRubberBand | None = None
        self.footprints: list[QgsRubberBand] = []
        self.similar: list[NumberMark] = []

    def show_place(self, place: QgsGeometry) -> None:
        """Mark a point or a polygon in the CRS of the map."""
        if self.place is None:
            self.place = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.PointGeometry)
            self.place.setColor(QColor("#f0e442"))
            self.place.setSecondaryStrokeColor(QColor(0, 0, 0))
            self.place.setFillColor(QColor(0, 0, 0, 0))
            self.place.setIcon(QgsRubberBand.IconType.ICON_CROSS)
            self.place.setIconSize(14)
            self.place.setWidth(2)
        self.place.setToGeometry(place, None)

    def show_footprints(self, answer: PlaceAnswer, look: float | None) -> None:
        """Draw footprints: ellipses along `look`, degrees from north, else circles as wide as their longer axis."""
        self.clear_footprints()
        to_map = self._to_map()
        for footprint in answer.footprints:
            with suppress(Exception):  # a map that cannot show a place shows no footprint around it
                outline = footprint_outline(footprint, answer.position.lon, answer.position.lat, look)
                ring = [to_map.transform(QgsPointXY(lon, lat)) for lon, lat in outline]
                band = QgsRubberBand(self._canvas, QgsWkbTypes.GeometryType.LineGeometry)
                band.setToGeometry(QgsGeometry.fromPolylineXY(ring), None)
                band.setColor(COAST if footprint.near_land else SEA)
                band.setSecondaryStrokeColor(HALO)
                band.setWidth(2)
                if footprint.near_land:
                    band.setLineStyle(Qt.PenStyle.DashLine)
                self.footprints.append(band)

    def show_similar(self, places: Sequence[SimilarPlace]) -> None:
        """Mark similar places by their number in the list."""
        self.clear_similar()
        to_map = self._to_map()
        for number, place in enumerate(places, 1):
            with suppress(Exception):
                self.similar.append(
                    NumberMark(self._canvas, to_map.transform(QgsPointXY(place.lon, place.lat)), number)
                )

    def clear(self) -> None:
        """Take everything away."""
        self.clear_footprints()
        self.clear_similar()
        if self.place is not None:
            self._canvas.scene().removeItem(self.place)
            self.place = None

    def clear_footprints(self) -> None:
        """Take the footprints away."""
        for band in self.footprints:
            self._canvas.scene().removeItem(band)
        self.footprints = []

    def clear_similar(self) -> None:
        """Take the similar places away."""
        for mark in self.similar:
            self._canvas.scene().removeItem(mark)
        self.similar = []

    def _to_map(self) -> QgsCoordinateTransform:
        return QgsCoordinateTransform(
            QgsCoordinateReferenceSystem(WGS84),
            self._canvas.mapSettings().destinationCrs(),
            QgsProject.instance(),
        )


class NumberMark(QgsMapCanvasItem):
    """A numbered disc on the map.

    Parameters
    ----------
    canvas : qgis.gui.QgsMapCanvas
        The map.
    point : qgis.core.QgsPointXY
        In the CRS of the map.
    number : int
        What it says.
    """

    def __init__(self, canvas: QgsMapCanvas, point: QgsPointXY, number: int) -> None:
        super().__init__(canvas)
        self.point, self.number = point, number
        self.updatePosition()
        self.show()

    def updatePosition(self) -> None:  # noqa: N802
        """Follow the map."""
        self.setPos(self.toCanvasCoordinates(self.point))

    def boundingRect(self) -> QRectF:  # noqa: N802
        """Return what it covers around its position, in screen pixels."""
        size = RADIUS + 2
        return QRectF(-size, -size, 2 * size, 2 * size)

    def paint(self, painter: QPainter, *_given) -> None:
        """Draw disc and number."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(0, 0, 0), 2))
        painter.setBrush(QColor("#f0e442"))
        painter.drawEllipse(QPointF(0, 0), RADIUS, RADIUS)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(self.boundingRect(), Qt.AlignmentFlag.AlignCenter, str(self.number))


def footprint_outline(
    footprint: Footprint, lon: float, lat: float, look: float | None
) -> list[tuple[float, float]]:
    """Return longitudes and latitudes of a closed outline.

    Parameters
    ----------
    footprint : Footprint
        Its axes.
    lon, lat : float
        Its middle, degrees.
    look : float or None
        Where the radiometer looks, which its longer axis follows, degrees from north over east; None where that is not
        known: then a circle as wide as the longer axis, which holds the footprint whatever its direction.
    """
    along, across = 500.0 * footprint.length_km, 500.0 * footprint.width_km  # half axes, m
    turns = range(0, 361, 5)
    azimuths, sizes = [], []
    for turn in turns:
        angle = math.radians(turn)
        azimuths.append(turn + (look or 0.0))
        sizes.append(
            along
            if look is None
            else along * across / math.hypot(across * math.cos(angle), along * math.sin(angle))
        )
    lons, lats, _ = EARTH.fwd([lon] * len(turns), [lat] * len(turns), azimuths, sizes)
    return list(zip(lons, lats))
