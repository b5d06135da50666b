"""What the features of a layer look at: class activation maps on a common scale, and the features that matter."""

from __future__ import annotations

from ..ground.vocabulary.cams import (
    CAMS,
    FULL,
    KEEP,
    LINEAR,
    MWR_PATTERN,
    SAMPLE_SIZE,
    SAMPLES,
    SCALE_WIDTH,
    SCALES,
    SEED,
    SHOWN,
    TILES,
)
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm
from .framework.scene import in_list


class Features(ExplainingAlgorithm):
    """Integrated feature analysis of a layer."""

    ID = "features"
    TITLE = "Feature analysis"
    SUMMARY = (
        "Map what the features of a network's layer look at, on one scale for all scenes, and rank them."
    )
    TAGS = (
        "explain",
        "cam",
        "grad-cam",
        "class activation map",
        "importance",
        "layer",
        "components",
        "xai",
    )
    PRODUCTS = {  # noqa: RUF012
        "OUTPUT": "Class activation map",
        "COMPONENT_MAPS": "Maps of features",
        "DECOMPOSED": "Map of the kept features",
        "TABLE": "Importance of features",
        "OUTLIERS": "Outlier samples",
    }
    OVERLAYS = ("OUTLIERS",)

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.declare_class()
        for parameter in (*self._what(), *self._how()):
            self.addParameter(parameter)
        self.declare_head()
        self.declare_compute()
        for parameter in self._results():
            self.addParameter(parameter)
        self.declare_report("Which features matter and how many suffice, in words, plots, maps and tables.")
        self.addParameter(
            declare.file_output(
                "SCALE",
                "Scale",
                "The common scale of SCALE_IN and all samples of this run, for SCALE_IN of later runs.",
                "FloeLens scales (*.json)",
                made=False,
            )
        )
        self.declare_facts(
            {"SUMMARY": "What was found, in sentences", "LEADING_FEATURE": "Most important feature"},
            {
                "SAMPLE_COUNT": "Number of samples",
                "FEATURES": "Number of features of the layer",
                "SCALE_LOW": "Lower limit of the common scale, logit",
                "SCALE_HIGH": "Upper limit of the common scale, logit",
                "CONSISTENCY": "Correlation of the map's mean with the mean logit over the samples",
                "OUTLIER_COUNT": "Number of outlier samples of the scene, where OUTLIERS is asked for",
            },
        )

    def _what(self) -> tuple:
        """Return the parameters that say what is looked at."""
        return (
            in_list(
                declare.text(
                    "NETWORK_LAYER",
                    "Layer",
                    "Name of a layer of the network, as 'relu6' or 'scales.0'; a name that does not exist lists those "
                    "that do, with their numbers of features. Several are looked at together, joined by +, as "
                    "'relu2+relu6+upsample'. 'components', the inputs of the last layer, which Z-scores rank, where "
                    "empty.",
                ),
                "layers",
            ),
            declare.choice("CAM", "Map", "How the class activation map is made.", CAMS, FULL),
            declare.choice("SAMPLES", "Samples", "What counts as one observation.", SAMPLES, TILES),
            declare.setting("SAMPLE_SIZE", SAMPLE_SIZE, advanced=False),
            declare.polygons(
                "ZONES",
                "Zones",
                "Polygons that are samples, such as those of an ice chart, for SAMPLES=polygons.",
            ),
            declare.field(
                "ZONE_FIELD",
                "Class of the zones",
                "Field with the class of each polygon: name or code of a class of the model, or its concentration in "
                "%. Polygons have no label where it is empty.",
                "ZONES",
            ),
            declare.raster(
                "LABELS",
                "Labels",
                "A chart to compare with: concentration in %, or class codes as in the model's card. Importance is "
                "then taken from samples that are classified rightly, and skill is accuracy.",
                optional=True,
            ),
            declare.rasters(
                "SCENES",
                "More SAR rasters",
                "Further scenes, whose samples count for scale and importance; only SAR is mapped. EXTENT does not "
                "limit them. Models that read rasters of ANCILLARY take one scene a run: SCALE_IN joins such runs.",
            ),
            declare.files(
                "SCALE_IN",
                "Earlier scales",
                "SCALE files of earlier runs with the same model, layer, map and target: the maps are put on their "
                "common scale as it is, and SCALE adds this run's samples to it.",
                advanced=True,
            ),
        )

    def _how(self) -> tuple:
        """Return the parameters most people leave alone."""
        return (
            declare.as_optional(
                declare.text(
                    "MWR_PATTERN",
                    "Names of more radiometer rasters",
                    "What is replaced in the name of each raster of SCENES for that of its radiometer raster, = and by "
                    f"what: _sar=_mwr finds day1_mwr.tif beside day1_sar.tif; {MWR_PATTERN} where empty.",
                    MWR_PATTERN,
                    advanced=True,
                )
            ),
            declare.text(
                "LABELS_PATTERN",
                "Names of more labels",
                "The same for the labels of SCENES, where LABELS is given: sar=chart. They have none where empty.",
                advanced=True,
            ),
            declare.choice(
                "SCALE_FORM",
                "Scale of the map",
                "Intensity scale of the map's first band.",
                SCALES,
                LINEAR,
                True,
            ),
            declare.setting("SCALE_WIDTH", SCALE_WIDTH),
            declare.setting("KEEP", KEEP),
            declare.text(
                "COMPONENT",
                "Features to map",
                "Names of features for COMPONENT_MAPS, separated by commas; the most important ones where empty.",
                advanced=True,
            ),
            declare.setting("SHOWN", SHOWN),
            declare.setting("SEED", SEED),
            declare.text(
                "TRAINING",
                "Names of training scenes",
                "Part of the names of the scenes that the network was trained on, as in 2018: the report then compares "
                "them with all others, class by class, and says whether the network is overfitted. That takes at "
                "least 8 scenes.",
                advanced=True,
            ),
        )

    def _results(self) -> tuple:
        """Return the destinations of layers."""
        return (
            declare.raster_output(
                "OUTPUT",
                "Class activation map",
                "Bands: the map on its scale, and as it is (full: logit a pixel). The scale stands in the tags.",
            ),
            declare.raster_output(
                "COMPONENT_MAPS",
                "Maps of features",
                "Two bands a feature: its activation, and what it adds to the logit. Takes as long as the map.",
                optional=True,
                made=False,
            ),
            declare.raster_output(
                "DECOMPOSED",
                "Map of the kept features",
                "The bands of OUTPUT from the features of KEEP alone, on the same scale. Takes as long as the map.",
                optional=True,
                made=False,
            ),
            declare.table_output(
                "TABLE",
                "Importance of features",
                "One row a feature, the most important first; typed by a .csvt beside it.",
                optional=True,
            ),
            declare.polygon_output(
                "OUTLIERS",
                "Outlier samples",
                "Outlines of samples of the scene whose features differ from those of others of their class, as in the "
                "report; 20 samples are the least.",
            ),
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.features.job import Features as Job

        job = Job(
            **self.explained(values),
            output=values.needed_layer("OUTPUT"),
            scenes=values.rasters("SCENES"),
            mwr_pattern=values.text("MWR_PATTERN") or MWR_PATTERN,
            labels_pattern=values.text("LABELS_PATTERN"),
            network_layer=values.text("NETWORK_LAYER"),
            cam=values.choice("CAM"),
            samples=values.choice("SAMPLES"),
            sample_size_km=values.number("SAMPLE_SIZE"),
            zones=values.polygons("ZONES", "ZONE_FIELD", False),
            labels=values.raster("LABELS"),
            scale_form=values.choice("SCALE_FORM"),
            scale_width=values.number("SCALE_WIDTH"),
            scale_in=values.files("SCALE_IN"),
            keep=values.number("KEEP"),
            component=values.text("COMPONENT"),
            shown=values.whole("SHOWN"),
            seed=values.whole("SEED"),
            training=values.text("TRAINING"),
            component_maps=values.layer("COMPONENT_MAPS"),
            decomposed=values.layer("DECOMPOSED"),
            table=values.layer("TABLE"),
            outliers=values.layer("OUTLIERS"),
            **self.report(values),
            scale=values.file("SCALE"),
        )
        values.reads(job.further_files())
        return job
