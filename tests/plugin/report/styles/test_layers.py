"""Styles are judged as QGIS reads them: loaded into a layer, not as text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from floelens.plugin.report.styles import layers as styles
from floelens.plugin.report.styles.artifacts import fact_style
from floelens.plugin.report.styles.qml import LegendEntry
from floelens.plugin.report.styles.zones import leading_sensor_style, zone_category_style, zone_style
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsLayerTreeLayer,
    QgsMapLayerLegend,
    QgsRasterLayer,
    QgsRenderContext,
    QgsVectorLayer,
)

pytestmark = pytest.mark.usefixtures("qgis_app")
FOLDER = Path(styles.__file__).resolve().parents[3] / "resources" / "styles"
WMO = [(0, 100, 255), (150, 200, 255), (140, 255, 160), (255, 255, 0), (255, 125, 7), (255, 0, 0)]


def styled(raster: Path, text: str) -> QgsRasterLayer:
    """Return `raster` as QGIS opens it by hand, with a style beside it."""
    styles.sidecar(raster).write_text(text, encoding="utf-8")
    layer = QgsRasterLayer(str(raster), "layer")
    assert layer.isValid()
    return layer


def drawn(layer: QgsRasterLayer, value: float) -> tuple[int, ...] | None:
    """Return the colour that the renderer gives to `value`; None where it does not draw it."""
    ok, red, green, blue, alpha = layer.renderer().shader().shade(value)
    return (red, green, blue) if ok and alpha else None


def legend(layer: QgsRasterLayer) -> list[str]:
    """Return the labels of the layer's legend."""
    return [item.label for item in layer.renderer().shader().rasterShaderFunction().colorRampItemList()]


def test_concentration_has_the_wmo_colours_at_every_class(backscatter):
    layer = styled(backscatter, styles.concentration_style())
    assert layer.renderer().type() == "singlebandpseudocolor"
    middles = [0.2, 5.0, 20.0, 50.0, 75.0, 95.0]
    assert [drawn(layer, value) for value in middles] == WMO


def test_concentration_leaves_the_gap_between_classes_to_none(backscatter):
    layer = styled(backscatter, styles.concentration_style())
    assert all(drawn(layer, value) in WMO for value in np.linspace(0.0, 100.0, 501))
    assert drawn(layer, 0.0) == WMO[0]
    assert drawn(layer, 100.0) == WMO[-1]


def test_what_is_not_mapped_has_an_entry_that_is_not_drawn(backscatter):
    layer = styled(backscatter, styles.concentration_style())
    assert legend(layer)[0] == "land or no data (not mapped)"
    assert drawn(layer, -5.0) is None


def test_land_with_a_value_of_its_own_is_drawn_and_named(backscatter):
    layer = styled(backscatter, styles.concentration_style(land_value=-1.0))
    assert legend(layer)[:2] == ["no data (not mapped)", "land"]
    assert drawn(layer, -1.0) == (200, 180, 140)
    assert drawn(layer, 0.0) == WMO[0]


def test_land_must_not_be_a_concentration():
    with pytest.raises(ValueError, match="negative"):
        styles.concentration_style(land_value=50.0)


def test_the_continuous_ramp_passes_through_the_same_colours(backscatter):
    layer = styled(backscatter, styles.concentration_ramp_style())
    assert [drawn(layer, v) for v in (0.0, 5.0, 20.0, 50.0, 75.0, 100.0)] == WMO
    assert drawn(layer, 35.0) not in WMO


def test_classes_have_the_colours_and_names_of_the_card(backscatter):
    classes = [LegendEntry(0, "open water", "#0064ff"), LegendEntry(3, "young & <new>", "#aa28f0")]
    layer = styled(backscatter, styles.class_style(classes, nodata=255, land_value=254))
    assert layer.renderer().type() == "paletted"
    found = {c.value: (c.label, c.color.name(), c.color.alpha()) for c in layer.renderer().classes()}
    assert found == {
        0: ("open water", "#0064ff", 255),
        3: ("young & <new>", "#aa28f0", 255),
        254: ("land", "#c8b48c", 255),
        255: ("no data (not mapped)", "#ffffff", 0),
    }


