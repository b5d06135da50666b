"""Zones of a run of Z-scores: which pixels belong to which, and the polygons that an analyst sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...core.zscores.sums.information import OutputLayer
from ...core.zscores.zones import PIXELS_A_WEIGHT, ZoneScores
from ...ground.errors import ParameterError, SceneError
from ...io.geometry.vector import Polygons, write_polygons
from ...io.geometry.zones import PolygonIndex, ZoneGrid, regular_zones
from ...io.rasters.writer import Outputs
from ...io.scene.reader import Scene
from ...report.styles.layers import sidecar
from ...report.styles.zones import leading_sensor_style, zone_aliases, zone_z_style
from .report import ScoredZones

Zones = dict[int, ZoneScores]

FIELDS = {
    "n": "pixels",
    "class": "prevailing_class",
    "leading_component": "strongest_component",
    "leading_z": "largest_z",
}


LARGEST_KM = 100.0  # of zones of automatic size, as far as their pixels suffice
ZONES_ACROSS = 3  # of a scene that is smaller than so many of the largest zones
SPARE = 3  # times the pixels that scores need: some zones lie half on land, or are cut narrower


def automatic_size(
    shape: tuple[int, int], pixel_km: float, step: int, layers: Sequence[OutputLayer], ratio: int = 1
) -> float:
    """Return the side in km of zones whose pixels allow scores of components, else of sensors.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the region.
    pixel_km : float
        Width of a pixel.
    step : int
        Pixels between two that are sampled.
    layers : sequence of OutputLayer
        The heads: the one of most components decides.
    ratio : int
        Pixels along a cell of the channels that are components as they are: fewer cells than channels do not tell
        them apart.
    """
    shorter, longer = sorted(length * pixel_km for length in shape)
    wanted = min(LARGEST_KM, shorter / ZONES_ACROSS)
    components = PIXELS_A_WEIGHT * (1 + max(len(layer.components) for layer in layers))
    sensors = PIXELS_A_WEIGHT * (
        1 + max(sum(group.kind == "sensor" for group in layer.groups()) for layer in layers)
    )
    cells = 1 + max(sum(bool(part.channel) for part in layer.components) for layer in layers)
    for pixels, least in ((components, cells), (sensors, 1)):
        needed = max(pixels * step**2, least * ratio**2)  # in pixels of the scene
        if needed <= shorter * longer / pixel_km**2:
            return max(wanted, float(np.sqrt(SPARE * needed)) * pixel_km)
    return longer


def zones_over(scene: Scene, polygons: Polygons | None, size_km: float) -> PolygonIndex | ZoneGrid:
    """Return which zone each pixel of a scene belongs to: polygons of one name are one zone.

    Raises
    ------
    ParameterError
        If no polygon lies on the scene, or the size of regular zones is not positive.
    """
    if polygons is None:
        if not size_km > 0:
            raise ParameterError(f"ZONE_SIZE is {size_km:g}: give a positive number of km.")
        return regular_zones(scene.grid, size_km)
    index = PolygonIndex(polygons.grouped(), scene.grid)
    if index.window.empty:
        raise ParameterError("No polygon of ZONES lies on the scene. Choose zones that overlap it.")
    return index


def zone_fields(found: Mapping[str, Zones], names: Sequence[str], scene: str) -> dict[str, list]:
    """Return the attribute table of the zones: one row a zone, fields of several heads end in their names.

    Parameters
    ----------
    found : mapping of str to dict
        By head its zones, by number; every head has the same ones.
    names : sequence of str
        Of all zones.
    scene : str
        Name of the scene.
    """
    numbers = sorted(next(iter(found.values())))
    fields: dict[str, list] = {"zone": [names[number] for number in numbers], "scene": [scene] * len(numbers)}
    for head, zones in found.items():
        rows = [zones[number].row() for number in numbers]
        suffix = f"_{head}" if len(found) > 1 else ""
        fields["pixels"] = [row["n"] for row in rows]
        for key in rows[0]:
            if key not in ("zone", "n"):
                fields[FIELDS.get(key, key) + suffix] = [_legible(row[key]) for row in rows]
    return fields


def _legible(value: object) -> object:
    """Return a number with six digits: an attribute table, and a layout's, print all there are."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def write_zones(
    outputs: Outputs,
    path: str,
    found: Mapping[str, Zones],
    zones: ScoredZones,
    scene: str,
) -> None:
    """Write the polygons that hold pixels, styled by the sensor that varies most, and a second style by z beside them.

    Raises
    ------
    SceneError
        If no sampled pixel lies in any zone.
    """
    numbers = sorted(next(iter(found.values())))
    if not numbers:
        raise SceneError(
            "No sampled pixel lies in any zone. Choose larger zones, or a smaller step in SAMPLE."
        )
    fields = zone_fields(found, zones.names, scene)
    wkb = [zones.polygons.wkb[number] for number in numbers]
    write_polygons(outputs.file(path), wkb, zones.polygons.crs, fields)
    suffix = f"_{next(iter(found))}" if len(found) > 1 else ""
    aliases = zone_aliases(list(fields))
    sensors = list(next(iter(next(iter(found.values())).values())).strength)
    style = leading_sensor_style("leading_sensor" + suffix, sensors, aliases)
    outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
    field = "largest_z" + suffix
    outputs.file(z_style_path(path)).write_text(zone_z_style(field, fields[field], aliases), encoding="utf-8")


def z_style_path(path: str) -> Path:
    """Return where the second style lies: a layer's properties load it by hand."""
    return Path(path).with_name(Path(path).stem + "_z.qml")
