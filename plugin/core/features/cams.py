"""Weights of features in class activation maps, from sums over each sample.

A_k(s) is the activation of feature k at cell s, G_k(s) the gradient of the logits' sum over the explained pixels:

- full: M(s) = Σ_k G_k(s) A_k(s), no ReLU (Li et al. 2024, arXiv 2407.01142);
- Grad-CAM: w_k = mean_s G_k, M = ReLU(Σ_k w_k A_k) (Selvaraju et al. 2017);
- Grad-CAM++: w_k = Σ_s ReLU(G_k) G_k² / (2 G_k² + G_k³ Σ_s A_k) (Chattopadhay et al. 2018);
- XGrad-CAM: w_k = Σ_s G_k A_k / Σ_s A_k (Fu et al. 2020).
"""

from __future__ import annotations

import numpy as np
import torch

from ...ground.vocabulary.cams import GRADCAM, GRADCAM_PLUS_PLUS, XGRADCAM

# Added to denominators, as the reference implementation (pytorch-grad-cam) does.
EPSILON = {GRADCAM_PLUS_PLUS: 1e-6, XGRADCAM: 1e-7}


def feature_weights(
    cam: str, cells: np.ndarray, gradients: np.ndarray, activations: np.ndarray, products: np.ndarray
) -> np.ndarray:
    """Return the weights (sample, feature) of Grad-CAM and XGrad-CAM.

    Parameters
    ----------
    cam : str
        Which of them.
    cells : numpy.ndarray
        (sample,), cells of the layer in a sample.
    gradients, activations, products : numpy.ndarray
        (sample, feature), sums over the cells: Σ G, Σ A and Σ G A.
    """
    if cam == GRADCAM:
        return gradients / np.maximum(cells, 1e-300)[:, None]
    if cam != XGRADCAM:
        raise AssertionError("cam != XGRADCAM")
    return products / (activations + EPSILON[XGRADCAM])


def plus_plus_terms(gradient: torch.Tensor, activations: torch.Tensor) -> torch.Tensor:
    """Return what each cell adds to the weights of Grad-CAM++.

    Parameters
    ----------
    gradient : torch.Tensor
        (cell, feature).
    activations : torch.Tensor
        (cell, feature) or (feature,): sums of the activations over the sample of each cell.
    """
    squares = gradient**2
    shares = squares / (2 * squares + activations * squares * gradient + EPSILON[GRADCAM_PLUS_PLUS])
    return torch.where(gradient > 0, shares * gradient, torch.zeros_like(gradient))
