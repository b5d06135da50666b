"""Model packages as a zip: written with a checksum of each file, and read from strangers.

The files lie in one folder, ``my-model/card.json``; ``SHA256SUMS`` beside them is in the form of ``sha256sum --check``.
What a zip declares is not believed: its table of contents is measured before it is read, names are those of a package
or left out, and each file is read up to what it may have.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Mapping
from types import TracebackType
from typing import BinaryIO

from ...ground.errors import ModelError
from ...networks.files import MOST_JSON_BYTES, open_regular, short_path, shown, shown_text
from ...networks.registry import CARD, PACKAGE_TEXTS

CHECKSUMS = "SHA256SUMS"
MOST_BYTES = 4 << 30
_MOST_ENTRIES = 1_000
_MOST_CONTENTS = 1 << 20  # bytes of the table of contents
_END, _END_SIZE, _END64 = b"PK\x05\x06", 22, b"PK\x06\x07"
_ZIP = b"PK"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MADE = (1980, 1, 1, 0, 0, 0)  # so that one package gives one zip
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def is_archive(path: str | os.PathLike) -> bool:
    """Return whether a file is a zip that holds a model card.

    Raises
    ------
    ModelError
        If there is no such file, or it cannot be opened.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(_ZIP)) != _ZIP or not _bounded(file):
                return False
            with zipfile.ZipFile(file) as archive:
                return any(name.rsplit("/", 1)[-1] == CARD for name in archive.namelist())
    except FileNotFoundError:
        raise ModelError(f"There is no file {short_path(path)}. Check INPUT.") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError):
        return False


