"""What FloeLens needs beyond QGIS, whether it is there, and the command that installs it.

Nothing is imported to find out, so that the toolbox lists its tools without loading torch. No tool
installs anything by itself. The command pins numpy to the version in use: QGIS and its other
plugins are compiled against that one, and it must never be replaced.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from .core.errors import DependencyError

LIBRARIES = ("torch", "rasterio", "safetensors")


def missing(names: Sequence[str] = LIBRARIES) -> tuple[str, ...]:
    """Return those of `names` that Python cannot find."""
    return tuple(name for name in names if not _found(name))


def install_command(names: Sequence[str]) -> str:
    """Return the exact command that installs `names` for the Python of this QGIS."""
    steps = []
    by_pip = list(names)
    if "rasterio" in names and shutil.which("apt-get"):
        # The system's package shares QGIS's GDAL; the wheel would bring a second one.
        by_pip.remove("rasterio")
        steps.append("sudo apt-get install --yes python3-rasterio")
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
        f"a terminal (on Windows in the OSGeo4W shell), then restart QGIS: {install_command(names)}"
    )


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


def _numpy_pin() -> str:
    try:
        return f' "numpy=={metadata.version("numpy")}"'
    except metadata.PackageNotFoundError:
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
            text = str(candidate)
            return f'"{text}"' if " " in text else text
    return "python3"
