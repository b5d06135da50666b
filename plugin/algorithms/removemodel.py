"""An installed model that is no longer wanted."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputString

from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.scene import model_parameter


class RemoveModel(FloeLensAlgorithm):
    """Deletes an imported model."""

    ID = "removemodel"
    TITLE = "Remove model"
    SUMMARY = "Delete an imported model from disk, with a copy as a zip where one is asked for."
    TAGS = ("delete", "uninstall", "package", "backup")
    GROUP = ("models", "Models")
    NEEDS = ("torch", "safetensors")

    def declare(self) -> None:
        """Add the parameters."""
        parameter = model_parameter()
        parameter.setDefaultValue(None)  # nothing is deleted that was not chosen
        parameter.setHelp(
            "Id of an imported model, or the path of its folder. The models that come along cannot be removed. A run "
            "that uses the model goes on. Other files in its folder stay."
        )
        self.addParameter(parameter)
        self.addParameter(
            declare.file_output(
                "OUTPUT",
                "Copy before it is removed",
                "Zip that Import model takes, should the model be wanted again.",
                "Zip files (*.zip)",
                made=False,
            )
        )
        self.addOutput(QgsProcessingOutputString("MODEL_ID", "Id of the removed model"))
        self.addOutput(QgsProcessingOutputString("FOLDER", "Where it was"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.removemodel import RemoveModel as Job

        return Job(model=values.text("MODEL"), output=values.file("OUTPUT") or "")
