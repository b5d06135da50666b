"""Where results go: plain files with the right extension, in a folder that exists, all different.

Processing calls a destination's value many things: a path, ``TEMPORARY_OUTPUT``, a connection, a
definition with a project. What was not asked for is not touched, so that nothing is made of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from qgis.core import (
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
)

from .reading import given, plain

TEMPORARY = "TEMPORARY_OUTPUT"


def extensions(definition: QgsProcessingParameterDefinition) -> tuple[str, ...]:
    """Return the extensions a destination may have; the first one is the usual one."""
    if isinstance(definition, QgsProcessingParameterRasterDestination):
        return (".tif", ".tiff")
    if isinstance(definition, QgsProcessingParameterVectorDestination):
        return (".gpkg",) if definition.hasGeometry() else (".csv",)
    if isinstance(definition, QgsProcessingParameterFileDestination):
        return (("." + definition.defaultFileExtension()),)
    return ()


def destination_problem(definition: QgsProcessingParameterDefinition, value: object) -> str | None:
    """Return what is wrong with where a result is to go, in one sentence."""
    if not given(value):
        return None
    path = plain(value)
    if not isinstance(path, str) or path == TEMPORARY:
        return None
    name = definition.name()
    usual = extensions(definition)
    kind = f"a {usual[0]} file" if usual else "a folder"
    drive = os.path.splitdrive(path)[0]
    if path.startswith(("memory:", "postgis:", "ogr:", "spatialite:")) or (
        ":" in path[len(drive) :] and "=" in path
    ):
        return f"{name}: results are plain files, not {path.split(':')[0]}: connections. Give {kind}."
    if usual and os.path.splitext(path)[1].lower() not in usual:
        return f"{name}: {path} must be {kind}. Change the extension."
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        return f"{name}: the folder {folder} does not exist. Make it first, or choose another."
    if not os.access(folder, os.W_OK):
        return f"{name}: no right to write into {folder}. Choose another folder."
    if usual and os.path.isdir(path):
        return f"{name}: {path} is a folder. Give {kind}."
    if isinstance(definition, QgsProcessingParameterFolderDestination) and os.path.isfile(path):
        return f"{name}: {path} is a file. Give a folder."
    return None


def clash(destinations: dict[str, str], inputs: Iterable[str] = ()) -> str | None:
    """Return what is wrong where two results, or a result and an input, are one file or share a style."""
    taken: dict[str, str] = {}
    for path in inputs:
        taken.update(dict.fromkeys(_claims(path), "an input"))
    for name, path in destinations.items():
        claims = _claims(path)
        if claims[0] in taken:
            other = taken[claims[0]]
            return f"{name} and {other} are the same file, {path}. Give each result a file of its own."
        if claims[-1] in taken:
            return (
                f"{name} and {taken[claims[-1]]} would share one style file, {os.path.splitext(path)[0]}.qml. "
                "Give them different names."
            )
        taken.update(dict.fromkeys(claims, name))
    return None


def report_companions(report: str) -> tuple[str, str]:
    """Return where the JSON and the CSV of an HTML report go: beside it.

    ``ice.html`` gives ``ice_report.json`` and ``ice_report.csv``, since a table ``ice.csv`` is
    likely to stand in the same folder.
    """
    stem = os.path.splitext(report)[0]
    if "report" not in os.path.basename(stem).lower():
        stem += "_report"
    return stem + ".json", stem + ".csv"


def _claims(path: str) -> tuple[str, ...]:
    """Return the file itself and, for what QGIS draws, the style beside it."""
    stem, extension = os.path.splitext(_same(path))
    styled = extension.lower() in (".tif", ".tiff", ".gpkg")
    return (_same(path), f"{stem}.qml") if styled else (_same(path),)


def _same(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))
