"""The house: metadata, pins, commands, and what the project says of itself."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from floelens.tools import link, package
from floelens.tools.headless import ROOT
from matplotlib import image as figure_image

PINNED = re.compile(r'^[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+(; python_version (<|>=) "3\.\d+")?$')


@pytest.fixture(scope="module")
def metadata() -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "metadata.txt", encoding="utf-8")
    return dict(parser["general"])


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_metadata_has_what_qgis_and_its_plugin_repository_require(metadata):
    required = {
        "name", "version", "qgisminimumversion", "description", "about", "author", "email",
        "repository", "tracker", "hasprocessingprovider", "icon", "changelog", "tags", "license",
    }  # fmt: skip
    assert not [key for key in required if not metadata.get(key)]
    assert metadata["name"] == "FloeLens"
    assert metadata["hasprocessingprovider"] == "yes"
    assert (metadata["qgisminimumversion"], metadata["qgismaximumversion"]) == ("3.22", "4.99")


def test_the_changelogs_know_the_version(metadata):
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["version"])
    assert metadata["changelog"].startswith(metadata["version"])
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1)
    assert first == metadata["version"] == package.version()


def test_the_icon_is_there_and_is_plain_svg(metadata):
    drawing = ElementTree.parse(ROOT / metadata["icon"]).getroot()
    assert drawing.tag.endswith("svg")
    # Qt draws SVG Tiny: a clip path or a filter would be left out silently.
    tags = {element.tag.rsplit("}", 1)[-1] for element in drawing.iter()}
    assert tags <= {"svg", "title", "circle", "path", "rect", "g"}


def test_the_licence_is_the_whole_gpl():
    text = (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text


REQUIREMENTS = [
    "requirements-environment.txt",
    "requirements-dev.txt",
    "requirements-docs.txt",
    "tests/requirements-coverage.txt",
    "tests/requirements-lint.txt",
    "tests/requirements-qt6.txt",
    "tests/requirements-references.txt",
]


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_python_package_is_pinned_and_none_is_numpy(name):
    lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
    assert lines
    assert not [line for line in lines if not PINNED.match(line)]
    # QGIS's own stay as they are.
    assert not {"numpy", "scipy", "gdal", "pyproj", "matplotlib"} & {pin.lower() for pin in pins(name)}


def test_make_explains_every_target():
    done = subprocess.run(["make", "-C", str(ROOT), "--silent"], capture_output=True, text=True, check=True)
    told = {line.split()[0] for line in done.stdout.splitlines()}
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split()
    assert told == set(phony)
    assert {"help", "demo", "test", "lint", "bench", "env", "link", "package", "docs", "train"} <= told
    assert "|| true" not in text


def test_what_the_readme_tells_to_run_exists():
    text = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z][a-z-]+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_commands_of_the_readme_use_parameters_that_exist():
    published = json.loads(
        (ROOT / "tests" / "published.json").read_text()
    )  # `test_provider` holds them to QGIS's
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^ +qgis_process run (floelens:\w+) -- (.*)$", text, re.MULTILINE)
    assert len(commands) == 9
    for algorithm, words in commands:
        named = set(re.findall(r"([A-Z_]+)=", words))
        assert named <= set(published[algorithm.removeprefix("floelens:")]["parameters"]), algorithm


def make_commands(folder: Path, **scripts: str) -> Path:
    """Fill a folder with commands of ours, to stand for a machine's."""
    folder.mkdir()
    for name in ("sh", "dirname", "command", "printf", "cat", "sed", "cp", "env"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return folder


def set_up(root: Path, commands: Path, python: Path) -> subprocess.CompletedProcess[str]:
    (root / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "environment.sh", root / "tools")
    return subprocess.run(
        [str(root / "tools" / "environment.sh")],
        env={"PATH": str(commands), "PYTHON": str(python), "HOME": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_set_up_without_rights_names_the_very_command_and_installs_nothing(tmp_path):
    commands = make_commands(
        tmp_path / "bin",
        id="echo 1000",
        sudo="exit 1",
        apt_get=f"touch {tmp_path}/apt-was-called",
        apt_cache="exit 0",
        bare_python="exit 1",
    )
    (tmp_path / "checkout").mkdir()
    done = set_up(tmp_path / "checkout", commands, commands / "bare-python")
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends qgis python3-qgis" in done.stderr
    assert "python3-rasterio" in done.stderr
    assert not (tmp_path / "apt-was-called").exists()
    assert not (tmp_path / "checkout" / ".venv").exists()


def test_set_up_stops_where_apt_fails(tmp_path):
    commands = make_commands(
        tmp_path / "bin",
        id="echo 0",
        apt_get="echo 'E: no network' >&2; exit 100",
        apt_cache="exit 0",
        bare_python="exit 1",
    )
    (tmp_path / "checkout").mkdir()
    done = set_up(tmp_path / "checkout", commands, commands / "bare-python")
    assert done.returncode == 100
    assert "E: no network" in done.stderr


def test_set_up_without_apt_says_what_is_needed(tmp_path):
    commands = make_commands(tmp_path / "bin", id="echo 0", bare_python="exit 1")
    (tmp_path / "checkout").mkdir()
    done = set_up(tmp_path / "checkout", commands, commands / "bare-python")
    assert done.returncode == 1
    assert "QGIS 3.22 or newer" in done.stderr
    assert "make env PYTHON=" in done.stderr


def test_qgis_is_given_the_libraries_it_lacks_and_no_others(tmp_path, monkeypatch):
    site, system = tmp_path / "site", tmp_path / "system"
    for name, module, own in (
        ("Run-Time", "run_time", False),
        ("pandas", "pandas", False),
        ("attrs", "attr", True),
    ):
        record = site / f"{module}-1.dist-info"
        record.mkdir(parents=True)
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (record / "RECORD").write_text(
            f"{module}/__init__.py,,\n{module}-1.dist-info/METADATA,,\n../../bin/x,,\n"
        )
        for folder in (site, system) if own else (site,):
            (folder / module).mkdir(parents=True)
            (folder / module / "__init__.py").touch()
    monkeypatch.setattr("sys.path", [str(site), str(system)])
    for _ in range(2):  # it may be gathered again
        found = link.gather_libraries(tmp_path / "libraries", ["run_time", "attrs"], site)
        assert sorted(path.name for path in found.iterdir()) == ["run_time", "run_time-1.dist-info"]
        assert (found / "run_time" / "__init__.py").exists()


def test_link_replaces_a_link_but_never_a_folder(tmp_path):
    path = link.link(tmp_path)
    assert path.resolve() == ROOT
    assert link.link(tmp_path) == path
    path.unlink()
    path.mkdir()
    (path / "kept.txt").touch()
    with pytest.raises(RuntimeError, match="not a link"):
        link.link(tmp_path)
    assert (path / "kept.txt").exists()


def test_the_checkout_imports_its_plugin_only_when_asked(qgis_process):
    done = qgis_process.python(
        "import sys; sys.path.insert(0, sys.argv[1]); import floelens\n"
        "print(sorted(name for name in sys.modules if name.startswith('floelens')))",
        str(qgis_process.plugins),
    )
    assert done.stdout.strip() == "['floelens']", done.stderr


def test_a_plugin_that_qgis_does_not_find_is_told_and_one_enabled_twice_is_fine(qgis_process):
    qgis_process.enable("floelens")
    with pytest.raises(RuntimeError, match="cannot enable the plugin icelens"):
        qgis_process.enable("icelens")


@pytest.mark.slow
def test_the_demo_names_files_that_exist_and_draws_a_map_that_is_not_blank(tmp_path):
    subprocess.run(["make", "-C", str(ROOT), "--silent", "build/plugins/floelens"], check=True)
    demo = [sys.executable, str(ROOT / "tools" / "demo.py"), "--size", "400", "--folder", str(tmp_path)]
    done = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tail = done.stdout[done.stdout.index("Rasters") :]
    named = [Path(line.strip()) for line in tail.splitlines() if line.strip().startswith("/")]
    assert {path.suffix for path in named} == {".tif", ".html", ".csv", ".png"}
    assert all(path.stat().st_size > 0 for path in named)
    colours = np.unique(figure_image.imread(tmp_path / "map.png")[..., :3].reshape(-1, 3), axis=0)
    assert len(colours) > 100


def test_ci_runs_what_the_readme_tells():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make lint test" in script.read_text()
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert re.findall(r"- run: (.*)", workflow) == ["make lint test"]
    assert {"debian:12", "debian:13", "qgis/qgis:latest"} == set(re.findall(r'image: "(.*?)"', workflow))
    site = (ROOT / ".github" / "workflows" / "docs.yml").read_text()
    assert re.findall(r"- run: (.*)", site) == ["make docs"]
    assert "path: build/docs/site" in site


PAGES = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
]
NAMED = re.compile(
    r"`((?:plugin|models|tests|tools|bench|docs|resources|core|io|jobs|report|algorithms)/[\w./]+)`"
)
EXAMPLE = re.compile(
    r"/(test_)?(unet|bandmeans|toy|crosses(benchmark)?)\b|unet_architecture"
)  # what the how-tos add
LINKED = re.compile(r"\]\((?!http)([\w./-]+)\)")


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_for_developers_names_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [name for name in NAMED.findall(text) if not EXAMPLE.search(name)]
    absent = [name for name in named if not _place_of(name).exists()]
    absent += [link for link in LINKED.findall(text) if not ((ROOT / page).parent / link).exists()]
    assert not absent


def _place_of(name: str) -> Path:
    return ROOT / name if (ROOT / name.split("/")[0]).is_dir() else ROOT / "plugin" / name


DIALECT = re.compile(r"\b(books?|booked|told|handed|way back)\b", re.IGNORECASE)


def shown_texts(script: Path) -> list[str]:
    """Return the string constants of a module that are no docstrings."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in silent]
    return [node.value for node in constants if isinstance(node.value, str) and " " in node.value]


@pytest.mark.parametrize(
    "folder", ["plugin/algorithms", "plugin/report", "plugin/jobs", "resources/help", "resources/templates"]
)
def test_what_a_user_reads_uses_the_terms_of_the_field(folder):
    files = sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".html"))
    assert files
    found = {
        str(path.relative_to(ROOT)): texts
        for path in files
        if (
            texts := [
                text
                for text in (
                    shown_texts(path) if path.suffix == ".py" else path.read_text("utf-8").splitlines()
                )
                if DIALECT.search(text)
            ]
        )
    }
    assert not found


# Where code, comments and docstrings are free of the old dialect, and the words that stay away.
CLEAN = ["plugin", "tools", "bench"]
OLD_WORDS = re.compile(
    r"(?<![A-Za-z])(booked|told(?! apart)|handed|hands on|way back|retreats?|thinned|workspace|wishes|walked|pullback|"
    r"one_by_one|gatherings?|spreading)(?![A-Za-z])",
    re.IGNORECASE,
)


@pytest.mark.parametrize("folder", CLEAN)
def test_code_of_a_clean_room_uses_the_terms_of_the_field(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OLD_WORDS.search(line)
    ]
    assert not found
