"""Opening AMSR2 files: which kind they are, and what they give together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ....ground.errors import FloeLensError, ParameterError, SceneError
from ....ground.protocols import Progress, Silent
from ...geometry.grid import Grid
from ...geometry.registration import overlap
from ...scene.acquisition import time_in
from .. import concentration
from ..cf.container import Container, is_container, members
from ..product import ArrayRaster, ImportOptions, Product
from .bands import CHANNELS, DELAY_BAND, channel_band, in_order
from .combine import combined, own_grid_of, scene_cells
from .grids import (
    channels_in,
    holds_sar,
    own_grid,
    read_on_own_grid,
    read_over_scene,
    scene_time_in_name,
    time_in_attributes,
)
from .shift import shifts_against_89
from .swath import Swath, as_datetime, is_swath, read_swath

LONG_DELAY_S = 3 * 3600.0
"""A delay to be warned of: drifting ice moves several kilometres in that time."""

LARGEST_MEASURED = 1_000_000
"""Cells; on larger grids shifts are not measured."""


def recognises(path: str) -> bool:
    """Return whether a file is one of AMSR2, by its content; never raises."""
    try:
        sources = members(path)
        return any(_kind(source) is not None for source in sources)
    except (FloeLensError, RuntimeError, OSError, ValueError, TypeError):
        return False


def open_amsr2(
    paths: Sequence[str],
    options: ImportOptions,
    scene: Grid | None,
    scene_time: datetime | None,
    progress: Progress | None = None,
) -> Product:
    """Return what AMSR2 files hold: several swaths together, or one gridded file.

    Parameters
    ----------
    paths : sequence of str
        Files, zips of files, or paths under ``/vsi``.
    options : ImportOptions
        `scene` names the raster that the grid `scene` belongs to.
    scene : Grid, optional
        The SAR scene. Swaths are laid on its cells of about 2 km; a grid without georeferencing
        cannot do without it.
    scene_time : datetime, optional
        Start of the SAR acquisition, UTC.
    progress : Progress, optional
        Where to report to.

    Raises
    ------
    SceneError
        A file is none of AMSR2, damaged, or does not meet the scene.
    ParameterError
        Files that cannot be used together.
    """
    progress = progress or Silent()
    if scene_time is not None and scene_time.tzinfo is None:
        scene_time = scene_time.replace(tzinfo=timezone.utc)
    sources = [source for path in paths for source in _sources(path)]
    if not sources:
        raise ParameterError("No AMSR2 file is given. Name at least one.")
    kinds = [_kind(source) for source in sources]
    for source, kind in zip(sources, kinds):
        if kind is None:
            raise SceneError(
                f"{source} is no AMSR2 file that is known: neither a Level 1B or 1R swath, nor gridded brightness "
                "temperatures or concentrations. Check the file."
            )
    if set(kinds) == {"swath"}:
        return _swaths(sources, scene, scene_time, progress)
    if len(sources) > 1:
        raise ParameterError(
            f"Several AMSR2 files can be combined only if all are swaths; {PurePosixPath(sources[0]).name} and "
            f"{len(sources) - 1} more are not. Import gridded files one at a time."
        )
    with Container(sources[0]) as container:
        if kinds[0] == "concentration":
            return _concentration(container, options, scene, scene_time)
        return _gridded(container, options, scene, scene_time)


def _sources(path: str) -> list[str]:
    contents = members(path)
    if not contents:
        raise SceneError(f"There is no HDF5 or NetCDF file in {path}. Check the path.")
    # A zip may hold other things beside: only what is of AMSR2 is meant.
    return [source for source in contents if _kind(source)] or contents if contents != [path] else contents


def _kind(source: str) -> str | None:
    """Return ``swath``, ``channels``, ``concentration`` or None."""
    if not source.startswith("/vsigzip/") and not is_container(source):
        # Opening says why; asked for recognition only, it is just not ours.
        with Container(source):
            return None
    with Container(source, "HDF5") as container:
        # NetCDF-4 is HDF5 with dimensions, which the other driver reads.
        if container.is_hdf5 and is_swath(container):
            return "swath"
    with Container(source) as container:
        if holds_sar(container):
            return None
        if channels_in(container):
            return "channels"
        return "concentration" if concentration.variable_in(container) else None


def _swaths(
    sources: Sequence[str], scene: Grid | None, scene_time: datetime | None, progress: Progress
) -> Product:
    """Return swaths on the cells of the scene, or on a grid of their own."""
    swaths = []
    for number, source in enumerate(sources):
        progress.report(0.3 * number / len(sources), f"Reading {PurePosixPath(source).name}")
        with Container(source, "HDF5") as container:
            swaths.append(read_swath(container))
    warnings: list[str] = []
    if scene is not None:
        grid, cell_km = scene_cells(scene)
    else:
        grid, cell_km = own_grid_of(swaths, warnings)
    cells = combined(swaths, grid, cell_km, scene_time, progress)
    present = in_order(cells.values)
    if not cells.covered.any():
        where = "the scene" if scene is not None else "a place poleward of 50 degrees"
        raise SceneError(
            f"{_listed([s.name for s in swaths])}: no AMSR2 swath covers {where}. Give swaths of its time and place."
        )
    if len(swaths) > 1 and scene_time is None:
        warnings.append(
            "The time of the SAR scene is not known: where swaths overlap, the first one given is taken, "
            "and no delay is recorded."
        )
    share = float(cells.covered.mean())
    if scene is not None and share < 1.0:
        warnings.append(f"AMSR2 covers {100 * share:.1f} % of the scene's cells; the others have no data.")
    rasters: dict[str, Any] = {
        "mwr": ArrayRaster(
            grid, [channel_band(name) for name in present], np.stack([cells.values[n] for n in present])
        )
    }
    times = cells.time[np.isfinite(cells.time)]
    provenance: dict[str, object] = {
        "swaths": [_about(s, float((cells.swath == i).mean())) for i, s in enumerate(swaths)],
        "cell_km": round(cell_km, 3),
        "resampling": "plane with Gaussian weights through the footprints around, not beyond the swath",
        "radio_interference": "flags of the file (6.9 and 7.3 GHz) are not applied",
    }
    tags = {
        "FLOELENS_AMSR2_SWATHS": ", ".join(s.name for s in swaths),
        "FLOELENS_AMSR2_LEVEL": "/".join(sorted({s.level for s in swaths})),
        "FLOELENS_AMSR2_RESAMPLING": str(provenance["resampling"]),
    }
    if cells.delay is not None:
        rasters["ancillary_coarse"] = ArrayRaster(grid, [DELAY_BAND], cells.delay[None])
        _note_delay(cells.delay, provenance, tags, warnings)
        provenance["delay_sign"] = "AMSR2 minus SAR"
    _note_channels(present, provenance, warnings)
    _note_shifts(cells.values, cell_km, provenance, warnings)
    return Product(
        kind=f"AMSR2 {tags['FLOELENS_AMSR2_LEVEL']} swath" + ("s" if len(swaths) > 1 else ""),
        name=swaths[0].name,
        time=as_datetime(times.min()) if len(times) else None,
        rasters=rasters,
        tags=tags,
        found=provenance,
        warnings=warnings,
    )


def _gridded(
    container: Container, options: ImportOptions, scene: Grid | None, scene_time: datetime | None
) -> Product:
    """Return brightness temperatures that come on a grid."""
    warnings: list[str] = []
    name = PurePosixPath(container.path).name.rsplit(".", 1)[0]
    own = own_grid(container)
    if own is not None:
        if scene is not None and not overlap(scene, own):
            raise SceneError(
                f"{container.path} does not overlap the scene{f' {options.scene}' if options.scene else ''}. Give "
                "brightness temperatures of the same region."
            )
        read = read_on_own_grid(container, options.time, scene_time)
        time = read.time or scene_time_in_name(container.path)
        kind = "AMSR2 brightness temperatures on a map projection"
        if scene is not None:
            read.found["laid_on_scene"] = "MWR keeps its own grid; the tools lay it over the scene themselves"
    elif scene is None:
        raise SceneError(
            f"{container.path} has no georeferencing: its cells lie over a SAR scene. Give that scene as well "
            "(as the raster whose grid is taken)."
        )
    else:
        sar_name = PurePosixPath(options.scene.replace("\\", "/")).name
        read = read_over_scene(container, scene, sar_name, warnings.append)
        time = time_in_attributes(container) or scene_time_in_name(container.path) or scene_time
        kind = "AMSR2 brightness temperatures over a SAR scene"
    present = in_order(read.values)
    rasters: dict[str, Any] = {
        "mwr": ArrayRaster(
            read.grid, [channel_band(n) for n in present], np.stack([read.values[n] for n in present])
        )
    }
    tags = {"FLOELENS_AMSR2_SOURCE": name, **_provenance(container), **_day_in_name(name, time)}
    if time is None and "start_time" not in tags:
        warnings.append(
            f"{container.path} does not say when it was measured: see that it is of the scene's time."
        )
    provenance = dict(read.found)
    if read.delay is not None:
        rasters["ancillary_coarse"] = ArrayRaster(read.grid, [DELAY_BAND], read.delay[None])
        _note_delay(read.delay, provenance, tags, warnings)
        provenance["delay_sign"] = "as the file has it, which does not say whether AMSR2 came before or after"
    _note_channels(present, provenance, warnings)
    _note_shifts(read.values, read.grid.pixel_size() / 1000.0, provenance, warnings)
    return Product(
        kind=kind,
        name=name,
        time=time,
        rasters=rasters,
        tags=tags,
        found=provenance,
        warnings=[*warnings, *container.warnings],
    )


def _concentration(
    container: Container, options: ImportOptions, scene: Grid | None, scene_time: datetime | None
) -> Product:
    """Return a concentration on its map projection, and as a chart."""
    name = PurePosixPath(container.path).name.rsplit(".", 1)[0]
    product = concentration.product_of(container, name, options.time, scene, options.scene, scene_time)
    if "time_step" not in product.found:
        product.time = time_in_attributes(container) or product.time
    product.tags = {
        "FLOELENS_AMSR2_SOURCE": name,
        **_provenance(container),
        **_day_in_name(name, product.time),
    }
    return product


def _day_in_name(name: str, time: datetime | None) -> dict[str, str]:
    """Return as a tag the time, or the day alone, that a file's name holds where the file itself is silent."""
    span = time_in(name) if time is None else None
    if span is None:
        return {}
    return {
        "start_time": f"{span.first:%Y-%m-%d}"
        if span.last > span.first
        else f"{span.first:%Y-%m-%dT%H:%M:%SZ}"
    }


