"""An agency's file as layers that every other algorithm takes."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputString

from ..ground.vocabulary.settings import DOMINANT_SHARE, MULTILOOK
from ..ground.vocabulary.words import NOISE_CORRECTIONS, UNITS
from .framework import declare
from .framework.base import Destinations, FloeLensAlgorithm

FACTS = {
    "SCENE_NAME": "Name of the scene",
    "KIND": "Format recognised",
    "START_TIME": "Start of the scene (UTC), where its file tells",
    "EXTENT": "Longitudes and latitudes covered",
    "CHANNELS_FOUND": "Channels that the file holds, those of AMSR2 included",
    "CHANNELS_MISSING": "Channels of the format that the file lacks",
}


class ImportScene(FloeLensAlgorithm):
    """Recognises a file and makes named, calibrated, georeferenced layers of it."""

    ID = "importscene"
    TITLE = "Import scene"
    SUMMARY = "Make layers of an AI4Arctic or ASIP file, a Sentinel-1 product, AMSR2 data or an ice chart."
    TAGS = ("sentinel-1", "amsr2", "ai4arctic", "asip", "autoice", "netcdf", "safe", "sigrid", "ice chart")
    GROUP = ("prepare", "Prepare")
    NEEDS = ("rasterio",)
    PRODUCTS = {  # noqa: RUF012
        "SAR": "SAR",
        "MWR": "Brightness temperatures",
        "ANCILLARY_FINE": "Distance to land",
        "ANCILLARY_COARSE": "Weather or concentration",
        "CHART": "Ice chart",
        "CHART_POLYGONS": "Ice chart polygons",
        "DISPLAY": "SAR for display",
        "FOOTPRINT": "Footprint",
    }
    OVERLAYS = ("FOOTPRINT",)

    def declare(self) -> None:
        """Add the parameters."""
        self.addParameter(
            declare.file(
                "INPUT",
                "File of the scene",
                "AI4Arctic or ASIP NetCDF; a Sentinel-1 GRD product by its manifest.safe or zip; an AMSR2 file; a "
                "gridded sea-ice concentration (CF NetCDF: NSIDC, OSI-SAF, Bremen); an ice chart (SIGRID-3 shapefile, "
                "zip, imz, GeoJSON). Recognised by its content; it may lie in a zip.",
            )
        )
        self.addParameter(
            declare.files(
                "AMSR2",
                "AMSR2 files",
                "Swaths (L1B, L1R) or grids to lay over the scene as MWR, in place of any that INPUT holds; where "
                "swaths overlap, the one nearest in time is taken. Flags of radio interference are not applied.",
            )
        )
        text = "How backscatter is written."
        self.addParameter(declare.choice("UNITS", "Units of backscatter", text, UNITS, advanced=True))
        text = "How the thermal noise of a Sentinel-1 product is corrected. NetCDF files bring their own correction."
        self.addParameter(declare.choice("NOISE", "Noise correction", text, NOISE_CORRECTIONS, advanced=True))
        self.addParameter(declare.setting("MULTILOOK", MULTILOOK))
        text = (
            "Raster on whose pixels or cells an ice chart, a concentration as CHART or AMSR2 swaths are laid, where "
            "INPUT is one of these. Grids on a map projection keep their own cells in MWR and ANCILLARY_COARSE."
        )
        scene = declare.raster("SCENE", "Scene to lay it on", text, optional=True)
        self.addParameter(declare.as_advanced(scene))
        self.addParameter(declare.setting("DOMINANT_SHARE", DOMINANT_SHARE))
        text = (
            "Of a gridded file with several time steps: a time (UTC) as 2020-03-15T06:00, whose nearest step is "
            "taken, or the number of a step from 1. Empty: the step nearest to the SAR scene."
        )
        self.addParameter(declare.text("TIME", "Time step", text, advanced=True))
        self._declare_outputs()

    def _declare_outputs(self) -> None:
        # Optional though it comes first, and made unless it is skipped: an ice chart has no radar.
        rasters = {
            "SAR": "Backscatter hh and hv and the incidence angle, on the radar's pixels. Skip it where the file "
            "has none, as an ice chart.",
            "MWR": "Fourteen AMSR2 channels in K; a last band tells each cell's delay to the radar in s, where it "
            "is known.",
            "ANCILLARY_FINE": "Classes of the distance to land; 0 is land.",
            "ANCILLARY_COARSE": "Wind, temperature, water vapour and cloud water; of an AMSR2 product its ice "
            "concentration in %.",
            "CHART": "Concentration in %, stage of development and floe size as bands; of a gridded concentration "
            "that one alone.",
            "DISPLAY": "A copy of SAR to look at and to lay other layers over: warped through all tie points to a "
            "polar stereographic map. QGIS draws SAR itself through a polynomial, on real scenes some pixels off at "
            "sea and tens of pixels in mountains. The other tools take SAR, not the copy.",
        }
        polygons = {
            "CHART_POLYGONS": "The chart's polygons with all their SIGRID-3 codes. Name it differently from CHART: "
            "a style lies beside each.",
            "FOOTPRINT": "The outline of the scene's pixels.",
        }
        for name, label in self.PRODUCTS.items():
            if name in polygons:
                self.addParameter(declare.polygon_output(name, label, polygons[name]))
            else:
                made = name == "SAR"
                self.addParameter(declare.raster_output(name, label, rasters[name], optional=True, made=made))
        self.addParameter(
            declare.file_output(
                "SUMMARY",
                "What was recognised",
                "Channels, time, extent, conventions, shares of valid pixels, warnings and provenance, as JSON.",
                "JSON (*.json)",
                made=False,
            )
        )
        for name, text in FACTS.items():
            self.addOutput(QgsProcessingOutputString(name, text))

    def job(self, values: Destinations):
        """Return the job."""
        from ..io.formats.product import ImportOptions
        from ..jobs.importscene import OUTPUTS
        from ..jobs.importscene import ImportScene as Job

        return Job(
            input=values.path("INPUT"),
            amsr2=values.files("AMSR2"),
            options=ImportOptions(
                decibels=values.choice("UNITS") == "db",
                multilook=values.whole("MULTILOOK"),
                dominant_share=values.number("DOMINANT_SHARE"),
                scene=values.raster("SCENE") or "",
                time=values.text("TIME"),
                noise=values.choice("NOISE"),
            ),
            **{name: values.layer(name.upper()) for name in OUTPUTS},
            display=values.layer("DISPLAY"),
            footprint=values.layer("FOOTPRINT"),
            summary=values.file("SUMMARY"),
        )
