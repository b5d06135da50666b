"""The README of a demonstration model's package: what it is, how good it is, what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...networks.card import ModelCard

_BELOW = (1, 5, 10, 15)  # what ice-free sea is mapped below, %


def readme(card: ModelCard) -> str:
    """Return the README of a package whose card has the skill and training of the demonstration models."""
    skill = card.skill
    own = _concentration if "r2" in skill else _types
    return "\n".join(
        [
            f"# {card.title}",
            "",
            card.summary,
            "",
            f"The truth is {skill['truth']}. Skill on {skill['measured_on']}: {_headline(skill)}.",
            "",
            *own(card),
            "",
            *_beside(skill),
            "",
            f"Trained on {card.training.data}, by `{card.training.script}`. {_last_layer(card)} The network is the "
            "small interpretability variant of Malmgren-Hansen et al.; citations are in `card.json`.",
            "",
            *_benchmarks(card),
            "Limits:",
            "",
            *(f"- {limit}" for limit in card.limits),
            "",
        ]
    )


def _benchmarks(card: ModelCard) -> Iterator[str]:
    """Yield which method benchmarks with known truth recommend, a line each."""
    if not card.benchmarks:
        return
    yield "Relevance methods, by benchmarks with known truth:"
    yield ""
    for result in card.benchmarks:
        best = result.method(result.recommended)
        said = (
            f"{best.method}, mean {result.measure} {best.mean:.2f} ({best.low:.2f} to {best.high:.2f}; "
            f"{result.better} is better)"
            if best
            else "none"
        )
        yield (
            f"- {result.benchmark} ({result.condition.replace('_', ' ')}), on {result.network}: recommended is {said}; "
            f"{result.date}, FloeLens {result.version}."
        )
    yield ""


def _figures(part: Mapping) -> str:
    if "rmse_percent" in part:
        return f"R² {part['r2']:.3f}, RMSE {part['rmse_percent']:.1f} %, bias {part['bias_percent']:+.1f} %"
    return f"macro F1 {part['macro_f1']:.3f}, accuracy {part['accuracy']:.3f}"


def _headline(skill: Mapping) -> str:
    seasons = []
    for season in ("winter", "summer"):
        part = skill.get(season, {})
        number = part.get("r2", part.get("macro_f1"))
        if number is not None:
            seasons.append(f"{season} {number:.3f} ({part['scenes']} scenes)")
    return "; ".join([_figures(skill), ", ".join(seasons)] if seasons else [_figures(skill)])


def _concentration(card: ModelCard) -> Iterator[str]:
    yield "| true concentration | RMSE, % | bias, % |"
    yield "|---|---|---|"
    for entry in card.skill["by_concentration"]:
        low, high = entry["from_percent"], entry["to_percent"]
        yield f"| {low:g}–{high:g} % | {entry['rmse_percent']:.1f} | {entry['bias_percent']:+.1f} |"
    yield from _ice_free(card.skill.get("ice_free", {}))


def _ice_free(free: Mapping) -> Iterator[str]:
    """Yield the table of how much of the ice-free sea maps as such: far from ice and land, and all of it."""
    places = {
        "more than 30 km from ice and land": free.get("far", {}),
        "anywhere (chart and truth 0 %)": free.get("all", {}),
    }
    known = [
        below for below in _BELOW if all(f"mapped_below_{below}_percent" in part for part in places.values())
    ]
    if not known:
        return
    yield ""
    yield "Ice-free sea maps as such, but not everywhere as 0 %: charts call less than 1/10 open water, so read values"
    yield "under 10 % as open water."
    yield ""
    yield f"| ice-free sea | {' | '.join(f'under {below} %' for below in known)} | mean, % |"
    yield "|---" * (len(known) + 2) + "|"
    for name, part in places.items():
        shares = (f"{100 * part[f'mapped_below_{below}_percent']:.1f} %" for below in known)
        yield f"| {name} | {' | '.join(shares)} | {part['mean_percent']:.2f} |"


def _types(card: ModelCard) -> Iterator[str]:
    names = [entry.name for entry in card.head().classes]
    yield "| truth \\ map | " + " | ".join(names) + " | F1 |"
    yield "|---" * (len(names) + 2) + "|"
    for name, counts in zip(names, card.skill["confusion_rows_truth"]):
        shares = (f"{100.0 * count / max(sum(counts), 1):.1f} %" for count in counts)
        score = card.skill["f1"].get(name, float("nan"))
        yield f"| {name} | " + " | ".join(shares) + f" | {score:.3f} |"


def _beside(skill: Mapping) -> Iterator[str]:
    """Yield the table of the network beside radiometry alone, where the skill has it."""
    alone = skill.get("radiometer_alone")
    if not alone:
        return
    places = {
        "all sea": (skill, alone),
        "marginal zone (chart 15–80 %)": (skill.get("marginal_zone", {}), alone.get("marginal_zone", {})),
        "against the smooth chart": (skill.get("against_chart", {}), alone.get("against_chart", {})),
    }
    yield f"Beside radiometry alone ({alone['method']}):"
    yield ""
    yield "| where | network | radiometry alone |"
    yield "|---|---|---|"
    for name, parts in places.items():
        if all(part.get("pixels") for part in parts):
            yield f"| {name} | {_figures(parts[0])} | {_figures(parts[1])} |"


def _last_layer(card: ModelCard) -> str:
    last = card.training.details["last_layer"]
    times = last.get("pixels_of_ice_free_patches_count", 1)
    weighted = times != 1
    text = (
        f"The last layer is at the maximum of {'a weighted' if weighted else 'the'} likelihood: fitted by Newton's "
        f"method to {last['pixels']:,} pixels, and in float32 the next step would be "
        f"{last['largest_next_step_in_standard_errors']:.0e} standard errors at most."
    )
    if not weighted:
        return text
    return f"{text} Pixels of ice-free patches count {times:g} times: pixels that count once lie apart from this fit."
