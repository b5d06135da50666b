"""Where maps lie: units, packing and order of axes, grid mappings, time steps, latitudes and longitudes of cells."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import ParameterError, SceneError
from floelens.plugin.io.environment.crs import parse_crs
from floelens.plugin.io.formats.amsr2 import open_amsr2
from floelens.plugin.io.formats.product import ImportOptions
from floelens.tests.plugin.io.formats.cf.gridded import (
    CELL,
    LATLON,
    LEFT,
    POLAR,
    TOP,
    field,
    stored,
    truth,
    write_map,
)
from floelens.tests.plugin.io.old_hdf5 import old_hdf5
from floelens.tests.plugin.io.rasters import affine_grid, gcp_grid


def read(path, scene=None, scene_time=None, **options):
    return open_amsr2([str(path)], ImportOptions(**options), scene, scene_time)


def misses(product) -> float:
    """Return by how many K the map differs at most from the truth at the places where its cells lie."""
    raster = product.rasters["mwr"]
    grid = raster.grid
    lon, lat = grid.pixel_to_lonlat(*(np.mgrid[: grid.rows, : grid.cols] + 0.5))
    x, y = pyproj.Transformer.from_crs(4326, pyproj.CRS.from_cf(POLAR), always_xy=True).transform(lon, lat)
    return float(np.nanmax(np.abs(raster.values[0] - truth(x, y))))


@pytest.mark.parametrize(
    "change",
    [
        {"unit": "km", "metres": 1000.0},
        {"unit": "kilometre", "metres": 1000.0},
        {"unit": "1e3 m", "metres": 1000.0},
        {"unit": "10 km", "metres": 10_000.0},
        {"unit": "feet", "metres": 0.3048},
        {"unit": "miles", "metres": 1609.344},
        {"unit": None},
        {"order": ("x", "y")},
        {"order": ("x", "y"), "names": {"x": "n1", "y": "n2"}},
        {"south_up": True, "west_left": False},
        {"axis": stored("i4", scale_factor=2.5, add_offset=LEFT)},
        {"axis": stored("i2", scale_factor=0.1, add_offset=0.0), "unit": "km", "metres": 1000.0},
        {"axis": stored("f4")},
        {"names": {"x": "xc", "y": "yc"}, "axis_attributes": False},
        {"form": "NETCDF3_CLASSIC"},
        {"form": "NETCDF3_64BIT_OFFSET"},
        {"form": "NETCDF3_64BIT_DATA"},
        {"write": stored("u2", 65535, scale_factor=0.01)},
        {"write": stored("i2", -1, scale_factor=0.005, _Unsigned="true")},
        {"attributes": {"units": "degC"}, "channels": {"tb36v": field() - 273.15}},
        {"attributes": {"units": "0.01 K"}, "channels": {"tb36v": field() * 100}},
    ],
    ids=lambda case: "-".join(case) or "plain",
)
@pytest.mark.parametrize("rows", [14, 18])
def test_a_map_lies_where_its_axes_say_however_they_are_written(tmp_path, change, rows):
    change = {"channels": {"tb36v": field()}, **change}
    change["channels"] = {name: values[:, :] for name, values in change["channels"].items()}
    if rows == 18:  # square: sizes tell nothing
        offset = next(iter(change["channels"].values())) - field()
        scale = 100.0 if change.get("attributes", {}).get("units") == "0.01 K" else 1.0
        square = field(18) * scale if scale != 1.0 else field(18) + offset[0, 0]
        change["channels"] = {"tb36v": square}
    product = read(write_map(tmp_path / "amsr2.nc", **change))
    grid = product.rasters["mwr"].grid
    assert (grid.rows, grid.cols) == (rows, 18)
    np.testing.assert_allclose(grid.transform, (CELL, 0, LEFT, 0, -CELL, TOP), rtol=0, atol=0.6)
    assert misses(product) < 0.01


def crs_first(mapping):
    return lambda dataset: dataset.createVariable("a_first", "i4").setncatts(mapping)


SOUTH = {
    **POLAR,
    "straight_vertical_longitude_from_pole": 0.0,
    "latitude_of_projection_origin": -90.0,
    "standard_parallel": -70.0,
}


@pytest.mark.parametrize("other", [LATLON, SOUTH], ids=["geographic", "south"])
@pytest.mark.parametrize("told", ["crs", "a_first: lat lon crs: x y"])
def test_the_grid_mapping_is_the_one_that_the_variable_names(tmp_path, other, told):
    path = write_map(tmp_path / "amsr2.nc", more=crs_first(other), attributes={"grid_mapping": told})
    assert misses(read(path)) < 1e-3


def test_a_variable_that_names_no_grid_mapping_takes_the_only_one_that_fits_its_axes(tmp_path):
    def unnamed(dataset, name, dims, values, attributes):
        dataset.createVariable(name, "f4", dims)[:] = values

    path = write_map(tmp_path / "amsr2.nc", more=crs_first(LATLON), write=unnamed)
    assert misses(read(path)) < 1e-3
    path = write_map(tmp_path / "amsr2.nc", more=crs_first(SOUTH), write=unnamed)
    with pytest.raises(SceneError, match="which of the grid mappings a_first, crs is its own"):
        read(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"unit": "furlong"}, "'furlong', which is no unit that is known"),
        ({"unit": "degrees"}, "in degrees, but its grid mapping is a map projection"),
        ({"mapping": LATLON}, "in m, but its grid mapping has longitudes"),
        ({"unit": None, "metres": 1000.0}, "cells would be 5.16 m wide"),
        (
            {"attributes": {"grid_mapping": "gone"}},
            r"names the grid mapping 'gone', which is not there \(there are crs",
        ),
        ({"mapping": None}, "no grid mapping"),
        ({"attributes": {"units": "furlong"}}, "'furlong', which is no unit of temperature"),
        ({"channels": {"tb36v": field() - 273.15}}, r"50 … 350 K. They may be in °C"),
        ({"channels": {"tb36v": field() * 100}}, r"50 … 350 K. They may be in hundredths of K"),
    ],
)
def test_what_cannot_be_placed_or_is_no_temperature_is_a_sentence(tmp_path, change, sentence):
    path = write_map(tmp_path / "amsr2.nc", **change)
    with pytest.raises(SceneError, match=sentence) as told:
        read(path)
    assert "amsr2.nc" in str(told.value)
    assert len(str(told.value)) - len(path) < 400


def hours(dataset):
    dataset.createDimension("time", 3)
    time = dataset.createVariable("time", "f8", ("time",))
    time.units, time.standard_name = "hours since 2020-03-15 00:00:00", "time"
    time[:] = (6, 18, 30)


STEPS = {"tb36v": np.stack([field() + k for k in range(3)])}


@pytest.mark.parametrize(
    ("wanted", "scene_time", "step"),
    [
        ("2", None, 1),
        ("2020-03-16", None, 1),
        ("2020-03-16T05:00Z", None, 2),
        ("", datetime(2020, 3, 15, 5, tzinfo=timezone.utc), 0),
        ("3", datetime(2020, 3, 15, 5, tzinfo=timezone.utc), 2),
    ],
)
def test_a_time_step_is_the_one_asked_for_or_the_nearest_to_the_scene(tmp_path, wanted, scene_time, step):
    path = write_map(tmp_path / "amsr2.nc", STEPS, more=hours)
    product = read(path, scene_time=scene_time, time=wanted)
    np.testing.assert_array_equal(product.rasters["mwr"].values[0], (field() + step).astype(np.float32))
    assert product.time == datetime(2020, 3, 15 + (step == 2), (6, 18, 6)[step], tzinfo=timezone.utc)


def test_several_time_steps_are_not_chosen_by_chance(tmp_path):
    path = write_map(tmp_path / "amsr2.nc", STEPS, more=hours)
    with pytest.raises(
        SceneError, match=r"3 time steps, 2020-03-15T06:00 to 2020-03-16T06:00.*Name one in TIME"
    ):
        read(path)
    with pytest.raises(ParameterError, match="TIME is '4', which names no step"):
        read(path, time="4")
    late = read(path, scene_time=datetime(2020, 3, 20, tzinfo=timezone.utc))
    assert any("90 h away" in text for text in late.warnings)
    without = write_map(tmp_path / "b.nc", STEPS)
    with pytest.raises(SceneError, match=r"3 time steps without times.*its number, 1 to 3"):
        read(without, scene_time=datetime(2020, 3, 20, tzinfo=timezone.utc))


def with_places(crs, rows=40, cols=50, left=LEFT, top=TOP, cell=CELL, twist=0.0):
    """Return what adds latitudes and longitudes of each cell of a map in a CRS, and the map's values there."""
    j, i = np.meshgrid(np.arange(cols) + 0.5, np.arange(rows) + 0.5)
    x, y = left + cell * (j + twist * i**2), top - cell * i
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)

    def add(dataset):
        dataset.createDimension("row", rows)
        dataset.createDimension("cell", cols)
        for name, values, unit in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            variable = dataset.createVariable(name, "f8", ("row", "cell"))
            variable.units = unit
            variable[:] = values

    return add, waves(lon, lat)


