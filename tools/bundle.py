"""Makes a folder that brings FloeLens to a QGIS without a network: the plugin's zip, wheels, and how to install them.

::

    python tools/bundle.py --python 3.12 --system win_amd64

Wheels are those of ``requirements-environment.txt`` for the Python and the system named, whatever this machine is.
numpy is never among them: QGIS has its own. A file of checksums lets the other machine see that all arrived whole.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-environment.txt"
NEVER = frozenset({"numpy", "scipy", "gdal", "pyproj", "matplotlib"})  # QGIS's own
ALSO = {"win_amd64": ["colorama"]}  # what packages need there alone
CHECKSUMS = "SHA256SUMS"
MANYLINUX = tuple(f"manylinux_2_{minor}_{{machine}}" for minor in range(28, 16, -1))
HOW = """\
FloeLens for a QGIS without a network
=====================================

Made for Python {python} on {system}. QGIS says which Python it has in Plugins > Python Console: import sys; sys.version

1. Copy this folder to the machine.
2. Check that it arrived whole: {check}
3. Open {terminal} in this folder, and run

   {command}

   Nothing is fetched, and numpy is not touched.
4. Start QGIS. Plugins > Manage and Install Plugins > Install from ZIP: {plugin}
5. Plugins > FloeLens > Try it.
"""


def wanted(requirements: Path = REQUIREMENTS) -> list[str]:
    """Return the pinned packages, without those that QGIS brings along."""
    lines = [line.split("#")[0].strip() for line in requirements.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and _name(line) not in NEVER]


def platforms(system: str) -> list[str]:
    """Return pip's tags of wheels that a system takes: for ``linux_x86_64`` all manylinux ones, new ones first."""
    if not system.startswith("linux_"):
        return [system]
    machine = system.removeprefix("linux_")
    return [*(tag.format(machine=machine) for tag in MANYLINUX), f"manylinux2014_{machine}", system]


def download_command(folder: Path, python: str, system: str, package: str) -> list[str]:
    """Return pip's command that fetches the wheel of one package, and nothing that it depends on."""
    tags = [word for tag in platforms(system) for word in ("--platform", tag)]
    where = ["--python-version", python, "--implementation", "cp", *tags]
    options = ["--disable-pip-version-check", "--quiet", "--no-deps", "--only-binary=:all:", *where]
    index = os.environ.get("TORCH_INDEX")
    if index and _name(package) == "torch":
        options += ["--index-url", index]
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), package]


def fetch(folder: Path, python: str, system: str) -> list[str]:
    """Fetch all wheels into `folder`; return the packages for which there is none.

    A package that is not to be had in the pinned version is taken in the newest that fits: an older Python may have no
    newer one.
    """
    absent = []
    for package in [*wanted(), *ALSO.get(system, [])]:
        choices = [package, _name(package)]
        if _name(package) == "torch" and system == "linux_x86_64":
            # The build for the CPU alone: pip's default needs the libraries of CUDA, and cannot be loaded without.
            choices = [f"{package}+cpu"]
        for choice in choices:
            done = subprocess.run(
                download_command(folder, python, system, choice), capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                break
        else:
            absent.append(package)
    return absent


def checksums(folder: Path) -> str:
    """Return a line with checksum and name of every file in `folder`, as ``sha256sum`` writes them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CHECKSUMS)
    return "".join(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)


def how(python: str, system: str, plugin: str) -> str:
    """Return the page of what to do on the other machine."""
    windows = system.startswith("win")
    program, terminal = ("python", "the OSGeo4W Shell") if windows else ("python3", "a terminal")
    if system.startswith("macosx"):
        program, terminal = "/Applications/QGIS.app/Contents/MacOS/bin/python3", "Terminal"
    elif not windows:
        program, terminal = "/usr/bin/python3", "a terminal"
    options = "--user --no-index --no-deps"
    if system.startswith("linux"):
        program = f"PIP_BREAK_SYSTEM_PACKAGES=1 {program}"  # a variable: an older pip knows no such option
    names = " ".join(sorted({_name(package) for package in [*wanted(), *ALSO.get(system, [])]}))
    check = (
        f"certutil -hashfile FILE SHA256, for the files of {CHECKSUMS}"
        if windows
        else f"sha256sum -c {CHECKSUMS}"
    )
    if system.startswith("macosx"):
        check = f"shasum -a 256 -c {CHECKSUMS}"
    command = f"{program} -m pip install {options} --find-links wheels {names}"
    return HOW.format(**locals())


def build(folder: Path, python: str, system: str) -> list[str]:
    """Make the bundle in `folder`, in place of an older one; return the packages that could not be had."""
    import package

    shutil.rmtree(folder, ignore_errors=True)
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    plugin = package.build(folder)
    absent = fetch(wheels, python, system)
    if any(_name(path.name.split("-")[0]) in NEVER for path in wheels.iterdir()):
        raise RuntimeError("a library that QGIS brings along is among the wheels")
    (folder / "README.txt").write_text(how(python, system, plugin.name), encoding="utf-8")
    (folder / CHECKSUMS).write_text(checksums(folder), encoding="utf-8")
    return absent


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[=<>!~ \[;]", text)[0]).lower()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def main() -> int:
    """Read the command line and make the bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser.add_argument("--python", default=here, help=f"version of QGIS's Python ({here} where not given)")
    parser.add_argument(
        "--system",
        default="linux_x86_64",
        help="linux_x86_64, linux_aarch64, win_amd64, macosx_11_0_arm64 or another of pip's names",
    )
    arguments = parser.parse_args()
    folder = ROOT / "dist" / f"bundle-{arguments.python}-{arguments.system}"
    try:
        absent = build(folder, arguments.python, arguments.system)
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    if absent:
        print(f"{folder} is not complete: no wheel for {', '.join(absent)}.", file=sys.stderr)
        if any(_name(package) == "torch" for package in absent):
            print(
                "Name an index with torch's build for the CPU: make bundle TORCH_INDEX=https://...",
                file=sys.stderr,
            )
        return 1
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    print(f"{folder}: {len(list((folder / 'wheels').iterdir()))} wheels, {size:.0f} MB; see README.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
