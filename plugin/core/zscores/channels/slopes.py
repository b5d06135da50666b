r"""Held-out channel slopes: whether the network's trust in each channel is deserved.

On labelled scenes that were not used in training, :math:`f=b+a+\sum_c\gamma_c C_c` is fitted to the
labels, with the contributions :math:`C_c` of the channels as regressors and the rest b of the logit as
offset. :math:`\gamma_c=0`: the channel's evidence is useless; 1: it deserves the trust it gets; below
1 it is over-trusted, above 1 under-trusted. Errors let the pixels of a cluster depend on each other
(reference t with G - 1 degrees of freedom); from few scenes they are those of :mod:`.scene_errors`. Unlike a
strength this is a test: one regressor a channel, however many features it enters through.

Every word is a test at the 5 % level. That a slope differs from 1 needs an interval without 1; that trust is
deserved needs one that lies within :data:`EQUIVALENT`, lest a wide interval pass for agreement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ....ground.wording import finite, listed
from ...streaming.products import gram, product
from ..estimation.covariance import inverse_of
from ..estimation.estimates import FEW_CLUSTERS
from ..estimation.identifiable import independent_columns
from ..estimation.regression import ChannelRows, Curvature, curvature, row_scores
from ..estimation.scene_errors import FEW_SCENES, LEAST_SCENES, MANY_SCENES, jackknife
from ..estimation.tails import log10_p_student
from ..sums.clusters import SCENES
from .evidence import ChannelEvidence
from .levels import GROUP_COLUMNS, LevelGroup, level_groups
from .strength import beside_intercepts, combining, group_row

SLOPE_COLUMNS = (
    *GROUP_COLUMNS,
    "slope",
    "se",
    "se_robust",
    "z_against_0",
    "log10_p_against_0",
    "z_against_1",
    "log10_p_against_1",
    "reading",
    "vif",
    "n",
    "clusters",
    "n_effective",
    "note",
    "low",
    "high",
    "scenes",
    "hint",
)
EQUIVALENT = (0.5, 2.0)  # slopes of trust that is deserved: right within a factor of two
LARGEST_VIF = 30.0  # of a channel or frequency whose slope is still shown
_STEPS = 60
_CONVERGED = 1e-10  # largest Newton step in standard errors
_STILL = 1e-6  # largest Newton step in logits: where labels are separated steps stay at about 1


@dataclass(frozen=True, eq=False)
class Clusters:
    """Pixels that may depend on each other.

    Parameters
    ----------
    numbers : numpy.ndarray or None
        (row,): the cluster of each, from 0; None where none is known.
    count : int
        Number of clusters.
    scenes : bool
        Whether they are whole scenes.
    """

    numbers: np.ndarray | None
    count: int
    scenes: bool = False


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Slopes (slope,), their naive and robust covariances, the inflation of their variance, and their freedom."""

    slopes: np.ndarray
    naive: np.ndarray
    robust: np.ndarray | None
    vif: np.ndarray
    freedom: np.ndarray


def channel_slopes(
    evidence: ChannelEvidence, clustering: str | None = None
) -> tuple[tuple[dict, ...], tuple[str, ...]]:
    """Return held-out slopes by sensor, by frequency and by channel, each level fitted on its own.

    Parameters
    ----------
    evidence : ChannelEvidence
        Of labelled scenes that were not used in training.
    clustering : str, optional
        Which clusters the errors use; by default the first by name.

    Returns
    -------
    rows : tuple of dict
        Keys of :data:`SLOPE_COLUMNS`. ``low`` and ``high`` bound the 95 % interval, from
        :data:`.LEAST_SCENES` scenes on. ``reading`` is at the 5 %
        level: ``misleading`` (below 0), ``useless`` (below 1, and 0 in the interval), ``over-trusted``
        (between), ``deserved`` (1 in the interval, which lies within :data:`EQUIVALENT`), ``under-trusted``
        (above 1) or ``undecided``. ``hint`` is true of fewer scenes: blocks within them say nothing of other
        scenes. What is not known is None, with a note.
    warnings : tuple of str
        Sentences a reader must see beside the numbers.
    """
    sample, head = evidence.sample, evidence.head
    if not len(sample):
        return (), (f"Head '{head}': no labels, so no held-out slopes of channels.",)
    clusters = _clusters(evidence, clustering)
    rows, absent, reason = _judged_rows(evidence)
    groups = level_groups(evidence.channels)
    scenes = evidence.scene_count
    slope_rows: list[dict] = []
    for level in dict.fromkeys(group.level for group in groups):
        members = [group for group in groups if group.level == level]
        level_rows = [
            {
                **group_row(SLOPE_COLUMNS, head, group),
                "n": len(sample),
                "clusters": clusters.count or None,
                "scenes": scenes,
                "hint": scenes < LEAST_SCENES,
            }
            for group in members
        ]
        if reason:
            for row in level_rows:
                row["note"] = reason
        else:
            summed = rows.summed(combining(members, len(evidence.channels)))
            _fill(level_rows, members, summed, clusters)
        slope_rows += level_rows
    return tuple(slope_rows), _warnings(evidence, clusters, absent)


