"""The help page of an algorithm, made of its declarations.

What a tool is for stands in ``resources/help/<id>.html``, its picture beside it (``<id>.png``, drawn by
``tools/help_pictures.py``); each parameter adds its own help.
"""

from __future__ import annotations

from html import escape

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingParameterDefinition,
)

from ...ground.paths import RESOURCES
from .destinations import extensions

FOLDER = RESOURCES / "help"
WIDTH = 222  # pixels of a picture: what QGIS's help beside a dialog shows without scrolling


def help_page(algorithm: QgsProcessingAlgorithm) -> str:
    """Return the page (HTML) of `algorithm`: what it is for, its inputs and its outputs."""
    parts = [picture(algorithm.name())]
    parts.append(introduction(algorithm.name()) or f"<p>{escape(algorithm.shortDescription())}</p>")
    definitions = algorithm.parameterDefinitions()
    inputs = [d for d in definitions if not d.isDestination()]
    destinations = [d for d in definitions if d.isDestination()]
    parts.append(_section("Inputs", [_entry(d) for d in inputs]))
    named = {d.name() for d in destinations}
    extra = [
        f"<li><b>{o.name()}</b>: {escape(o.description())}</li>"
        for o in algorithm.outputDefinitions()
        if o.name() not in named
    ]
    parts.append(_section("Outputs", [_entry(d) for d in destinations] + extra))
    # QGIS makes a paragraph of every line break.
    return "".join(" ".join(part.split()) for part in parts if part)


def introduction(name: str) -> str:
    """Return what ``resources/help`` says about the algorithm `name`; empty where it says nothing."""
    page = FOLDER / f"{name}.html"
    return page.read_text(encoding="utf-8").strip() if page.is_file() else ""


def picture(name: str) -> str:
    """Return the picture of the algorithm `name`, on a simulated scene; empty where there is none."""
    path = FOLDER / f"{name}.png"
    return f'<p><img width="{WIDTH}" src="{path.as_uri()}"></p>' if path.is_file() else ""


def _entry(definition: QgsProcessingParameterDefinition) -> str:
    flags = definition.flags()
    optional = bool(flags & QgsProcessingParameterDefinition.Flag.FlagOptional)
    advanced = bool(flags & QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    notes = [word for word, there in (("optional", optional), ("advanced", advanced)) if there]
    if definition.isDestination() and extensions(definition):
        notes.append(f"a {extensions(definition)[0]} file")
    default = definition.defaultValue()
    if isinstance(default, (list, tuple)):
        notes.append(f"default {', '.join(map(str, default))}")
    elif default not in (None, ""):
        notes.append(f"default {default}")
    remark = f" <i>({escape(', '.join(notes))})</i>" if notes else ""
    return (
        f"<li><b>{definition.name()}</b>, {escape(definition.description())}{remark}: "
        f"{escape(definition.help())}</li>"
    )


def _section(title: str, entries: list[str]) -> str:
    return f"<h3>{title}</h3><ul>{''.join(entries)}</ul>" if entries else ""
