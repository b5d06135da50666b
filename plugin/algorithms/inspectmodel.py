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
    SUMMARY = "Show a model's card, and measure its receptive field, alignment, parameters and checksum."
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
                "Channels, classes, skill and limits from the card, beside what was measured just now.",
                "HTML files (*.html)",
                optional=False,
            )
        )
        self.addOutput(QgsProcessingOutputString("MODEL_ID", "Id of the model"))
        self.addOutput(QgsProcessingOutputNumber("RECEPTIVE_FIELD_RADIUS", "Measured radius in pixels"))
        self.addOutput(QgsProcessingOutputNumber("ALIGNMENT", "Measured alignment in pixels"))
        self.addOutput(QgsProcessingOutputNumber("PARAMETERS", "Number of parameters"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.inspect import InspectModel as Job

        return Job(model=values.text("MODEL"), output=values.needed_file("OUTPUT"))
