"""One page to hand on: the answer, four maps and where they come from."""

from __future__ import annotations

from functools import partial

from qgis.core import QgsProcessingAlgorithm

from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm

MAPS = {
    "scene": "SAR",
    "prediction": "PREDICTION",
    "sar_relevance": "SAR_RELEVANCE",
    "mwr_relevance": "MWR_RELEVANCE",
}


class Bulletin(FloeLensAlgorithm):
    """Draws the results of a run of relevance on a sheet of A4."""

    ID = "bulletin"
    TITLE = "Bulletin"
    SUMMARY = "Put the answer of a relevance map, four maps and their source on one A4 page (PDF)."
    TAGS = ("print", "pdf", "layout", "one page", "report", "hand over")
    NEEDS = ("rasterio",)

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(
            declare.file(
                "REPORT", "Report of relevance (JSON)", "What 'Relevance maps' wrote as REPORT_JSON."
            )
        )
        self.addParameter(
            declare.raster(
                "SAR_RELEVANCE", "Relevance of SAR", "Raster of the same run. All maps show its extent."
            )
        )
        self.addParameter(
            declare.raster("MWR_RELEVANCE", "Relevance of MWR", "Raster of the same run.", optional=True)
        )
        self.addParameter(declare.raster("SAR", "SAR image", "The scene that was explained.", optional=True))
        self.addParameter(
            declare.raster("PREDICTION", "Prediction", "The network's map, from 'Predict'.", optional=True)
        )
        self.addParameter(
            declare.as_advanced(
                declare.file(
                    "TEMPLATE",
                    "Layout template",
                    "A .qpt of QGIS's layout editor whose items have the ids of resources/templates/bulletin.qpt. "
                    "Empty for that one.",
                    optional=True,
                )
            )
        )
        self.addParameter(
            declare.file_output("OUTPUT", "Bulletin", "One A4 page.", "PDF files (*.pdf)", optional=False)
        )

    def flags(self):
        """Return the flags: layouts are drawn in QGIS's main thread."""
        return super().flags() | QgsProcessingAlgorithm.Flag.FlagNoThreading

    def job(self, values: Destinations):
        """Return the job."""
        from ..gui.bulletin_layout import draw
        from ..jobs.bulletin import Bulletin as Job

        template = values.path("TEMPLATE") if values.given("TEMPLATE") else ""
        rasters = {name: values.raster(parameter) for name, parameter in MAPS.items()}

        def drawn(page, shown, path) -> None:
            values.in_qgis(partial(draw, page, shown, template, path))

        return Job(
            report=values.path("REPORT"),
            rasters={name: path for name, path in rasters.items() if path},
            output=values.needed_file("OUTPUT"),
            draw=drawn,
        )
