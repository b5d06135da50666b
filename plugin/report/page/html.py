"""The frame of every report: one HTML file that needs nothing else.

Templates lie in ``resources/templates``; every value is escaped. Figures are SVG inside the page, styles
are inside the page, and there is no link to anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ...ground.paths import RESOURCES

TEMPLATES = RESOURCES / "templates"


@dataclass(frozen=True)
class Figure:
    """A picture with its caption.

    Parameters
    ----------
    svg : str
        As :mod:`floelens.plugin.report.page.figures` makes it: the one value that is not escaped.
    caption : str
        What it shows, and how to read it.
    """

    svg: str
    caption: str

    @property
    def markup(self) -> Markup:
        """The picture for the template."""
        return Markup(self.svg)  # nosec B704 # drawn here, by figures.py


@dataclass(frozen=True)
class Table:
    """Rows to be printed.

    Parameters
    ----------
    columns : tuple of (str, str)
        Key and heading.
    rows : sequence of mapping
        None is printed as a blank.
    caption : str
        What the rows are.
    """

    columns: tuple[tuple[str, str], ...]
    rows: Sequence[Mapping[str, Any]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a report: a heading, sentences, pictures and tables in this order.

    Parameters
    ----------
    title : str
        Heading.
    text : tuple of str
        A paragraph each.
    points : tuple of str
        A list after the paragraphs.
    figures : tuple of Figure
        After the text.
    tables : tuple of Table
        After the pictures.
    folded : bool
        Whether only its heading shows until a reader opens it: numbers for whoever wants them.
    """

    title: str
    text: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: bool = False


def render(
    title: str,
    summary: Sequence[str],
    sections: Sequence[Section],
    subtitle: str = "",
    warnings: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    template: str = "report.html",
    warnings_after: int = 0,
) -> str:
    """Return the HTML of a report.

    Parameters
    ----------
    title, subtitle : str
        Heading, and what it is about.
    summary : sequence of str
        The answer in sentences, first on the page.
    sections : sequence of Section
        The body.
    warnings : sequence of str
        Printed behind the summary.
    provenance : mapping, optional
        Where it came from; the last section.
    template : str
        File in ``resources/templates``.
    warnings_after : int
        Sections of the body that come before the warnings.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            subtitle=subtitle,
            summary=list(summary),
            sections=list(sections),
            warnings=list(warnings),
            warnings_after=min(warnings_after, len(sections)),
            provenance=dict(provenance or {}),
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(str(TEMPLATES)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = number_text
    environment.tests["numeric"] = lambda value: (
        isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    return environment


def number_text(value: Any, digits: int = 4) -> str:
    """Return a value for a reader: numbers with `digits` significant digits, blank for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        if value == 0:
            return "0"
        size = math.floor(math.log10(abs(value)))
        if -4 <= size < 7:
            text = f"{value:.{max(0, digits - 1 - size)}f}"
            return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "\u2212")
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "\u2212")
    if isinstance(value, (list, tuple)):
        return ", ".join(number_text(item, digits) for item in value)
    return str(value)


def listed(names: Sequence[str], joint: str = "and") -> str:
    """Return names as in a sentence: ``a, b and c``."""
    names = list(names)
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {joint} {names[-1]}"


SENSOR_NAMES = {"sar": "SAR", "mwr": "the radiometer (MWR)", "ancillary": "ancillary data"}


def sensor_name(sensor: str) -> str:
    """Return how a sentence calls a sensor."""
    return SENSOR_NAMES.get(sensor, sensor or "components of no sensor")
