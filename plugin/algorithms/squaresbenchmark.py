"""Networks and methods judged on samples whose discriminating pixels are known."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputFile, QgsProcessingOutputNumber

from ..ground.vocabulary.benchmarks import BENCHMARK_METHODS, DEFAULT_METHODS, SIZES
from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.destinations import report_companions


class SquaresBenchmark(FloeLensAlgorithm):
    """Trains small networks, explains them, and scores the maps against the truth."""

    ID = "squaresbenchmark"
    TITLE = "Squares benchmark"
    SUMMARY = (
        "Judge relevance methods and networks on synthetic samples whose truth is known: fact or artifact."
    )
    TAGS = ("benchmark", "xai", "relevance", "artifact", "echo state network", "lrp", "synthetic")
    GROUP = ("benchmarks", "Benchmarks")
    NEEDS = ("torch", "rasterio")
    PRODUCTS = {"OUTPUT": "Squares benchmark", "OUTPUT_RASTER": "Mean relevance"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(
            declare.choices(
                "METHODS",
                "Methods",
                "How relevance is computed, with default settings. A method that does not apply to a network is left "
                "out.",
                BENCHMARK_METHODS,
                DEFAULT_METHODS,
            )
        )
        self.addParameter(declare.choice("SIZE", "Size", "How much is done.", SIZES))
        self.addParameter(
            declare.whole("SEED", "Seed", "Of samples, weights and draws; another one, another trial.", 0, 0)
        )
        self.declare_fields()
        self.addParameter(
            declare.table_output(
                "OUTPUT",
                "Scores",
                "One row an architecture and method: accuracy, mass inside the true square, rank accuracy, "
                "conservation error, stripes, decay, border and outliers, before and after the correction.",
            )
        )
        self.addParameter(
            declare.file_output(
                "REPORT",
                "Report",
                "Maps, decay and scores on one page. JSON and CSV of the same content are written beside it.",
                "HTML files (*.html)",
            )
        )
        self.addParameter(
            declare.raster_output(
                "OUTPUT_RASTER",
                "Maps",
                "Mean relevance and mean corrected relevance of each network and method, a band each, on the grid of "
                "FIELDS or COVARIANCE.",
                optional=True,
                made=False,
            )
        )
        self.addOutput(QgsProcessingOutputFile("REPORT_JSON", "The report as JSON"))
        self.addOutput(QgsProcessingOutputFile("REPORT_CSV", "The report's table as CSV"))
        self.addOutput(QgsProcessingOutputNumber("ARCHITECTURES", "Number of networks"))
        self.addOutput(QgsProcessingOutputNumber("COMPARED", "Number of maps"))
        self.addOutput(
            QgsProcessingOutputNumber("RAISED", "Maps in which the correction raises the mass inside")
        )

    def declare_fields(self) -> None:
        """Add what takes the place of the synthetic samples."""
        self.addParameter(
            declare.raster(
                "FIELDS",
                "Fields",
                "Fields of the Earth in place of the synthetic samples: a raster (GeoTIFF, NetCDF) of which each band "
                "is a field of one quantity, 40 at least. They fall in two classes by their mean over INDEX_BOX.",
                optional=True,
            )
        )
        covariance = declare.file(
            "COVARIANCE",
            "Covariance",
            "In place of FIELDS: an .npz file with 'covariance' (cell, cell) and 'mask' (row, column) of a regular "
            "global grid from 90° N and 0° E, from which fields are drawn.",
        )
        self.addParameter(declare.as_advanced(declare.as_optional(covariance)))
        self.addParameter(
            declare.extent(
                "INDEX_BOX",
                "Box of the index",
                "Fields with a mean above the median over this box are one class, the others the other one. In the CRS "
                "of FIELDS where it names none.",
            )
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.squaresbenchmark import SquaresBenchmark as Job

        report, fields = values.file("REPORT"), values.raster("FIELDS")
        as_json, as_csv = report_companions(report) if report else (None, None)
        return Job(
            output=values.needed_layer("OUTPUT"),
            methods=tuple(dict.fromkeys(values.choices("METHODS"))),
            size=values.choice("SIZE"),
            seed=values.whole("SEED"),
            report=report,
            report_json=values.also("REPORT_JSON", as_json),
            report_csv=values.also("REPORT_CSV", as_csv),
            fields=fields,
            covariance=values.path("COVARIANCE") if values.given("COVARIANCE") else None,
            index_box=values.extent("INDEX_BOX", fields, False),  # FIELDS may name no CRS to compare with
            output_raster=values.layer("OUTPUT_RASTER"),
        )
