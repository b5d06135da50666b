"""Display copies and footprints, judged by the exact places of images."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pyproj
import pytest
import rasterio
from floelens.plugin.ground.errors import Cancelled, OutputError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.environment.crs import same_crs
from floelens.plugin.io.files.raster import Raster
from floelens.plugin.io.geometry.grid import Grid, GroundControlPoint
from floelens.plugin.io.geometry.vector import Polygons, parts_of
from floelens.plugin.io.geometry.zones import PolygonIndex
from floelens.plugin.io.rasters.display import display_crs, display_grid, footprint, write_display_copy
from floelens.plugin.io.rasters.writer import Band, Outputs, RasterWriter
from floelens.tests.plugin.io.rasters import (
    LONLAT,
    NORTH,
    PLACES,
    UTM33,
    affine_grid,
    exact_place,
    gcp_grid,
    write_raster,
)
from osgeo import gdal, osr

SOUTH = pyproj.CRS("EPSG:3976").to_wkt()


def places_of(grid, dtype=np.float32):
    """Return (2, row, column): at every pixel's centre its own row and column."""
    row, col = np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")
    return np.stack([row, col]).astype(dtype)


def centres(grid):
    return np.meshgrid(np.arange(grid.rows) + 0.5, np.arange(grid.cols) + 0.5, indexing="ij")


def read(path):
    with rasterio.open(path) as file:
        return file.read(), file.profile, file.descriptions, file.units, file.tags()