def _clusters(evidence: ChannelEvidence, clustering: str | None) -> Clusters:
    """Return the clusters of a clustering; of None the first by name, and none where the pixels have none."""
    sample = evidence.sample
    if clustering not in sample.clusters:
        clustering = sorted(sample.clusters)[0] if sample.clusters and clustering is None else None
    if clustering is None:
        return Clusters(None, 0)
    numbers = sample.cluster_numbers(clustering)
    return Clusters(numbers, int(numbers.max()) + 1, clustering == SCENES)


def _judged_rows(evidence: ChannelEvidence) -> tuple[ChannelRows, list[str], str]:
    """Return the labelled pixels, the classes without any of them, and why no slope can be fitted (or nothing)."""
    sample = evidence.sample
    rows = ChannelRows.of(evidence.kind, sample.offset, sample.contributions, sample.labels)
    if np.ptp(sample.labels) == 0:
        return rows, [], "all labels are the same: no slope can be fitted"
    if evidence.kind != "softmax":
        return rows, [], ""
    present = np.flatnonzero(rows.known_targets.any(axis=0))
    absent = [name for k, name in enumerate(evidence.classes) if k not in present]
    return (rows.of_classes(present) if absent else rows), absent, ""


def _warnings(evidence: ChannelEvidence, clusters: Clusters, absent: Sequence[str]) -> tuple[str, ...]:
    """Return what a reader must know beside the slopes of a head."""
    head, sample, warnings = evidence.head, evidence.sample, []
    if len(sample) < evidence.sums.n_labelled:
        warnings.append(
            f"Head '{head}': the slopes of channels rest on a random sample of {len(sample)} of "
            f"{evidence.sums.n_labelled} labelled pixels."
        )
    if clusters.numbers is None:
        warnings.append(
            f"Head '{head}': the labelled pixels have no clusters in common, so the slopes of channels have naive "
            "errors only and no test. Set BLOCK_SIZE as in the earlier runs, or CLUSTERS=scenes."
        )
    if absent:
        warnings.append(
            f"Head '{head}': no pixel is labelled {listed(absent)}; the slopes of channels judge the choice "
            "among the other classes."
        )
    if clusters.numbers is not None and evidence.scene_count < FEW_SCENES:
        warnings.append(_few_scenes(head, evidence.scene_count))
    return tuple(warnings)


def _note(row: dict, text: str) -> None:
    """Add a sentence to the note of a row."""
    row["note"] = f"{row['note']}; {text}" if row["note"] else text


def _fill(
    table: list[dict],
    groups: Sequence[LevelGroup],
    rows: ChannelRows,
    clusters: Clusters,
) -> None:
    """Write the slopes of one level into its rows."""
    intercepts = 1 if rows.linear else rows.classes - 1
    size = len(groups) + intercepts
    if len(rows) <= size:
        for row in table:
            _note(row, f"{len(rows)} labelled pixels are too few for {size} parameters")
        return
    kept, blank = _distinguished(table, groups, rows)
    if not kept:
        return
    chosen = ChannelRows(rows.offset, rows.contributions[:, :, kept], rows.targets, rows.linear)
    fitted = _fitted(chosen, clusters)
    if fitted is None:
        for at in kept:
            _note(table[at], "the labels are separated perfectly, or too few: no finite slope fits them")
        return
    for position, at in enumerate(kept):
        if at not in blank:
            _write_slope(table[at], groups[at], fitted, position, len(rows), len(kept) + intercepts, clusters)


