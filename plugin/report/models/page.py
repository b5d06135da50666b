"""The page about a model: what was found at its import, its self-test, what was measured, and its card.

*Import model* and *Inspect model* show the same page, each with what it knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..page.html import Section, Table, render
from .card_sections import card_sections, card_summary, compared

_TESTS = (("test", "test"), ("found", "found"), ("result", "result"), ("note", ""))
_MEASURED = (("what", ""), ("found", "measured"), ("card", "card"), ("agrees", "agrees"))


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model beside its card.

    Parameters
    ----------
    summary : tuple of str
        The first sentences of the page.
    needed, found, assumed : sequence of str
        What an import still needs, found in the file, and assumed.
    checks : sequence of mapping
        Rows of the self-test: ``test``, ``found``, ``result`` and ``note``; empty where nothing was tested.
    measured : mapping
        What was measured, by its name in words ("alignment (pixels)", "parameters"): a value, or a pair (measured, of
        the card), which are compared.
    unmeasured : sequence of str
        What was not measured, and why.
    """

    summary: tuple[str, ...] = ()
    needed: Sequence[str] = ()
    found: Sequence[str] = ()
    assumed: Sequence[str] = ()
    checks: Sequence[Mapping[str, Any]] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
    unmeasured: Sequence[str] = ()


def model_html(card: Any, facts: ModelFacts, subtitle: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    card : mapping, or an object with ``to_json``
        The model card in its JSON form; empty as long as an import still needs something.
    facts : ModelFacts
        What is known beside it.
    subtitle : str
        Empty: the model's id.
    """
    stated = card if isinstance(card, Mapping) else json.loads(card.to_json())
    failed = [row for row in facts.checks if row["result"] == "FAILED"]
    rows, differences = compared(facts.measured)
    summary = [*facts.summary, *(card_summary(stated, stated.get("channels", [])) if stated else [])]
    if facts.checks:
        summary.append(_tested(facts.checks, len(failed)))
    sections = [
        Section("Still needed", points=tuple(facts.needed)),
        Section("Found in the file", points=tuple(facts.found)),
        Section("Assumed, since the file does not tell", points=tuple(facts.assumed)),
        Section("Self-test", tables=(Table(_TESTS, facts.checks),)),
        Section("Measured now", tables=(Table(_MEASURED, rows),), text=tuple(facts.unmeasured)),
        *(card_sections(stated) if stated else []),
    ]
    return render(
        title=str(stated.get("title") or stated.get("id") or "Import of a model"),
        subtitle=subtitle or f"model {stated.get('id')}",
        summary=summary,
        sections=[
            part for part in sections if part.text or part.points or any(table.rows for table in part.tables)
        ],
        warnings=[f"{row['test']}: {row['found']}. {row['note']}".strip() for row in failed] + differences,
        provenance={name: value for name, value in _origin(stated).items() if value not in (None, "")},
    )


def import_sentences(card: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
    """Return what was found and assumed when a model was imported, as its card keeps it; both may be empty."""
    notes = card.get("training", {}).get("details", {}).get("import")
    notes = notes if isinstance(notes, Mapping) else {}
    found, assumed = (
        [text for text in kept if isinstance(text, str)] if isinstance(kept, list) else []
        for kept in (notes.get("found"), notes.get("assumed"))
    )
    return found, assumed


def _tested(checks: Sequence[Mapping[str, Any]], failed: int) -> str:
    done = sum(row["result"] == "passed" for row in checks)
    rest = len(checks) - done - failed
    return f"Self-test: {done} of {len(checks)} tests passed, {failed} failed" + (
        f", {rest} could not be made (the table says why)." if rest else "."
    )


def _origin(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "licence": card.get("licence"),
        "cite": "; ".join(card.get("citation", [])),
        "architecture": card.get("architecture", {}).get("name"),
        "weights (sha256)": card.get("weights", {}).get("sha256"),
        "receptive-field radius (pixels)": card.get("receptive_field_radius"),
        "alignment (pixels)": card.get("alignment"),
    }
