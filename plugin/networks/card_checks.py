"""Checks of the fields of a model card, and the error that names a field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..ground.errors import ModelError
from .files import shown, shown_text

# What no network has more of, and beyond which 32-bit numbers or a screen do not reach.
MOST_NAME = 100  # characters
MOST_TEXT = 20_000
MOST_ENTRIES = 2_000
MOST_OUTPUTS = 1_000
MOST_PIXELS = 100_000
# A receptive-field radius of so many pixels says that an output depends on the whole image.
WHOLE_IMAGE = MOST_PIXELS
LARGEST = 1e9
SMALLEST = 1e-9
MOST_DEVIATIONS = 1e7
MOST_FILL = 1e6
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class CardError(ModelError):
    """A field of a card cannot be used; :meth:`inside` tells where the field stands."""

    def __init__(self, where: str, problem: str) -> None:
        where, problem = shown_text(where, 100), shown_text(problem, 260)
        super().__init__(problem)
        self.args = where, problem  # what pickling makes it anew of
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"Model card, field {self.where}: {self.problem}"

    def inside(self, path: str) -> CardError:
        """Return the same error with the field's path begun by `path`."""
        return CardError(f"{path}.{self.where}", self.problem)


def check_text(value: Any, where: str, remedy: str = "", most: int = MOST_TEXT) -> None:
    """Check a text; with a remedy it must not be blank."""
    if not isinstance(value, str):
        raise CardError(where, f"{shown(value)} is not a text. {remedy}".rstrip())
    if remedy and not value.strip():
        raise CardError(where, f"it is empty. {remedy}")
    if len(value) > most:
        raise CardError(where, f"it has {len(value)} characters; at most {most} are read. Shorten it.")
    if "\0" in value or (most == MOST_NAME and CONTROL.search(value)):
        raise CardError(where, f"{shown(value)} holds control characters. Remove them.")


def check_name(value: Any, where: str, remedy: str = "") -> None:
    """Check a text of one line."""
    check_text(value, where, remedy, MOST_NAME)


def check_count(values: Sequence[Any], where: str) -> None:
    """Check that a list is not endless."""
    if len(values) > MOST_ENTRIES:
        raise CardError(where, f"the list has {len(values)} entries; at most {MOST_ENTRIES} are read.")


def keep_texts(owner: object, name: str) -> None:
    """Check a field that is a list of texts, and keep it as a tuple."""
    values = getattr(owner, name)
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise CardError(name, f"{shown(values)} is not a list of texts.")
    check_count(values, name)
    for position, value in enumerate(values):
        check_text(value, f"{name}[{position}]", "Remove it or fill it in.")
    object.__setattr__(owner, name, tuple(values))


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def keep_number(
    owner: object,
    name: str,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    remedy: str = "",
) -> None:
    """Check a field that is a finite number between bounds, and keep it as a float."""
    value = getattr(owner, name)
    if not is_number(value):
        raise CardError(name, f"{shown(value)} is not a finite number. {remedy}".rstrip())
    if value <= above:
        raise CardError(name, f"{value} is not above {above:g}. {remedy}".rstrip())
    if not least <= value <= most:
        raise CardError(name, f"{value:g} is not between {least:g} and {most:g}. {remedy}".rstrip())
    object.__setattr__(owner, name, float(value))


def keep_numbers(owner: object, name: str, count: int) -> None:
    """Check a field that is a list of `count` finite numbers, and keep it as a tuple."""
    values = getattr(owner, name)
    fits = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count
    if not fits or not all(is_number(value) for value in values):
        raise CardError(name, f"{shown(values)} is not a list of {count} numbers.")
    object.__setattr__(owner, name, tuple(float(value) for value in values))


def check_integer(value: Any, where: str, least: int, remedy: str, most: int | None = None) -> None:
    """Check a whole number between bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CardError(where, f"{shown(value)} is not a whole number of at least {least}. {remedy}")
    if most is not None and value > most:
        raise CardError(where, f"{shown(value)} is more than {most}. {remedy}")


def check_word(value: Any, known: Sequence[str], where: str) -> None:
    """Check a word."""
    if not isinstance(value, str) or value not in known:
        raise CardError(where, f"{shown(value)} is not one of {', '.join(known)}.")


def check_unique(values: Sequence[Any], where: str, what: str) -> None:
    """Check that no value comes twice; `what` names it."""
    seen: dict[Any, int] = {}
    for position, value in enumerate(values):
        if value in seen:
            raise CardError(
                f"{where}[{position}].{what}",
                f"{shown(value)} is taken by {where}[{seen[value]}] already. Give each its own {what}.",
            )
        seen[value] = position


def keep_json(owner: object, name: str) -> None:
    """Check that a mapping holds JSON values, and keep a copy of it."""
    values = getattr(owner, name)
    if not isinstance(values, Mapping):
        raise CardError(name, f"{shown(values)} is not an object with named entries.")
    try:
        kept = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise CardError(
            name, f"it holds what JSON cannot: {shown_text(error, 100)}. Use texts, finite numbers and lists."
        ) from None
    object.__setattr__(owner, name, kept)
