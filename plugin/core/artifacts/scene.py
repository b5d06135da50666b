"""A study of a whole scene: windows are read, looked at, and written as strips of the region's width."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...ground.errors import SceneError
from ...ground.protocols import Progress, Sink, Source
from ...ground.window import Window
from ..relevance.methods import Method
from ..relevance.steps import refined
from ..streaming.engine import check_cancelled, scene_window
from ..streaming.run_time import clock, duration
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from ..target.target import Target
from .maps import NetworkMapper, plan_maps
from .run import Study, Totals, WindowMaps
from .settings import Settings, planned_passes
from .verdicts import Finding
from .windows import grid_windows, sampled, window_side

ARTIFACT_BANDS = ("share", "border", "pattern", "untrained", "local", "null_mean")
CORRECTED_BANDS = ("relevance", "q_value", "p_value")


@dataclass(frozen=True)
class ArtifactResult:
    """What a study of a scene found.

    Parameters
    ----------
    findings : tuple of Finding
        A row a test.
    totals : Totals
        Sums over all windows.
    method : Method
        As it was run.
    text : str
        What was explained, in words.
    windows : tuple of Window
        Those that have a map.
    shown : tuple of WindowMaps
        The maps of the first few, for pictures.
    passes : float
        Maps of all windows that were made, counted by passes through the network.
    planned : float
        The same as estimated before.
    share : float
        Share of the region's pixels that the windows hold.
    period : int
        Of the strongest pattern, in pixels; 0 for none.
    """

    findings: tuple[Finding, ...]
    totals: Totals
    method: Method
    text: str
    windows: tuple[Window, ...]
    shown: tuple[WindowMaps, ...]
    passes: float
    planned: float
    share: float
    period: int


def run_artifacts(
    runner: Runner,
    source: Source,
    region: Window,
    target: Target,
    method: Method,
    settings: Settings,
    sample: int,
    memory_mib: float,
    sinks: tuple[Sink | None, Sink | None],
    progress: Progress,
    shown: int = 3,
) -> ArtifactResult:
    """Tell fact from artifact on windows of a scene.

    Parameters
    ----------
    runner, source, region, target, method
        The network, the scene, the part of it that is explained, what is explained, and how.
    settings : Settings
        Which tests.
    sample : int
        How many windows; 0 for all of the region.
    memory_mib : float
        For tiles, in MiB.
    sinks : tuple of Sink or None
        Take strips of :data:`ARTIFACT_BANDS` and of :data:`CORRECTED_BANDS`, float32, NaN where no window is.
    progress : Progress
        Hears of every window.
    shown : int
        How many windows' maps are kept.

    Raises
    ------
    ParameterError
        If the card has no such head or class, or the memory is too little.
    ModelError
        If the method has no rule for a layer.
    SceneError
        If no window has a valid pixel.
    Cancelled
        Within a tile after the user asked for it.
    """
    scene = scene_window(source)
    seeding = target.resolve(runner.card)
    side = window_side(runner.alignment)
    rows = grid_windows(region, side)
    every = [window for row in rows for window in row]
    chosen = sampled(every, sample)
    plan = plan_maps(runner, source, chosen, method, memory_mib)
    method = refined(runner, source, _whole(plan, region), seeding, method, progress)
    mapper = NetworkMapper(runner, target, method, scene, region, plan, progress)
    compared = sum(other.passes for other in mapper.compared().values())
    planned = planned_passes(settings, chosen, bool(runner.coarse_channels), compared)
    pixels = sum(window.rows * window.cols for window in chosen)
    share = pixels / (region.rows * region.cols)
    progress.message(
        f"{len(chosen)} of {len(every)} windows of {side} x {side} pixels ({100 * share:.3g} % of the region): "
        f"each takes about {planned:.0f} passes of {method.text()}."
    )
    study = Study(mapper, region, chosen, settings)
    _tell_time(source, study, mapper, progress, chosen, planned)
    kept: list[WindowMaps] = []
    looked: list[Window] = []
    for row, found in _rows_looked_at(study, source, rows, set(chosen), progress):
        looked += [window for window, _ in found]
        kept += [maps for _, maps in found][: shown - len(kept)]
        _write(sinks, row, found, region)
    check_cancelled(progress)
    if not looked:
        raise SceneError(
            "No window of the sample has a valid pixel: each lacks a channel or lies on land. "
            "Choose another EXTENT, or SAMPLE=0 for the whole scene."
        )
    passes = mapper.cost.pixels / pixels
    return ArtifactResult(
        study.findings(), study.totals, method, seeding.text, tuple(looked), tuple(kept), passes, planned, share,
        study.period,
    )  # fmt: skip


def _rows_looked_at(
    study: Study, source: Source, rows: list[list[Window]], wanted: set[Window], progress: Progress
) -> Iterator[tuple[list[Window], list[tuple[Window, WindowMaps]]]]:
    """Yield each row of windows with those that were looked at and have a map."""
    done = 0
    for row in rows:
        found = []
        for window in row:
            if window not in wanted:
                continue
            check_cancelled(progress)
            maps = study.look(source.read(study.needs(window)), window)
            done += 1
            progress.report(done / len(wanted), "Telling fact from artifact")
            if maps is not None:
                found.append((window, maps))
        yield row, found


def _write(
    sinks: tuple[Sink | None, Sink | None],
    row: list[Window],
    found: list[tuple[Window, WindowMaps]],
    region: Window,
) -> None:
    """Write the strip of a row of windows; no data where none was looked at."""
    bands = len(ARTIFACT_BANDS), len(CORRECTED_BANDS)
    strips = [np.full((number, row[0].rows, region.cols), np.nan, np.float32) for number in bands]
    for window, maps in found:
        here = slice(window.col - region.col, window.col_stop - region.col)
        for strip, values in zip(strips, (maps.artifact_bands(), maps.corrected_bands())):
            strip[:, :, here] = values
    for sink, strip in zip(sinks, strips):
        if sink is not None:
            sink.write(strip)


def _whole(plan: Plan, region: Window) -> Plan:
    return Plan(region, plan.scene, plan.radius, plan.alignment, plan.tile_rows, plan.tile_cols)


def _tell_time(
    source: Source,
    study: Study,
    mapper: NetworkMapper,
    progress: Progress,
    windows: list[Window],
    planned: float,
) -> None:
    """Put an estimate of the time into the log, from a map of a window that is made first."""
    for window in windows:
        patch = source.read(study.needs(window))
        if not patch.valid[window.slices(patch.window)].any():
            continue
        before = mapper.cost.pixels
        # The first time pays for what is paid once only.
        mapper.relevance(patch, window)
        start = clock()
        mapper.relevance(patch, window)
        seconds = clock() - start
        mapper.cost.pixels = before
        pixels = sum(each.rows * each.cols for each in windows)
        seconds *= planned * pixels / (window.rows * window.cols)
        progress.message(
            f"Telling fact from artifact: estimated time {duration(seconds)} for {len(windows)} window(s), from a "
            "map of one of them that was made first."
        )
        return
