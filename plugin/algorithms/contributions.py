"""Which channel decided, at every pixel of the map."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from . import declare
from .base import Destinations
from .scene import SceneAlgorithm

METHODS = {
    "integrated": "the effect of each channel along the way from the baseline, what gates decide included",
    "gated": "with the network's gates frozen as they are: fast; what the gates decide goes to the bias band",
}
GROUPS = {
    "channel": "each channel alone",
    "frequency": "by the radiometer's frequency; others by sensor",
    "polarisation": "by polarisation; channels without one by sensor",
    "sensor": "by sensor",
    "scale": "by the scale of the features in the network's last layer; METHOD and BASELINE play no part",
}
RESOLUTIONS = {
    "native": "every pixel of the SAR raster",
    "coarse": "means over the network's coarse cells, on their grid",
}
BASELINES = {
    "mean": "each channel's mean in training",
    "values": "what BASELINE_VALUES says; channels that it does not name are at their mean",
}


class Contributions(SceneAlgorithm):
    """Splits the logit of every output pixel over groups of channels."""

    ID = "contributions"
    TITLE = "Channel contributions"
    SUMMARY = "Split the network's decision at every pixel of the map over the channels, exactly."
    TAGS = ("explain", "attribution", "xai", "integrated gradients", "channels", "sensors", "scale")
    PRODUCTS = {"OUTPUT": "Contributions"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.addParameter(
            declare.text(
                "CLASS",
                "Class to explain",
                "Name of a class of the head, or 'predicted': at each pixel the class the network predicts.",
                default="predicted",
            )
        )
        self.addParameter(
            declare.text(
                "REFERENCE_CLASS",
                "Against class",
                "Explain CLASS rather than this one (difference of logits); plain logits where empty.",
            )
        )
        self.addParameter(
            declare.choice("METHOD", "Method", "How the logit is split.", METHODS, "integrated")
        )
        self.addParameter(
            declare.choice("GROUPS", "Groups", "What gets a band of its own.", GROUPS, "channel")
        )
        self.addParameter(
            declare.choice("RESOLUTION", "Resolution", "What the raster's pixels are.", RESOLUTIONS, "native")
        )
        self.addParameter(
            declare.choice(
                "BASELINE",
                "Baseline",
                "What contributions are told against: another baseline gives another split.",
                BASELINES,
                "mean",
                advanced=True,
            )
        )
        self.addParameter(
            declare.text(
                "BASELINE_VALUES",
                "Baseline values",
                "Values in the channels' own units, as in hh=-20,hv=-28,btemp_36_5v=150.",
                advanced=True,
            )
        )
        self.addParameter(
            declare.text(
                "HEAD", "Head", "Which output of the network; its first one where empty.", advanced=True
            )
        )
        self.addParameter(
            declare.whole(
                "STEPS",
                "Steps",
                "Steps of integrated to begin with; they are doubled, up to 64, until the split stands still.",
                4,
                1,
                64,
                advanced=True,
            )
        )
        self.declare_compute()
        self.addParameter(
            declare.raster_output(
                "OUTPUT",
                "Contributions",
                "One band a group, then bias and logit: at every pixel the groups and the bias add up to the logit. "
                "QGIS shows the group that contributes most; choose another band in the layer's symbology.",
            )
        )
        for name, label in (
            ("MODEL_ID", "Id of the model"),
            ("SCENE_NAME", "Name of the scene"),
            ("START_TIME", "Start of the scene, where its file tells"),
            ("CLASS_NAME", "What was explained"),
            ("SHARES", "Mean size of each group's contribution as a share of all"),
            ("LEADING_GROUP", "Group that contributes most"),
        ):
            self.addOutput(QgsProcessingOutputString(name, label))
        for name, label in (
            ("PIXELS", "Number of pixels split"),
            ("STEPS_TAKEN", "Steps of the way that were needed"),
            ("MEAN_BIAS", "Mean of the bias band"),
            ("MEAN_LOGIT", "Mean of the logit band"),
            ("RELATIVE_RESIDUAL", "Largest part of a pixel that is left over, relative"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.contributions import Contributions as Job

        return Job(
            scene=self.scene(values),
            model=values.text("MODEL"),
            compute=self.compute(values),
            output=values.layer("OUTPUT"),
            head=values.text("HEAD"),
            class_name=values.text("CLASS"),
            reference_class=values.text("REFERENCE_CLASS"),
            method=values.choice("METHOD"),
            groups=values.choice("GROUPS"),
            resolution=values.choice("RESOLUTION"),
            baseline=values.choice("BASELINE"),
            baseline_values=values.text("BASELINE_VALUES"),
            steps=values.whole("STEPS"),
        )
