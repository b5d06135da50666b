"""The README of an imported model's package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...networks.card import ModelCard


def readme(card: ModelCard, assumed: Sequence[str], checks: Sequence[Mapping[str, Any]]) -> str:
    """Return what the package is, what was assumed of it and what its self-test gave.

    Parameters
    ----------
    card : ModelCard
        As written.
    assumed : sequence of str
        What the file does not tell, in sentences.
    checks : sequence of mapping
        ``test``, ``found`` and ``result``.
    """
    channels = ", ".join(f"{channel.name} ({channel.unit})" for channel in card.channels)
    heads = ", ".join(f"{head.name} ({head.kind}, {head.outputs})" for head in card.heads)
    lines = [f"# {_plain(card.title)}", "", _plain(card.summary), ""]
    lines += [f"Channels: {_plain(channels)}.", "", f"Heads and their outputs: {_plain(heads)}.", ""]
    lines += [f"Licence of the weights: {_plain(card.licence)}. Citations are in `card.json`.", ""]
    if assumed:
        lines += [
            "Assumed, since the file does not tell:",
            "",
            *(f"- {_plain(text)}" for text in assumed),
            "",
        ]
    if checks:
        lines += ["Self-test at the import:", "", "| test | found | result |", "|---|---|---|"]
        lines += [f"| {_cell(row['test'])} | {_cell(row['found'])} | {row['result']} |" for row in checks]
        lines.append("")
    if card.limits:
        lines += ["Limits:", "", *(f"- {_plain(limit)}" for limit in card.limits), ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text on one line in which nothing is markup."""
    return " ".join(text.split()).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
