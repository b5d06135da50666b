"""A simulated scene as what a network reads: windows of its channels, as a scene from files gives them."""

from __future__ import annotations

import numpy as np

from ...ground.errors import ModelError
from ...ground.protocols import Patch
from ...ground.window import Window
from ...networks.card import ModelCard
from .ice import LAND
from .radiometry import CHANNELS
from .scene import SimulatedScene

RADAR = ("hh", "hv")


class SimulatedSource:
    """Reads a simulated scene for a network.

    Parameters
    ----------
    scene : SimulatedScene
        The scene.
    card : ModelCard
        The network's channels.

    Raises
    ------
    ModelError
        If the network reads channels that are not simulated, or cells of another size.
    """

    def __init__(self, scene: SimulatedScene, card: ModelCard) -> None:
        fine = [channel.name for channel in card.fine_channels]
        coarse = [channel.name for channel in card.coarse_channels]
        missing = [name for name in fine if name not in RADAR] + [n for n in coarse if n not in CHANNELS]
        if missing or (coarse and card.ratio != scene.ratio):
            why = (
                f"reads {', '.join(missing)}"
                if missing
                else f"has cells of {card.ratio} pixels, not {scene.ratio}"
            )
            raise ModelError(
                f"Model '{card.id}' {why}, which no simulated scene has. Give a scene of your own, SAR and MWR."
            )
        self.rows, self.cols, self.ratio = scene.rows, scene.cols, card.ratio
        self._scene, self._fine = scene, [RADAR.index(name) for name in fine]
        everything = (
            scene.brightness_temperature() if coarse else np.empty((0, *scene.cell_shape), np.float32)
        )
        self._cells = everything[[CHANNELS.index(name) for name in coarse]]

    def read(self, window: Window) -> Patch:
        """Return the channels over a window; land and what has no data are not valid."""
        values = self._scene.backscatter(window)[self._fine]
        here = window.coarser(self.ratio)
        cells = self._cells[(slice(None), *here.slices())]
        if not len(self._cells):
            cells = np.empty((0, here.rows, here.cols), np.float32)
        return Patch(window, values, cells, self._scene.surface(window).classes < LAND)