def waves(lon, lat):
    """Return temperatures that change by less than 1.2 K from cell to cell."""
    x, y = pyproj.Transformer.from_crs(4326, 3413, always_xy=True).transform(lon, lat)
    return 200.0 + 40.0 * np.sin(x / 2e5) + 30.0 * np.cos(y / 3e5)


def write_places(path, add, values, dims=("row", "cell")):
    from floelens.tests.plugin.io.formats.cf.gridded import netCDF4

    with netCDF4.Dataset(path, "w") as dataset:
        add(dataset)
        variable = dataset.createVariable("tb36v", "f8", dims)
        variable.setncatts({"units": "K", "coordinates": "lat lon"})
        variable[:] = values if dims == ("row", "cell") else values.T
    return path


@pytest.mark.parametrize(
    ("crs", "twist"),
    [(pyproj.CRS.from_cf(POLAR), 0.0), ("EPSG:6931", 0.0), ("EPSG:3413", 0.004), ("EPSG:3995", 0.002)],
    ids=["own polar", "EASE-2", "bent", "bent and turned"],
)
@pytest.mark.parametrize("dims", [("row", "cell"), ("cell", "row")])
def test_a_grid_with_latitudes_and_longitudes_lies_where_they_say_not_over_the_scene(
    tmp_path, crs, twist, dims
):
    add, values = with_places(crs, twist=twist)
    path = write_places(tmp_path / "amsr2.nc", add, values, dims)
    middle = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(
        LEFT + 25 * CELL, TOP - 20 * CELL
    )
    scene = gcp_grid(middle, 1000, 1250, 80.0)  # as if its cells were nested in it
    product = read(path, scene)
    raster = product.rasters["mwr"]
    lon, lat = raster.grid.pixel_to_lonlat(*(np.mgrid[: raster.grid.rows, : raster.grid.cols] + 0.5))
    assert np.abs(raster.values[0] - waves(lon, lat)).max() < 0.3  # a quarter of a cell
    assert product.found["laid_on_scene"].startswith("MWR keeps its own grid")


