"""Scenes of smooth random fields: SAR pixels with speckle, and radiometer cells whose channels go along with them.

All channels follow one field on the cells, *ice*. SAR channels share a texture beside it and have speckle of their own;
radiometer channels of one frequency, and of one polarisation, share a field each. Every channel has mean 0 and a
variance of about 1, the units that a network sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ....ground.protocols import Patch
from ....ground.window import Window
from ....networks.card import Channel
from .neighbourhoods import Cells

# Shares of the variance; the rest is a channel's own: speckle of SAR, a field of the length OWN of radiometry.
ICE_OF_SAR, TEXTURE = (0.3, 0.2), (0.3, 0.3)  # by channel, HH and HV
ICE_OF_MWR, FREQUENCY, POLARISATION = 0.3, 0.2, 0.15
# Standard deviations of the Gaussians that smooth white noise to these fields.
TEXTURE_PIXELS, ICE_CELLS, GROUP_CELLS, OWN_CELLS = 3.0, 1.0, 0.7, 0.4


@dataclass(frozen=True, eq=False)
class FusionScene:
    """A scene in standardised units.

    Parameters
    ----------
    fine : numpy.ndarray
        (fine channel, row, column), float32.
    coarse : numpy.ndarray
        (coarse channel, cell row, cell column), float32.
    ratio : int
        Pixels along the side of a cell.
    """

    fine: np.ndarray
    coarse: np.ndarray
    ratio: int

    @property
    def rows(self) -> int:
        """Rows of SAR pixels."""
        return int(self.fine.shape[1])

    @property
    def cols(self) -> int:
        """Columns of SAR pixels."""
        return int(self.fine.shape[2])

    @property
    def channels(self) -> tuple[np.ndarray, ...]:
        """The channels on their own grids, the fine ones first."""
        return (*self.fine, *self.coarse)

    @property
    def inner(self) -> Window:
        """The pixels that are explained: all but the outermost cells, where the network pads."""
        return Window(self.ratio, self.ratio, self.rows - 2 * self.ratio, self.cols - 2 * self.ratio)


class SceneSource:
    """A scene as what the tools read."""

    def __init__(self, scene: FusionScene) -> None:
        self.rows, self.cols = scene.rows, scene.cols
        self._scene = scene

    def read(self, window: Window) -> Patch:
        """Return the channels over a window of whole cells."""
        fine = self._scene.fine[(slice(None), *window.slices())]
        coarse = self._scene.coarse[(slice(None), *window.coarser(self._scene.ratio).slices())]
        whole = Window(0, 0, self.rows, self.cols)
        return Patch(window, fine, coarse, np.ones(fine.shape[1:], bool), whole)


def smooth_field(draw: np.random.Generator, shape: tuple[int, int], deviation: float) -> np.ndarray:
    """Return white noise smoothed by a Gaussian of so many pixels: (row, column), variance 1, periodic."""
    down, across = (np.fft.fftfreq(side, 1.0) for side in shape)
    transfer = np.exp(-2 * (np.pi * deviation) ** 2 * np.add.outer(down**2, across**2))
    noise = np.fft.fft2(draw.standard_normal(shape))
    return np.fft.ifft2(noise * transfer).real / np.sqrt(np.mean(transfer**2))


def drawn_scene(
    draw: np.random.Generator, channels: tuple[Channel, ...], ratio: int, cells: int
) -> FusionScene:
    """Draw a scene of `cells` × `cells` radiometer cells.

    Parameters
    ----------
    draw : numpy.random.Generator
        Where it comes from.
    channels : tuple of Channel
        The fine ones first.
    ratio, cells : int
        Pixels along the side of a cell, and cells along the side of the scene.
    """
    on_cells, on_pixels = (cells, cells), (ratio * cells, ratio * cells)
    ice = smooth_field(draw, on_cells, ICE_CELLS)
    interpolated = Cells(ratio, bilinear=True).mean(ice)
    texture = smooth_field(draw, on_pixels, TEXTURE_PIXELS)
    fine: list[np.ndarray] = []
    coarse: list[np.ndarray] = []
    shared: dict[object, np.ndarray] = {}
    for channel in channels:
        if channel.grid == "fine":
            of_ice, of_texture = (shares[len(fine) % 2] for shares in (ICE_OF_SAR, TEXTURE))
            speckle = draw.standard_normal(on_pixels)
            parts = [(of_ice, interpolated), (of_texture, texture), (1 - of_ice - of_texture, speckle)]
        else:
            for group in (channel.frequency_ghz, channel.polarisation):
                if group not in shared:
                    shared[group] = smooth_field(draw, on_cells, GROUP_CELLS)
            rest = 1 - ICE_OF_MWR - FREQUENCY - POLARISATION
            parts = [
                (ICE_OF_MWR, ice),
                (FREQUENCY, shared[channel.frequency_ghz]),
                (POLARISATION, shared[channel.polarisation]),
                (rest, smooth_field(draw, on_cells, OWN_CELLS)),
            ]
        values = sum(np.sqrt(share) * field for share, field in parts)
        (fine if channel.grid == "fine" else coarse).append(values)
    return FusionScene(np.stack(fine).astype(np.float32), np.stack(coarse).astype(np.float32), ratio)


def white_scene(
    draw: np.random.Generator, channels: tuple[Channel, ...], ratio: int, cells: int
) -> FusionScene:
    """Draw a scene of which each value of each channel is normal noise of its own; as :func:`drawn_scene`."""
    number = sum(channel.grid == "fine" for channel in channels)
    fine = draw.standard_normal((number, ratio * cells, ratio * cells))
    coarse = draw.standard_normal((len(channels) - number, cells, cells))
    return FusionScene(fine.astype(np.float32), coarse.astype(np.float32), ratio)
