"""How zones of Z-scores look in QGIS: by the sensor whose part varies most or by z, with fields named for a reader."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree  # nosec B405 # styles are written, and none from elsewhere is read

from ..page.figures import sensor_colour
from ..page.html import SENSOR_NAMES
from .layers import DIVERGING
from .qml import DOCTYPE, LegendEntry, column, polygon_style, style_text

_LETTER = 8  # width of a letter in an attribute table, pixels
_NAMES = {
    "zone": "Zone",
    "scene": "Scene",
    "pixels": "Pixels",
    "prevailing_class": "Prevailing class",
    "mean_logit": "Mean logit",
    "mean_prediction": "Mean probability",
    "leading_sensor": "Sensor that varies most",
    "strongest_component": "Component with the largest |z|",
    "largest_z": "Its z (naive)",
    "note": "Note",
    "n_labelled": "Pixels with a label",
    "mean_mapped": "Mapped where labelled, mean",
    "mean_labelled": "Labels, mean",
    "agreement": "Part of labelled pixels whose class is right",
}
_BY_SENSOR = {
    "strength": "Strength of {} (no test)",
    "contribution": "Mean part of the logit from {}",
    "information": "Divergence without {}",
    "mean_abs_z": "Mean |z| of {}",
}


def zone_style(field: str, values: Sequence[float | None], *, title: str = "z") -> str:
    """Return the style of zone polygons by a z-score, with blank zones as a class of their own.

    Parameters
    ----------
    field : str
        Name of the field.
    values : sequence of float or None
        Its values; they set the limits of the colours.
    title : str
        What the legend calls the value.
    """
    finite = sorted(abs(v) for v in values if v is not None and math.isfinite(v))
    high = max(6.0, finite[int(0.95 * (len(finite) - 1))] if finite else 0.0)
    inner, middle = 1.96, 1.96 + (high - 1.96) / 2
    ranges: list[tuple[float, float, str | None, str]] = [
        (-1e99, -high, DIVERGING[0], f"{title} below −{high:.3g}"),
        (-high, -middle, "#7a5aa6", f"{title} −{high:.3g} to −{middle:.3g}"),
        (-middle, -inner, DIVERGING[1], f"{title} −{middle:.3g} to −{inner:g}"),
        (-inner, inner, DIVERGING[2], f"{title} −{inner:g} to {inner:g}: not distinct from 0"),
        (inner, middle, DIVERGING[3], f"{title} {inner:g} to {middle:.3g}"),
        (middle, high, "#d27e23", f"{title} {middle:.3g} to {high:.3g}"),
        (high, 1e99, DIVERGING[4], f"{title} above {high:.3g}"),
    ]
    blank = -1e100
    ranges.insert(0, (2 * blank, blank / 2, None, "blank: too few pixels"))
    renderer = ElementTree.Element(
        "renderer-v2",
        type="graduatedSymbol",
        graduatedMethod="GraduatedColor",
        attr=f"coalesce({column(field)}, {blank:g})",
    )
    holder = ElementTree.SubElement(renderer, "ranges")
    for number, (lower, upper, _, label) in enumerate(ranges):
        ElementTree.SubElement(
            holder,
            "range",
            symbol=str(number),
            lower=repr(lower),
            upper=repr(upper),
            label=label,
            render="true",
        )
    return polygon_style(renderer, [colour for _, _, colour, _ in ranges])


def zone_category_style(field: str, entries: Sequence[LegendEntry], categories: Sequence[str]) -> str:
    """Return the style of zone polygons by a word, such as the sensor that varies most.

    Parameters
    ----------
    field : str
        Name of the text field.
    entries : sequence of LegendEntry
        Label and colour of each category (the value is not used).
    categories : sequence of str
        The words in the field, in the order of `entries`; an empty or other one is a blank zone.
    """
    renderer = ElementTree.Element("renderer-v2", type="categorizedSymbol", attr=field)
    holder = ElementTree.SubElement(renderer, "categories")
    labels = [entry.label for entry in entries] + ["blank: too few pixels"]
    for number, (word, label) in enumerate(zip([*categories, ""], labels)):
        ElementTree.SubElement(
            holder, "category", symbol=str(number), value=word, type="string", label=label, render="true"
        )
    return polygon_style(renderer, [entry.colour for entry in entries] + [None])


def zone_aliases(fields: Sequence[str]) -> dict[str, str]:
    """Return what an attribute table calls each field."""
    found = {}
    for field in fields:
        exact = next((key for key in _NAMES if field == key), None)
        name = exact or next((key for key in _NAMES if field.startswith(key + "_")), None)
        if name is not None:
            rest = field[len(name) :].lstrip("_")
            found[field] = _NAMES[name] + (f" ({rest})" if rest else "")
            continue
        for key, text in _BY_SENSOR.items():
            if field.startswith(key + "_"):
                sensor, _, head = field[len(key) + 1 :].partition("_")
                found[field] = text.format(_short_name(sensor)) + (f" ({head})" if head else "")
    return found


def leading_sensor_style(field: str, sensors: Sequence[str], aliases: Mapping[str, str]) -> str:
    """Return the style of zones by the sensor whose part of the logit varies most in each."""
    entries = [
        LegendEntry(number, f"{_short_name(sensor)} varies most", sensor_colour(sensor))
        for number, sensor in enumerate(sensors)
    ]
    return _with_aliases(zone_category_style(field, entries, sensors), aliases)


def zone_z_style(field: str, values: Sequence[float | None], aliases: Mapping[str, str]) -> str:
    """Return the style of zones by the z of the component that is largest in each."""
    return _with_aliases(zone_style(field, values, title="z"), aliases)


def _short_name(sensor: str) -> str:
    return {"sar": "SAR", "mwr": "MWR"}.get(sensor, SENSOR_NAMES.get(sensor, sensor))


def _with_aliases(style: str, aliases: Mapping[str, str]) -> str:
    root = ElementTree.fromstring(style[len(DOCTYPE) :])  # nosec B314 # a style of ours
    root.set("styleCategories", "Symbology|Fields|AttributeTable")
    holder = ElementTree.SubElement(root, "aliases")
    for index, (field, name) in enumerate(aliases.items(), start=1):
        ElementTree.SubElement(holder, "alias", field=field, index=str(index), name=name)
    table = ElementTree.SubElement(root, "attributetableconfig", sortExpression="", sortOrder="0")
    columns = ElementTree.SubElement(table, "columns")
    ElementTree.SubElement(columns, "column", type="field", name="fid", width="-1", hidden="1")
    for field, name in aliases.items():  # as wide as the heading: the usual width cuts most of them
        width = str(max(80, _LETTER * len(name) + 20))
        ElementTree.SubElement(columns, "column", type="field", name=field, width=width, hidden="0")
    ElementTree.SubElement(columns, "column", type="actions", width="-1", hidden="1")
    return style_text(root)
