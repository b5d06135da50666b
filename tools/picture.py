"""Draws rasters side by side as QGIS shows them, styles and legends included, into a PNG.

::

    python tools/picture.py map.png "SAR, HH" sar.tif "Concentration" ice.tif

Every panel has the same polar stereographic view. It runs in a process of its own, under
:class:`headless.HeadlessQgis`, since it imports QGIS.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRectangle,
    QgsSingleBandGrayRenderer,
)
from qgis.PyQt.QtCore import QRect, QSize, Qt
from qgis.PyQt.QtGui import QColor, QFont, QImage, QPainter

PANEL, LEGEND, TITLE, GAP = 720, 330, 44, 16  # pixels
ENTRY = 30  # pixels, one line of a legend


def open_layer(title: str, path: str) -> QgsRasterLayer:
    """Open a raster with the style beside it; without one, its first band in grey.

    Raises
    ------
    RuntimeError
        Where QGIS cannot read `path`.
    """
    layer = QgsRasterLayer(path, title)
    if not layer.isValid():
        raise RuntimeError(f"QGIS cannot open {path}: {layer.error().summary()}")
    if not Path(path).with_suffix(".qml").exists():
        layer.setRenderer(QgsSingleBandGrayRenderer(layer.dataProvider(), 1))
        layer.setContrastEnhancement(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum,
            QgsRasterMinMaxOrigin.Limits.CumulativeCut,
        )
    return layer


def polar_view(layer: QgsRasterLayer) -> tuple[QgsCoordinateReferenceSystem, QgsRectangle]:
    """Return the polar stereographic CRS of the layer's hemisphere and the layer's extent in it."""
    context = QgsProject.instance().transformContext()
    degrees = QgsCoordinateTransform(layer.crs(), QgsCoordinateReferenceSystem("EPSG:4326"), context)
    north = degrees.transformBoundingBox(layer.extent()).center().y() >= 0
    crs = QgsCoordinateReferenceSystem("EPSG:3413" if north else "EPSG:3976")
    extent = QgsCoordinateTransform(layer.crs(), crs, context).transformBoundingBox(layer.extent())
    return crs, extent.buffered(0.02 * max(extent.width(), extent.height()))


def render(layer: QgsRasterLayer, crs: QgsCoordinateReferenceSystem, extent: QgsRectangle) -> QImage:
    """Return the layer as the map canvas would show it."""
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(crs)
    settings.setOutputSize(QSize(PANEL, PANEL))
    settings.setExtent(extent)
    settings.setBackgroundColor(QColor("#e8ecef"))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    return job.renderedImage()


def font(size: int, bold: bool = False) -> QFont:
    """Return a sans-serif font of `size` pixels."""
    made = QFont("DejaVu Sans")
    made.setStyleHint(QFont.StyleHint.SansSerif)
    made.setPixelSize(size)
    made.setBold(bold)
    return made


def draw_legend(painter: QPainter, layer: QgsRasterLayer, area: QRect) -> None:
    """Draw a swatch and a label for each entry of the layer's legend, as many as fit."""
    entries = layer.renderer().legendSymbologyItems()
    room = area.height() // ENTRY
    if len(entries) > room:
        step = (len(entries) - 1) / (room - 1)
        entries = [entries[round(number * step)] for number in range(room)]
    painter.setFont(font(15))
    for number, (label, colour) in enumerate(entries):
        top = area.top() + number * ENTRY
        painter.setPen(QColor("#8a8f94"))
        painter.setBrush(colour)
        painter.drawRect(area.left(), top, 24, 18)
        painter.setPen(QColor("#20262b"))
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        text = painter.fontMetrics().elidedText(label, Qt.TextElideMode.ElideRight, area.width() - 34)
        painter.drawText(QRect(area.left() + 34, top - 3, area.width() - 34, 24), flags, text)


def draw(panels: list[tuple[str, str]], path: str) -> None:
    """Draw `panels` (title, raster) two to a row into the PNG at `path`.

    Raises
    ------
    RuntimeError
        Where a raster cannot be opened or the picture cannot be written.
    """
    layers = [open_layer(title, raster) for title, raster in panels]
    crs, extent = polar_view(layers[0])
    columns = min(2, len(layers))
    rows = -(-len(layers) // columns)
    width, height = PANEL + LEGEND + GAP, PANEL + TITLE + GAP
    picture = QImage(columns * width + GAP, rows * height + GAP, QImage.Format.Format_RGB32)
    picture.fill(QColor("white"))
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for number, layer in enumerate(layers):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        painter.setFont(font(20, bold=True))
        painter.setPen(QColor("#20262b"))
        painter.drawText(QRect(left, top, width - GAP, TITLE), Qt.AlignmentFlag.AlignVCenter, layer.name())
        painter.drawImage(left, top + TITLE, render(layer, crs, extent))
        draw_legend(painter, layer, QRect(left + PANEL + 12, top + TITLE + 4, LEGEND - 12, PANEL - 8))
    painter.end()
    if not picture.save(path):
        raise RuntimeError(f"the picture could not be written to {path}")


def main(path: str, *panels: str) -> int:
    """Start QGIS, draw, and leave."""
    application = QgsApplication([], False)
    application.initQgis()
    try:
        draw(list(zip(panels[::2], panels[1::2])), path)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        QgsProject.instance().clear()
        application.exitQgis()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
