"""Styles of ice charts, judged as QGIS reads them."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.io.formats.chart import open_chart
from floelens.plugin.io.formats.chart.codes import CONCENTRATIONS, FLOES, STAGES
from floelens.plugin.io.geometry.vector import write_polygons
from floelens.plugin.networks.standard_channels import MWR_CHANNELS
from floelens.plugin.report.styles import charts as chart_styles
from floelens.plugin.report.styles import layers as styles
from floelens.plugin.report.styles.imports import raster_styles
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.io.formats.chart.files import BOXES, EXPECTED, write_chart
from qgis.core import QgsFeature, QgsRasterLayer, QgsRenderContext, QgsVectorLayer

pytestmark = pytest.mark.usefixtures("qgis_app")
LAND = "#c8b48c"


@pytest.fixture
def raster(tmp_path):
    values = np.zeros((20, 30), np.uint8)
    bands = {"concentration": values, "stage_of_development": values, "floe_size": values}
    return write_raster(tmp_path / "chart.tif", bands)


def styled(path, text):
    styles.sidecar(path).write_text(text, encoding="utf-8")
    layer = QgsRasterLayer(str(path), "layer")
    assert layer.isValid()
    return layer


@pytest.fixture
def polygons(tmp_path):
    chart = open_chart(write_chart(tmp_path / "chart.shp")).polygons
    write_polygons(tmp_path / "chart.gpkg", chart.wkb, chart.crs, chart.fields, "chart")
    return tmp_path / "chart.gpkg"


def polygon_colours(path, text):
    """Return the colour of each box of the chart; None where it is hatched."""
    styles.sidecar(path).write_text(text, encoding="utf-8")
    layer = QgsVectorLayer(str(path), "chart", "ogr")
    assert layer.isValid()
    renderer, context = layer.renderer().clone(), QgsRenderContext()
    assert renderer.type() == "categorizedSymbol"
    context.expressionContext().setFields(layer.fields())
    renderer.startRender(context, layer.fields())
    colours = []
    for feature in layer.getFeatures():
        context.expressionContext().setFeature(QgsFeature(feature))
        symbol = renderer.symbolForFeature(feature, context)
        fill = symbol.symbolLayer(0)
        colours.append(fill.fillColor().name() if fill.properties()["style"] == "solid" else None)
    renderer.stopRender(context)
    return colours, layer


def test_every_concentration_that_a_chart_can_have_is_drawn_in_its_wmo_colour(raster):
    layer = styled(raster, chart_styles.chart_concentration_style(CONCENTRATIONS))
    shader = layer.renderer().shader()

    def drawn(value):
        ok, red, green, blue, alpha = shader.shade(float(value))
        return f"#{red:02x}{green:02x}{blue:02x}" if ok and alpha else None

    for value in (0, 10, 15, 20, 30, 35, 40, 45, 50, 60, 65, 70, 80, 85, 90, 95, 100):
        assert drawn(value) == next(colour for limit, _, colour in CONCENTRATIONS if value <= limit)
    assert drawn(254) == LAND
    assert drawn(255) is None


@pytest.mark.parametrize(("table", "band"), [(STAGES, 2), (FLOES, 3)])
def test_classes_have_their_names_and_colours_on_their_band(raster, table, band):
    layer = styled(raster, chart_styles.chart_class_style(table, band=band))
    assert layer.renderer().type() == "paletted"
    assert layer.renderer().band() == band
    found = {c.value: (c.label, c.color.name(), c.color.alpha()) for c in layer.renderer().classes()}
    assert found == {
        **{value: (name, colour, 255) for value, name, colour in table},
        254: ("land", LAND, 255),
        255: ("no data (not mapped)", "#ffffff", 0),
    }


def colour_in(table, value):
    return next(colour for code, _, colour in table if code == value)


def test_polygons_have_the_colours_of_their_concentration(polygons):
    colours, _ = polygon_colours(polygons, chart_styles.chart_polygon_concentration_style(CONCENTRATIONS))
    expected = [
        LAND if row.get("POLY_TYPE") == "L"
        else None if value > 100
        else next(colour for limit, _, colour in CONCENTRATIONS if value <= limit)
        for row, (value, _, _) in zip(BOXES, EXPECTED)
    ]  # fmt: skip
    assert colours == expected
    assert {None, LAND} < set(colours)


@pytest.mark.parametrize(
    ("table", "field", "band"), [(STAGES, "stage_of_development", 1), (FLOES, "floe_size", 2)]
)
def test_polygons_have_the_colours_of_their_classes(polygons, table, field, band):
    colours, _ = polygon_colours(polygons, chart_styles.chart_polygon_class_style(table, field=field))
    expected = [
        LAND if codes[band] == 254 else None if codes[band] == 255 else colour_in(table, codes[band])
        for codes in EXPECTED
    ]
    assert colours == expected


@pytest.mark.parametrize("make", ["concentration", "class"])
def test_a_chart_without_polygon_types_is_styled_too(polygons, make):
    if make == "class":
        text = chart_styles.chart_polygon_class_style(STAGES, type_field=None)
    else:
        text = chart_styles.chart_polygon_concentration_style(CONCENTRATIONS, type_field=None)
    colours, _ = polygon_colours(polygons, text)
    assert LAND not in colours
    assert colours[0] == "#0064ff"


def test_the_time_of_a_chart_drives_the_temporal_controller(polygons, raster):
    time = "2015-04-26T12:00:00Z"
    _, layer = polygon_colours(
        polygons, chart_styles.chart_polygon_concentration_style(CONCENTRATIONS, start_time=time)
    )
    layer.loadDefaultStyle()  # as our post-processor does: QGIS 3.22 forgets the time of a file opened by hand
    period = layer.temporalProperties().fixedTemporalRange()
    assert layer.temporalProperties().isActive()
    assert period.begin().toUTC().toString("yyyy-MM-dd HH:mm") == "2015-04-26 12:00"
    shown = styled(raster, chart_styles.chart_class_style(STAGES, band=2, start_time=time))
    shown.loadDefaultStyle()
    assert shown.temporalProperties().isActive()


def test_brightness_temperatures_are_shown_where_ice_stands_out_and_tell_their_footprint(tmp_path):
    bands = {name: np.full((20, 30), 200, np.float32) for name in MWR_CHANNELS}
    path = write_raster(tmp_path / "mwr.tif", bands)
    text = raster_styles("mwr", [(name, "K") for name in MWR_CHANNELS], {})[""]
    layer = styled(path, text)
    assert layer.renderer().usesBands() == [list(MWR_CHANNELS).index("btemp_36_5h") + 1]
    assert "260 K (footprint 7 x 12 km)" in text
    few = raster_styles("mwr", [("btemp_89_0h", "K")], {})[""]
    assert styled(path, few).renderer().usesBands() == [1]
