"""What a person, or a STAC item beside the file, says of a network before it is imported: fields of a card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...ground.errors import ModelError
from ...networks.card import ModelCard
from ...networks.card_json import read_some
from ...networks.files import read_json, short_path


def fields_by_hand(path: str, family: str) -> dict[str, Any]:
    """Return the fields in a JSON file: some of a card's, or those of a STAC item of a machine-learning model.

    Raises
    ------
    ModelError
        If there is no such file, or a field is unknown, unusable, or measured by the import itself.
    """
    from ...networks.families.stac_item import card_of_item, is_item
    from ...networks.families.unet_proposal import check_by_hand

    named = short_path(path)
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise ModelError(f"There is no card {named}. Check CARD, or leave it empty.") from None
    if not isinstance(content, Mapping):
        raise ModelError(f"The card {named} is no JSON object with named fields.")
    if is_item(content):
        return read_some(ModelCard, card_of_item(content, family, named), named)
    made = check_by_hand(content)
    if made:
        raise ModelError(
            f"The card {named} gives '{made}', which the import measures or makes itself. Remove the field."
        )
    return read_some(ModelCard, content, named)


def fields_beside(path: str, family: str, parameters: Mapping[str, bool]) -> tuple[dict[str, Any], str]:
    """Return what a STAC item beside a file says, and a sentence on it; nothing where there is none.

    Parameters
    ----------
    path : str
        The file of weights.
    family : str
        Word of its family.
    parameters : mapping of str to bool
        Fields of a card, and whether a parameter gives them: it holds before the item.

    Raises
    ------
    ModelError
        If a field of the item cannot be used.
    """
    from ...networks.families.stac_item import card_of_item, item_beside, said_by_item

    item = item_beside(path)
    if item is None:
        return {}, ""
    named = short_path(item)
    fields = read_some(ModelCard, card_of_item(read_json(item), family, named), named)
    fields = {name: value for name, value in fields.items() if not parameters.get(name)}
    return fields, said_by_item(fields, item) if fields else ""
