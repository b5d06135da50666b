"""Where the polygons of an ice chart lie: a vector file, or one inside a zip that is safe to read.

Agencies ship charts as shapefiles, zipped ones (``.zip``, or ``.imz`` from DMI), GeoJSON and
GeoPackages. What a file is shows from its first bytes, not from its name. A zip is never unpacked:
GDAL reads inside of it, after its directory has been judged and the entries have been tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from osgeo import gdal

from ....ground.errors import SceneError
from ...environment.gdal_state import offline_gdal, silent_gdal
from ...files.drivers import is_remote
from ...files.opening import check_file
from ...files.sources import (
    ZIP_ERRORS,
    VirtualFile,
    damaged_zip,
    is_zip,
    judged,
    member_path,
    open_zip,
    zip_of,
)

MAX_ENTRIES = 1000
MAX_BYTES = 1 << 30  # unpacked; the largest charts have some tens of MB
_MOST_TRIED = 12  # vector files of one zip
_HEAD = 1 << 16

_DRIVERS = {"shapefile": "ESRI Shapefile", "GeoJSON": "GeoJSON", "GeoPackage": "GPKG"}
_SUFFIXES = {".shp": "shapefile", ".geojson": "GeoJSON", ".json": "GeoJSON", ".gpkg": "GeoPackage"}
_INNER = re.compile(rb"[\w)\]-]\.(zip|imz)(?!\.)", re.IGNORECASE)
_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
# What follows a name in a zip may be any byte: an extra field ("UT"), data, or the next entry ("PK").
_INSIDE = re.compile(rb"[\w)\]-]\.(shp|geojson|gpkg)(?!\.)", re.IGNORECASE)


@dataclass(frozen=True)
class VectorFile:
    """A vector file that GDAL can open.

    Parameters
    ----------
    path : str
        GDAL's name of it, under ``/vsizip/`` where it lies in a zip.
    format : str
        ``shapefile``, ``GeoJSON`` or ``GeoPackage``.
    zipped : bool
        Whether it lies in a zip.
    names : tuple of str
        File names without extensions, the outer one first.
    others : tuple of str
        Vector files of the same zip that are not read.
    """

    path: str
    format: str
    zipped: bool
    names: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def driver(self) -> str:
        """GDAL's driver of the format."""
        return _DRIVERS[self.format]


def recognises(path: str | os.PathLike) -> bool:
    """Return whether a file looks like an ice chart's: polygons in a shapefile, GeoJSON, GeoPackage or a zip.

    Only the first and last 64 KiB are looked at. Whether there are SIGRID-3 codes shows in
    opening it, where a sentence can say what is missing.
    """
    with contextlib.suppress(Exception), VirtualFile(zip_of(os.fspath(path))) as file:
        head = file.read(_HEAD)
        kind = _kind(head)
        if kind != "zip":
            return kind is not None
        file.seek(max(0, file.size - _HEAD))
        ends = head + file.read(_HEAD)
        if b"manifest.safe" in ends:
            return False
        if _INSIDE.search(ends):
            return True
        # What an inner zip holds is packed, its name is not.
        return bool(_INNER.search(ends)) and bool(find_vectors(path))
    return False


def find_vector(path: str | os.PathLike) -> VectorFile:
    """Return the vector file that `path` is, or the likeliest chart of those that it holds."""
    return find_vectors(path)[0]


def find_vectors(path: str | os.PathLike) -> list[VectorFile]:
    """Return the vector file that `path` is, or those that it holds, shapefiles first.

    Raises
    ------
    SceneError
        There is no such file, or none of a known format, or the zip is not safe to read.
    """
    path = zip_of(os.fspath(path))
    if not path:
        raise SceneError("The path of an ice chart is empty. Name a file.")
    try:
        with VirtualFile(path) as file:
            kind = _kind(file.read(_HEAD))
    except OSError as error:
        raise SceneError(
            f"There is no ice chart {path} ({error.strerror or error}). Check the path."
        ) from error
    if kind == "zip":
        return _inside(path)
    if kind is None:
        raise SceneError(
            f"{path} is no ice chart that can be read. Give a shapefile (.shp), a zip or .imz of one, "
            "GeoJSON or a GeoPackage."
        )
    return [VectorFile(path, kind, False, (PurePosixPath(path.replace("\\", "/")).stem,))]


def _kind(head: bytes) -> str | None:
    if is_zip(head):
        return "zip"
    if head[:4] == b"\x00\x00\x27\x0a":
        return "shapefile"
    if head[:16] == b"SQLite format 3\x00" and head[68:70] == b"GP":
        return "GeoPackage"
    text = head[3:] if head[:3] == b"\xef\xbb\xbf" else head
    if text.lstrip()[:1] == b"{" and b'"FeatureCollection"' in text:
        return "GeoJSON"
    return None


