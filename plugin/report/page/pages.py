"""The page about the installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .html import Section, Table, listed, render


def environment_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a page about the libraries: versions, what is missing, and the command that installs it.

    Parameters
    ----------
    rows : sequence of mapping
        ``name``; ``version`` (empty or None where missing); ``needed_for``; ``command`` that installs
        it; optional ``note``.
    """
    missing = [row for row in rows if not row.get("version")]
    if missing:
        summary = [
            f"Missing: {listed([str(row['name']) for row in missing])}. FloeLens works fully once they are installed."
        ]
    else:
        summary = ["Everything FloeLens needs is installed."]
    printed = [{**row, "state": "installed" if row.get("version") else "MISSING"} for row in rows]
    columns: tuple[tuple[str, str], ...] = (
        ("name", "library"),
        ("state", "state"),
        ("version", "version"),
        ("needed_for", "needed for"),
        ("note", "note"),
    )
    columns = tuple(pair for pair in columns if pair[0] != "note" or any(row.get("note") for row in rows))
    sections = []
    if missing:
        commands = list(dict.fromkeys(str(row["command"]) for row in missing if row.get("command")))
        sections.append(Section("How to install what is missing", points=tuple(commands)))
    sections.append(Section("Libraries", tables=(Table(columns, printed),)))
    return render(title="FloeLens: environment", summary=summary, sections=sections)
