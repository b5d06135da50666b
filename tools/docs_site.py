"""Builds the documentation site: the pages of the repository, the algorithms, and the API of the public modules.

The sources are gathered in ``build/docs/source``, laid out as in the repository, so that links between pages hold in
both places; Sphinx makes ``build/docs/site`` of them. A warning is an error.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from .headless import ROOT
from .reference import declared_algorithms, write_reference

FLOORS = ("jobs", "core", "io", "report", "networks", "ground")  # whose modules are public
PAGES = ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
SITE = ROOT / "docs" / "site"  # what belongs to the site alone: its first page, and the settings of Sphinx


def pages(root: Path = ROOT) -> list[str]:
    """Return the Markdown pages of the repository that the site shows, relative to `root`."""
    found = [path for name in ("docs", "plugin") for path in (root / name).rglob("*.md")]
    found += (root / "models").glob("*/README.md")
    shown = [path.relative_to(root).as_posix() for path in sorted(found) if SITE not in path.parents]
    return [*PAGES, *shown]


def copy_pages(source: Path, root: Path = ROOT) -> None:
    """Copy the pages to where they lie in the repository, below `source`."""
    for name in pages(root):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, path)
    for path in SITE.glob("*.*"):
        shutil.copy(path, source)


def api_page(package: Path) -> str:
    """Return the page (reStructuredText) of a package: itself, then each of its modules."""
    dotted = ".".join(package.relative_to(ROOT).parts)
    lines = _heading(dotted, "=") + [f".. automodule:: floelens.{dotted}", ""]
    for path in sorted(package.glob("*.py")):
        if path.stem != "__init__":
            lines += _heading(path.stem, "-")
            lines += [
                f".. automodule:: floelens.{dotted}.{path.stem}",
                "   :members:",
                "   :ignore-module-all:",
                "",
            ]
    below = [child.parent for child in sorted(package.glob("*/__init__.py"))]
    if below:
        lines += [".. toctree::", "", *(f"   {_page_name(child)}" for child in below), ""]
    return "\n".join(lines)


def write_api(folder: Path) -> None:
    """Write a page for each package of the public floors, and an index."""
    folder.mkdir(parents=True)
    for floor in FLOORS:
        for initial in sorted((ROOT / "plugin" / floor).rglob("__init__.py")):
            text = api_page(initial.parent)
            (folder / f"{_page_name(initial.parent)}.rst").write_text(text, encoding="utf-8")
    lines = [
        *_heading("Modules", "="),
        "What a notebook, a script or another plugin may call. Nothing here imports QGIS. The floors, from the top:",
        "",
        *(".. toctree::", "   :maxdepth: 2", ""),
        *(f"   plugin.{floor}" for floor in FLOORS),
        "",
    ]
    (folder / "index.rst").write_text("\n".join(lines), encoding="utf-8")


def _page_name(package: Path) -> str:
    return ".".join(package.relative_to(ROOT).parts)


def _heading(title: str, line: str) -> list[str]:
    return [title, line * len(title), ""]


def main() -> int:
    """Gather the sources and build the site."""
    published = sorted(json.loads((ROOT / "tests" / "published.json").read_text(encoding="utf-8")))
    folder = ROOT / "build" / "docs"
    source, site = folder / "source", folder / "site"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    copy_pages(source)
    write_api(source / "api")
    ids = write_reference(source / "algorithms", declared_algorithms())
    if ids != published:
        print(f"QGIS lists {', '.join(ids)}; published are {', '.join(published)}.", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-b", "html"]
    done = subprocess.run([*command, "-d", str(folder / "doctrees"), str(source), str(site)], check=False)
    if not done.returncode:
        print(f"{(site / 'index.html').relative_to(ROOT)}: {len(ids)} algorithms, {len(pages())} pages")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
