"""Which channel decided, at every pixel of the map."""

from __future__ import annotations

from ..ground.vocabulary.settings import CONTRIBUTION_STEPS
from ..ground.vocabulary.words import CONTRIBUTION_GROUPS, CONTRIBUTION_METHODS, RESOLUTIONS
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm


class Contributions(ExplainingAlgorithm):
    """Splits the logit of every output pixel over groups of channels."""

    ID = "contributions"
    TITLE = "Channel contributions"
    SUMMARY = "Split the network's decision at every pixel of the map over the channels, exactly."
    TAGS = ("explain", "attribution", "xai", "integrated gradients", "channels", "sensors", "scale")
    PRODUCTS = {"OUTPUT": "Contributions"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.declare_class()
        self.addParameter(declare.choice("METHOD", "Method", "How the logit is split.", CONTRIBUTION_METHODS))
        self.addParameter(
            declare.choice("GROUPS", "Groups", "What gets a band of its own.", CONTRIBUTION_GROUPS)
        )
        self.addParameter(
            declare.choice("RESOLUTION", "Resolution", "What the raster's pixels are.", RESOLUTIONS)
        )
        self.addParameter(
            declare.text(
                "BASELINE",
                "Baseline values",
                "Values in physical units that stand for no evidence, as in hh=-20,btemp_36_5v=150: another "
                "baseline gives another split. Channels that are not named stand at their training mean.",
                advanced=True,
            )
        )
        self.declare_head()
        self.addParameter(declare.setting("STEPS", CONTRIBUTION_STEPS))
        self.declare_compute()
        self.addParameter(
            declare.raster_output(
                "OUTPUT",
                "Contributions",
                "One band a group, then bias and logit: at every pixel the groups and the bias add up to the logit. "
                "QGIS shows the group that contributes most; choose another band in the layer's symbology.",
            )
        )
        self.declare_facts(
            {
                "SHARES": "Mean size of each group's contribution as a share of all",
                "LEADING_GROUP": "Group that contributes most",
            },
            {
                "PIXELS": "Number of pixels split",
                "STEPS_TAKEN": "Steps along the path that were needed",
                "MEAN_BIAS": "Mean of the bias band",
                "MEAN_LOGIT": "Mean of the logit band",
                "RELATIVE_RESIDUAL": "Largest part of a pixel that is left over, relative",
            },
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.contributions import Contributions as Job

        return Job(
            **self.explained(values),
            output=values.needed_layer("OUTPUT"),
            method=values.choice("METHOD"),
            groups=values.choice("GROUPS"),
            resolution=values.choice("RESOLUTION"),
            baseline=values.text("BASELINE"),
            steps=values.whole("STEPS"),
        )
