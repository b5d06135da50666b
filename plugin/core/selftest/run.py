"""The self-test of an imported network: numbers, geometry, tiles, and each method on a random patch.

Inputs are drawn from the card's own statistics: normal, with the mean and standard deviation of each channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from ...ground.errors import FloeLensError, ModelError
from ...ground.protocols import Patch, Progress, Silent
from ...ground.vocabulary.relevance_methods import METHODS
from ...ground.window import Window
from ...networks.card import ModelCard
from ...networks.measure import Measurement, measure
from ..relevance.methods import Method
from ..relevance.run import run_relevance
from ..streaming.engine import check_cancelled
from ..streaming.runner import Inputs, Runner
from ..streaming.tiling import Plan
from ..target.target import Target

# Sides of the patch that is explained, and of the image that is tiled, in pixels, at least.
PATCH = 64
_MARGIN = 64
# Largest difference of a tile and the whole, in units of the largest logit, in float32.
TILED = 1e-5
# Of integrated gradients, and what they may lack then.
STEPS, STEPPED = 32, 0.05
# A whole image of more pixels is not compared with a tile: it would take minutes.
MOST_PIXELS = 1_500_000


@dataclass(frozen=True)
class Check:
    """One test.

    Parameters
    ----------
    name : str
        What was tested, in words.
    found : str
        The figure.
    passed : bool or None
        None where it could not be tested.
    note : str
        Why it failed, or could not be tested.
    """

    name: str
    found: str
    passed: bool | None = True
    note: str = ""


class DrawnScene:
    """A scene of random values in memory, in physical units."""

    def __init__(self, card: ModelCard, rows: int, cols: int, seed: int = 0) -> None:
        draw = np.random.default_rng(seed)
        self.rows, self.cols, self._ratio = rows, cols, card.ratio
        cells = Window(0, 0, rows, cols).coarser(card.ratio)

        def drawn(channels, shape: tuple[int, int]) -> np.ndarray:
            values = [draw.normal(channel.mean, channel.sd, shape) for channel in channels]
            return np.array(values, np.float32).reshape(len(values), *shape)

        self._fine = drawn(card.fine_channels, (rows, cols))
        self._coarse = drawn(card.coarse_channels, (cells.rows, cells.cols))

    @property
    def window(self) -> Window:
        """All of it."""
        return Window(0, 0, self.rows, self.cols)

    def read(self, window: Window) -> Patch:
        """Return the channels over a window."""
        cells = window.coarser(self._ratio).slices()
        return Patch(
            window,
            self._fine[(slice(None), *window.slices())].copy(),
            self._coarse[(slice(None), *cells)].copy(),
            np.ones((window.rows, window.cols), bool),
            scene=self.window,
        )


def run_selftest(
    card: ModelCard,
    module: nn.Module,
    progress: Progress,
    file_parameters: int = 0,
    measured: Measurement | None = None,
) -> tuple[Check, ...]:
    """Return what was tested of a network.

    Parameters
    ----------
    card : ModelCard
        Its card.
    module : torch.nn.Module
        The network, which is left as it is.
    progress : Progress
        Informed of every test, and asked whether to stop.
    file_parameters : int
        Numbers in the file that it was made of; 0 where this is not known.
    measured : Measurement, optional
        What was measured of it already.

    Raises
    ------
    Cancelled
        After the user asked for it.
    """
    checks: list[Check] = []
    for number, check in enumerate(_checks(card, module, file_parameters, measured)):
        check_cancelled(progress)
        checks.append(check)
        progress.report(min(0.95, 0.1 * (number + 1)), f"Tested: {check.name}")
    return tuple(checks)


def _checks(
    card: ModelCard, module: nn.Module, file_parameters: int, measured: Measurement | None
) -> Iterator[Check]:
    try:
        measured = measured or measure(card, module)
    except ModelError as error:
        yield Check("receptive field and alignment", "not measured", False, str(error))
    if measured is not None:
        yield from _geometry(card, measured, file_parameters)
    runner = Runner(card, module, "cpu", "float32")
    yield _finite(card, runner)
    yield _tiled(card, runner)
    exact = Runner(card, module, "cpu", "float64")
    side = max(PATCH, 4 * _halvings(card))
    scene = DrawnScene(card, side, side, 2)
    radius = min(exact.radius, side)  # of a network that depends on the whole image it is no length
    plan = Plan(scene.window, scene.window, radius, exact.alignment, side, side)
    for word, method in METHODS.items():
        if method.conservative:
            yield _conserved(exact, scene, plan, word)


def _halvings(card: ModelCard) -> int:
    """Return by how much the network coarsens its grid, as its alignment tells."""
    return card.alignment // np.gcd(card.alignment, card.ratio)


def _geometry(card: ModelCard, measured: Measurement, file_parameters: int) -> Iterator[Check]:
    count = f"{measured.parameters:,}"
    if file_parameters and file_parameters != measured.parameters:
        count += f" of {file_parameters:,} in the file"
    yield Check("parameters, batch-norm statistics included", count)
    wrong = " ".join(measured.mismatches(card))
    radius = f"{measured.field.radius}" if measured.field else "not measured"
    step = f"{measured.alignment}" if measured.alignment else "not measured"
    yield Check(
        "receptive-field radius (measured; card)",
        f"{radius}; {'whole image' if card.whole_image else f'{card.receptive_field_radius} pixels'}",
        not wrong if measured.field else None,
        wrong or " ".join(measured.unmeasured),
    )
    yield Check(
        "alignment (measured; card)",
        f"{step}; {card.alignment} pixels",
        (card.alignment % measured.alignment == 0) if measured.alignment else None,
        "" if measured.alignment else " ".join(measured.unmeasured),
    )


def _finite(card: ModelCard, runner: Runner) -> Check:
    side = max(PATCH, 4 * _halvings(card))
    scene = DrawnScene(card, side, side, 1)
    logits = runner.array(runner.logits(runner.standardise(scene.read(scene.window))))
    finite = bool(np.isfinite(logits).all())
    shown = f"{logits.min():.4g} to {logits.max():.4g}" if finite else "not finite"
    note = (
        "" if finite else "Logits of inputs of the card's own statistics are not finite: check the weights."
    )
    return Check("logits of random inputs of the card's statistics", shown, finite, note)


def _tiled(card: ModelCard, runner: Runner) -> Check:
    """Compare two tiles with the whole image."""
    name = "tiles against the whole image (relative difference)"
    if card.whole_image:
        return Check(
            name, "runs on whole scenes", None, "The network depends on the size of the whole image."
        )
    step = runner.alignment
    rows = max(PATCH, 4 * _halvings(card))
    cols = (-(-(runner.radius + _MARGIN) // step) + 1) * step + runner.radius + _MARGIN
    if rows * cols > MOST_PIXELS:
        return Check(name, "not tested", None, f"An image of {rows} x {cols} pixels would be needed.")
    scene = DrawnScene(card, rows, cols, 3)
    whole = runner.array(runner.logits(runner.standardise(scene.read(scene.window))))
    plan = Plan(scene.window, scene.window, runner.radius, step, rows, -(-cols // 2))
    gap = 0.0
    for strip in plan.strips():
        for tile in strip:
            inputs: Inputs = runner.standardise(scene.read(tile.read), tile.input)
            own = runner.array(runner.logits(inputs))[
                (slice(None), slice(None), *tile.output.slices(tile.input))
            ]
            gap = max(
                gap, float(np.abs(own - whole[(slice(None), slice(None), *tile.output.slices())]).max())
            )
    gap /= max(float(np.abs(whole).max()), 1e-30)
    note = "" if gap <= TILED else "Maps would show seams: radius or alignment of the card are too small."
    return Check(name, f"{gap:.1e}", gap <= TILED, note)


def _conserved(runner: Runner, scene: DrawnScene, plan: Plan, word: str) -> Check:
    """Explain a patch by a method, and see whether relevance adds up."""
    name = f"{word}: what does not add up, as a share of Σ|relevance| + |bias|"
    # A fixed number of steps: doubled until they suffice they would take most of the time.
    method = Method(method=word, steps=STEPS, refine=False, tolerance=STEPPED)
    try:
        result = run_relevance(runner, scene, plan, Target(), method, None, Silent())
    except (
        ModelError
    ) as error:  # no rule for a layer: the method does not serve this network, and says so when run
        return Check(name, "no rule", None, str(error))
    except FloeLensError as error:
        return Check(name, "no explanation", False, str(error))
    report = result.conservation
    leak = f"Largest leak: {report.leak}." if not report.balanced and report.leak else ""
    return Check(name, f"{report.relative_residual:.1e}", report.balanced, leak)
