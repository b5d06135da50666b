"""The annotation of an image: its size, times and processing, and the geolocation grid.

Line and pixel of the geolocation grid are zero-based indices of samples: the grid's first point has
the zero-Doppler time and slant range time of the image's first line and sample, and its last point
the index size − 1. A sample is the centre of its pixel, so that index i lies at i + 0.5 in
coordinates whose zero is the outer corner of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from rasterio.crs import CRS

from ...environment.crs import LONLAT, mean_position, transform
from ...files.raster import environment
from ...geometry.grid import Grid, GroundControlPoint
from .xml import Node

CENTRE = 0.5
"""What turns the index of a sample into its pixel coordinate."""
_MOST_COLS, _MOST_ROWS = 100_000, 1_000_000
_MOST_POINTS = 100_000
_POLAR_LATITUDE = 45.0


@dataclass(frozen=True)
class TiePoints:
    """The geolocation grid.

    Parameters
    ----------
    lines, pixels : numpy.ndarray
        (row,) and (column,) of the grid: zero-based indices of samples, increasing, float64.
    longitude, latitude, height, incidence : numpy.ndarray
        (row, column), degrees, degrees, metres, degrees; float64.
    """

    lines: np.ndarray
    pixels: np.ndarray
    longitude: np.ndarray
    latitude: np.ndarray
    height: np.ndarray
    incidence: np.ndarray

    def fill_incidence(self, lines: np.ndarray, pixels: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` with incidence angles in degrees, bilinear in the grid.

        Parameters
        ----------
        lines, pixels : numpy.ndarray
            Indices of samples, zero-based, whole or not; the outermost values hold beyond the grid.
        out : numpy.ndarray
            (line, pixel) float32.
        """
        across = np.stack([np.interp(pixels, self.pixels, values) for values in self.incidence])
        last = len(self.lines) - 1
        place = np.interp(lines, self.lines, np.arange(last + 1.0))
        above = np.minimum(place.astype(int), last - 1)
        share = (place - above).astype(np.float32)
        for number in np.unique(above):
            base = across[number].astype(np.float32)
            step = (across[number + 1] - across[number]).astype(np.float32)
            for i in np.flatnonzero(above == number):
                np.multiply(step, share[i], out=out[i])
                out[i] += base


@dataclass(frozen=True)
class Annotation:
    """What the annotation says of one polarisation.

    Parameters
    ----------
    mission, product_type, polarisation, mode : str
        ``S1A``, ``GRD``, ``hh`` (lower case), ``EW``.
    start, stop : datetime
        Of the acquisition, UTC.
    direction : str
        ``Ascending`` or ``Descending``.
    heading : float
        Of the platform, degrees from north.
    orbit : int
        Absolute orbit number.
    rows, cols : int
        Size of the image.
    spacing : tuple of float
        Metres between lines and between pixels.
    tie_points : TiePoints
        The geolocation grid.
    noise_removed : bool
        Whether the processor has subtracted the thermal noise already.
    """

    mission: str
    product_type: str
    polarisation: str
    mode: str
    start: datetime
    stop: datetime
    direction: str
    heading: float
    orbit: int
    rows: int
    cols: int
    spacing: tuple[float, float]
    tie_points: TiePoints
    noise_removed: bool

    def grid(self) -> Grid:
        """Return the image's grid: its tie points in a projection that suits their latitude.

        Polar stereographic above 45°, because programs that fit a polynomial through tie points in
        degrees err by kilometres near the pole; else the UTM zone of the centre.
        """
        points = self.tie_points
        lon, lat = mean_position(points.longitude, points.latitude)
        if abs(lat) >= _POLAR_LATITUDE:
            code = 3413 if lat > 0 else 3976
        else:
            code = (32600 if lat >= 0 else 32700) + min(60, int((lon + 180.0) % 360.0 // 6) + 1)
        with environment():
            crs = CRS.from_epsg(code).to_wkt()
        x, y = transform(LONLAT, crs, points.longitude, points.latitude)
        lines, pixels = np.meshgrid(points.lines + CENTRE, points.pixels + CENTRE, indexing="ij")
        values = zip(lines.ravel(), pixels.ravel(), x.ravel(), y.ravel(), points.height.ravel())
        gcps = tuple(GroundControlPoint(*(float(value) for value in point)) for point in values)
        return Grid(self.rows, self.cols, crs, gcps=gcps)


def read_annotation(root: Node) -> Annotation:
    """Return what an annotation file says.

    Raises
    ------
    SceneError
        It is malformed, or its geolocation grid does not cover the image.
    """
    information = "imageAnnotation/imageInformation"
    rows = root.integer(f"{information}/numberOfLines")
    cols = root.integer(f"{information}/numberOfSamples")
    if not (1 <= rows <= _MOST_ROWS and 1 <= cols <= _MOST_COLS):
        raise root.error(f"describes an image of {rows} x {cols} pixels, which is no Sentinel-1 scene")
    spacing = (
        root.number(f"{information}/azimuthPixelSpacing"),
        root.number(f"{information}/rangePixelSpacing"),
    )
    removed = root.text("imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed", default="")
    return Annotation(
        mission=root.text("adsHeader/missionId"),
        product_type=root.text("adsHeader/productType"),
        polarisation=root.text("adsHeader/polarisation").lower(),
        mode=root.text("adsHeader/mode"),
        start=root.time("adsHeader/startTime"),
        stop=root.time("adsHeader/stopTime"),
        direction=root.text("generalAnnotation/productInformation/pass", default="unknown"),
        heading=root.number("generalAnnotation/productInformation/platformHeading"),
        orbit=root.integer("adsHeader/absoluteOrbitNumber"),
        rows=rows,
        cols=cols,
        spacing=spacing,
        tie_points=_tie_points(root, rows, cols),
        noise_removed=removed.lower() == "true",
    )


def _tie_points(root: Node, rows: int, cols: int) -> TiePoints:
    nodes = root.all("geolocationGrid/geolocationGridPointList/geolocationGridPoint")
    if not 4 <= len(nodes) <= _MOST_POINTS:
        raise root.error(f"has {len(nodes)} geolocation grid points")
    names = ("line", "pixel", "longitude", "latitude", "height", "incidenceAngle")
    table = np.array([[node.number(name) for name in names] for node in nodes])
    lines, line_number = np.unique(table[:, 0], return_inverse=True)
    pixels, pixel_number = np.unique(table[:, 1], return_inverse=True)
    # Products cut or put together by other programs may repeat points; holes cannot be mended.
    if len(lines) < 2 or len(pixels) < 2 or len(lines) * len(pixels) > len(table):
        raise root.error("has a geolocation grid with holes")
    values = np.full((4, len(lines), len(pixels)), np.nan)
    values[:, line_number.ravel(), pixel_number.ravel()] = table[:, 2:].T
    if np.isnan(values).any():
        raise root.error("has a geolocation grid with holes")
    longitude, latitude, height, incidence = values
    if (np.abs(latitude) > 90).any() or (np.abs(longitude) > 360).any():
        raise root.error("has geolocation grid points that are not on the Earth")
    if (incidence <= 0).any() or (incidence >= 90).any():
        raise root.error("has incidence angles outside of 0 to 90 degrees")
    slack = (np.diff(lines).max(), np.diff(pixels).max())
    if (
        lines[0] > slack[0]
        or pixels[0] > slack[1]
        or lines[-1] < rows - 1 - slack[0]
        or pixels[-1] < cols - 1 - slack[1]
    ):
        raise root.error(f"has a geolocation grid that does not cover the image of {rows} x {cols} pixels")
    return TiePoints(lines, pixels, longitude, latitude, height, incidence)
