"""A QGIS project of one explained scene, that can be read without moving a layer.

The maps lie in a group of which QGIS shows one at a time: a click on another answers the next question. The SAR image
lies below them all. The answer stands at the foot of the map, and each question is also a map theme.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qgis.core import (
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsLayerTreeGroup,
    QgsLayerTreeModel,
    QgsMapThemeCollection,
    QgsProject,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRectangle,
    QgsReferencedRectangle,
    QgsSingleBandGrayRenderer,
)

QUESTIONS = "Pick a question"
SEEN = "What the satellites saw"
PER_LINE = 110  # letters of the title


@dataclass(frozen=True)
class Shown:
    """A layer of the project: what it is called, and its file."""

    title: str
    path: str


def questions(results: dict[str, str]) -> list[Shown]:
    """Return the maps that answer a question, the first one shown; `results` by the outputs' names."""
    titles = {
        "SAR_RELEVANCE": "Why? Evidence in SAR",
        "MWR_RELEVANCE": "Why? Evidence in radiometry",
        "OUTPUT": "What does the network map?",
        "CHART": "What is true?",
    }
    return [Shown(title, results[name]) for name, title in titles.items() if results.get(name)]


def write_project(path: str, maps: list[Shown], seen: list[Shown], answer: str = "") -> None:
    """Write a project file (``.qgz``) beside its rasters, with relative paths.

    Parameters
    ----------
    path : str
        The file.
    maps : list of Shown
        Maps of which one is shown at a time, from the top.
    seen : list of Shown
        What they were made from, SAR first: it is shown below them.
    answer : str
        Sentences at the foot of the map; none where empty.

    Raises
    ------
    RuntimeError
        A raster cannot be opened, or the file not be written.
    """
    project = QgsProject()
    project.setFileName(path)  # paths are relative to it
    root = project.layerTreeRoot()
    pick, below = root.addGroup(QUESTIONS), root.addGroup(SEEN)
    layers = [_add(project, pick, shown) for shown in maps]
    inputs = [_add(project, below, shown) for shown in seen]
    for number, layer in enumerate(inputs):
        root.findLayer(layer.id()).setItemVisibilityChecked(number == 0)
    pick.setIsMutuallyExclusive(True, 0)
    crs, extent = polar_view((inputs or layers)[0])
    project.setCrs(crs)
    project.viewSettings().setDefaultViewExtent(QgsReferencedRectangle(extent, crs))
    project.setTitle("FloeLens: why did the network map ice there?")
    _themes(project, layers)
    if answer:
        _write_title(project, answer)
    root.findLayer(layers[0].id()).setItemVisibilityChecked(True)
    if not project.write():
        raise RuntimeError(f"the project could not be written to {path}: {project.error()}")


def open_raster_layer(title: str, path: str) -> QgsRasterLayer:
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


def _add(project: QgsProject, group: QgsLayerTreeGroup, shown: Shown) -> QgsRasterLayer:
    layer = open_raster_layer(shown.title, shown.path)
    project.addMapLayer(layer, False)
    group.addLayer(layer).setExpanded(False)
    return layer


def _themes(project: QgsProject, layers: list[QgsRasterLayer]) -> None:
    """Make a map theme of every map with what lies below it."""
    root, themes = project.layerTreeRoot(), project.mapThemeCollection()
    model = QgsLayerTreeModel(root)
    for layer in layers:
        root.findLayer(layer.id()).setItemVisibilityChecked(True)
        state = QgsMapThemeCollection.createThemeFromCurrentState(root, model)
        themes.insert(layer.name(), state)


def _write_title(project: QgsProject, answer: str) -> None:
    """Write the answer over the map, by QGIS's own decoration *Title label*."""
    lines: list[str] = []
    for word in answer.split():
        if lines and len(lines[-1]) + len(word) < PER_LINE:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    project.writeEntry("TitleLabel", "/Label", "\n".join(lines))
    project.writeEntry("TitleLabel", "/Enabled", True)
    project.writeEntry("TitleLabel", "/Placement", 5)  # at the bottom: the message bar covers the top
    project.writeEntry("TitleLabel", "/BackgroundColor", "255,255,255,230")
