"""The rows of the table of Z-scores: weights, errors and scores by class and component."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ground.wording import finite
from .estimation.covariance import variances_of
from .estimation.estimates import Estimation
from .estimation.tails import log10_p_normal, log10_p_student
from .fit_distance import naive_tests, weights_fitted
from .refit import Refit
from .relative_weights import information_shares, relative_weights

COLUMNS = (
    "head",
    "class",
    "component",
    "channel",
    "sensor",
    "scale",
    "frequency_ghz",
    "polarisation",
    "weight",
    "se",
    "z",
    "log10_p",
    "se_robust",
    "z_robust",
    "log10_p_robust",
    "information",
    "vif",
    "n",
    "n_effective",
    "refit_weight",
    "refit_se",
    "refit_z",
    "refit_se_robust",
    "refit_z_robust",
    "note",
    "share",
    "rank",
    "information_share",
)


_SOFT = 0.8  # dispersion of labels that scatter less than yes or no
_NARROW = "n_effective exceeds the pixels: labels scatter less than naive errors assume"
_REFIT = ("weight", "se", "z", "se_robust", "z_robust")


def score_rows(
    fit: Estimation,
    refitted: Refit | None = None,
    against: int | None = None,
    ranked: Estimation | None = None,
) -> tuple[tuple[dict, ...], tuple[dict, ...], tuple[dict, ...]]:
    """Return rows of the components, of the biases, and the one-step shifts.

    `against` names the output that the others are compared with; None: centred weights. `refitted`
    fills the columns of the refit. Shares and ranks are those of `ranked`, by default of `fit`. There are no
    p-values unless the weights are known to be a fit, and no robust errors of classes that no label has.
    """
    layer, estimate = fit.layer, fit.estimate
    relative = {} if against is not None else _relative(ranked or fit)
    outputs = [k for k in range(layer.outputs) if k != against]
    table = _statistics(fit, against) if estimate is not None else {}
    position = {} if estimate is None else {int(j): at + 1 for at, j in enumerate(estimate.kept.columns)}
    anew = _refit_columns(refitted, against)
    blank_weights = _blank_weights(fit, against)
    rows: list[dict] = []
    bias: list[dict] = []
    shifts: list[dict] = []
    for k in outputs:
        for j, part in enumerate([None, *layer.components], start=-1):
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            row.update(head=layer.head, n=fit.information.n, note=_note(fit, k, j, against))
            row["class"] = layer.classes[k] + (f" - {layer.classes[against]}" if against is not None else "")
            if part is None:
                row["component"] = "bias"
                row["weight"] = finite(blank_weights[k, 0])
            else:
                row.update(
                    component=part.name,
                    channel=part.channel,
                    sensor=part.sensor,
                    scale=part.scale,
                    frequency_ghz=part.frequency_ghz,
                    polarisation=part.polarisation,
                    weight=finite(blank_weights[k, j + 1]),
                    information=fit.share(j),
                )
            at = 0 if part is None else position.get(j)
            if k in table and at is not None:
                row.update({name: finite(values[at]) for name, values in table[k].items() if name in row})
                if "shift" in table[k] and part is not None:
                    shifts.append(
                        {
                            "head": layer.head,
                            "class": row["class"],
                            "component": part.name,
                            "shift": finite(table[k]["shift"][at]),
                            "shift_in_se": finite(table[k]["shift_in_se"][at]),
                        }
                    )
            if (row["n_effective"] or 0.0) > fit.information.labelled.n and (fit.dispersion or 1.0) < _SOFT:
                row["note"] = "; ".join(text for text in (row["note"], _NARROW) if text)
            row.update(anew.get((k, j), {}))
            row.update(relative.get((row["class"], row["component"]), {}))
            (bias if part is None else rows).append(row)
    return tuple(rows), tuple(bias), tuple(shifts)


def _relative(fit: Estimation) -> dict[tuple[str, str], dict]:
    """Return by class and component share and rank of its score, and its share of the information."""
    columns = {}
    for row in relative_weights(fit):
        if row["kind"] == "component":
            columns[row["class"], row["group"]] = {"share": row["share"], "rank": row["rank"]}
    for (name, kind, group), share in information_shares(fit).items():
        if kind == "component" and (name, group) in columns:
            columns[name, group]["information_share"] = share
    return columns


def _refit_columns(refitted: Refit | None, against: int | None) -> dict[tuple[int, int], dict]:
    """Return the columns of the refit by output and component (-1: the bias)."""
    if refitted is None or refitted.fit is None or refitted.fit.estimate is None:
        return {}
    if against is not None:
        if against not in refitted.classes:
            return {}
        against = refitted.classes.index(against)
    columns = [-1, *refitted.fit.estimate.kept.columns.tolist()]
    return {
        (refitted.classes[k], j): {f"refit_{name}": finite(values[name][at]) for name in _REFIT}
        for k, values in _statistics(refitted.fit, against).items()
        for at, j in enumerate(columns)
    }


def _blank_weights(fit: Estimation, against: int | None) -> np.ndarray:
    """Return own weights (output, 1 + component) for rows that have no score.

    They are centred over the same classes as the rows that have one, so that a column of the table
    means one thing.
    """
    own = np.concatenate([fit.layer.bias[:, None], fit.layer.weights], axis=1)
    if fit.layer.kind != "softmax":
        return own
    if against is not None:
        return own - own[against]
    return own - (own if fit.estimate is None else own[fit.estimate.kept.classes]).mean(axis=0)


def _statistics(fit: Estimation, against: int | None) -> dict[int, dict[str, np.ndarray]]:
    """Return for each output with scores the columns of the table, (1 + column,) each."""
    estimate, kept = fit.fitted, fit.fitted.kept
    information = fit.information
    centring = kept.centring()
    classes = list(kept.classes)
    if against is not None:
        if against not in classes:
            return {}
        centring = centring - centring[classes.index(against)]
    scale = 1.0
    if fit.layer.kind == "linear":
        scale = np.nan if fit.error_variance is None else fit.error_variance
    weights = centring @ estimate.weights
    se = np.sqrt(scale * variances_of(centring, estimate.naive))
    alone = np.full_like(se, np.nan)
    alone[:, 1:] = np.sqrt(np.einsum("lf,jfg,lg->lj", centring, estimate.alone, centring))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = weights / se  # a reference class has neither
    size = len(kept.free) * (1 + len(kept.columns))
    if fit.layer.kind == "linear":
        log10_p = log10_p_student(z, max(information.labelled.n - size, 1))
    else:
        log10_p = log10_p_normal(z)
    none = np.full_like(se, np.nan)
    se_robust, z_robust, log10_p_robust, effective = none, none, none, none
    se_labelled = none
    if estimate.naive_labelled is not None:
        se_labelled = np.sqrt(scale * variances_of(centring, estimate.naive_labelled))
    if estimate.robust is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            se_robust = np.sqrt(variances_of(centring, estimate.robust))
            z_robust = weights / se_robust
            effective = information.labelled.n * np.square(se_labelled / se_robust)
        log10_p_robust = log10_p_student(
            np.where(np.isfinite(z_robust), z_robust, np.nan), fit.cluster_count - 1
        )
        unknown = [at for at, k in enumerate(classes) if {k, against} & set(fit.without_labels())]
        for values in (se_robust, z_robust, log10_p_robust, effective):
            values[unknown] = np.nan
    if not naive_tests(fit):
        log10_p = none
    if not weights_fitted(fit):
        log10_p_robust = none
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            k: {
                "weight": weights[at],
                "se": se[at],
                "z": z[at],
                "log10_p": log10_p[at],
                "se_robust": se_robust[at],
                "z_robust": z_robust[at],
                "log10_p_robust": log10_p_robust[at],
                "vif": np.square(se[at] / alone[at]) / scale
                if np.isfinite(scale)
                else variances_of(centring, estimate.naive)[at] / np.square(alone[at]),
                "n_effective": effective[at],
                "se_labelled": se_labelled[at],
            }
            for at, k in enumerate(classes)
            if k != against
        }
        if estimate.naive_labelled is not None:
            shift = centring @ np.einsum("fagb,gb->fa", estimate.naive_labelled, fit.total_score())
            for at, k in enumerate(classes):
                if k != against:
                    columns[k].update(shift=shift[at], shift_in_se=shift[at] / se_labelled[at])
    return columns


def _note(fit: Estimation, k: int, j: int, against: int | None = None) -> str:
    """Return what a reader must know about a row; j = -1 is the bias."""
    if fit.blank:
        return fit.blank
    parts = []
    if k in fit.class_notes:
        parts.append(fit.class_notes[k])
    if against in fit.class_notes:
        parts.append(f"the reference: {fit.class_notes[against]}")
    if j in fit.notes:
        parts.append(fit.notes[j])
    if j in fit.shared:
        parts.append(fit.shared[j])
    if {k, against} & set(fit.without_labels()):
        parts.append("no pixel is labelled so: no robust error")
    if not parts or j in fit.shared:
        parts.append(fit.robust_note())
    return "; ".join(part for part in parts if part)
