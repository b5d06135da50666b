"""Scans the zip as the plugin repository of QGIS does: one finding of Bandit or detect-secrets blocks a version.

Both run with their default rules on what `make package` packs; `make lint` calls this.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

if __package__:
    from . import package
else:  # a script of `make`
    import package

COMMANDS = {
    "Bandit": ("bandit", "-q", "-r", package.NAME, "-f", "json"),
    "detect-secrets": ("detect_secrets", "-c", "2", "scan", "--all-files", package.NAME),
}


def findings(tool: str, report: str) -> list[str]:
    """Return what a tool's JSON names, a line each: file, line, and why."""
    results = json.loads(report)["results"]
    if tool == "Bandit":
        return [f"{r['filename']}:{r['line_number']}: {r['test_id']} {r['issue_text']}" for r in results]
    return [f"{file}:{r['line_number']}: {r['type']}" for file, each in results.items() for r in each]


def scan(folder: Path) -> list[str]:
    """Return what both find in the zip unpacked in `folder`."""
    running = {
        tool: subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for tool, command in COMMANDS.items()
    }
    found = []
    for tool, process in running.items():
        report, errors = process.communicate()
        try:
            found += [f"{tool}: {finding}" for finding in findings(tool, report)]
        except ValueError:
            found.append(f"{tool} ended with {process.returncode}: {errors.strip()[-500:]}")
    return found


def main() -> int:
    """Scan, print what is found, and return 1 where there is anything."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with zipfile.ZipFile(package.build(place / "dist")) as archive:
            archive.extractall(place)
        found = scan(place)
    print("\n".join(found) or "Bandit and detect-secrets find nothing in the zip")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
