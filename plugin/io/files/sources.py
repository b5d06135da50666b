"""Files wherever they lie: on a disk, inside of a zip, or under GDAL's virtual file systems.

Nothing is unpacked. A zip is judged by its directory before anything in it is read, and GDAL then reads
its members where they are::

    with open_zip("scene.zip") as archive:
        for member in judged(archive, "scene.zip"):
            member_path("scene.zip", member.filename)     # what GDAL opens
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from io import RawIOBase
from typing import Any

from osgeo import gdal

from ...ground.errors import SceneError
from ..environment.gdal_state import silent_gdal

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ARRAY_SIGNATURES = (HDF5_SIGNATURE, b"CDF\x01", b"CDF\x02", b"CDF\x05")
"""How HDF5 (NetCDF-4 is such) and the classic forms of NetCDF begin."""

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
# Where GDAL knows the end of a zip's name without braces around it (see quiet_gdal).
_ZIP_ENDINGS = (".zip", ".imz")
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    MemoryError,
    LookupError,
)
"""What reading a damaged zip may raise."""

MOST_MEMBERS = 20_000
LARGEST_RATIO = 200  # text of blanks alone may well be packed this tightly
_LARGE_MEMBER = 16 << 20
_PACKINGS = {9: "Deflate64", 12: "BZIP2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
# What GDAL reads where it is; a text beside it may be packed in any way.
_DATA = re.compile(
    r"\.(shp|shx|dbf|prj|cpg|(geo)?json|gpkg|nc4?|cdf|h(e)?5|hdf5?|tiff?|xml|safe)$", re.IGNORECASE
)
# Images are read window by window after their size has been compared with what belongs there.
_IMAGES = (".tif", ".tiff")


def _hushed() -> contextlib.AbstractContextManager[None]:
    """Keep GDAL quiet for one block, and from writing a note beside a gzipped file."""
    return silent_gdal(CPL_VSIL_GZIP_WRITE_PROPERTIES="NO")


class VirtualFile(RawIOBase):
    """A file under any of GDAL's file systems (or a plain one), for reading.

    Raises
    ------
    OSError
        There is no such file.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._handle: Any = None
        with _hushed():
            status = _status(path)
            if status is None:
                raise FileNotFoundError(2, "no such file")
            if status.IsDirectory():
                raise IsADirectoryError(21, "it is a folder")
            self.size = int(status.size)
            with contextlib.suppress(RuntimeError):  # where somebody has switched GDAL's exceptions on
                self._handle = gdal.VSIFOpenL(path, "rb")
        if self._handle is None:
            raise OSError(5, "it cannot be opened")

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return int(gdal.VSIFTellL(self._handle))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; return it."""
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self.size}[whence]
        if position < 0:
            raise OSError(22, "a position before the beginning of the file")
        with _hushed():
            gdal.VSIFSeekL(self._handle, position, os.SEEK_SET)
        return position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; return how many bytes there were."""
        with _hushed():
            data = gdal.VSIFReadL(1, len(buffer), self._handle) or b""
        buffer[: len(data)] = bytes(data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            gdal.VSIFCloseL(self._handle)
            self._handle = None
        super().close()


def _status(path: str) -> Any:
    try:
        return gdal.VSIStatL(path)
    except RuntimeError:
        return None


def file_size(path: str) -> int | None:
    """Return the size of a file in bytes, None where there is none."""
    with _hushed():
        status = _status(path)
    return None if status is None or status.IsDirectory() else int(status.size)


def is_folder(path: str) -> bool:
    """Return whether a path leads to a folder."""
    with _hushed():
        status = _status(path)
    return status is not None and bool(status.IsDirectory())


def head(path: str, length: int = 64) -> bytes:
    """Return the first bytes of a file; none where there is no such file."""
    parts: list[bytes] = []
    try:
        with VirtualFile(path) as file:
            while length > 0:
                part = file.read(min(length, 1 << 20))
                if not part:
                    break
                parts.append(part)
                length -= len(part)
    except ZIP_ERRORS:  # a file inside of a damaged zip
        return b""
    return b"".join(parts)


# Zips


def is_zip(start: bytes) -> bool:
    """Return whether a file that begins so is a zip."""
    return start.startswith(_ZIP_SIGNATURES)


def zip_of(path: str) -> str:
    """Return the zip of a path that names a whole zip as a folder (``/vsizip/a.zip``), other paths as they are."""
    if path.startswith("/vsizip/"):
        outer = path[len("/vsizip/") :].rstrip("/")
        outer = outer[1:-1] if outer.startswith("{") and outer.endswith("}") else outer
        if file_size(outer) is not None:
            return outer
    return path


def member_path(path: str, name: str) -> str:
    """Return the path under which GDAL reads a member of a zip.

    Raises
    ------
    SceneError
        GDAL has no name for it: a brace without its other half is in the path, and no usual extension.
    """
    outer = path if path.startswith("/vsi") else os.path.abspath(path)
    name = name.replace("\\", "/")  # as GDAL does with names that came from Windows
    if _braces_match(outer):
        # The braces mark for GDAL where the zip's name ends, whatever its extension.
        return f"/vsizip/{{{outer}}}/{name}"
    if not outer.lower().endswith(_ZIP_ENDINGS):
        raise SceneError(
            f"{path} cannot be read where it is: its path has a brace without its other half. Rename it, or let its "
            "name end in .zip."
        )
    return f"/vsizip/{outer}/{name}"


def _braces_match(path: str) -> bool:
    """Return whether every brace of a path has its other half, as GDAL counts them."""
    depth = 0
    for character in path:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0


@contextlib.contextmanager
def open_zip(path: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip for one block.

    Raises
    ------
    SceneError
        It cannot be read as a zip.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(VirtualFile(path))
            archive = stack.enter_context(zipfile.ZipFile(file))  # type: ignore[call-overload]
        except ZIP_ERRORS as error:
            raise damaged_zip(path, error) from error
        yield archive


def damaged_zip(path: str, error: object) -> SceneError:
    """Return the error of a zip that cannot be read."""
    return SceneError(f"{path} is a damaged or truncated zip ({error}). Copy or download it again.")


def judged(archive: zipfile.ZipFile, path: str, most_members: int = MOST_MEMBERS) -> list[zipfile.ZipInfo]:
    """Return the members of a zip that is safe to read.

    Parameters
    ----------
    archive : zipfile.ZipFile
        The zip.
    path : str
        What a person calls it.
    most_members : int
        Members that it may have.

    Raises
    ------
    SceneError
        It reaches out of itself, grows beyond measure, is locked, has too many members, or holds data
        that are packed in a way that GDAL does not read.
    """
    members = archive.infolist()
    if len(members) > most_members:
        raise SceneError(
            f"{path} holds {len(members)} files, more than belong to one product. It is not read: unpack it, and "
            "choose the product's own file."
        )
    for member in members:
        name = member.filename
        if leads_out(name):
            raise SceneError(
                f"{path} holds a file that would lie outside of it ('{name[:80]}'). Such a zip is not read: get "
                "it from its provider."
            )
        grows = member.file_size > LARGEST_RATIO * max(1, member.compress_size)
        if member.file_size > _LARGE_MEMBER and grows and not name.lower().endswith(_IMAGES):
            raise SceneError(
                f"{path} holds '{name[:80]}', which grows from {member.compress_size} to {member.file_size} bytes: "
                "a zip bomb. It is not read: get it from its provider."
            )
        if member.flag_bits & 1:
            raise SceneError(f"{path} is locked with a password. Unpack it, and choose the file inside.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and _DATA.search(name):
            packing = _PACKINGS.get(member.compress_type, f"method {member.compress_type}")
            raise SceneError(
                f"{path} holds '{name[:80]}' packed by {packing}, which is not read inside of a zip. Unpack it, and "
                "choose the file inside."
            )
    return members


def leads_out(name: str) -> bool:
    """Return whether the name of a member, or of a file that a product names, leads out of it."""
    plain = name.replace("\\", "/")
    return (
        plain.startswith("/")
        or re.match(r"[A-Za-z]:", plain) is not None
        or ".." in plain.split("/")
        or any(ord(character) < 32 for character in plain)
    )


def array_files(path: str) -> list[str]:
    """Return what GDAL opens of the HDF5 and NetCDF files that a path stands for: itself, or those in a zip.

    Raises
    ------
    SceneError
        It is a zip that is not safe to read.
    """
    path = zip_of(path)
    start = head(path)
    if start.startswith(ARRAY_SIGNATURES):
        return [path]
    if not is_zip(start):
        return []
    try:
        with open_zip(path) as archive:
            names = [m.filename for m in judged(archive, path) if _begins_as_arrays(archive, m)]
    except ZIP_ERRORS as error:
        raise damaged_zip(path, error) from error
    return [member_path(path, name) for name in names]


def _begins_as_arrays(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    if member.file_size < len(HDF5_SIGNATURE):
        return False
    try:
        with archive.open(member) as file:
            return file.read(len(HDF5_SIGNATURE)).startswith(ARRAY_SIGNATURES)
    except ZIP_ERRORS:  # that member is damaged
        return False