def _about(swath: Swath, share: float) -> dict[str, object]:
    times = np.concatenate([group.time for group in swath.footprints])
    times = times[np.isfinite(times)]
    return {
        "name": swath.name,
        "level": swath.level,
        "start": as_datetime(times.min()).isoformat() if len(times) else None,
        "end": as_datetime(times.max()).isoformat() if len(times) else None,
        "share_of_cells": round(share, 4),
        "samples_without_data": swath.without_data,
        "co_registration": {
            frequency: {"A1": a1, "A2": a2} for frequency, (a1, a2) in swath.parameters.items()
        },
        "read_from": dict(sorted(swath.source.items())),
    }


def _note_channels(present: Sequence[str], provenance: dict[str, object], warnings: list[str]) -> None:
    missing = [name for name in CHANNELS if name not in present]
    provenance["channels"] = list(present)
    provenance["channels_missing"] = missing
    if missing:
        warnings.append(f"AMSR2 lacks {len(missing)} of 14 channels: {', '.join(missing)}.")


def _note_delay(
    delay: np.ndarray, provenance: dict[str, object], tags: dict[str, str], warnings: list[str]
) -> None:
    known = delay[np.isfinite(delay)]
    if not known.size:
        return
    low, high = float(known.min()), float(known.max())
    provenance["delay_s"] = {"min": low, "max": high, "mean": round(float(known.mean(dtype=np.float64)), 3)}
    tags["amsr2_delay_s"] = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f}..{high:.0f}"
    longest = max(abs(low), abs(high))
    if longest > LONG_DELAY_S:
        warnings.append(
            f"AMSR2 and SAR are up to {longest / 3600:.1f} h apart: drifting ice has moved between them."
        )


