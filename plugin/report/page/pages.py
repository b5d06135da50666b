"""Pages about a model and about the installation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .html import Section, Table, listed, number_text, render

_CHANNELS = (
    ("name", "channel"),
    ("sensor", "sensor"),
    ("grid", "grid"),
    ("unit", "unit"),
    ("mean", "mean"),
    ("sd", "standard deviation"),
    ("frequency_ghz", "GHz"),
    ("polarisation", "polarisation"),
    ("footprint", "footprint"),
    ("aliases", "also called"),
)
_CLASSES = (
    ("head", "head"),
    ("kind", "kind"),
    ("name", "class"),
    ("value", "code"),
    ("percent", "%"),
    ("colour", "colour"),
)
_BENCHMARKS = (
    ("benchmark", "benchmark"), ("network", "networks"), ("method", "method"), ("measure", "measure"),
    ("better", "better is"), ("mean", "mean"), ("interval", "95 % interval"), ("trusted", "surpasses controls"),
    ("recommended", "recommended"), ("when", "date, version"),
)  # fmt: skip
_COMPONENTS = (("sensor", "sensor"), ("scale", "scale"), ("count", "components"))


def inspect_model_html(card: Any, measured: Mapping[str, Any], unmeasured: Sequence[str] = ()) -> str:
    """Return a page about a model: what it takes and gives, what is known and what was measured now.

    Parameters
    ----------
    card : mapping, or an object with ``to_json``
        The model card in its JSON form.
    measured : mapping
        What was measured, by its name in words ("receptive field (pixels)", "alignment (pixels)",
        "parameters", "checksum"): a value, or a pair (measured, of the card), which are compared.
    unmeasured : sequence of str
        Sentences: what was not measured, and why.
    """
    facts = _as_mapping(card)
    rows, differences = _compared(measured)
    channels = facts.get("channels", [])
    columns = (("what", ""), ("found", "measured"), ("card", "card"), ("agrees", "agrees"))
    sections = [
        Section("Measured now", tables=(Table(columns, rows),), text=tuple(unmeasured)),
        *channel_and_head_sections(facts),
        Section("Components of the output layer", tables=(Table(_COMPONENTS, _component_rows(facts)),)),
        Section(
            "Skill",
            tables=(_pairs_table(facts.get("skill", {})),) if facts.get("skill") else (),
            text=() if facts.get("skill") else ("The card states no skill.",),
        ),
        Section(
            "Methods, by benchmarks with known truth", tables=(Table(_BENCHMARKS, _benchmark_rows(facts)),)
        ),
        Section("Limits of use", points=tuple(facts.get("limits", []))),
        Section("Training", tables=(_training_table(facts.get("training", {})),)),
    ]
    return render(
        title=str(facts.get("title") or facts.get("id")),
        subtitle=f"model {facts.get('id')}",
        summary=_model_summary(facts, channels),
        sections=[
            part for part in sections if part.text or part.points or any(table.rows for table in part.tables)
        ],
        warnings=differences,
        provenance={
            "licence": facts.get("licence"),
            "cite": "; ".join(facts.get("citation", [])),
            "architecture": facts.get("architecture", {}).get("name"),
            "weights (sha256)": facts.get("weights", {}).get("sha256"),
        },
    )


def channel_and_head_sections(facts: Mapping[str, Any]) -> list[Section]:
    """Return the channels, and the heads with their classes, of a card in its JSON form."""
    channels = [
        {**channel, "footprint": _footprint(channel.get("footprint_km"))}
        for channel in facts.get("channels", [])
    ]
    return [
        Section("Channels", tables=(Table(_CHANNELS, channels),)),
        Section("Heads and classes", tables=(Table(_CLASSES, _class_rows(facts)),)),
    ]


def _compared(measured: Mapping[str, Any]) -> tuple[list[dict], list[str]]:
    """Return what was measured as rows, and a sentence for each value that differs from the card's."""
    rows, differences = [], []
    for name, value in measured.items():
        found, claimed = value if isinstance(value, tuple) else (value, None)
        agrees = claimed is None or found == claimed
        rows.append(
            {"what": name, "found": found, "card": claimed, "agrees": "" if claimed is None else agrees}
        )
        if not agrees:
            differences.append(
                f"The card says {number_text(claimed)} for {name}, but {number_text(found)} was measured."
            )
    return rows, differences


