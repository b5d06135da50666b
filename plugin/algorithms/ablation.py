"""What the prediction loses without a channel or sensor."""

from __future__ import annotations

from ..ground.errors import ParameterError
from ..ground.vocabulary.settings import BLUR
from ..ground.vocabulary.words import BASELINES, CHANNEL_GROUPS, QUANTITIES
from .framework import declare
from .framework.base import Destinations
from .framework.explaining import ExplainingAlgorithm


class Ablation(ExplainingAlgorithm):
    """Replaces groups of channels by a baseline."""

    ID = "ablation"
    TITLE = "Ablation of channels"
    SUMMARY = "Map what the prediction loses without a channel or a sensor, and rank them by Shapley values."
    TAGS = ("explain", "importance", "shapley", "channels", "sensors", "xai", "sensitivity")
    PRODUCTS = {"OUTPUT": "Ablation", "TABLE": "Ablation table"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.declare_scene()
        self.declare_class()
        self.addParameter(declare.choice("GROUPS", "Groups", "What is taken out at once.", CHANNEL_GROUPS))
        self.addParameter(
            declare.choice(
                "BASELINE",
                "Kind of baseline",
                "What stands in for a group that is taken out.",
                BASELINES,
            )
        )
        for sensor in ("SAR", "MWR"):
            label = f"{sensor} of the other scene"
            self.addParameter(
                declare.raster(f"BASELINE_{sensor}", label, "For BASELINE=scene.", optional=True)
            )
        self.addParameter(
            declare.rasters(
                "BASELINE_ANCILLARY", "Ancillary rasters of the other scene", "For BASELINE=scene."
            )
        )
        self.addParameter(declare.setting("BLUR", BLUR))
        self.addParameter(
            declare.choice("QUANTITY", "Quantity", "What the bands tell.", QUANTITIES, advanced=True)
        )
        self.addParameter(
            declare.flag(
                "SHAPLEY",
                "Shapley values",
                "Tell in the table and in the log also what each group adds on average over all orders of the groups. "
                "For at most 10 groups that do not enter linearly.",
                default=True,
                advanced=True,
            )
        )
        self.declare_head()
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
        self.declare_facts(
            {"LEADING_GROUP": "Group without which the map changes most"},
            {"PIXELS": "Number of pixels", "EFFICIENCY": "What Shapley values leave over, relative"},
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.ablation import Ablation as Job
        from ..jobs.common.inputs import SceneInputs

        other, sar = None, values.raster("BASELINE_SAR")
        if sar:
            others = values.raster("BASELINE_MWR"), values.rasters("BASELINE_ANCILLARY")
            other = SceneInputs(sar, *others, channels=values.text("CHANNELS"), **self.acceptance(values))
        elif values.given("BASELINE_MWR") or values.given("BASELINE_ANCILLARY"):
            raise ParameterError("BASELINE_SAR is missing: give all rasters of the other scene.")
        return Job(
            **self.explained(values),
            output=values.needed_layer("OUTPUT"),
            table=values.layer("TABLE"),
            groups=values.choice("GROUPS"),
            baseline=values.choice("BASELINE"),
            baseline_scene=other,
            blur_km=values.number("BLUR"),
            quantity=values.choice("QUANTITY"),
            shapley=values.flag("SHAPLEY"),
        )
