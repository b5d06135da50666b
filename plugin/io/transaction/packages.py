"""Model packages written to disk: all files of a package get their names together, or none does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...ground.errors import OutputError
from ...ground.protocols import Progress
from ...networks.card import ModelCard
from ...networks.package import package_files
from .outputs import OutputTransaction


def save_package(
    folder: str | os.PathLike,
    card: ModelCard,
    module: Any,
    texts: Callable[[ModelCard], Mapping[str, str]] | None = None,
    progress: Progress | None = None,
) -> ModelCard:
    """Write a model package: the weights, the card with their checksum, and texts about them.

    In an existing package these files are replaced in one transaction; whatever else lies there stays.

    Parameters
    ----------
    folder : path
        The package; its parent must exist.
    card : ModelCard
        The card of the network; its checksum is set here.
    module : torch.nn.Module
        The network whose weights are saved.
    texts : callable, optional
        Returns further files by name for the card as written.
    progress : Progress, optional
        Takes a warning about what a killed run had left there and what came of it.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    ModelError
        If the network is not the card's, or a weight is not finite.
    OutputError
        If the files cannot be written.
    """
    card, files = package_files(card, module)
    beside = {name: text.encode("utf-8") for name, text in (texts(card) if texts else {}).items()}
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file. Give a folder for the model package.")
    with OutputTransaction(progress) as outputs:
        outputs.folder(target)
        for name, content in {**beside, **files}.items():
            outputs.file(target / name).write_bytes(content)
    return card