def _distinguished(
    table: list[dict], groups: Sequence[LevelGroup], rows: ChannelRows
) -> tuple[list[int], set[int]]:
    """Return the groups that vary and repeat no other, and those that share what they carry; note the reasons."""
    k, g = rows.classes, len(groups)
    # What varies is judged where predictions say nothing: a saturated network may still be refuted.
    flat = curvature(
        ChannelRows(np.zeros_like(rows.offset), rows.contributions, None, rows.linear),
        np.zeros(k),
        np.zeros(g),
    )
    beside = beside_intercepts(flat.information, k, rows.linear)
    if beside is None:  # of rows that say nothing at all
        return [], set()
    raw = np.diag(flat.information)[k:]
    varying = [at for at in range(g) if beside[at, at] > 1e-10 * raw[at] and beside[at, at] > 0]
    for at in set(range(g)) - set(varying):
        _note(table[at], "does not vary: no slope")
    # single precision: what is left of a repeated column is rounding
    kept, repeated = independent_columns(beside, varying, raw)
    blank: set[int] = set()
    for at, partners in repeated.items():
        blank |= {at, *partners}
        _note(
            table[at], f"repeats {listed([groups[other].name for other in partners])}: cannot be told apart"
        )
        for other in partners:
            _note(table[other], f"repeated by {groups[at].name}: cannot be told apart")
    return kept, blank


def _write_slope(
    row: dict,
    group: LevelGroup,
    fitted: _Fitted,
    position: int,
    pixels: int,
    parameters: int,
    clusters: Clusters,
) -> None:
    """Write one slope, its tests and what a reader must know of it into its row."""
    count = clusters.count
    row["vif"] = finite(fitted.vif[position])
    if group.level != "sensor" and not fitted.vif[position] <= LARGEST_VIF:
        _note(row, f"VIF above {LARGEST_VIF:g}: other channels carry the same evidence, no slope of its own")
        return
    if not fitted.vif[position] <= LARGEST_VIF:
        _note(row, f"VIF above {LARGEST_VIF:g}: nearly the same evidence as others")
    row.update(_tests(fitted, position, pixels))
    if row["hint"]:
        row.update(low=None, high=None)
        _note(row, "from one scene: a hint" if row["scenes"] == 1 else f"{row['scenes']} scenes: a hint")
    if fitted.robust is None:
        _note(row, _no_test(count))
    elif count <= parameters and not clusters.scenes:
        _note(row, f"{count} clusters for {parameters} parameters: the errors are uncertain")
    elif count < FEW_CLUSTERS and not clusters.scenes:
        _note(row, f"{count} clusters only: the errors are uncertain")


def _tests(fitted: _Fitted, at: int, n: int) -> dict:
    """Return the slope at a position, its errors and its tests against 0 and 1."""
    slope, se = fitted.slopes[at], np.sqrt(fitted.naive[at, at])
    row = {"slope": finite(slope), "se": finite(se), "reading": ""}
    if fitted.robust is None or not fitted.robust[at, at] > 0:
        return row
    robust = np.sqrt(fitted.robust[at, at])
    half = float(special.stdtrit(fitted.freedom[at], 0.975)) * robust
    low, high = slope - half, slope + half
    row.update(
        se_robust=finite(robust),
        n_effective=finite(n * (se / robust) ** 2),
        low=finite(low),
        high=finite(high),
    )
    p = {}
    for value in (0, 1):
        z = (slope - value) / robust
        p[value] = float(log10_p_student(np.array([z]), fitted.freedom[at])[0])
        row[f"z_against_{value}"], row[f"log10_p_against_{value}"] = finite(z), finite(p[value])
    row["reading"] = _reading(low, high)
    return row


def _reading(low: float, high: float) -> str:
    """Return what a 95 % interval says of a slope."""
    if low > 1:
        return "under-trusted"
    if high < 0:
        return "misleading"
    if high < 1:
        return "over-trusted" if low > 0 else "useless"
    return "deserved" if EQUIVALENT[0] <= low and high <= EQUIVALENT[1] else "undecided"


