"""Progress: how far, what, and how long still."""

from __future__ import annotations

import pytest
from floelens.plugin.algorithms.framework import feedback as module
from floelens.plugin.algorithms.framework.feedback import FeedbackProgress, duration
from floelens.plugin.ground.errors import Cancelled
from qgis.core import QgsProcessingFeedback


class Listener(QgsProcessingFeedback):
    """Keeps the texts."""

    def __init__(self) -> None:
        super().__init__(False)
        self.texts: list[str] = []

    def setProgressText(self, text: str) -> None:  # noqa: N802
        """Keep it."""
        self.texts.append(text)


@pytest.fixture
def clock(monkeypatch):
    """Return a clock that a test turns by hand."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_told_from_what_is_done(clock):
    listener = Listener()
    progress = FeedbackProgress(listener)
    progress.report(0.0, "Mapping")
    clock[0] += 30
    progress.report(0.25)
    assert listener.texts == ["Mapping", "Mapping, about 2 min left"]
    assert listener.progress() == 25.0


def test_many_reports_give_few_texts(clock):
    listener = Listener()
    progress = FeedbackProgress(listener)
    for step in range(1000):
        clock[0] += 0.01
        progress.report(step / 1000, "Mapping")
    assert 2 <= len(listener.texts) <= 2 + 10 / module.SECONDS_BETWEEN_TEXTS


def test_the_time_left_is_told_again_when_half_of_it_should_be_over(clock):
    listener = Listener()
    progress = FeedbackProgress(listener)
    for step in range(0, 3601):
        clock[0] = 100.0 + step
        progress.report(step / 3600, "Mapping")
    left = [text for text in listener.texts if "left" in text]
    assert left[0] == "Mapping, about 59 min left"
    assert 5 < len(left) < 20
    assert len(set(listener.texts)) == len(listener.texts)


def test_a_new_step_is_told_at_once(clock):
    listener = Listener()
    progress = FeedbackProgress(listener)
    progress.report(0.1, "Reading")
    progress.report(0.2, "Mapping")
    assert listener.texts == ["Reading", "Mapping"]


@pytest.mark.parametrize("fraction", [-0.5, 1.7])
def test_progress_stays_between_none_and_all(clock, fraction):
    listener = Listener()
    FeedbackProgress(listener).report(fraction)
    assert 0.0 <= listener.progress() <= 100.0


def test_after_cancel_the_next_report_raises():
    listener = Listener()
    progress = FeedbackProgress(listener)
    assert not progress.cancelled()
    listener.cancel()
    assert progress.cancelled()
    with pytest.raises(Cancelled):
        progress.report(0.5)


def test_messages_and_warnings_reach_the_log():
    feedback = QgsProcessingFeedback(False)
    progress = FeedbackProgress(feedback)
    progress.message("pixel size 80 m")
    progress.warn("the model expects 40 m")
    assert "pixel size 80 m" in feedback.textLog()
    assert "the model expects 40 m" in feedback.textLog()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.6, "60 s"), (120, "2 min"), (3600, "60 min"), (8040, "2 h 14 min")],
)
def test_durations_are_told_as_people_say_them(seconds, text):
    assert duration(seconds) == text
