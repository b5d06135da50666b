"""The change of relevance as a raster on the scene's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...ground.window import Window
from ...io.rasters.writer import Band, Outputs
from ...io.scene.reader import Scene
from ...report.styles.layers import about_zero, diverging_style, sidecar

if TYPE_CHECKING:
    from ...core.benchmarks.stamps.places import Place
    from ...core.benchmarks.stamps.scene import MethodChanges, SceneStudy
    from ...core.benchmarks.stamps.stamps import Stamp

STRIP_ROWS = 64


def write_changes(
    outputs: Outputs,
    path: str,
    scene: Scene,
    study: SceneStudy,
    changes: Sequence[MethodChanges],
    units: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Write a band a stamp and method, then one a stamp that says where it is; no data away from the places.

    Parameters
    ----------
    outputs, path : Outputs, str
        Where it goes.
    scene : Scene
        Whose grid it takes: the part of it that holds all places.
    study, changes : SceneStudy, sequence of MethodChanges
        What was done.
    units : mapping
        Method → unit of its maps.
    tags : mapping
        Of the raster.
    """
    stamps = {stamp.word: stamp for stamp in study.stamps}
    bands, planes = [], []
    for each in changes:
        stamp = stamps[each.stamp]
        reading = "relevance with the stamp minus without, added up over the channels of the stamp's sensor"
        if stamp.coarse:
            reading += "; that of a cell in equal parts on its pixels"
        bands.append(Band(f"{each.stamp} {each.method}", units[each.method], {"reading": reading}))
        planes.append(
            [study.by_pixel(stamp, place, values) for place, values in zip(study.places, each.relevance)]
        )
    for stamp in study.stamps:
        unit = "K" if stamp.coarse else "dB"
        reading = f"what was added to {', '.join(stamp.names)}"
        bands.append(Band(f"{stamp.word} stamp", unit, {"reading": reading}))
        planes.append(
            [_stamped(study, stamp, place, mask) for place, mask in zip(study.places, study.masks(stamp))]
        )
    whole = _around([place.seen for place in study.places])
    writer = outputs.raster(path, scene.grid.subset(whole), bands, tags=dict(tags))
    for strip in whole.split(STRIP_ROWS, whole.cols):
        values = np.full((len(bands), strip.rows, strip.cols), np.nan, np.float32)
        for at, place in enumerate(study.places):
            shared = place.seen.intersection(strip)
            if not shared.empty:
                for band, plane in enumerate(planes):
                    values[(band, *shared.slices(strip))] = plane[at][shared.slices(place.seen)]
        writer.write(values)
    sizes = np.abs(np.concatenate([plane.ravel() for plane in planes[0]])) if changes else np.zeros(1)
    limit = about_zero(float(np.percentile(sizes[sizes > 0], 99)) if (sizes > 0).any() else 0.0)
    ends = ("relevance falls with the stamp", "relevance rises with the stamp")
    style = diverging_style(limit, ends, clear_zero=True)
    outputs.file(sidecar(path)).write_text(style, encoding="utf-8")


def _stamped(study: SceneStudy, stamp: Stamp, place: Place, mask: np.ndarray) -> np.ndarray:
    """Return what a stamp adds to a pixel's value, (row, column) of `seen`; 0 beside it."""
    added = np.where(study.truth(stamp, place, mask).any(0), stamp.change, 0.0)
    if stamp.coarse:
        added = added * study.runner.ratio**2  # of which a pixel gets an equal part
    return study.by_pixel(stamp, place, added[None])


def _around(windows: Sequence[Window]) -> Window:
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    return Window(row, col, max(w.row_stop for w in windows) - row, max(w.col_stop for w in windows) - col)