def _note_shifts(
    values: dict[str, np.ndarray], cell_km: float, provenance: dict[str, object], warnings: list[str]
) -> None:
    """Measure every channel's shift against 89 GHz and warn of those that are certain and large."""
    if next(iter(values.values())).size > LARGEST_MEASURED:
        provenance["shift_against_89_ghz"] = f"not measured: more than {LARGEST_MEASURED} cells"
        return
    shifts = shifts_against_89(values, cell_km)
    provenance["shift_against_89_ghz"] = {
        name: {**shift.as_json(), "trusted": shift.trusted} if shift else None
        for name, shift in shifts.items()
    }
    # Half a cell is what any resampling may be off by; three errors are not chance.
    off = {
        name: shift
        for name, shift in shifts.items()
        if shift and shift.trusted and shift.km > max(0.5 * cell_km, 3.0 * shift.km_error)
    }
    if off:
        listed = ", ".join(f"{name} {shift.km:.1f} ± {shift.km_error:.1f} km" for name, shift in off.items())
        warnings.append(
            f"Channels do not lie over 89 GHz: {listed}. They were probably gridded without co-registration; "
            "import the Level 1B or 1R swath itself for channels that fit."
        )


def _provenance(container: Container) -> dict[str, str]:
    names = {"FLOELENS_AMSR2_TITLE": ("title", "description"), "FLOELENS_AMSR2_CITATION": ("citation", "id")}
    provenance = {
        tag: next((text for text in map(container.text, sources) if text), "")
        for tag, sources in names.items()
    }
    return {tag: text for tag, text in provenance.items() if text}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
