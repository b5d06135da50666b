"""How a job reports to QGIS what it does: progress with the time left, and cancel."""

from __future__ import annotations

import time
from collections.abc import Callable

from qgis.core import QgsProcessingFeedback
from qgis.PyQt.QtCore import QCoreApplication, QThread

from ...ground.errors import Cancelled
from .job_threads import Caller

SECONDS_BETWEEN_TEXTS = 5.0


def events_of(feedback: QgsProcessingFeedback) -> Callable[[], object] | None:
    """Return what keeps a dialog alive whose thread waits for a job; None where no dialog does.

    QGIS 3.22 runs the rows of its batch dialog in the thread of its windows, which answer at reports only.
    """
    application = QCoreApplication.instance()
    batch = type(feedback).__module__ == "processing.gui.BatchAlgorithmDialog"
    if not batch or application is None or QThread.currentThread() != application.thread():
        return None
    return QCoreApplication.processEvents


class FeedbackProgress:
    """The :class:`~floelens.plugin.ground.protocols.Progress` of a Processing dialog.

    Parameters
    ----------
    feedback : QgsProcessingFeedback
        Where the dialog, or the command line, listens.
    """

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback
        self._started = time.monotonic()
        self._step = ""
        self._next, self._shown = float("-inf"), ""

    def report(self, fraction: float, text: str = "") -> None:
        """Show that `fraction` (0 to 1) is done.

        Raises
        ------
        Cancelled
            When the user pressed Cancel.
        """
        if self._feedback.isCanceled():
            raise Cancelled("Stopped before the end: no result was written.")
        fraction = min(1.0, max(0.0, float(fraction)))
        self._feedback.setProgress(100.0 * fraction)
        now = time.monotonic()
        if (text and text != self._step) or now >= self._next:
            self._step = text or self._step
            left = self._remaining(fraction, now)
            # Said again when half of it should be over: the log does not fill with estimates.
            self._next = now + max(SECONDS_BETWEEN_TEXTS, (left or 0.0) / 2)
            left_text = "" if left is None else f"about {duration(left)} left"
            shown = ", ".join(part for part in (self._step, left_text) if part)
            if shown and shown != self._shown:
                self._shown = shown
                self._feedback.setProgressText(shown)

    def message(self, text: str) -> None:
        """Put a line into the log."""
        self._feedback.pushInfo(text)

    def warn(self, text: str) -> None:
        """Put a warning into the log."""
        self._feedback.pushWarning(text)

    def cancelled(self) -> bool:
        """Return whether the user pressed Cancel."""
        return self._feedback.isCanceled()

    def _remaining(self, fraction: float, now: float) -> float | None:
        """Return the seconds left, once enough is done to know."""
        elapsed = now - self._started
        if fraction < 0.02 or fraction >= 1.0 or elapsed < SECONDS_BETWEEN_TEXTS:
            return None
        return elapsed * (1.0 - fraction) / fraction


class CalledProgress:
    """A :class:`FeedbackProgress` for a job in another thread: QGIS is called in the thread that waits for it."""

    def __init__(self, progress: FeedbackProgress, caller: Caller) -> None:
        self._progress, self._caller = progress, caller

    def report(self, fraction: float, text: str = "") -> None:
        """Show that `fraction` (0 to 1) is done; raises `Cancelled` as :meth:`FeedbackProgress.report` does."""
        self._caller.call(self._progress.report, fraction, text)

    def message(self, text: str) -> None:
        """Put a line into the log."""
        self._caller.call(self._progress.message, text)

    def warn(self, text: str) -> None:
        """Put a warning into the log."""
        self._caller.call(self._progress.warn, text)

    def cancelled(self) -> bool:
        """Return whether the user pressed Cancel; any thread may ask."""
        return self._progress.cancelled()


def duration(seconds: float) -> str:
    """Return `seconds` in words a person expects: 40 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
