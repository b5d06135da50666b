"""How zones of Z-scores look in QGIS: by the sensor whose part varies most or by z, with fields named for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from ..page.figures import sensor_colour
from ..page.html import SENSOR_NAMES
from .layers import DOCTYPE, LegendEntry, zone_category_style, zone_style

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
    root = ElementTree.fromstring(style[len(DOCTYPE) :])
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
    ElementTree.indent(root)
    return DOCTYPE + ElementTree.tostring(root, encoding="unicode") + "\n"
