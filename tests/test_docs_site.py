"""The sources of the documentation site: links lead somewhere, every algorithm and public module has its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from floelens.tools import docs_site, reference
from floelens.tools.headless import ROOT

PUBLISHED = json.loads((ROOT / "tests" / "published.json").read_text(encoding="utf-8"))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)


def declaration(name: str, parameters: list[str]) -> dict:
    """Return what ``qgis_process --json help`` says of an algorithm, as far as a page needs it."""
    entry = {
        "description": "a | b",
        "type": {"name": "string"},
        "default_value": "x|y",
        "raw_definition": {"help": "first\nsecond <word> *"},
    }
    about = {"id": f"floelens:{name}", "name": name.title(), "short_description": "What it does."}
    return {
        "algorithm_details": about,
        "parameters": dict.fromkeys(parameters, entry),
        "outputs": {"OUTPUT": {"description": "Result", "type": "outputRaster"}},
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "source"
    folder.mkdir()
    docs_site.copy_pages(folder)
    docs_site.write_api(folder / "api")
    declared = [declaration(name, entry["parameters"]) for name, entry in sorted(PUBLISHED.items())]
    assert reference.write_reference(folder / "algorithms", declared) == sorted(PUBLISHED)
    return folder


def test_links_between_pages_lead_to_pages(source):
    broken = [
        f"{path.relative_to(source)}: {link}"
        for path in source.rglob("*.md")
        for link in LINK.findall(path.read_text(encoding="utf-8"))
        if not (path.parent / link).exists()
    ]
    assert not broken


def test_every_page_is_in_the_contents(source):
    listed = {source / "index.md"}
    for path in source.rglob("*.md"):
        for block in TOCTREE.findall(path.read_text(encoding="utf-8")):
            lines = [line for line in block.splitlines() if line and not line.startswith(":")]
            entries = [line.rsplit("<")[-1].rstrip(">") for line in lines]
            for entry in entries:
                found = [*path.parent.glob(f"{entry}.md"), *path.parent.glob(f"{entry}.rst")]
                assert found, f"{path.relative_to(source)} lists {entry}, which is not there"
                listed.update(found)
    assert set(source.rglob("*.md")) == listed - set(source.rglob("*.rst"))


def test_every_parameter_of_every_algorithm_stands_in_a_row_of_its_page(source):
    for name, entry in PUBLISHED.items():
        page = (source / "algorithms" / f"{name}.md").read_text(encoding="utf-8")
        rows = page.split("## Outputs")[0].splitlines()
        for parameter in entry["parameters"]:
            (row,) = (row for row in rows if row.startswith(f"| `{parameter}` "))
            assert len(re.findall(r"(?<!\\)\|", row)) == 3  # two cells: what is in them adds none


def test_every_public_module_has_its_place_once(source):
    text = "\n".join(path.read_text(encoding="utf-8") for path in (source / "api").glob("*.rst"))
    listed = re.findall(r"automodule:: floelens\.(\S+)", text)
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for floor in docs_site.FLOORS
        for path in (ROOT / "plugin" / floor).rglob("*.py")
    ]
    assert sorted(listed) == sorted(modules)
