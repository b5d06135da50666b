"""The reference of the algorithms, as QGIS itself knows them: one Markdown page each, for the site of ``make docs``."""

from __future__ import annotations

import json
from pathlib import Path

from .headless import ROOT, HeadlessQgis


def cell_text(text: object) -> str:
    """Return `text` on one line, safe in a Markdown table."""
    escaped = "".join(f"\\{character}" if character in "\\|<>*_$[]" else character for character in str(text))
    return " ".join(escaped.split())


def code_text(text: object) -> str:
    """Return `text` as code in a Markdown table."""
    return f"`{text}`".replace("|", "\\|")


def algorithm_page(details: dict) -> str:
    """Return the page of one algorithm.

    Parameters
    ----------
    details : dict
        What ``qgis_process --json help`` printed of it.
    """
    about = details["algorithm_details"]
    lines = [
        f"# {about['name']}",
        "",
        f"`{about['id']}`",
        "",
        cell_text(about.get("short_description") or ""),
    ]
    for title, entries in (("Parameters", details["parameters"]), ("Outputs", details["outputs"])):
        lines += ["", f"## {title}", "", "| name | what it is |", "|---|---|"]
        for name, entry in entries.items():
            kind = entry["type"]["name"] if isinstance(entry["type"], dict) else entry["type"]
            default = entry.get("default_value")
            notes = cell_text(kind) + ("" if default in (None, "") else f", default {code_text(default)}")
            more = cell_text(entry.get("raw_definition", {}).get("help") or "")
            lines.append(f"| {code_text(name)} | **{cell_text(entry['description'])}** ({notes}). {more} |")
    return "\n".join(lines) + "\n"


def declared_algorithms() -> list[dict]:
    """Return what QGIS knows of each algorithm of the provider, in the order of their ids.

    Raises
    ------
    RuntimeError
        QGIS cannot explain one of them.
    """
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    qgis.enable("floelens")
    listed = json.loads(qgis.call("--json", "list").stdout)
    declared = []
    for algorithm in sorted(listed["providers"]["floelens"]["algorithms"]):
        done = qgis.call("--json", "help", algorithm)
        if done.returncode:
            raise RuntimeError(f"qgis_process help {algorithm} failed: {done.stderr.strip()}")
        declared.append(json.loads(done.stdout))
    return declared


def write_reference(folder: Path, declared: list[dict]) -> list[str]:
    """Write a page for each algorithm and an index of them; return the ids, without the provider's."""
    folder.mkdir(parents=True)
    ids = []
    rows = ["# Algorithms", "", "Made from the declarations of the algorithms, as QGIS knows them.", ""]
    rows += ["| algorithm | what it does |", "|---|---|"]
    for details in declared:
        about = details["algorithm_details"]
        name = about["id"].split(":")[1]
        ids.append(name)
        (folder / f"{name}.md").write_text(algorithm_page(details), encoding="utf-8")
        rows.append(f"| [{about['name']}]({name}.md) | {cell_text(about.get('short_description') or '')} |")
    rows += ["", "```{toctree}", ":hidden:", "", *ids, "```", ""]
    (folder / "index.md").write_text("\n".join(rows), encoding="utf-8")
    return ids
