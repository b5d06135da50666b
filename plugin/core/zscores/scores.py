r"""Z-scores of the components of an output layer, with naive and cluster-robust errors.

After Malmgren-Hansen, Nielsen and Pedersen, *Explainability in CNN Models By Means of Z-Scores*
(arXiv 2102.05874): the last 1x1 convolution of a network is a regression of the map on its inputs,
so each weight has a standard error and :math:`z_j=\beta_j/se_j`. Here

* the naive error is that of independent pixels, from the Fisher information :math:`I`;
* the robust one, where labels are known, lets the pixels of a cluster depend on each other:
  :math:`I^{-1}BI^{-1}` with :math:`B=\sum_g(u_g-\bar u)(u_g-\bar u)^T`, the small-sample factor
  :math:`G/(G-1)\cdot(N-1)/(N-q)` and Student's t with G-1 degrees of freedom as reference;
* softmax weights are *centred* over the classes, :math:`\beta_{kj}-\mathrm{mean}_k\beta_{kj}`: only
  these are defined by the map. Their covariance is computed through contrasts against the class
  with most information, which equals :math:`(I+cP)^{-1}-P/c` with P the projection on what is
  common to all classes.

Components that do not vary, or that others repeat, have no score: they keep their row, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...ground.errors import NumericalError, ParameterError
from .estimation.estimates import FEW_CLUSTERS, Estimation
from .estimation.summed_strengths import summed_strengths
from .refit import Refit
from .relative_weights import RELATIVE_COLUMNS, leading_components, relative_weights
from .score_groups import GROUP_COLUMNS, score_groups
from .score_measures import (
    REFITTED,
    basis_of,
    clustering_rows,
    correlation_of,
    head_measures,
    refit_measures,
    refit_warnings,
    warnings_of,
)
from .score_rows import COLUMNS, score_rows
from .sums.information import Component, Group, Information, OutputLayer, SceneAccumulator

__all__ = [
    "COLUMNS",
    "FEW_CLUSTERS",
    "GROUP_COLUMNS",
    "RELATIVE_COLUMNS",
    "Component",
    "Group",
    "Information",
    "OutputLayer",
    "SceneAccumulator",
    "ZScores",
    "compute_scores",
    "summed_strengths",
]


@dataclass(frozen=True, eq=False)
class ZScores:
    r"""Scores of one head.

    Parameters
    ----------
    layer : OutputLayer
        The regression.
    rows : tuple of dict
        One a class and component, with the keys of :data:`COLUMNS`; None where not available.
    groups : tuple of dict
        Wald tests by sensor, scale, frequency and polarisation, keys of :data:`GROUP_COLUMNS`.
    bias : tuple of dict
        The intercept's row for each class (no part of the table of components).
    shifts : tuple of dict
        With labels: ``head, class, component, shift, shift_in_se``, the Newton step from the trained
        weights towards those that fit the labels best, and the same in standard errors.
    clusterings : tuple of dict
        ``clustering, block_km, clusters, ratio_low, ratio_median, ratio_high``: quartiles over the
        components of se_robust / se, for each clustering the pixels were given; ``block_km`` is the
        size of its blocks, None for scenes: plotted against it, the ratio shows where errors level off.
    measures : dict
        ``n, n_labelled, clustering, clusters, mean_logit`` and ``mean_prediction`` (by class),
        ``mean_weight`` (p(1-p), summed over classes: 0 if saturated), ``dispersion``,
        ``dispersion_pearson``, ``error_variance``, ``score_statistic``, ``score_df``,
        ``score_log10_p``, ``log_loss`` (mean -log-likelihood of the labels); with a refit also
        ``refit_steps``, ``refit_log_loss``, ``refit_dispersion``; None where not available. ``fit_distance``
        is how far the trained weights are from a fit, in standard errors, at the sensor where they are
        farthest (:mod:`.fit_distance`; None where labels cannot tell), ``weights_fitted`` whether that is a fit
        (None: not known), and ``basis`` the weights that a summary rests on: ``trained``, or ``refit`` where there
        is one and the trained weights are not known to be a fit.
    correlation : numpy.ndarray
        (component, component): correlation weighted by p(1-p); NaN for components that do not vary.
    warnings : tuple of str
        Sentences a reader must see beside the numbers.
    relative_weights : tuple of dict
        Shares and ranks of components, sensors, scales, frequencies and polarisations for each class, keys
        of :data:`.RELATIVE_COLUMNS`: of the weights of ``basis``, whatever the number of pixels.
    leading : dict of str to tuple of str
        For each class the fewest components that carry 90 % of the sum of \|z\|, the largest first.
    """

    layer: OutputLayer
    rows: tuple[dict, ...]
    groups: tuple[dict, ...]
    bias: tuple[dict, ...]
    shifts: tuple[dict, ...]
    clusterings: tuple[dict, ...]
    measures: dict
    correlation: np.ndarray
    warnings: tuple[str, ...]
    relative_weights: tuple[dict, ...] = ()
    leading: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _estimation: Estimation | None = field(default=None, repr=False)
    _refit: Refit | None = field(default=None, repr=False)

    def contrasts(self, reference: str) -> tuple[dict, ...]:
        """Return rows of the weights of each class minus those of a reference class.

        Parameters
        ----------
        reference : str
            Name of a class of this softmax head.

        Raises
        ------
        ParameterError
            If the head is not softmax or has no such class.
        """
        if self.layer.kind != "softmax":
            raise ParameterError(
                f"Head '{self.layer.head}' is {self.layer.kind}: contrasts need a softmax head; leave the "
                "reference class empty."
            )
        if reference not in self.layer.classes:
            raise ParameterError(
                f"Head '{self.layer.head}' has no class '{reference}'; its classes are "
                f"{', '.join(self.layer.classes)}."
            )
        position = self.layer.classes.index(reference)
        if self._estimation is None:
            raise ParameterError(
                f"The scores of head '{self.layer.head}' hold no contrasts: compute them from a state."
            )
        return score_rows(self._estimation, self._refit, position)[0]

    def as_dict(self) -> dict:
        """Return the content as plain values, for reports."""
        return {
            "head": self.layer.head,
            "kind": self.layer.kind,
            "classes": self.layer.classes,
            "components": tuple(part.name for part in self.layer.components),
            "rows": self.rows,
            "groups": self.groups,
            "bias": self.bias,
            "shifts": self.shifts,
            "clusterings": self.clusterings,
            "measures": self.measures,
            "correlation": self.correlation,
            "warnings": self.warnings,
            "relative_weights": self.relative_weights,
            "leading": self.leading,
        }


def compute_scores(
    information: Information, clustering: str | None = None, refitted: Refit | None = None
) -> ZScores:
    """Return the Z-scores of a head from the information of its pixels.

    Parameters
    ----------
    information : Information
        Of one scene, or merged over many.
    clustering : str, optional
        Which clustering the robust errors use; by default the first by name.
    refitted : Refit, optional
        The output layer fitted to the labels, for the columns ``refit_...``.

    Raises
    ------
    NumericalError
        If no pixel has been seen.
    ParameterError
        If the information has no such clustering.
    """
    layer = information.layer
    if information.n == 0:
        raise NumericalError(
            f"Head '{layer.head}': no pixel was sampled, so there is nothing to score. Check the mask, the extent "
            "and SAMPLE."
        )
    known = information.labels.clusters
    if clustering is not None and information.labelled.n and clustering not in known:
        names = ", ".join(f"'{name}'" for name in known) or "none"
        raise ParameterError(f"There are no clusters '{clustering}' in this information; it has {names}.")
    if clustering is None and known:
        clustering = sorted(known)[0]
    fit = Estimation.of(information, clustering)
    clusterings = clustering_rows(fit)
    basis = basis_of(fit, refitted)
    ranked = fit
    if refitted is not None and refitted.fit is not None and basis == REFITTED:
        ranked = refitted.fit
    rows, bias, shifts = score_rows(fit, refitted, ranked=ranked)
    relative = relative_weights(ranked, fitted_here=ranked is not fit)
    return ZScores(
        layer=layer,
        rows=rows,
        groups=score_groups(fit, rows, ranked),
        bias=bias,
        shifts=shifts,
        clusterings=clusterings,
        measures={**head_measures(fit), **refit_measures(refitted), "basis": basis},
        correlation=correlation_of(fit),
        warnings=warnings_of(fit, clusterings) + refit_warnings(layer.head, refitted),
        relative_weights=relative,
        leading=leading_components(relative),
        _estimation=fit,
        _refit=refitted,
    )
