"""The page of an import: what was found in a file, what is assumed, what is needed, and the self-test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..page.html import Section, Table, render
from ..page.pages import channel_and_head_sections

_TESTS = (("test", "test"), ("found", "found"), ("result", "result"), ("note", ""))


def import_html(
    file: str,
    card: Mapping[str, Any],
    sentences: Mapping[str, Sequence[str]],
    checks: Sequence[Mapping[str, Any]],
    folder: str = "",
) -> str:
    """Return the page.

    Parameters
    ----------
    file : str
        Name of the file.
    card : mapping
        The card in its JSON form; empty as long as something is needed.
    sentences : mapping of str to sequence of str
        ``found``, ``assumed`` and ``needed``.
    checks : sequence of mapping
        ``test``, ``found``, ``result`` and ``note``; empty where nothing was tested.
    folder : str
        Where the package was written; empty where none was.
    """
    failed = [row for row in checks if row["result"] == "FAILED"]
    if folder:
        summary = [
            f"The model '{card['id']}' was imported into {folder}: give this folder, or the id where it is the "
            "user's model folder, as MODEL of the other tools."
        ]
    elif sentences["needed"]:
        summary = [
            f"The network was recognised. Still needed: {len(sentences['needed'])}, listed below; nothing was written."
        ]
    else:
        summary = [
            "The network was recognised, and nothing more is needed. Nothing was written (CHECK_ONLY)."
        ]
    if checks:
        done = sum(row["result"] == "passed" for row in checks)
        rest = len(checks) - done - len(failed)
        summary.append(
            f"Self-test: {done} of {len(checks)} tests passed, {len(failed)} failed"
            + (f", {rest} could not be made (the table says why)." if rest else ".")
        )
    sections = [
        Section("Still needed", points=tuple(sentences["needed"])),
        Section("Found in the file", points=tuple(sentences["found"])),
        Section("Assumed, since the file does not tell", points=tuple(sentences["assumed"])),
        Section("Self-test", tables=(Table(_TESTS, checks),)),
    ]
    if card:
        sections += channel_and_head_sections(card)
    return render(
        title=str(card.get("title") or "Import of a model"),
        subtitle=f"import of {file}",
        summary=summary,
        sections=[part for part in sections if part.points or any(table.rows for table in part.tables)],
        warnings=[f"{row['test']}: {row['found']}. {row['note']}".strip() for row in failed],
        provenance={name: value for name, value in _origin(card).items() if value not in (None, "")},
    )


def _origin(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "licence": card.get("licence"),
        "cite": "; ".join(card.get("citation", [])),
        "architecture": card.get("architecture", {}).get("name"),
        "receptive-field radius (pixels)": card.get("receptive_field_radius"),
        "alignment (pixels)": card.get("alignment"),
    }
