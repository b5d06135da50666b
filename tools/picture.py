"""Draws rasters side by side as QGIS shows them, styles and legends included, into a PNG.

::

    cd build/plugins && python -m floelens.tools.picture map.png "SAR, HH" sar.tif "Concentration" ice.tif

With ``--project results.json`` it writes a QGIS project of the results beside them as well.

Every panel has the same polar stereographic view. It runs in a process of its own, under
:class:`headless.HeadlessQgis`, since it imports QGIS.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from floelens.plugin.algorithms.framework.project_file import (
    Shown,
    open_raster_layer,
    polar_view,
    questions,
    write_project,
)
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QRect, QSize, Qt
from qgis.PyQt.QtGui import QColor, QFont, QImage, QPainter

PANEL, LEGEND, TITLE, GAP = 720, 330, 44, 16  # pixels
ENTRY = 30  # pixels, one line of a legend


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
    layers = [open_raster_layer(title, raster) for title, raster in panels]
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


def write_results_project(path: str) -> None:
    """Write ``explained.qgz`` beside a file of results (JSON: paths by the outputs' names, REPORT_JSON among them)."""
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    answer = json.loads(Path(results["REPORT_JSON"]).read_text(encoding="utf-8"))["answer"]
    titles = {"SAR": "SAR, HH", "MWR": "Radiometry"}
    seen = [Shown(title, results[name]) for name, title in titles.items() if results.get(name)]
    write_project(str(Path(path).with_name("explained.qgz")), questions(results), seen, " ".join(answer))


def main(path: str, *panels: str) -> int:
    """Start QGIS, draw, write the project where it is asked for, and leave."""
    results = panels[1] if panels[0] == "--project" else ""
    panels = panels[2:] if results else panels
    application = QgsApplication([], False)
    application.initQgis()
    try:
        draw(list(zip(panels[::2], panels[1::2])), path)
        if results:
            write_results_project(results)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        QgsProject.instance().clear()
        application.exitQgis()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
