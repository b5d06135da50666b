"""Stamps whose place is known, in images and scenes, and methods ranked by whether relevance lies on them."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from ..ground.errors import ParameterError
from ..ground.vocabulary.relevance_methods import MethodChoice
from ..ground.vocabulary.stamps import (
    CONTRAST,
    OFFSET_KELVIN,
    PARTS,
    POSITIONS,
    STAMP_DEFAULT_METHODS,
    STAMP_EXTENTS,
    STAMP_METHODS,
    STAMP_SIZE,
    STAMPS,
)
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm


class StampBenchmark(ExplainingAlgorithm):
    """Puts stamps into images and scenes, and scores where relevance lies."""

    ID = "stampbenchmark"
    TITLE = "Stamp benchmark"
    SUMMARY = (
        "Rank relevance methods by whether their maps lie on stamps whose place is known: on a classifier trained "
        "here, and on your own network and scene."
    )
    TAGS = ("benchmark", "xai", "relevance", "stamp", "ground truth", "ranking", "lead", "point target")
    GROUP = ("benchmarks", "Benchmarks")
    NEEDS = ("torch", "rasterio")
    PRODUCTS = {"OUTPUT": "Stamp benchmark", "OUTPUT_RASTER": "Change of relevance by stamps"}  # noqa: RUF012
    SAR_OPTIONAL = True
    SUGGESTS = False  # with a scene it takes minutes more

    def declare(self) -> None:
        """Add the parameters."""
        for name, label, help_text, words, default in (
            ("STAMPS", "Stamps", "What is put into images and scenes.", STAMPS, ()),
            (
                "METHODS",
                "Methods",
                "How relevance is computed, with default settings. A method that has no rule for a layer is left out.",
                STAMP_METHODS,
                STAMP_DEFAULT_METHODS,
            ),
        ):
            self.addParameter(declare.choices(name, label, help_text, words, default))
        self.addParameter(declare.choice("SIZE", "Size", "How much is done.", STAMP_EXTENTS))
        self.addParameter(
            declare.whole(
                "SEED", "Seed", "Of images, places, weights and draws; another one, another trial.",
                MethodChoice.seed, 0, 10**6,
            )
        )  # fmt: skip
        self.addParameter(
            declare.choices("PARTS", "Networks to try", "What stamps are tried on; both by default.", PARTS)
        )
        self.declare_scene()
        self.declare_class()
        self._declare_stamp()
        self.declare_head()
        self.declare_compute()
        self._declare_outputs()

    def _declare_stamp(self) -> None:
        self.addParameter(declare.setting("STAMP_SIZE", STAMP_SIZE, advanced=False))
        self.addParameter(declare.setting("CONTRAST", CONTRAST, advanced=False))
        self.addParameter(declare.setting("MWR_OFFSET", OFFSET_KELVIN, advanced=False))
        self.addParameter(
            declare.text(
                "STAMP_CHANNELS",
                "Channels that are stamped",
                "Names of channels with commas, such as hh,hv,btemp_18_7h: SAR stamps take those of the SAR among "
                "them, mwr_offset those of the radiometer. The usual one of each stamp where it names none of its "
                "sensor.",
                advanced=True,
            )
        )
        self.addParameter(
            declare.choice(
                "POSITION", "Position", "Where in an image a stamp is put.", POSITIONS, advanced=True
            )
        )

    def _declare_outputs(self) -> None:
        self.addParameter(
            declare.table_output(
                "OUTPUT",
                "Ranking",
                "One row a stamp, measure and method or control: mean over images with its 95 % interval, rank, ties "
                "and verdict. The main measure is the distance D to the stamp: 0 the stamp itself, √2 a map that "
                "tells nothing, 2 its opposite.",
            )
        )
        self.declare_report("Which method to trust, distributions, maps beside the stamp, cost.")
        self.addParameter(
            declare.raster_output(
                "OUTPUT_RASTER",
                "Change of relevance",
                "On the grid of SAR: a band a stamp and method with the relevance with the stamp minus without, added "
                "up over the channels of the stamp's sensor; then a band a stamp that says where it is. No data away "
                "from the places that were tried. Needs SAR.",
                optional=True,
                made=False,
            )
        )
        for name, label in (
            ("MODEL_ID", "Id of the model"),
            ("SCENE_NAME", "Name of the scene"),
            ("VERDICT", "Which method to trust, in a sentence"),
        ):
            self.addOutput(QgsProcessingOutputString(name, label))
        for name, label in (
            ("IMAGES", "Images that were scored"),
            ("PLACES", "Places of the scene that were tried"),
        ):
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.stampbenchmark.job import StampBenchmark as Job

        sar = values.given("SAR")
        if not sar:
            for name in ("MWR", "ANCILLARY", "LAND", "EXTENT", "CHANNELS"):
                if values.given(name):
                    raise ParameterError(
                        f"{name} is given, but SAR is not: give SAR too, or leave {name} empty for simulated scenes."
                    )
        channels = (name.strip().lower() for name in values.text("STAMP_CHANNELS").split(","))
        return Job(
            output=values.needed_layer("OUTPUT"),
            model=values.text("MODEL"),
            scene=self.scene(values) if sar else None,
            compute=self.compute(values),
            head=values.text("HEAD"),
            class_name=values.text("CLASS"),
            reference_class=values.text("REFERENCE_CLASS"),
            **self.report(values),
            stamps=tuple(dict.fromkeys(values.choices("STAMPS"))),
            methods=tuple(dict.fromkeys(values.choices("METHODS"))),
            parts=tuple(dict.fromkeys(values.choices("PARTS"))),
            size=values.choice("SIZE"),
            seed=values.whole("SEED"),
            stamp_size=values.whole("STAMP_SIZE"),
            contrast=values.number("CONTRAST"),
            offset=values.number("MWR_OFFSET"),
            stamp_channels=tuple(name for name in channels if name),
            position=values.choice("POSITION"),
            output_raster=values.layer("OUTPUT_RASTER"),
        )
