"""A synthetic georeferenced scene with known ice: what a radar, a radiometer and an analyst would give."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from ..core.simulation import (
    ASSUMPTIONS,
    BLOCK,
    CHANNELS,
    FINE_CHANNELS,
    FLOOR_DB,
    FOOTPRINTS_KM,
    NO_DATA,
    STATISTICS_SOURCE,
    WATER_LIMIT,
    SimulatedScene,
    Surroundings,
)
from ..core.streaming.run_time import clock
from ..ground.errors import Cancelled, ParameterError, SceneError
from ..ground.protocols import Progress
from ..ground.version import plugin_version
from ..ground.vocabulary.settings import CENTER, COLS, PIXEL_SIZE, ROWS, SCENE_SEED
from ..ground.vocabulary.words import GEOREFERENCING, check_word, default_word
from ..ground.window import Window
from ..io.environment.crs import LONLAT, transform
from ..io.environment.gdal_state import bounded_block_cache
from ..io.files.raster import Raster, environment, open_raster
from ..io.geometry.grid import Grid, GroundControlPoint
from ..io.rasters.writer import Band, Outputs
from ..io.scene.acquisition import Span, acquisition
from ..networks.standard_channels import STANDARD_CHANNELS, WEATHER_CHANNELS
from ..report.styles.layers import (
    backscatter_style,
    brightness_temperature_style,
    channel_style,
    concentration_style,
    sidecar,
)
from .common.strip_time import TrialStrip, announce_strips

TIE_POINTS = 21
"""Rows and columns of the tie-point mesh, as in a Sentinel-1 EW product."""

_INCLINATION = np.radians(98.18)  # of Sentinel-1's orbit
_CHART_BANDS = ("concentration", "sic", "ct", "sea_ice_concentration", "ice_concentration")


@dataclass(frozen=True)
class SimulateScene:
    """Simulate a scene.

    Parameters
    ----------
    seed : int
        Same parameters, same bytes; another seed, another scene.
    rows, cols : int
        Size of the radar image in pixels.
    pixel_size : float
        Size of a pixel in metres.
    center : tuple of float
        Longitude and latitude of the scene's centre, degrees.
    georeferencing : {'gcps', 'projected'}
        A mesh of tie points, rotated as a descending Sentinel-1 pass, or an affine transform; both in polar
        stereographic (EPSG:3413 in the north, 3976 in the south).
    concentration : str, optional
        Raster of a real chart to follow (%, above 100 no data, 254 land): the scene then lies on its
        grid, and `rows`, `cols`, `pixel_size`, `center` and `georeferencing` say nothing.
    sar, mwr, chart : str, optional
        What to write.
    ancillary_fine, ancillary_coarse : str, optional
        Incidence angle and distance to land on the radar's pixels; wind, temperatures, vapour and cloud water on the
        radiometer's cells. What else is written does not depend on them.
    """

    seed: int = SCENE_SEED.default
    rows: int = ROWS.default
    cols: int = COLS.default
    pixel_size: float = PIXEL_SIZE.default
    center: tuple[float, float] = CENTER
    georeferencing: str = default_word(GEOREFERENCING)
    concentration: str | None = None
    sar: str | None = None
    mwr: str | None = None
    chart: str | None = None
    ancillary_fine: str | None = None
    ancillary_coarse: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write the rasters and return their paths under their published names."""
        paths = {
            "SAR": self.sar,
            "MWR": self.mwr,
            "CHART": self.chart,
            "ANCILLARY_FINE": self.ancillary_fine,
            "ANCILLARY_COARSE": self.ancillary_coarse,
        }
        written = {name: path for name, path in paths.items() if path}
        if not written:
            raise ParameterError(f"Nothing to write: give at least one of {', '.join(paths)}.")
        with ExitStack() as stack:
            stack.enter_context(bounded_block_cache())
            given = stack.enter_context(open_raster(self.concentration)) if self.concentration else None
            grid = Grid.from_raster(given) if given else self.grid()
            # Rounded, so that the ice does not hang on the last digits of a geodesic length.
            pixel_size = round(grid.pixel_size(), 1) if given else self.pixel_size
            if given and not 10.0 <= pixel_size <= 2000.0:
                raise SceneError(
                    f"{self.concentration} has pixels of {pixel_size:g} m, a simulated scene has 10 to "
                    "2000 m. Resample the chart first."
                )
            reader = chart_reader(given, progress) if given else None
            scene = SimulatedScene(self.seed, grid.rows, grid.cols, pixel_size, chart=reader)
            tags = self._tags(scene, pixel_size, acquisition(given) if given else None)
            outputs = stack.enter_context(Outputs(progress))
            around = Surroundings(scene) if self.ancillary_fine or self.ancillary_coarse else None
            shares = self._write_fine(scene, around, grid, outputs, tags, progress)
            if around is not None and self.ancillary_coarse:
                bands = [Band(name, STANDARD_CHANNELS[name].unit) for name in WEATHER_CHANNELS]
                cells = outputs.raster(self.ancillary_coarse, grid.coarser(scene.ratio), bands, tags=tags)
                cells.write(around.weather())
            if self.mwr:
                _write_coarse(outputs, self.mwr, scene, grid, tags)
            self._write_styles(outputs, tags["start_time"])
            progress.report(1.0, "Scene complete")
        results: dict[str, object] = {
            "ROWS_WRITTEN": grid.rows,
            "COLS_WRITTEN": grid.cols,
            "PIXEL_SIZE_WRITTEN": float(pixel_size),
            "RATIO": scene.ratio,
            "SEASON": "summer" if scene.climate.summer else "winter",
            "SCENE_NAME": Path(next(iter(written.values()))).stem,
            "START_TIME": tags["start_time"],
            **shares,
        }
        return {**written, **results}

    def grid(self) -> Grid:
        """Return the grid of the scene that the parameters describe.

        Raises
        ------
        ParameterError
            A parameter no scene can have.
        """
        lon, lat = self.center
        if not (-360.0 <= lon <= 360.0 and -90.0 <= lat <= 90.0):
            raise ParameterError(f"CENTER is ({lon:g}, {lat:g}): give longitude and latitude in degrees.")
        check_word("GEOREFERENCING", self.georeferencing, GEOREFERENCING)
        # The scene itself checks these too; a grid has to exist before it.
        SimulatedScene(self.seed, self.rows, self.cols, self.pixel_size)
        if self.georeferencing == "projected":
            return projected_grid(self.rows, self.cols, self.pixel_size, lon, lat)
        return tie_point_grid(self.rows, self.cols, self.pixel_size, lon, lat)

    def _tags(self, scene: SimulatedScene, pixel_size: float, time: Span | None) -> dict[str, str]:
        """Return the tags of the three rasters: what made them and what was assumed.

        `time` is that of the chart; a scene that follows it is of its time, so that both can be laid over each other.
        """
        summer = scene.climate.summer
        start = datetime(2020, 8 if summer else 3, 15, 6) + timedelta(minutes=self.seed % 1440)
        if time is not None:
            start = time.first + (time.last - time.first) / 2
        tags = {
            "start_time": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "FLOELENS_PRODUCT": "simulated scene",
            "FLOELENS_SEED": str(self.seed),
            "FLOELENS_SEASON": "summer" if summer else "winter",
            "FLOELENS_PIXEL_SIZE_M": f"{pixel_size:g}",
            "FLOELENS_SPECKLE_LOOKS": f"{scene.radar.looks:.3g}",
            "FLOELENS_SAR_FLOOR_DB": f"{FLOOR_DB:g}",
            "FLOELENS_MWR_STATISTICS": STATISTICS_SOURCE,
            "FLOELENS_ASSUMPTIONS": " ".join(ASSUMPTIONS),
            "FLOELENS_ICE_TYPE": f"open water under {100 * WATER_LIMIT:g} %, else the region's type",
            "FLOELENS_VERSION_FLOELENS": plugin_version(),
            "FLOELENS_VERSION_NUMPY": np.__version__,
        }
        if self.concentration:
            tags["FLOELENS_CONCENTRATION"] = Path(self.concentration).name
        return tags

    def _write_fine(
        self,
        scene: SimulatedScene,
        around: Surroundings | None,
        grid: Grid,
        outputs: Outputs,
        tags: dict[str, str],
        progress: Progress,
    ) -> dict[str, object]:
        """Write the rasters on the radar's pixels strip by strip; return the shares of land and ice in the scene."""
        sar = chart = beside = None
        if self.ancillary_fine:
            bands = [Band(name, STANDARD_CHANNELS[name].unit) for name in FINE_CHANNELS]
            beside = outputs.raster(self.ancillary_fine, grid, bands, tags=tags)
        if self.sar:
            bands = [Band("hh", "dB"), Band("hv", "dB")]
            sar = outputs.raster(
                self.sar, grid, bands, tags={**tags, "FLOELENS_BANDS": "sigma0, noise subtracted"}
            )
        if self.chart:
            bands = [Band("concentration", "%"), Band("icetype", "class")]
            chart = outputs.raster(
                self.chart, grid, bands, dtype="uint8", nodata=NO_DATA, tags=tags, overviews="nearest"
            )
        sea = ice = 0
        for row in range(0, grid.rows, BLOCK):
            if progress.cancelled():
                raise Cancelled("Simulation stopped; nothing was written.")
            strip = Window(row, 0, min(BLOCK, grid.rows - row), grid.cols)
            start = clock()
            backscatter = scene.backscatter(strip) if sar is not None else None
            values = scene.chart(strip)
            if row == BLOCK:
                self._announce(grid, outputs, backscatter, values, clock() - start, progress)
            if sar is not None and backscatter is not None:
                sar.write(backscatter)
            known = values[0] != NO_DATA
            sea += int(known.sum())
            ice += int(values[0][known].sum(dtype=np.int64))
            if chart is not None:
                chart.write(values)
            if beside is not None and around is not None:
                beside.write(around.fine(strip))
            progress.report(0.95 * strip.row_stop / grid.rows, "Simulating radar and chart")
        if not sea and self.concentration:
            raise SceneError(
                f"{self.concentration} has no pixel from 0 to 100 %: there is nothing to follow. "
                "Check its band and its nodata value."
            )
        return {
            "SEA_PIXELS": sea,
            "MEAN_CONCENTRATION": ice / sea if sea else 0.0,
        }

    def _announce(
        self,
        grid: Grid,
        outputs: Outputs,
        backscatter: np.ndarray | None,
        chart: np.ndarray,
        seconds: float,
        progress: Progress,
    ) -> None:
        """Put the estimated time into the log, from a strip and the time that it took."""
        strips = []
        if self.sar and backscatter is not None:
            strips.append(TrialStrip(self.sar, grid, [Band("hh", "dB"), Band("hv", "dB")], backscatter))
        if self.chart:
            bands = [Band("concentration", "%"), Band("icetype", "class")]
            options = (("dtype", "uint8"), ("nodata", NO_DATA), ("overviews", "nearest"))
            strips.append(TrialStrip(self.chart, grid, bands, chart, options))
        writing = sum(strip.writing(outputs) for strip in strips)
        announce_strips(progress, "Simulating", seconds / chart.shape[1] * grid.rows + writing)

    def _write_styles(self, outputs: Outputs, start_time: str) -> None:
        """Write the style of each raster beside it."""
        for path, make in (
            (self.sar, backscatter_style),
            (self.mwr, brightness_temperature_style),
            (self.chart, concentration_style),
            (self.ancillary_fine, _distance_style),
            (self.ancillary_coarse, _wind_style),
        ):
            if path:
                outputs.file(sidecar(path)).write_text(make(start_time=start_time), encoding="utf-8")


