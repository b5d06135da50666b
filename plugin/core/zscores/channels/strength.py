r"""Strength of channels: how firmly the pixels would fix the size of each contribution.

With the rest of the logit as offset, an intercept (one a free class of a softmax) and the
contributions as regressors of slope 1, :math:`z_c=1/\sqrt{(I^{-1})_{cc}}`. It is always positive and
grows with the number of features a channel enters through: a strength, not a test, without p-value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....ground.wording import finite, listed
from ...streaming.products import product
from ..estimation.covariance import inverse_of
from ..estimation.identifiable import independent_columns
from .evidence import ChannelEvidence
from .levels import GROUP_COLUMNS, LevelGroup, level_groups

STRENGTH_COLUMNS = (
    *GROUP_COLUMNS,
    "strength",
    "vif",
    "mean",
    "sd",
    "n",
    "note",
)


def group_row(columns: Sequence[str], head: str, group: LevelGroup) -> dict:
    """Return a row with what is known of a group, everything else None."""
    row: dict = dict.fromkeys(columns)
    row.update(
        head=head,
        level=group.level,
        group=group.name,
        sensor=group.sensor,
        frequency_ghz=group.frequency_ghz,
        polarisation=group.polarisation,
        channels=len(group.members),
        note="",
    )
    return row


def combining(groups: Sequence[LevelGroup], channels: int) -> np.ndarray:
    """Return the matrix (channel, group) that adds up the channels of each group."""
    combine = np.zeros((channels, len(groups)))
    for at, group in enumerate(groups):
        combine[list(group.members), at] = 1.0
    return combine


def beside_intercepts(information: np.ndarray, classes: int, linear: bool) -> np.ndarray | None:
    """Return the information (slope, slope) that is left when the intercepts are estimated too.

    Parameters
    ----------
    information : numpy.ndarray
        (class + slope, class + slope), the intercepts first.
    classes : int
        Number of intercepts; one of a softmax is held at 0.
    linear : bool
        Whether the single intercept is free.

    Returns
    -------
    numpy.ndarray or None
        None where the predictions are saturated.
    """
    free = np.arange(classes)
    if not linear:
        mass = np.diag(information)[:classes]
        occurring = np.flatnonzero(mass > 1e-14 * mass.max()) if mass.max() > 0 else np.zeros(0, int)
        free = np.delete(occurring, np.argmax(mass[occurring])) if occurring.size else occurring
    if not free.size:
        return None
    corner = inverse_of(information[np.ix_(free, free)])
    if corner is None:
        return None
    across = information[np.ix_(free, np.arange(classes, len(information)))]
    return information[classes:, classes:] - product(product(across.T, corner), across)


def channel_strengths(evidence: ChannelEvidence) -> tuple[dict, ...]:
    """Return strengths by sensor, by frequency and by channel.

    Returns
    -------
    tuple of dict
        Keys of :data:`STRENGTH_COLUMNS`: ``mean`` and ``sd`` are those of the contribution to the logit
        (softmax: centred over the classes, the sd a mean over them and the mean None); ``strength`` is
        None, with a note, where a contribution does not vary, repeats others, or the head is linear and
        has no labels.
    """
    rows = []
    groups = level_groups(evidence.channels)
    for level in dict.fromkeys(group.level for group in groups):
        rows += _level(evidence, [group for group in groups if group.level == level])
    return tuple(rows)


def _level(evidence: ChannelEvidence, groups: Sequence[LevelGroup]) -> list[dict]:
    sums, linear = evidence.sums, evidence.kind == "linear"
    c, g = len(evidence.channels), len(groups)
    classes = len(sums.information) - c
    whole = np.zeros((classes + c, classes + g))
    whole[:classes, :classes] = np.eye(classes)
    whole[classes:, classes:] = combining(groups, c)
    information = product(product(whole.T, sums.information), whole)
    rows = [{**group_row(STRENGTH_COLUMNS, evidence.head, group), "n": sums.n} for group in groups]
    for row, group in zip(rows, groups):
        row.update(_moments(evidence, group))
    scale = 1.0
    if linear:
        spare = sums.n_labelled - 1
        if spare < 1 or not sums.residual_squares > 0:
            return _all(rows, "no labels: a linear head has no errors")
        scale = sums.residual_squares / spare
    if sums.n <= classes + g:
        return _all(rows, f"{sums.n} pixels are too few for {g} contributions")
    beside = beside_intercepts(information, classes, linear)
    if beside is None or not np.trace(information[:classes, :classes]) > 1e-250 * sums.n:
        return _all(rows, "predictions are saturated")
    raw = np.diag(information)[classes:]
    varying = [at for at in range(g) if beside[at, at] > 1e-13 * raw[at] and beside[at, at] > 0]
    for at in set(range(g)) - set(varying):
        rows[at]["note"] = "does not vary: no strength"
    kept, repeated = independent_columns(beside, varying, raw)
    blank = set()
    for at, partners in repeated.items():
        blank |= {at, *partners}
        names = [groups[other].name for other in partners]
        rows[at]["note"] = f"repeats {listed(names)}: cannot be told apart"
        for other in partners:
            rows[other]["note"] = f"repeated by {groups[at].name}: cannot be told apart"
    inverse = inverse_of(beside[np.ix_(kept, kept)]) if kept else None
    if inverse is None:
        return rows
    for position, at in enumerate(kept):
        if at not in blank:
            rows[at]["strength"] = finite(1.0 / np.sqrt(scale * inverse[position, position]))
            rows[at]["vif"] = finite(inverse[position, position] * beside[at, at])
    return rows


def _moments(evidence: ChannelEvidence, group: LevelGroup) -> dict:
    """Return mean and sd of a single channel's contribution; sums do not hold those of several."""
    sums = evidence.sums
    if sums.n == 0:
        return {}
    members = list(group.members)
    mean = (sums.total[:, members].sum(axis=1) / sums.n).tolist()
    row = {"mean": finite(mean[0]) if len(mean) == 1 else None}
    if len(members) == 1:
        variance = sums.squares[:, members[0]] / sums.n - np.square(sums.total[:, members[0]] / sums.n)
        row["sd"] = finite(np.sqrt(np.maximum(variance, 0.0).mean()))
    return row


def _all(rows: list[dict], note: str) -> list[dict]:
    for row in rows:
        row["note"] = note
    return rows
