"""Where results go: plain files with the right extension, in a folder that exists, all different.

Processing calls a destination's value many things: a path, ``TEMPORARY_OUTPUT``, a connection, a
definition with a project. What was not asked for is not touched, so that nothing is made of it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterVectorDestination,
    QgsProviderRegistry,
)

from ...ground.errors import FloeLensError
from .parameter_values import called, given, plain

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
    from ...io.transaction.protected import ProtectedFiles, local_path

    taken: dict[str, str] = {}
    protected = ProtectedFiles()
    for source in inputs:
        protected.add(source)
        path = local_path(source) or source
        taken.update(dict.fromkeys(_claims(path), "an input"))
    for name, path in destinations.items():
        for file in _touched(path):
            owner = protected.owner(file)
            if owner is not None:
                return _belongs(name, file, owner)
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


def mended(sources: Iterable[str]) -> list[str]:
    """End what killed runs left beside the inputs; return a sentence for each replacement that was mended."""
    from ...io.transaction.leftovers import clear
    from ...io.transaction.protected import local_path

    paths = [local_path(source) or source for source in sources if not source.startswith("/vsi")]
    folders = dict.fromkeys(path if os.path.isdir(path) else os.path.dirname(path) for path in paths)
    return [sentence for folder in folders if folder for sentence in clear(Path(folder))]


def named_sources(
    definitions: Iterable[QgsProcessingParameterDefinition], parameters: dict, context: QgsProcessingContext
) -> list[str]:
    """Return what the inputs of a run name: files, folders, connections, and the folders of its models."""
    from ...networks.registry import find

    sources = []
    for definition in definitions:
        if definition.isDestination():
            continue
        value = plain(parameters.get(definition.name()))
        for item in value if isinstance(value, (list, tuple)) else [value]:
            source = _source(item, context)
            if not source:
                continue
            if definition.name() not in ("MODEL", "ENSEMBLE"):
                sources.append(source)
                continue
            for model in source.split(";") if definition.name() == "ENSEMBLE" else [source]:
                named = model.strip()
                with contextlib.suppress(FloeLensError):
                    named = str(find(named))
                if named:
                    sources.append(named)
    return sources


def _source(value: object, context: QgsProcessingContext) -> str:
    """Return what a value names; empty where it is no text and no layer."""
    from ...io.transaction.protected import local_path

    held = plain(value)
    if hasattr(held, "source") and not hasattr(held, "dataProvider"):
        held = plain(held.source)  # the definition of a feature source
    if isinstance(held, str) and held:  # dialogs give a layer by its id or name
        named = called(held, context) or (context.getMapLayer(held) if local_path(held) is None else None)
        held = held if named is None else named
    if hasattr(held, "dataProvider"):
        parts = QgsProviderRegistry.instance().decodeUri(held.providerType(), held.source())
        return str(parts.get("path") or held.source())
    return held if isinstance(held, str) else ""


def _touched(path: str) -> list[str]:
    """Return the files that are written or removed where a result is written to `path`."""
    stem, extension = os.path.splitext(path)
    beside = {
        ".tif": (".aux.xml", ".ovr", ".msk"),
        ".tiff": (".aux.xml", ".ovr", ".msk"),
        ".gpkg": ("-wal", "-shm", "-journal"),
        ".csv": ("t",),
    }
    styles = [f"{stem}.qml"] if extension.lower() in (".tif", ".tiff", ".gpkg") else []
    return [path, *(f"{path}{suffix}" for suffix in beside.get(extension.lower(), ())), *styles]


def _belongs(name: str, file: str, source: str) -> str:
    from ...io.transaction.protected import local_path

    if local_path(source) == file or _same(local_path(source) or "") == _same(file):
        return f"{name} and an input are the same file, {short(file)}. Give each result a file of its own."
    return (
        f"{name}: {short(file)} belongs to the input {short(source)} and would be replaced. Give each result a file "
        "of its own, elsewhere."
    )


def short(path: str) -> str:
    """Return a path for a sentence, without its middle where it is long."""
    return path if len(path) <= 140 else f"{path[:40]}…{path[-90:]}"


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
