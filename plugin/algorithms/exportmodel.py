"""A model as one file for somebody else."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.scene import model_parameter


class ExportModel(FloeLensAlgorithm):
    """Writes an installed model into a zip."""

    ID = "exportmodel"
    TITLE = "Export model"
    SUMMARY = "Write an installed model into one zip, to be kept or sent; Import model takes it."
    TAGS = ("zip", "package", "share", "backup", "checksum", "stac")
    GROUP = ("models", "Models")
    NEEDS = ("torch", "safetensors")

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(model_parameter())
        self.addParameter(
            declare.file_output(
                "OUTPUT",
                "Model package",
                "Zip with card, weights, README and STAC item of the model, and a checksum of each file.",
                "Zip files (*.zip)",
                optional=False,
            )
        )
        self.addOutput(QgsProcessingOutputString("MODEL_ID", "Id of the model"))
        self.addOutput(
            QgsProcessingOutputString("LICENCE", "Licence of its weights, which whoever gets it must keep")
        )
        self.addOutput(QgsProcessingOutputNumber("BYTES", "Size of the zip in bytes"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.exportmodel import ExportModel as Job

        return Job(model=values.text("MODEL"), output=values.needed_file("OUTPUT"))