@pytest.mark.parametrize("limit", [3e-7, 0.25, 40.0, 1e6])
def test_relevance_is_centred_on_white_at_zero(backscatter, limit):
    layer = styled(backscatter, styles.relevance_style("ice", limit))
    assert drawn(layer, 0.0) == (255, 255, 255)
    against, favour = drawn(layer, -limit), drawn(layer, limit)
    assert against[2] > against[1]  # purple: more blue than green
    assert favour[0] > favour[1] > favour[2]  # orange
    assert drawn(layer, 10 * limit) == favour  # the colours end there; the values do not


def test_layers_show_through_where_nothing_acts_on_the_class(backscatter):
    layer = styled(backscatter, styles.relevance_style("ice", 1.0))  # keeps its renderer alive
    clear = layer.renderer().rasterTransparency()
    assert clear.alphaValue(0.0) == 0
    assert clear.alphaValue(1e-12) == clear.alphaValue(-1e-12) == 255


@pytest.mark.parametrize("limit", [0.0, -1.0, math.nan, math.inf])
def test_relevance_without_a_usable_limit_still_gives_a_style(backscatter, limit):
    layer = styled(backscatter, styles.relevance_style("ice", limit))
    assert layer.renderer().classificationMax() == 1.0


def test_the_legend_of_relevance_says_what_the_colours_speak_for(backscatter):
    text = styles.relevance_style("first-year <ice>", 0.5, band=2, footprint_km=(35, 62))
    layer = styled(backscatter, text)
    settings = layer.renderer().shader().rasterShaderFunction().legendSettings()
    assert settings.minimumLabel() == "≤ −0.5 speaks against first-year <ice> (logit)"
    assert settings.maximumLabel() == "≥ 0.5 speaks for first-year <ice> (logit), footprint 35 × 62 km"
    nodes = QgsMapLayerLegend.defaultRasterLegend(layer).createLayerTreeModelLegendNodes(
        QgsLayerTreeLayer(layer)
    )
    assert nodes[0].data(0).startswith("Band 2: hv")  # the head of the legend names the channel


def test_scene_time_drives_the_temporal_controller(backscatter):
    layer = styled(backscatter, styles.relevance_style("ice", 1.0, start_time="2021-03-04T07:12:00.5+02:00"))
    layer.loadDefaultStyle()  # as our post-processor does: QGIS 3.22 forgets the time of a file opened by hand
    period = layer.temporalProperties().fixedTemporalRange()
    assert layer.temporalProperties().isActive()
    assert period.begin().toUTC().toString("yyyy-MM-dd HH:mm:ss") == "2021-03-04 05:12:00"
    assert period.end().toUTC().toString("yyyy-MM-dd HH:mm:ss") == "2021-03-04 05:13:00"


@pytest.mark.parametrize("time", [None, "", "yesterday"])
def test_without_a_time_the_layer_is_always_shown(backscatter, time):
    layer = styled(backscatter, styles.concentration_style(start_time=time))
    layer.loadDefaultStyle()
    assert not layer.temporalProperties().isActive()


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (styles.probability_style("ice"), 0.0, 1.0),
        (styles.uncertainty_style(4), 0.0, 2.0),
        (styles.backscatter_style(), -25.0, -5.0),
        (styles.brightness_temperature_style(), 80.0, 260.0),
    ],
)
def test_other_rasters_show_one_band_between_fixed_limits(backscatter, text, low, high):
    layer = styled(backscatter, text)
    renderer = layer.renderer()  # belongs to the layer
    assert renderer.type() == "singlebandpseudocolor"
    assert (renderer.band(), renderer.classificationMin(), renderer.classificationMax()) == (1, low, high)


def zone_layer() -> QgsVectorLayer:
    """Return an empty polygon layer with a z-score and a word."""
    return QgsVectorLayer("Polygon?crs=EPSG:3413&field=z_max:double&field=lead:string", "zones", "memory")


