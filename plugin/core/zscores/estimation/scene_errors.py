r"""Errors of slopes from few scenes: a jackknife over scenes, whose intervals cover as they claim.

Sums over the scores of clusters are too small about their own fit, the more so the fewer and the more unlike
the clusters are. So the fit is repeated without each scene in turn,
:math:`V=\frac{G-1}{G}\sum_g(\beta_{(g)}-\bar\beta)(\beta_{(g)}-\bar\beta)^T` (CV3 of MacKinnon, Nielsen and
Webb; two Newton steps each). The reference is Student's t with :math:`G^*-1` degrees of freedom, where
:math:`G^*=1/\sum_g s_g^2` counts the scenes by the part :math:`s_g` that each has in the information about
a slope: of ten scenes of which one holds all of the ice edge, one counts.

Simulated (``test_scene_errors.py``), such intervals cover within three points of 95 %
from :data:`LEAST_SCENES` scenes on; those from fewer do not, and are not given.
"""

from __future__ import annotations

import numpy as np

from ...streaming.products import gram, product
from .covariance import inverse_of
from .regression import ChannelRows, curvature

LEAST_SCENES = 3  # fewer: no interval, and words are hints
FEW_SCENES = 20  # fewer: other scenes can turn a word that their intervals do not settle
MANY_SCENES = 50  # from so many on the scores of the clusters alone do as well


def jackknife(
    rows: ChannelRows, clusters: np.ndarray, count: int, parameters: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return covariance (parameter, parameter) and degrees of freedom (parameter,) from leaving out each cluster.

    Parameters
    ----------
    rows : ChannelRows
        The pixels.
    clusters : numpy.ndarray
        (row,): the cluster of each, from 0.
    count : int
        Number of clusters, at least 2.
    parameters : numpy.ndarray
        (class + slope,): where the fit is.
    at : numpy.ndarray
        Positions of the free parameters.

    Returns
    -------
    tuple of numpy.ndarray, or None
        None where the other clusters do not determine the parameters without one of them.
    """
    k = rows.classes
    parts = [_of(rows, clusters == cluster) for cluster in range(count)]
    own = [curvature(part, parameters[:k], parameters[k:]) for part in parts]
    informations = np.array([each.information[np.ix_(at, at)] for each in own])
    whole = informations.sum(axis=0)
    inverse = inverse_of(whole)
    if inverse is None:
        return None
    moved = []
    for cluster in range(count):
        without = inverse_of(whole - informations[cluster])
        if without is None:
            return None
        there = parameters.copy()
        there[at] -= product(without, own[cluster].score[at][:, None])[:, 0]
        moved.append(_refined(_of(rows, clusters != cluster), there, at)[at])
    away = np.array(moved) - np.mean(moved, axis=0)
    part = np.array([np.diag(product(product(inverse, each), inverse)) for each in informations])
    effective = np.square(part.sum(axis=0)) / np.square(part).sum(axis=0)
    return (count - 1) / count * gram(away), np.maximum(1.0, effective - 1.0)


def _of(rows: ChannelRows, chosen: np.ndarray) -> ChannelRows:
    return ChannelRows(
        rows.offset[chosen], rows.contributions[chosen], rows.known_targets[chosen], rows.linear
    )


def _refined(rows: ChannelRows, parameters: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return parameters after a Newton step more, where it makes the labels more likely."""
    k = rows.classes
    if rows.linear:  # the first step was exact
        return parameters
    here = curvature(rows, parameters[:k], parameters[k:])
    inverse = inverse_of(here.information[np.ix_(at, at)])
    if inverse is None:
        return parameters
    moved = parameters.copy()
    moved[at] += product(inverse, here.score[at][:, None])[:, 0]
    there = curvature(rows, moved[:k], moved[k:])
    return moved if there.log_likelihood > here.log_likelihood else parameters
