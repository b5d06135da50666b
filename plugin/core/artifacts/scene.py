"""A study of a whole scene: windows are read, looked at, and written as strips of the region's width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from ...ground.artifact_counts import StudyCounts
from ...ground.errors import ModelError, SceneError
from ...ground.protocols import Patch, Progress, Sink, Source
from ...ground.window import Window
from ..relevance.methods import Method
from ..relevance.steps import refined
from ..streaming.engine import check_cancelled, scene_window
from ..streaming.run_time import clock, duration
from ..streaming.runner import Runner
from ..streaming.tiling import Plan
from ..target.target import RegionMask, Target
from .bands import Layout
from .borders import MOST_WINDOWS
from .inputs import Surrogates
from .maps import COMPARED, NetworkMapper, plan_maps, radiometer_channels
from .run import Study, WindowMaps
from .sensors import SensorBands, Totals
from .settings import (
    CASCADE,
    REPLICATES,
    RULES,
    UNTRAINED_IN_PIECES,
    WEIGHTS,
    Passes,
    Settings,
    few,
    fewer,
    planned_passes,
)
from .structure import structure_of
from .verdicts import Finding
from .windows import grid_windows, sampled, window_side, with_neighbours

Result = TypeVar("Result")
# How many windows' maps are kept for pictures.
SHOWN = 3
# Methods that no architecture computes faster than by its definition.
SLOW = tuple(
    word for word in COMPARED if word not in ("gradient_x_input", "integrated_gradients", "lrp_epsilon")
)
# Side of the piece, in pixels, and moved maps with which the time is estimated.
TRIED, TRIALS = 64, 3


@dataclass(frozen=True)
class ArtifactResult:
    """What a study of a scene found.

    Parameters
    ----------
    findings : tuple of Finding
        A row a test.
    totals, radiometry : Totals
        Sums over all windows: on the SAR grid, and of the radiometer's cells.
    method : Method
        As it was run.
    text : str
        What was explained, in words.
    windows : tuple of Window
        Those that have a map.
    shown : tuple of (Window, SensorBands)
        Those with the largest artifact, for pictures, the largest first.
    counts : StudyCounts
        What was looked at.
    period : int
        Of the strongest pattern, in pixels; 0 for none.
    """

    findings: tuple[Finding, ...]
    totals: Totals
    radiometry: Totals
    method: Method
    text: str
    windows: tuple[Window, ...]
    shown: tuple[tuple[Window, SensorBands], ...]
    counts: StudyCounts
    period: int


@dataclass(frozen=True)
class Question:
    """What is asked of a scene.

    Parameters
    ----------
    target : Target
        What is explained, at every pixel.
    method : Method
        How.
    settings : Settings
        Which tests.
    sample : int
        How many windows; 0 for all of the region.
    inside : callable, optional
        Which pixels of a window are asked for; all where None.
    trained : tuple of Runner
        Other networks that were trained alike.
    """

    target: Target
    method: Method
    settings: Settings
    sample: int
    inside: RegionMask | None = None
    trained: tuple[Runner, ...] = ()


def layout_of(runner: Runner, question: Question) -> Layout:
    """Return which bands the rasters have."""
    return Layout(
        bool(radiometer_channels(runner)), bool(question.trained), runner.ratio, question.settings.level
    )


def run_artifacts(
    runner: Runner,
    source: Source,
    region: Window,
    question: Question,
    memory_mib: float,
    sinks: tuple[Sink | None, Sink | None],
    progress: Progress,
    feeding_axis: int | None = None,
) -> ArtifactResult:
    """Tell fact from artifact on windows of a scene.

    Parameters
    ----------
    runner, source, region
        The network, the scene, and the part of it that is explained.
    question : Question
        What is asked.
    memory_mib : float
        For tiles, in MiB.
    sinks : tuple of Sink or None
        Take strips of the bands of :func:`layout_of`, float32, NaN where no window is.
    progress : Progress
        Hears of every window.
    feeding_axis : int, optional
        Axis along which the network reads a scene; None without a direction.

    Raises
    ------
    ParameterError
        If the card has no such head or class, or the memory is too little.
    ModelError
        If the method has no rule for a layer, or another network does not fit.
    SceneError
        If no window has a valid pixel that is asked for.
    Cancelled
        Within a tile after the user asked for it.
    """
    scene = scene_window(source)
    seeding = question.target.resolve(runner.card)
    side = window_side(runner.alignment)
    grid = grid_windows(region, side)
    every = _asked(grid, question.inside)
    chosen = sampled(every, question.sample)
    plan = plan_maps(runner, source, chosen, question.method, memory_mib)
    method = refined(runner, source, _whole(plan, region), seeding, question.method, progress)
    mapper = NetworkMapper(
        runner, question.target, method, scene, region, plan, progress, feeding_axis=feeding_axis
    )
    trained = [mapper.of_network(other) for other in question.trained]
    pixels = sum(window.rows * window.cols for window in chosen)
    study = Study(mapper, region, chosen, question.settings, question.inside, trained)
    passes = planned_passes(
        question.settings, chosen, bool(runner.coarse_channels),
        sum(other.passes for other in mapper.compared().values()), feeding_axis is not None, len(trained),
    )  # fmt: skip
    planned = passes.by_window(chosen)
    share = pixels / (region.rows * region.cols)
    progress.message(
        f"{len(chosen)} of {len(every)} windows of {side} x {side} pixels ({100 * share:.3g} % of the region): "
        f"each takes about {planned:.0f} passes of {method.text()}."
    )
    _tell_time(source, study, mapper, progress, chosen, passes, question.settings)
    advance = _Advance(progress, mapper, planned * pixels)
    _learn_borders(study, source, region, chosen, runner.radius, advance)
    strips = _rows_looked_at(study, source, grid, set(chosen), advance)
    looked, shown = _written(strips, side, layout_of(runner, question), sinks, region)
    check_cancelled(progress)
    if not looked:
        raise SceneError(
            "No window of the sample has a valid pixel: each lacks a channel or lies on land. "
            "Choose another EXTENT, or SAMPLE=0 for the whole scene."
        )
    counts = StudyCounts(len(looked), share, question.settings.repeats, mapper.cost.pixels / pixels, planned)
    return ArtifactResult(
        study.findings(), study.totals, study.radiometry, method, seeding.text, tuple(looked), shown, counts,
        study.period,
    )  # fmt: skip


def _asked(grid: list[list[Window]], inside: RegionMask | None) -> list[Window]:
    """Return the windows that hold a pixel that is asked for."""
    every = [window for row in grid for window in row if inside is None or inside(window).any()]
    if not every:
        raise SceneError("AOI holds no pixel of the scene or of EXTENT. Choose polygons on the scene.")
    return every


def _written(
    strips: Iterator[tuple[list[Window], list[tuple[Window, WindowMaps]]]],
    side: int,
    layout: Layout,
    sinks: tuple[Sink | None, Sink | None],
    region: Window,
) -> tuple[list[Window], tuple[tuple[Window, SensorBands], ...]]:
    """Write rows of windows; return all windows, and those with the largest artifact with their maps."""
    looked: list[Window] = []
    largest: list[tuple[float, Window, SensorBands]] = []
    for row, with_maps in with_neighbours(strips, side, lambda maps: maps.fine.level):
        looked += [window for window, _, _ in with_maps]
        largest += [(maps.artifact_share, window, maps.fine) for window, maps, _ in with_maps]
        largest = sorted(largest, key=lambda each: (-each[0], each[1].row, each[1].col))[:SHOWN]
        _write(sinks, layout, row, with_maps, region)
    return looked, tuple((window, bands) for _, window, bands in largest)


class _Advance:
    """Tells the progress by the passes that were made, of those that were planned."""

    def __init__(self, progress: Progress, mapper: NetworkMapper, planned: float) -> None:
        self._progress, self._mapper, self._planned = progress, mapper, planned

    def __call__(self) -> None:
        check_cancelled(self._progress)
        done = self._mapper.cost.pixels / self._planned if self._planned else 1.0
        self._progress.report(min(done, 1.0), "Telling fact from artifact")


def _learn_borders(
    study: Study, source: Source, region: Window, windows: list[Window], radius: int, advance: _Advance
) -> None:
    """Let the study learn what padding adds from windows at edges, if there are several."""
    at_edges = [window for window in windows if any(window.shared_sides(region))]
    if radius and len(at_edges) > 1:
        for window in sampled(at_edges, MOST_WINDOWS):
            advance()
            study.learn(source.read(study.needs(window)), window)


def _rows_looked_at(
    study: Study, source: Source, rows: list[list[Window]], wanted: set[Window], advance: _Advance
) -> Iterator[tuple[list[Window], list[tuple[Window, WindowMaps]]]]:
    """Yield each row of windows with those that were looked at and have a map."""
    for row in rows:
        with_maps = []
        for window in row:
            if window not in wanted:
                continue
            advance()
            maps = study.look(source.read(study.needs(window)), window)
            if maps is not None:
                with_maps.append((window, maps))
        yield row, with_maps


def _write(
    sinks: tuple[Sink | None, Sink | None],
    layout: Layout,
    row: list[Window],
    with_maps: list[tuple[Window, WindowMaps, np.ndarray]],
    region: Window,
) -> None:
    """Write the strip of a row of windows; no data where none was looked at."""
    bands = len(layout.artifact), len(layout.corrected)
    strips = [np.full((number, row[0].rows, region.cols), np.nan, np.float32) for number in bands]
    for window, maps, level in with_maps:
        here = slice(window.col - region.col, window.col_stop - region.col)
        null_mean = maps.fine.null_mean + (level - maps.fine.level)
        for strip, values in zip(
            strips, (layout.artifact_bands(maps, null_mean), layout.corrected_bands(maps))
        ):
            strip[:, :, here] = values
    for sink, strip in zip(sinks, strips):
        if sink is not None:
            sink.write(strip)


def _slow_method(mapper: NetworkMapper, patch: Patch, piece: Window) -> float:
    """Return how long a method without a fast path takes on a piece, in seconds; 0 where none has a rule."""
    for word, other in mapper.compared().items():
        if word in SLOW:
            try:
                return _timed(partial(other.relevance, patch, piece))[0]
            except ModelError:
                continue
    return 0.0


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return how long something took, in seconds, and its result."""
    start = clock()
    result = work()
    return clock() - start, result