def test_a_grid_of_the_other_hemisphere_does_not_overlap_the_scene(tmp_path):
    add, _ = with_places("EPSG:3976", left=-1e6, top=1e6)
    path = write_places(tmp_path / "amsr2.nc", add, field(40, 50))
    with pytest.raises(SceneError, match="does not overlap the scene"):
        read(path, gcp_grid((20.0, 79.0), 1000, 1250, 80.0))
    path = write_map(tmp_path / "b.nc")
    with pytest.raises(SceneError, match="does not overlap the scene"):
        read(path, affine_grid(200, 200, 80.0))


def test_a_grid_around_the_earth_without_a_projection_is_refused(tmp_path):
    lon, lat = np.meshgrid(np.arange(0.0, 360.0, 4.0), np.arange(-88.0, 90.0, 4.0))

    def add(dataset):
        for name, size in (("row", lon.shape[0]), ("cell", lon.shape[1])):
            dataset.createDimension(name, size)
        for name, values in (("lat", lat), ("lon", lon)):
            dataset.createVariable(name, "f8", ("row", "cell"))[:] = values

    path = write_places(tmp_path / "amsr2.nc", add, 200.0 + 0 * lat)
    with pytest.raises(SceneError, match="no map that can be drawn without folds"):
        read(path)


def test_longitudes_to_360_are_turned_to_where_places_are_looked_for(tmp_path):
    from floelens.tests.plugin.io.formats.cf.gridded import netCDF4

    lon, lat = np.arange(0.25, 360.0, 0.5), np.arange(60.25, 90.0, 0.5)
    values = 150.0 + lon[None, :] / 4.0 + 0 * lat[:, None]
    with netCDF4.Dataset(tmp_path / "amsr2.nc", "w") as dataset:
        for name, axis in (("lat", lat), ("lon", lon)):
            dataset.createDimension(name, len(axis))
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createVariable("tb36v", "f8", ("lat", "lon"))[:] = values
    raster = read(tmp_path / "amsr2.nc").rasters["mwr"]
    row, col = (int(at) for at in raster.grid.lonlat_to_pixel(-90.1, 75.1))
    assert raster.values[0, row, col] == np.float32(150.0 + 269.75 / 4.0)
    assert raster.grid.transform[2] == -180.0
    assert raster.grid.transform[5] == 90.0


