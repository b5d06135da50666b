"""Fact or artifact: which parts of a relevance map belong to the data."""

from __future__ import annotations

from ..ground.vocabulary.artifact_tests import DEFAULTS, TESTS
from ..ground.vocabulary.relevance_methods import METHODS
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm
from .framework.relevance_options import chosen_settings, method_settings

METHOD_WORDS = {word: method.help for word, method in METHODS.items()}


class Artifacts(ExplainingAlgorithm):
    """Tests a relevance map for what the network puts there by itself."""

    ID = "artifacts"
    TITLE = "Fact or artifact"
    SUMMARY = "Test which parts of a relevance map belong to the data, and correct it for the rest."
    TAGS = (
        "explain",
        "artifact",
        "sanity check",
        "significance",
        "null",
        "checkerboard",
        "xai",
        "lrp",
        "trust",
    )
    PRODUCTS = {  # noqa: RUF012
        "CORRECTED": "Corrected relevance",
        "ARTIFACT": "Artifact",
        "TABLE": "Tests of the relevance map",
    }

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.declare_class()
        self.addParameter(
            declare.polygons(
                "AOI",
                "Region to test",
                "Polygons: the map is judged inside them, in the windows that they touch. Everywhere where empty.",
            )
        )
        self.addParameter(declare.choice("METHOD", "Method", "How relevance is computed.", METHOD_WORDS))
        self.addParameter(declare.choices("TESTS", "Tests", "What is tried; all of them by default.", TESTS))
        self.addParameter(
            declare.whole(
                "REPEATS",
                "Null maps",
                "How many draws of noise the network is shown. Each costs as much as the map itself; 19 are needed for "
                "p-values of 5 %.",
                DEFAULTS["repeats"],
                19,
                999,
            )
        )
        self.addParameter(
            declare.whole(
                "SAMPLE",
                "Windows",
                "How many windows of about 256 x 256 pixels of the scene are looked at, from the first corner to the "
                "last; 0 for the whole scene. The log states the cost before it starts.",
                DEFAULTS["sample"],
                0,
                100_000,
            )
        )
        self.declare_head()
        for parameter in method_settings():
            self.addParameter(parameter)
        self.addParameter(
            declare.text(
                "ENSEMBLE",
                "Further trained networks",
                "For randomised_weights: ids or paths of networks that were trained like MODEL, separated by "
                "semicolons. What they have in common with the map, beyond what shuffled networks have, was learned. "
                "Each costs one more map.",
                advanced=True,
            )
        )
        self.declare_compute()
        self._declare_outputs()

    def _declare_outputs(self) -> None:
        self.addParameter(
            declare.raster_output(
                "ARTIFACT",
                "Artifact",
                "Bands: share (drawn whatever the input, 0 to 1), border (padding), pattern (strides, "
                "pools, coarse cells), untrained (what networks with shuffled weights put there too), local (what else "
                "stays in place) and null_mean (the mean map of noise); mwr_share and mwr_null_mean of the radiometry; "
                "trained (what the networks of ENSEMBLE put there too). No data where no window is.",
            )
        )
        self.addParameter(
            declare.raster_output(
                "CORRECTED",
                "Corrected relevance",
                "Bands: relevance minus the artifact, which add up to the map; q_value, "
                "the false discovery rate at which a pixel is called fact; p_value; fact (255 where the q-value is up "
                "to 0.05, else 80: QGIS draws the map with this opacity); the same of the radiometry, by SAR pixel; "
                "block_q_value, of means over blocks of 8 x 8 pixels.",
                optional=True,
            )
        )
        self.addParameter(
            declare.table_output(
                "TABLE",
                "Tests of the relevance map",
                "One row a test: statistic, what it is without an artifact, p-value, corrected p-value, verdict and "
                "what it means; typed by a .csvt beside it.",
                optional=True,
            )
        )
        self.declare_report("Whether the map can be trusted, where not, and what to do; maps and tests.")
        self.declare_facts(
            {"VERDICT": "Whether the map can be trusted, in a sentence"},
            {
                "PIXELS": "Number of pixels looked at",
                "ARTIFACTS_FOUND": "Number of tests that found an artifact",
                "ARTIFACT_SHARE": "Share of the artifact in the sizes of artifact and corrected map",
                "FACT_SHARE": "Share of relevance at pixels with a q-value up to 0.05",
                "PASSES": "Passes through the network for each window",
            },
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.artifacts import Artifacts as Job

        models = (name.strip() for name in values.text("ENSEMBLE").split(";"))
        return Job(
            **self.explained(values),
            artifact=values.needed_layer("ARTIFACT"),
            corrected=values.layer("CORRECTED"),
            table=values.layer("TABLE"),
            **self.report(values),
            method=values.choice("METHOD"),
            tests=values.choices("TESTS"),
            repeats=values.whole("REPEATS"),
            sample=values.whole("SAMPLE"),
            aoi=values.polygons("AOI"),
            ensemble=tuple(name for name in models if name),
            **chosen_settings(values),
        )
