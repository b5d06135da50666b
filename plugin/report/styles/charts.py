"""QGIS styles (QML) of ice charts: their polygons by the words of the fields, their rasters by codes.

The tables of classes come from the reader of charts: (value, name, colour), in order. Land and
places without data have legend entries of their own; the latter are hatched or not drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree  # nosec B405 # styles are written, and none from elsewhere is read

from .layers import LAND_COLOUR
from .qml import (
    LegendEntry,
    column,
    paletted_renderer,
    polygon_style,
    pseudo_colour_renderer,
    raster_style,
    timed,
)

Table = Sequence[tuple[int, str, str]]
LAND = 254
NO_DATA = 255


def chart_concentration_style(
    table: Table, *, band: int = 1, land_value: int = LAND, start_time: str | None = None
) -> str:
    """Return the style of a uint8 raster of total concentration (%) in the WMO colours.

    Parameters
    ----------
    table : sequence of tuple
        Highest value of each class in %, its name and colour.
    band : int
        Band shown, from 1.
    land_value : int
        Code of land.
    start_time : str, optional
        Time of the chart, ISO 8601; it drives the temporal controller.
    """
    renderer = pseudo_colour_renderer(band, _entries(table, land_value), 0.0, float(NO_DATA), "DISCRETE")
    return raster_style(renderer, start_time)


def chart_class_style(
    table: Table, *, band: int = 1, land_value: int = LAND, start_time: str | None = None
) -> str:
    """Return the style of a uint8 raster of classes: stages of development or floe sizes.

    Parameters
    ----------
    table : sequence of tuple
        Code of each class, its name and colour.
    band, land_value, start_time
        As in :func:`chart_concentration_style`.
    """
    return raster_style(paletted_renderer(_entries(table, land_value), band), start_time)


def chart_polygon_concentration_style(
    table: Table,
    *,
    field: str = "concentration_percent",
    type_field: str | None = "POLY_TYPE",
    start_time: str | None = None,
) -> str:
    """Return the style of chart polygons by total concentration in the WMO colours.

    Parameters
    ----------
    table : sequence of tuple
        Highest value of each class in %, its name and colour.
    field : str
        The field of the concentration in %.
    type_field : str, optional
        The field that is ``L`` for land, where the chart has one.
    start_time : str, optional
        Time of the chart, ISO 8601.
    """
    name = column(field)
    cases = " ".join(f"WHEN {name} <= {value} THEN {_literal(label)}" for value, label, _ in table)
    expression = f"CASE {_land_case(type_field)} WHEN {name} IS NULL THEN '' {cases} ELSE '' END"
    return _categories(expression, table, "no data", start_time)


def chart_polygon_class_style(
    table: Table,
    *,
    field: str = "stage_of_development",
    type_field: str | None = "POLY_TYPE",
    start_time: str | None = None,
) -> str:
    """Return the style of chart polygons by the name of a class: stage of development or floe size.

    Parameters
    ----------
    table : sequence of tuple
        Code of each class, its name (that is in the field) and colour.
    field : str
        The field of the names.
    type_field, start_time
        As in :func:`chart_polygon_concentration_style`.
    """
    expression = f"CASE {_land_case(type_field)} ELSE coalesce({column(field)}, '') END"
    if not type_field:
        expression = f"coalesce({column(field)}, '')"
    return _categories(expression, table, "no data, or no class that dominates", start_time)


def _land_case(type_field: str | None) -> str:
    return f"WHEN upper({column(type_field)}) = 'L' THEN 'land'" if type_field else ""


def _entries(table: Table, land_value: int) -> list[LegendEntry]:
    return [
        *(LegendEntry(value, name, colour) for value, name, colour in table),
        LegendEntry(land_value, "land", LAND_COLOUR),
        LegendEntry(NO_DATA, "no data (not mapped)", "#ffffff", 0),
    ]


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _categories(expression: str, table: Table, absent: str, start_time: str | None) -> str:
    entries: list[tuple[str, str, str | None]] = [(name, name, colour) for _, name, colour in table]
    entries += [("land", "land", LAND_COLOUR), ("", absent, None)]
    renderer = ElementTree.Element("renderer-v2", type="categorizedSymbol", attr=expression)
    holder = ElementTree.SubElement(renderer, "categories")
    for number, (word, label, _) in enumerate(entries):
        ElementTree.SubElement(
            holder, "category", symbol=str(number), value=word, type="string", label=label, render="true"
        )
    return timed(polygon_style(renderer, [colour for _, _, colour in entries]), start_time)
