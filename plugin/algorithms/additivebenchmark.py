"""Relevance methods ranked on data of which it is known exactly what each input contributed."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputFile, QgsProcessingOutputNumber, QgsProcessingOutputString

from ..ground.vocabulary.additive import (
    ADDITIVE_METHODS,
    ADDITIVE_SIZES,
    GENERATORS,
    REPEATS,
    TRAINING_SAMPLES,
)
from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.destinations import report_companions


class AdditiveBenchmark(FloeLensAlgorithm):
    """Trains networks on sums of known functions, explains them, and ranks the methods by the truth."""

    ID = "additivebenchmark"
    TITLE = "Additive benchmark"
    SUMMARY = (
        "Rank relevance methods on synthetic data of which it is known exactly what each input contributed."
    )
    TAGS = ("benchmark", "xai", "relevance", "attribution", "ground truth", "ranking", "synthetic")
    GROUP = ("benchmarks", "Benchmarks")
    NEEDS = ("torch", "rasterio")
    PRODUCTS = {"OUTPUT": "Additive benchmark", "OUTPUT_RASTER": "Truth and estimates"}  # noqa: RUF012

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.choice("GENERATOR", "Samples", "What samples are drawn.", GENERATORS))
        self.addParameter(
            declare.choices(
                "METHODS", "Methods", "How relevance is computed, with default settings.", ADDITIVE_METHODS
            )
        )
        self.addParameter(declare.choice("SIZE", "Size", "How much is done.", ADDITIVE_SIZES))
        self.addParameter(
            declare.whole(
                "SEED", "Seed", "Of functions, samples, weights and draws; another one, another trial.", 0, 0
            )
        )
        self.declare_point()
        self.addParameter(
            declare.table_output(
                "OUTPUT",
                "Ranking",
                "One row a network, measure and method: place, rank, mean over samples with its 95 % interval, ties, "
                "and whether the method surpasses the controls.",
            )
        )
        self.addParameter(
            declare.file_output(
                "REPORT",
                "Report",
                "Rankings, distributions and example maps beside the truth on one page. JSON and CSV of the same "
                "content are written beside it.",
                "HTML files (*.html)",
            )
        )
        self.addParameter(
            declare.raster_output(
                "OUTPUT_RASTER",
                "Truth, estimates and errors",
                "Of one sample of the first network, a band each: the truth, what each method makes of it, and the "
                "difference of the two. For GENERATOR=point where COVARIANCE is empty or of cells, and for fusion, "
                "which writes estimates, errors and the radiometer's cells to files of their own beside it.",
                optional=True,
                made=False,
            )
        )
        self.addOutput(QgsProcessingOutputFile("REPORT_JSON", "The report as JSON"))
        self.addOutput(QgsProcessingOutputFile("REPORT_CSV", "The report's table as CSV"))
        self.addOutput(QgsProcessingOutputNumber("CONDITIONS", "Number of rankings that decide"))
        self.addOutput(
            QgsProcessingOutputString("RECOMMENDED", "The recommended method of the first network")
        )

    def declare_point(self) -> None:
        """Add what GENERATOR=point takes."""
        covariance = declare.file(
            "COVARIANCE",
            "Covariance",
            "Of GENERATOR=point: an .npz file with 'covariance' (cell, cell) and 'mask' (row, column) of a regular "
            "global grid from 90° N and 0° E, or a raster of whose bands the correlation is taken, such as the "
            "channels of a scene. If empty: cells between 60° S and 60° N.",
        )
        functions = declare.file(
            "FUNCTIONS",
            "Functions",
            "Of GENERATOR=point: an .npz file with 'edges' (cell, K + 2) and 'weights' (cell, K + 1), the break points "
            "and slopes of one piecewise linear function a cell of COVARIANCE. Drawn from SEED if empty.",
        )
        network = declare.file(
            "NETWORK",
            "Trained network",
            "Of GENERATOR=point: a trained dense network of the cells of COVARIANCE, as Keras stores it (.h5), scored "
            "beside the one that is trained here.",
        )
        for parameter in (covariance, functions, network):
            self.addParameter(declare.as_advanced(declare.as_optional(parameter)))
        self.addParameter(declare.setting("TRAINING_SAMPLES", TRAINING_SAMPLES))
        self.addParameter(declare.setting("REPEATS", REPEATS))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.additivebenchmark.job import AdditiveBenchmark as Job

        report = values.file("REPORT")
        as_json, as_csv = report_companions(report) if report else (None, None)
        files = {
            name.lower(): values.path(name) if values.given(name) else None
            for name in ("COVARIANCE", "FUNCTIONS", "NETWORK")
        }
        return Job(
            output=values.needed_layer("OUTPUT"),
            generator=values.choice("GENERATOR"),
            methods=tuple(dict.fromkeys(values.choices("METHODS"))),
            size=values.choice("SIZE"),
            seed=values.whole("SEED"),
            training_samples=values.whole("TRAINING_SAMPLES"),
            repeats=values.whole("REPEATS"),
            report=report,
            report_json=values.also("REPORT_JSON", as_json),
            report_csv=values.also("REPORT_CSV", as_csv),
            output_raster=values.layer("OUTPUT_RASTER"),
            **files,
        )
