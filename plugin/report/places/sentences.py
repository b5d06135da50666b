"""The answer to a place in sentences that can be repeated, and as a table."""

from __future__ import annotations

from collections.abc import Sequence

from .answer import Evidence, PlaceAnswer, SimilarPlace

SENSORS = {"sar": "SAR", "mwr": "radiometry", "weather": "weather"}
SCALE = "scale"  # a kind of bars beside the groups of channels
WORTH_NAMING = 0.005  # of probability
SMALL = 0.02  # of Σ|contributions|: less decides nothing


def headline(answer: PlaceAnswer) -> str:
    """Return what the map shows on the place, and what the chart does."""
    text = f"The network maps {answer.mapped.text()}"
    if answer.second is not None and answer.second.value >= WORTH_NAMING:
        text += f", then {answer.second.text()}"
    if answer.position.pixels > 1:
        text += ", on average over the place"
    if answer.charted is None:
        return f"{text}."
    charted = answer.charted.text() if answer.charted.unit else answer.charted.name
    same = not answer.charted.unit and answer.charted.name == answer.mapped.name
    return f"{text}; the chart {'agrees' if same else f'shows {charted}'}."


def reasons(answer: PlaceAnswer) -> str:
    """Return what speaks for the mapped class and what against, by sensor and then by channel."""
    evidence = answer.contrast or answer.evidence
    by_sensor = evidence.grouped(answer.groups["sensor"])
    sensors = " and ".join(
        f"{_sensor(name)} {'for' if value > 0 else 'against'} it ({_signed(value)})"
        for name, value in by_sensor.items()
        if _matters(value, by_sensor)
    )
    by_channel = evidence.grouped(answer.groups["channel"])
    most = [name for name, value in by_channel.items() if _matters(value, by_channel)][:3]
    channels = ", ".join(f"{name} {_signed(by_channel[name])}" for name in most)
    said = sensors or "no sensor decides"
    return f"{evidence.target.capitalize()}, in logit: {said}. Largest channels: {channels or 'none'}."


def alternatives(answer: PlaceAnswer) -> str:
    """Return what the map would show without each sensor."""
    found = []
    for name, shown in answer.without.items():
        same = not shown.unit and shown.name == answer.mapped.name
        found.append(f"without {_sensor(name)} it would {'still ' if same else ''}map {shown.text()}")
    text = "; ".join(found)
    return f"{text[:1].upper()}{text[1:]} (without: its channels at their mean)." if text else ""


def legend(answer: PlaceAnswer, look_known: bool = False) -> str:
    """Return what bars and footprints show; `look_known`: whether footprints lie along the radiometer's look."""
    text = "Bars: mean contribution to the logit; orange speaks for, purple against. Bias: all channels at their mean."
    if not answer.footprints:
        return text
    least, most = answer.footprints[0], answer.footprints[-1]
    shape = "Ellipses" if look_known else "Circles"
    text += (
        f" {shape} on the map: what the radiometer looks at, {least.width_km:g} × {least.length_km:g} km "
        f"({least.frequency_ghz:g} GHz) to {most.width_km:g} × {most.length_km:g} km ({most.frequency_ghz:g} GHz)"
    )
    text += "" if look_known else "; as wide as the longer axis, since its direction is not known"
    if any(footprint.near_land for footprint in answer.footprints):
        text += "; dashed and red: may hold land"
    return f"{text}."


def place_text(answer: PlaceAnswer) -> str:
    """Return where the place is: ``78.9986° N, 20.1246° E``, and how large it is."""
    position = answer.position
    where = lonlat_text(position.lon, position.lat)
    return where + (f" ({position.pixels} pixels)" if position.pixels > 1 else "")


def lonlat_text(lon: float, lat: float) -> str:
    """Return a position: ``78.9986° N, 20.1246° E``."""
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"


def similar_text(place: SimilarPlace) -> str:
    """Return what is similar, how similar, and how far away: one line of a list."""
    return f"{place.mapped.text()}, distance {place.distance:.2f}, {place.km:.0f} km away"


def similar_sentence(places: Sequence[SimilarPlace]) -> str:
    """Return the similar places as a sentence; empty where there are none."""
    if not places:
        return ""
    each = "; ".join(f"{lonlat_text(place.lon, place.lat)}: {similar_text(place)}" for place in places)
    return f"The network sees most alike: {each}."


def as_sentences(answer: PlaceAnswer) -> str:
    """Return all of it as one paragraph, to be copied."""
    parts = (
        f"{place_text(answer)}.",
        headline(answer),
        reasons(answer),
        alternatives(answer),
        *answer.warnings,
    )
    return " ".join(part for part in parts if part)


def rows(answer: PlaceAnswer, kind: str, contrast: bool = False) -> list[tuple[str, float]]:
    """Return contributions as bars show them: the largest group first (the smallest scale), the bias last.

    Parameters
    ----------
    answer : PlaceAnswer
        The answer.
    kind : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.CHANNEL_GROUPS`, or :data:`SCALE`.
    contrast : bool
        Whether for the mapped class rather than the second one, where there is one.
    """
    evidence: Evidence = answer.contrast if contrast and answer.contrast else answer.evidence
    found = evidence.scales if kind == SCALE else evidence.grouped(answer.groups[kind])
    return [*((_sensor(name), value) for name, value in found.items()), ("bias", evidence.bias)]


def _sensor(name: str) -> str:
    return SENSORS.get(name, name)


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _matters(value: float, among: dict[str, float]) -> bool:
    return abs(value) >= SMALL * sum(abs(other) for other in among.values()) > 0