def _inside(path: str, outer: bool = True) -> list[VectorFile]:
    """Return the vector files in a zip; where it has none, those in the zips inside of it."""
    inner: list[str] = []
    try:
        with open_zip(path) as archive:
            entries = judged(archive, path, MAX_ENTRIES)
            total = sum(entry.file_size for entry in entries)
            if total > MAX_BYTES:
                raise SceneError(
                    f"{path} would unpack to {total / 1e9:.1f} GB; an ice chart has some megabytes. It is not read: "
                    "unpack the chart's own files and choose the .shp."
                )
            vectors = sorted(
                entry.filename
                for entry in entries
                if PurePosixPath(entry.filename).suffix.lower() in _SUFFIXES and not _hidden(entry.filename)
            )
            inner = [
                entry.filename
                for entry in entries
                if outer and PurePosixPath(entry.filename).suffix.lower() in (".zip", ".imz")
            ][:_MOST_TRIED]
            if not vectors and not inner:
                raise SceneError(
                    f"{path} holds no ice chart: no .shp, .geojson or .gpkg is in it. Choose the agency's "
                    "SIGRID-3 archive."
                )
            vectors.sort(key=lambda name: list(_SUFFIXES).index(PurePosixPath(name).suffix.lower()))
            vectors = vectors[:_MOST_TRIED]
            if vectors:
                _try(archive, entries, vectors[0])
            vectors = vectors[:1] + [name for name in vectors[1:] if _is_whole(archive, entries, name)]
    except ZIP_ERRORS as error:
        raise damaged_zip(path, error) from error
    if not vectors:
        return _in_inner_zips(path, inner)
    return [
        VectorFile(
            member_path(path, name),
            _SUFFIXES[PurePosixPath(name).suffix.lower()],
            True,
            (PurePosixPath(path.replace("\\", "/")).stem, PurePosixPath(name).stem),
            tuple(other for other in vectors if other != name),
        )
        for name in vectors
    ]


def _in_inner_zips(path: str, names: list[str]) -> list[VectorFile]:
    charts: list[VectorFile] = []
    first: SceneError | None = None
    for name in names:
        try:
            charts += _inside(member_path(path, name), outer=False)
        except SceneError as error:
            first = first or error
    if not charts:
        raise first or SceneError(f"{path} holds no ice chart. Choose the agency's SIGRID-3 archive.")
    return charts[:_MOST_TRIED]


def _hidden(name: str) -> bool:
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _try(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], chosen: str) -> None:
    """Unpack the chart's parts to nowhere: sizes and checksums must be what the directory says.

    GDAL would read on past a size that is a lie, and would not notice most damage.
    """
    stem = chosen.rpartition(".")[0].lower()
    parts = _PARTS if chosen.lower().endswith(".shp") else (chosen[len(stem) :].lower(),)
    for entry in entries:
        name = entry.filename.lower()
        if name.startswith(stem) and name[len(stem) :] in parts:
            with archive.open(entry) as stream:
                while stream.read(1 << 20):
                    pass


def _is_whole(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], chosen: str) -> bool:
    try:
        _try(archive, entries, chosen)
    except ZIP_ERRORS:
        return False
    return True


@contextlib.contextmanager
def opened(vector: VectorFile) -> Iterator[Any]:
    """Open a vector file for one block.

    Raises
    ------
    SceneError
        GDAL cannot read it.
    """
    # Without the option a chart in EPSG:3411 would be read as one in EPSG:3413.
    check_file(vector.path)
    offline = offline_gdal(is_remote(vector.path))
    with silent_gdal(OSR_USE_NON_DEPRECATED="NO", SHAPE_RESTORE_SHX="NO"), offline:
        dataset, reason = None, ""
        try:
            dataset = gdal.OpenEx(
                vector.path, gdal.OF_VECTOR | gdal.OF_READONLY, allowed_drivers=[vector.driver]
            )
            reason = gdal.GetLastErrorMsg()
        except (
            RuntimeError,
            UnicodeDecodeError,
        ) as error:  # where somebody has switched GDAL's exceptions on
            reason = str(error)
        if dataset is None:
            raise SceneError(
                f"{vector.path} cannot be read as {vector.format} ({plain_text(reason) or 'no reason given'}). "
                "It may be damaged, or a part of it missing: a shapefile needs .shp, .shx, .dbf and .prj."
            )
        yield dataset
        dataset = None


def plain_text(value: object) -> str:
    """Return text that every file format and log takes: GDAL gives bytes or odd characters where it is not UTF-8."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return "".join(c for c in text.encode("utf-8", "replace").decode() if c.isprintable())
