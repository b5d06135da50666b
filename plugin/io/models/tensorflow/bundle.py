"""Arrays of a checkpoint of TensorFlow 2, as a SavedModel keeps them in ``variables``, by the layers of Keras.

``variables.index`` is a table whose values are messages: of the empty key one about all files, of each variable its
type, shape, file and place there. The files ``variables.data-00000-of-00001`` hold plain numbers. Keys follow the
attributes that lead to a variable: ``layer_with_weights-3/kernel/.ATTRIBUTES/VARIABLE_VALUE``, or, where Keras lists
all of them, ``variables/7/.ATTRIBUTES/VARIABLE_VALUE`` in the order of ``model.variables``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ....ground.errors import ModelError
from ....networks.files import is_file, open_regular, read_regular, short_path, shown, shown_text
from ..wire import Reader, WireError, signed
from .table import entries, is_table, masked_crc

MOST_INDEX = 4 << 20
MOST_NUMBERS = 20_000_000
_MOST_CHECKED = 4 << 20  # bytes whose checksum is compared; Python takes a second for them
_MOST_AXES = 8
_MOST_SHARDS = 1_000
_TYPES = {1: "<f4", 2: "<f8", 19: "<f2"}
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_LAYER = re.compile(r"layer_with_weights-(\d{1,6})/(?:layer/)?([a-z_]{1,40})")
_LISTED = re.compile(r"variables/(\d{1,6})")
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int | None


def index_of(path: str | os.PathLike) -> Path | None:
    """Return the ``variables.index`` of a SavedModel; None where a path leads to none.

    Parameters
    ----------
    path : path
        The folder of a SavedModel, its ``saved_model.pb``, or a file in its folder ``variables``.
    """
    place = Path(path)
    if place.is_dir():
        folders = [place / "variables", place]
    elif place.name in ("saved_model.pb", "keras_metadata.pb", "fingerprint.pb"):
        folders = [place.parent / "variables"]
    elif place.name == "variables.index" or place.name.startswith("variables.data-"):
        folders = [place.parent]
    else:
        return None
    return next(
        (folder / "variables.index" for folder in folders if is_file(folder / "variables.index")), None
    )


def read_saved_model(index: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each layer of a SavedModel, float32, in the order in which Keras counts them.

    Raises
    ------
    ModelError
        If a file is missing, damaged or too large, or holds no layers of Keras.
    """
    named = short_path(index)
    content = read_regular(index, MOST_INDEX)
    if not is_table(content):
        raise ModelError(f"{named} is no index of a SavedModel, or its end is missing. Save the model again.")
    try:
        shards, variables = _read_index(content)
    except WireError as error:
        raise ModelError(f"{named} is damaged: {error}. Copy or save the model again.") from None
    if not variables:
        raise ModelError(
            f"{named} lists no variables of layers. Save the whole model with model.save(folder)."
        )
    numbers = sum(int(np.prod(entry.shape, dtype=np.float64)) for entry in variables.values())
    if numbers > MOST_NUMBERS:
        raise ModelError(
            f"The variables of {named} would have {numbers:.3g} numbers, more than the {MOST_NUMBERS} that a network "
            "of this family has."
        )
    arrays = {name: _array(index, shards, name, entry) for name, entry in variables.items()}
    return _layers(arrays, named)


def _read_index(content: bytes) -> tuple[int, dict[str, _Entry]]:
    """Return the number of files, and the variables by key without the ending; those of training are left out."""
    reader = Reader()
    shards, variables = 0, {}
    for key, value in entries(content):
        if not key:
            shards = _shards(reader, value)
            continue
        name = key.decode("utf-8", "replace")
        if not name.endswith(_SUFFIX) or ".OPTIMIZER_SLOT" in name:
            continue
        name = name[: -len(_SUFFIX)]
        if _LAYER.fullmatch(name) or _LISTED.fullmatch(name):
            variables[name] = _entry(reader, value, name)
    if not 0 < shards <= _MOST_SHARDS:
        raise WireError("it does not say how many files there are")
    return shards, variables


def _shards(reader: Reader, message: memoryview) -> int:
    shards = 0
    for number, _, value in reader.fields(message):
        if number == 1 and isinstance(value, int):
            shards = value
        elif number == 2 and value != 0:
            raise WireError("its numbers are big-endian")
    return shards


