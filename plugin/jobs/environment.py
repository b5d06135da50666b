"""What FloeLens runs on: versions, libraries, and the command for what is missing."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import import_module

from .. import dependencies
from ..core.protocols import Progress
from ..version import plugin_version

SHIPPED = ("numpy", "scipy", "osgeo.gdal", "pyproj", "jinja2", "matplotlib")


@dataclass(frozen=True)
class Environment:
    """Write a page about the environment; runs without torch, rasterio and safetensors.

    Parameters
    ----------
    output : str
        HTML page to write.
    application : str
        Name and version of the program this runs in, such as QGIS; empty outside of one.
    """

    output: str
    application: str = ""

    def run(self, progress: Progress) -> dict[str, object]:
        """Look at the libraries and write the page."""
        from ..io.temporary import atomic_text
        from ..report.pages import environment_html

        rows = [
            _row("FloeLens", plugin_version()),
            _row("Python", platform.python_version(), sys.executable or ""),
            _row("System", platform.platform()),
        ]
        if self.application:
            rows.insert(1, _row("Application", self.application))
        absent = []
        for name in (*SHIPPED, *dependencies.LIBRARIES):
            row = _library(name)
            rows.append(row)
            if not row["found"]:
                absent.append(name)
        if "torch" not in absent:
            rows.append(_row("CUDA device", _cuda()))
        wanted = [name for name in absent if name in dependencies.LIBRARIES]
        if wanted:
            progress.warn(dependencies.sentence(wanted))
        with atomic_text(self.output) as file:
            file.write(environment_html(rows))
        return {"OUTPUT": self.output, "MISSING": ", ".join(absent)}


def _row(name: str, version: str, detail: str = "", found: bool = True, command: str = "") -> dict:
    return {"name": name, "version": version, "detail": detail, "found": found, "command": command}


def _library(name: str) -> dict:
    """Return what is known of a library; one that is there but does not load counts as missing."""
    needed = "" if name in SHIPPED else dependencies.install_command([name])
    try:
        module = import_module(name)
    except (ImportError, OSError) as error:
        return _row(name, "", str(error), found=False, command=needed)
    return _row(name, str(getattr(module, "__version__", "")), getattr(module, "__file__", "") or "")


def _cuda() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; the processor is used"
