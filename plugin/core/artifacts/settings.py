"""What a study of artifacts does, and what it costs in passes through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...ground.errors import ParameterError
from ...ground.protocols import Patch
from ...ground.vocabulary.artifact_tests import DEFAULTS, TESTS
from ...ground.vocabulary.words import check_word
from ...ground.window import Window
from .significance import LEVEL
from .windows import SMALLEST, pieces

NULL, TRANSLATION, MIRRORING, WEIGHTS, RULES, FOCUS = tuple(TESTS)
# How often maps are moved for reference values: p-values go down to 1/150, so that Holm's correction leaves room.
REPLICATES = 149
# Shuffled networks that map every window, and those that map a sixteenth.
UNTRAINED_EVERYWHERE, UNTRAINED_IN_PIECES = 2, 19
CASCADE = 3
SHARE, SMALL_SHARE = 1 / 4, 1 / 16
# Share of the pixels of a piece that must be valid.
MEASURED = 0.5


@dataclass(frozen=True)
class Settings:
    """What is done.

    Parameters
    ----------
    tests : tuple of str
        Words of :data:`floelens.plugin.ground.vocabulary.artifact_tests.TESTS`; null inputs are always mapped.
    repeats : int
        Draws of noise, at least 19.
    seed : int
        Another number, other draws.
    level : float
        Of all verdicts.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    tests: tuple[str, ...] = tuple(TESTS)
    repeats: int = DEFAULTS["repeats"]
    seed: int = DEFAULTS["seed"]
    level: float = LEVEL

    def __post_init__(self) -> None:
        for word in self.tests:
            check_word("TESTS", word, TESTS)
        if self.repeats < 19:
            raise ParameterError(
                f"REPEATS={self.repeats} null maps are too few for p-values of 5 %. Give 19 at least."
            )


def planned_passes(settings: Settings, windows: Sequence[Window], coarse: bool, compared: float) -> float:
    """Return how many maps of all windows a study takes: gradient × input passes, for that method.

    Parameters
    ----------
    settings : Settings
        What is done.
    windows : sequence of Window
        Those that will be looked at.
    coarse : bool
        Whether the network has coarse channels, which stand still while the scene is moved.
    compared : float
        Passes of all methods that are compared.
    """
    tests = settings.tests
    share, small = (_area(chosen(windows)) / _area(windows) for chosen in (few, fewer))
    passes = 2.0 + settings.repeats
    if NULL in tests:
        passes += 1
    if TRANSLATION in tests or MIRRORING in tests:
        passes += share * coarse
    passes += share * (2 * (TRANSLATION in tests) + 2 * (MIRRORING in tests) + 3 * (FOCUS in tests))
    if WEIGHTS in tests:
        passes += UNTRAINED_EVERYWHERE + small * (UNTRAINED_IN_PIECES + CASCADE)
    return passes + small * compared * (RULES in tests)


def few(windows: Sequence[Window]) -> list[Window]:
    """Return the pieces for tests of a few passes: a quarter of the windows."""
    return pieces(_large(windows), SHARE)


def fewer(windows: Sequence[Window]) -> list[Window]:
    """Return the pieces for tests of many passes: a sixteenth of the windows."""
    return pieces(_large(windows), SMALL_SHARE)


def _large(windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if min(window.rows, window.cols) >= SMALLEST]


def measured(piece: Window, window: Window, patch: Patch) -> bool:
    """Return whether a piece lies in a window and most of it is measured."""
    if piece.intersection(window) != piece:
        return False
    return bool(patch.valid[piece.slices(patch.window)].mean() >= MEASURED)


def _area(windows: Sequence[Window]) -> int:
    return sum(window.rows * window.cols for window in windows)
