"""What the layers share: progress, a source that reads windows, a sink that takes strips.

`core` computes between a :class:`Source` and a :class:`Sink`; `io` implements both; jobs join
them. Nothing here needs more than numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .window import Window


class Progress(Protocol):
    """Where a long computation reports to, and asks whether to go on."""

    def report(self, fraction: float, text: str = "") -> None:
        """Say that `fraction` (0 to 1) of the work is done; `text` names the step."""

    def message(self, text: str) -> None:
        """Put a line of information into the log."""

    def warn(self, text: str) -> None:
        """Put a warning into the log."""

    def cancelled(self) -> bool:
        """Return whether the user asked to stop."""


class Silent:
    """A progress that says nothing and never stops: for notebooks and tests."""

    def report(self, fraction: float, text: str = "") -> None:
        """Take no notice."""

    def message(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Take no notice."""

    def cancelled(self) -> bool:
        """Return False."""
        return False


class Part:
    """A progress that is a part of another: its 0 and 1 are `start` and `stop` there."""

    def __init__(self, progress: Progress, start: float, stop: float) -> None:
        self._progress, self._start, self._length = progress, start, stop - start

    def report(self, fraction: float, text: str = "") -> None:
        """Say that `fraction` of the part is done."""
        self._progress.report(self._start + self._length * fraction, text)

    def message(self, text: str) -> None:
        """Put a line of information into the log."""
        self._progress.message(text)

    def warn(self, text: str) -> None:
        """Put a warning into the log."""
        self._progress.warn(text)

    def cancelled(self) -> bool:
        """Return whether the user asked to stop."""
        return self._progress.cancelled()


@dataclass(frozen=True)
class Patch:
    """What a source read: the network's channels over one window, in physical units.

    Parameters
    ----------
    window : Window
        The fine pixels read; it starts on a multiple of the coarse ratio and ends on one, or at
        the edge of the scene.
    fine : numpy.ndarray
        (fine channel, row, column), float32; NaN where invalid.
    coarse : numpy.ndarray
        (coarse channel, cell row, cell column), float32, on the cells of ``window.coarser(ratio)``;
        NaN where invalid.
    valid : numpy.ndarray
        (row, column), bool: where the network may map (every channel valid, no land).
    scene : Window, optional
        Window of the whole scene; set if edge handling needs it.
    """

    window: Window
    fine: np.ndarray
    coarse: np.ndarray
    valid: np.ndarray
    scene: Window | None = None


class Source(Protocol):
    """A scene that can be read window by window, on the network's channels."""

    rows: int
    cols: int

    def read(self, window: Window) -> Patch:
        """Return the channels over `window` (aligned to the coarse ratio, inside the scene)."""


class Sink(Protocol):
    """A raster that takes strips of full width from top to bottom."""

    def write(self, values: np.ndarray) -> None:
        """Append the next rows: (band, row, column)."""