@pytest.mark.parametrize("mirrored", [False, True], ids=["plain", "mirrored"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_every_pixel_of_the_copy_lies_where_it_belongs(tmp_path, place, mirrored):
    grid = gcp_grid(place, rows=300, cols=360, size=400.0, mirrored=mirrored)
    inverse = exact_place(*place, 300, 360, 400.0, 193.0, mirrored)[1]
    source = write_raster(tmp_path / "scene.tif", places_of(grid), grid, nodata=np.nan)
    shown = write_display_copy(source, tmp_path / "copy.tif")
    values, profile, *_ = read(tmp_path / "copy.tif")
    assert Grid.from_file(tmp_path / "copy.tif").same_as(shown)
    assert same_crs(shown.crs, NORTH if place[1] > 0 else SOUTH)
    assert profile["dtype"] == "float32"
    assert np.isnan(profile["nodata"])
    row, col = inverse(*shown.pixel_to_lonlat(*centres(shown)))
    inside = (row > 0.1) & (row < 299.9) & (col > 0.1) & (col < 359.9)
    outside = (row < -0.1) | (row > 300.1) | (col < -0.1) | (col > 360.1)
    assert inside.sum() > 0.9 * 300 * 360
    assert np.isfinite(values[:, inside]).all()
    assert np.isnan(values[:, outside]).all()
    # Half a pixel is what is promised; at the outermost half pixel there is nothing to interpolate to.
    well = (row > 0.5) & (row < 299.5) & (col > 0.5) & (col < 359.5)
    error = np.abs(values - np.stack([row, col]))[:, well].max()
    assert error < 0.05
    assert np.abs(values - np.stack([row, col]))[:, inside].max() <= 0.5


@pytest.mark.parametrize("place", ["svalbard", "antimeridian near the pole"])
def test_classes_come_from_the_nearest_pixel(tmp_path, place):
    grid = gcp_grid(PLACES[place], rows=200, cols=240, size=400.0)
    inverse = exact_place(*PLACES[place], 200, 240, 400.0, 193.0)[1]
    classes = np.arange(200 * 240).reshape(1, 200, 240) % 200
    source = write_raster(tmp_path / "scene.tif", classes.astype(np.uint8), grid, nodata=255)
    shown = write_display_copy(source, tmp_path / "copy.tif")
    values, profile, *_ = read(tmp_path / "copy.tif")
    assert (profile["dtype"], profile["nodata"]) == ("uint8", 255)
    row, col = inverse(*shown.pixel_to_lonlat(*centres(shown)))
    inside = (row > 0.1) & (row < 199.9) & (col > 0.1) & (col < 239.9)
    # Near the edge between two pixels either may be taken.
    sure = inside & (np.abs(row % 1 - 0.5) < 0.4) & (np.abs(col % 1 - 0.5) < 0.4)
    expected = classes[0, row[sure].astype(int), col[sure].astype(int)]
    np.testing.assert_array_equal(values[0, sure], expected)
    assert (values[0, inside] != 255).all()
    assert (values == 255).any()


def test_classes_without_a_nodata_value_get_one_outside_of_them(tmp_path):
    grid = gcp_grid(rows=50, cols=60)
    source = write_raster(tmp_path / "scene.tif", np.full((1, 50, 60), 255, np.uint8), grid)
    write_display_copy(source, tmp_path / "copy.tif")
    values, profile, *_ = read(tmp_path / "copy.tif")
    assert (profile["dtype"], profile["nodata"]) == ("int16", -32768)
    assert set(np.unique(values)) == {255, -32768}


def test_names_units_tags_colours_and_class_names_are_kept(tmp_path):
    grid = gcp_grid(rows=50, cols=60)
    path = tmp_path / "stage.tif"
    with RasterWriter(
        path, grid, [Band("stage", "class", {"note": "x"})], dtype="uint8", nodata=255, tags={"method": "chart"},
        colours={3: (155, 210, 0)}, categories={3: "thin first-year ice"},
    ) as raster:  # fmt: skip
        raster.write(np.full((1, 50, 60), 3, np.uint8))
    write_display_copy(path, tmp_path / "copy.tif", tags={"more": "yes"})
    _, _, names, units, tags = read(tmp_path / "copy.tif")
    assert (names, units) == (("stage",), ("class",))
    assert {"method": "chart", "more": "yes", "display_copy": "nearest"}.items() <= tags.items()
    with rasterio.open(tmp_path / "copy.tif") as copy:
        assert copy.colormap(1)[3] == (155, 210, 0, 255)
        assert copy.tags(1)["CLASS_3"] == "thin first-year ice"
        assert copy.tags(1)["note"] == "x"
        assert copy.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_pixels_are_about_as_large_as_the_images_own():
    for place in PLACES.values():
        grid = gcp_grid(place, rows=100, cols=120, size=80.0)
        shown = display_grid(grid)
        assert shown.pixel_size() == pytest.approx(80.0, rel=0.01)
        # A turned image of 100 x 120 pixels fits into 156 x 156.
        assert max(shown.rows, shown.cols) < 165


def test_a_polar_stereographic_grid_is_kept(tmp_path):
    grid = Grid(60, 80, NORTH, transform=(80.0, 0.0, 1e6, 0.0, -80.0, -7e5))
    assert display_grid(grid) is grid
    source = write_raster(tmp_path / "scene.tif", places_of(grid), grid, nodata=np.nan)
    write_display_copy(source, tmp_path / "copy.tif")
    np.testing.assert_array_equal(read(tmp_path / "copy.tif")[0], places_of(grid))
    assert Grid.from_file(tmp_path / "copy.tif").same_as(grid)


@pytest.mark.parametrize(
    "grid",
    [
        affine_grid(),
        affine_grid(turn=30.0),
        Grid(60, 80, NORTH, transform=(70.0, 30.0, 1e6, 30.0, -70.0, -7e5)),
    ],
    ids=["utm", "rotated utm", "rotated polar stereographic"],
)
def test_other_affine_grids_are_brought_north_up(tmp_path, grid):
    source = write_raster(tmp_path / "scene.tif", places_of(grid), grid, nodata=np.nan)
    shown = write_display_copy(source, tmp_path / "copy.tif")
    assert same_crs(shown.crs, NORTH)
    assert shown.transform[1] == shown.transform[3] == 0
    values = read(tmp_path / "copy.tif")[0]
    row, col = grid.lonlat_to_pixel(*shown.pixel_to_lonlat(*centres(shown)))
    well = (row > 0.5) & (row < 59.5) & (col > 0.5) & (col < 79.5)
    assert well.sum() > 0.9 * 60 * 80
    assert np.abs(values - np.stack([row, col]))[:, well].max() < 0.05


def test_a_raster_of_longitudes_and_latitudes_is_shown_around_the_pole(tmp_path):
    grid = Grid(60, 360, LONLAT, transform=(1.0, 0.0, -180.0, 0.0, -0.5, 90.0))
    source = write_raster(tmp_path / "scene.tif", places_of(grid), grid, nodata=np.nan)
    shown = write_display_copy(source, tmp_path / "copy.tif")
    values = read(tmp_path / "copy.tif")[0]
    lon, lat = shown.pixel_to_lonlat(*centres(shown))
    well = (lat > 60.5) & (lat < 89) & (np.abs(lon) < 179)
    assert np.abs(values[0] - (90 - lat) * 2)[well].max() < 0.01
    assert np.abs(values[1] - (lon + 180))[well].max() < 0.01
    # At the seam there is nothing between the first and the last column.
    seam = (lat > 60.5) & (np.abs(lon) > 179.6)
    assert seam.sum() > 20
    assert np.minimum(values[1][seam], 360 - values[1][seam]).max() < 1.0


def test_a_raster_of_the_whole_earth_is_a_sentence(tmp_path):
    grid = Grid(90, 180, LONLAT, transform=(2.0, 0.0, -180.0, 0.0, -2.0, 90.0))
    source = write_raster(tmp_path / "earth.tif", places_of(grid), grid)
    with pytest.raises(SceneError, match="too far from the pole"):
        write_display_copy(source, tmp_path / "copy.tif")
    assert not (tmp_path / "copy.tif").exists()


@pytest.mark.parametrize("mirrored", [False, True], ids=["plain", "mirrored"])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_footprint_overlies_the_copy(place, mirrored):
    grid = gcp_grid(place, rows=300, cols=360, size=400.0, mirrored=mirrored)
    shown, outline = display_grid(grid), footprint(grid)
    assert isinstance(outline, Polygons)
    assert same_crs(outline.crs, shown.crs)
    ring = parts_of(outline.wkb[0])[0][0][0]
    assert len(ring) > 400
    assert (ring[0] == ring[-1]).all()
    x, y = ring.T
    assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0
    row, col = exact_place(*place, 300, 360, 400.0, 193.0, mirrored)[1](
        *shown.pixel_to_lonlat(*centres(shown))
    )
    sure = np.minimum.reduce([np.abs(row), np.abs(row - 300), np.abs(col), np.abs(col - 360)]) > 0.1
    inside = (row > 0) & (row < 300) & (col > 0) & (col < 360)
    found = PolygonIndex(outline, shown).mask(shown.window)
    np.testing.assert_array_equal(found[sure], inside[sure])


def test_the_crs_is_that_of_the_hemisphere():
    assert same_crs(display_crs(gcp_grid(PLACES["svalbard"])), NORTH)
    assert same_crs(display_crs(gcp_grid(PLACES["south pole"])), SOUTH)
    assert same_crs(display_crs(affine_grid(crs=UTM33)), NORTH)


class Watched(Silent):
    def __init__(self, stop_at=2.0):
        self.fractions, self.stop_at = [], stop_at

    def report(self, fraction, text=""):
        self.fractions.append(fraction)

    def cancelled(self):
        return bool(self.fractions) and self.fractions[-1] >= self.stop_at


def test_progress_is_reported_and_a_cancelled_copy_leaves_nothing(tmp_path):
    grid = gcp_grid(rows=1300, cols=40)
    source = write_raster(tmp_path / "scene.tif", np.zeros((1, 1300, 40), np.float32), grid)
    watched = Watched()
    write_display_copy(source, tmp_path / "copy.tif", watched)
    assert watched.fractions == sorted(watched.fractions)
    assert len(watched.fractions) == 2
    assert watched.fractions[-1] == 1.0
    with pytest.raises(Cancelled):
        write_display_copy(source, tmp_path / "other.tif", Watched(stop_at=0.1))
    assert {path.name for path in tmp_path.iterdir()} == {"scene.tif", "copy.tif"}


def test_no_read_grows_with_the_scene(tmp_path, monkeypatch):
    # A turned image: a whole strip of the copy would need nearly all of it.
    grid = gcp_grid(rows=1500, cols=1700, heading=225.0)
    path = str(tmp_path / "scene.tif")
    write_raster(tmp_path / "scene.tif", np.zeros((1, 1500, 1700), np.uint8), grid, nodata=255, tiled=True)
    sizes = []
    whole = Raster.read

    def noted(self, bands, window):
        sizes.append(window.rows * window.cols)
        return whole(self, bands, window)

    monkeypatch.setattr(Raster, "read", noted)
    write_display_copy(path, tmp_path / "copy.tif")
    assert len(sizes) > 5
    assert max(sizes) <= 3 * 512 * 512


def test_the_copy_does_not_replace_its_source(tmp_path):
    grid = gcp_grid(rows=50, cols=60)
    source = write_raster(tmp_path / "scene.tif", np.zeros((1, 50, 60), np.float32), grid)
    with pytest.raises(OutputError, match="is the raster itself"):
        write_display_copy(source, source)


def test_a_copy_may_appear_together_with_other_files(tmp_path):
    grid = gcp_grid(rows=50, cols=60)
    source = write_raster(tmp_path / "scene.tif", np.zeros((1, 50, 60), np.float32), grid)
    with pytest.raises(ZeroDivisionError), Outputs() as outputs:
        write_display_copy(source, tmp_path / "copy.tif", outputs=outputs)
        _ = 1 / 0
    assert not (tmp_path / "copy.tif").exists()
    with Outputs() as outputs:
        write_display_copy(source, tmp_path / "copy.tif", outputs=outputs)
    assert (tmp_path / "copy.tif").exists()


def extra_wide_swath(rows=10_000, cols=10_400, size=40.0, lat=80.0, points=21):
    """Return a grid with the tie points of a scene of a satellite in Sentinel-1's orbit, looking to the right.

    The ground track is that of a circular orbit over the turning Earth; a line of the image is the
    geodesic across it, from 200 km to the right of the track on.
    """
    inclination, period, day = np.radians(98.18), 98.6 * 60, 86164.1
    earth = pyproj.Geod(ellps="WGS84")

    def track(seconds):
        angle = start + 2 * np.pi * seconds / period
        latitude = np.arcsin(np.sin(inclination) * np.sin(angle))
        longitude = np.arctan2(np.cos(inclination) * np.sin(angle), np.cos(angle)) - 2 * np.pi * seconds / day
        return np.degrees(longitude), np.degrees(latitude)

    # Descending over `lat`.
    start = np.pi - np.arcsin(min(1.0, np.sin(np.radians(lat)) / np.sin(inclination)))
    speed = earth.inv(*track(0.0), *track(1.0))[2]
    row, col = np.meshgrid(np.linspace(0, rows, points), np.linspace(0, cols, points), indexing="ij")
    seconds = row * size / speed
    lon, lat = track(seconds)
    heading = earth.inv(lon, lat, *track(seconds + 0.1))[0]
    lon, lat, _ = earth.fwd(lon, lat, heading + 90.0, 200_000.0 + col * size)
    x, y = pyproj.Transformer.from_crs(LONLAT, NORTH, always_xy=True).transform(lon, lat)
    corners = zip(*(values.ravel().tolist() for values in (row, col, x, y)))
    return Grid(rows, cols, NORTH, gcps=tuple(GroundControlPoint(*values) for values in corners))


def shown_by_gdal(path, grid):
    """Return how far from their places marks at the tie points appear in GDAL's warped view, in pixels.

    The raster gets a mark of 9 x 9 pixels at each tie point. GDAL's view is the one QGIS shows.
    """
    options = ["SPARSE_OK=TRUE", "TILED=YES", "COMPRESS=DEFLATE"]
    raster = gdal.GetDriverByName("GTiff").Create(str(path), grid.cols, grid.rows, 1, gdal.GDT_Byte, options)
    raster.SetGCPs([gdal.GCP(g.x, g.y, 0, g.col, g.row) for g in grid.gcps], grid.crs)
    marks = [(min(max(g.row, 12), grid.rows - 12), min(max(g.col, 12), grid.cols - 12)) for g in grid.gcps]
    for row, col in marks:
        raster.GetRasterBand(1).WriteArray(np.full((9, 9), 1, np.uint8), int(col) - 4, int(row) - 4)
    raster = None
    source = gdal.Open(str(path))
    view = gdal.AutoCreateWarpedVRT(source, None, None, gdal.GRA_NearestNeighbour, 0.2)
    system = osr.SpatialReference(view.GetProjection())
    assert same_crs(system.ExportToWkt(), grid.crs)
    left, width, _, top, _, height = view.GetGeoTransform()
    misses = []
    for row, col in marks:
        x, y = grid.pixel_to_map(int(row) + 0.5, int(col) + 0.5)
        at_col, at_row = (float(x) - left) / width, (float(y) - top) / height
        reach = 40
        j, i = int(at_col) - reach, int(at_row) - reach
        j, i = (
            min(max(k, 0), limit - 2 * reach) for k, limit in ((j, view.RasterXSize), (i, view.RasterYSize))
        )
        seen = np.argwhere(view.ReadAsArray(j, i, 2 * reach, 2 * reach) == 1)
        assert len(seen) > 40
        found_row, found_col = seen.mean(axis=0) + (i + 0.5, j + 0.5)
        misses.append(np.hypot((found_col - at_col) * width, (found_row - at_row) * height))
    return np.array(misses) / grid.pixel_size()


def test_gdal_and_qgis_show_polar_stereographic_tie_points_within_two_pixels(tmp_path):
    misses = shown_by_gdal(tmp_path / "scene.tif", extra_wide_swath())
    assert len(misses) == 441
    assert misses.max() < 2.0


def real_tie_points(real_data):
    """Return line, pixel, longitude, latitude and height of the tie points of a product."""
    table = ElementTree.parse(real_data / "s1-ew-severnaya-zemlya" / "annotation" / "ew-hh.xml")
    names = ("line", "pixel", "longitude", "latitude", "height")
    points = [[float(p.find(name).text) for name in names] for p in table.iter("geolocationGridPoint")]
    return np.array(points).T


def test_gdal_shows_the_tie_points_of_a_real_scene_within_two_pixels_on_average_only(tmp_path, real_data):
    line, pixel, lon, lat, height = real_tie_points(real_data)
    x, y = pyproj.Transformer.from_crs(LONLAT, NORTH, always_xy=True).transform(lon, lat)
    sea = height < 1.0  # on mountains a tie point is displaced by up to a kilometre
    gcps = tuple(GroundControlPoint(*p) for p in np.column_stack([line, pixel, x, y])[sea].tolist())
    grid = Grid(int(line.max()) + 1, int(pixel.max()) + 1, NORTH, gcps=gcps)
    misses = shown_by_gdal(tmp_path / "scene.tif", grid)
    assert len(misses) == 425
    # Measured: 1.8 and 6.9.
    assert misses.mean() < 2.0
    assert misses.max() < 7.5
    # What the display copy is for: through the mesh the same points are met exactly.
    row, col = grid.map_to_pixel(x[sea], y[sea])
    assert np.hypot(row - line[sea], col - pixel[sea]).max() < 0.01


def test_no_projection_brings_a_polynomial_within_two_pixels_of_all_real_tie_points(real_data):
    # Why: whole lines are shifted in range, as the processor follows the height of the terrain.
    line, pixel, lon, lat, height = real_tie_points(real_data)
    sea = height < 1.0
    centre = f"+lat_0={lat.mean()} +lon_0={lon.mean()} +ellps=WGS84"
    for crs in (NORTH, f"+proj=stere {centre}", f"+proj=laea {centre}", f"+proj=tmerc {centre}"):
        x, y = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True).transform(lon, lat)
        u, v = ((axis - axis.mean()) / np.ptp(axis) for axis in (x, y))
        for order, least in ((2, 6.5), (3, 5.0)):
            powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
            design = np.stack([u**i * v**j for i, j in powers], axis=1)[sea]
            miss = [
                design @ np.linalg.lstsq(design, values[sea], rcond=None)[0] - values[sea]
                for values in (line, pixel)
            ]
            assert np.abs(miss[0]).max() < 2.0
            assert np.abs(miss[1]).max() > least
            # Most of a miss is common to its line: the spread within lines is less than half of it.
            common = np.array([np.median(miss[1][line[sea] == number]) for number in line[sea]])
            assert np.median(np.abs(miss[1] - common)) < 0.5 * np.median(np.abs(miss[1]))
