"""What FloeLens runs on: versions, libraries, and the command for what is missing."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib import import_module

from ..ground import dependencies
from ..ground.protocols import Progress
from ..ground.version import plugin_version

NEEDED_FOR = {
    "numpy": "everything",
    "scipy": "Z-scores, geometry",
    "osgeo.gdal": "writing rasters",
    "pyproj": "coordinate reference systems",
    "jinja2": "reports",
    "matplotlib": "plots in reports",
    "torch": "running networks",
    "rasterio": "reading rasters",
    "safetensors": "weights of networks",
}


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
        from ..io.transaction.outputs import atomic_text
        from ..report.page.pages import environment_html

        rows = [
            _row("FloeLens", plugin_version()),
            _row("Python", platform.python_version(), note=sys.executable or ""),
            _row("System", platform.platform()),
        ]
        if self.application:
            rows.insert(1, _row(*self.application.split(" ", 1)))
        rows += [_library(name) for name in NEEDED_FOR]
        absent = [row["name"] for row in rows if not row["version"]]
        if "torch" not in absent:
            rows.append(_row("CUDA device", _cuda(), "faster maps"))
        wanted = [name for name in absent if name in dependencies.LIBRARIES]
        if wanted:
            progress.warn(dependencies.sentence(wanted))
        with atomic_text(self.output, progress=progress) as file:
            file.write(environment_html(rows))
        return {"OUTPUT": self.output, "MISSING": ", ".join(absent)}


def _row(name: str, version: str, needed_for: str = "", note: str = "", command: str = "") -> dict:
    return {"name": name, "version": version, "needed_for": needed_for, "note": note, "command": command}


def _library(name: str) -> dict:
    """Return what is known of a library; one that is there but does not load counts as missing."""
    command = dependencies.install_command([name]) if name in dependencies.LIBRARIES else ""
    try:
        module = import_module(name)
    except (ImportError, OSError) as error:
        return _row(name, "", NEEDED_FOR[name], str(error), command)
    version = str(getattr(module, "__version__", "") or "unknown")
    return _row(name, version, NEEDED_FOR[name], getattr(module, "__file__", "") or "")


def _cuda() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none; the processor is used"
