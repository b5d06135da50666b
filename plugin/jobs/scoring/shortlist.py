"""The short lists of a head, from its scores and the sums of its state: no pixel is seen again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...core.shortlist.importance import importance
from ...core.shortlist.moments import Moments
from ...core.shortlist.run import ShortList, short_lists
from ...core.shortlist.skill import MOST_PIXELS, LabelledPixels
from ...core.zscores.scores import Information, OutputLayer, ZScores
from ...core.zscores.sums.row_sample import RowSample
from ...ground.vocabulary.short_lists import GROUP, IMPORTANCE, INFORMATION, ROBUST, Z
from ...ground.wording import finite
from ...report.page.short_lists import ListedOrder, ShortLists

COUNTED = (
    "; each pixel counts by p(1 \u2212 p), as in the Z-scores: where the network is sure, it counts little"
)
"""How pixels count in sums of Fisher information."""


def head_short_lists(
    heads: Sequence[Information], scores: Sequence[ZScores], samples: Mapping[str, RowSample]
) -> tuple[ShortLists, ...]:
    """Return the short lists of the heads, as reports take them; heads without scores are absent.

    Parameters
    ----------
    heads : sequence of Information
        The sums of each head.
    scores : sequence of ZScores
        Made of them.
    samples : mapping of str to RowSample
        By head, labelled pixels of the state.
    """
    found = []
    for information, head in zip(heads, scores):
        sample = samples.get(head.layer.head)
        pixels = None if sample is None else labelled_pixels(head.layer, sample)
        found.append(short_lists_of_head(information, head, pixels))
    return tuple(each for each in found if each is not None)


def short_lists_of_head(
    information: Information, head: ZScores, pixels: LabelledPixels | None = None, counted: str = ""
) -> ShortLists | None:
    """Return the short lists of a head; None where nothing has a score.

    Parameters
    ----------
    information : Information
        The sums.
    head : ZScores
        Made of them.
    pixels : LabelledPixels, optional
        For the skill.
    counted : str
        Which pixels count, a clause.
    """
    sums, layer = information.total.pairs.sum(axis=0), head.layer
    if not sums[0, 0] > 0:
        return None
    lists = short_lists(measures(head, pixels), Moments.of_sums(sums), layer.weights, pixels)
    if not lists:
        return None
    parts = layer.components
    return ShortLists(
        layer.head,
        tuple(part.name for part in parts),
        tuple(part.sensor for part in parts),
        listed_orders([part.name for part in parts], lists),
        counted=counted + ("" if layer.kind == "linear" else COUNTED),
        labelled=0 if pixels is None else len(pixels.labels),
        unit="%" if layer.kind == "sigmoid" else "",
    )


def measures(head: ZScores, pixels: LabelledPixels | None = None) -> dict[str, np.ndarray]:
    r"""Return what components are ordered by, (component,) each: means over the classes, NaN where there is none.

    The group of a component is its frequency, or its scale where it has none; a group counts by the chi-square of its
    Wald test divided by its degrees of freedom, the robust one where all groups have one.

    Parameters
    ----------
    head : ZScores
        Scores of the components and tests of their groups.
    pixels : LabelledPixels, optional
        For the importance \|IM_c - IM_all\| (Li et al. 2024, arXiv 2407.01142) of what each component adds to the
        logit of a class, over the pixels whose class is right.
    """
    names = [part.name for part in head.layer.components]

    def over_classes(key: str) -> np.ndarray:
        sums, counts = np.zeros(len(names)), np.zeros(len(names))
        position = {name: at for at, name in enumerate(names)}
        for row in head.rows:
            if row[key] is not None:
                sums[position[row["component"]]] += abs(row[key])
                counts[position[row["component"]]] += 1
        return np.divide(sums, counts, out=np.full(len(names), np.nan), where=counts > 0)

    found = {
        Z: over_classes("z"),
        ROBUST: over_classes("z_robust"),
        GROUP: _of_groups(head),
        INFORMATION: over_classes("information_share"),
    }
    if not np.isfinite(found[Z]).any():  # a linear head without labels has no errors, but an order
        found[Z] = over_classes("share")
    if pixels is not None:
        found[IMPORTANCE] = importance(pixels)
    return found


def labelled_pixels(layer: OutputLayer, sample: RowSample, most: int = MOST_PIXELS) -> LabelledPixels | None:
    """Return the labelled pixels that a state carries of a head, the first `most` of its random order."""
    if not len(sample):
        return None
    components = sample.contributions[:most, 0].astype(np.float64)
    return LabelledPixels(layer.kind, components, sample.labels[:most], layer.weights, layer.bias)


def _of_groups(head: ZScores) -> np.ndarray:
    """Return the chi-square per degree of freedom of the group of each component, NaN where there is none."""
    tested: dict[tuple[str, str], Mapping] = {(row["kind"], row["group"]): row for row in head.groups}
    own = []
    for part in head.layer.components:
        scale = tested.get(("scale", part.scale))
        name = "" if part.frequency_ghz is None else f"{part.frequency_ghz:g} GHz"
        own.append(tested.get(("frequency", name), scale))
    known = [row for row in own if row is not None]
    robust = bool(known) and all(row["chi2_robust"] is not None for row in known)
    key = "chi2_robust" if robust else "chi2"
    return np.array(
        [np.nan if row is None or row[key] is None or not row["df"] else row[key] / row["df"] for row in own]
    )


def listed_orders(names: Sequence[str], lists: Sequence[ShortList]) -> tuple[ListedOrder, ...]:
    """Return short lists as reports take them; `names` are those of the components, in the layer's order."""
    return tuple(
        ListedOrder(
            by=each.by,
            names=tuple(names[at] for at in each.order),
            values=_curve(each.values[each.order]),
            r2=_curve(each.r2.at_mean),
            r2_at_zero=_curve(each.r2.at_zero),
            r2_refitted=_curve(each.r2.refitted),
            needed=each.needed,
            needed_at_zero=each.needed_at_zero,
            needed_refitted=each.needed_refitted,
            measure=each.measure,
            skill=_curve(each.skill),
            skill_at_zero=_curve(each.skill_at_zero),
            needed_for_skill=each.needed_for_skill,
            needed_for_skill_at_zero=each.needed_for_skill_at_zero,
        )
        for each in lists
    )


def _curve(values: np.ndarray) -> tuple[float | None, ...]:
    return tuple(finite(value) for value in values)
