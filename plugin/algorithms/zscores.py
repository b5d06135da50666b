"""Which components and channels the network's last layer leans on: Z-scores."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputString

from ..ground.errors import ParameterError
from ..ground.vocabulary.settings import BLOCK_SIZE, ZONE_SIZE
from ..ground.vocabulary.words import CHANNEL_METHODS, CLUSTERS
from .framework import declare
from .framework.base import Destinations
from .framework.scene import SceneAlgorithm, in_list
from .framework.suggestions import suggest


class ZScores(SceneAlgorithm):
    """Ranks the inputs of the last layer as one ranks the terms of a logistic regression."""

    ID = "zscores"
    TITLE = "Z-scores"
    SUMMARY = "Rank the components and channels of a network by the Z-scores of its last layer."
    TAGS = ("explain", "importance", "logistic regression", "fisher information", "xai", "statistics")
    PRODUCTS = {  # noqa: RUF012
        "OUTPUT": "Z-scores",
        "ZONE_ZSCORES": "Z-scores by zone",
        "STANDARDISED": "Standardised contributions",
        "ERROR": "Map minus labels",
    }
    SAR_OPTIONAL = True

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        for parameter in (*self._what(), *self._how()):
            self.addParameter(parameter)
        self.declare_compute()
        self.addParameter(
            declare.table_output(
                "OUTPUT", "Z-scores", "One row a class and component, typed by a .csvt beside it."
            )
        )
        self.addParameter(
            declare.polygon_output(
                "ZONE_ZSCORES",
                "Z-scores by zone",
                "Polygons with the scores of each zone, blank where too small.",
            )
        )
        self.addParameter(
            declare.raster_output(
                "STANDARDISED",
                "Standardised contributions",
                "One band a channel: how unusual its contribution is, in standard deviations from the model's "
                "reference. Takes several times as long as the rest.",
                optional=True,
                made=False,
            )
        )
        self.declare_report("The ranking in words, plots and tables.")
        self.addParameter(
            declare.file_output(
                "STATE",
                "State",
                "What this run adds up to, to be merged with other scenes through STATE_IN.",
                "FloeLens states (*.npz)",
                made=False,
            )
        )
        self.addParameter(
            declare.raster_output(
                "ERROR",
                "Map minus labels",
                "Mapped minus labelled values in %, or 1 where the class differs and 0 where it agrees, at all pixels "
                "with a label. Needs LABELS; maps the scene once more.",
                optional=True,
                made=False,
            )
        )
        self.addOutput(QgsProcessingOutputString("SCENE_NAME", "Name of the scene"))

    def _what(self) -> tuple:
        """Return the parameters that say what is scored."""
        return (
            suggest(
                declare.raster(
                    "LABELS",
                    "Labels",
                    "A chart to compare with: concentration in % (tenths or fractions where the band's unit says so), "
                    "or class codes as in the model's card. The report then opens with how well the map agrees with "
                    "it. Cluster-robust errors and the slopes of channels need it; give scenes that the model was "
                    "not trained on.",
                    optional=True,
                )
            ),
            declare.flag(
                "REFIT",
                "Fit the last layer to the labels too",
                "Adds columns with the weights that fit LABELS best, and their scores.",
            ),
            in_list(
                declare.text(
                    "REFERENCE_CLASS",
                    "Against class",
                    "The table then compares the weights of each class with this one's; with their mean where empty.",
                ),
                "reference",
            ),
            declare.polygons("ZONES", "Zones", "Polygons for which Z-scores are computed one by one."),
            declare.field(
                "ZONE_FIELD",
                "Zone names",
                "Field that names the zones; polygons of one name, such as a class of an ice chart, are one zone. "
                "Each polygon is its own, and numbered, where empty.",
                "ZONES",
            ),
            declare.setting("ZONE_SIZE", ZONE_SIZE, advanced=False),
            declare.files(
                "STATE_IN",
                "Earlier states",
                "STATE files of earlier runs with the same model; they are merged with this scene, or with "
                "each other where no scene is given.",
            ),
        )

    def _how(self) -> tuple:
        """Return the parameters of the sample and the errors."""
        help_sample = (
            "Every n-th pixel in row and column is used: 1 takes all pixels, 0 one a coarse cell. -1 takes all where "
            "there are no LABELS, and one a coarse cell for tests against LABELS."
        )
        help_clusters = "What counts as one observation in robust errors."
        help_channels = (
            "How logits are split over the input channels, for their strengths and held-out slopes."
        )
        return (
            declare.choice("CHANNEL_METHOD", "Input channels", help_channels, CHANNEL_METHODS, advanced=True),
            declare.whole("SAMPLE", "Sampling step (pixels)", help_sample, -1, -1, 1000, advanced=True),
            declare.choice("CLUSTERS", "Clusters", help_clusters, CLUSTERS, advanced=True),
            declare.setting("BLOCK_SIZE", BLOCK_SIZE),
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.scoring.zones import z_style_path
        from ..jobs.zscores import ZScores as Job

        if not values.given("SAR") and not values.given("STATE_IN"):
            raise ParameterError("Give a scene (SAR and MWR), STATE_IN, or both: there is nothing to score.")
        zones = values.layer("ZONE_ZSCORES")
        if zones:
            values.also("The style of ZONE_ZSCORES by z", str(z_style_path(zones)))
        return Job(
            scene=self.scene(values) if values.given("SAR") else None,
            state_in=values.files("STATE_IN"),
            model=values.text("MODEL"),
            compute=self.compute(values),
            labels=values.raster("LABELS"),
            zones=values.polygons("ZONES", "ZONE_FIELD"),
            zone_size_km=values.number("ZONE_SIZE"),
            sample=values.whole("SAMPLE"),
            clusters=values.choice("CLUSTERS"),
            block_size_km=values.number("BLOCK_SIZE"),
            channel_method=values.choice("CHANNEL_METHOD"),
            refit=values.flag("REFIT"),
            reference_class=values.text("REFERENCE_CLASS"),
            output=values.needed_layer("OUTPUT"),
            zone_zscores=zones,
            standardised=values.layer("STANDARDISED"),
            **self.report(values),
            state=values.file("STATE"),
            error=values.layer("ERROR"),
        )
