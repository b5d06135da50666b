"""Where the evidence lies: relevance of every input pixel, channel by channel."""

from __future__ import annotations

from ..ground.errors import ParameterError
from ..ground.vocabulary.relevance_methods import METHODS
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm
from .framework.relevance_options import chosen_focus, chosen_options, focus_options, method_options

METHOD_WORDS = {word: method.help for word, method in METHODS.items()}


class Relevance(ExplainingAlgorithm):
    """Explains the logit of a class, summed over a region."""

    ID = "relevance"
    TITLE = "Relevance maps"
    SUMMARY = "Show where in the SAR and the radiometer images the evidence for a class lies."
    TAGS = ("explain", "attribution", "xai", "lrp", "integrated gradients", "saliency", "heatmap")
    PRODUCTS = {"SAR_RELEVANCE": "SAR relevance", "MWR_RELEVANCE": "MWR relevance"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.declare_class()
        self.addParameter(
            declare.polygons(
                "AOI",
                "Region to explain",
                "Polygons: their pixels' logits are explained. Everything where empty.",
            )
        )
        self.addParameter(
            declare.point(
                "POINT",
                "Point to explain",
                "One place instead of a region, as in -39,69.5 [EPSG:4326]; in the SAR raster's CRS where it "
                "names none. Not together with AOI.",
            )
        )
        self.addParameter(declare.choice("METHOD", "Method", "How relevance is computed.", METHOD_WORDS))
        self.declare_head()
        self.declare_component()
        for parameter in method_options():
            self.addParameter(parameter)
        for parameter in focus_options():
            self.addParameter(parameter)
        self.addParameter(
            declare.flag(
                "FAITHFULNESS",
                "Test the map by deletion and insertion",
                "Take blocks of the scene away and put them back in the order of their relevance, and in random order, "
                "and tell in the report what becomes of the logit. Takes about 90 predictions of the scene, or of "
                "a sample of about 100 blocks of a large one.",
                advanced=True,
            )
        )
        self.declare_compute()
        self.addParameter(
            declare.raster_output(
                "SAR_RELEVANCE",
                "Relevance of SAR",
                "One band a SAR channel, in logits: above 0 speaks for the class, below against it. "
                "QGIS shows the band with most relevance; choose another in the layer's symbology.",
            )
        )
        self.addParameter(
            declare.raster_output(
                "MWR_RELEVANCE",
                "Relevance of MWR",
                "On the MWR raster's own grid two bands a radiometer channel: first the sum over all SAR pixels that "
                "a cell covers (these add up to the logits), then, in bands named …_per_pixel, the same for each of "
                "these pixels. QGIS shows the second, in the colours and limits of SAR. A channel's evidence is no "
                "finer than its footprint, which the legend gives.",
                optional=True,
            )
        )
        self.addParameter(
            declare.folder_output(
                "ANCILLARY_RELEVANCE_FOLDER",
                "Relevance of ancillary channels",
                "One raster an ancillary channel.",
            )
        )
        self.declare_report(
            "Which channels carry the evidence, what went to biases, and how well it adds up."
        )
        self.declare_facts(
            {},
            {
                "PIXELS_EXPLAINED": "Number of pixels explained",
                "TARGET_SUM": "Sum of the logits explained",
                "RELEVANCE_SUM": "Sum of relevance over all channels",
                "BIAS_SHARE": "Part of the logits that belongs to biases, or to the baseline's own logits",
                "RELATIVE_RESIDUAL": "What is left over, relative",
            },
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.relevance import Relevance as Job

        if values.given("AOI") and values.given("POINT"):
            raise ParameterError("AOI and POINT are both given: explain a region or a point, not both.")
        explained = self.explained(values)
        return Job(
            **explained,
            sar_relevance=values.needed_layer("SAR_RELEVANCE"),
            mwr_relevance=values.layer("MWR_RELEVANCE"),
            ancillary_folder=values.folder("ANCILLARY_RELEVANCE_FOLDER"),
            **self.report(values),
            aoi=values.polygons("AOI"),
            point=values.lonlat("POINT", explained["scene"].sar),
            faithfulness=values.flag("FAITHFULNESS"),
            component=values.text("COMPONENT"),
            **chosen_options(values),
            **chosen_focus(values),
        )
