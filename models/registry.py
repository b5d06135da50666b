"""Where model packages are found: in the plugin, in folders named by FLOELENS_MODELS, at the user's.

A package is a folder with a ``card.json`` and the weights it names. Its id is the card's. Nothing of the
user's lies inside the plugin, whose folder is deleted when it is updated.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from ..plugin.core.errors import ModelError
from .card import PICKLES, ModelCard

BUNDLED = Path(__file__).resolve().parent
VARIABLE = "FLOELENS_MODELS"
CARD = "card.json"


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
    found: dict[str, Path] = {}
    for identifier, folder in _packages():
        found.setdefault(identifier, folder)
    return dict(sorted(found.items()))


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
        folders = " and ".join(str(folder) for folder in matches)
        raise ModelError(
            f"The model '{text}' is installed more than once: {folders}. Give the path of the one meant."
        )
    if matches:
        return matches[0]
    path = Path(text).expanduser()
    if path.is_file() and path.name == CARD:
        return path.parent
    if (path / CARD).is_file():
        return path
    if path.suffix.lower() in PICKLES:
        raise ModelError(
            f"'{text}' may hold pickled code, which runs when it is read, and is not opened. "
            "Give a model package: a folder with card.json and weights in safetensors format."
        )
    if path.is_dir():
        raise ModelError(f"The folder '{text}' is no model package: it has no {CARD}. {_known()}")
    if path.exists():
        raise ModelError(f"'{text}' is no model package. Give the folder that holds its {CARD}. {_known()}")
    raise ModelError(f"There is no model '{text}'. {_known()}")


def load_card(model: str | os.PathLike) -> ModelCard:
    """Return the card of a model (an id or a path), without its weights.

    Raises
    ------
    ModelError
        If there is no such model or its card cannot be used.
    """
    return ModelCard.from_json(find(model) / CARD)


def _known() -> str:
    names = ", ".join(installed())
    if not names:
        return f"No model is installed; put packages into {user_folder()} or name a folder in {VARIABLE}."
    return f"Installed are: {names}. A path to a package works as well."


def _packages() -> list[tuple[str, Path]]:
    """Return (id, folder) of all packages, each folder once, in the order of the places."""
    places = [BUNDLED]
    places += [Path(place).expanduser() for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]
    places.append(user_folder())
    packages: dict[Path, str] = {}
    for place in places:
        # A place may be a package itself: FLOELENS_MODELS=/data/my-model
        for folder in (place, *_subfolders(place)):
            if (folder / CARD).is_file():
                packages.setdefault(folder.resolve(), _id_of(folder))
    return [(identifier, folder) for folder, identifier in packages.items()]


def _subfolders(place: Path) -> list[Path]:
    try:
        # Hidden folders are packages that are just being written.
        return sorted(f for f in place.iterdir() if f.is_dir() and not f.name.startswith((".", "_")))
    except OSError:
        return []


def _id_of(folder: Path) -> str:
    """Return the card's id; the folder's name where the card is damaged, so that others still list."""
    try:
        identifier = json.loads((folder / CARD).read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
    return identifier if isinstance(identifier, str) and identifier else folder.name
