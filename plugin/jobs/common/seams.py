"""What a network that runs in windows leaves at their seams: measured, and kept for log, tags and report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...ground.protocols import Progress
from ...io.scene.reader import Scene
from ...networks.card import Head, ModelCard

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner
    from ...core.streaming.seams import SeamMeter, Seams
    from ...core.streaming.tiling import Plan

WINDOW_TAG, SEAMS_TAG = "FLOELENS_WINDOW", "FLOELENS_SEAMS"


def compared(logits: np.ndarray, card: ModelCard, head: Head) -> np.ndarray:
    """Return what is compared: probabilities in %, or the values of a linear head."""
    from ...core.target.probabilities import class_probabilities

    own = logits[card.head_slice(head.name)]
    return own if head.kind == "linear" else 100 * class_probabilities(own, head)


def seam_meter(plan: Plan, card: ModelCard, head: Head) -> SeamMeter | None:
    """Return what measures all seams of a plan while it is predicted; None for a plan without windows."""
    from ...core.streaming.seams import SeamMeter
    from ...core.streaming.windows import WindowPlan

    if not isinstance(plan, WindowPlan):
        return None
    return SeamMeter(plan, partial(compared, card=card, head=head))


def keep_seams(
    scene: Scene, card: ModelCard, head: Head, plan: Plan, seams: Seams | None, progress: Progress
) -> None:
    """Put what was measured into the log, the scene's warnings, which reports list, and the tags of its results."""
    if card.window is None:
        return
    side, step = card.window.size, plan.tile_cols
    where = (
        f"The output depends on the whole image: it is computed in {plan.count} window(s) of {side} x {side} pixels "
        f"that overlap by {max(0, side - step)} (window in the card)."
    )
    unit = (head.unit or "units") if head.kind == "linear" else "%"
    what = f"{head.name} ({unit})" if head.kind == "linear" else f"probabilities of {head.name} (%)"
    if seams is None:
        numbers = "one window, no seams"
        sentence = f"{where} No two of them were compared."
    else:
        numbers = (
            f"median {seams.median:.3g}, 95 % {seams.high:.3g}, largest {seams.largest:.3g} {unit} "
            f"({seams.pixels} pixels)"
        )
        sentence = f"{where} Where windows overlap, {what} differ by: {numbers}."
    progress.message(sentence)
    scene.remark(WINDOW_TAG, f"{side} x {side}, every {step} pixels", sentence)
    scene.remark(SEAMS_TAG, numbers)


def sampled_seams(runner: Runner, scene: Scene, plan: Plan, head: Head, progress: Progress) -> None:
    """Compare a few windows with their neighbours, and keep what is found; nothing for a plan without windows."""
    from ...core.streaming.seams import sample_seams
    from ...core.streaming.windows import WindowPlan

    if isinstance(plan, WindowPlan):
        seams = sample_seams(runner, scene, plan, partial(compared, card=runner.card, head=head))
        keep_seams(scene, runner.card, head, plan, seams, progress)
