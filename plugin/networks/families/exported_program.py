"""Weights out of a ``.pt2`` file of ``torch.export.save``, read as the zip that it is.

Since torch 2.8 such a file holds the graph as JSON, and each weight as plain bytes with its type, shape and strides in
``model_weights_config.json``. Nothing is unpickled: ``torch.export.load`` would do so for what it does not know.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Mapping
from typing import Any

from ...ground.dependencies import require
from ...ground.errors import ModelError
from ..files import parse_json, read_regular, short_path, shown, shown_text
from .checkpoint import MOST_BYTES, StateDict, check_container, check_stored, checked

_CONFIG = "data/weights/model_weights_config.json"
_MOST_CONFIG = 16 << 20
_MOST_TENSORS = 10_000
_MOST_AXES = 8
_MOST_SIDE = 1 << 40
_STRIDED = 7
# Numbers of types in the file's schema.
_TYPES = {6: "float16", 7: "float32", 8: "float64", 13: "bfloat16"}
_COUNTER = "num_batches_tracked"
_OLD = "serialized_exported_program.json"


def is_exported_program(path: str | os.PathLike) -> bool:
    """Return whether a file is a zip with the marks of an exported program; never raises."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.split("/", 1)[-1] for name in archive.namelist()[:1000]]
    except (OSError, ValueError, NotImplementedError, EOFError, zipfile.BadZipFile):
        return False
    return _OLD in names or ("archive_format" in names and any(name.startswith("models/") for name in names))


def read_exported_program(path: str | os.PathLike) -> StateDict:
    """Return the weights in a ``.pt2`` file.

    Raises
    ------
    ModelError
        If it is of torch before 2.8, damaged, or a weight cannot be used.
    DependencyError
        If torch is not installed.
    """
    named = short_path(path)
    try:
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f"There is no file {named}. Check INPUT.") from None
    entries = {name.split("/", 1)[-1]: entry for name, entry in check_container(content, named).items()}
    if _OLD in entries:
        raise ModelError(
            f"{named} was written by torch before 2.8, which pickles the weights of a .pt2 file. Load it where you "
            "trust it, and save its weights: torch.save(program.state_dict, 'weights.pt')."
        )
    if _CONFIG not in entries:
        raise ModelError(f"{named} holds no {_CONFIG}. Save it again with torch.export.save.")
    check_stored(entries.values(), len(content), named)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        config = _config(archive, entries, named)
        tensors = {
            name: _tensor(archive, entries, name, about, named)
            for name, about in config.items()
            if not name.endswith(_COUNTER)
        }
    state = checked(tensors, named, len(content))
    return StateDict(
        state.tensors, ("Weights of an exported program (.pt2); its graph is not used.", *state.found)
    )


def _config(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], named: str
) -> Mapping[str, Any]:
    """Return what the file says of each weight, by name."""
    try:
        values = parse_json(_read(archive, entries[_CONFIG], _MOST_CONFIG, named).decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"The list of weights in {named} is no valid JSON: {shown_text(error, 100)}."
        ) from None
    config = values.get("config") if isinstance(values, Mapping) else None
    if (
        not isinstance(config, Mapping)
        or not config
        or not all(isinstance(v, Mapping) for v in config.values())
    ):
        raise ModelError(
            f"The list of weights in {named} is empty or damaged. Save it again with torch.export.save."
        )
    if len(config) > _MOST_TENSORS:
        raise ModelError(f"{named} holds {len(config)} tensors; at most {_MOST_TENSORS} are read.")
    return config


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, named: str) -> bytes:
    if entry.file_size > most:
        raise ModelError(
            f"The entry {shown(entry.filename)} of {named} is larger than the {most} bytes it can have."
        )
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ModelError(
            f"{named} is a damaged zip ({shown_text(error, 100)}). Copy or download it again."
        ) from None


def _tensor(
    archive: zipfile.ZipFile,
    entries: Mapping[str, zipfile.ZipInfo],
    name: str,
    about: Mapping[str, Any],
    named: str,
) -> Any:
    """Return a weight."""
    torch = require("torch")
    meta = about.get("tensor_meta")
    where = f"The tensor {shown(name)} in {named}"
    if about.get("use_pickle") is not False or not isinstance(meta, Mapping):
        raise ModelError(
            f"{where} is pickled, and not opened, since that could run code. Save weights as plain tensors."
        )
    kind = meta.get("dtype")
    if kind not in _TYPES or meta.get("layout") != _STRIDED:
        raise ModelError(
            f"{where} holds no plain real numbers (type {shown(kind)}). Save the weights in float32."
        )
    sizes, strides = (_numbers(meta.get(key), where) for key in ("sizes", "strides"))
    offset = _numbers([meta.get("storage_offset")], where)[0]
    if len(sizes) != len(strides):
        raise ModelError(f"{where} has {len(sizes)} sizes and {len(strides)} strides. The file is damaged.")
    place = about.get("path_name")
    entry = entries.get(f"data/weights/{place}") if isinstance(place, str) else None
    if entry is None:
        raise ModelError(f"{where} lies in {shown(place)}, which is missing. Copy or save the file again.")
    content, dtype = _read(archive, entry, MOST_BYTES, named) or b"\0" * 8, getattr(torch, _TYPES[kind])
    if len(content) % (torch.finfo(dtype).bits // 8):
        raise ModelError(f"{where} ends within a number. The file is damaged: copy or save it again.")
    stored = torch.frombuffer(bytearray(content), dtype=dtype)
    reach = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides)) + 1
    # An axis of length 0 hides none of the others: torch multiplies their strides all the same.
    if math.prod(max(size, 1) for size in sizes) > stored.numel() or reach > stored.numel():
        raise ModelError(
            f"{where} of shape {shown(tuple(sizes))} would reach beyond the {stored.numel()} numbers stored for it. "
            "The file is damaged or made to fill the memory."
        )
    return torch.as_strided(stored, sizes, strides, offset).clone()


def _numbers(values: Any, where: str) -> list[int]:
    """Return whole numbers that the file writes as ``{"as_int": 3}``."""
    listed = values if isinstance(values, list) and len(values) <= _MOST_AXES else [None]
    found = [value.get("as_int") if isinstance(value, Mapping) else None for value in listed]
    if not all(isinstance(number, int) and 0 <= number < _MOST_SIDE for number in found):
        raise ModelError(f"{where} has a shape that is none. The file is damaged.")
    return [number for number in found if number is not None]
