"""The libraries that QGIS does not ship, and the command that gets each.

One place for these commands: errors, the environment report and the set-up all read them here.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from ..plugin.core.errors import DependencyError


@dataclass(frozen=True)
class Requirement:
    """A library that FloeLens needs beside QGIS.

    Parameters
    ----------
    module : str
        The name it is imported by.
    title : str
        The name people know it by.
    debian : str
        Its package on Debian and Ubuntu; empty where there is none.
    pip : str
        What pip installs it by. None of these pulls or replaces numpy.
    """

    module: str
    title: str
    debian: str
    pip: str

    @property
    def command(self) -> str:
        """The command that installs it."""
        pip = f"python3 -m pip install --user '{self.pip}'"
        if not self.debian:
            return f"{pip} (on Windows in the OSGeo4W shell)"
        return f"sudo apt install {self.debian} (on Debian or Ubuntu), or {pip} (on Windows in the OSGeo4W shell)"


REQUIREMENTS = {
    "torch": Requirement("torch", "PyTorch", "python3-torch", "torch>=2.0"),
    "safetensors": Requirement("safetensors", "safetensors", "python3-safetensors", "safetensors"),
}


def require(module: str) -> ModuleType:
    """Return a module of one of the :data:`REQUIREMENTS` (``torch``, ``safetensors.torch``).

    Raises
    ------
    DependencyError
        If its library is not installed or does not load; the sentence holds the command that gets it.
    """
    requirement = REQUIREMENTS[module.split(".")[0]]
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # a broken shared library is an OSError
        raise DependencyError(
            f"FloeLens needs {requirement.title} to run a network, and QGIS's Python does not have it ({error}). "
            f"Install it with: {requirement.command}. Then start QGIS again."
        ) from None
