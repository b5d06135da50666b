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
    PRODUCTS = {"OUTPUT": "Squares benchmark"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(
            declare.choices(
                "METHODS",
                "Methods",
                "How relevance is computed. A method that does not apply to a network is left out there.",
                BENCHMARK_METHODS,
                DEFAULT_METHODS,
            )
        )
        self.addParameter(declare.choice("SIZE", "Size", "How much is done.", SIZES, "quick"))
        self.addParameter(
            declare.whole("SEED", "Seed", "Of samples, weights and draws; another one, another trial.", 0, 0)
        )
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
        self.addOutput(QgsProcessingOutputFile("REPORT_JSON", "The report as JSON"))
        self.addOutput(QgsProcessingOutputFile("REPORT_CSV", "The report's table as CSV"))
        self.addOutput(QgsProcessingOutputNumber("ARCHITECTURES", "Number of networks"))
        self.addOutput(QgsProcessingOutputNumber("COMPARED", "Number of maps"))
        self.addOutput(
            QgsProcessingOutputNumber("RAISED", "Maps in which the correction raises the mass inside")
        )

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.squaresbenchmark import SquaresBenchmark as Job

        report = values.file("REPORT")
        as_json, as_csv = report_companions(report) if report else (None, None)
        return Job(
            output=values.layer("OUTPUT"),
            methods=values.choices("METHODS"),
            size=values.choice("SIZE"),
            seed=values.whole("SEED"),
            report=report,
            report_json=values.also("REPORT_JSON", as_json),
            report_csv=values.also("REPORT_CSV", as_csv),
        )
