"""Weights out of a Keras HDF5 file, by GDAL's reader of HDF5 and without TensorFlow or h5py.

Keras stores one group a layer (below ``model_weights`` where the model was saved with its architecture), with arrays
called ``kernel:0``, ``bias:0``, ``gamma:0``, …; the attribute ``model_config`` holds the architecture as JSON. The
structure of the file is checked before a library looks at it, as that of any HDF5 file here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ...ground.errors import ModelError
from ...networks.files import open_regular, parse_json, short_path, shown
from ..environment.gdal_state import quiet_gdal
from ..formats.hdf5.check import check_structure
from ..formats.mdarrays import number_type, read_numbers

MOST_BYTES = 256 << 20
MOST_NUMBERS = 20_000_000
_MOST_GROUPS = 2_000
_MOST_CONFIG = 1 << 20
_DEPTH = 6
_MOST_VISITS = 10_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class KerasFile:
    """What a Keras file holds.

    Parameters
    ----------
    layers : mapping of str to mapping
        By the name of a layer its arrays, float32, by their names without ``:0``; layers with numbers in their names
        stand in the order of these.
    config : mapping
        The architecture as Keras writes it; empty where the file has weights only.
    """

    layers: Mapping[str, Mapping[str, np.ndarray]]
    config: Mapping[str, Any] = field(default_factory=dict)


def is_hdf5(path: str | os.PathLike) -> bool:
    """Return whether a file begins as HDF5 does.

    Raises
    ------
    ModelError
        If there is no such file, or it cannot be opened.
    """
    try:
        with open_regular(path) as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except FileNotFoundError:
        raise ModelError(f"There is no file {short_path(path)}. Check INPUT.") from None


def read_keras(path: str | os.PathLike) -> KerasFile:
    """Return the weights of a Keras HDF5 file.

    Raises
    ------
    ModelError
        If it is too large, holds no layers, or an array cannot be used.
    SceneError
        If its structure is damaged.
    """
    named, source = short_path(path), os.fspath(path)
    size = Path(source).stat().st_size
    if size > MOST_BYTES:
        raise ModelError(
            f"{named} has {size >> 20} MiB, more than the {MOST_BYTES >> 20} that a network of this family can have."
        )
    check_structure(source, named)
    with quiet_gdal():
        dataset = gdal.OpenEx(source, gdal.OF_MULTIDIM_RASTER, allowed_drivers=["HDF5"])
        root = dataset.GetRootGroup() if dataset is not None else None
        if root is None:
            raise ModelError(
                f"{named} cannot be read as HDF5. Save the weights again with model.save_weights()."
            )
        top = root.OpenGroup("model_weights") if "model_weights" in (root.GetGroupNames() or ()) else root
        groups = list(top.GetGroupNames() or ())
        if len(groups) > _MOST_GROUPS:
            raise ModelError(f"{named} holds {len(groups)} groups; at most {_MOST_GROUPS} are read.")
        layers, room = {}, _Room()
        for name in sorted(groups, key=_number):
            arrays = dict(_arrays(top.OpenGroup(name), named, room))
            if arrays:
                layers[name] = arrays
        config = _config(root)
    if not layers:
        raise ModelError(f"{named} holds no layers as Keras stores them: it has no group with arrays in it.")
    return KerasFile(layers, config)


def _number(name: str) -> tuple[str, int]:
    """Return the kind of a layer and its number: Keras counts them as they are made, the first without a number."""
    match = re.fullmatch(r"(.*?)(?:_(\d{1,9}))?", name)
    return (match[1], int(match[2] or 0)) if match else (name, 0)


@dataclass
class _Room:
    """What may still be read of a file: links can lead to one group, and to one array, again and again."""

    numbers: int = field(default_factory=lambda: MOST_NUMBERS)
    groups: int = field(default_factory=lambda: _MOST_VISITS)


def _arrays(group: Any, named: str, room: _Room, depth: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays in a group and the groups in it."""
    if group is None or depth > _DEPTH:
        return
    room.groups -= 1
    if room.groups < 0:
        raise ModelError(f"{named} holds more than {_MOST_VISITS} groups in groups, as no network does.")
    for name in group.GetMDArrayNames() or ():
        array = group.OpenMDArray(name)
        numbers = array.GetTotalElementsCount() if array is not None else 0
        room.numbers -= numbers
        if room.numbers < 0:
            raise ModelError(
                f"The arrays of {named} up to {shown(name)} would have more than {MOST_NUMBERS} numbers, which no "
                "network of this family has."
            )
        kind = number_type(array) if array is not None else ""
        values = read_numbers(array) if kind.startswith("float") and numbers else None
        if values is None:
            if kind and not kind.startswith("float"):
                continue  # counters of an optimiser
            raise ModelError(
                f"The array {shown(name)} of {named} cannot be read as real numbers. Save the weights again."
            )
        if not np.isfinite(values).all():
            raise ModelError(
                f"The array {shown(name)} of {named} has values that are not finite. The training broke off, or the "
                "file is damaged."
            )
        yield name.split(":", 1)[0], values.astype(np.float32)
    for name in group.GetGroupNames() or ():
        yield from _arrays(group.OpenGroup(name), named, room, depth + 1)


def _config(root: Any) -> Mapping[str, Any]:
    """Return the architecture in the attribute of a file; empty where there is none that can be read."""
    attribute = root.GetAttribute("model_config")
    text = attribute.Read() if attribute is not None else None
    if not isinstance(text, str) or len(text) > _MOST_CONFIG:
        return {}
    try:
        config = parse_json(text)
    except (ValueError, RecursionError):
        return {}
    return config if isinstance(config, Mapping) else {}
