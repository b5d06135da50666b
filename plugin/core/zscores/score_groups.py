"""Wald tests of groups of components: sensor, scale, frequency, polarisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...ground.wording import finite
from ..target.output_layer import Group
from .estimation.covariance import wald_statistic
from .estimation.estimates import Estimation
from .estimation.tails import log10_p_chi2, log10_p_f
from .fit_distance import naive_tests, weights_fitted
from .relative_weights import information_shares, relative_weights

GROUP_COLUMNS = (
    "head",
    "kind",
    "group",
    "components",
    "df",
    "chi2",
    "log10_p",
    "mean_abs_z",
    "chi2_robust",
    "log10_p_robust",
    "mean_abs_z_robust",
    "information",
    "note",
    "share",
    "rank",
    "information_share",
)


def score_groups(
    fit: Estimation, rows: Sequence[Mapping], ranked: Estimation | None = None
) -> tuple[dict, ...]:
    """Return the Wald tests of the groups; no p-values unless the weights are known to be a fit.

    Shares and ranks are those of `ranked`, by default of `fit`.
    """
    ranked = ranked or fit
    layer = fit.layer
    m = len(layer.components)
    groups = tuple(_group(fit, group, m + index, rows) for index, group in enumerate(layer.groups()))
    informed, relative = information_shares(ranked), relative_weights(ranked)
    for row in groups:
        key = row["kind"], row["group"]
        row["share"] = _mean([part["share"] for part in relative if (part["kind"], part["group"]) == key])
        row["information_share"] = _mean([informed.get((name, *key)) for name in layer.classes])
    for kind in dict.fromkeys(row["kind"] for row in groups):
        known = [row for row in groups if row["kind"] == kind and row["share"] is not None]
        for rank, row in enumerate(sorted(known, key=lambda row: -row["share"]), start=1):
            row["rank"] = rank
    return groups


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean over the classes of what is known."""
    known = [value for value in values if value is not None]
    return finite(float(np.mean(known))) if known else None


def _group(fit: Estimation, group: Group, removal: int, rows: Sequence[Mapping]) -> dict:
    layer, estimate = fit.layer, fit.estimate
    row = dict.fromkeys(GROUP_COLUMNS)
    row.update(
        head=layer.head, kind=group.kind, group=group.name, components=len(group.members), note=fit.blank
    )
    if estimate is None:
        return row
    row["information"] = fit.share(removal)
    names = {layer.components[j].name for j in group.members}
    for name in ("z", "z_robust"):
        values = [abs(r[name]) for r in rows if r["component"] in names and r[name] is not None]
        row["mean_abs_" + name] = finite(np.mean(values)) if values else None
    at = np.flatnonzero(np.isin(estimate.kept.columns, group.members)) + 1
    freedom = len(at) * len(estimate.kept.free)
    row["df"] = freedom
    notes = []
    if len(at) < len(group.members):
        notes.append(f"{len(group.members) - len(at)} dead or collinear components left out")
    if freedom == 0:
        row["note"] = "; ".join(notes)
        return row
    weights = estimate.weights[:, at].ravel()
    scale = 1.0 if layer.kind != "linear" else fit.error_variance
    if scale:
        statistic = wald_statistic(
            weights, estimate.naive[:, at][:, :, :, at].reshape(freedom, freedom) * scale
        )
        row["chi2"] = finite(statistic)
        if layer.kind == "linear":
            size = estimate.weights.size
            row["log10_p"] = finite(
                log10_p_f(statistic / freedom, freedom, fit.information.labelled.n - size)
            )
        else:
            row["log10_p"] = finite(log10_p_chi2(statistic, freedom))
    fitted = weights_fitted(fit)
    if not naive_tests(fit):
        row["log10_p"] = None
    count = fit.cluster_count
    if estimate.robust is not None and count >= freedom + 1:
        statistic = wald_statistic(weights, estimate.robust[:, at][:, :, :, at].reshape(freedom, freedom))
        row["chi2_robust"] = finite(statistic)
        # Hotelling's T^2 with G-1 degrees of freedom: for one weight it is the square of its t(G-1)
        ratio = statistic * (count - freedom) / ((count - 1) * freedom)
        row["log10_p_robust"] = finite(log10_p_f(ratio, freedom, count - freedom)) if fitted else None
    elif estimate.robust is not None:
        notes.append(f"{count} clusters: a robust test of {freedom} weights needs {freedom + 1}")
    else:
        notes.append(fit.robust_note())
    row["note"] = "; ".join(note for note in notes if note)
    return row
