"""What FloeLens needs beyond QGIS, whether it is there, and the command that installs it.

Nothing is imported to find out, so that the toolbox lists its tools without loading torch. No tool
installs anything by itself. The command pins numpy to the version in use: QGIS and its other
plugins are compiled against that one, and it must never be replaced.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess  # nosec B404 # one fixed command, without a shell
import sys
import sysconfig
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

from .errors import DependencyError

LIBRARIES = ("torch", "rasterio", "safetensors")

# Where the command is run, by how QGIS was installed.
TERMINALS = {
    "windows": "the OSGeo4W Shell (Start menu, folder QGIS or OSGeo4W)",
    "macos": "Terminal (Applications > Utilities)",
    "conda": "a terminal in which conda works (on Windows the Anaconda or Miniforge Prompt)",
    "flatpak": "a terminal",
    "snap": "a terminal",
    "fedora": "a terminal",
    "linux": "a terminal",
}


def missing(names: Sequence[str] = LIBRARIES) -> tuple[str, ...]:
    """Return those of `names` that Python cannot find."""
    return tuple(name for name in names if not _found(name))


def install_command(names: Sequence[str]) -> str:
    """Return the exact command that installs `names` for the Python of this QGIS.

    QGIS from Flatpak or Snap has a Python of its own, which a terminal reaches through these alone.
    """
    kind = kind_of_qgis()
    if kind in ("flatpak", "snap"):
        return _sandbox().format(f"install --user {' '.join(names)}{_numpy_pin()}")
    if kind == "conda":
        wanted = " ".join("pytorch" if name == "torch" else name for name in names)
        prefix = _quoted(sys.prefix)
        return f"conda install --yes --prefix {prefix} --channel conda-forge {wanted}{_numpy_pin('=')}"
    steps = []
    by_pip = list(names)
    by_apt = []
    by_dnf = [name for name in names if name in ("torch", "rasterio")] if kind == "fedora" else []
    if by_dnf:
        # Built against the system's GDAL, and torch for the CPU: wheels would bring a second GDAL, and CUDA.
        by_pip = [name for name in by_pip if name not in by_dnf]
        steps.append(f"sudo dnf install --assumeyes {' '.join(f'python3-{name}' for name in by_dnf)}")
    if "rasterio" in names and shutil.which("apt-get"):
        # The system's package shares QGIS's GDAL; the wheel would bring a second one.
        by_apt.append("rasterio")
    if "torch" in names and _packaged_torch() >= 2:
        # pip's default on Linux is the build for CUDA, some gigabytes; the system's is that for the CPU.
        by_apt.append("torch")
    if by_apt:
        by_pip = [name for name in by_pip if name not in by_apt]
        steps.append(f"sudo apt-get install --yes {' '.join(f'python3-{name}' for name in by_apt)}")
    if by_pip:
        options = ""
        if sys.prefix == sys.base_prefix:  # not in a virtual environment
            options = " --user"
            if (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists():
                options += " --break-system-packages"
        steps.append(f"{_python()} -m pip install{options} {' '.join(by_pip)}{_numpy_pin()}")
    return " && ".join(steps)


def sentence(names: Sequence[str]) -> str:
    """Return the sentence that tells a person what is missing and how to get it."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"FloeLens needs {_listed(names)}, which {verb} not installed for this QGIS's Python. Run this in "
        f"{TERMINALS[kind_of_qgis()]}, then restart QGIS: {install_command(names)}"
    )


def steps_text(names: Sequence[str]) -> str:
    """Return the steps that install `names` on this machine, for a window that shows the command below them."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"FloeLens needs {_listed(names)}, which {verb} not installed for this QGIS's Python. Nothing is installed by "
        f"itself: other plugins use the same Python.\n\n1. Open {TERMINALS[kind_of_qgis()]}.\n2. Paste the line below "
        "and press Enter.\n3. Restart QGIS."
    )


def kind_of_qgis() -> str:
    """Return how this QGIS was installed: one of :data:`TERMINALS`."""
    if os.environ.get("FLATPAK_ID"):
        return "flatpak"
    if os.environ.get("SNAP_INSTANCE_NAME") and os.environ.get("SNAP"):
        return "snap"
    if (Path(sys.prefix) / "conda-meta").is_dir():
        return "conda"
    if sys.platform in ("win32", "darwin"):
        return "windows" if sys.platform == "win32" else "macos"
    in_system = sys.prefix == sys.base_prefix
    return "fedora" if in_system and shutil.which("dnf") and not shutil.which("apt-get") else "linux"


def require(module: str) -> ModuleType:
    """Return a module of one of :data:`LIBRARIES` (``torch``, ``safetensors.torch``).

    Raises
    ------
    DependencyError
        If its library is not installed or does not load; the sentence holds the command that gets it.
    """
    library = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise DependencyError(sentence([(error.name or library).split(".")[0]])) from None
    except (ImportError, OSError) as error:  # a broken shared library is an OSError
        raise DependencyError(
            f"FloeLens needs {library}, which is installed but does not load ({error}). Install it anew: "
            f"{install_command([library])}"
        ) from None


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # a half-imported module has no spec
        return name in sys.modules and sys.modules[name] is not None


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _numpy_pin(equals: str = "==") -> str:
    try:
        return f' "numpy{equals}{metadata.version("numpy")}"'
    except metadata.PackageNotFoundError:
        return ""


@lru_cache(maxsize=1)
def _packaged_torch() -> int:
    """Return the major version of torch that apt would install; 0 where it has none."""
    command = shutil.which("apt-cache")
    if not command:
        return 0
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(  # nosec B603 # nothing in it comes from outside
            [command, "policy", "python3-torch"],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        ).stdout
        match = re.search(r"Candidate: (\d+)\.", answer)
        return int(match[1]) if match else 0
    return 0


def _sandbox() -> str:
    """Return pip's command in the sandbox that QGIS runs in, ``{}`` for its arguments; empty where there is none."""
    flatpak, snap = os.environ.get("FLATPAK_ID"), os.environ.get("SNAP_INSTANCE_NAME")
    if flatpak:
        return f"flatpak run --command=pip3 {flatpak} {{}}"
    if snap and os.environ.get("SNAP"):
        return f"snap run --shell {snap} -c 'python3 -m pip {{}}'"
    return ""


def _python() -> str:
    """Return the Python of this QGIS, by its prefix.

    Inside QGIS sys.executable is QGIS itself on Windows and macOS, and on Linux the first python3 of the PATH.
    """
    candidates = [
        Path(sys.exec_prefix) / "python.exe",
        Path(sys.exec_prefix) / "bin" / "python3",
        Path(sys.executable or ""),
    ]
    for candidate in candidates:
        if candidate.stem.lower().startswith("python") and candidate.exists():
            return _quoted(str(candidate))
    return "python3"


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
