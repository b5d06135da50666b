"""Which layers of the project a dialog chooses first: those whose bands are called as the parameter needs.

QGIS itself takes the topmost layer, which after *Simulate a scene* is not the SAR raster. A suggestion is the value of
dialogs alone: models, scripts and the command line keep their defaults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from qgis import utils
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsProcessingParameterDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QCoreApplication, QThread

# How bands are called, by the parameter that takes them.
BANDS = {
    "SAR": re.compile(r"(?:^|[^a-z])(?:hh|hv|vv|vh)(?:[^a-z]|$)|nersc_sar"),
    "MWR": re.compile(r"^(?:btemp|tb)[ _]?\d|brightness"),
    "LABELS": re.compile(r"^(?:concentration|ice[ _]?type|sic|sod|ct)(?:[^a-z]|$)"),
}
RESULT = "FLOELENS_MODEL="  # tag of the results of a network, whose bands are called as its channels


def suggest(parameter: QgsProcessingParameterDefinition) -> QgsProcessingParameterDefinition:
    """Return a raster parameter whose dialogs begin with the layer of the project that fits it, where there is one."""
    chosen = suggested(parameter.name())
    if chosen is not None:
        parameter.setGuiDefaultValueOverride(chosen.id())
    return parameter


def suggested(name: str) -> QgsRasterLayer | None:
    """Return the layer of the project that fits the parameter SAR, MWR or LABELS; None where none does.

    SAR is the selected layer if it fits, else the topmost that does, else the topmost whose bands have no known name.
    The others overlap this SAR raster, and come from its folder where several do.
    """
    # A step of a model is made in the thread that runs it, where the project must not be touched.
    if QThread.currentThread() != QCoreApplication.instance().thread() or in_designer():
        return None
    layers = _rasters()
    sar = _first_sar(layers)
    if name == "SAR" or sar is None:
        return sar if name == "SAR" else None
    fitting = [layer for layer in layers if kind_of(layer) == name and overlap(layer, sar)]
    folder = Path(sar.source()).parent
    return next(
        (layer for layer in fitting if Path(layer.source()).parent == folder), next(iter(fitting), None)
    )


def in_designer() -> bool:
    """Return whether a person works in the model designer: a layer of the project has no place in a saved model."""
    window = getattr(QCoreApplication.instance(), "activeWindow", lambda: None)()
    return window is not None and bool(window.inherits("QgsModelDesignerDialog"))


def kind_of(layer: QgsRasterLayer) -> str:
    """Return the parameter that a layer is made for: SAR, MWR or LABELS; ``result`` of a network; empty if unknown."""
    if RESULT in layer.dataProvider().htmlMetadata():
        return "result"
    names = [
        layer.bandName(band).lower().partition(": ")[2] for band in range(1, min(layer.bandCount(), 30) + 1)
    ]
    for name, pattern in BANDS.items():
        if any(pattern.search(each) for each in names):
            return name
    return ""


def overlap(one: QgsRasterLayer, other: QgsRasterLayer) -> bool:
    """Return whether two layers share some ground, as far as their rectangles show."""
    try:
        return _outline(one).intersects(_outline(other))
    except QgsCsException:
        return False


def _outline(layer: QgsRasterLayer) -> QgsRectangle:
    # A plane around the pole: no rectangle of it is torn at 180 degrees.
    pole = "EPSG:3413" if _latitude(layer) >= 0 else "EPSG:3976"
    return _to(layer, pole).transformBoundingBox(layer.extent())


def _latitude(layer: QgsRasterLayer) -> float:
    return _to(layer, "EPSG:4326").transform(layer.extent().center()).y()


def _to(layer: QgsRasterLayer, system: str) -> QgsCoordinateTransform:
    return QgsCoordinateTransform(layer.crs(), QgsCoordinateReferenceSystem(system), QgsProject.instance())


def _first_sar(layers: Sequence[QgsRasterLayer]) -> QgsRasterLayer | None:
    kinds = [kind_of(layer) for layer in layers]
    return next(
        (layer for kind in ("SAR", "") for layer, own in zip(layers, kinds) if own == kind),
        None,
    )


def _rasters() -> list[QgsRasterLayer]:
    """Return the rasters of the project that GDAL reads, the selected one first, then from the top."""
    project = QgsProject.instance()
    layers = [
        layer
        for layer in project.layerTreeRoot().layerOrder()
        if isinstance(layer, QgsRasterLayer) and layer.isValid() and layer.providerType() == "gdal"
    ]
    active = utils.iface.activeLayer() if utils.iface is not None else None
    return sorted(layers, key=lambda layer: layer is not active)
