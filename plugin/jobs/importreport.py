"""What an import found, as plain values for the log and for JSON: extent, shares of valid pixels, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from ..io.environment.crs import LONLAT, transform
from ..io.formats.amsr2.bands import DELAY_BAND
from ..io.formats.product import ChartPolygons, Product
from ..io.geometry.grid import Grid
from ..io.geometry.vector import parts_of

# What readers tell each in their own way, and the summary in one.
_SAID = ("channels", "missing_channels", "channels_missing", "start_time", "rows", "cols")


class Measured:
    """Counts the valid pixels of each band while a raster is written.

    Parameters
    ----------
    names : sequence of str
        The bands.
    nodata : float
        What stands for no data.
    land : float, optional
        What stands for land, where that has a value of its own: it is no concentration of 254 %.
    """

    def __init__(self, names: Sequence[str], nodata: float, land: float | None = None) -> None:
        self._names, self._nodata, self._land_value = list(names), nodata, land
        self._land = np.zeros(len(self._names), dtype=np.int64)
        self._valid = np.zeros(len(self._names), dtype=np.int64)
        self._low = np.full(len(self._names), np.inf)
        self._high = np.full(len(self._names), -np.inf)
        self._pixels = 0

    def add(self, values: np.ndarray) -> None:
        """Take in a strip (band, row, column)."""
        self._pixels += values[0].size
        for number, band in enumerate(values):
            known = np.isfinite(band) if np.isnan(self._nodata) else band != self._nodata
            if self._land_value is not None:
                land = band == self._land_value
                self._land[number] += int(land.sum())
                known &= ~land
            self._valid[number] += int(known.sum())
            if known.any():
                self._low[number] = min(self._low[number], float(band[known].min()))
                self._high[number] = max(self._high[number], float(band[known].max()))

    def _share(self, count: int) -> float:
        return round(float(count) / max(1, self._pixels), 6)

    def as_json(self) -> dict[str, dict[str, float | None]]:
        """Return share of valid pixels and limits by band."""
        return {
            name: {
                "valid_share": self._share(valid),
                "minimum": float(f"{low:.6g}") if valid else None,
                "maximum": float(f"{high:.6g}") if valid else None,
                **({} if self._land_value is None else {"land_share": self._share(land)}),
            }
            for name, valid, low, high, land in zip(
                self._names, self._valid, self._low, self._high, self._land
            )
        }


def summary(
    product: Product, grid: Grid | None, measured: Mapping[str, Measured], version: str
) -> dict[str, Any]:
    """Return everything that was recognised, as plain JSON values; readers' own facts come last."""
    extent = extent_of(grid) if grid is not None else None
    if extent is None and product.polygons is not None:
        extent = extent_of_polygons(product.polygons)
    facts: dict[str, Any] = {
        "kind": product.kind,
        "name": product.name,
        "start_time": product.time.strftime("%Y-%m-%dT%H:%M:%SZ") if product.time else None,
        "extent": extent,
        "rows": grid.rows if grid is not None else None,
        "columns": grid.cols if grid is not None else None,
        "pixel_size_m": round(grid.pixel_size(), 2) if grid is not None else None,
        "bands": {role: of.as_json() for role, of in measured.items()},
        "qgis_draws_off_by_pixels": drawn_off(grid) if grid is not None else None,
        "channels": _channels(product),
        "chart_bands": [band.name for band in product.rasters["chart"].bands]
        if "chart" in product.rasters
        else [],
        **{key: value for key, value in product.found.items() if key not in _SAID},
        "warnings": list(product.warnings),
        "provenance": {key: str(value) for key, value in sorted(product.tags.items())},
        "floelens": version,
    }
    return plain(facts)


def _channels(product: Product) -> dict[str, list[str]]:
    """Return the channels found and missing: each reader has its own way to tell which are missing."""
    channels = [
        band.name
        for role, raster in product.rasters.items()
        if role != "chart"
        for band in raster.bands
        if band.name != DELAY_BAND.name
    ]
    facts: Mapping[str, Any] = product.found
    listed, laid = facts.get("channels"), facts.get("amsr2")
    missing = [
        *(listed.get("missing", []) if isinstance(listed, Mapping) else []),
        *facts.get("missing_channels", []),
        *facts.get("channels_missing", []),
        *(laid.get("channels_missing", []) if isinstance(laid, Mapping) else []),
    ]
    return {"found": channels, "missing": [name for name in dict.fromkeys(missing) if name not in channels]}


