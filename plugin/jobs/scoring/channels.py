"""What a run of Z-scores adds to the collection of contributions: a scene's identity, and how logits are split."""

from __future__ import annotations

import hashlib

import numpy as np

from ...core.contributions.completeness import Completeness, CompletenessCheck
from ...core.contributions.splitters import GATED, ChannelSplitter, GatedSplitter, PathSplitter, Splitting
from ...core.layers.conservation import ROUNDING
from ...core.streaming.engine import check_cancelled
from ...core.streaming.runner import Runner
from ...core.streaming.tiling import Plan
from ...core.zscores.channels.collect import NONE, STEPS, SceneMark, SplitterOn
from ...ground.protocols import Progress, Source
from ...ground.window import Window
from ...io.scene.reader import Scene

CHECKED_PIXELS = 1_000_000  # of a scene, for each window on which contributions are checked
CHECKED_CELLS = 5  # down and across, whose values tell a scene from another of its name and place


def channel_splitter(runner: Runner, method: str, progress: Progress) -> ChannelSplitter:
    """Return what splits logits over every channel alone; it stops where the user asks for it."""
    kind = GatedSplitter if method == GATED else PathSplitter
    return kind(runner, _splitting(method), lambda: check_cancelled(progress))


def _splitting(method: str) -> Splitting:
    return Splitting(method, "channel", steps=STEPS)


def completeness(
    runner: Runner, source: Source, plan: Plan, method: str, progress: Progress
) -> tuple[Completeness, str]:
    """Return how well a scene's contributions of channels add up, and a warning where they do not; else empty.

    Along a path one channel gets what the others leave: on one to three small windows each is computed on its own.
    """
    if method == NONE:
        return Completeness(), ""
    check = CompletenessCheck(runner, plan, None, _splitting(method), progress)
    region = plan.region
    check.run_anywhere(source, max(1, min(3, region.rows * region.cols // CHECKED_PIXELS)))
    found, accepted = check.found, ROUNDING[runner.precision]
    if found.residual <= accepted:
        return found, ""
    row, col = found.place
    return found, (
        f"Contributions of channels do not add up at row {row}, column {col}: {found.residual:.2g} of |bias| + "
        f"Σ|contributions| is missing (accepted: {accepted:g}), so strengths and slopes are off. Use "
        "PRECISION=float32; if you do already, please report it."
    )


def splitting_on(method: str, progress: Progress) -> SplitterOn:
    """Return what makes the splitter of a method for the device of a runner."""

    def splitter_on(device: Runner) -> ChannelSplitter:
        return channel_splitter(device, method, progress)

    return splitter_on


def scene_mark(scene: Scene) -> SceneMark:
    """Return what tells a scene from all others."""
    return SceneMark(scene_identity(scene), scene_place(scene))


def scene_identity(scene: Scene) -> str:
    """Return what tells a scene from all others: its name, time and place, and a checksum of some of its values.

    Files of different scenes may have one name, no time and one place, as simulated ones do.
    """
    return f"{scene_place(scene)}|{_checksum(scene)}"


def _checksum(scene: Scene) -> str:
    """Return a checksum of the fine channels in cells spread over the scene."""
    digest = hashlib.sha256()
    cells = Window(0, 0, -(-scene.rows // scene.ratio), -(-scene.cols // scene.ratio))
    down, across = (
        np.unique(np.linspace(0, count - 1, CHECKED_CELLS).astype(int)).tolist()
        for count in (cells.rows, cells.cols)
    )
    whole = Window(0, 0, scene.rows, scene.cols)
    for row in down:
        for col in across:
            cell = Window(row * scene.ratio, col * scene.ratio, scene.ratio, scene.ratio)
            digest.update(np.nan_to_num(scene.read(cell.intersection(whole)).fine).tobytes())
    return digest.hexdigest()[:16]


def scene_place(scene: Scene) -> str:
    """Return the name, time and place of a scene."""
    rows, cols = np.array([0.5, scene.grid.rows - 0.5]), np.array([0.5, scene.grid.cols - 0.5])
    lon, lat = scene.grid.pixel_to_lonlat(rows, cols)
    corners = " ".join(f"{x:.3f},{y:.3f}" for x, y in zip(lon, lat))
    return f"{scene.name}|{scene.start_time or ''}|{corners}|{scene.grid.rows}x{scene.grid.cols}"
