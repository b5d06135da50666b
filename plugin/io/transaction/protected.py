"""Which files belong to what a run reads, so that none of its results takes their place.

A source may be a file, a folder, one file of a product, a mosaic that names others, or a path inside a
container. Files are compared by what they are on the disk, so links, other spellings and file systems
without upper and lower case change nothing::

    protected = ProtectedFiles()
    protected.add("/data/S1A.SAFE/manifest.safe")
    protected.owner("/data/s1a.safe/measurement/hh.tiff")      # the source it belongs to
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import unicodedata
from pathlib import Path
from typing import Optional

from osgeo import gdal

from ..environment.gdal_state import offline_gdal, quiet_gdal

_MOST_FILES = 100_000
_MOST_BYTES = 16 << 20
_PRODUCT_LEVELS = 6  # folders between a product's own and one of its files
_NESTING = 12  # containers in containers, mosaics of mosaics
_MANIFESTS = ("manifest.safe", "xfdumanifest.xml")
_PRODUCTS = (".safe", ".sen3")
_OF_DATABASES = ("-wal", "-shm", "-journal")
_MOSAIC = re.compile(rb"<\s*(?:VRT|OGRVRT|GDALTileIndex)")
# What a mosaic names: <SourceFilename relativeToVRT="1">a.tif</SourceFilename> and its like.
_NAMED = re.compile(
    rb"<\s*(?:SourceFilename|SourceDataset|SrcDataSource|IndexDataset|SourceOverview|Filename)[^<>]*>([^<]+)<",
    re.I,
)
_COMMENT = re.compile(rb"<!--.*?-->", re.S)
_CDATA = re.compile(rb"<!\[CDATA\[(.*?)\]\]>", re.S)
_HEAD = 65536
_HREF = re.compile(rb"""\bhref\s*=\s*["']([^"']+)["']""")
# Formats of which one file names others; none of these drivers asks a server.
_SEVERAL_FILES = ["GTiff", "ENVI", "HFA", "EHdr", "ESRI Shapefile", "MapInfo File"]
Identity = tuple[int, int]


class ProtectedFiles:
    """The files and folders of sources."""

    def __init__(self) -> None:
        self._files: dict[Identity, str] = {}
        self._folders: dict[Identity, str] = {}
        self._paths: dict[str, str] = {}  # where a file system gives files no number
        self._seen: set[str] = set()

    def add(self, source: str) -> None:
        """Take in a source as a person or a layer names it, and all files that belong to it."""
        self._add(source, source, _NESTING)

    def owner(self, path: str | os.PathLike) -> str | None:
        """Return the source that a file belongs to; None where it belongs to none, or is not there."""
        path = os.fspath(path)
        try:
            own = _identity(os.stat(path))
        except (OSError, ValueError):
            return None
        if own is None:
            return self._paths.get(_spelling(path))
        if own in self._files:
            return self._files[own]
        for folder in Path(os.path.realpath(path)).parents:
            with contextlib.suppress(OSError):
                identity = _identity(os.stat(folder))
                if identity in self._folders:
                    return self._folders[identity]
        return None

    def _add(self, source: str, name: str, nesting: int) -> None:
        path = local_path(source)
        if path is None or nesting == 0 or len(self._files) > _MOST_FILES:
            return
        spelled = os.path.abspath(path)
        if spelled in self._seen:
            return
        self._seen.add(spelled)
        if os.path.isdir(path):
            inner = [entry.path for entry in os.scandir(path) if _is_product(entry)]
            for folder in inner or [path]:  # a folder around products is none itself
                self._add_folder(folder, name)
        else:
            self._add_file(path, name)
            for file in _beside(path):
                self._add_file(file, name)
            for file in _named_by(path):
                self._add(file, name, nesting - 1)
        product = _product_of(path)
        if product is not None:
            self._add_folder(product, name)

    def _add_file(self, path: str, name: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            identity = _identity(os.stat(path))
            if identity is None:
                self._paths.setdefault(_spelling(path), name)
            else:
                self._files.setdefault(identity, name)

    def _add_folder(self, path: str, name: str) -> None:
        """Take in a folder and its files one by one: they may have other names elsewhere."""
        with contextlib.suppress(OSError):
            identity = _identity(os.stat(path))
            if identity is not None:
                self._folders.setdefault(identity, name)
        for folder, _, files in os.walk(path):
            for file in files:
                self._add_file(os.path.join(folder, file), name)
                if len(self._files) > _MOST_FILES:
                    return


def local_path(source: str) -> str | None:
    """Return the file or folder on this computer's disks that a source lies in; None where there is none.

    ``/vsizip/{a.zip}/b.tif``, ``NETCDF:"a.nc":b``, ``a.gpkg|layername=b`` and ``file:///a.csv?x=y`` lie in
    ``a.zip``, ``a.nc``, ``a.gpkg`` and ``/a.csv``.
    """
    rest = source.strip()
    for _ in range(_NESTING):
        if not rest or "\0" in rest:
            return None
        if _exists(rest):
            return rest
        inner = _inside_virtual(rest) if rest.startswith("/vsi") else _inside_connection(rest)
        if inner is None:
            return _longest_existing(rest)
        rest = inner
    return None


def _inside_virtual(path: str) -> str | None:
    match = re.match(r"/vsi[a-z0-9_]+/(.*)", path, re.S)
    if not match:
        return None
    rest = match[1]
    if path.startswith(("/vsisubfile/", "/vsisparse/")):
        rest = re.sub(r"^\d+(?:_\d+)?,", "", rest)
    if rest.startswith("{"):
        ends = [match.start() for match in re.finditer("}", rest)][:_NESTING]
        inner = [rest[1:end] for end in ends]  # a name may hold a brace of its own
        return next((name for name in inner if local_path(name)), None)
    return rest if _exists(rest) or rest.startswith("/vsi") else _longest_existing(rest)


def _inside_connection(source: str) -> str | None:
    """Return what stands behind a driver's prefix: the quoted file, or all of it."""
    quoted = re.match(r"""^[A-Za-z][\w ]*(?::|=)[^"']*["']([^"']+)["']""", source)
    if quoted:
        return quoted[1]
    match = re.match(r"^[A-Za-z][\w]+:(?://localhost(?=/)|//)?(.*)", source, re.S)
    return re.sub(r"^(?:\d+|off):", "", match[1]) if match else None


