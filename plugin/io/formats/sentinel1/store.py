"""The files of a SAFE product, in a folder or a zip, on a disk or under a GDAL virtual file system.

What a product says of itself is not believed: a name must stay inside of the product, and a file is
read up to a limit, whatever size it declares.
"""

from __future__ import annotations

import os
import re

from osgeo import gdal

from ....ground.errors import SceneError
from ...environment.gdal_state import quiet_gdal
from ...files.sources import (
    ZIP_ERRORS,
    VirtualFile,
    file_size,
    head,
    is_folder,
    is_zip,
    judged,
    leads_out,
    member_path,
    open_zip,
)

MANIFEST = "manifest.safe"
XML_LIMIT = 32 << 20
"""Bytes an XML file may have; the largest of real products have 12 MiB."""
MANIFEST_LIMIT = 4 << 20
"""Bytes a manifest may have; real ones have some 30 KiB."""
_HEAD = 16384
_ENDS = 65536
# Every Sentinel-1 manifest declares this namespace; Sentinel-2's and Sentinel-3's do not.
_NAMESPACE = b"http://www.esa.int/safe/sentinel-1.0"
# Reading these would wait for a person, or has effects.
_NEVER = ("/vsistdin", "/vsistdout")


class Store:
    """The files of one product.

    Attributes
    ----------
    source : str
        What a person named.
    name : str
        Name of the product, without extension.
    manifest : str
        Name of its manifest.
    """

    source: str
    name: str
    manifest: str = MANIFEST

    def size(self, name: str) -> int | None:
        """Return the size of a file of the product in bytes, None where there is none."""
        raise NotImplementedError

    def path(self, name: str) -> str:
        """Return the path under which GDAL reads a file of the product."""
        raise NotImplementedError

    def read(self, name: str, limit: int = XML_LIMIT) -> bytes:
        """Return an XML file of the product of up to `limit` bytes.

        Raises
        ------
        SceneError
            It is missing, damaged, or too large to be what it should be.
        """
        size = self.size(name)
        if size is None:
            raise SceneError(
                f"{self.source} lacks the file {name}. Copy or download the whole product again."
            )
        if size > limit:
            raise _too_large(self.source, name, size)
        try:
            data = self._bytes(name, limit + 1)
        except ZIP_ERRORS as error:
            raise SceneError(
                f"{name} in {self.source} cannot be read ({error}). Copy or download the product again."
            ) from error
        if len(data) > limit:
            raise _too_large(self.source, name, len(data))
        return data

    def _bytes(self, name: str, limit: int) -> bytes:
        raise NotImplementedError


def _too_large(source: str, name: str, size: int) -> SceneError:
    return SceneError(
        f"{name} in {source} has {size / 2**20:.0f} MiB, more than any of its kind. "
        "The product is damaged or forged: download it from its provider."
    )


class FolderStore(Store):
    """A product in a folder."""

    def __init__(self, source: str, folder: str, manifest: str = MANIFEST) -> None:
        self.source, self._folder, self.manifest = source, folder.rstrip("/\\"), manifest
        whole = self._folder if self._folder.startswith("/vsi") else os.path.abspath(self._folder)
        self.name = _stem(re.split(r"[/\\]", whole)[-1])

    def size(self, name: str) -> int | None:
        """Return the size of a file of the product in bytes, None where there is none."""
        return file_size(self.path(name))

    def path(self, name: str) -> str:
        """Return the path under which GDAL reads a file of the product."""
        return f"{self._folder}/{inside(name, self.source)}"

    def _bytes(self, name: str, limit: int) -> bytes:
        return head(self.path(name), limit)


