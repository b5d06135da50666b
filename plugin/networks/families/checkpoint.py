"""Weights out of a file that ``torch.save`` wrote: a state dict, or a training checkpoint around one.

Such a file is a zip with a pickle in it. It is read with ``weights_only``, which makes tensors and plain values and
refuses everything else, so that nothing in the file runs. What it declares is not believed either: the size of each
tensor is compared with the size of the file before a value is looked at.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from ...ground.dependencies import require
from ...ground.errors import ModelError
from ..files import listed, open_regular, read_regular, short_path, shown, shown_text
from .pickle_bounds import PickleBoundsError, check_bounds  # nosec B403 # it reads opcodes, and runs none

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 2 << 30
_MOST_PICKLE = 64 << 20
_MOST_ENTRIES = 100_000
_MOST_TENSORS = 10_000
_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
# Before this version weights_only could be passed by (CVE-2025-32434).
_SAFE_TORCH = (2, 6)
# Where training scripts and Lightning keep the weights, in the order in which they are looked for.
_KEPT_UNDER = ("model_state_dict", "state_dict", "model_state", "model", "net", "network", "weights")
# First parts of names that belong to training, not to the network.
_TRAINING = ("criterion", "loss", "loss_fn", "metric", "metrics", "optimizer")
_COUNTER = "num_batches_tracked"  # of batch norm; nothing depends on it


@dataclass(frozen=True)
class StateDict:
    """The weights of a file.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        float32 on the CPU, by name without prefix, in the order of the file.
    found : tuple of str
        Sentences: where in the file they lie, and what was left out.
    """

    tensors: Mapping[str, Tensor]
    found: tuple[str, ...] = ()


def read_checkpoint(path: str | os.PathLike) -> StateDict:
    """Return the weights in a PyTorch file.

    Parameters
    ----------
    path : path
        A file of ``torch.save``: a state dict, ``{'model_state_dict': …}`` or a Lightning checkpoint.

    Raises
    ------
    ModelError
        If it is no such file, holds more than tensors and plain values, or a tensor cannot be used.
    DependencyError
        If torch is not installed.
    """
    torch = require("torch")
    named = short_path(path)
    try:
        with open_regular(path) as file:  # before all of it is read
            if os.fstat(file.fileno()).st_size <= MOST_BYTES:
                _check_ends(file, named)
        content = read_regular(path, MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f"There is no file {named}. Check INPUT.") from None
    entries = check_container(content, named)
    names = [name.split("/", 1)[-1] for name in entries]
    if any(name.startswith("code/") for name in names):
        raise ModelError(
            f"{named} is a TorchScript file, which holds code, and is not opened. Save the state_dict() of the network."
        )
    if "data.pkl" not in names:
        raise ModelError(
            f"{named} is a zip, but none of torch.save: it has no data.pkl. Give a .pt, .pth or .ckpt file with a "
            "state_dict."
        )
    check_stored(entries.values(), len(content), named)
    _check_pickles(content, named)
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _SAFE_TORCH:
        raise ModelError(
            f"{named} is not read: before version 2.6 torch can be made to run code in such a file, and this is "
            f"{torch.__version__}. Update torch, or save the weights as safetensors."
        )
    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the library raises many kinds; MemoryError is one of them
        raise ModelError(_refusal(named, error)) from None
    tensors, where = _state_dict(value, named)
    return checked(tensors, named, len(content), where)


def checked(tensors: Mapping[str, Any], named: str, file_bytes: int, where: str = "") -> StateDict:
    """Return tensors of a file in float32, without a common prefix and without what belongs to training.

    Parameters
    ----------
    tensors : mapping of str to torch.Tensor
        As they stand in the file.
    named : str
        What a person calls the file.
    file_bytes : int
        Its size, which no tensor exceeds.
    where : str
        The entry of the file that holds them; empty where it is the file itself.

    Raises
    ------
    ModelError
        If a tensor is larger than the file, no dense array of real numbers, or not finite.
    """
    torch = require("torch")
    if len(tensors) > _MOST_TENSORS:
        raise ModelError(f"{named} holds {len(tensors)} tensors; at most {_MOST_TENSORS} are read.")
    kept, total = {}, 0
    for name, tensor in tensors.items():
        if name.endswith(_COUNTER):
            continue
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise ModelError(
                f"The tensor {shown(name)} in {named} is no plain array (sparse, quantised or without values). "
                "Save the weights in float32."
            )
        total += tensor.numel() * tensor.element_size()
        if total > file_bytes:
            raise ModelError(
                f"The tensors of {named} up to {shown(name)} {shown(tuple(tensor.shape))} would take more bytes than "
                "the file has. It is damaged or made to fill the memory: download it again."
            )
        if not tensor.is_floating_point():
            raise ModelError(
                f"The tensor {shown(name)} in {named} holds {tensor.dtype} instead of real numbers. "
                "Save the weights in float32."
            )
        kept[name] = tensor
    kept, sentences = _without_training(kept, named)
    for name, tensor in kept.items():
        kept[name] = value = tensor.detach().to(torch.float32).contiguous()
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"The tensor {shown(name)} in {named} has values that are not finite. The training broke off, or the "
                "file is damaged: take an earlier checkpoint."
            )
    found = [f"Weights lie under '{where}'."] if where else []
    return StateDict(kept, (*found, *sentences))


def _check_ends(file: BinaryIO, named: str) -> None:
    """Refuse a file whose first and last bytes are not those of a zip, with a sentence on what it is instead."""
    start = file.read(len(_ZIP))
    if start != _ZIP:
        if start.startswith(_PICKLE):
            raise ModelError(
                f"{named} is in the format of torch before 1.6, a bare pickle, which is not opened. Load it where you "
                "trust it, and save its state_dict() with a recent torch.save."
            )
        raise ModelError(
            f"{named} is no file of torch.save. Give a .pt, .pth or .ckpt file with a state_dict, or a Keras .h5 file."
        )
    if not zipfile.is_zipfile(file):
        raise ModelError(f"{named} is a damaged zip (its end is missing). Copy or download it again.")


def check_container(content: bytes, named: str) -> dict[str, zipfile.ZipInfo]:
    """Return the entries of a zip by name.

    Raises
    ------
    ModelError
        If the zip is damaged, or has too many entries.
    """
    try:
        entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError) as error:
        raise ModelError(
            f"{named} is a damaged zip ({shown_text(error, 100)}). Copy or download it again."
        ) from None
    if len(entries) > _MOST_ENTRIES:
        raise ModelError(f"{named} holds {len(entries)} entries; at most {_MOST_ENTRIES} are read.")
    return {entry.filename: entry for entry in entries}


def check_stored(entries: Iterable[zipfile.ZipInfo], size: int, named: str) -> None:
    """Refuse entries of a zip of `size` bytes that are compressed, or larger than the zip.

    Raises
    ------
    ModelError
        Naming the first of them.
    """
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
            raise ModelError(
                f"The entry {shown(entry.filename)} of {named} is compressed, which torch.save never does; it may be "
                "made to fill the memory. Save the weights again."
            )
        if entry.filename.endswith("data.pkl") and entry.file_size > _MOST_PICKLE:
            raise ModelError(
                f"The list of tensors in {named} has {entry.file_size >> 20} MiB; at most {_MOST_PICKLE >> 20} are "
                "read."
            )


def _check_pickles(content: bytes, named: str) -> None:
    """Refuse lists of tensors that would take more than bounded time or memory to read."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith("data.pkl"):
                try:
                    check_bounds(archive.read(entry))
                except (
                    PickleBoundsError,
                    zipfile.BadZipFile,
                    NotImplementedError,
                    RuntimeError,
                    EOFError,
                ) as error:
                    raise ModelError(
                        f"{named} cannot be read: its list of tensors {shown_text(error, 120)}. It is damaged or made "
                        "to fill the memory: download or save it again."
                    ) from None


