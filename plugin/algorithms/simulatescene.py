"""A synthetic georeferenced scene with known ice."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber

from ..ground.vocabulary.settings import CENTER, COLS, PIXEL_SIZE, ROWS, SCENE_SEED
from ..ground.vocabulary.words import GEOREFERENCING
from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm
from .framework.reading import needed


class SimulateScene(FloeLensAlgorithm):
    """Makes SAR, brightness temperatures and the chart they were made from."""

    ID = "simulatescene"
    TITLE = "Simulate a scene"
    SUMMARY = "Make a synthetic Sentinel-1 and AMSR2 scene with known ice: for trials, training and tests."
    TAGS = ("synthetic", "simulation", "demo", "sentinel-1", "amsr2")
    GROUP = ("prepare", "Prepare")
    NEEDS = ("rasterio",)
    PRODUCTS = {  # noqa: RUF012
        "SAR": "Simulated SAR",
        "MWR": "Simulated MWR",
        "CHART": "True ice",
        "ANCILLARY_FINE": "Incidence angle and distance to land",
        "ANCILLARY_COARSE": "Simulated weather",
    }

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(declare.setting("SEED", SCENE_SEED, advanced=False))
        self.addParameter(declare.setting("ROWS", ROWS, advanced=False))
        self.addParameter(declare.setting("COLS", COLS, advanced=False))
        self.addParameter(declare.setting("PIXEL_SIZE", PIXEL_SIZE, advanced=False))
        self.addParameter(
            declare.point(
                "CENTER",
                "Centre",
                "longitude, latitude where it names no CRS. Not used with CONCENTRATION.",
                default=f"{CENTER[0]},{CENTER[1]} [EPSG:4326]",
            )
        )
        self.addParameter(
            declare.choice(
                "GEOREFERENCING",
                "Georeferencing",
                "How the rasters know where they are.",
                GEOREFERENCING,
            )
        )
        self.addParameter(
            declare.raster(
                "CONCENTRATION",
                "Concentration to follow",
                "A real chart in %: the scene takes its ice, its size and its georeferencing.",
                optional=True,
            )
        )
        self.addParameter(declare.raster_output("SAR", "Simulated SAR", "Backscatter hh and hv in dB."))
        self.addParameter(
            declare.raster_output(
                "MWR", "Simulated MWR", "Fourteen brightness temperatures in K on 2 km cells.", optional=True
            )
        )
        self.addParameter(
            declare.raster_output(
                "CHART", "True ice", "The ice the scene was made from: concentration and type.", optional=True
            )
        )
        for name, text in (
            (
                "ANCILLARY_FINE",
                "Incidence angle in degrees and class of the distance to land (0 land … 41 beyond 300 km), on the "
                "radar's pixels: for networks that read them.",
            ),
            (
                "ANCILLARY_COARSE",
                "Wind, temperature of air and surface, water vapour and cloud water on 2 km cells: for networks that "
                "read them.",
            ),
        ):
            raster = declare.raster_output(name, self.PRODUCTS[name], text, optional=True, made=False)
            self.addParameter(declare.as_advanced(raster))

        self.addOutput(QgsProcessingOutputNumber("MEAN_CONCENTRATION", "Mean concentration of the sea in %"))

    def job(self, values: Destinations):
        """Return the job."""
        from ..jobs.simulate import SimulateScene as Job

        return Job(
            seed=values.whole("SEED"),
            rows=values.whole("ROWS"),
            cols=values.whole("COLS"),
            pixel_size=values.number("PIXEL_SIZE"),
            center=needed("CENTER", values.lonlat("CENTER")),
            georeferencing=values.choice("GEOREFERENCING"),
            concentration=values.raster("CONCENTRATION"),
            sar=values.layer("SAR"),
            mwr=values.layer("MWR"),
            chart=values.layer("CHART"),
            ancillary_fine=values.layer("ANCILLARY_FINE"),
            ancillary_coarse=values.layer("ANCILLARY_COARSE"),
        )
