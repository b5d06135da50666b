"""Where the correction raises the share of relevance inside the true pixels, and why it does not elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..page.html import Section, Table, listed, number_text

CHANCE_ACCURACY = 0.7  # a network of two classes that is right less often has not learned them

_NETWORKS = (
    ("title", "network"), ("maps", "maps"), ("raised", "share inside rises in"),
    ("below", "stays below chance in"), ("lowered", "rank accuracy falls in"),
)  # fmt: skip
_EXCEPTIONS = (
    ("title", "network"), ("method", "method"), ("mass_inside", "mass inside"), ("noise_inside", "of noise"),
    ("mass_inside_corrected", "corrected"), ("note", "why"),
)  # fmt: skip


def percent(share: float) -> str:
    """Return a share as a percentage: whole from 10 % on, two digits below."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share < 1e-3 else f"{number_text(100 * share, 2)} %"


def why_not_raised(row: Mapping[str, Any], common: str, elsewhere: str) -> str:
    """Say why the correction does not raise the mass inside, from what was measured; nothing where it does.

    The shares that are subtracted add up to the whole map. So where the samples put more inside than noise does, the
    rest of the map gets less than noise gives it on the whole, and what remains there are single pixels that exceed it.

    Parameters
    ----------
    row : mapping
        Accuracy of the network and scores of a method, by the names of the table.
    common, elsewhere : str
        What holds more than noise but does not decide, and what else may exceed noise.
    """
    before, after, noise = (row.get(key) for key in ("mass_inside", "mass_inside_corrected", "noise_inside"))
    if row["raised"]:
        return ""
    if after is None or before is None or noise is None:
        return "Nothing remains: noise alone gives the same map, so the map does not depend on the data."
    if row["accuracy"] < CHANCE_ACCURACY:
        return f"The network has not learned the classes ({percent(row['accuracy'])} right): its maps show no evidence."
    if noise >= before:
        return (
            f"Noise alone puts {percent(noise)} of the relevance inside, the samples {percent(before)}: more is "
            "taken off there than elsewhere."
        )
    on_common = row["common_corrected"]
    rest = 1 - after - on_common
    if on_common > rest:
        return (
            f"{percent(on_common)} of what remains lies on {common}: noise does not show them, so they stay."
        )
    return (
        f"The samples put {percent(before - noise)} more inside than noise does, but {elsewhere} exceed their noise "
        f"by more: {percent(rest)} of what remains."
    )


def correction_section(rows: Sequence[Mapping[str, Any]], chance: float) -> Section:
    """Return the section that names each network, and each map in which the share inside does not rise.

    Parameters
    ----------
    rows : sequence of mapping
        A row a map, by the names of the table.
    chance : float
        The share of the pixels that lie inside.
    """
    networks = []
    for title in dict.fromkeys(row["title"] for row in rows):
        own = [row for row in rows if row["title"] == title]
        networks.append(
            {
                "title": title,
                "maps": len(own),
                "raised": sum(row["raised"] is True for row in own),
                "below": sum((row["mass_inside_corrected"] or 0.0) < chance for row in own),
                "lowered": sum(rank_lowered(row) for row in own),
            }
        )
    exceptions = [row for row in rows if not row["raised"]]
    whole = [each["title"] for each in networks if each["raised"] == each["maps"]]
    if not exceptions:
        said = "The correction raises the share of relevance inside in every map of every network."
    elif whole:
        said = (
            f"The correction raises the share of relevance inside in every map of {listed(whole)}, but not in all of "
            "the others."
        )
    else:
        said = (
            "There is no network of which the correction raises the share of relevance inside in every map."
        )
    return Section(
        "Does the correction help?",
        text=(
            said,
            "Rank accuracy asks only where the largest values are. It falls where pixels inside stay below what noise "
            "alone gets there, and are set to zero. A map whose share inside stays below that of chance, "
            f"{percent(chance)}, shows other things than the truth, corrected or not.",
        ),
        tables=(
            Table(_NETWORKS, networks),
            *(
                (Table(_EXCEPTIONS, exceptions, "Where the share inside does not rise"),)
                if exceptions
                else ()
            ),
        ),
    )


def rank_lowered(row: Mapping[str, Any]) -> bool:
    """Return whether the correction lowers rank accuracy."""
    before, after = row["rank_accuracy"], row["rank_accuracy_corrected"]
    return before is not None and after is not None and after < before
