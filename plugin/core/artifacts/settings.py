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
from .windows import pieces

NULL, TRANSLATION, MIRRORING, WEIGHTS, RULES, FOCUS, PERMUTATION = tuple(TESTS)
# How often maps are moved for reference values: p-values go down to 1/150, so that Holm's correction leaves room.
REPLICATES = 149
# Shuffled networks that map every window, and those that map a sixteenth.
UNTRAINED_EVERYWHERE, UNTRAINED_IN_PIECES = 2, 19
CASCADE = 3
SHARE, SMALL_SHARE = 1 / 4, 1 / 16
# Least sides of the pieces of which these shares consist, and of windows that they are cut from, in pixels: with
# smaller ones a study of a small region would take more than 30 passes.
LEAST, LEAST_SMALL = 44, 16
LEAST_WINDOW, LEAST_SMALL_WINDOW = 64, 50
# What is altered a little under `focus`: offset, scale, fill of gaps, padding.
ALTERED = 4
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


@dataclass(frozen=True)
class Passes:
    """How many maps a study makes: gradient × input passes, for that method.

    Parameters
    ----------
    everywhere, few, fewer : float
        Of every window, of each piece for tests of a few passes, and of each for tests of many.
    """

    everywhere: float
    few: float
    fewer: float

    def by_window(self, windows: Sequence[Window]) -> float:
        """Return how many maps of all windows these are."""
        share, small = (_area(chosen(windows)) / _area(windows) for chosen in (few, fewer))
        return self.everywhere + share * self.few + small * self.fewer


def planned_passes(
    settings: Settings,
    windows: Sequence[Window],
    coarse: bool,
    compared: float,
    fed: bool = False,
    networks: int = 0,
) -> Passes:
    """Return how many maps a study makes.

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
    fed : bool
        Whether the network reads a scene in a direction.
    networks : int
        How many other trained networks there are.
    """
    tests = settings.tests
    moved = (TRANSLATION in tests, MIRRORING in tests, PERMUTATION in tests and fed)
    everywhere = 2.0 + settings.repeats + (NULL in tests)
    on_few = coarse * any(moved) + 2.0 * moved[0] + 2 * moved[1] + moved[2] + (FOCUS in tests)
    on_fewer = ALTERED * (FOCUS in tests) + compared * (RULES in tests)
    if WEIGHTS in tests:
        everywhere += untrained_everywhere(windows) + networks
        on_fewer += UNTRAINED_IN_PIECES + CASCADE + networks
    return Passes(everywhere, on_few, on_fewer)


def untrained_everywhere(windows: Sequence[Window]) -> int:
    """Return how many shuffled networks map every window: fewer where pieces are a large share of small windows."""
    small = not few(windows) or _area(few(windows)) > SHARE * _area(windows)
    return UNTRAINED_EVERYWHERE - small


def few(windows: Sequence[Window]) -> list[Window]:
    """Return the pieces for tests of a few passes: a quarter of the windows."""
    return pieces(_larger(windows, LEAST_WINDOW), SHARE, LEAST)


def fewer(windows: Sequence[Window]) -> list[Window]:
    """Return the pieces for tests of many passes: a sixteenth of the windows."""
    return pieces(_larger(windows, LEAST_SMALL_WINDOW), SMALL_SHARE, LEAST_SMALL)


def _larger(windows: Sequence[Window], side: int) -> list[Window]:
    return [window for window in windows if min(window.rows, window.cols) >= side]


def measured(piece: Window, window: Window, patch: Patch) -> bool:
    """Return whether a piece lies in a window and most of it is measured."""
    if piece.intersection(window) != piece:
        return False
    return bool(patch.valid[piece.slices(patch.window)].mean() >= MEASURED)


def _area(windows: Sequence[Window]) -> int:
    return sum(window.rows * window.cols for window in windows)
