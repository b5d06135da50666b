"""What a model is: its card, and what can be measured of it."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.scene import model_parameter


class InspectModel(FloeLensAlgorithm):
    """Writes a page about an installed model."""

    ID = "inspectmodel"
    TITLE = "Inspect model"
    SUMMARY = "Show a model's card, measure its receptive field, alignment and parameters, and test it."
    TAGS = ("card", "receptive field", "checksum", "licence")
    GROUP = ("models", "Models")
    NEEDS = ("torch", "safetensors")

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(model_parameter())
        self.addParameter(
            declare.file_output(
                "OUTPUT",
                "Model page",
                "What was found at the import, the self-test, what was measured just now, and what the card says: "
                "channels, classes, skill, limits.",
                "HTML files (*.html)",
                optional=False,
            )
        )
        self.addOutput(QgsProcessingOutputString("MODEL_ID", "Id of the model"))
        self.addOutput(QgsProcessingOutputNumber("RECEPTIVE_FIELD_RADIUS", "Measured radius in pixels"))
        self.addOutput(QgsProcessingOutputNumber("ALIGNMENT", "Measured alignment in pixels"))
        self.addOutput(QgsProcessingOutputNumber("PARAMETERS", "Number of parameters"))
        self.addOutput(QgsProcessingOutputNumber("TESTS_FAILED", "Tests of the self-test that failed"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.inspect import InspectModel as Job

        return Job(model=values.text("MODEL"), output=values.needed_file("OUTPUT"))
