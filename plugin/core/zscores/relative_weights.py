r"""Relative weights of components and of their groups: shares and ranks that do not grow with the sample.

The scores of all components grow together with the number of pixels, as its root. Their shares
:math:`|z_j|/\sum_i|z_i|` do not, and need no labels: a common factor of all errors cancels.

Weights fitted to the pixels themselves scatter about their truth by one error. Their shares do depend on the
number of pixels: a component without any effect has :math:`|z|=0.8` on average, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ground.wording import finite
from ..target.output_layer import Group
from .estimation.covariance import variances_of
from .estimation.estimates import Estimation
from .estimation.identifiable import about_means, pooled_information
from .fit_distance import CLUSTERS, widening

RELATIVE_COLUMNS = ("class", "kind", "group", "components", "share", "rank", "mean_abs_z", "chance_share")
_CHANCE = np.sqrt(2.0 / np.pi)  # mean of |z| where z is normal
LEADING_SHARE = 0.9  # of the sum of |z|, that the leading components of a class carry


def relative_weights(fit: Estimation, fitted_here: bool = False) -> tuple[dict, ...]:
    r"""Return the relative weight of each component, sensor, scale, frequency and polarisation.

    Parameters
    ----------
    fit : Estimation
        Weights and errors.
    fitted_here : bool
        Whether the weights were fitted to these pixels.

    Returns
    -------
    tuple of dict
        For each class with scores, keys of :data:`RELATIVE_COLUMNS`: ``kind`` is ``component``, ``sensor``,
        ``scale``, ``frequency`` or ``polarisation``; ``components`` counts the members that have a score;
        ``share`` is :math:`\sum_{j\in g}|z_j|/\sum_j|z_j|` over all components of the class, so that the
        shares of the frequencies add up to that of the radiometer; ``rank`` counts from 1 within the class
        and kind; ``mean_abs_z`` is the mean naive \|z\|, None where the head has no errors. Groups
        without a scored component have neither share nor rank. ``chance_share`` is the share that as many
        components without any effect would have on average, at most 1; None where the weights were not fitted to
        these pixels.
    """
    rows: list[dict] = []
    scale = _error_scale(fit)
    chance = _CHANCE * _scatter(fit) if fitted_here else None
    for name, sizes in _sizes(fit).items():
        total = np.nansum(sizes)
        alone = [Group("component", part.name, (j,)) for j, part in enumerate(fit.layer.components)]
        groups = (*alone, *fit.layer.groups())
        made = [_row(name, group, sizes, total, scale, chance) for group in groups]
        for kind in dict.fromkeys(row["kind"] for row in made):
            ranked = [row for row in made if row["kind"] == kind and row["share"] is not None]
            for rank, row in enumerate(sorted(ranked, key=lambda row: -row["share"]), start=1):
                row["rank"] = rank
        rows += made
    return tuple(rows)


def leading_components(relative: Sequence[dict], share: float = LEADING_SHARE) -> dict[str, tuple[str, ...]]:
    """Return for each class the fewest components that carry a share of all its scores, the largest first.

    Parameters
    ----------
    relative : sequence of dict
        As of :func:`relative_weights`.
    share : float
        What they carry together, 0 to 1.
    """
    leading: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(row["class"] for row in relative):
        ranked = [
            row
            for row in relative
            if row["class"] == name and row["kind"] == "component" and row["rank"] is not None
        ]
        ranked.sort(key=lambda row: row["rank"])
        carried = np.cumsum([row["share"] for row in ranked])
        count = min(len(ranked), int(np.searchsorted(carried, share * (1 - 1e-12))) + 1)
        leading[name] = tuple(row["group"] for row in ranked[:count])
    return leading


def information_shares(fit: Estimation) -> dict[tuple[str, str, str], float | None]:
    r"""Return what part of the information each component, sensor, scale and so on has, by class, kind and name.

    With C the information of the weights about the weighted means, :math:`\beta_g^TC_{gg}\beta_g` over the sum of
    the same of all groups of the kind: how much the part of the logit that *varies* would change the map.
    From 0 to 1, the same for one pixel as for many; what is constant has none.
    """
    layer, pooled = fit.layer, pooled_information(fit.information.total)
    if fit.estimate is None or not pooled[0, 0] > 0:
        return {}
    centred = about_means(pooled)
    weights = layer.weights - layer.weights.mean(axis=0) if layer.kind == "softmax" else layer.weights
    shares: dict[tuple[str, str, str], float | None] = {}
    for k, name in enumerate(layer.classes):
        parts = weights[k][:, None] * centred * weights[k]
        alone = {("component", part.name): (j,) for j, part in enumerate(layer.components)}
        groups = {**alone, **{(group.kind, group.name): group.members for group in layer.groups()}}
        sizes = {key: max(0.0, float(parts[np.ix_(at, at)].sum())) for key, at in groups.items()}
        for kind in dict.fromkeys(kind for kind, _ in sizes):
            total = sum(size for (of, _), size in sizes.items() if of == kind)
            for (of, group), size in sizes.items():
                if of == kind:
                    shares[name, kind, group] = size / total if total > 0 else None
    return shares


def _sizes(fit: Estimation) -> dict[str, np.ndarray]:
    r"""Return by class \|z\| of every component, (component,), for unit error variance; NaN without a score."""
    estimate = fit.estimate
    if estimate is None:
        return {}
    centring = estimate.kept.centring()
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.abs(centring @ estimate.weights) / np.sqrt(variances_of(centring, estimate.naive))
    by_class = {}
    for at, k in enumerate(estimate.kept.classes):
        sizes = np.full(len(fit.layer.components), np.nan)
        sizes[estimate.kept.columns] = np.where(np.isfinite(z[at, 1:]), z[at, 1:], np.nan)
        by_class[fit.layer.classes[k]] = sizes
    return by_class


def _error_scale(fit: Estimation) -> float:
    r"""Return what turns \|z\| for unit error variance into \|z\|; NaN for a linear head without labels."""
    if fit.layer.kind != "linear":
        return 1.0
    return 1.0 / np.sqrt(fit.error_variance) if fit.error_variance else np.nan


def _scatter(fit: Estimation) -> float:
    """Return the typical error of fitted weights, as a multiple of that for unit error variance."""
    wider = widening(fit)
    if wider is not None and fit.cluster_count >= CLUSTERS:
        return float(np.sqrt(wider))
    return 1.0 if fit.layer.kind != "linear" else float(np.sqrt(fit.error_variance or 0.0))


def _row(
    name: str, group: Group, sizes: np.ndarray, total: float, scale: float, chance: float | None
) -> dict:
    own = sizes[list(group.members)]
    scored = own[np.isfinite(own)]
    known = scored.size and total > 0
    return {
        "class": name,
        "kind": group.kind,
        "group": group.name,
        "components": int(scored.size),
        "share": finite(scored.sum() / total) if known else None,
        "rank": None,
        "mean_abs_z": finite(scale * scored.mean()) if scored.size else None,
        "chance_share": min(1.0, float(chance * scored.size / total)) if known and chance else None,
    }
