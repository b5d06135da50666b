"""The network's map of a scene."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from .framework import declare
from .framework.base import Destinations
from .framework.scene import SceneAlgorithm, in_list


class Predict(SceneAlgorithm):
    """Maps concentration or ice type."""

    ID = "predict"
    TITLE = "Predict sea ice"
    SUMMARY = "Map sea-ice concentration or type from SAR and microwave radiometry with a neural network."
    TAGS = ("concentration", "ice type", "classification", "cnn", "sentinel-1", "amsr2")
    GROUP = ("map", "Map")
    PRODUCTS = {  # noqa: RUF012
        "OUTPUT": "Sea ice",
        "PROBABILITIES": "Probabilities",
        "UNCERTAINTY": "Uncertainty",
        "COVERAGE": "Land, coast and gaps",
    }
    OVERLAYS = ("COVERAGE",)

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.addParameter(
            in_list(
                declare.text(
                    "HEAD",
                    "Head",
                    "Which output of the network to map; its first one where empty.",
                    advanced=True,
                ),
                "heads",
            )
        )
        self.declare_compute()
        self.addParameter(
            declare.raster_output(
                "OUTPUT",
                "Predicted ice",
                "Concentration in %, or class codes with their names and colours. Pixels that are not mapped (land, "
                "no data) have no value; in class codes land is 254 where LAND is given.",
            )
        )
        self.addParameter(
            declare.raster_output(
                "PROBABILITIES",
                "Class probabilities",
                "One band a class, 0 to 1. Not for a linear head.",
                optional=True,
                made=False,
            )
        )
        self.addParameter(
            declare.raster_output(
                "UNCERTAINTY",
                "Uncertainty (entropy)",
                "Entropy of the probabilities in bits: 0 where the network is sure. Not for a linear head.",
                optional=True,
                made=False,
            )
        )
        self.addParameter(
            declare.raster_output(
                "COVERAGE",
                "Land, coast and gaps",
                "A layer to lay over the map: land, pixels without data, and for each radiometer frequency the zone "
                "as wide as its footprint in which it may see land. Land needs LAND.",
                optional=True,
                made=True,
            )
        )
        self.addOutput(QgsProcessingOutputString("MODEL_ID", "Id of the model"))
        self.addOutput(QgsProcessingOutputString("SCENE_NAME", "Name of the scene"))
        self.addOutput(QgsProcessingOutputString("START_TIME", "Start of the scene, where its file tells"))
        self.addOutput(QgsProcessingOutputNumber("VALID_PIXELS", "Number of pixels mapped"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.predict import Predict as Job

        return Job(
            scene=self.scene(values),
            model=values.text("MODEL"),
            compute=self.compute(values),
            output=values.needed_layer("OUTPUT"),
            head=values.text("HEAD"),
            probabilities=values.layer("PROBABILITIES"),
            uncertainty=values.layer("UNCERTAINTY"),
            coverage=values.layer("COVERAGE"),
        )
