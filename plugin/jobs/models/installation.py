"""A model package in a zip, as *Export model* writes it, checked like any file before it is put in place."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...ground.errors import ModelError
from ...networks.card import ModelCard
from ...networks.files import listed, parse_json, short_path, shown_text
from ...networks.registry import CARD, ITEM, PACKAGE_TEXTS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Package:
    """A package out of a zip.

    Parameters
    ----------
    card : ModelCard
        Its card, under the name given to it.
    module : torch.nn.Module
        Its network with its weights.
    files : mapping of str to bytes
        What is written: texts first, the card last.
    found : tuple of str
        Sentences about it.
    """

    card: ModelCard
    module: nn.Module
    files: dict[str, bytes]
    found: tuple[str, ...]


def read_package(path: str, name: str = "") -> Package:
    """Return the package in a zip.

    Parameters
    ----------
    path : str
        The zip.
    name : str
        Another title, of which the id is made; empty for the card's own.

    Raises
    ------
    ModelError
        If it is no package, damaged, too large, or its parts do not belong together.
    """
    from ...io.models.archive import CHECKSUMS, PackageArchive
    from ...networks.families.proposal import identifier
    from ...networks.package import build
    from ...networks.stac import item_json
    from ...networks.weights import fill, most_bytes, tensors_of

    named = short_path(path)
    with PackageArchive(path) as archive:
        content = archive.read(CARD)
        card = card_in(content, f"{named}/{CARD}")
        module = build(card)
        weights = archive.read(card.weights.file, most_bytes(module))
        fill(module, tensors_of(card, weights, f"{named}/{card.weights.file}"), card)
        texts = {each: archive.read(each) for each in PACKAGE_TEXTS if each in archive}
        found = [f"A package of the model '{card.id}', {card.title}."]
        if CHECKSUMS in archive:
            found.append("All files have the checksums that the zip says.")
        if archive.left_out:
            found.append(f"Left out, since they belong to no package: {listed(archive.left_out, 4)}.")
    if name and name != card.title:
        found.append(f"It was called '{card.title}' and gets the name '{name}'.")
        card = dataclasses.replace(card, id=identifier(name), title=name)
        content = card.to_json().encode("utf-8")
        texts.pop(ITEM, None)
    texts.setdefault(ITEM, item_json(card).encode("utf-8"))
    module.eval().requires_grad_(False)
    return Package(card, module, {**texts, card.weights.file: weights, CARD: content}, tuple(found))


def card_in(content: bytes, named: str) -> ModelCard:
    """Return the card in the bytes of a ``card.json``, called `named` in errors.

    Raises
    ------
    ModelError
        If it is no card.
    """
    try:
        values: Any = parse_json(content.decode("utf-8"))
    except (ValueError, RecursionError, MemoryError) as error:  # a text that is no UTF-8 is a ValueError, too
        raise ModelError(
            f"{named} is no valid JSON: {shown_text(error, 200)}. Export the package again."
        ) from None
    if not isinstance(values, dict):
        raise ModelError(f"{named} is no JSON object. Export the package again.")
    return ModelCard.from_json(values)
