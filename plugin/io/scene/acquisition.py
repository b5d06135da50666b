"""When SAR and radiometer looked at a scene, and how far apart: ice drifts meanwhile.

Times come from tags, else from the names of files, as the services write them. A day without a time of day counts
as the whole day: the delay stated is then the shortest possible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ...ground.errors import SceneError
from ..files.raster import Raster, file_of

WARNED_DELAY = timedelta(hours=3)
REFUSED_DELAY = timedelta(days=1)
_TIME_TAGS = ("start_time", "time_coverage_start", "acquisition_time", "TIFFTAG_DATETIME")
_TIME = re.compile(r"(?<!\d)((?:19|20)\d\d)-?(\d\d)-?(\d\d)(?:[T_ -]?(\d\d):?(\d\d)(?::?(\d\d))?)?(?!\d)")
# As the names of Sentinel-1 products write it: the time that a scene's tags and results hold.
_ACQUISITION = re.compile(r"(?<!\d)(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(?!\d)")


@dataclass(frozen=True)
class Span:
    """From when to when something was measured, as far as is known: an instant or a day.

    Parameters
    ----------
    first, last : datetime
        UTC.
    """

    first: datetime
    last: datetime

    @property
    def text(self) -> str:
        """The time for messages."""
        day = self.last - self.first > timedelta(hours=23)
        return f"{self.first:%Y-%m-%d}" if day else f"{self.first:%Y-%m-%d %H:%M} UTC"


def time_in(text: str) -> Span | None:
    """Return the first time that a text names, ISO 8601 or without signs; None where there is none."""
    for match in _TIME.finditer(text):
        year, month, day, hour, minute, second = match.groups()
        try:
            first = datetime(int(year), int(month), int(day), tzinfo=timezone.utc)
            if hour is None:
                return Span(first, first + timedelta(days=1))
            instant = first.replace(hour=int(hour), minute=int(minute), second=int(second or 0))
            return Span(instant, instant)
        except ValueError:
            continue
    return None


def time_in_name(name: str) -> str | None:
    """Return the time in the name of a product as ISO 8601; None where it holds none."""
    match = _ACQUISITION.search(name)
    return "{}-{}-{}T{}:{}:{}Z".format(*match.groups()) if match else None


def acquisition(raster: Raster) -> Span | None:
    """Return when a raster was measured, by its tags or its name; None where it does not say."""
    for key in _TIME_TAGS:
        span = time_in(
            raster.tags.get(key, "").replace(":", "-", 2)
            if key == "TIFFTAG_DATETIME"
            else raster.tags.get(key, "")
        )
        if span is not None:
            return span
    return time_in(Path(file_of(raster.path)).name)


def delay_between(one: Span, other: Span) -> timedelta:
    """Return by how much two spans are apart at least."""
    return max(one.first - other.last, other.first - one.last, timedelta(0))


def recorded_delay(tags: Mapping[str, str]) -> timedelta | None:
    """Return the longest delay to the SAR that the radiometry's tags record; None where they record none."""
    numbers = re.findall(r"[+-]?\d+(?:\.\d+)?", tags.get("amsr2_delay_s", ""))
    return timedelta(seconds=max(abs(float(number)) for number in numbers)) if numbers else None


def delay_warning(sar: Raster, mwr: Raster, accept: bool) -> str:
    """Return what is to be said of the time between SAR and radiometry; empty where nothing is.

    Raises
    ------
    SceneError
        They are more than a day apart, and that was not accepted.
    """
    delay, times = None, ""
    seen, measured = acquisition(sar), acquisition(mwr)
    if seen is not None and measured is not None:
        delay = delay_between(seen, measured)
        times = f" ({seen.text} and {measured.text})"
    recorded = recorded_delay(mwr.tags)
    if recorded is not None and (delay is None or recorded > delay):
        delay, times = recorded, times or " (amsr2_delay_s)"
    if delay is None or delay <= WARNED_DELAY:
        return ""
    hours = delay / timedelta(hours=1)
    apart = f"{hours / 24:.1f} days" if hours > 48 else f"{hours:.1f} h"
    sentence = f"{sar.path} and {mwr.path} are {apart} apart{times}: the ice has drifted between them."
    if delay > REFUSED_DELAY and not accept:
        raise SceneError(
            f"{sentence} Give the radiometry of the scene's own time, or set ACCEPT_DELAY to map all the same."
        )
    return sentence