def _no_test(count: int) -> str:
    """Return why a slope has no robust error."""
    if count == 0:
        return "no clusters: naive error only"
    return "1 cluster: no test" if count == 1 else "one of the scenes alone fixes it: no test"


def _few_scenes(head: str, scenes: int) -> str:
    """Return what a reader must know of slopes from few scenes."""
    if scenes < LEAST_SCENES:
        known = "one scene" if scenes < 2 else f"{scenes} scenes"
        return (
            f"Head '{head}': the slopes of channels come from {known}; they hold there alone, and their words are "
            f"hints. Merge {FEW_SCENES} labelled scenes or more through STATE_IN."
        )
    return (
        f"Head '{head}': the slopes of channels rest on {scenes} scenes; their intervals allow for so few, and are "
        f"wide. Merge {FEW_SCENES} labelled scenes or more."
    )


def _fitted(rows: ChannelRows, clusters: Clusters) -> _Fitted | None:
    """Fit intercepts and slopes by Newton steps from what the network believes; None without a finite fit."""
    k, g = rows.classes, rows.contributions.shape[2]
    free = np.arange(k) if rows.linear else np.arange(1, k)
    at = np.concatenate([free, np.arange(k, k + g)])
    parameters = np.concatenate([np.zeros(k), np.ones(g)])
    here = curvature(rows, parameters[:k], parameters[k:])
    inverse = _covariance(here, at)
    spread = np.append(np.ones(k), np.sqrt(np.square(rows.contributions).mean(axis=(0, 1))))[at]
    if inverse is None:  # saturated where the network stands: begin where nothing is believed
        parameters = np.zeros(k + g)
        here = curvature(rows, parameters[:k], parameters[k:])
        inverse = _covariance(here, at)
    for _ in range(_STEPS):
        if inverse is None:
            return None
        step = product(inverse, here.score[at][:, None])[:, 0]
        small = np.abs(step) < _CONVERGED * np.sqrt(np.diag(inverse))
        if small.all() and (np.abs(step) * spread < _STILL).all():
            break
        parameters, here = _advanced(rows, parameters, at, step, here)
        inverse = _covariance(here, at)
    else:
        return None
    information = here.information
    scale = 1.0
    if rows.linear:
        scale = here.squares / (len(rows) - len(at))
    slopes = slice(len(free), None)
    beside = beside_intercepts(information, k, rows.linear)
    if beside is None:
        return None
    vif = np.diag(inverse)[slopes] * np.diag(beside)
    robust, count, numbers = None, clusters.count, clusters.numbers
    freedom = np.full(g, count - 1.0)
    if numbers is not None and clusters.scenes and 1 < count < MANY_SCENES:
        jackknifed = jackknife(rows, numbers, count, parameters, at)
        if jackknifed is not None:
            robust, freedom = jackknifed[0][slopes, slopes], jackknifed[1][slopes]
    elif numbers is not None and count > 1:
        scores = row_scores(rows, parameters[:k], parameters[k:])[:, at]
        gathered = np.stack([np.bincount(numbers, column, minlength=count) for column in scores.T], axis=1)
        gathered -= gathered.mean(axis=0)
        n, q = len(rows), len(at)
        factor = count / (count - 1) * (n - 1) / (n - q)
        robust = factor * product(product(inverse, gram(gathered)), inverse)[slopes, slopes]
    return _Fitted(parameters[k:], scale * inverse[slopes, slopes], robust, vif, freedom)


def _covariance(here: Curvature, at: np.ndarray) -> np.ndarray | None:
    return inverse_of(here.information[np.ix_(at, at)])


def _advanced(
    rows: ChannelRows, parameters: np.ndarray, at: np.ndarray, step: np.ndarray, here: Curvature
) -> tuple[np.ndarray, Curvature]:
    """Take a step, halved until the labels are no less likely than before."""
    k = rows.classes
    allowed = 1e-12 * max(1.0, abs(here.log_likelihood))
    for _ in range(30):
        moved = parameters.copy()
        moved[at] += step
        there = curvature(rows, moved[:k], moved[k:])
        if np.isfinite(there.log_likelihood) and there.log_likelihood >= here.log_likelihood - allowed:
            break
        step = 0.5 * step
    return moved, there