def _entry(reader: Reader, message: memoryview, name: str) -> _Entry:
    kind = shard = offset = size = 0
    checksum = None
    shape: tuple[int, ...] = ()
    for number, _, value in reader.fields(message):
        if number == 2 and not isinstance(value, int):
            shape = _shape(reader, value)
        elif number == 6 and not isinstance(value, int):
            checksum = int.from_bytes(value, "little")
        elif number == 7:
            raise WireError(f"{shown(name)} is stored in slices")
        elif isinstance(value, int):
            kind = value if number == 1 else kind
            shard = value if number == 3 else shard
            offset = signed(value) if number == 4 else offset
            size = signed(value) if number == 5 else size
    if kind not in _TYPES:
        raise WireError(f"{shown(name)} holds no real numbers (type {kind})")
    return _Entry(kind, shape, shard, offset, size, checksum)


def _shape(reader: Reader, message: memoryview) -> tuple[int, ...]:
    sides = []
    for number, _, value in reader.fields(message):
        if number == 3 and value:
            raise WireError("a shape is unknown")
        if number != 2 or isinstance(value, int):
            continue
        side = 0
        for inner, _, length in reader.fields(value):
            if inner == 1 and isinstance(length, int):
                side = signed(length)
        sides.append(side)
    if len(sides) > _MOST_AXES or any(side < 1 for side in sides):
        raise WireError("a shape is none")
    return tuple(sides)


def _array(index: Path, shards: int, name: str, entry: _Entry) -> np.ndarray:
    """Return the numbers of a variable."""
    kind = np.dtype(_TYPES[entry.kind])
    wanted = int(np.prod(entry.shape, dtype=np.int64)) * kind.itemsize
    file = index.with_name(f"variables.data-{entry.shard:05d}-of-{shards:05d}")
    where = f"The variable {shown(name)} in {short_path(file)}"
    if entry.size != wanted or not 0 <= entry.shard < shards or entry.offset < 0:
        raise ModelError(
            f"{where} has {entry.size} bytes, where its shape {entry.shape} has {wanted}. It is damaged."
        )
    try:
        with open_regular(file) as opened:
            if entry.offset + entry.size > os.fstat(opened.fileno()).st_size:
                raise ModelError(
                    f"{where} ends behind the file's end. Copy the whole folder of the model again."
                )
            opened.seek(entry.offset)
            content = opened.read(entry.size)
    except FileNotFoundError:
        raise ModelError(
            f"{short_path(file)} is missing. Copy the whole folder of the model again."
        ) from None
    except OSError as error:
        raise ModelError(f"{where} cannot be read: {shown_text(error, 100)}. Copy it again.") from None
    if entry.checksum is not None and entry.size <= _MOST_CHECKED and masked_crc(content) != entry.checksum:
        raise ModelError(f"{where} has another checksum than its index says. Copy or save the model again.")
    values = np.frombuffer(content, kind).reshape(entry.shape).astype(np.float32)
    if not np.isfinite(values).all():
        raise ModelError(
            f"{where} has values that are not finite. The training broke off, or the file is damaged."
        )
    return values


def _layers(arrays: Mapping[str, np.ndarray], named: str) -> dict[str, dict[str, np.ndarray]]:
    """Return arrays by layer: by the layers' numbers where keys have them, else by the order of all variables."""
    numbered: dict[int, dict[str, np.ndarray]] = {}
    listed: dict[int, np.ndarray] = {}
    for name, values in arrays.items():
        layer, place = _LAYER.fullmatch(name), _LISTED.fullmatch(name)
        if layer:
            numbered.setdefault(int(layer[1]), {})[layer[2]] = values
        elif place:
            listed[int(place[1])] = values
    if numbered:
        return {f"layer_with_weights-{number}": numbered[number] for number in sorted(numbered)}
    return _in_order((listed[number] for number in sorted(listed)), named)


def _in_order(arrays: Iterable[np.ndarray], named: str) -> dict[str, dict[str, np.ndarray]]:
    """Return layers of variables in the order of ``model.variables``: a kernel begins one, four vectors are a norm."""
    layers: dict[str, dict[str, np.ndarray]] = {}
    waiting: list[np.ndarray] = []

    def norms() -> None:
        if len(waiting) % len(_NORM):
            raise ModelError(
                f"The variables of {named} do not stand in the order of convolutions and batch norms. Save the model "
                "as HDF5 (model.save('model.h5'))."
            )
        for start in range(0, len(waiting), len(_NORM)):
            layers[f"norm-{len(layers)}"] = dict(zip(_NORM, waiting[start : start + len(_NORM)]))
        waiting.clear()

    last: dict[str, np.ndarray] = {}
    for values in arrays:
        if values.ndim == 4:
            norms()
            last = layers.setdefault(f"conv-{len(layers)}", {"kernel": values})
        elif last and "bias" not in last and values.shape == last["kernel"].shape[3:]:
            last["bias"] = values
        else:
            waiting.append(values)
    norms()
    return layers