def archive_bytes(folder: str, files: Mapping[str, bytes]) -> bytes:
    """Return a zip of the files of a package; the same files give the same zip.

    Parameters
    ----------
    folder : str
        Name of the folder in it.
    files : mapping of str to bytes
        By name.
    """
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items())
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in {**files, CHECKSUMS: sums.encode("ascii")}.items():
            entry = zipfile.ZipInfo(f"{folder}/{name}", _MADE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return content.getvalue()


class PackageArchive:
    """A zip of a model package, opened; a context manager.

    Parameters
    ----------
    path : path
        The zip.

    Attributes
    ----------
    left_out : tuple of str
        Names of files that belong to no package.

    Raises
    ------
    ModelError
        If it is damaged, too large, or an entry is none of a package's: a link, a path out of its folder, encrypted.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._named = short_path(path)
        self._file = open_regular(path)
        self._sums: dict[str, str] = {}
        try:
            self._archive = self._opened()
            self._entries, self.left_out = self._checked()
            self._sums = self._read_sums()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> PackageArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str, most: int = MOST_JSON_BYTES) -> bytes:
        """Return the content of a file.

        Raises
        ------
        ModelError
            If it is missing, damaged, has more than `most` bytes, or another checksum than the zip says.
        """
        if name not in self._entries:
            raise ModelError(f"{self._named} has no {shown(name)}. Export the package again.")
        try:
            with self._archive.open(self._entries[name]) as file:
                content = file.read(most + 1)
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            RuntimeError,
            ValueError,
            OSError,
            EOFError,
        ) as error:
            raise self._damaged(f"{name}: {error}") from None
        except Exception as error:  # zlib.error is none of these
            raise self._damaged(f"{name}: {error}") from None
        if len(content) > most:
            raise ModelError(
                f"{shown(name)} in {self._named} has more than {most} bytes unpacked, more than it can have. It is "
                "damaged or made to fill the memory: download it again."
            )
        if self._sums and self._sums.get(name) != hashlib.sha256(content).hexdigest():
            raise ModelError(
                f"{shown(name)} in {self._named} has another checksum than {CHECKSUMS} says. Download it again."
            )
        return content

    def _opened(self) -> zipfile.ZipFile:
        if os.fstat(self._file.fileno()).st_size > MOST_BYTES:
            raise ModelError(
                f"{self._named} is larger than the {MOST_BYTES >> 30} GiB that a package can have."
            )
        if not _bounded(self._file):
            raise ModelError(
                f"{self._named} has a larger table of contents than a model package, or one that is damaged. Export "
                "the package again."
            )
        try:
            return zipfile.ZipFile(self._file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
            raise self._damaged(error) from None

    def _damaged(self, problem: object) -> ModelError:
        return ModelError(
            f"{self._named} is a damaged zip ({shown_text(problem, 100)}). Copy or download it again."
        )

    def _checked(self) -> tuple[dict[str, zipfile.ZipInfo], tuple[str, ...]]:
        """Return the entries of a package by name without folder, and what was left out."""
        infos = self._archive.infolist()
        if len(infos) > _MOST_ENTRIES:
            raise ModelError(f"{self._named} holds {len(infos)} entries; at most {_MOST_ENTRIES} are read.")
        cards = [info.filename for info in infos if info.filename.rsplit("/", 1)[-1] == CARD]
        if len(cards) != 1 or cards[0].count("/") > 1:
            raise ModelError(
                f"{self._named} holds {len(cards)} model cards; a package has one, in its only folder or beside its "
                "other files. Give the zip of one package."
            )
        folder = cards[0][: -len(CARD)]
        entries: dict[str, zipfile.ZipInfo] = {}
        left_out = []
        for info in infos:
            self._check_entry(info)
            name = info.filename[len(folder) :] if info.filename.startswith(folder) else info.filename
            if not name or info.is_dir():
                continue
            known = name in PACKAGE_TEXTS or name in (CARD, CHECKSUMS) or name.endswith(".safetensors")
            if not known or not _PLAIN.fullmatch(name):
                left_out.append(name)
                continue
            if name in entries:
                raise ModelError(f"{self._named} holds {shown(name)} twice. Export the package again.")
            entries[name] = info
        return entries, tuple(left_out)

    def _check_entry(self, info: zipfile.ZipInfo) -> None:
        """Refuse an entry that no package has."""
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ModelError(
                f"{self._named} holds {shown(info.filename)}, which is a link or a device, no file."
            )
        parts = info.filename.split("/")
        if ".." in parts or info.filename.startswith("/") or "\\" in info.filename or ":" in info.filename:
            raise ModelError(
                f"{self._named} holds {shown(info.filename)}, a path out of its folder. It is made to write elsewhere: "
                "do not use it."
            )
        if info.flag_bits & 1:
            raise ModelError(
                f"{self._named} is encrypted. Unpack it, and give the folder or a zip without password."
            )
        if info.compress_type not in _KINDS:
            raise ModelError(
                f"{shown(info.filename)} in {self._named} is packed in an unusual way. Zip it with deflate."
            )

    def _read_sums(self) -> dict[str, str]:
        """Return the checksums by name; none where the zip was made by hand."""
        if CHECKSUMS not in self._entries:
            return {}
        lines = self.read(CHECKSUMS, 1 << 16).decode("ascii", "replace").splitlines()
        pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
        if any(len(pair) != 2 for pair in pairs):
            raise ModelError(f"{CHECKSUMS} in {self._named} is damaged. Download it again.")
        return {name.lstrip("*"): checksum for checksum, name in pairs}


def _bounded(file: BinaryIO) -> bool:
    """Return whether a zip has an ordinary, small table of contents; read as Python's own reader finds it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - (1 << 16) - _END_SIZE))
    tail = file.read()
    file.seek(0)
    at = len(tail) - _END_SIZE
    if not (tail[at : at + 4] == _END and tail[-2:] == b"\0\0"):
        at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE or _END64 in tail[max(0, at - 20) : at]:
        return False
    entries, length = struct.unpack("<HL", tail[at + 10 : at + 16])
    return entries <= _MOST_ENTRIES and length <= _MOST_CONTENTS
