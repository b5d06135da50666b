"""A bulletin drawn by QGIS's own layouts: a template's items are filled by their ids.

A service restyles the template in QGIS's layout editor and keeps the ids: labels ``title``, ``subtitle``, ``answer``,
``trust``, ``source``; maps ``scene``, ``prediction``, ``sar_relevance``, ``mwr_relevance`` with a legend
``legend_<map>`` and a label ``name_<map>`` each; ``scale_bar`` and ``north`` of the scene's map. An id that is missing
is left out of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsLayerTreeLayer,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemPicture,
    QgsLayoutItemScaleBar,
    QgsLegendRenderer,
    QgsLegendStyle,
    QgsMapLayerLegendUtils,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsReadWriteContext,
    QgsRectangle,
    QgsSingleBandPseudoColorRenderer,
    QgsUnitTypes,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtXml import QDomDocument

from ..ground.errors import ParameterError
from ..ground.paths import RESOURCES
from ..report.bulletin.content import Bulletin
from ..report.styles.layers import backscatter_style

TEMPLATE = RESOURCES / "templates" / "bulletin.qpt"
NORTH = RESOURCES / "icons" / "north.svg"
MAPS = ("scene", "prediction", "sar_relevance", "mwr_relevance")
DOTS_PER_INCH = 200
_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)  # degrees between lines of the graticule
_LINES = 4  # of longitude and of latitude, at most about


def draw(page: Bulletin, rasters: Mapping[str, str], template: str, path: str) -> None:
    """Draw a bulletin and write it as PDF; to be called in QGIS's main thread.

    Parameters
    ----------
    page : Bulletin
        The words.
    rasters : mapping
        Path of the raster by the id of the map; maps without one are left out.
    template : str
        Layout template (``.qpt``); empty for that of FloeLens.
    path : str
        PDF to write.

    Raises
    ------
    ParameterError
        The template or a raster cannot be read, or the page cannot be written.
    """
    project = QgsProject()
    layout = new_layout(project)
    _load(layout, Path(template) if template else TEMPLATE)
    for field in fields(page):
        label = layout.itemById(field.name)
        if isinstance(label, QgsLayoutItemLabel):
            label.setText(getattr(page, field.name))
    shown = {name: _layer(name, source, project) for name, source in rasters.items()}
    extent, crs = _frame(shown)
    for name in MAPS:
        _fill(layout, name, shown.get(name), extent, crs)
    _furnish(layout, crs)
    settings = QgsLayoutExporter.PdfExportSettings()
    settings.dpi = DOTS_PER_INCH
    result = QgsLayoutExporter(layout).exportToPdf(path, settings)
    project.clear()  # closes the rasters
    if result != QgsLayoutExporter.ExportResult.Success:
        raise ParameterError(
            f"OUTPUT: QGIS could not write the page ({_reason(result)}). Choose another folder."
        )


def new_layout(project: QgsProject) -> QgsPrintLayout:
    """Return an empty layout that goes with its project, and not after it."""
    layout = QgsPrintLayout(project)
    layout.setName("bulletin")
    project.layoutManager().addLayout(layout)
    return layout


def _load(layout: QgsPrintLayout, path: Path) -> None:
    document = QDomDocument()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"TEMPLATE: {path} cannot be read. Choose a layout template (.qpt).") from error
    # A template of QGIS names no document type; entities could make it grow without end.
    if "<!ENTITY" in text or not document.setContent(text)[0]:
        raise ParameterError(
            f"TEMPLATE: {path} is no layout template. Save one from QGIS's layout editor (.qpt)."
        )
    if not layout.loadFromTemplate(document, QgsReadWriteContext())[1]:
        raise ParameterError(
            f"TEMPLATE: QGIS cannot load {path}. Save it again from the layout editor (.qpt)."
        )


def _layer(name: str, source: str, project: QgsProject) -> QgsRasterLayer:
    layer = QgsRasterLayer(source, Path(source).stem)
    if not layer.isValid():
        raise ParameterError(
            f"{name.upper()}: QGIS cannot open {source}. Choose a raster that FloeLens wrote."
        )
    if name == "scene" and not isinstance(layer.renderer(), QgsSingleBandPseudoColorRenderer):
        # QGIS would draw two polarisations as red and green.
        style = QDomDocument()
        style.setContent(backscatter_style())
        layer.importNamedStyle(style)
    project.addMapLayer(layer)
    return layer


def _frame(shown: Mapping[str, QgsRasterLayer]) -> tuple[QgsRectangle, QgsCoordinateReferenceSystem]:
    """Return what all maps show: the extent and the CRS of the scene's map, else of the first that there is."""
    layer = shown.get("sar_relevance") or next(iter(shown.values()))
    return layer.extent(), layer.crs()