def _distance_style(start_time: str) -> str:
    """Return the style of incidence angle and distance to land: the distance."""
    return channel_style(
        0.0, 41.0, "distance class", band=FINE_CHANNELS.index("distance_map") + 1, start_time=start_time
    )


def _wind_style(start_time: str) -> str:
    """Return the style of the weather: the wind along the columns' direction, its first band."""
    return channel_style(-15.0, 15.0, "m/s", start_time=start_time)


def _write_coarse(
    outputs: Outputs, path: str, scene: SimulatedScene, grid: Grid, tags: dict[str, str]
) -> None:
    """Write brightness temperatures on the cells of 2 km."""
    bands = [
        Band(name, "K", tags={"footprint_km": f"{short:g} x {long:g}"})
        for name, (short, long) in zip(CHANNELS, FOOTPRINTS_KM)
    ]
    raster = outputs.raster(path, grid.coarser(scene.ratio), bands, tags=tags)
    raster.write(scene.brightness_temperature())


def chart_reader(chart: Raster, progress: Progress) -> Callable[[Window], np.ndarray]:
    """Return what reads the concentration of a chart: its band of that name, else its first."""
    named = [i for i in chart.measured if chart.names[i - 1].strip().lower() in _CHART_BANDS]
    band = named[0] if named else chart.measured[0]
    if len(chart.measured) > 1 and not named:
        progress.warn(
            f"{chart.path} has no band named concentration (bands: {chart.describe_bands()}): "
            f"band {band} is taken."
        )

    def read(window: Window) -> np.ndarray:
        return chart.read([band], window)[0]

    return read


