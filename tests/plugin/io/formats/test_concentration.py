"""Sea-ice concentrations as services write them: as a chart, as labels, in any unit."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.formats.labels import LabelReader
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.products import open_product
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.rasters.writer import Band, RasterWriter
from floelens.tests.plugin.io.formats.cf.gridded import LEFT, POLAR, TOP, stored, write_map
from floelens.tests.plugin.io.rasters import affine_grid

PERCENT = np.linspace(0.0, 100.0, 14 * 18).reshape(14, 18)
TITLE = "Sea ice concentration"


def open_map(path, values=PERCENT, unit="%", name="ice_conc", scene="", **change):
    attributes = {"standard_name": "sea_ice_area_fraction", **({} if unit is None else {"units": unit})}
    if unit is None:
        attributes["units"] = ""
    attributes.update(change.pop("attributes", {}))
    given = {"title": TITLE, "attributes": attributes, **change}
    return open_product(write_map(path, {name: values}, **given), ImportOptions(scene=scene))


def coarse(product):
    return product.rasters["ancillary_coarse"].values[0]


@pytest.mark.parametrize(
    ("unit", "factor", "said"),
    [
        ("%", 1.0, ""),
        ("pct", 1.0, ""),
        ("Percentage", 1.0, ""),
        ("per cent", 1.0, ""),
        ("percent (%)", 1.0, ""),
        ("0.01", 1.0, ""),
        ("1", 0.01, ""),
        ("fraction", 0.01, ""),
        ("tenths", 0.1, ""),
        (None, 0.01, "no unit, and the values are 0 to 1"),
        (None, 1.0, "no unit, but the values reach 100"),
        ("1", 1.0, "the unit is '1', but the values reach 100"),
        ("tenths", 1.0, "the unit is 'tenths', but the values reach 100"),
    ],
)
def test_units_are_read_loosely_and_where_they_are_silent_the_range_decides(tmp_path, unit, factor, said):
    with open_map(tmp_path / "a.nc", PERCENT * factor, unit) as product:
        np.testing.assert_allclose(coarse(product), PERCENT, atol=2e-5)
        assert any(said in text for text in product.warnings) if said else product.warnings == []
        assert product.rasters["ancillary_coarse"].bands[0].unit == "%"


def test_fractions_that_say_they_are_percent_are_warned_of(tmp_path):
    with open_map(tmp_path / "a.nc", PERCENT / 100.0, "%") as product:
        assert any("no value exceeds 1: next to no ice" in text for text in product.warnings)


def test_a_unit_that_is_none_of_concentration_is_refused_by_name(tmp_path):
    with pytest.raises(SceneError, match="'kg m-2', which is no unit of concentration"):
        open_map(tmp_path / "a.nc", unit="kg m-2")


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_codes_are_no_concentrations_and_land_is_land_in_the_chart(tmp_path, form):
    write = stored(
        "i2" if form == "NETCDF3_CLASSIC" else "u1",
        255,
        scale_factor=0.004,
        flag_values=np.array([251, 253, 254], "i2" if form == "NETCDF3_CLASSIC" else "u1"),
        flag_meanings="pole_hole coast land",
    )
    values = PERCENT / 100.0
    values[0, :4] = np.array([251, 253, 254, 255]) * 0.004
    with open_map(tmp_path / "a.nc", values, "1", write=write, form=form) as product:
        chart = product.rasters["chart"]
        assert [band.name for band in chart.bands] == ["concentration"]
        assert chart.nodata == 255
        assert chart.read(chart.grid.window)[0, 0, :5].tolist() == [255, 254, 254, 255, 2]
        expected = np.rint(PERCENT[1:] / 0.4) * 0.4
        np.testing.assert_allclose(coarse(product)[1:], expected, atol=1e-4)
        assert product.found["without_concentration"] == {
            "pole_hole": 1,
            "coast": 1,
            "land": 1,
            "fill value": 1,
        }


def osi_saf(dataset):
    """Add what an OSI-SAF file has beside: a time of one step, errors, a status."""
    dataset.createDimension("time", 1)
    time = dataset.createVariable("time", "f8", ("time",))
    time.setncatts({"units": "seconds since 1978-01-01 00:00:00", "axis": "T", "standard_name": "time"})
    time[:] = 1_331_812_800


def test_osi_safs_file_is_a_chart_in_its_own_time(tmp_path):
    def write(dataset, name, dims, values, attributes):
        for other, standard in (
            ("total_uncertainty", "sea_ice_area_fraction standard_error"),
            ("raw_ice_conc_values", "sea_ice_area_fraction"),
            (name, "sea_ice_area_fraction"),
            ("status_flag", "sea_ice_area_fraction status_flag"),
        ):
            variable = dataset.createVariable(other, "i4", ("time", *dims), fill_value=-999)
            variable.set_auto_maskandscale(False)
            variable.setncatts({**attributes, "standard_name": standard, "scale_factor": 0.01})
            variable[:] = np.rint(values[None] * 100.0) if other == name else 7

    with open_map(tmp_path / "ice_conc_nh.nc", write=write, more=osi_saf) as product:
        np.testing.assert_allclose(coarse(product), PERCENT, atol=0.006)
        assert product.rasters["ancillary_coarse"].bands[0].name == "sea_ice_concentration"
        assert product.kind == "Sea-ice concentration"
        assert product.time.isoformat() == "2020-03-15T12:00:00+00:00"
        assert any("'ice_conc' is taken, left out: raw_ice_conc_values" in text for text in product.warnings)


def test_bremens_file_is_known_by_its_title(tmp_path):
    path = tmp_path / "asi-AMSR2-n6250-20200315-v5.4.nc"
    attributes = {"standard_name": "", "long_name": "z"}
    with open_map(
        path, name="z", unit=None, attributes=attributes, title="Daily sea ice concentration"
    ) as product:
        np.testing.assert_allclose(coarse(product), PERCENT, atol=1e-5)
        assert product.rasters["ancillary_coarse"].bands[0].name == "amsr2_sic"


def scene_file(path, grid):
    with RasterWriter(path, grid, [Band("hh")]) as raster:
        raster.write(np.zeros((1, grid.rows, grid.cols), np.float32))
    return str(path)


PIXELS = Grid(
    100,
    120,
    pyproj.CRS.from_cf(POLAR).to_wkt(),
    transform=(500.0, 0, LEFT + 10_000.0, 0, -500.0, TOP - 10_000.0),
)


def test_a_chart_lies_on_the_pixels_of_the_scene_that_is_given(tmp_path):
    scene = scene_file(tmp_path / "sar.tif", PIXELS)
    with open_map(tmp_path / "a.nc", scene=scene) as product:
        chart = product.rasters["chart"]
        assert chart.grid.same_as(PIXELS)
        assert product.rasters["ancillary_coarse"].grid.rows == 14
        row, col = (np.arange(100) * 500 + 10_250) // 5000, (np.arange(120) * 500 + 10_250) // 5000
        expected = np.full((100, 120), 255.0)
        inside = (row < 14)[:, None] & (col < 18)[None, :]
        rows, cols = np.broadcast_arrays(row[:, None], col[None, :])
        expected[inside] = np.rint(PERCENT[rows[inside], cols[inside]])
        assert np.array_equal(chart.read(PIXELS.window)[0], expected)
        np.testing.assert_array_equal(chart.read(Window(30, 40, 9, 7))[0], expected[30:39, 40:47])
    other = scene_file(tmp_path / "far.tif", affine_grid(50, 50, 80.0))
    with pytest.raises(SceneError, match="does not overlap the scene"):
        open_map(tmp_path / "a.nc", scene=other)


@pytest.mark.parametrize("form", ["NETCDF4", "NETCDF3_CLASSIC"])
def test_the_file_itself_and_rasters_made_of_it_serve_as_labels(tmp_path, form):
    with open_map(tmp_path / "a.nc", PERCENT / 100.0, "1", form=form) as product:
        rasters = dict(product.rasters)
        expected = None
        for name in ("ancillary_coarse", "chart"):
            raster = rasters[name]
            path = tmp_path / f"{name}.tif"
            with RasterWriter(
                path, raster.grid, raster.bands, dtype=raster.dtype, nodata=raster.nodata
            ) as writer:
                writer.write(raster.read(raster.grid.window))
            with LabelReader.open(path, PIXELS, "concentration") as labels:
                values = labels.read(PIXELS.window)
            expected = values if expected is None else expected
            np.testing.assert_allclose(values, expected, atol=0.5 + 1e-4)
    with LabelReader.open(tmp_path / "a.nc", PIXELS, "concentration") as labels:
        np.testing.assert_allclose(labels.read(PIXELS.window), expected, atol=1e-4)
    assert np.nanmax(expected) > 50.0


@pytest.mark.parametrize(
    ("values", "unit", "refused"),
    [
        (PERCENT * 10, None, True),  # per mille
        (PERCENT * 2, "%", True),  # half percents, as images of ASI have them
        (np.where(PERCENT > 60, 120.0, PERCENT), "%", False),  # land
        (np.where(PERCENT > 90, PERCENT + 100, PERCENT), "%", False),  # few
    ],
)
def test_values_that_are_no_concentration_are_no_mask_where_they_are_many_and_differ(
    tmp_path, values, unit, refused
):
    if refused:
        with pytest.raises(
            SceneError, match="are no concentration: they lie outside of 0 to 100 %"
        ) as caught:
            open_map(tmp_path / "map.nc", values, unit)
        assert len(str(caught.value)) < 500
    else:
        found = coarse(open_map(tmp_path / "map.nc", values, unit))
        assert np.array_equal(np.isfinite(found), values <= 100)


def test_a_file_without_a_time_step_is_a_sentence(tmp_path):
    with pytest.raises(SceneError, match="is empty along its dimension 'time'"):
        open_map(tmp_path / "map.nc", PERCENT[None][:0])