def zone_colour(layer: QgsVectorLayer, attribute: int, value: object) -> tuple[str, str]:
    """Return colour and legend label of a zone with that value."""
    feature = QgsFeature(layer.fields())
    feature.setGeometry(QgsGeometry.fromWkt("Polygon((0 0, 1 0, 1 1, 0 0))"))
    feature.setAttribute(attribute, value)
    context = QgsRenderContext()
    context.expressionContext().setFeature(feature)
    context.expressionContext().setFields(layer.fields())
    renderer = layer.renderer().clone()
    renderer.startRender(context, layer.fields())
    symbol = renderer.symbolForFeature(feature, context)
    keys = renderer.legendKeysForFeature(feature, context)
    labels = {item.ruleKey(): item.label() for item in renderer.legendSymbolItems()}
    colour = symbol.color().name()
    renderer.stopRender(context)
    return colour, labels[next(iter(keys))]


def test_zones_are_graduated_by_z_and_blank_zones_say_so(tmp_path):
    layer = zone_layer()
    style = tmp_path / "zones.qml"
    style.write_text(zone_style("z_max", [-30.0, -4.0, None, math.nan, 1.0, 25.0]), encoding="utf-8")
    message, ok = layer.loadNamedStyle(str(style))
    assert ok, message
    assert layer.renderer().type() == "graduatedSymbol"
    assert zone_colour(layer, 0, None) == ("#808080", "blank: too few pixels")
    assert zone_colour(layer, 0, 0.5)[0] == "#ffffff"
    assert zone_colour(layer, 0, -1000.0)[0] == styles.DIVERGING[0]
    assert zone_colour(layer, 0, 1000.0)[0] == styles.DIVERGING[4]
    edges = [r.lowerValue() for r in layer.renderer().ranges()][1:]
    assert edges == sorted(edges)


def test_zones_can_be_coloured_by_a_word(tmp_path):
    layer = zone_layer()
    style = tmp_path / "zones.qml"
    entries = [LegendEntry(0, "SAR varies most", "#b35806"), LegendEntry(1, "MWR varies most", "#542788")]
    text = zone_category_style("lead", entries, ["sar", "mwr"])
    style.write_text(text, encoding="utf-8")
    message, ok = layer.loadNamedStyle(str(style))
    assert ok, message
    assert zone_colour(layer, 1, "mwr") == ("#542788", "MWR varies most")
    assert zone_colour(layer, 1, None) == ("#808080", "blank: too few pixels")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("concentration_wmo.qml", styles.concentration_style()),
        ("concentration_continuous.qml", styles.concentration_ramp_style()),
    ],
)
def test_the_styles_that_ship_are_what_the_functions_make(name, text):
    assert (FOLDER / name).read_text(encoding="utf-8") == text


def test_the_same_result_gives_the_same_style():
    assert styles.relevance_style("ice", 0.1) == styles.relevance_style("ice", 0.1)


def test_the_attribute_table_of_zones_shows_whole_headings(tmp_path):
    layer = zone_layer()
    aliases = {"z_max": "Component with the largest |z|", "lead": "Sensor that varies most"}
    style = tmp_path / "zones.qml"
    text = leading_sensor_style("lead", ["sar", "mwr"], aliases)
    # Strength has no sign: the sensor with most of it may pull the other way.
    assert "SAR varies most" in text
    assert "leads" not in text
    style.write_text(text, encoding="utf-8")
    assert layer.loadNamedStyle(str(style))[1]
    columns = {column.name: column for column in layer.attributeTableConfig().columns()}
    for field, heading in aliases.items():
        assert columns[field].width >= 7 * len(heading)
        assert not columns[field].hidden
        assert layer.attributeAlias(layer.fields().indexOf(field)) == heading


def test_a_corrected_map_is_faint_where_it_may_be_chance_unless_that_is_everywhere():
    some, none = (fact_style("ice", 2.0, opacity_band=band) for band in (5, None))
    assert 'alphaBand="5"' in some
    assert "faint: may be chance (q &gt; 0.05)" in some
    assert 'alphaBand="-1"' in none
    assert "no pixel is fact (q &gt; 0.05)" in none
