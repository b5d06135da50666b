"""Model packages that a STAC catalogue on disk leads to.

Links are followed to files of this computer alone, each once and a bounded number of them. A package is where the
weights of an item (the asset with the role ``mlm:model``) lie beside a card.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..ground.errors import ModelError
from .files import is_file, read_json

_MOST_FILES = 2_000
_MOST_LINKS = 10_000
_FOLLOWED = ("child", "item")
_ROLE = "mlm:model"
_CARD = "card.json"
NAMES = ("catalog.json", "collection.json")


def is_stac(path: str | os.PathLike) -> bool:
    """Return whether a file is a STAC catalogue, collection or item."""
    content = _read(Path(path))
    return content is not None and "stac_version" in content


def packages_in(path: str | os.PathLike) -> Iterator[Path]:
    """Yield the folder of each package that a catalogue, collection or item leads to, in the order of its links."""
    waiting = [Path(path)]
    seen: set[str] = set()
    given: set[str] = set()
    while waiting and len(seen) < _MOST_FILES:
        file = waiting.pop(0)
        real = os.path.realpath(file)
        if real in seen:
            continue
        seen.add(real)
        content = _read(file)
        if content is None:
            continue
        for href in _models(content):
            place = _local(file, href)
            folder = os.path.realpath(place.parent) if place else ""
            if folder and folder not in given and is_file(Path(folder) / _CARD):
                given.add(folder)
                yield Path(folder)
        links = content.get("links")
        for link in links[:_MOST_LINKS] if isinstance(links, list) else ():
            if isinstance(link, Mapping) and link.get("rel") in _FOLLOWED:
                place = _local(file, link.get("href"))
                if place is not None and len(waiting) < _MOST_FILES:
                    waiting.append(place)


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return the values of a JSON file; None where there is none."""
    try:
        content = read_json(path) if is_file(path) else None
    except (OSError, ModelError):
        return None
    return content if isinstance(content, Mapping) else None


def _models(content: Mapping[str, Any]) -> list[Any]:
    assets = content.get("assets")
    return [
        asset.get("href")
        for asset in (assets.values() if isinstance(assets, Mapping) else ())
        if isinstance(asset, Mapping) and isinstance(asset.get("roles"), list) and _ROLE in asset["roles"]
    ]


def _local(file: Path, href: Any) -> Path | None:
    """Return the file of this computer that a link leads to; None where it leads elsewhere."""
    if not isinstance(href, str) or not href or len(href) > 4_000 or "\0" in href:
        return None
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    if len(parts.scheme) > 1 or parts.netloc:  # a single letter is a drive
        return None
    return file.parent / unquote(href)
