"""Where model packages are found: in the plugin, in folders named by FLOELENS_MODELS, at the user's.

A package is a folder with a ``card.json`` and the weights it names. Its id is the card's. FLOELENS_MODELS may name
STAC catalogues, too: the packages that their items lead to are found. Nothing of the
user's lies inside the plugin, whose folder is deleted when it is updated.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..ground.errors import ModelError
from ..ground.paths import MODELS
from . import catalogue
from .card import PICKLES, ModelCard
from .files import is_file, listed, read_json, short_path, shown_text

BUNDLED = MODELS
VARIABLE = "FLOELENS_MODELS"
CARD = "card.json"
README, REFERENCE, ITEM = "README.md", "contributions.json", "stac-item.json"
# What a package holds beside card and weights; any of them may be missing.
PACKAGE_TEXTS = (README, REFERENCE, ITEM)
_MOST_FOLDERS = 10_000


_places: list[Path] = []  # where the program that runs this looks, too


def look_in(places: Sequence[Path]) -> None:
    """Look for models in these places, too, and no longer in those of an earlier call."""
    _places[:] = places


def user_folder() -> Path:
    """Return the folder for the models of this user; it need not exist."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return base / "floelens" / "models"


def installed() -> dict[str, Path]:
    """Return the folder of every installed model by its id, sorted by id.

    Where two packages have one id the first is listed (plugin, FLOELENS_MODELS, user folder);
    :func:`find` refuses such an id.
    """
    packages: dict[str, Path] = {}
    for identifier, folder in _packages():
        packages.setdefault(identifier, folder)
    return dict(sorted(packages.items()))


def find(model: str | os.PathLike) -> Path:
    """Return the folder of a model.

    Parameters
    ----------
    model : str or path
        The id of an installed model, or the path of a package (its folder or its ``card.json``).

    Raises
    ------
    ModelError
        If there is no such model, or if several packages have this id.
    """
    text = os.fspath(model).strip()
    if not text:
        raise ModelError(f"No model is given. {_known()}")
    matches = [folder for identifier, folder in _packages() if identifier == text]
    if len(matches) > 1:
        folders = " and ".join(shown_text(short_path(folder), 120) for folder in matches[:2])
        raise ModelError(
            f"The model '{text}' is installed more than once: {folders}. Give the path of the one meant."
        )
    if matches:
        return matches[0]
    named = short_path(text)
    path = _expanded(text)
    if is_file(path) and path.name == CARD:
        return path.parent
    if is_file(path / CARD):
        return path
    if is_file(path) and catalogue.is_stac(path):
        return _only_package(path)
    if path.suffix.lower() in PICKLES:
        raise ModelError(
            f"'{named}' may hold pickled code, which runs when it is read, and is not opened. "
            "Give a model package: a folder with card.json and weights in safetensors format."
        )
    if os.path.isdir(path):
        raise ModelError(f"The folder '{named}' is no model package: it has no {CARD}. {_known()}")
    if os.path.lexists(text.replace("\0", "?")[:4000]):
        raise ModelError(f"'{named}' is no model package. Give the folder that holds its {CARD}. {_known()}")
    raise ModelError(f"There is no model '{named}'. {_known()}")


def _only_package(path: Path) -> Path:
    """Return the package that a STAC item or catalogue leads to."""
    folders = list(itertools.islice(catalogue.packages_in(path), 100))
    if len(folders) == 1:
        return folders[0]
    named = short_path(path)
    if folders:
        raise ModelError(
            f"{named} leads to several models: {listed((_id_of(folder) for folder in folders), 5)}. Give the folder of "
            f"one, or name the catalogue in {VARIABLE} and give its id."
        )
    raise ModelError(
        f"{named} leads to no model package on this computer: no asset with the role mlm:model lies beside a {CARD}."
    )


def load_card(model: str | os.PathLike) -> ModelCard:
    """Return the card of a model (an id or a path), without its weights.

    Raises
    ------
    ModelError
        If there is no such model or its card cannot be used.
    """
    return ModelCard.from_json(find(model) / CARD)


def package_names(folder: str | os.PathLike, card: ModelCard) -> tuple[str, ...]:
    """Return the files that make up a package, of those that are there; the card comes last."""
    names = (*PACKAGE_TEXTS, card.weights.file, CARD)
    return tuple(name for name in names if is_file(Path(folder) / name))


def _known() -> str:
    names = installed()
    if not names:
        return f"No model is installed; put packages into {user_folder()} or name a folder in {VARIABLE}."
    return f"Installed are: {listed(names, 5)}. A path to a package works as well."


def _expanded(text: str) -> Path:
    """Return a path with the home folder for ``~``, where there is one."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _packages() -> list[tuple[str, Path]]:
    """Return (id, folder) of all packages, each folder once, in the order of the places."""
    places = [BUNDLED]
    places += [_expanded(place) for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]
    places += [*_places, user_folder()]
    packages: dict[str, tuple[str, Path]] = {}
    for place in places:
        # A place may be a package itself: FLOELENS_MODELS=/data/my-model
        for folder in (place, *_subfolders(place), *_catalogued(place)):
            if is_file(folder / CARD):
                real = os.path.realpath(folder)
                if real not in packages:
                    packages[real] = (_id_of(folder), Path(real))
    return list(packages.values())


def _catalogued(place: Path) -> list[Path]:
    """Return the packages that a STAC catalogue leads to: the place itself, or one in it."""
    files = [place] if is_file(place) else [place / name for name in catalogue.NAMES]
    return [
        folder
        for file in files
        if is_file(file)
        for folder in itertools.islice(catalogue.packages_in(file), _MOST_FOLDERS)
    ]


def _subfolders(place: Path) -> list[Path]:
    """Return the folders in a place, by name; none of hidden ones, which are packages just being written."""
    folders = []
    try:
        with os.scandir(place) as entries:
            for entry in itertools.islice(entries, _MOST_FOLDERS):
                try:
                    usable = entry.is_dir() and not entry.name.startswith((".", "_"))
                except OSError:
                    continue
                if usable:
                    folders.append(place / entry.name)
    except OSError:
        pass
    return sorted(folders)


def _id_of(folder: Path) -> str:
    """Return the card's id; the folder's name where the card is damaged, so that others still list."""
    try:
        identifier = read_json(folder / CARD)["id"]
    except (OSError, ModelError, KeyError, TypeError):
        return folder.name
    return identifier if isinstance(identifier, str) and 0 < len(identifier) <= 100 else folder.name
