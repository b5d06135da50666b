"""Writes the reference of the algorithms, as QGIS itself knows them, to ``build/docs/algorithms.md``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from headless import ROOT, HeadlessQgis


def cell_text(text: str) -> str:
    """Return `text` on one line, safe in a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())


def section(details: dict) -> str:
    """Return the Markdown of one algorithm from what ``qgis_process --json help`` printed."""
    about = details["algorithm_details"]
    lines = [f"## {about['name']} (`{about['id']}`)", "", about.get("short_description") or ""]
    for title, entries in (("Parameters", details["parameters"]), ("Outputs", details["outputs"])):
        lines += ["", f"### {title}", "", "| name | what | type | default | help |", "|---|---|---|---|---|"]
        for name, entry in entries.items():
            kind = entry["type"]["name"] if isinstance(entry["type"], dict) else entry["type"]
            default = entry.get("default_value")
            more = entry.get("raw_definition", {}).get("help") or ""
            shown = "" if default is None else f"`{default}`"
            cells = (f"`{name}`", entry["description"], kind, shown, more)
            lines.append(f"| {' | '.join(cell_text(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Ask QGIS for the help of every algorithm and write it down."""
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    qgis.enable("floelens")
    listed = json.loads(qgis.call("--json", "list").stdout)
    algorithms = sorted(listed["providers"]["floelens"]["algorithms"])
    sections = []
    for algorithm in algorithms:
        done = qgis.call("--json", "help", algorithm)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return 1
        sections.append(section(json.loads(done.stdout)))
    path = Path(ROOT / "build" / "docs" / "algorithms.md")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# The algorithms of FloeLens\n\n" + "\n".join(sections), encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(algorithms)} algorithms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
