"""What is missing is named with a command that gets it and cannot replace numpy."""

from __future__ import annotations

import sys

import numpy
import pytest
from floelens.plugin.ground import dependencies


@pytest.fixture(autouse=True)
def no_packaged_torch(monkeypatch):
    """Have no torch of the system's, whatever machine this is."""
    monkeypatch.setattr(dependencies, "_packaged_torch", lambda: 0)


def test_what_is_there_is_not_missing():
    assert dependencies.missing(("json", "numpy")) == ()


def test_what_is_not_there_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    assert dependencies.missing(("json", "no_such_library", "rasterio")) == ("no_such_library", "rasterio")


def test_the_command_pins_numpy(monkeypatch):
    monkeypatch.setattr(dependencies.shutil, "which", lambda _name: None)
    command = dependencies.install_command(["torch", "safetensors"])
    assert command.endswith(f'torch safetensors "numpy=={numpy.__version__}"')
    assert " -m pip install " in command
    assert command.startswith(sys.exec_prefix)


def test_rasterio_comes_from_the_system_where_there_is_apt(monkeypatch):
    monkeypatch.setattr(dependencies.shutil, "which", lambda _name: "/usr/bin/apt-get")
    assert dependencies.install_command(["rasterio"]) == "sudo apt-get install --yes python3-rasterio"
    first, second = dependencies.install_command(["torch", "rasterio"]).split(" && ")
    assert "rasterio" in first
    assert "rasterio" not in second


@pytest.mark.parametrize("policy", ["2.6.0+dfsg-7", "1.13.1+dfsg-4", "(none)"])
def test_torch_comes_from_the_system_where_that_is_new_enough(monkeypatch, tmp_path, policy):
    monkeypatch.undo()
    program = tmp_path / "apt-cache"
    program.write_text(
        f"#!/bin/sh\nprintf 'python3-torch:\\n  Installed: (none)\\n  Candidate: {policy}\\n'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    dependencies._packaged_torch.cache_clear()
    command = dependencies.install_command(["torch", "safetensors"])
    dependencies._packaged_torch.cache_clear()
    if policy.startswith("2"):
        assert command.startswith("sudo apt-get install --yes python3-torch && ")
        assert " torch" not in command
    else:
        assert " torch safetensors" in command
        assert "apt-get" not in command


def test_a_system_python_is_told_to_install_for_the_user_even_where_debian_objects(monkeypatch, tmp_path):
    monkeypatch.setattr(dependencies.sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(dependencies.sysconfig, "get_path", lambda _name: str(tmp_path))
    assert " --user torch" in dependencies.install_command(["torch"])
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert " --user --break-system-packages torch" in dependencies.install_command(["torch"])


@pytest.mark.parametrize("layout", ["python.exe", "bin/python3"])
def test_the_python_is_found_where_the_program_is_qgis_itself(monkeypatch, tmp_path, layout):
    program, python = tmp_path / "qgis-bin.exe", tmp_path / layout
    python.parent.mkdir(exist_ok=True)
    program.touch()
    python.touch()
    monkeypatch.setattr(dependencies.sys, "executable", str(program))
    monkeypatch.setattr(dependencies.sys, "exec_prefix", str(tmp_path))
    assert dependencies.install_command(["torch"]).startswith(str(python))


def test_another_python_of_the_path_is_not_taken_for_that_of_qgis(monkeypatch, tmp_path):
    shim = tmp_path / "python3"
    shim.touch()
    monkeypatch.setattr(dependencies.sys, "executable", str(shim))
    assert str(shim) not in dependencies.install_command(["torch"])


def test_the_sentence_reads_well():
    assert dependencies.sentence(["torch"]).startswith("FloeLens needs torch, which is not installed")
    text = dependencies.sentence(["torch", "rasterio", "safetensors"])
    assert text.startswith("FloeLens needs torch, rasterio and safetensors, which are not installed")


@pytest.mark.parametrize(
    ("variables", "command"),
    [
        (
            {"FLATPAK_ID": "org.qgis.qgis"},
            "flatpak run --command=pip3 org.qgis.qgis install --user torch rasterio {}",
        ),
        (
            {"SNAP": "/snap/qgis/12", "SNAP_INSTANCE_NAME": "qgis"},
            "snap run --shell qgis -c 'python3 -m pip install --user torch rasterio {}'",
        ),
    ],
)
def test_in_a_sandbox_the_command_reaches_the_python_inside(monkeypatch, variables, command):
    monkeypatch.setattr(
        dependencies.shutil, "which", lambda _name: "/usr/bin/apt-get"
    )  # the host's, of no use
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = dependencies.install_command(["torch", "rasterio"])
    assert found == command.format(f'"numpy=={numpy.__version__}"')


def test_a_conda_environment_is_served_by_conda(monkeypatch, tmp_path):
    (tmp_path / "my env" / "conda-meta").mkdir(parents=True)
    monkeypatch.setattr(dependencies.sys, "prefix", str(tmp_path / "my env"))
    assert dependencies.install_command(["torch", "safetensors"]) == (
        f'conda install --yes --prefix "{tmp_path}/my env" --channel conda-forge pytorch safetensors '
        f'"numpy={numpy.__version__}"'
    )


def test_fedora_has_its_own_torch_and_rasterio(monkeypatch):
    monkeypatch.setattr(dependencies.sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(dependencies.shutil, "which", lambda name: "/usr/bin/dnf" if name == "dnf" else None)
    first, second = dependencies.install_command(["torch", "rasterio", "safetensors"]).split(" && ")
    assert first == "sudo dnf install --assumeyes python3-torch python3-rasterio"
    assert second.endswith(f'safetensors "numpy=={numpy.__version__}"')


@pytest.mark.parametrize(
    ("system", "place"),
    [("win32", "OSGeo4W Shell"), ("darwin", "Terminal (Applications"), ("linux", "a terminal")],
)
def test_the_place_of_the_command_fits_the_system(monkeypatch, system, place):
    monkeypatch.setattr(dependencies.shutil, "which", lambda _name: None)
    monkeypatch.setattr(dependencies.sys, "platform", system)
    assert place in dependencies.sentence(["torch"])
    assert f"1. Open {dependencies.TERMINALS[dependencies.kind_of_qgis()]}." in dependencies.steps_text(
        ["torch"]
    )
