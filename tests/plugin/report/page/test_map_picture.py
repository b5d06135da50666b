"""Maps side by side in a report: their geometry and their colours."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.report.page import figures
from floelens.plugin.report.page.map_picture import (
    CLASSES,
    CONCENTRATION,
    GREY,
    RELEVANCE,
    MapPanel,
    MapPicture,
    map_figure,
    metres_a_pixel,
    north_of,
)
from floelens.plugin.report.styles.layers import CONCENTRATION_CLASSES, LegendEntry
from pyproj import Geod, Transformer


def on_the_ground(epsg: int, x: float, y: float, pixel: float = 800.0, turn: float = 0.0) -> MapPicture:
    """Return a picture of 60 x 80 pixels of a projected grid that is turned by some degrees."""
    row, col = np.meshgrid(np.arange(60) + 0.5, np.arange(80) + 0.5, indexing="ij")
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    east, south = (col - 40) * pixel, (row - 30) * pixel
    to_lonlat = Transformer.from_crs(epsg, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(x + c * east - s * south, y - (s * east + c * south))
    values = np.linspace(0.0, 100.0, 60 * 80).reshape(60, 80)
    values[:5] = np.nan
    panels = (
        MapPanel("scene: hh", values - 30.0, GREY, "dB"),
        MapPanel("map", values, CONCENTRATION, "%"),
        MapPanel("relevance", values - 50.0, RELEVANCE, "logit", 40.0),
    )
    return MapPicture(panels, np.asarray(lon), np.asarray(lat))


@pytest.mark.parametrize(("epsg", "x", "y"), [(32631, 5e5, 7e6), (3413, -1e5, -1.2e6), (32701, 5e5, 2e6)])
def test_the_scale_bar_is_right_on_the_ground(epsg, x, y):
    picture = on_the_ground(epsg, x, y)
    ground = Geod(ellps="WGS84")
    expected = ground.inv(picture.lon[30, 39], picture.lat[30, 39], picture.lon[30, 40], picture.lat[30, 40])[
        2
    ]
    # A sphere stands for the ellipsoid: 0.56 % at most.
    assert metres_a_pixel(picture) == pytest.approx(expected, rel=0.0057)


@pytest.mark.parametrize("turn", [0.0, 90.0, 180.0, 213.0])
def test_the_arrow_points_north_however_the_scene_is_turned(turn):
    picture = on_the_ground(32631, 5e5, 7e6, turn=turn)  # on the central meridian: north is grid north
    down, across = north_of(picture)
    # Grid north in rows and columns of a grid that is turned clockwise.
    assert (down, across) == pytest.approx((-np.cos(np.radians(turn)), -np.sin(np.radians(turn))), abs=0.01)


@pytest.mark.parametrize(("epsg", "x", "y"), [(32701, 4.0e5, 2.2e6), (3413, 0.0, 0.0), (3995, 5e3, -2e3)])
def test_pictures_at_the_antimeridian_and_at_the_pole_can_be_drawn(epsg, x, y):
    page = figures.svg(map_figure(on_the_ground(epsg, x, y)), "maps", "maps")
    assert page.startswith("<svg")


def test_concentration_has_the_colours_of_the_layer_and_nothing_where_it_is_not_known():
    picture = on_the_ground(32631, 5e5, 7e6)
    axes = next(axes for axes in map_figure(picture).axes if axes.get_title() == "map")
    image = axes.get_images()[0]
    drawn = image.to_rgba(np.ma.masked_invalid([0.5, 5.0, 20.0, 50.0, 75.0, 95.0, np.nan]), bytes=True)
    wanted = [
        tuple(int(entry.colour[at : at + 2], 16) for at in (1, 3, 5)) for entry in CONCENTRATION_CLASSES
    ]
    assert [tuple(colour[:3]) for colour in drawn[:-1]] == wanted
    assert drawn[-1][3] == 0


def test_classes_have_the_colours_of_the_card_and_the_legend_names_those_that_are_there():
    entries = (
        LegendEntry(1, "open water", "#0000ff"),
        LegendEntry(4, "old ice", "#ff0000"),
        LegendEntry(9, "x", "#00ff00"),
    )
    place = on_the_ground(32631, 5e5, 7e6)
    values = np.where(np.arange(80) < 40, 1.0, 4.0) * np.ones((60, 1))
    figure = map_figure(
        MapPicture((MapPanel("classes", values, CLASSES, classes=entries),), place.lon, place.lat)
    )
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["open water", "old ice"]
    drawn = axes.get_images()[0].to_rgba(np.array([1.0, 4.0]), bytes=True)
    assert [tuple(colour[:3]) for colour in drawn] == [(0, 0, 255), (255, 0, 0)]
