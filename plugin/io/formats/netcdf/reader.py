"""ASIP and AI4Arctic scenes: what a file holds, under canonical names and in physical units.

The three kinds are recognised by their variables, never by the file's name. Tie points become
ground control points, the incidence angle a band, and the chart is decoded; see :mod:`.geometry`,
:mod:`.layers` and :mod:`.chart`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ....ground.errors import SceneError
from ....networks.standard_channels import MWR_CHANNELS, STANDARD_CHANNELS, WEATHER_CHANNELS
from ...rasters.writer import Band
from ..cf.container import Container, Variable, check_size, locate
from ..chart.raster import CHART_BANDS
from ..product import ArrayRaster, ChartPolygons, ImportOptions, Product
from .chart import ChartTable, parse_codes, polygonise
from .layers import ChartRaster, Columns, FineBand, FineRaster, Layer, Standardised
from .places import Places
from .schema import ASIP, ESA, NERSC, READY, READY_CHARTS, instant_in, kind_of, scene_name


def recognises(path: str) -> bool:
    """Return whether a file (or the one NetCDF file in a zip) is a scene of one of the three kinds."""
    try:
        if not locate(path):
            return False
        with Container(path) as container:
            return bool(kind_of(container.names))
    except SceneError:
        return False


def open_netcdf(path: str, options: ImportOptions) -> Product:
    """Open a scene.

    Parameters
    ----------
    path : str
        A NetCDF file, a zip that holds one, or a path under ``/vsi…``.
    options : ImportOptions
        Units, averaging, and the share a class needs to be mapped.

    Raises
    ------
    SceneError
        It is no such scene, it is damaged, or it has no tie points.
    """
    container = Container(path)
    try:
        return _Reader(container, options).product()
    except BaseException:
        container.close()
        raise


@dataclass
class _Reader:
    """Collects what one file holds."""

    container: Container
    options: ImportOptions
    warnings: list[str] = field(default_factory=list)
    found: dict[str, object] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def product(self) -> Product:
        self.kind = kind_of(self.container.names)
        if not self.kind:
            raise SceneError(
                f"{self.container.path} is a NetCDF file, but no ASIP or AI4Arctic scene: it has no "
                f"variable nersc_sar_primary or sar_primary (variables: "
                f"{', '.join(self.container.names[:20]) or 'none'})."
            )
        self.path = self.container.path
        sar = self._sar_variables()
        self.shape = check_size(self.container, next(iter(sar.values())))
        for variable in sar.values():
            variable.check_shape(self.shape, "the image is")
        self.places = Places(self.container, self.kind, self.shape, self.found, self.warnings)
        self.ties = self.places.tie_points()
        self.grid = self.ties.grid(*self.shape, self.path)
        self._orientation()
        time = self._time()
        rasters: dict[str, Any] = {"sar": self._sar(sar)}
        for role, raster in (
            ("mwr", self._coarse(MWR_CHANNELS)),
            ("ancillary_fine", self._distance()),
            ("ancillary_coarse", self._coarse(WEATHER_CHANNELS)),
        ):
            if raster is not None:
                rasters[role] = raster
        polygons_from = self._chart(rasters)
        self._report(rasters)
        return Product(
            kind=self.kind,
            name=self._name(),
            time=time,
            rasters=rasters,
            tags=self.tags,
            found=self.found,
            warnings=self.warnings,
            close=self.container.close,
            polygons_from=polygons_from,
        )

    # Names and time

    def _attribute(self, name: str) -> str:
        value = self.container.attributes.get(name, "")
        return value if isinstance(value, str) else str(value) if isinstance(value, (int, float)) else ""

    def _name(self) -> str:
        return scene_name(self._attribute("scene_id") or self.container.source)

    def _time(self) -> datetime | None:
        attributes = self.container.attributes.values()
        texts = (
            self._attribute("original_id"),
            self._attribute("scene_id"),
            Path(self.container.source).name,
            *(value for value in attributes if isinstance(value, str)),
        )
        time = instant_in(texts)
        if time is not None:
            self.tags["start_time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ")
            return time
        self.warnings.append(
            f"{self.path} does not say when the scene was taken: neither its attributes original_id and "
            "scene_id nor its name hold a time. The layers will have none."
        )
        return None

    # Geometry

    def _orientation(self) -> None:
        """Note how the image lies, and check what the file says of it.

        `flip` is the axis along which a picture of the pixels is turned over to look like a map. Pixels
        and tie points are both kept in the order of the radar, so that nothing is turned over here: the
        tie points place every pixel, and flip only says how it would look right without them.
        """
        expected = self.ties.display_flip(self.grid)
        self.found["mirror_image_of_the_map"] = self.ties.mirrored(self.grid)
        flip = self.container.attributes.get("flip")
        if not isinstance(flip, (int, float)):
            return
        self.found["flip"] = int(flip)
        self.tags["FLOELENS_FLIP"] = f"{int(flip)} (for display only; pixels stay in the radar's order)"
        if self.found["mirror_image_of_the_map"] and int(flip) != expected:
            self.warnings.append(
                f"{self.path} says flip={int(flip)}, but by its tie points the image looks like a map when "
                f"turned over along axis {expected}. The tie points are believed: compare with a coastline."
            )
        if not self.found["mirror_image_of_the_map"]:
            self.warnings.append(
                f"{self.path} says flip={int(flip)}, but by its tie points the image lies like a map already, "
                "not in the radar's order. The tie points are believed: compare with a coastline."
            )

    # Rasters

    def _sar_variables(self) -> dict[str, Variable]:
        """Return the variables of backscatter by band: the better correction of noise has the plain name."""
        chosen: dict[str, Variable] = {}
        extra: dict[str, Variable] = {}
        for band in ("hh", "hv"):
            for source, name in ((NERSC, band), (ESA, f"{band}_esa")):
                if source[band] in self.container:
                    variable = self.container.variable(source[band])
                    if band in chosen:
                        extra[name] = variable
                    else:
                        chosen[band] = variable
        chosen.update(extra)
        for band, variable in list(chosen.items()):
            stated = str(variable.attributes.get("polarisation", variable.attributes.get("polarization", "")))
            plain = band.split("_")[0]
            if re.fullmatch(r"[HhVv]{2}", stated) and stated.lower() != plain:
                # A scene in VV and VH must not pass as HH and HV.
                renamed = stated.lower() + band[len(plain) :]
                chosen = {renamed if name == band else name: v for name, v in chosen.items()}
                self.warnings.append(
                    f"'{variable.name}' in {self.path} is {stated.upper()}, not {plain.upper()}: its band is "
                    f"named {stated.lower()}."
                )
        return chosen

    def _standardised(self, name: str, variable: Variable) -> Layer:
        if self.kind != READY:
            return variable
        channel = STANDARD_CHANNELS[name]
        return Standardised(variable, channel.mean, channel.sd)

    def _sar(self, variables: dict[str, Variable]) -> FineRaster:
        bands = []
        for name, variable in variables.items():
            tags = {"noise_correction": "NERSC" if variable.name.startswith("nersc") else "ESA"}
            plain = name.split("_")[0]
            layer = self._standardised(plain, variable) if plain in STANDARD_CHANNELS else variable
            bands.append(FineBand(Band(name, "dB", tags), layer, "sigma0"))
        angle = self._incidence()
        if angle is not None:
            bands.insert(
                sum(not name.endswith("_esa") for name in variables),
                FineBand(Band("incidence_angle", "degree"), angle, "mean"),
            )
        if self.kind == READY:
            self.tags["FLOELENS_STATISTICS"] = "AI4Arctic global means and standard deviations, turned back"
        return FineRaster(
            self.grid,
            bands,
            self.options.decibels,
            self.options.multilook,
            list(variables.values()) if self.kind == READY else [],
        )

    def _incidence(self) -> Layer | None:
        if "sar_incidenceangle" in self.container:
            variable = self.container.variable("sar_incidenceangle")
            variable.check_shape(self.shape, "the image is")
            return self._standardised("incidence_angle", variable)
        if "sar_incidenceangles" in self.container:
            variable = self.container.variable("sar_incidenceangles")
            if variable.shape in ((self.shape[1],), (1, self.shape[1])):
                return Columns(variable.whole().ravel())
            self._skip(variable.name, f"it has {variable.shape} values, the image {self.shape[1]} columns")
            return None
        if "sar_grid_incidenceangle" in self.container and self.kind != READY:
            values = self.places.tie_variable("sar_grid_incidenceangle").ravel()
            lattice = self.ties.lattice(values) if values.size == self.ties.row.size else None
            if lattice is None:
                self._skip("sar_grid_incidenceangle", "its tie points are no full lattice")
            return lattice
        return None

    def _distance(self) -> FineRaster | None:
        if "distance_map" not in self.container:
            return None
        variable = self.container.variable("distance_map")
        variable.check_shape(self.shape, "the image is")
        layer = self._standardised("distance_map", variable)
        if isinstance(layer, Standardised):
            layer = Rounded(layer)  # classes: what is left of the standardisation is rounding
        band = FineBand(Band("distance_map", "1"), layer, "nearest")
        return FineRaster(self.grid, [band], multilook=self.options.multilook)

    def _coarse(self, channels: Sequence[str]) -> ArrayRaster | None:
        """Return the channels that there are on the cells of 2 km; None where there is none."""
        present = {}
        for name in channels:
            for spelling in (name, *STANDARD_CHANNELS[name].aliases):
                if spelling in self.container:
                    present[name] = self.container.variable(spelling)
                    break
        if not present:
            return None
        first = next(iter(present.values()))
        shape = check_size(self.container, first)
        for variable in present.values():
            variable.check_shape(shape, f"'{first.name}' is")
        stack = np.stack([variable.whole().astype(np.float64) for variable in present.values()])
        if self.kind == READY:
            stack = self._turned_back(list(present), stack)
        grid = self.places.cells(self.grid, shape)
        bands = [self._coarse_band(name) for name in present]
        return ArrayRaster(grid, bands, stack.astype(np.float32))

    def _turned_back(self, names: Sequence[str], z: np.ndarray) -> np.ndarray:
        """Return standardised values in physical units; cells at which all are 0 have no data."""
        mean, sd = (
            np.array([getattr(STANDARD_CHANNELS[name], key) for name in names])[:, None, None]
            for key in ("mean", "sd")
        )
        return np.where((z == 0).all(axis=0), np.nan, z * sd + mean)

    @staticmethod
    def _coarse_band(name: str) -> Band:
        channel = STANDARD_CHANNELS[name]
        tags = {}
        if channel.footprint_km:
            tags["footprint_km"] = " x ".join(f"{side:g}" for side in channel.footprint_km)
            tags["frequency_ghz"] = f"{channel.frequency_ghz:g}"
        return Band(name, channel.unit, tags)

    # Chart

    def _chart(
        self, rasters: dict[str, Any]
    ) -> Callable[[Callable[[float], bool] | None], ChartPolygons] | None:
        """Add the decoded chart; return what makes its polygons, where there are any."""
        if self.kind == READY:
            present = [name for name in READY_CHARTS if name in self.container]
            if present:
                self._ready_chart(rasters, present)
            return None
        if "polygon_icechart" not in self.container:
            return None
        if "polygon_codes" not in self.container:
            self._skip("polygon_icechart", "the variable 'polygon_codes' that explains it is missing")
            return None
        variable = self.container.variable("polygon_icechart")
        variable.check_shape(self.shape, "the image is")
        lines = self.container.variable("polygon_codes").texts()
        table = parse_codes(lines, self.options.dominant_share, self.path)
        self._note_table(table)
        raster = ChartRaster(self.grid, CHART_BANDS, [variable], table.tables(), self.options.multilook)
        rasters["chart"] = raster
        self.found["chart_pixels_without_codes"] = raster.unknown

        def polygons(go_on: Callable[[float], bool] | None = None) -> ChartPolygons:
            made, counts = polygonise(variable, table, self.grid, go_on)
            self.found["chart_polygons"] = counts
            return made

        return polygons

    def _note_table(self, table: ChartTable) -> None:
        self.found["chart_codes"] = len(table.codes)
        self.found["unknown_codes"] = table.unknown.as_json()
        self.tags["FLOELENS_DOMINANT_SHARE"] = f"{self.options.dominant_share:g} %"
        if table.unknown.sentence():
            self.warnings.append(table.unknown.sentence())
        if table.broken:
            self.warnings.append(
                f"{table.broken} of {table.broken + len(table.codes)} lines of the chart's codes in "
                f"{self.path} cannot be read; their polygons are mapped as no data."
            )

    def _ready_chart(self, rasters: dict[str, Any], present: Sequence[str]) -> None:
        variables = [self.container.variable(name) for name in present]
        tables = []
        for name, variable in zip(present, variables):
            variable.check_shape(self.shape, "the image is")
            classes = READY_CHARTS[name]
            tables.append(classes if isinstance(classes, dict) else {n: n for n in classes})
            tables[-1] = {**tables[-1], 255: 255}
        bands = [CHART_BANDS[list(READY_CHARTS).index(name)] for name in present]
        raster = ChartRaster(self.grid, bands, variables, tables, self.options.multilook)
        rasters["chart"] = raster
        self.found["chart_pixels_without_codes"] = raster.unknown

    # What was found

    def _skip(self, name: str, why: str) -> None:
        self.warnings.append(f"'{name}' in {self.path} is left out: {why}.")

    def _report(self, rasters: dict[str, Any]) -> None:
        expected = ("hh", "hv", "incidence_angle", "distance_map", *MWR_CHANNELS)
        if self.kind != ASIP:
            expected += WEATHER_CHANNELS
        present = [band.name for role, raster in rasters.items() if role != "chart" for band in raster.bands]
        self.found["channels"] = {
            "found": present,
            "missing": [name for name in expected if name not in present],
        }
        if "mwr" not in rasters:
            self.warnings.append(
                f"{self.path} holds no AMSR2 brightness temperatures: no MWR raster can be made of it. Give "
                "an AMSR2 file of the same time in AMSR2."
            )
        if "chart" not in rasters:
            self.warnings.append(f"{self.path} holds no ice chart.")
        for key in ("ice_service", "original_id"):
            if self._attribute(key):
                self.found[key] = self._attribute(key)
                self.tags[f"FLOELENS_{key.upper()}"] = self._attribute(key)
        self.tags["FLOELENS_PRODUCT"] = self.kind
        self.tags["FLOELENS_SOURCE"] = Path(self.container.source).name
        self.tags["FLOELENS_PIXEL_CONVENTION"] = str(self.found["pixel_convention"])


@dataclass(frozen=True)
class Rounded:
    """A layer of classes: the nearest whole number."""

    layer: Standardised

    @property
    def variable(self) -> Variable:
        """The variable beneath."""
        return self.layer.variable

    def read(self, window) -> np.ndarray:
        """Return (row, column), float32."""
        return np.rint(self.layer.read(window))
