"""An agency's file as rasters and polygons: named, calibrated, georeferenced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from ..core.streaming.run_time import clock
from ..ground.errors import Cancelled, ParameterError, SceneError
from ..ground.protocols import Part, Progress
from ..ground.version import plugin_version
from ..ground.window import Window
from ..io.environment.gdal_state import bounded_block_cache
from ..io.formats.amsr2.bands import CONCENTRATION_BAND, DELAY_BAND
from ..io.formats.chart.codes import CONCENTRATIONS, FLOES, STAGES
from ..io.formats.product import ArrayRaster, ChartPolygons, ImportOptions, Product, ProductRaster
from ..io.formats.products import check_container, open_product, scene_of
from ..io.geometry.grid import Grid
from ..io.geometry.vector import write_polygons
from ..io.rasters.display import footprint, write_display_copy
from ..io.rasters.writer import Outputs, RasterWriter
from ..report.styles.charts import LAND, chart_polygon_concentration_style
from ..report.styles.imports import footprint_style, raster_styles
from ..report.styles.layers import sidecar
from .common.strip_time import TrialStrip, announce_strips
from .importreport import Measured, drawing_note, log_lines, summary

OUTPUTS = ("sar", "mwr", "ancillary_fine", "ancillary_coarse", "chart", "chart_polygons")
CALLED = {
    "sar": "radar backscatter",
    "mwr": "AMSR2 brightness temperatures",
    "ancillary_fine": "ancillary field on the radar's pixels (distance map)",
    "ancillary_coarse": "weather or concentration",
    "chart": "ice chart as a raster",
    "chart_polygons": "ice chart as polygons",
}
_TABLES = {"concentration": CONCENTRATIONS, "stage_of_development": STAGES, "floe_size": FLOES}
_STOPPED = "Stopped before the end: no result was written."


@dataclass(frozen=True)
class ImportScene:
    """Import a file.

    Parameters
    ----------
    input : str
        A scene, an AMSR2 file or an ice chart, in any known format.
    amsr2 : tuple of str
        AMSR2 files to lay on the grid of the scene.
    options : ImportOptions
        Units, averaging, the scene a chart is laid on.
    sar, mwr, ancillary_fine, ancillary_coarse, chart, chart_polygons : str, optional
        What to write.
    display : str, optional
        Polar-stereographic copy of the radar raster for display.
    footprint : str, optional
        Polygon of the outline of the scene's pixels, in the CRS of the display copy.
    summary : str, optional
        JSON of what was recognised.
    """

    input: str
    amsr2: tuple[str, ...] = ()
    options: ImportOptions = field(default_factory=ImportOptions)
    sar: str | None = None
    mwr: str | None = None
    ancillary_fine: str | None = None
    ancillary_coarse: str | None = None
    chart: str | None = None
    chart_polygons: str | None = None
    display: str | None = None
    footprint: str | None = None
    summary: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write what was asked for; return paths and facts under their published names."""
        wanted = {name: getattr(self, name) for name in OUTPUTS if getattr(self, name)}
        if not (wanted or self.display or self.footprint or self.summary):
            raise ParameterError(
                "Nothing to write: give at least one of SAR, MWR, ANCILLARY_FINE, ANCILLARY_COARSE, CHART, "
                "CHART_POLYGONS, DISPLAY, FOOTPRINT and SUMMARY."
            )
        if self.amsr2 and not self.mwr:
            raise ParameterError("AMSR2 files are given, but MWR is not asked for. Name a raster for MWR.")
        with ExitStack() as stack:
            stack.enter_context(bounded_block_cache())
            progress.report(0.0, f"Reading {_called(self.input)}")
            product = stack.enter_context(open_product(self.input, self.options))
            rasters = _with_delay(product.rasters)
            tags = {**product.tags, **self._tags(product)}
            tags_of_mwr = tags
            if self.amsr2:
                rasters["mwr"], laid = self._amsr2(product, stack, Part(progress, 0.0, 0.2))
                tags_of_mwr = {key: value for key, value in {**tags, **laid}.items() if value}
            self._check(product, rasters, wanted)
            outputs = stack.enter_context(Outputs(progress))
            tags_of = {role: tags_of_mwr if role == "mwr" else tags for role in rasters}
            begun = Part(progress, 0.2 if self.amsr2 else 0.0, 0.85)
            writers, measured = self._write_rasters(outputs, rasters, wanted, tags_of, begun)
            if self.chart_polygons:
                polygons = self._polygons(product, progress)
                _write_polygons(outputs, self.chart_polygons, polygons, tags.get("start_time"))
            grid = next((rasters[role].grid for role in rasters), None)
            if self.display:
                writers["sar"].finish()  # it is complete but has no name yet
                source, portion = writers["sar"].temporary, Part(progress, 0.9, 0.99)
                write_display_copy(source, self.display, portion, outputs=outputs)
            if self.footprint and grid is not None:
                _write_footprint(outputs, self.footprint, grid, product.name, tags.get("start_time"))
            facts = summary(replace(product, rasters=rasters, tags=tags), grid, measured, plugin_version())
            for line in log_lines(facts):
                progress.message(line)
            unasked = [name.upper() for name in OUTPUTS if name in rasters and name not in wanted]
            if unasked:
                progress.message(f"The file gives {', '.join(unasked)} too: ask for it where you need it.")
            note = drawing_note(facts, self.display is not None)
            if note:
                (progress.message if self.display else progress.warn)(note)
            for warning in product.warnings:
                progress.warn(warning)
            self._write_styles(outputs, rasters, wanted, tags.get("start_time"))
            if self.summary:
                text = json.dumps(facts, indent=2, ensure_ascii=False) + "\n"
                outputs.file(self.summary).write_text(text, encoding="utf-8")
            if progress.cancelled():
                raise Cancelled(_STOPPED)
            progress.report(1.0, "Import complete")
        paths = {name.upper(): path for name, path in wanted.items()}
        channels = facts["channels"]
        others = {"DISPLAY": self.display, "FOOTPRINT": self.footprint, "SUMMARY": self.summary}
        return {
            **paths,
            **{name: path for name, path in others.items() if path},
            "SCENE_NAME": product.name,
            "KIND": product.kind,
            "START_TIME": tags.get("start_time", ""),
            "EXTENT": facts["extent"]["text"] if facts["extent"] else "",
            "CHANNELS_FOUND": ", ".join(channels["found"]),
            "CHANNELS_MISSING": ", ".join(channels["missing"]),
            "ANCILLARY_COARSE_TITLE": _coarse_title(rasters),
        }

    def _check(
        self, product: Product, rasters: Mapping[str, ProductRaster], wanted: Mapping[str, str]
    ) -> None:
        """Check that all that was asked for is there."""
        has_polygons = product.polygons is not None or product.polygons_from is not None
        present = [*rasters, *(["chart_polygons"] if has_polygons else [])]
        absent = [name for name in wanted if name not in present]
        empty = [name.upper() for name in absent]
        if self.display and "sar" not in present:
            absent.append("sar")
            empty.append("DISPLAY")
        if self.footprint and not rasters:
            empty.append("FOOTPRINT")
        if not empty:
            return
        inside = (
            ", ".join(name.upper() for name in OUTPUTS if name in present) or "nothing that can be written"
        )
        hint = f"Leave {', '.join(empty)} empty (skip the output)"
        if "mwr" in absent:
            hint += ", or name an AMSR2 file in AMSR2"
        if "chart" in absent and "chart_polygons" in present:
            hint += ", or name the raster on whose grid the chart is to be laid in SCENE"
        lacking = dict.fromkeys([CALLED[name] for name in absent] or ["raster to outline"])
        raise SceneError(
            f"{self.input} ({product.kind}) holds no {' and no '.join(lacking)}; it gives {inside}. {hint}."
        )

    def _amsr2(
        self, product: Product, stack: ExitStack, progress: Progress
    ) -> tuple[ProductRaster, dict[str, str]]:
        """Return brightness temperatures of other files, laid on the scene, and their tags."""
        from ..io.formats.amsr2 import open_amsr2

        grid, time = scene_of(self.options)
        if "sar" in product.rasters:
            grid, time = product.rasters["sar"].grid, product.time
        for path in self.amsr2:
            check_container(path)
        laid = stack.enter_context(open_amsr2(self.amsr2, self.options, grid, time, progress))
        if "mwr" not in laid.rasters:
            raise SceneError(
                f"{', '.join(self.amsr2)} ({laid.kind}) holds no AMSR2 brightness temperatures. Give swaths or "
                "gridded brightness temperatures in AMSR2; a concentration is imported by itself, as INPUT."
            )
        product.warnings.extend(laid.warnings)
        if "mwr" in product.rasters:
            product.warnings.append(
                f"{self.input} holds brightness temperatures of its own; those of AMSR2 are written instead."
            )
        product.found["amsr2"] = {"tags": dict(laid.tags), **laid.found}
        names = ", ".join(Path(path).name for path in self.amsr2)
        tags = {**laid.tags, "FLOELENS_AMSR2": names}
        if "amsr2_delay_s" not in tags:  # else the radiometer's time would be taken for the radar's
            tags.setdefault("start_time", start_text(laid.time) if laid.time else "")
        return _with_delay(laid.rasters)["mwr"], tags

    def _tags(self, product: Product) -> dict[str, str]:
        tags = {
            "FLOELENS_PRODUCT": product.kind,
            "FLOELENS_SCENE": product.name,
            "FLOELENS_VERSION_FLOELENS": plugin_version(),
            "FLOELENS_VERSION_NUMPY": np.__version__,
            "FLOELENS_MULTILOOK": str(self.options.multilook),
        }
        if product.time is not None:
            tags["start_time"] = start_text(product.time)
        return tags

    # Rasters and polygons

    def _write_rasters(
        self,
        outputs: Outputs,
        rasters: Mapping[str, ProductRaster],
        wanted: Mapping[str, str],
        tags: Mapping[str, Mapping[str, str]],
        progress: Progress,
    ) -> tuple[dict[str, RasterWriter], dict[str, Measured]]:
        """Write the rasters strip by strip; return them and what was met in them."""
        paths = dict(wanted)
        if self.display:
            paths.setdefault("sar", self.display)  # what the display copy is made of gets no name of its own
        chosen = {role: rasters[role] for role in paths if role in rasters}
        total = sum(_size(raster) for raster in chosen.values()) or 1
        done, writers, measured = 0, {}, {}
        for role, raster in chosen.items():
            writers[role] = writer = outputs.raster(
                paths[role],
                raster.grid,
                raster.bands,
                keep=role in wanted,
                tags=dict(tags[role]),
                **dict(_writing_options(raster)),
            )
            measured[role] = Measured(
                [band.name for band in raster.bands], raster.nodata, LAND if role == "chart" else None
            )
            for row in range(0, raster.grid.rows, raster.strip_rows):
                if progress.cancelled():
                    raise Cancelled(_STOPPED)
                strip = Window(row, 0, min(raster.strip_rows, raster.grid.rows - row), raster.grid.cols)
                start = clock()
                values = raster.read(strip)
                if row == raster.strip_rows and len(measured) == 1:
                    trial = TrialStrip(
                        paths[role], raster.grid, raster.bands, values, _writing_options(raster)
                    )
                    seconds = (clock() - start) / values.nbytes * _size(raster) + trial.writing(outputs)
                    # The others are counted by their bytes: beside the radar's they are small.
                    announce_strips(progress, f"Importing {CALLED[role]}", seconds / _size(raster) * total)
                measured[role].add(values)
                writer.write(values)
                done += values.nbytes
                progress.report(done / total, f"Importing {CALLED[role]}")
        return writers, measured

    def _polygons(self, product: Product, progress: Progress) -> ChartPolygons:
        if product.polygons is not None:
            return product.polygons

        def traced(share: float) -> bool:
            progress.report(0.85 + 0.05 * share, "Tracing the chart's polygons")
            return not progress.cancelled()

        if product.polygons_from is None:
            raise SceneError(f"{self.input} ({product.kind}) holds no polygons: leave CHART_POLYGONS empty.")
        return product.polygons_from(traced)

    def _write_styles(
        self,
        outputs: Outputs,
        rasters: Mapping[str, ProductRaster],
        wanted: Mapping[str, str],
        start_time: str | None,
    ) -> None:
        """Write the style of each raster beside it, and of the other bands of a chart."""
        shown = [*wanted.items(), *([("sar", self.display)] if self.display else [])]
        for role, path in shown:
            if role not in rasters:
                continue
            bands = [(band.name, band.unit) for band in rasters[role].bands]
            for suffix, text in raster_styles(role, bands, _TABLES, start_time).items():
                target = sidecar(path)
                if suffix:
                    target = target.with_name(f"{target.stem}_{suffix}.qml")
                outputs.file(target).write_text(text, encoding="utf-8")


