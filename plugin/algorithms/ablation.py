"""What the prediction loses without a channel or sensor."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from ..core.errors import ParameterError
from . import declare
from .base import Destinations
from .scene import SceneAlgorithm

GROUPS = {
    "channel": "each channel alone",
    "frequency": "by the radiometer's frequency; others by sensor",
    "polarisation": "by polarisation; channels without one by sensor",
    "sensor": "by sensor",
}
BASELINES = {
    "mean": "each channel's mean in training",
    "blur": "the channel itself, blurred over BLUR km",
    "scene": "another scene, BASELINE_SAR and BASELINE_MWR, pixel by pixel from its upper left corner",
}
QUANTITIES = {
    "map": "the probability in %, or what a linear head maps",
    "logit": "the network's logit",
}
SHAPLEY = {
    "yes": "also what each group adds on average over all orders of the groups (at most 10 that are not linear)",
    "no": "only what each group changes alone",
}


class Ablation(SceneAlgorithm):
    """Replaces groups of channels by a baseline."""

    ID = "ablation"
    TITLE = "Ablation of channels"
    SUMMARY = "Map what the prediction loses without a channel or a sensor, and rank them by Shapley values."
    TAGS = ("explain", "importance", "shapley", "channels", "sensors", "xai", "sensitivity")
    PRODUCTS = {"OUTPUT": "Ablation", "TABLE": "Ablation table"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.addParameter(
            declare.text(
                "CLASS",
                "Class to explain",
                "Name of a class of the head, or 'predicted': at each pixel the class the network predicts "
                "when it has all channels.",
                default="predicted",
            )
        )
        self.addParameter(
            declare.text(
                "REFERENCE_CLASS",
                "Against class",
                "Look at the difference of CLASS and this one; at CLASS alone where empty.",
            )
        )
        self.addParameter(declare.choice("GROUPS", "Groups", "What is taken out at once.", GROUPS, "channel"))
        self.addParameter(declare.choice("BASELINE", "Baseline", "What stands in for it.", BASELINES, "mean"))
        self.addParameter(
            declare.raster("BASELINE_SAR", "SAR of the other scene", "For BASELINE=scene.", optional=True)
        )
        self.addParameter(
            declare.raster("BASELINE_MWR", "MWR of the other scene", "For BASELINE=scene.", optional=True)
        )
        self.addParameter(
            declare.rasters(
                "BASELINE_ANCILLARY", "Ancillary rasters of the other scene", "For BASELINE=scene."
            )
        )
        self.addParameter(
            declare.number(
                "BLUR",
                "Blur (km)",
                "Standard deviation of the Gaussian of BASELINE=blur.",
                4.0,
                0.05,
                50.0,
                advanced=True,
            )
        )
        self.addParameter(
            declare.choice("QUANTITY", "Quantity", "What the bands tell.", QUANTITIES, "map", advanced=True)
        )
        self.addParameter(
            declare.choice(
                "SHAPLEY", "Shapley values", "What the table tells.", SHAPLEY, "yes", advanced=True
            )
        )
        self.addParameter(
            declare.text(
                "HEAD", "Head", "Which output of the network; its first one where empty.", advanced=True
            )
        )
        self.declare_compute()
        self.addParameter(
            declare.raster_output(
                "OUTPUT",
                "Changes",
                "One band a group: the prediction with it minus without it. QGIS shows the group with the "
                "largest changes; choose another band in the layer's symbology.",
            )
        )
        self.addParameter(
            declare.table_output(
                "TABLE",
                "Ablation table",
                "One row a group, and one for all at once: changes of logit and map, pixels that change class, "
                "Shapley values; typed by a .csvt beside it.",
                optional=True,
            )
        )
        for name, label in (
            ("MODEL_ID", "Id of the model"),
            ("SCENE_NAME", "Name of the scene"),
            ("START_TIME", "Start of the scene, where its file tells"),
            ("CLASS_NAME", "What was looked at"),
            ("LEADING_GROUP", "Group without which the map changes most"),
        ):
            self.addOutput(QgsProcessingOutputString(name, label))
        self.addOutput(QgsProcessingOutputNumber("PIXELS", "Number of pixels"))
        self.addOutput(QgsProcessingOutputNumber("EFFICIENCY", "What Shapley values leave over, relative"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.ablation import Ablation as Job
        from ..jobs.inputs import SceneInputs

        other, sar = None, values.raster("BASELINE_SAR")
        if sar:
            others = values.raster("BASELINE_MWR"), values.rasters("BASELINE_ANCILLARY")
            other = SceneInputs(sar, *others, channels=values.text("CHANNELS"))
        elif values.given("BASELINE_MWR") or values.given("BASELINE_ANCILLARY"):
            raise ParameterError("BASELINE_SAR is missing: give all rasters of the other scene.")
        return Job(
            scene=self.scene(values),
            model=values.text("MODEL"),
            compute=self.compute(values),
            output=values.layer("OUTPUT"),
            table=values.layer("TABLE"),
            head=values.text("HEAD"),
            class_name=values.text("CLASS"),
            reference_class=values.text("REFERENCE_CLASS"),
            groups=values.choice("GROUPS"),
            baseline=values.choice("BASELINE"),
            baseline_scene=other,
            blur_km=values.number("BLUR"),
            quantity=values.choice("QUANTITY"),
            shapley=values.choice("SHAPLEY") == "yes",
        )
