"""Write the layout template of the bulletin: python -m floelens.tools.bulletin_template FILE.

A service need not run this: it opens the template in QGIS's layout editor, restyles it and saves it under another name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemMapGrid,
    QgsLayoutItemPage,
    QgsLayoutItemPicture,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLegendStyle,
    QgsPrintLayout,
    QgsProject,
    QgsReadWriteContext,
    QgsTextFormat,
    QgsUnitTypes,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QColor, QFont

MARGIN, WIDTH = 14.0, 182.0  # mm of A4 upright
MAPS = {
    "scene": "Radar image (SAR)",
    "prediction": "What the network maps",
    "sar_relevance": "Relevance of SAR",
    "mwr_relevance": "Relevance of the radiometer",
}
ACROSS, DOWN, LEGEND = 87.0, 72.0, 15.0  # mm of a map and of the legend below it
BLUE = "#0072b2"


def _place(item, x: float, y: float, width: float, height: float, name: str) -> None:
    item.attemptMove(QgsLayoutPoint(x, y))
    item.attemptResize(QgsLayoutSize(width, height))
    item.setId(name)


def _label(
    layout, name: str, text: str, box: tuple[float, float, float, float], points: float, bold: bool = False
):
    label = QgsLayoutItemLabel(layout)
    label.setText(text)
    font = QFont("DejaVu Sans")
    font.setPointSizeF(points)
    font.setBold(bold)
    label.setFont(font)
    layout.addLayoutItem(label)
    _place(label, *box, name)
    return label


def _map(layout, name: str, title: str, x: float, y: float) -> None:
    _label(layout, f"name_{name}", title, (x, y, ACROSS, 5), 8, bold=True)
    picture = QgsLayoutItemMap(layout)
    picture.setFrameEnabled(True)
    layout.addLayoutItem(picture)
    _place(picture, x, y + 5, ACROSS, DOWN, name)
    legend = QgsLayoutItemLegend(layout)
    legend.setTitle("")
    legend.setBackgroundEnabled(False)
    for kind in (QgsLegendStyle.Style.SymbolLabel, QgsLegendStyle.Style.Subgroup, QgsLegendStyle.Style.Group):
        font = QFont("DejaVu Sans")
        font.setPointSizeF(5.5)
        legend.setStyleFont(kind, font)
    legend.setSymbolHeight(2.2)
    legend.setSymbolWidth(4)
    legend.setBoxSpace(0)
    legend.rstyle(QgsLegendStyle.Style.Symbol).setMargin(QgsLegendStyle.Side.Top, 0.8)
    legend.setResizeToContents(False)
    layout.addLayoutItem(legend)
    legend.setColumnCount(3)
    legend.setSplitLayer(True)
    _place(legend, x, y + 8 + DOWN, ACROSS, LEGEND, f"legend_{name}")
    if name != "scene":
        return
    grid = QgsLayoutItemMapGrid("degrees", picture)
    grid.setEnabled(True)
    grid.setGridLineColor(QColor("#555555"))
    grid.setGridLineWidth(0.1)
    grid.setAnnotationEnabled(True)
    grid.setAnnotationFormat(QgsLayoutItemMapGrid.AnnotationFormat.DecimalWithSuffix)
    grid.setAnnotationPrecision(1)
    for side in (QgsLayoutItemMapGrid.BorderSide.Top, QgsLayoutItemMapGrid.BorderSide.Right):
        grid.setAnnotationDisplay(QgsLayoutItemMapGrid.DisplayMode.HideAll, side)
    left = QgsLayoutItemMapGrid.BorderSide.Left
    grid.setAnnotationDirection(QgsLayoutItemMapGrid.AnnotationDirection.Vertical, left)
    text = QgsTextFormat.fromQFont(QFont("DejaVu Sans"))
    text.setSize(5.5)
    grid.setAnnotationTextFormat(text)
    grid.setAnnotationFrameDistance(0.6)
    picture.grids().addGrid(grid)
    bar = QgsLayoutItemScaleBar(layout)
    bar.setStyle("Single Box")
    bar.setUnits(QgsUnitTypes.DistanceUnit.DistanceKilometers)
    bar.setUnitLabel("km")
    bar.setNumberOfSegments(2)
    bar.setNumberOfSegmentsLeft(0)
    bar.setHeight(1.2)
    bar.setTextFormat(text)
    bar.setBackgroundEnabled(True)
    bar.setLinkedMap(picture)
    layout.addLayoutItem(bar)
    _place(bar, x + 1.5, y + DOWN - 5.5, 30, 9, "scale_bar")
    north = QgsLayoutItemPicture(layout)
    north.setBackgroundEnabled(True)
    layout.addLayoutItem(north)
    _place(north, x + ACROSS - 9, y + 7, 7, 11, "north")


def template() -> QgsPrintLayout:
    """Return the layout, its items empty but named."""
    layout = QgsPrintLayout(QgsProject.instance())
    layout.initializeDefaults()
    layout.setName("FloeLens bulletin")
    layout.pageCollection().page(0).setPageSize("A4", QgsLayoutItemPage.Orientation.Portrait)
    _label(layout, "title", "Why ice?", (MARGIN, 12, WIDTH, 10), 18, bold=True)
    _label(layout, "subtitle", "scene, time, model", (MARGIN, 22, WIDTH, 6), 8.5)
    answer = _label(layout, "answer", "The answer.", (MARGIN, 30, WIDTH, 30), 10.5)
    answer.setBackgroundEnabled(True)
    answer.setBackgroundColor(QColor("#f3f7fa"))
    answer.setMarginX(3)
    answer.setMarginY(2)
    for number, (name, title) in enumerate(MAPS.items()):
        down, across = divmod(number, 2)
        _map(layout, name, title, MARGIN + across * (WIDTH - ACROSS), 64 + down * (DOWN + LEGEND + 9))
    _label(layout, "name_trust", "What to keep in mind", (MARGIN, 255, WIDTH, 5), 8, bold=True)
    _label(layout, "trust", "Limits.", (MARGIN, 260, WIDTH, 18), 7.5)
    source = _label(layout, "source", "Where this comes from.", (MARGIN, 280, WIDTH, 9), 6)
    source.setFontColor(QColor("#555555"))
    source.setVAlign(Qt.AlignmentFlag.AlignBottom)
    return layout


def main() -> None:
    """Write the template."""
    application = QgsApplication([], True)
    application.initQgis()
    Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
    if not template().saveAsTemplate(sys.argv[1], QgsReadWriteContext()):
        sys.exit(f"{sys.argv[1]} cannot be written")
    application.exitQgis()


if __name__ == "__main__":
    main()