def _write_footprint(outputs: Outputs, path: str, grid: Grid, scene: str, start_time: str | None) -> None:
    outline = footprint(grid)
    fields: dict[str, Sequence[object]] = {"scene": [scene], "start_time": [start_time]}
    write_polygons(outputs.file(path), outline.wkb, outline.crs, fields, layer="footprint")
    outputs.file(sidecar(path)).write_text(footprint_style(start_time), encoding="utf-8")


def _write_polygons(outputs: Outputs, path: str, polygons: ChartPolygons, start_time: str | None) -> None:
    write_polygons(outputs.file(path), polygons.wkb, polygons.crs, polygons.fields, layer="chart")
    kind = "POLY_TYPE" if "POLY_TYPE" in polygons.fields else None
    style = chart_polygon_concentration_style(CONCENTRATIONS, type_field=kind, start_time=start_time)
    outputs.file(sidecar(path)).write_text(style, encoding="utf-8")


def _writing_options(raster: ProductRaster) -> tuple[tuple[str, object], ...]:
    overviews = "nearest" if raster.dtype == "uint8" else "average"
    return ("dtype", raster.dtype), ("nodata", raster.nodata), ("overviews", overviews)


def start_text(time: datetime) -> str:
    """Return a time as it stands in tags: ``2018-01-24T19:47:59Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _called(path: str) -> str:
    """Return the name of a source: of a manifest the product's."""
    file = Path(path)
    return file.parent.name if file.name == "manifest.safe" and file.parent.name else file.name


def _coarse_title(rasters: Mapping[str, ProductRaster]) -> str:
    """Return what the coarse layer is called: weather, or AMSR2's own concentration."""
    coarse = rasters.get("ancillary_coarse")
    is_ice = coarse is not None and [band.unit for band in coarse.bands] == [CONCENTRATION_BAND.unit]
    return "Sea-ice concentration" if is_ice else "Weather"


def _size(raster: ProductRaster) -> int:
    return raster.grid.rows * raster.grid.cols * len(raster.bands) * np.dtype(raster.dtype).itemsize


def _with_delay(rasters: Mapping[str, ProductRaster]) -> dict[str, ProductRaster]:
    """Return rasters in which AMSR2's delay to the radar is a last band of its temperatures, not a file of its own."""
    rasters = dict(rasters)
    mwr, other = rasters.get("mwr"), rasters.get("ancillary_coarse")
    if mwr is not None and other is not None and [band.name for band in other.bands] == [DELAY_BAND.name]:
        values = np.concatenate([raster.read(raster.grid.window) for raster in (mwr, other)])
        rasters["mwr"] = ArrayRaster(mwr.grid, [*mwr.bands, *other.bands], values)
        del rasters["ancillary_coarse"]
    return rasters
