"""The parameters of every algorithm that reads a scene, and the job inputs made of them."""

from __future__ import annotations

from typing import TypedDict

from qgis.core import QgsProcessingOutputFile

from ...ground.errors import FloeLensError
from ...ground.vocabulary.settings import MEMORY
from ...ground.vocabulary.words import DEVICES, PRECISIONS
from ...networks import registry
from . import declare
from .base import Destinations, FloeLensAlgorithm
from .destinations import report_companions
from .parameter_values import names_remote
from .preferences import preferred_memory
from .suggestions import suggest

DEFAULT_MODEL = "aspp-concentration-sim"


class ReportPaths(TypedDict):
    """Where the files of a report go, as jobs call them."""

    report: str | None
    report_json: str | None
    report_csv: str | None


class Acceptance(TypedDict):
    """Which checks of a scene's rasters a person overrules, as :class:`SceneInputs` calls them."""

    accept_range: bool
    accept_delay: bool


class SceneAlgorithm(FloeLensAlgorithm):
    """Base of the algorithms that run a network over a scene."""

    SAR_OPTIONAL = False
    SUGGESTS = True  # whether dialogs begin with layers of the project that fit

    def declare_scene(self) -> None:
        """Add the rasters of the scene and the model."""
        self.addParameter(
            self._suggested(
                declare.raster(
                    "SAR",
                    "SAR raster",
                    "Sentinel-1 backscatter, one band a channel (hh, hv), georeferenced by an affine transform or "
                    "by ground control points. Results come on its grid.",
                    optional=self.SAR_OPTIONAL,
                )
            )
        )
        self.addParameter(
            self._suggested(
                declare.raster(
                    "MWR",
                    "Microwave radiometer raster",
                    "AMSR2 brightness temperatures in K, one band a channel (btemp_6_9h to btemp_89_0v), on any "
                    "grid that overlaps the SAR raster. Optional only for models without radiometer channels: both "
                    "networks that come along need it.",
                    optional=True,
                )
            )
        )
        self.addParameter(model_parameter())

    def _suggested(self, parameter):
        return suggest(parameter) if self.SUGGESTS else parameter

    def declare_compute(self) -> None:
        """Add which part is computed, and how; most people leave these alone."""
        self.addParameter(
            declare.extent(
                "EXTENT",
                "Part of the scene",
                "Rectangle to process, in the SAR raster's CRS where it names none; it is snapped outward to "
                "whole coarse cells. The whole scene where empty.",
            )
        )
        self.addParameter(
            declare.raster_or_polygons(
                "LAND",
                "Land",
                "What is not to be mapped: polygons, or a raster in which any value other than 0 is land. "
                "Masked on top of what the rasters themselves leave out.",
            )
        )
        self.addParameter(
            declare.as_advanced(
                declare.rasters(
                    "ANCILLARY",
                    "Ancillary rasters",
                    "More rasters that the model asks for: distance map, weather. On the command line the key is "
                    "repeated: ANCILLARY=a.tif ANCILLARY=b.tif.",
                )
            )
        )
        self.addParameter(
            declare.text(
                "CHANNELS",
                "Channels by hand",
                "Which band is which channel where the bands' names do not tell: hh=1,hv=2.",
                advanced=True,
            )
        )
        self.addParameter(
            declare.choice(
                "DEVICE",
                "Device",
                "Where the network runs. Where the memory of a CUDA device does not suffice, tiles become smaller, and "
                "at last the CPU goes on.",
                DEVICES,
                advanced=True,
            )
        )
        self.addParameter(
            declare.choice(
                "PRECISION",
                "Precision",
                "Number format inside the network.",
                PRECISIONS,
                advanced=True,
            )
        )
        memory = declare.setting("MEMORY", MEMORY)
        memory.setGuiDefaultValueOverride(
            preferred_memory()
        )  # of dialogs alone: scripts and models keep the default
        self.addParameter(memory)
        self.declare_acceptance()

    def declare_acceptance(self) -> None:
        """Add what lets a person overrule the checks of a scene's rasters."""
        self.addParameter(
            declare.flag(
                "ACCEPT_RANGE",
                "Accept values outside of the physical range",
                "Values that no measurement can have (brightness temperatures outside of 50 to 350 K, say) are missing "
                "data. Where they are more than 20 % of a band, or where the values fit no unit of their channel, fit "
                "another one better, do not vary or are in another order than the channels, the run ends with an "
                "error; with this it goes on with a warning.",
                advanced=True,
            )
        )
        self.addParameter(
            declare.flag(
                "ACCEPT_DELAY",
                "Accept a delay of more than a day",
                "SAR and radiometer data that are dated more than a day apart are an error, since the ice has drifted "
                "between them; with this they are a warning, as more than three hours are.",
                advanced=True,
            )
        )

    def declare_report(self, help_text: str) -> None:
        """Add the report: HTML, with the same content as JSON and CSV beside it."""
        self.addParameter(
            declare.file_output(
                "REPORT",
                "Report",
                f"{help_text} JSON and CSV of the same content are written beside it.",
                "HTML files (*.html)",
            )
        )
        self.addOutput(QgsProcessingOutputFile("REPORT_JSON", "The report as JSON"))
        self.addOutput(QgsProcessingOutputFile("REPORT_CSV", "The report's table as CSV"))

    def report(self, values: Destinations) -> ReportPaths:
        """Return where the three files of the report go, by the names jobs give them."""
        path = values.file("REPORT")
        as_json, as_csv = report_companions(path) if path else (None, None)
        return {
            "report": path,
            "report_json": values.also("REPORT_JSON", as_json),
            "report_csv": values.also("REPORT_CSV", as_csv),
        }

    def checkParameterValues(self, parameters, context) -> tuple[bool, str]:  # noqa: N802
        """Check before the run also whether the rasters have the channels of the model, by their headers."""
        accepted, message = super().checkParameterValues(parameters, context)
        problem = self._lacking(parameters, context) if accepted else None
        return (False, problem) if problem else (accepted, message)

    def _lacking(self, parameters: dict, context) -> str | None:
        """Return what the model needs and the scene lacks, in one sentence."""
        from ...io.scene.reader import check_headers

        values = Destinations(self, parameters, context)
        # A dialog asks in the window's thread, where another machine is not to be waited for: the run says the same.
        if not values.given("SAR") or any(names_remote(each, context) for each in parameters.values()):
            return None
        try:
            card = registry.load_card(values.text("MODEL"))
            with self._offline(parameters, context):
                sar, mwr, more = (
                    values.needed_raster("SAR"),
                    values.raster("MWR"),
                    values.rasters("ANCILLARY"),
                )
                check_headers(card, sar, mwr, more, values.text("CHANNELS"))
        except FloeLensError as error:
            return str(error)
        return None

    def scene(self, values: Destinations):
        """Return the :class:`SceneInputs` that the parameters describe."""
        from ...jobs.common.inputs import SceneInputs

        sar = values.needed_raster("SAR")
        return SceneInputs(
            sar=sar,
            mwr=values.raster("MWR"),
            ancillary=values.rasters("ANCILLARY"),
            land=values.raster_or_polygons("LAND"),
            channels=values.text("CHANNELS"),
            extent=values.extent("EXTENT", sar),
            **self.acceptance(values),
        )

    def acceptance(self, values: Destinations) -> Acceptance:
        """Return which checks of a scene's rasters a person overrules, as :class:`SceneInputs` takes them."""
        return {"accept_range": values.flag("ACCEPT_RANGE"), "accept_delay": values.flag("ACCEPT_DELAY")}

    def compute(self, values: Destinations):
        """Return the :class:`Compute` that the parameters describe."""
        from ...jobs.common.inputs import Compute

        return Compute(
            device=values.choice("DEVICE"),
            precision=values.choice("PRECISION"),
            memory_mib=values.whole("MEMORY"),
        )


def model_parameter():
    """Return the parameter of the network: a string, with a chooser in dialogs."""
    parameter = declare.text(
        "MODEL",
        "Model",
        "Id of an installed network, or the path of a model folder or its card.json. "
        "An unknown id is an error that lists the known ones.",
        default=DEFAULT_MODEL,
    )
    return with_widget(parameter, "model_chooser.ModelChooser")


def in_list(parameter, listed: str):
    """Return a text parameter whose dialogs list what the model has; `listed` as in :mod:`...gui.model_lists`."""
    return with_widget(parameter, "model_lists.ModelList", listed=listed)


def with_widget(parameter, widget: str, **options):
    """Return a parameter with a widget of `plugin/gui` in dialogs, which is imported when one is opened."""
    root = __name__.rsplit(".", 3)[0]  # the plugin may be installed under any folder name
    parameter.setMetadata({"widget_wrapper": {"class": f"{root}.gui.{widget}", **options}})
    return parameter