def log_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return what the log says of an import."""
    time = facts["start_time"]
    dated = f"of {time.replace('T', ' ').replace('Z', ' UTC')}" if time else "without a time"
    lines = [f"{facts['kind']}: {facts['name']}, {dated}."]
    if facts["rows"]:
        metres = facts["pixel_size_m"]
        pixel = f"{metres / 1000.0:.1f} km" if metres >= 1000.0 else f"{metres:g} m"
        size = f"{facts['rows']} x {facts['columns']} pixels of {pixel}"
        lines.append(f"{size}, {facts['extent']['text']}.")
    elif facts["extent"]:
        lines.append(f"Extent: {facts['extent']['text']}.")
    if facts.get("pixel_convention"):
        lines.append(f"Pixel convention: {facts['pixel_convention']}.")
    if facts.get("negative_values"):
        counts = facts.get("counts") or {}
        negative = ", ".join(f"{name} {count.get('negative', 0)}" for name, count in counts.items())
        lines.append(f"Negative values: {facts['negative_values']} (pixels below zero: {negative}).")
    channels = facts["channels"]
    if channels["found"] or channels["missing"]:
        lines.append(f"Channels found: {', '.join(channels['found']) or 'none'}.")
        lines.append(f"Channels missing: {', '.join(channels['missing']) or 'none'}.")
    lines += _chart_lines(facts)
    for role, bands in facts["bands"].items():
        shares = {name: f"{100 * band['valid_share']:.1f} %" for name, band in bands.items()}
        # Fourteen equal numbers say no more than one.
        equal = len(set(shares.values())) == 1 and len(shares) > 1
        parts = [f"{name} {share}" for name, share in shares.items()]
        text = f"{next(iter(shares.values()))} in each of {len(shares)} bands" if equal else ", ".join(parts)
        land = max((band.get("land_share") or 0.0 for band in bands.values()), default=0.0)
        note = f"; {100 * land:.1f} % are land" if land else ""
        lines.append(f"Valid pixels of {role.upper()}: {text}{note}.")
    for where in (facts, facts.get("amsr2") or {}):
        if where.get("laid_on_scene"):
            lines.append(f"{where['laid_on_scene']}.")
        delay = where.get("delay_s")
        if delay:
            size = f"{delay['min']:.0f} to {delay['max']:.0f} s, {delay['mean']:.0f} s in the mean"
            lines.append(f"Delay of AMSR2: {size} ({where['delay_sign']}).")
    return lines


def drawing_note(facts: Mapping[str, Any], has_display: bool) -> str | None:
    """Return what a person should know of QGIS's picture of the scene; None where it lies where it should.

    `has_display` says whether the copy for display was made.
    """
    off = facts["qgis_draws_off_by_pixels"]
    if not off or off["maximum"] <= 2.0:
        return None
    metres = facts["pixel_size_m"]
    return (
        f"QGIS draws a raster with tie points through a polynomial, which misses these by {off['mean']:.1f} pixels "
        f"({off['mean'] * metres:.0f} m) in the mean and {off['maximum']:.0f} ({off['maximum'] * metres:.0f} m) at "
        "most. FloeLens follows the points themselves. To look at the scene, and to lay other layers over it, "
        + (
            "take the DISPLAY copy, which follows them."
            if has_display
            else "ask for DISPLAY, a copy that does."
        )
    )


def _chart_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return what the log says of a chart's polygons; of codes that are not known a warning tells."""
    counts = facts.get("chart_polygons")
    number = counts.get("polygons") if isinstance(counts, Mapping) else facts.get("polygons")
    lines = []
    if number:
        details = [
            f"{facts[key]} {text}"
            for key, text in (
                ("interval_concentrations", "with an interval as concentration, taken at its midpoint"),
                ("without_concentration", "without a concentration"),
                ("without_stage", "without a stage of development that dominates"),
            )
            if isinstance(facts.get(key), int) and facts[key]
        ]
        lines.append(f"Chart: {number} polygons" + (f"; {', '.join(details)}" if details else "") + ".")
    return lines


