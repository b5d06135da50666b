"""What a row of the table means, in a sentence for an analyst."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...ground.artifact_counts import SensorShares

# Null maps that are worth a try, and how many more are advised than would have been just enough.
MOST_REPEATS, SPARE = 200, 1.25
NAMES = {
    "null_input": "null input",
    "translation": "scene moved",
    "mirroring": "scene mirrored",
    "randomised_weights": "shuffled weights",
    "rule_comparison": "other methods",
    "focus": "focus",
    "permutation": "other order",
}
ARTIFACTS = {
    ("null_input", "zero"): "relevance without any input",
    ("null_input", "pattern"): "a pattern of {period:.0f} pixels",
    ("null_input", "border"): "a border at the edges of the scene",
    ("null_input", "local"): "areas where the network answers differently whatever it sees",
    ("translation", ""): "structure that stays when the scene moves",
    ("mirroring", ""): "a trend along rows or columns",
    ("focus", ""): "peaks at outliers of the input",
    ("permutation", ""): "relevance that depends on when a row or column is read",
}
REMEDIES = {
    ("null_input", "zero"): "Read the corrected map; compare a method without biases.",
    ("null_input", "pattern"): "Read the corrected map, or means over {period:.0f} pixels.",
    ("null_input", "border"): "Leave out the outer {reach:.0f} pixels of the scene.",
    ("null_input", "local"): "Leave out the areas where the artifact's band '{band}' is large.",
    ("translation", ""): "Run again on a shifted EXTENT and trust what moves along.",
    ("mirroring", ""): "Do not compare one side of the scene with the other.",
    ("focus", ""): "Run relevance with CAP=5, or mask the outliers.",
    ("permutation", ""): "Do not compare what is read early with what is read late.",
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
    (
        "permutation",
        "",
    ): "In another order of reading, the map put back in order differs by up to {size}: when a row or column is read "
    "counts.",
}
_SHIFTS = {
    "offset": "With SAR values raised by a tenth of their spread {size} of the map moves, and {moved} of the logits.",
    "scale": "With the contrast of SAR raised by a tenth {size} of the map moves, and {moved} of the logits.",
    "mask_fill": "With gaps and land filled otherwise {size} of the map moves, and {moved} of the logits.",
    "padding": "With edges padded by the nearest value instead of zeros {size} of the map near them moves, and {moved} "
    "of the logits.",
}
# What the statistic of a row is.
_STANDARDISED = "standard deviations over reference values"
_CORRELATION, _SHARE = "rank correlation", "share of the map"
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
    ("permutation", ""): "In another order of reading the map is the same, put back in order.",
}

CAVEATS = (
    "The map looked at is the sum over the channels on the SAR grid. Relevance of radiometry lies on its own cells and "
    "is tested by itself, by null inputs and shuffled weights.",
    "The artifact is what stays in place whatever the input. The answer to the mean and the spectrum of a window (band "
    "null_mean) is the data's, and stays in the corrected map.",
    "Noise keeps means and spectra of each window and has random phases. Where the map exceeds what noise gives, the "
    "arrangement of the ice matters; below it, a pixel may still be right, but cannot be distinguished from chance.",
    "The null hypothesis takes a window for the same everywhere. A window of ice and water exceeds noise on the side "
    "with more contrast for that reason alone.",
    "Of the pixels with a q-value up to 0.05, at most 5 % are expected to be chance, within each window.",
    "Each map is corrected by itself: p (Holm) of the SAR counts the tests of its map alone, that of the radiometry "
    "its own. With both, an artifact is found by chance in up to 10 %.",
    "P-values come from 149 replicates: with another seed one of 0.05 moves by up to 0.04, one of 0.5 by up to 0.08.",
    "An artifact that data and network make together, not the network alone, is not found by null inputs.",
)


def smooth_windows(smooth: int, windows: int, sensor: str = "") -> tuple[str, ...]:
    """Return what to say where windows are too smooth to call any pixel fact; nothing where none is."""
    if not smooth:
        return ()
    start = "All windows are" if smooth == windows else f"{smooth} of {windows} windows are"
    if windows == 1:
        start = "The window is"
    name = f" ({sensor})" if sensor else ""
    return (
        f"{start} too smooth{name}: maps of noise still have half of their correlation over a tenth of the side, so "
        "that false discoveries cannot be controlled. No pixel is called fact there; all q-values are 1.",
    )


def facts_sentence(shares: SensorShares, repeats: int, radiometry: bool = False) -> str:
    """Return which pixels are fact, or why none is and whether more null maps would help."""
    name, pixel = ("Radiometry (band mwr_relevance): ", "cell") if radiometry else ("", "pixel")
    text = f"{percent(shares.fact_share)} of the relevance lies at {pixel}s that are fact, with a q-value up to 0.05."
    if not shares.fact_share:
        start = f"no {pixel} is fact"
        if shares.smooth:
            text = f"{start}, since windows are too smooth to tell; more REPEATS would not help."
        elif shares.repeats_needed <= MOST_REPEATS:
            wanted = max(repeats + 1, math.ceil(shares.repeats_needed * SPARE))
            text = f"{start}: the least q-value is {shares.least_q:.2g}; REPEATS={wanted} could call one."
        else:
            text = f"{start}: the least q-value is {shares.least_q:.2g}; more REPEATS would not help, since noise with "
            text += "the window's spectrum makes as large maps."
        if not shares.smooth:
            text = f"{text} {_blocks(shares, radiometry)}"
    text = name + text
    return text[0].upper() + text[1:]


def advice_on_areas(shares: SensorShares) -> str:
    """Return what to read where single pixels do not exceed noise."""
    if shares.block_share:
        return "Read blocks that are fact (band block_q_value), not pixels."
    if math.isnan(shares.least_block_q):
        return "Read areas, not pixels."
    return "Read large areas, not pixels: no block of 8 x 8 of them exceeds noise either."


def _blocks(shares: SensorShares, radiometry: bool) -> str:
    """Return whether blocks are fact where no pixel is."""
    what, band = ("of cells", "") if radiometry else ("of 8 x 8 pixels", " (band block_q_value)")
    if shares.block_share:
        return f"Of blocks {what} {percent(shares.block_share)} are fact{band}: read these."
    if math.isnan(shares.least_block_q):
        return "Read areas."
    return f"Nor is any block {what} (least q-value {shares.least_block_q:.2g}): read what large areas have in common."


def percent(share: float | None) -> str:
    """Return a share in words of a sentence."""
    if share is None or share != share:
        return "an unknown part"
    if 0 < share < 0.001:
        return "under 0.1 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def statistic_unit(test: str, part: str) -> str:
    """Return in which unit the statistic of a row is."""
    if test in ("randomised_weights", "rule_comparison"):
        return _CORRELATION
    if part in ("zero", "constant") or (test == "focus" and part):
        return _SHARE
    return _STANDARDISED


def sentence(
    test: str, part: str, verdict: str, size: float | None, statistic: float, numbers: Mapping[str, float]
) -> str:
    """Return what a row of the map on the SAR grid means."""
    values = {"size": percent(size), "period": 0.0, "reach": 0.0, "outliers": 0.0, **numbers}
    if test == "randomised_weights":
        return _weights(part, verdict, size, statistic, numbers)
    if test == "rule_comparison" and part:
        error = numbers.get("conservation_error", float("nan"))
        return f"{part} ranks pixels like the map with a correlation of {statistic:.2f}.{_conserved(error)}"
    if test == "focus" and part:
        return _SHIFTS[part].format(size=percent(size), moved=percent(numbers["prediction_change"]))
    if test == "permutation" and numbers.get("direction") == 0:
        return "Not applicable: the network reads the scene without a direction."
    if verdict == "does not apply" and (test, part) != ("null_input", "noise"):
        return "No window was large enough for this test."
    found = verdict in ("artifact", "negligible") or (test, part) in (
        ("null_input", "constant"),
        ("null_input", "noise"),
    )
    texts = _FOUND if found or (test, part) not in _CLEAR else _CLEAR
    text = texts[test, part].format(**values)
    return f"{text} Too little to matter." if verdict == "negligible" else text


def _conserved(error: float) -> str:
    """Return how far the sum of a map is from the explained logit: |ΣR - f|/|f|."""
    if error != error:
        return ""
    if error < 1e-4:
        return " Its sum is the explained logit."
    return f" Its sum differs from the explained logit by {percent(error)} of it."


def _weights(
    part: str, verdict: str, size: float | None, statistic: float, numbers: Mapping[str, float]
) -> str:
    if verdict == "does not apply":
        return "No window was large enough for this test."
    if part == "other trained networks":
        return _ensemble(verdict, size, statistic, numbers)
    if part != "all layers":
        start = f"With the {part} shuffled the map's rank correlation with the trained one is {statistic:.2f}"
        if verdict == "not shown to depend on training":
            return f"{start}: this method does not see what they learned."
        return f"{start}."
    start = f"Maps of networks that learned nothing have a rank correlation of {statistic:.2f} with this one"
    shared = f"{percent(size)} of it lies where theirs does."
    among = numbers.get("among_untrained")
    if among is None:
        return f"{start}; {shared}"
    start = f"{start} and of {among:.2f} with each other; {shared}"
    unlike = "It is unlike theirs, but they are as unlike each other"
    if among > statistic:
        unlike = "It is less like theirs than they are like each other, but so is one of them by chance"
    return start + {
        "depends on training": " It depends on what the network learned.",
        "undecided": f" {unlike}: whether it depends on what was learned, this test cannot tell "
        f"(p = {numbers.get('p', 1.0):.2g}).",
    }.get(verdict, " It shows the architecture, not what was learned.")


def _ensemble(verdict: str, size: float | None, statistic: float, numbers: Mapping[str, float]) -> str:
    number = int(numbers["networks"])
    start = (
        f"{number} other trained network{'s'[: number != 1]}: a mean rank correlation of {statistic:.2f} with this "
        f"map; {percent(size)} of it lies where all of theirs do."
    )
    if verdict == "depends on training":
        return f"{start} That is more than shuffled networks have in common with it: it was learned."
    return f"{start} Shuffled networks have as much in common with it (p = {numbers.get('p', 1.0):.2g})."
