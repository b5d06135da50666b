"""The parts of a page that say what a model card says: channels, classes, components, skill, limits, training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..page.html import Section, Table, listed, number_text

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


def card_sections(facts: Mapping[str, Any]) -> list[Section]:
    """Return what a card in its JSON form says: all that a page about a model ends with."""
    skill = facts.get("skill", {})
    return [
        *_channel_and_head_sections(facts),
        Section("Components of the output layer", tables=(Table(_COMPONENTS, _component_rows(facts)),)),
        Section(
            "Skill",
            tables=(_pairs_table(skill),) if skill else (),
            text=() if skill else ("The card states no skill.",),
        ),
        Section(
            "Methods, by benchmarks with known truth", tables=(Table(_BENCHMARKS, _benchmark_rows(facts)),)
        ),
        Section("Limits of use", points=tuple(facts.get("limits", []))),
        Section("Training", tables=(_training_table(facts.get("training", {})),)),
    ]


def _channel_and_head_sections(facts: Mapping[str, Any]) -> list[Section]:
    """Return the channels, and the heads with their classes, of a card in its JSON form."""
    channels = [
        {**channel, "footprint": _footprint(channel.get("footprint_km"))}
        for channel in facts.get("channels", [])
    ]
    return [
        Section("Channels", tables=(Table(_CHANNELS, channels),)),
        Section("Heads and classes", tables=(Table(_CLASSES, _class_rows(facts)),)),
    ]


def compared(measured: Mapping[str, Any]) -> tuple[list[dict], list[str]]:
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


def card_summary(facts: Mapping[str, Any], channels: Sequence[Mapping[str, Any]]) -> list[str]:
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