def _whole(plan: Plan, region: Window) -> Plan:
    return dataclasses.replace(plan, region=region)


def _tell_time(
    source: Source,
    study: Study,
    mapper: NetworkMapper,
    progress: Progress,
    windows: list[Window],
    passes: Passes,
    settings: Settings,
) -> None:
    """Put an estimate of the time into the log, from parts of the work on a window that are tried first."""
    for window in windows:
        reading, patch = _timed(partial(source.read, study.needs(window)))
        if patch.valid[window.slices(patch.window)].any():
            break
    else:
        return
    before = mapper.cost.pixels

    def pixels(core: Window) -> float:
        seen = mapper.needs(core)
        return float(seen.rows * seen.cols)

    piece = Window(window.row, window.col, min(TRIED, window.rows), min(TRIED, window.cols))
    mapper.relevance(patch, window)  # the first time pays for what is paid once only
    mapping, relevance = _timed(lambda: mapper.relevance(patch, window))
    second = mapping / pixels(window)
    in_piece, _ = _timed(lambda: mapper.relevance(patch, piece))
    # Methods without a fast path, and a network with other weights, which is made ready first.
    slower, shuffling = 1.0, 0.0
    if RULES in settings.tests:
        slower = max(1.0, _slow_method(mapper, patch, piece) / in_piece)
    if WEIGHTS in settings.tests:
        shuffling, _ = _timed(lambda: mapper.randomised(0).relevance(patch, piece))
        shuffling = max(0.0, shuffling - in_piece) * (UNTRAINED_IN_PIECES + CASCADE)
    drawing, _ = _timed(lambda: Surrogates(patch, settings.seed).draw(0))
    maps = np.repeat(np.nan_to_num(relevance)[None], settings.repeats, axis=0)
    measuring, _ = _timed(lambda: structure_of(maps, study.place(window), TRIALS, np.random.default_rng(0)))
    mapper.cost.pixels = before
    on_fewer = passes.fewer + (slower - 1) * len(SLOW) * (RULES in settings.tests)
    seconds = sum(second * passes.everywhere * pixels(each) + reading for each in windows)
    seconds += sum(second * passes.few * pixels(each) for each in few(windows))
    seconds += sum(second * on_fewer * pixels(each) + shuffling for each in fewer(windows))
    share = sum(each.rows * each.cols for each in windows) / (window.rows * window.cols)
    seconds += share * (settings.repeats * drawing + measuring * (REPLICATES + 1) / (TRIALS + 1))
    progress.message(
        f"Telling fact from artifact: estimated time {duration(seconds)} for {len(windows)} window(s), from parts of "
        "the work on one of them that were tried first."
    )