def _model_summary(facts: Mapping[str, Any], channels: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a model reads and maps, in sentences."""
    heads = listed([str(head.get("name")) for head in facts.get("heads", [])])
    sensors = listed([str(name) for name in dict.fromkeys(channel.get("sensor") for channel in channels)])
    summary = [facts["summary"]] if facts.get("summary") else []
    summary.append(
        f"It reads {len(channels)} channels ({sensors}) and maps "
        f"{heads} at pixels of {number_text(facts.get('pixel_size_m'))} m."
    )
    if facts.get("demonstration"):
        summary.append(
            "This is a demonstration model: it must not be used for navigation or operational ice charts."
        )
    return summary


def _benchmark_rows(facts: Mapping[str, Any]) -> list[dict]:
    return [
        {
            **result,
            **row,
            "benchmark": f"{result['benchmark']} ({result['condition'].replace('_', ' ')})",
            "interval": f"{number_text(row['low'], 3)} to {number_text(row['high'], 3)}",
            "recommended": row["method"] == result.get("recommended"),
            "when": f"{result['date']}, {result['version']}",
        }
        for result in facts.get("benchmarks", [])
        for row in result["methods"]
    ]


def _class_rows(facts: Mapping[str, Any]) -> list[dict]:
    return [
        {"head": head.get("name"), "kind": head.get("kind"), **known}
        for head in facts.get("heads", [])
        for known in head.get("classes", [])
    ]


def _component_rows(facts: Mapping[str, Any]) -> list[dict]:
    """Return how many components there are of each sensor and scale."""
    counts = Counter((part.get("sensor", ""), part.get("scale", "")) for part in facts.get("components", []))
    return [{"sensor": s, "scale": c, "count": n} for (s, c), n in counts.items()]


def _training_table(training: Mapping[str, Any]) -> Table:
    about = {"data": training.get("data"), "script": training.get("script")}
    return _pairs_table({**about, **training.get("details", {})})


def environment_html(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a page about the libraries: versions, what is missing, and the command that installs it.

    Parameters
    ----------
    rows : sequence of mapping
        ``name``; ``version`` (empty or None where missing); ``needed_for``; ``command`` that installs
        it; optional ``note``.
    """
    missing = [row for row in rows if not row.get("version")]
    if missing:
        summary = [
            f"Missing: {listed([str(row['name']) for row in missing])}. FloeLens works fully once they are installed."
        ]
    else:
        summary = ["Everything FloeLens needs is installed."]
    printed = [{**row, "state": "installed" if row.get("version") else "MISSING"} for row in rows]
    columns: tuple[tuple[str, str], ...] = (
        ("name", "library"),
        ("state", "state"),
        ("version", "version"),
        ("needed_for", "needed for"),
        ("note", "note"),
    )
    columns = tuple(pair for pair in columns if pair[0] != "note" or any(row.get("note") for row in rows))
    sections = []
    if missing:
        commands = list(dict.fromkeys(str(row["command"]) for row in missing if row.get("command")))
        sections.append(Section("How to install what is missing", points=tuple(commands)))
    sections.append(Section("Libraries", tables=(Table(columns, printed),)))
    return render(title="FloeLens: environment", summary=summary, sections=sections)


def _as_mapping(card: Any) -> Mapping[str, Any]:
    return card if isinstance(card, Mapping) else json.loads(card.to_json())


def _footprint(size: Sequence[float] | None) -> str:
    return "" if not size else f"{size[0]:g} x {size[1]:g} km"


def _pairs_table(values: Mapping[str, Any]) -> Table:
    """Return nested values as rows with dotted names."""
    rows: list[dict] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                walk(f"{prefix} \u2013 {key}" if prefix else str(key), item)
        elif value not in (None, "", []):
            rows.append({"what": prefix.replace("_", " "), "value": value})

    walk("", values)
    return Table((("what", ""), ("value", "")), rows)