def _longest_existing(text: str) -> str | None:
    """Return the longest beginning of a text that is a file: ``a.tif`` of ``a.tif?bands=1`` and ``a.zip/b``."""
    for match in reversed(list(re.finditer(r"[|?:/\\,]", text[:4096]))):
        part = text[: match.start()]
        if part and os.path.isfile(part):
            return part
    return None


def _is_product(entry: os.DirEntry) -> bool:
    return os.path.splitext(entry.name)[1].lower() in _PRODUCTS and entry.is_dir()


def _exists(path: str) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:
        return False


def _identity(status: os.stat_result) -> Optional[Identity]:  # noqa: UP045
    return (status.st_dev, status.st_ino) if status.st_ino else None


def _spelling(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.normcase(os.path.realpath(path))).casefold()


def _product_of(path: str) -> str | None:
    """Return the folder of the product that a file or folder belongs to."""
    real = Path(os.path.realpath(path))
    for folder in [real, *real.parents][: _PRODUCT_LEVELS + 1]:
        if folder.suffix.lower() in _PRODUCTS and folder.is_dir():
            return str(folder)
        parts = any((folder / name).is_dir() for name in ("measurement", "annotation"))
        if parts and any((folder / name).is_file() for name in _MANIFESTS):
            return str(folder)
    return None


def _beside(path: str) -> list[str]:
    """Return the files that describe or continue a file: ``a.tif.ovr``, ``a.gpkg-wal``, all parts of a shapefile."""
    folder, name = os.path.split(os.path.abspath(path))
    paths = []
    with contextlib.suppress(OSError):
        for other in os.listdir(folder):
            rest = other.lower()[len(name) :] if other.lower().startswith(name.lower()) else ""
            if rest in _OF_DATABASES or (rest.startswith(".") and os.path.splitext(name)[1]):
                paths.append(os.path.join(folder, other))
    return paths


def _named_by(path: str) -> list[str]:
    """Return the files that a file names: sources of a mosaic, members of a product, parts of a format."""
    start = _COMMENT.sub(b"", _read(path, _HEAD))
    folder = os.path.dirname(os.path.abspath(path))
    if _MOSAIC.search(start):
        text = _CDATA.sub(rb"\1", _COMMENT.sub(b"", _read(path, _MOST_BYTES)))
        return [_joined(folder, name) for name in _NAMED.findall(text)]
    if b"XFDU" in start or b"xfdu" in start:
        return [_joined(folder, name) for name in _HREF.findall(_read(path, _MOST_BYTES))]
    if not start:
        return []
    with contextlib.suppress(RuntimeError), quiet_gdal(), offline_gdal():
        dataset = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_VECTOR, allowed_drivers=_SEVERAL_FILES)
        files = (dataset.GetFileList() or []) if dataset is not None else []
        dataset = None
        return [file for file in files if os.path.abspath(file) != os.path.abspath(path)]
    return []


def _joined(folder: str, name: bytes) -> str:
    text = name.decode("utf-8", "replace").strip()
    for code, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        text = text.replace(code, character)
    if text.startswith("/vsi") or os.path.isabs(text) or local_path(text) == text:
        return text
    for name_of_file in (text, _inside_connection(text)):
        if name_of_file and local_path(beside := os.path.join(folder, name_of_file)):
            return beside
    return text


def _read(path: str, limit: int) -> bytes:
    """Return the beginning of a regular file; nothing of anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError):
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        try:
            return file.read(limit)
        except OSError:
            return b""
