r"""Targets that are sums of known functions of each channel, and what each channel and pixel contributed, exactly.

The target at a SAR pixel s is f(s) = Σ_c C_c(s) with C_c(s) = g_c(m_c(s)), where m_c = M_c x_c is the mean of channel c
over a neighbourhood (:mod:`.neighbourhoods`) and g_c is piecewise linear with g_c(0) = 0.

*Contributions.* C_c(s) is what channel c contributed to the target at s: no other channel enters it, so that
integrated gradients, Shapley values and taking the channel away all agree on it.

*Relevance.* For the target summed over an area A, channel c contributed Σ_{s∈A} C_c(s). Within a neighbourhood the
pixels enter through their mean alone, and what the mean contributed is theirs in proportion to what they added to
it, m_c(s) = Σ_q M_c(s, q) x_c(q):

    R_c(q) = Σ_{s∈A} g_c(m_c(s))/m_c(s) · M_c(s, q) x_c(q) = x_c(q) [M_cᵀ (1_A g_c(m_c)/m_c)](q)

These are the integrated gradients of f from zero, since ∫₀¹ g'(t m) dt = g(m)/m. Where g_c is linear or the
neighbourhood is a single pixel nothing else adds up; for curved functions of a mean over several pixels it is this
convention that parts them. Where m_c(s) = 0 there is nothing to part, and the ratio counts as zero. Σ_c Σ_q R_c(q) is
Σ_{s∈A} f(s).

*Gated.* Who sees the gates as they are at x, and nothing of where they change on the way from zero, sees the slopes
g_c'(m_c): of C_c it can show g_c'(m_c) m_c alone. How well that agrees with C is the ceiling of gated methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from ....ground.window import Window
from ..additive.piecewise import PiecewiseLinear
from .neighbourhoods import Neighbourhood
from .scenes import FusionScene

# Where slopes change, in standard deviations of a neighbourhood's mean; how far each of them but 0 is moved.
BREAKS, MOVED = (-0.7, 0.0, 0.7), 0.2
_QUANTILES = 2001


@dataclass(frozen=True, eq=False)
class AdditiveTarget:
    """A sum of known functions of the channels.

    Parameters
    ----------
    functions : PiecewiseLinear
        g, one a channel.
    neighbourhoods : tuple of Neighbourhood
        M, one a channel.
    """

    functions: PiecewiseLinear
    neighbourhoods: tuple[Neighbourhood, ...]

    def means(self, scene: FusionScene) -> np.ndarray:
        """Return m: (channel, row, column), float64."""
        return np.stack([around.mean(x) for around, x in zip(self.neighbourhoods, scene.channels)])

    def contributions(self, scene: FusionScene) -> np.ndarray:
        """Return C: (channel, row, column), float64. Their sum over the channels is the target."""
        means = self.means(scene)
        return self.functions.contributions(means.reshape(len(means), -1).T).T.reshape(means.shape)

    def gated(self, scene: FusionScene) -> np.ndarray:
        """Return g'(m) m, what can be seen of C with the gates as they are: (channel, row, column), float64."""
        means = self.means(scene)
        return np.stack([m * slopes_at(self.functions, c, m) for c, m in enumerate(means)])

    def relevance(self, scene: FusionScene, area: Window, gated: bool = False) -> tuple[np.ndarray, ...]:
        """Return R for the target summed over an area: each channel on its own grid, over the whole scene, float64.

        With `gated`, what can be seen of it with the gates as they are.
        """
        means = self.means(scene)
        parts = self.gated(scene) if gated else self.contributions(scene)
        inside = np.zeros(means.shape[1:], bool)
        inside[area.slices()] = True
        ratios = np.divide(parts, means, out=np.zeros_like(means), where=inside & (means != 0))
        return tuple(
            x.astype(np.float64) * around.spread(ratio)
            for x, around, ratio in zip(scene.channels, self.neighbourhoods, ratios)
        )


def slopes_at(functions: PiecewiseLinear, channel: int, values: np.ndarray) -> np.ndarray:
    """Return g' of a channel at some values; at a break point that of the piece below."""
    return functions.slopes[channel][np.searchsorted(functions.breaks[channel], values)]


def drawn_functions(
    draw: np.random.Generator,
    deviations: np.ndarray,
    sizes: np.ndarray,
    linear: Sequence[bool],
    odd: bool = False,
) -> PiecewiseLinear:
    """Draw one function a channel.

    Parameters
    ----------
    draw : numpy.random.Generator
        Where break points and slopes come from.
    deviations : numpy.ndarray
        (channel,): standard deviations of the means that the functions are of.
    sizes : numpy.ndarray
        (channel,): standard deviations of what they contribute, if their means are normal.
    linear : sequence of bool
        Which functions have one slope.
    odd : bool
        Whether g(-m) = -g(m), so that no channel contributes anything in the mean.
    """
    channels, pieces = len(deviations), len(BREAKS) + 1
    moves = np.where(np.array(BREAKS) == 0, 0.0, MOVED * draw.uniform(-1, 1, (channels, len(BREAKS))))
    breaks = (np.array(BREAKS) + moves) * deviations[:, None]
    slopes = draw.standard_normal((channels, pieces))
    signs = np.sign(draw.standard_normal((channels, 1)))
    slopes = np.where(np.array(linear)[:, None], signs, slopes)
    if odd:
        breaks, slopes = (breaks - breaks[:, ::-1]) / 2, (slopes + slopes[:, ::-1]) / 2
    spread = norm.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES)[:, None] * deviations
    found = PiecewiseLinear(breaks, slopes).contributions(spread).std(0)
    return PiecewiseLinear(breaks, slopes * (sizes / found)[:, None])
