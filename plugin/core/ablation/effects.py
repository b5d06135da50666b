"""What is lost without groups of channels, summed up over the pixels of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...ground.errors import NumericalError
from ...ground.window import Window

# A change of the map by more than so many percent counts as large.
LARGE_CHANGE = 10.0


@dataclass(frozen=True)
class Answer:
    """What the network says of a target, with some channels or without them.

    Parameters
    ----------
    target, mapped : numpy.ndarray
        (row, column), float64: the logit, and what the map shows of it.
    classes : numpy.ndarray or None
        (row, column): the class mapped; None for a linear head.
    """

    target: np.ndarray
    mapped: np.ndarray
    classes: np.ndarray | None


@dataclass(frozen=True)
class GroupEffect:
    """What is lost without a group, over all valid pixels; with it minus without it.

    Parameters
    ----------
    name : str
        Of the group; ``all`` for all groups at once.
    channels : tuple of str
        Its channels.
    linear : bool
        Whether its way to the logits is linear throughout.
    mean_change, mean_abs_change : float
        Of the logit.
    rmse_map : float
        Root mean square change of the map, in its unit.
    class_changed : float or None
        Share of pixels that change their class (a sigmoid: cross 50 %); None for a linear head.
    large_change : float or None
        Share of pixels whose map changes by more than 10 %; None where the map is not in %.
    shapley, shapley_abs : float or None
        Mean Shapley value and its mean size, in units of the logit; None where not computed.
    """

    name: str
    channels: tuple[str, ...]
    linear: bool
    mean_change: float
    mean_abs_change: float
    rmse_map: float
    class_changed: float | None
    large_change: float | None
    shapley: float | None
    shapley_abs: float | None


@dataclass(frozen=True)
class AblationResult:
    """What an ablation found.

    Parameters
    ----------
    effects : tuple of GroupEffect
        One a group, then that of all groups at once.
    pixels : int
        Number of valid pixels.
    efficiency : float or None
        |Σ φ - (f(x) - f(x₀))| as a share of Σ|φ|, over all pixels; None without Shapley values.
    runs : int
        How often the network ran on each tile.
    """

    effects: tuple[GroupEffect, ...]
    pixels: int
    efficiency: float | None
    runs: int


class EffectSums:
    """Sums over valid pixels, one row a group; the last is for all groups at once."""

    def __init__(self, groups: int) -> None:
        rows = groups + 1
        self._change, self._size, self._square = np.zeros(rows), np.zeros(rows), np.zeros(rows)
        self._classes, self._large = np.zeros(rows), np.zeros(rows)
        self._shares, self._share_sizes = np.zeros(rows), np.zeros(rows)
        self.pixels = self.tiles = self.runs = 0

    def add_change(
        self, number: int, before: Answer, after: Answer, valid: np.ndarray, window: Window
    ) -> None:
        """Add what a group changes on a tile.

        Raises
        ------
        NumericalError
            If a change is not finite.
        """
        change = (before.target - after.target)[valid]
        if not np.isfinite(change).all():
            raise NumericalError(
                f"The network's answer is not finite at rows {window.row} to {window.row_stop}, columns {window.col} "
                f"to {window.col_stop}. Check the units of the channels, of the baseline too, and the weights."
            )
        mapped = (before.mapped - after.mapped)[valid]
        self._change[number] += change.sum()
        self._size[number] += np.abs(change).sum()
        self._square[number] += (mapped**2).sum()
        self._large[number] += (np.abs(mapped) > LARGE_CHANGE).sum()
        if before.classes is not None:
            self._classes[number] += (before.classes != after.classes)[valid].sum()

    def add_shares(self, shares: np.ndarray, total: np.ndarray, valid: np.ndarray) -> None:
        """Add Shapley values (group, row, column), and what they share."""
        self._shares[:-1] += shares[:, valid].sum(axis=1)
        self._share_sizes[:-1] += np.abs(shares[:, valid]).sum(axis=1)
        self._shares[-1] += total[valid].sum()
        self._share_sizes[-1] += np.abs(total[valid]).sum()

    def merge(self, other: EffectSums) -> None:
        """Add the sums of other tiles."""
        for name, sums in vars(other).items():
            setattr(self, name, getattr(self, name) + sums)

    def close(
        self, groups: Sequence[tuple[str, tuple[str, ...], bool]], classes: bool, percent: bool, shapley: bool
    ) -> AblationResult:
        """Return means and shares.

        Parameters
        ----------
        groups : sequence of tuple
            Name, channels and linearity of each group, and of all of them.
        classes, percent, shapley : bool
            Whether there are classes that change, the map is in percent, and Shapley values were added.
        """
        n = self.pixels
        effects = tuple(
            GroupEffect(
                name=name,
                channels=members,
                linear=linear,
                mean_change=float(self._change[i] / n),
                mean_abs_change=float(self._size[i] / n),
                rmse_map=float(np.sqrt(self._square[i] / n)),
                class_changed=float(self._classes[i] / n) if classes else None,
                large_change=float(self._large[i] / n) if percent else None,
                shapley=float(self._shares[i] / n) if shapley else None,
                shapley_abs=float(self._share_sizes[i] / n) if shapley else None,
            )
            for i, (name, members, linear) in enumerate(groups)
        )
        efficiency = None
        if shapley:
            off, scale = abs(self._shares[:-1].sum() - self._shares[-1]), self._share_sizes[:-1].sum()
            efficiency = float(off / scale) if scale else float(off)
        return AblationResult(effects, n, efficiency, self.runs // max(self.tiles, 1))
