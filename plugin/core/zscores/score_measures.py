"""What is said about a head as a whole: fit, sample, clusters, correlations, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...ground.wording import finite, listed
from .estimation.covariance import sandwich, variances_of
from .estimation.estimates import FEW_CLUSTERS, Estimation
from .estimation.identifiable import about_means, dead_components, pooled_information
from .estimation.tails import log10_p_chi2
from .fit_distance import fit_distance, missing_classes, weights_fitted
from .refit import Refit
from .sums.clusters import SCENES, block_size_of

TRAINED, REFITTED = "trained", "refit"
_LEAST_CLUSTERS = 20  # fewer tell nothing about where errors level off
_LEVEL = 0.2  # growth of the median error that a reader must know of


def clustering_rows(fit: Estimation) -> tuple[dict, ...]:
    """Return how much each clustering widens the errors."""
    rows = []
    if fit.estimate is None or fit.estimate.naive_labelled is None:
        return ()
    estimate, naive, information = fit.estimate, fit.estimate.naive_labelled, fit.information
    size = estimate.weights.size
    centring = estimate.kept.centring()
    scale = fit.error_variance if fit.layer.kind == "linear" else 1.0
    for name, clusters in sorted(
        information.labels.clusters.items(), key=lambda item: (-item[1].count, item[0])
    ):
        if clusters.count < 2 or information.labelled.n <= size or not scale:
            continue
        robust = sandwich(naive, estimate.kept, fit.layer, clusters, information.labelled.n)
        ratio = np.sqrt(
            variances_of(centring, robust)[:, 1:] / (scale * variances_of(centring, naive)[:, 1:])
        )
        if ratio.size == 0:
            continue
        low, median, high = np.percentile(ratio, [25, 50, 75])
        rows.append(
            {
                "clustering": name,
                "block_km": block_size_of(name),
                "clusters": clusters.count,
                "ratio_low": finite(low),
                "ratio_median": finite(median),
                "ratio_high": finite(high),
            }
        )
    return tuple(rows)


def head_measures(fit: Estimation) -> dict:
    """Return sample, fit and saturation of the head, with the keys of ``ZScores.measures``."""
    information, layer, estimate = fit.information, fit.layer, fit.estimate
    total, labels = information.total, information.labels
    n = information.labelled.n
    columns = len(layer.components) if estimate is None else len(estimate.kept.columns)
    spare = n - columns - 1
    pairs = total.pairs[:, 0, 0].sum() * (2.0 if layer.kind == "softmax" else 1.0)
    measures = {
        "n": information.n,
        "n_labelled": n,
        "clustering": fit.clustering if n else None,
        "clusters": fit.cluster_count if n else None,
        "mean_logit": {name: finite(v / total.n) for name, v in zip(layer.classes, total.logits)},
        "mean_prediction": {name: finite(v / total.n) for name, v in zip(layer.classes, total.means)},
        "mean_weight": None if layer.kind == "linear" else finite(pairs / total.n),
        "dispersion": fit.dispersion,
        "dispersion_pearson": None,
        "error_variance": fit.error_variance,
        "score_statistic": None,
        "score_df": None,
        "score_log10_p": None,
        "log_loss": finite(-labels.fit.log_likelihood / n) if n and layer.kind != "linear" else None,
        "fit_distance": fit_distance(fit),
        "weights_fitted": weights_fitted(fit),
        "basis": TRAINED,
    }
    if spare > 0 and layer.kind == "sigmoid" and labels.fit.variance > 0:
        measures["dispersion_pearson"] = finite(labels.fit.pearson / spare)
    if n and estimate is not None and estimate.naive_labelled is not None and not missing_classes(fit):
        score = fit.total_score()
        statistic = float(np.einsum("fa,fagb,gb->", score, estimate.naive_labelled, score))
        if layer.kind == "linear":
            statistic = statistic / fit.error_variance if fit.error_variance else np.nan
        measures["score_statistic"] = finite(statistic)
        measures["score_df"] = score.size
        measures["score_log10_p"] = finite(log10_p_chi2(statistic, score.size))
    return measures


def correlation_of(fit: Estimation) -> np.ndarray:
    """Return the weighted correlation (component, component), NaN for components that do not vary."""
    pooled = pooled_information(fit.information.total)
    m = len(fit.layer.components)
    if not pooled[0, 0] > 0:
        return np.full((m, m), np.nan)
    centred = about_means(pooled)
    variance = np.diag(centred).copy()
    variance[list(dead_components(fit.information, pooled, centred))] = np.nan
    return np.clip(centred / np.sqrt(np.outer(variance, variance)), -1.0, 1.0)


def warnings_of(fit: Estimation, clusterings: Sequence[Mapping]) -> tuple[str, ...]:
    """Return the sentences a reader must see beside the numbers."""
    layer, information = fit.layer, fit.information
    warnings = []
    if fit.blank:
        warnings.append(f"Head '{layer.head}' has no scores: {fit.blank}.")
    dead = sum(note.startswith("dead") for note in fit.notes.values())
    collinear = sum(not note.startswith("dead") for note in fit.notes.values())
    if dead or collinear:
        warnings.append(
            f"Head '{layer.head}': {dead} dead and {collinear} collinear components are listed without a score."
        )
    for k, note in fit.class_notes.items():
        warnings.append(
            f"Class '{layer.classes[k]}' of head '{layer.head}' has no scores: {note}; weights are "
            "centred over the others."
        )
    if information.labelled.n and information.unlabelled.n:
        warnings.append(
            f"{information.labelled.n} of {information.n} pixels have a label: robust errors and the effective "
            "sample size rest on these alone"
            + (
                "."
                if information.labelled.n >= information.unlabelled.n
                else ", and naive scores have no p-values."
            )
        )
    missing = missing_classes(fit)
    if missing and not fit.blank:
        warnings.append(
            f"Head '{layer.head}' predicts {listed(missing)}, but no pixel is labelled so: the labels cannot tell "
            "whether its weights are a fit, and there is no score statistic."
        )
    if information.labelled.n and not fit.blank and fit.cluster_count < FEW_CLUSTERS:
        plural = "" if fit.cluster_count == 1 else "s"
        warnings.append(
            f"The labelled pixels form {fit.cluster_count} cluster{plural}; below {FEW_CLUSTERS} the robust "
            "errors are themselves uncertain, and mostly too small. More scenes help, smaller blocks do not."
        )
    weights = 0 if fit.estimate is None else fit.estimate.weights.size
    if fit.estimate is not None and fit.estimate.robust is not None and fit.cluster_count <= weights:
        warnings.append(
            f"{fit.cluster_count} clusters are fewer than the {weights} weights of head '{layer.head}': they "
            "allow no joint robust test of all weights, and single robust scores can be far too large by chance."
        )
    growth = _growth(clusterings, fit.clustering)
    if growth:
        warnings.append(growth)
    return tuple(warnings)


def _growth(clusterings: Sequence[Mapping], chosen: str | None) -> str:
    """Return a sentence where the errors have not levelled off at the chosen block size, or nothing."""
    own = next((row for row in clusterings if row["clustering"] == chosen), None)
    if own is None or own["block_km"] is None:
        return ""
    larger = [
        row
        for row in clusterings
        if (row["clustering"] == SCENES or (row["block_km"] or 0.0) > own["block_km"])
        and _LEAST_CLUSTERS <= row["clusters"] < own["clusters"]
    ]
    widest = max(larger, key=lambda row: row["ratio_median"], default=None)
    if widest is None or not widest["ratio_median"] > (1 + _LEVEL) * own["ratio_median"]:
        return ""
    share = 100.0 * (widest["ratio_median"] / own["ratio_median"] - 1.0)
    remedy = "CLUSTERS=scenes" if widest["clustering"] == SCENES else "a larger BLOCK_SIZE"
    return (
        f"The errors still grow by {share:.0f} % from {chosen} to {widest['clustering']}: they have not levelled "
        f"off, and the robust scores are too large. Set {remedy}, or merge more scenes."
    )


def basis_of(fit: Estimation, refitted: Refit | None) -> str:
    """Return on which weights a summary rests: the refit unless the trained ones are known to be a fit."""
    there = refitted is not None and refitted.fit is not None and refitted.fit.estimate is not None
    return REFITTED if there and not weights_fitted(fit) else TRAINED


def refit_measures(refitted: Refit | None) -> dict:
    """Return how the refit went: nothing where none was asked for."""
    if refitted is None:
        return {}
    row: dict = {"refit_steps": None, "refit_log_loss": None, "refit_dispersion": None}
    if refitted.fit is not None:
        measures = head_measures(refitted.fit)
        row.update(
            refit_steps=refitted.steps,
            refit_log_loss=measures["log_loss"],
            refit_dispersion=measures["dispersion"],
        )
    return row


def refit_warnings(head: str, refitted: Refit | None) -> tuple[str, ...]:
    """Return what a reader must know about the refit."""
    if refitted is None or not refitted.note:
        return ()
    if refitted.fit is None:
        return (f"The output layer of head '{head}' could not be fitted to the labels: {refitted.note}.",)
    return (f"Refit of head '{head}': {refitted.note}.",)
