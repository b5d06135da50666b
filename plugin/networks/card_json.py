"""A model card as JSON: read into values, each field checked, and written back."""

from __future__ import annotations

import copy
import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from ..ground.errors import ModelError
from .card_benchmarks import BenchmarkedMethod, BenchmarkResult
from .card_checks import CardError, check_count
from .card_parts import Architecture, Channel, Component, Head, HeadClass, ImageWindow, Training, Weights
from .files import shown, shown_text

FORMAT = "floelens-model"
FORMAT_VERSION = 1
LEFT_OUT_IF_EMPTY = {"left_out_if_empty": True}  # metadata of a field that older cards do not have
Card = TypeVar("Card")
_PARTS: Mapping[type, Mapping[str, type]] = {
    Head: {"classes": HeadClass},
    BenchmarkResult: {"methods": BenchmarkedMethod},
}


def to_values(value: Any, complete: tuple[type, ...]) -> Any:
    """Return a dataclass as JSON values, without optional fields that are None or empty, but of `complete` kinds."""
    if dataclasses.is_dataclass(value):
        entries = {}
        for entry in dataclasses.fields(value):
            content = getattr(value, entry.name)
            optional = entry.default is None or entry.default == ""
            if optional and content in (None, "") and not isinstance(value, complete):
                continue
            if entry.metadata.get("left_out_if_empty") and not content:
                continue
            entries[entry.name] = to_values(content, complete)
        return entries
    if isinstance(value, tuple):
        return [to_values(part, complete) for part in value]
    return copy.deepcopy(value)


def read_card(kind: type[Card], content: Mapping[str, Any], source: str) -> Card:
    """Return a card of `kind` made of JSON values; `source` names them in errors.

    Raises
    ------
    ModelError
        If a field is missing, unknown or unusable.
    """
    try:
        return _read_fields(kind, content)
    except CardError as error:
        raise ModelError(f"{source}, field {error.where}: {error.problem}") from None


def read_some(kind: type, content: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return fields of a card of `kind` made of JSON values, which need not be all; `source` names them in errors.

    Raises
    ------
    ModelError
        If a field is unknown or unusable.
    """
    known = {entry.name for entry in dataclasses.fields(kind)}
    given = {name: value for name, value in content.items() if name not in ("format", "format_version")}
    try:
        for name in given:
            if name not in known:
                close = difflib.get_close_matches(str(name)[:50], known, 1)
                remedy = f"Did you mean '{close[0]}'?" if close else "Remove it."
                raise CardError(shown_text(name, 60), f"no such field is known. {remedy}")
        return _with_parts(given)
    except CardError as error:
        raise ModelError(f"{source}, field {error.where}: {error.problem}") from None


def _read_fields(kind: type[Card], content: Mapping[str, Any]) -> Card:
    remaining = dict(content)
    if remaining.pop("format", None) != FORMAT:
        raise CardError("format", f"it is not '{FORMAT}'. Give the card.json of a FloeLens model package.")
    version = remaining.pop("format_version", None)
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise CardError(
            "format_version",
            f"{shown(version)} is not known, only {FORMAT_VERSION}. Update FloeLens, or the card.",
        )
    return _build(kind, _with_parts(remaining), "")


def _with_parts(values: dict[str, Any]) -> dict[str, Any]:
    """Return fields with their parts made of JSON values."""
    parts: dict[str, Callable[[Any, str], Any]] = {
        "architecture": lambda value, where: _build(Architecture, value, where),
        "weights": lambda value, where: _build(Weights, value, where),
        "training": lambda value, where: _build(Training, value, where),
        "window": lambda value, where: _build(ImageWindow, value, where),
        "channels": lambda value, where: _build_list(Channel, value, where),
        "components": lambda value, where: _build_list(Component, value, where),
        "heads": lambda value, where: _build_list(Head, value, where),
        "benchmarks": lambda value, where: _build_list(BenchmarkResult, value, where),
    }
    return {name: parts[name](value, name) if name in parts else value for name, value in values.items()}


def _build_list(kind: type, values: Any, where: str) -> tuple:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
        raise CardError(where, f"{shown(values)} is not a list.")
    check_count(values, where)
    return tuple(_build(kind, value, f"{where}[{position}]") for position, value in enumerate(values))


def _build(kind: type, values: Any, where: str) -> Any:
    """Return a dataclass made of JSON values; `where` is its path in the card."""
    if not isinstance(values, Mapping):
        raise CardError(where, f"{shown(values)} is not an object with named entries.")
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in fields:
            close = difflib.get_close_matches(name[:50], fields, 1)
            remedy = f"Did you mean '{close[0]}'?" if close else "Remove it."
            raise CardError(f"{prefix}{shown_text(name, 60)}", f"no such field is known. {remedy}")
    for name, entry in fields.items():
        no_default = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise CardError(f"{prefix}{name}", "the field is missing. Add it.")
    arguments = dict(values)
    for name, part in _PARTS.get(kind, {}).items():
        arguments[name] = _build_list(part, arguments[name], f"{prefix}{name}")
    try:
        return kind(**arguments)
    except CardError as error:
        raise (error.inside(where) if where else error) from None
