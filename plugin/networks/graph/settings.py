"""Settings of the nodes of a graph network: each is checked before anything is built of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..card_checks import is_number
from ..files import shown

MOST_SIDE = 4_096


class Fault(ValueError):
    """What is wrong with a node or a setting: half a sentence."""


Values = Mapping[str, Any]
Check = Callable[[Any], Any]


@dataclass(frozen=True)
class Setting:
    """A setting of a kind.

    Parameters
    ----------
    check : callable
        Returns the value as the layer takes it; raises a :class:`Fault`.
    default : value
        Where it is not given; ``None`` says that it must be.
    """

    check: Check
    default: Any = None


def count(least: int, most: int) -> Check:
    """Return the check of a whole number between bounds."""

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Fault(f"{shown(value)} is not a whole number from {least} to {most}")
        return value

    return check


def counts(number: int, least: int, most: int) -> Check:
    """Return the check of several whole numbers, or of one for all."""
    one = count(least, most)

    def check(value: Any) -> tuple[int, ...]:
        if not isinstance(value, (list, tuple)):
            return (one(value),) * number
        if len(value) != number:
            raise Fault(f"{shown(value)} is not one whole number or {number} of them")
        return tuple(one(part) for part in value)

    return check


def number(least: float, most: float) -> Check:
    """Return the check of a number between bounds."""

    def check(value: Any) -> float:
        if not is_number(value) or not least <= value <= most:
            raise Fault(f"{shown(value)} is not a number from {least:g} to {most:g}")
        return float(value)

    return check


def word(*words: str) -> Check:
    """Return the check of a word."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise Fault(f"{shown(value)} is not one of {', '.join(words)}")
        return value

    return check


def flag(value: Any) -> bool:
    """Check a truth value."""
    if not isinstance(value, bool):
        raise Fault(f"{shown(value)} is neither true nor false")
    return value


def padding(value: Any) -> Any:
    """Check the padding of a convolution: numbers, or 'same'."""
    return value if value == "same" else counts(2, 0, MOST_SIDE)(value)