def _refusal(named: str, error: BaseException) -> str:
    """Return why torch did not read a file, and what to do."""
    text = str(error)
    if "weights_only" in text or "Unsupported" in text or "WeightsUnpickler" in text:
        kind = text.split("GLOBAL ")[1].split()[0] if "GLOBAL " in text else "an object"
        return (
            f"{named} holds more than weights ({shown_text(kind, 80)}), such as a whole pickled network, and is not "
            "opened, since that could run code. Where you trust it, load it and save its weights: "
            "torch.save(network.state_dict(), 'weights.pt')."
        )
    return (
        f"{named} cannot be read: {shown_text(text or type(error).__name__, 150)}. Download or save it again."
    )


def _state_dict(value: Any, named: str) -> tuple[dict[str, Any], str]:
    """Return the tensors in what a file holds, and the entry they lie under."""
    tensors = _tensors_of(value)
    if tensors:
        return tensors, ""
    if isinstance(value, Mapping):
        places = [key for key in _KEPT_UNDER if _tensors_of(value.get(key))]
        if not places:
            others = [key for key, part in value.items() if isinstance(key, str) and _tensors_of(part)]
            if len(others) == 1:
                places = others
        if places:
            return _tensors_of(value[places[0]]), places[0]
        # A tuple may hold another one twice, and so on: written out it would fill the memory.
        names = [key if isinstance(key, str) else shown(key, 30) for key in value]
        holds = f"its entries are {listed(names, 6)}" if names else "it is empty"
    else:
        holds = f"it holds a {type(value).__name__}"
    raise ModelError(
        f"{named} has no state_dict: {holds}. Save the weights with torch.save(network.state_dict(), 'weights.pt')."
    )


def _tensors_of(value: Any) -> dict[str, Any]:
    """Return a mapping of names to tensors; empty where a value is anything else."""
    import torch

    if not isinstance(value, Mapping) or not value or len(value) > 2 * _MOST_TENSORS:
        return {}
    if not all(isinstance(key, str) and len(key) <= 300 for key in value):
        return {}
    return dict(value) if all(isinstance(part, torch.Tensor) for part in value.values()) else {}


def _without_training(tensors: dict[str, Any], named: str) -> tuple[dict[str, Any], list[str]]:
    """Return tensors without those of training and without the prefix that all names share, and what was done."""
    sentences = []
    dropped = [name for name in tensors if name.split(".", 1)[0] in _TRAINING]
    if dropped:
        tensors = {name: value for name, value in tensors.items() if name not in dropped}
        sentences.append(f"Left out, since they belong to training: {listed(dropped, 4)}.")
    prefix = ""
    while tensors:
        firsts = {name.split(".", 1)[0] for name in tensors}
        if len(firsts) > 1 or any(name.count(".") < 2 for name in tensors):
            break
        first = f"{firsts.pop()}."
        tensors = {name[len(first) :]: value for name, value in tensors.items()}
        prefix += first
    if prefix:
        sentences.append(f"The prefix '{shown_text(prefix, 60)}' was taken off all names.")
    if not tensors:
        raise ModelError(f"{named} holds no weights of a network. Save its state_dict().")
    return tensors, sentences