def test_wkt_in_other_units_than_metres_is_met_by_the_axes(tmp_path):
    crs = pyproj.CRS("+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +ellps=WGS84 +units=km")
    path = write_map(tmp_path / "amsr2.nc", mapping={"crs_wkt": crs.to_wkt()})
    grid = read(path).rasters["mwr"].grid
    assert grid.transform[0] == pytest.approx(5.0)
    assert parse_crs(grid.crs).axis_info[0].unit_conversion_factor == 1000.0


def test_a_code_or_a_proj_string_is_a_grid_mapping_too(tmp_path):
    for mapping in (
        {"epsg_code": "EPSG:3413"},
        {"proj4_string": "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45 +datum=WGS84"},
    ):
        assert misses(read(write_map(tmp_path / "amsr2.nc", mapping=mapping))) < 1e-3


@pytest.mark.parametrize("rows", [12, 9])
def test_dimensions_without_names_are_rows_and_columns_in_this_order(tmp_path, rows):
    lat, lon = (
        (80.0 - 0.5 * np.arange(rows)).astype(np.float32),
        (10.0 + 0.5 * np.arange(12)).astype(np.float32),
    )
    values = 200.0 + 2.0 * lon[None, :] - lat[:, None]
    path = tmp_path / "amsr2.h5"
    path.write_bytes(old_hdf5({"tb36v": values, "lat": lat, "lon": lon}, {"title": "AMSR2"}))
    product = read(path)
    grid = product.rasters["mwr"].grid
    np.testing.assert_array_equal(product.rasters["mwr"].values[0], values)
    assert grid.transform == (0.5, 0.0, 9.75, 0.0, -0.5, 80.25)
    assert any("does not name the dimensions" in text for text in product.warnings)


def test_channels_on_different_grids_are_refused(tmp_path):
    from floelens.tests.plugin.io.formats.cf.gridded import netCDF4

    path = write_map(tmp_path / "amsr2.nc", {"tb36v": field()})
    with netCDF4.Dataset(path, "a") as dataset:
        for dim, size in (("x89", 36), ("y89", 28)):
            dataset.createDimension(dim, size)
            axis = dataset.createVariable(dim, "f8", (dim,))
            axis.units = "m"
            axis[:] = (LEFT + 2500.0 * np.arange(size)) if dim == "x89" else (TOP - 2500.0 * np.arange(size))
        variable = dataset.createVariable("tb89v", "f8", ("y89", "x89"))
        variable.grid_mapping = "crs"
        variable[:] = 200.0
    with pytest.raises(SceneError, match="lie on several grids"):
        read(path)