class ZipStore(Store):
    """A product in a zip, wherever in it the product's folder lies."""

    def __init__(self, source: str) -> None:
        self.source = source
        with open_zip(source) as archive:
            members = judged(archive, source)
        # Some programs on Windows write backslashes.
        self._members = {member.filename.replace("\\", "/"): member for member in members}
        self._folder = _manifest_folder(list(self._members), source)
        folder = self._folder.rstrip("/").split("/")[-1]
        self.name = _stem(folder or re.split(r"[/\\]", source.rstrip("/\\"))[-1])

    def size(self, name: str) -> int | None:
        """Return the size of a file of the product in bytes, None where there is none."""
        member = self._members.get(self._folder + inside(name, self.source))
        return None if member is None else member.file_size

    def path(self, name: str) -> str:
        """Return the path under which GDAL reads a file of the product."""
        return member_path(self.source, self._folder + inside(name, self.source))

    def _bytes(self, name: str, limit: int) -> bytes:
        member = self._members[self._folder + inside(name, self.source)]
        with open_zip(self.source) as archive, archive.open(member) as file:
            return file.read(limit)


def _manifest_folder(names: list[str], source: str) -> str:
    """Return the folder of the manifest among names: empty, or ending with a slash."""
    manifests = [name for name in names if name.split("/")[-1] == MANIFEST]
    if not manifests:
        raise SceneError(
            f"{source} holds no manifest.safe: it is no whole Sentinel-1 product. Download it again."
        )
    if len(manifests) > 1:
        raise SceneError(
            f"{source} holds {len(manifests)} products ({', '.join(sorted(manifests)[:3])}). "
            "Name the manifest.safe of one of them."
        )
    return manifests[0][: -len(MANIFEST)]


def inside(name: str, source: str) -> str:
    """Return a file's name relative to the product, without a leading ``./``.

    Raises
    ------
    SceneError
        The name leads out of the product.
    """
    plain = name[2:] if name.startswith("./") else name
    if not plain or leads_out(plain) or "\\" in plain or ":" in plain:
        raise SceneError(
            f"{source} names a file outside of the product ('{name[:80]!s}'). "
            "It is damaged or forged: download it from its provider."
        )
    return plain


def _stem(name: str) -> str:
    return re.sub(r"\.(safe|zip)$", "", name, flags=re.I) or "sentinel1"


def recognises(path: str) -> bool:
    """Return whether `path` is a Sentinel-1 product (of any type), by its content; never raises.

    A zip that names a manifest and cannot be read is taken for one: opening it says what is wrong.
    """
    try:
        try:
            store = _find(path)
        except SceneError:
            return _mentions_manifest(path)
        return store is not None and _NAMESPACE in store._bytes(store.manifest, _HEAD)
    except (SceneError, *ZIP_ERRORS):
        return False


def _mentions_manifest(path: str) -> bool:
    """Return whether the first or last bytes of a file, where a zip has its names, name a manifest."""
    with VirtualFile(path) as file:
        head = file.read(_ENDS)
        file.seek(max(0, (file_size(path) or 0) - _ENDS))
        return MANIFEST.encode() in head + file.read(_ENDS)


def open_store(path: str) -> Store:
    """Return the files of the product that `path` names.

    Raises
    ------
    SceneError
        There is no product, or a damaged or forged one.
    """
    if not path:
        raise SceneError("The path of a Sentinel-1 product is empty. Name its manifest.safe or its zip.")
    store = _find(path)
    if store is None:
        raise SceneError(
            f"{path} is no Sentinel-1 product. Name its manifest.safe, its folder, or a zip of the folder."
        )
    return store


def _find(path: str) -> Store | None:
    if not path or path.startswith(_NEVER) or "\0" in path:
        return None
    if is_folder(path):
        folder = path.rstrip("/\\")
        if file_size(f"{folder}/{MANIFEST}") is not None:
            return FolderStore(path, folder)
        # A zip under /vsizip/, or a folder around the product.
        with quiet_gdal():
            names = gdal.ReadDir(folder, 1000) or []
        folders = [n for n in names if n.lower().endswith(".safe") and file_size(f"{folder}/{n}/{MANIFEST}")]
        return FolderStore(path, f"{folder}/{folders[0]}") if len(folders) == 1 else None
    if file_size(path) is None:
        return None
    start = head(path, _HEAD)
    if is_zip(start):
        return ZipStore(path)
    if _NAMESPACE not in start or b"XFDU" not in start:
        return None
    folder, separator, name = path.replace("\\", "/").rpartition("/")
    return FolderStore(path, (folder or "/") if separator else ".", name)
