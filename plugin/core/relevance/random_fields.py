"""Random draws that belong to places of a scene, not to the order in which they are made.

A draw is a hash of a key and of the row and column of its pixel in the scene, so that tiles of any size,
in any order, see the same noise and the same dropped units::

    normal_deviates("7/noise/3/hh", Window(100, 200, 50, 60))    # (50, 60), float64
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...ground.splitmix import key_of, place_hashes
from ...ground.window import Window
from ..layers.conservation import Record
from ..layers.linear import LayerPass
from ..streaming.runner import Inputs


def _hashes(key: str, window: Window) -> np.ndarray:
    rows, cols = np.arange(window.row, window.row_stop), np.arange(window.col, window.col_stop)
    return place_hashes(key_of(key), rows, cols)


def uniform_deviates(key: str, window: Window) -> np.ndarray:
    """Return uniform numbers between 0 and 1 for the pixels of a window, (row, column) float64."""
    return ((_hashes(key, window) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def normal_deviates(key: str, window: Window) -> np.ndarray:
    """Return standard normal numbers for the pixels of a window, (row, column) float64 (Box-Muller)."""
    hashes = _hashes(key, window)
    first = ((hashes >> np.uint64(32)).astype(np.float64) + 0.5) * 2.0**-32
    second = (hashes & np.uint64(0xFFFFFFFF)).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    return np.sqrt(-2.0 * np.log(first)) * np.cos(second)


class Noise:
    """Independent normal noise on the standardised inputs of a network.

    Parameters
    ----------
    sd : float
        In standardised units, the same for all channels.
    ratio : int
        Pixels along one side of a coarse cell.
    seed, sample : int
        Other numbers, other noise.
    """

    def __init__(self, sd: float, ratio: int, seed: int, sample: int) -> None:
        self._sd, self._ratio, self._key = sd, ratio, f"{seed}/noise/{sample}"

    def of(self, inputs: Inputs, place: Window) -> Inputs:
        """Return the noise of inputs that begin at `place`, shaped as these.

        Fine noise belongs to pixels, coarse noise to cells; what stands in for missing values gets some too.
        """
        fine = self._like(inputs.fine, "fine", place)
        if inputs.coarse is None:
            return Inputs(fine, None)
        return Inputs(fine, self._like(inputs.coarse, "coarse", place.coarser(self._ratio)))

    def _like(self, values: torch.Tensor, kind: str, window: Window) -> torch.Tensor:
        channels = range(values.shape[1])
        noise = np.stack([normal_deviates(f"{self._key}/{kind}/{c}", window) for c in channels])
        return torch.from_numpy(self._sd * noise)[None].to(values)


class Dropout:
    """Monte-Carlo dropout (Gal and Ghahramani 2016, arXiv 1506.02142) with masks that belong to the scene.

    A unit of a layer is dropped or kept by its channel and its place in the scene; a whole channel
    (``Dropout2d``) by the channel alone, for the whole scene.

    Parameters
    ----------
    seed, sample : int
        Other numbers, other masks.
    """

    def __init__(self, seed: int, sample: int) -> None:
        self._key = f"{seed}/dropout/{sample}"
        self.place = Window(0, 0, 1, 1)  # of the inputs being worked on

    def __call__(self, name: str, layer: nn.Module, values: torch.Tensor) -> LayerPass:
        """Return the values that are kept, enlarged to keep their mean, and the backward pass."""
        _, channels, rows, cols = values.shape
        if isinstance(layer, nn.Dropout2d):
            window = Window(0, 0, 1, 1)
        else:
            # A strided network drops units on a coarser grid, which begins where the window does.
            step = round(self.place.rows / rows)
            window = Window(self.place.row // step, self.place.col // step, rows, cols)
        drawn = np.stack([uniform_deviates(f"{self._key}/{name}/{c}", window) for c in range(channels)])
        kept = torch.from_numpy(drawn >= layer.p)[None].to(values)
        factor = kept / (1 - layer.p) if layer.p < 1 else kept

        def backward(multipliers: torch.Tensor, record: Record) -> tuple:
            return (multipliers * factor,)

        return values * factor, backward