def _fill(
    layout: QgsPrintLayout,
    name: str,
    layer: QgsRasterLayer | None,
    extent: QgsRectangle,
    crs: QgsCoordinateReferenceSystem,
) -> None:
    """Put a raster into its map and its legend; take away what belongs to a map without one."""
    items = [layout.itemById(f"{prefix}{name}") for prefix in ("", "legend_", "name_")]
    if layer is None:
        for item in filter(None, items):
            layout.removeLayoutItem(item)
        return
    picture, legend, title = items
    band = _band_shown(layer)
    if isinstance(title, QgsLayoutItemLabel) and band:
        title.setText(f"{title.text()}: {band}")
    if isinstance(picture, QgsLayoutItemMap):
        picture.setCrs(crs)
        picture.setKeepLayerSet(True)
        picture.setLayers([layer])
        picture.setExtent(_as_wide(extent, picture.rect().width() / picture.rect().height()))
    if isinstance(legend, QgsLayoutItemLegend):
        legend.setAutoUpdateModel(False)  # from now on a copy of the project's layers, which the legend owns
        tree = legend.model().rootGroup()
        for node in tree.findLayers():
            if node.layerId() == layer.id():
                QgsLegendRenderer.setNodeLegendStyle(node, QgsLegendStyle.Style.Hidden)
                _without_band_names(legend, node)
            else:
                tree.removeChildNode(node)
        legend.adjustBoxSize()


def _band_shown(layer: QgsRasterLayer) -> str:
    """Return the name of the one band that is drawn; empty where there is none of several."""
    renderer = layer.renderer()
    bands = renderer.usesBands() if renderer else []
    if layer.bandCount() < 2 or len(bands) != 1:
        return ""
    return layer.bandName(bands[0]).partition(": ")[2]


def _without_band_names(legend: QgsLayoutItemLegend, node: QgsLayerTreeLayer) -> None:
    """Leave out of a legend the entries that only name a band."""
    entries = legend.model().layerLegendNodes(node)
    kept = [
        number
        for number, entry in enumerate(entries)
        if not str(entry.data(Qt.ItemDataRole.DisplayRole) or "").startswith("Band ")
    ]
    QgsMapLayerLegendUtils.setLegendNodeOrder(node, kept)
    legend.model().refreshLayerLegend(node)


def _as_wide(extent: QgsRectangle, ratio: float) -> QgsRectangle:
    """Return the smallest rectangle around an extent that is `ratio` times as wide as high."""
    width, height = extent.width(), extent.height()
    across, down = max(0.0, ratio * height - width) / 2, max(0.0, width / ratio - height) / 2
    return QgsRectangle(
        extent.xMinimum() - across,
        extent.yMinimum() - down,
        extent.xMaximum() + across,
        extent.yMaximum() + down,
    )


def _furnish(layout: QgsPrintLayout, crs: QgsCoordinateReferenceSystem) -> None:
    """Give the scene's map its graticule, its scale bar and its arrow to the north, where it lies on the ground."""
    picture = layout.itemById("scene")
    bar, north = layout.itemById("scale_bar"), layout.itemById("north")
    if not isinstance(picture, QgsLayoutItemMap) or not crs.isValid():
        for item in filter(None, (bar, north)):
            layout.removeLayoutItem(item)
        return
    if isinstance(bar, QgsLayoutItemScaleBar):
        bar.setLinkedMap(picture)
        bar.applyDefaultSize(QgsUnitTypes.DistanceUnit.DistanceKilometers)
        bar.setUnitLabel("km")
    if isinstance(north, QgsLayoutItemPicture):
        north.setPicturePath(str(NORTH))
        north.setLinkedMap(picture)
        north.setNorthMode(QgsLayoutItemPicture.NorthMode.TrueNorth)
    _graticule(picture, crs)


def _graticule(picture: QgsLayoutItemMap, crs: QgsCoordinateReferenceSystem) -> None:
    """Set the lines of the map's first grid to round degrees."""
    grid, lonlat = picture.grids().grid(0) if picture.grids().size() else None, "EPSG:4326"
    if grid is None:
        return
    degrees = QgsCoordinateReferenceSystem(lonlat)
    try:
        there = QgsCoordinateTransform(crs, degrees, QgsProject()).transformBoundingBox(picture.extent())
    except QgsCsException:
        grid.setEnabled(False)
        return
    grid.setCrs(degrees)
    grid.setIntervalX(_step(there.width()))
    grid.setIntervalY(_step(there.height()))


def _step(span: float) -> float:
    return next((step for step in _STEPS if span / step <= _LINES), _STEPS[-1])


def _reason(result: int) -> str:
    return {
        QgsLayoutExporter.ExportResult.MemoryError: "not enough memory",
        QgsLayoutExporter.ExportResult.FileError: "the file cannot be written",
        QgsLayoutExporter.ExportResult.PrintError: "the printer failed",
    }.get(result, "it is cancelled or its layout is empty")
