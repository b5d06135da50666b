"""What FloeLens runs on, and what is missing."""

from __future__ import annotations

from qgis.core import Qgis, QgsProcessingOutputString

from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm


class Environment(FloeLensAlgorithm):
    """Writes a page about libraries and versions; it runs without any of them."""

    ID = "environment"
    TITLE = "Environment"
    SUMMARY = "List versions and libraries, what is missing, and the exact command to install it."
    TAGS = ("install", "dependencies", "versions", "torch", "rasterio", "help")
    GROUP = ("models", "Models")
    NEEDS = ()

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(
            declare.file_output(
                "OUTPUT",
                "Environment page",
                "Versions of QGIS, Python and the libraries, and commands for what is missing.",
                "HTML files (*.html)",
                optional=False,
            )
        )
        self.addOutput(
            QgsProcessingOutputString("MISSING", "Libraries that are missing, empty where none is")
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.environment import Environment as Job

        return Job(output=values.needed_file("OUTPUT"), application=f"QGIS {Qgis.version()}")
