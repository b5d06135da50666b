"""The folder for machines without a network: which wheels, for which machine, and how they are installed."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from floelens.tools import bundle


def test_numpy_and_what_qgis_brings_are_never_among_them():
    names = {line.split("==")[0] for line in bundle.wanted()}
    assert {"torch", "rasterio", "safetensors", "sympy"} <= names
    assert not names & {"numpy", "scipy", "GDAL", "pyproj", "matplotlib"}


def test_only_wheels_of_the_machine_named_are_fetched_and_nothing_they_depend_on(tmp_path):
    command = bundle.download_command(tmp_path, "3.12", "win_amd64", "torch==2.13.0")
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    assert command[command.index("--python-version") + 1] == "3.12"
    assert [command[i + 1] for i, word in enumerate(command) if word == "--platform"] == ["win_amd64"]
    assert "manylinux2014_aarch64" in bundle.platforms("linux_aarch64")


@pytest.mark.parametrize(
    ("system", "asked"),
    [("linux_x86_64", {"torch==2.13.0+cpu"}), ("win_amd64", {"torch==2.13.0", "torch"})],
)
def test_on_linux_torch_is_the_build_that_needs_no_cuda_from_the_index_named(
    tmp_path, monkeypatch, system, asked
):
    commands = []

    def refused(command, **_options):
        commands.append(command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setenv("TORCH_INDEX", "https://torch.example")
    monkeypatch.setattr(bundle.subprocess, "run", refused)
    absent = bundle.fetch(tmp_path, "3.12", system)
    torch = [command for command in commands if "https://torch.example" in command]
    assert {command[-1] for command in torch} == asked
    assert "torch==2.13.0" in absent


@pytest.mark.parametrize("system", ["linux_x86_64", "win_amd64", "macosx_11_0_arm64"])
def test_the_page_says_how_to_install_without_a_network(system):
    page = bundle.how("3.12", system, "floelens-1.zip")
    (command,) = [line for line in page.splitlines() if " -m pip install " in line]
    assert "--no-index --no-deps --find-links wheels" in command
    assert " torch" in command
    assert "numpy" not in command
    assert ("OSGeo4W" in page) == system.startswith("win")
    assert ("QGIS.app" in command) == system.startswith("macosx")


def test_a_folder_that_changed_on_the_way_is_found_out(tmp_path):
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "a.whl"
    wheel.write_bytes(b"whole")
    text = bundle.checksums(tmp_path)
    assert text == f"{hashlib.sha256(b'whole').hexdigest()}  wheels/a.whl\n"
    (tmp_path / bundle.CHECKSUMS).write_text(text)
    check = ["sha256sum", "-c", bundle.CHECKSUMS]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    wheel.write_bytes(b"cut")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1
