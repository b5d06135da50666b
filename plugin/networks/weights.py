"""Weights on disk: safetensors with a checksum, nothing that could run code."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground.dependencies import require
from ..ground.errors import ModelError
from .card import ModelCard
from .files import read_regular, short_path, shown, shown_text

if TYPE_CHECKING:
    from torch import Tensor, nn

# How a zip (what torch.save writes), a bare pickle and HDF5 begin.
_PICKLE_STARTS = (b"PK", b"\x80")
_HDF5_START = b"\x89HDF"
# Batch norm counts its batches; nothing depends on the count in evaluation.
_IGNORED = "num_batches_tracked"
# Names, shapes and metadata before the numbers; and numbers as 64-bit ones, where 32 would do.
_MOST_HEADER = 4 << 20
_NUMBER_BYTES = 8
_MOST_BYTES = 4 << 30


def most_bytes(module: nn.Module) -> int:
    """Return what a file with the weights of a network can have at most."""
    numbers = sum(value.numel() for value in module.state_dict().values())
    return _MOST_HEADER + _NUMBER_BYTES * numbers


def load_weights(card: ModelCard, folder: str | os.PathLike, most: int = _MOST_BYTES) -> dict[str, Tensor]:
    """Return the tensors of a model by name.

    Parameters
    ----------
    card : ModelCard
        Names the file and its checksum.
    folder : path
        The model package.
    most : int
        Bytes that the file may have; see `most_bytes`.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU, in the type they are stored in.

    Raises
    ------
    ModelError
        If the file is missing, its checksum is not the card's, it is no safetensors file, or it holds
        values that are not finite.
    DependencyError
        If safetensors or torch is not installed.
    """
    file = Path(folder) / card.weights.file
    path = short_path(file)
    try:
        content = read_regular(file, most)  # once, so that what was checked is what is used
    except FileNotFoundError:
        raise ModelError(
            f"The weights {path} of the model '{card.id}' are missing. Download or save the package again."
        ) from None
    return tensors_of(card, content, path)


def tensors_of(card: ModelCard, content: bytes, path: str) -> dict[str, Tensor]:
    """Return the tensors in the content of a file of weights, which must be those of the card.

    Parameters
    ----------
    card : ModelCard
        Holds their checksum.
    content : bytes
        Of the file.
    path : str
        What sentences call it.

    Raises
    ------
    ModelError
        See :func:`load_weights`.
    DependencyError
        If safetensors or torch is not installed.
    """
    # The length of a safetensors header, which comes first, may begin with the same byte; then the header does.
    if content.startswith(_PICKLE_STARTS) and content[8:9] != b"{":
        raise ModelError(
            f"The weights {path} hold pickled code, which runs when it is read, and are not opened. "
            "Save them as safetensors."
        )
    if content.startswith(_HDF5_START):
        raise ModelError(f"The weights {path} are an HDF5 file. Save them as safetensors.")
    if not card.weights.sha256:
        raise ModelError(
            f"The card of the model '{card.id}' has no checksum (weights.sha256). Save the package again, "
            "or add the sha256 of its weights."
        )
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != card.weights.sha256:
        raise ModelError(
            f"The weights {path} are not those of the card: their sha256 is {checksum}, the card says "
            f"{card.weights.sha256}. Download or save the package again."
        )
    safetensors = require("safetensors.torch")
    torch = require("torch")
    try:
        tensors = safetensors.load(content)
    except Exception as error:  # the library's own errors do not share a class over its versions
        raise ModelError(
            f"The weights {path} are no valid safetensors file: {shown_text(error, 150)}. Download or save the "
            "package again."
        ) from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError(
                f"The weights {path} hold values in {shown(name)} that are not finite. The model is damaged."
            )
    return tensors


def fill(module: nn.Module, tensors: Mapping[str, Tensor], card: ModelCard) -> None:
    """Put weights into the network they belong to.

    Raises
    ------
    ModelError
        If a tensor is missing, unknown, or of another shape.
    """
    wanted = {name: value for name, value in module.state_dict().items() if not name.endswith(_IGNORED)}
    given = {name: value for name, value in tensors.items() if not name.endswith(_IGNORED)}
    problems = [f"{shown(name)} is missing" for name in sorted(wanted.keys() - given.keys())]
    problems += [f"{shown(name)} is unknown" for name in sorted(given.keys() - wanted.keys())]
    problems += [
        f"{shown(name)} is {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & given.keys())
        if given[name].shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 2} more" if len(problems) > 2 else ""
        raise ModelError(
            f"The card of '{card.id}' does not match its weights: in {shown_text(card.weights.file, 60)} "
            f"{', '.join(problems[:2])}{more} for the architecture '{card.architecture.name}' with "
            f"{shown(dict(card.architecture.arguments), 100)}. Correct the card's architecture and channels, or use "
            "the weights it was written for."
        )
    module.load_state_dict(given, strict=False)


def to_bytes(module: nn.Module) -> bytes:
    """Return a network's weights as the content of a safetensors file.

    Raises
    ------
    ModelError
        If a weight is not finite.
    DependencyError
        If safetensors is not installed.
    """
    safetensors = require("safetensors.torch")
    torch = require("torch")
    tensors = {
        name: value.detach().cpu().clone().contiguous()
        for name, value in module.state_dict().items()
        if not name.endswith(_IGNORED)
    }
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"The network's '{name}' is not finite everywhere; it is not saved. Train it again."
            )
    return safetensors.save(tensors)
