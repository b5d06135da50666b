"""Model packages on disk: all files of a package get their names together, or lose them, or none does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ...ground.errors import OutputError
from ...ground.protocols import Progress
from ...networks.card import ModelCard
from ...networks.package import package_files
from .leftovers import clear
from .outputs import OutputTransaction


def save_package(
    folder: str | os.PathLike,
    card: ModelCard,
    module: Any,
    texts: Callable[[ModelCard], Mapping[str, str]] | None = None,
    progress: Progress | None = None,
) -> ModelCard:
    """Write a model package: the weights, the card with their checksum, and texts about them.

    See :func:`write_package`.

    Parameters
    ----------
    folder : path
        The package; its parent must exist.
    card : ModelCard
        The card of the network; its checksum is set here.
    module : torch.nn.Module
        The network whose weights are saved.
    texts : callable, optional
        Returns further files by name for the card as written; a name may be the path of a file elsewhere.
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
    write_package(folder, {**beside, **files}, progress)
    return card


def write_package(
    folder: str | os.PathLike, files: Mapping[str, bytes], progress: Progress | None = None
) -> None:
    """Write the files of a model package, and others that belong to them, in one transaction.

    In an existing package they replace those of their names; whatever else lies there stays.

    Parameters
    ----------
    folder : path
        The package; its parent must exist.
    files : mapping of str to bytes
        By name in the package, or by the path of a file elsewhere, such as a report.
    progress : Progress, optional
        Takes a warning about what a killed run had left there and what came of it.

    Raises
    ------
    OutputError
        If the files cannot be written; then none is.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file. Give a folder for the model package.")
    with OutputTransaction(progress) as outputs:
        outputs.folder(target)
        for name, content in files.items():
            outputs.file(target / name).write_bytes(content)


def remove_package(
    folder: str | os.PathLike, names: Iterable[str], progress: Progress | None = None
) -> tuple[str, ...]:
    """Remove files of a model package in one transaction, and its folder where nothing else is in it.

    Parameters
    ----------
    folder : path
        The package.
    names : iterable of str
        Its files; those that are not there are left out.
    progress : Progress, optional
        Takes a warning about what a killed run had left there and what came of it.

    Returns
    -------
    tuple of str
        What else lies in the folder, and stays.

    Raises
    ------
    OutputError
        If a file cannot be removed, as where another program holds it open on Windows; then none is.
    """
    target = Path(folder)
    with OutputTransaction(progress) as outputs:
        outputs.remove_folder(target)
        for name in names:
            if os.path.lexists(target / name):
                outputs.remove(target / name)
    return tuple(sorted(path.name for path in target.iterdir())) if target.is_dir() else ()


def end_killed(places: Iterable[Path], progress: Progress) -> list[str]:
    """End what killed runs left in folders of packages, and say what came of it.

    Returns
    -------
    list of str
        The sentences that were said.
    """
    folders = dict.fromkeys(Path(os.path.realpath(place)) for place in places if place.is_dir())
    return [sentence for folder in folders for sentence in clear(folder, say=progress.warn)]