def projected_grid(rows: int, cols: int, pixel_size: float, lon: float, lat: float) -> Grid:
    """Return a north-up grid in polar stereographic coordinates about a place (degrees)."""
    code = 3413 if lat >= 0.0 else 3976
    x, y = map(float, transform(LONLAT, f"EPSG:{code}", lon, lat))
    left, top = x - cols * pixel_size / 2.0, y + rows * pixel_size / 2.0
    return Grid(rows, cols, wkt_of(code), transform=(pixel_size, 0.0, left, 0.0, -pixel_size, top))


def tie_point_grid(rows: int, cols: int, pixel_size: float, lon: float, lat: float) -> Grid:
    """Return a grid known by 21 x 21 tie points, rotated as a descending Sentinel-1 pass.

    Sentinel-1's own are in longitude and latitude. These are in polar stereographic (EPSG:3413 in the
    north, 3976 in the south), because programs that fit a polynomial through tie points, as QGIS does
    to display them, err by kilometres in degrees near the pole.

    Rows run along the flight, columns to the right of it. The heading at latitude φ of an orbit of
    inclination i is π − asin(cos i / cos φ), clockwise from north. Pixel coordinates (0, 0) are the
    outer corner of the first pixel, and the outermost tie points lie on the image's corners.
    """
    ratio = np.cos(_INCLINATION) / max(np.cos(np.radians(lat)), 1e-6)
    heading = np.pi - np.arcsin(np.clip(ratio, -1.0, 1.0))
    row, col = np.meshgrid(
        np.linspace(0.0, rows, TIE_POINTS), np.linspace(0.0, cols, TIE_POINTS), indexing="ij"
    )
    along, across = (row - rows / 2.0) * pixel_size, (col - cols / 2.0) * pixel_size
    east = along * np.sin(heading) + across * np.cos(heading)
    north = along * np.cos(heading) - across * np.sin(heading)
    plane = f"+proj=stere +lat_0={lat!r} +lon_0={lon!r} +ellps=WGS84 +units=m"
    code = 3413 if lat >= 0 else 3976
    x, y = transform(plane, f"EPSG:{code}", east, north)
    points = zip(row.ravel(), col.ravel(), np.ravel(x), np.ravel(y))
    gcps = tuple(GroundControlPoint(float(r), float(c), float(x), float(y)) for r, c, x, y in points)
    return Grid(rows, cols, wkt_of(code), gcps=gcps)


def wkt_of(code: int) -> str:
    """Return the WKT of an EPSG code."""
    from rasterio.crs import CRS

    with environment():
        return CRS.from_epsg(code).to_wkt()
