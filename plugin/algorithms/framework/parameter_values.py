"""What the value of a parameter is, and what is wrong with it as far as the value itself shows.

A value of Processing may be a path, a layer, a layer's id, a property or the output of another step of
a model. Nothing is opened here but files that QGIS would open, to refuse those that fetch or run something.
"""

from __future__ import annotations

import os
import re
from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsProperty,
)

from ...ground.errors import SceneError
from ...io.files.drivers import SUBDATASETS, is_remote, split_source
from ...io.files.opening import check_file, is_raster
from ...io.files.sources import head

_EXTENSION = re.compile(r"\.[A-Za-z]\w{0,7}$")


def given(value: object) -> bool:
    """Return whether a parameter was asked for; an unset list of files reads ``['']``."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        return given(value.sink)
    if isinstance(value, QgsProperty):
        return value.isActive() and (not is_static(value) or given(value.staticValue()))
    if isinstance(value, (list, tuple)):
        return any(given(item) for item in value)
    # A NULL that comes from C++ is a QVariant in old versions and None in new ones.
    return value is not None and value != "" and not (hasattr(value, "isNull") and value.isNull())


def plain(value: object) -> Any:
    """Return what a static property or an output definition holds; anything else unchanged."""
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        return plain(value.sink)
    if isinstance(value, QgsProperty):
        return value.staticValue() if is_static(value) else None
    return value


def is_static(value: QgsProperty) -> bool:
    """Return whether a property holds one value, not an expression or a field."""
    return value.propertyType() == QgsProperty.Type.StaticProperty


def source_problem(name: str, value: object) -> str | None:
    """Return what is wrong with the raster that `value` names, as far as a path shows."""
    value = plain(value)
    problem = file_problem(name, value)
    if problem:
        return problem
    if not isinstance(value, str) or not _looks_like_path(value):
        return None
    path = value.split("|")[0]
    if not os.path.exists(path):
        if _of_project(path):
            return None
        return f"{name}: there is no file {path}. Check the path."
    try:
        readable = is_raster(path)
    except SceneError as error:
        return f"{name}: {error}"
    if not readable and head(path, 4) == b"PK\x03\x04":
        return f"{name}: {path} is a zip. Give it to 'Import scene', and choose the raster that it writes."
    if not readable:
        return f"{name}: {path} is no raster that GDAL can read, or it is damaged. Check the file."
    return None


def file_problem(name: str, value: object) -> str | None:
    """Return what is wrong with a file that QGIS would open, where `value` names one that would be fetched or run."""
    value = plain(value.source if isinstance(value, QgsProcessingFeatureSourceDefinition) else value)
    path = value.split("|")[0] if isinstance(value, str) else ""
    if not os.path.exists(path) and not _is_gdal_name(path):
        return None
    try:
        prefix, file = split_source(path)
        check_file(file if prefix in SUBDATASETS else path)
    except SceneError as error:
        return f"{name}: {error}"
    return None


def missing_problem(name: str, value: object) -> str | None:
    """Return that there is no such file, where `value` is a path by its looks and no layer is called so."""
    value = plain(value.source if isinstance(value, QgsProcessingFeatureSourceDefinition) else value)
    path = value.split("|")[0] if isinstance(value, str) else ""
    if not _EXTENSION.search(path) or not _looks_like_path(path) or os.path.exists(path):
        return None
    return None if _of_project(path) else f"{name}: there is no file {path}. Check the path."


def called(value: object, context: QgsProcessingContext) -> QgsMapLayer | None:
    """Return the layer that QGIS takes for a text that is no path to a folder's file: a layer's id or name.

    A layer may be called ``S1.tif``, and a file of that name may lie in the folder QGIS was started in.
    """
    if not isinstance(value, str) or not value or os.path.dirname(value):
        return None
    return context.getMapLayer(value)


def _of_project(text: str) -> bool:
    """Return whether a layer of the project has this id or name."""
    project = QgsProject.instance()
    return project.mapLayer(text) is not None or bool(project.mapLayersByName(text))


def names_remote(value: object, context: QgsProcessingContext) -> bool:
    """Return whether a value is a file on another machine that a person has named, under ``/vsicurl/`` or the like."""
    value = plain(value.source if isinstance(value, QgsProcessingFeatureSourceDefinition) else value)
    if isinstance(value, (list, tuple)):
        return any(names_remote(item, context) for item in value)
    if isinstance(value, str):
        value = context.getMapLayer(value) or value
    source = value.source() if isinstance(value, QgsMapLayer) else value
    return isinstance(source, str) and is_remote(source)


def georeference_problem(name: str, value: object) -> str | None:
    """Return what is wrong with an extent or a point that names an empty CRS, ``[]``."""
    held = plain(value)
    nameless = isinstance(held, str) and held.replace(" ", "").endswith("[]")
    if not nameless and type(held).__name__ in ("QgsReferencedRectangle", "QgsReferencedPointXY"):
        nameless = not held.crs().isValid()
    if nameless:
        return (
            f"{name} names an empty coordinate reference system, []. Give one, as in [EPSG:4326], "
            "or set the project's CRS before drawing on the map."
        )
    return None


def _is_gdal_name(value: str) -> bool:
    """Return whether a string means something to GDAL without being a file: a path under ``/vsi``, a text, a part."""
    return value.startswith("/vsi") or value.lstrip().startswith("<") or split_source(value)[0] in SUBDATASETS


def _looks_like_path(value: str) -> bool:
    """Return whether a string is a plain path, not a layer's id nor a GDAL connection."""
    path = value.split("|")[0]
    if path.startswith("/vsi") or (":" in path[2:] and not os.path.exists(path)):
        return False
    return os.path.exists(path) or "/" in path or "\\" in path or bool(os.path.splitext(path)[1])