def drawn_off(grid: Grid) -> dict[str, float] | None:
    """Return by how many pixels QGIS's picture of a grid misses its tie points; None for an affine grid.

    QGIS lets GDAL warp such a raster, and GDAL fits polynomials of the second degree to the points
    (of the first where there are fewer than six), whatever lies between them.
    """
    if not grid.gcps:
        return None
    row, col, x, y = np.array([(point.row, point.col, point.x, point.y) for point in grid.gcps]).T
    u, v = 2.0 * row / grid.rows - 1.0, 2.0 * col / grid.cols - 1.0
    degree = 2 if len(row) >= 6 else 1
    terms = np.stack([u**i * v**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=1)
    misses = [
        terms @ np.linalg.lstsq(terms, axis - axis.mean(), rcond=None)[0] - (axis - axis.mean())
        for axis in (x, y)
    ]
    pixels = np.hypot(*misses) / grid.pixel_size()
    return {"mean": round(float(pixels.mean()), 2), "maximum": round(float(pixels.max()), 2)}


def extent_of(grid: Grid) -> dict[str, object]:
    """Return the longitudes and latitudes (degrees) that a grid covers, the poles and 180° included.

    ``west`` is greater than ``east`` where the extent crosses the antimeridian.
    """
    rows, cols = np.linspace(0, grid.rows, 41), np.linspace(0, grid.cols, 41)
    row = np.concatenate([rows, rows, np.zeros(41), np.full(41, grid.rows)])
    col = np.concatenate([np.zeros(41), np.full(41, grid.cols), cols, cols])
    pole = next((lat for lat in (90.0, -90.0) if _covers(grid, lat)), None)
    return _extent(*grid.pixel_to_lonlat(row, col), pole)


def extent_of_polygons(polygons: ChartPolygons) -> dict[str, object] | None:
    """Return the longitudes and latitudes of the vertices of polygons; None where there is none."""
    rings = [ring for wkb in polygons.wkb for part in parts_of(wkb)[0] for ring in part]
    if not rings:
        return None
    return _extent(*transform(polygons.crs, LONLAT, *np.concatenate(rings).T), None)


def _extent(lon: np.ndarray, lat: np.ndarray, pole: float | None) -> dict[str, object]:
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    south, north = float(lat.min()), float(lat.max())
    # East and west are at the sides of the widest gap between longitudes.
    ordered = np.sort((lon + 180.0) % 360.0 - 180.0)
    gaps = np.diff(ordered, append=ordered[0] + 360.0)
    widest = int(gaps.argmax())
    west, east = float(ordered[(widest + 1) % len(ordered)]), float(ordered[widest])
    if pole is not None:
        west, east = -180.0, 180.0
        south, north = (south, pole) if pole > 0 else (pole, north)
    values = {"west": west, "south": south, "east": east, "north": north}
    text = f"{_degrees(west, 'EW')} to {_degrees(east, 'EW')}, {_degrees(south, 'NS')} to {_degrees(north, 'NS')}"
    return {**{name: round(value, 5) for name, value in values.items()}, "text": text}


def _covers(grid: Grid, lat: float) -> bool:
    """Return whether a pole lies on the grid; far away a grid may go on anywhere, so its middle decides first."""
    if abs(float(grid.pixel_to_lonlat(grid.rows / 2, grid.cols / 2)[1]) - lat) > 45.0:
        return False
    row, col = grid.lonlat_to_pixel(0.0, lat)
    return bool(0 <= row <= grid.rows and 0 <= col <= grid.cols)


def _degrees(value: float, letters: str) -> str:
    return f"{abs(value):.2f}° {letters[0] if value >= 0 else letters[1]}"


def plain(value: object) -> Any:
    """Return a value as JSON knows it: keys as text, numbers as Python's, times as text, no NaN."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
