"""What a row of the table means, in a sentence for an analyst."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = {
    "null_input": "null input",
    "translation": "scene moved",
    "mirroring": "scene mirrored",
    "randomised_weights": "shuffled weights",
    "rule_comparison": "other methods",
    "focus": "focus",
}
ARTIFACTS = {
    ("null_input", "zero"): "relevance without any input",
    ("null_input", "pattern"): "a pattern of {period:.0f} pixels",
    ("null_input", "border"): "a border at the edges of the scene",
    ("null_input", "local"): "areas where the network answers differently whatever it sees",
    ("translation", ""): "structure that stays when the scene moves",
    ("mirroring", ""): "a trend along rows or columns",
    ("focus", ""): "peaks at outliers of the input",
}
REMEDIES = {
    ("null_input", "zero"): "Read the corrected map; compare a method without biases.",
    ("null_input", "pattern"): "Read the corrected map, or means over {period:.0f} pixels.",
    ("null_input", "border"): "Leave out the outer {reach:.0f} pixels of the scene.",
    ("null_input", "local"): "Leave out the areas where the artifact's band 'local' is large.",
    ("translation", ""): "Run again on a shifted EXTENT and trust what moves along.",
    ("mirroring", ""): "Do not compare one side of the scene with the other.",
    ("focus", ""): "Run relevance with CAP=5, or mask the outliers.",
}
_FOUND = {
    (
        "null_input",
        "zero",
    ): "For inputs at their training means the map is {size} of the scene's: it does not come from the data.",
    (
        "null_input",
        "constant",
    ): "With every channel at its mean over a window, wherever the ice lies, the map is as large "
    "as {size} of the scene's.",
    ("null_input", "noise"): "No window without gaps was looked at, so that null maps could not be tested.",
    (
        "null_input",
        "pattern",
    ): "Null maps repeat every {period:.0f} pixels, {size} of them on average: strides, pools or coarse cells.",
    ("null_input", "border"): "Near the edges of the scene null maps differ by {size} on average: padding.",
    ("null_input", "local"): "Elsewhere too null maps differ from place to place, by {size} on average.",
    ("translation", ""): "{size} of the map does not move with the scene, and is tied to places.",
    ("mirroring", ""): "Relevance grows along rows or columns whichever way the scene lies, by up to {size}.",
    (
        "focus",
        "",
    ): "Where {outliers:.0f} outliers are capped the map moves by {size} more than the prediction does.",
}
_SHIFTS = {
    "offset": "With SAR values raised by a tenth of their spread {size} of the map moves, and {moved} of the logits.",
    "scale": "With the contrast of SAR raised by a tenth {size} of the map moves, and {moved} of the logits.",
}
_CLEAR = {
    (
        "null_input",
        "zero",
    ): "Inputs at their training means have no relevance worth mentioning ({size} of the scene's).",
    ("null_input", "pattern"): "Null maps show no pattern of strides, pools or coarse cells.",
    ("null_input", "border"): "Null maps look the same near the edges of the scene as inside.",
    ("null_input", "local"): "Null maps look the same everywhere else.",
    ("translation", ""): "The map moves with the scene.",
    ("mirroring", ""): "Relevance has no trend of its own along rows or columns.",
    ("focus", ""): "Capping outliers does not move the map.",
}


def percent(share: float | None) -> str:
    """Return a share in words of a sentence."""
    if share is None or share != share:
        return "an unknown part"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def sentence(
    test: str, part: str, verdict: str, size: float | None, statistic: float, numbers: Mapping[str, float]
) -> str:
    """Return what a row means."""
    values = {"size": percent(size), "period": 0.0, "reach": 0.0, "outliers": 0.0, **numbers}
    if test == "randomised_weights":
        return _weights(part, verdict, size, statistic, numbers)
    if test == "rule_comparison":
        error = numbers.get("conservation_error", float("nan"))
        adds = "" if error != error else f" It adds up{_within(error)}."
        return f"{part} ranks pixels like the map with a correlation of {statistic:.2f}.{adds}"
    if test == "focus" and part:
        return _SHIFTS[part].format(size=percent(size), moved=percent(numbers["prediction_change"]))
    if verdict == "does not apply" and (test, part) != ("null_input", "noise"):
        return "No window was large enough for this test."
    found = verdict in ("artifact", "negligible") or (test, part) in (
        ("null_input", "constant"),
        ("null_input", "noise"),
    )
    texts = _FOUND if found or (test, part) not in _CLEAR else _CLEAR
    text = texts[test, part].format(**values)
    return f"{text} Too little to matter." if verdict == "negligible" else text


def _within(error: float) -> str:
    return "" if error < 1e-5 else f" to within {100 * error:.2g} %"


def _weights(
    part: str, verdict: str, size: float | None, statistic: float, numbers: Mapping[str, float]
) -> str:
    if verdict == "does not apply":
        return "No window was large enough for this test."
    if part != "all layers":
        return f"With the {part} shuffled the map's rank correlation with the trained one is {statistic:.2f}."
    among = numbers.get("among_untrained", float("nan"))
    start = (
        f"Maps of networks that learned nothing have a rank correlation of {statistic:.2f} with this one and of "
        f"{among:.2f} with each other; {percent(size)} of it lies where theirs does."
    )
    if verdict == "depends on training":
        differs = numbers.get("p", 0.0) <= 0.05
        return f"{start} {'It depends on what the network learned.' if differs else 'They are hardly alike.'}"
    return f"{start} It shows the architecture, not what was learned."
