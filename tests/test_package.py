"""What ships: the zip for QGIS, and the wheel for Pythons without QGIS."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from floelens.tools import package, scan
from floelens.tools.headless import ROOT, HeadlessQgis, results


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("the package is made of what git tracks, and this is no checkout")
    return package.build(tmp_path_factory.mktemp("dist"))


def test_what_the_scanners_find_is_named_with_file_line_and_reason():
    bandit = {
        "results": [{"filename": "a.py", "line_number": 3, "test_id": "B101", "issue_text": "Use of assert"}]
    }
    secrets = {"results": {"card.json": [{"line_number": 8, "type": "Hex High Entropy String"}], "b.py": []}}
    assert scan.findings("Bandit", json.dumps(bandit)) == ["a.py:3: B101 Use of assert"]
    assert scan.findings("detect-secrets", json.dumps(secrets)) == ["card.json:8: Hex High Entropy String"]


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def test_the_zip_holds_what_qgis_needs_under_one_folder(archive):
    listed = names(archive)
    assert {name.split("/")[0] for name in listed} == {"floelens"}
    needed = {"__init__.py", "metadata.txt", "LICENSE", "plugin/provider.py", "resources/icons/floelens.svg"}
    assert {f"floelens/{name}" for name in needed} <= set(listed)


def test_the_zip_leaves_the_workshop_out(archive):
    second = {name.split("/")[1] for name in names(archive)}
    assert not second & package.LEFT_OUT
    assert not [name for name in second if name.startswith(".")]
    assert not [name for name in names(archive) if name.endswith(".pyc")]


def test_the_zip_is_small_enough_and_carries_the_version(archive):
    assert archive.stat().st_size < package.LARGEST == 25_000_000
    assert archive.name == f"floelens-{package.version()}.zip"


def test_the_same_files_give_the_same_bytes(archive, tmp_path):
    assert package.build(tmp_path).read_bytes() == archive.read_bytes()


def test_only_tracked_files_are_packed(tmp_path):
    repository(tmp_path, "metadata.txt", "plugin/main.py", "tests/test_main.py", ".ci/run")
    (tmp_path / "plugin" / "scribble.py").touch()
    assert package.shipped(tmp_path) == ["metadata.txt", "plugin/main.py"]


def test_a_tracked_file_that_is_gone_is_told(tmp_path):
    repository(tmp_path, "metadata.txt", "plugin/main.py")
    (tmp_path / "plugin" / "main.py").unlink()
    with pytest.raises(RuntimeError, match=r"plugin/main\.py"):
        package.shipped(tmp_path)


def test_a_folder_that_is_no_checkout_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="not a git checkout"):
        package.shipped(tmp_path)


def test_a_package_too_large_for_the_repository_is_not_left_behind(tmp_path, monkeypatch):
    repository(tmp_path, "metadata.txt")
    (tmp_path / "metadata.txt").write_text("[general]\nversion=9.9.9\n")
    monkeypatch.setattr(package, "LARGEST", 100)
    with pytest.raises(RuntimeError, match="limit"):
        package.build(tmp_path / "dist", tmp_path)
    assert list((tmp_path / "dist").iterdir()) == []


def repository(folder: Path, *paths: str) -> None:
    """Make a git repository that tracks empty files."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "add", *paths], check=True)


@pytest.fixture(scope="module")
def installed(archive, tmp_path_factory) -> HeadlessQgis:
    """Return a QGIS with an empty profile into which the zip was unpacked, and nothing else."""
    profile = tmp_path_factory.mktemp("installed")
    folder = profile / "profiles" / "default" / "python" / "plugins"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    qgis = HeadlessQgis(profile=profile)
    qgis.enable("floelens")
    return qgis


def test_the_unpacked_zip_lists_its_algorithms(installed):
    done = installed.call("list")
    assert done.returncode == 0, done.stderr
    for name in (
        "environment",
        "importscene",
        "inspectmodel",
        "predict",
        "relevance",
        "simulatescene",
        "zscores",
    ):
        assert f"floelens:{name}" in done.stdout


def test_the_unpacked_zip_runs_from_a_read_only_folder(installed, tmp_path):
    # Nothing may be written into the plugin's folder: an update deletes it.
    plugin = installed.profile / "profiles" / "default" / "python" / "plugins" / "floelens"
    before = sorted(plugin.rglob("*"))
    quiet = replace(installed, variables={"HOME": str(tmp_path)})
    page = tmp_path / "environment.html"
    assert results(quiet.run("floelens:environment", OUTPUT=page))["OUTPUT"] == str(page)
    assert page.stat().st_size > 0
    ice = tmp_path / "ice.tif"
    simulated = {name: tmp_path / f"{name.lower()}.tif" for name in ("SAR", "MWR", "CHART")}
    results(quiet.run("floelens:simulatescene", SEED=3, ROWS=100, COLS=100, **simulated))
    scene = {"SAR": simulated["SAR"], "MWR": simulated["MWR"]}
    results(quiet.run("floelens:predict", **scene, MODEL="aspp-concentration-sim", OUTPUT=ice))
    assert ice.exists()
    assert sorted(plugin.rglob("*")) == before


def test_the_wheel_is_the_package_floelens(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; `make env` installs it")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"floelens-{package.version()}-py3-none-any.whl"
    top = {name.split("/")[0] for name in names(wheel)}
    assert top == {"floelens", f"floelens-{package.version()}.dist-info"}
    listed = set(names(wheel))
    assert {
        "floelens/__init__.py",
        "floelens/plugin/ground/window.py",
        "floelens/plugin/networks/card.py",
    } <= listed
    assert not [name for name in listed if name.startswith(("floelens/tests", "floelens/tools"))]

    # It works from anywhere, without QGIS.
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", "import floelens.plugin.ground.window as w; print(w.__file__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(tmp_path))
