"""The generator *fusion*: scenes, and exactly what each SAR and MWR channel contributed to the target at each pixel."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ....networks.card import Channel
from ....networks.standard_channels import MWR_CHANNELS, SAR_CHANNELS, standard_channels
from .neighbourhoods import Cells, Kernel, Neighbourhood
from .scenes import FusionScene, drawn_scene, white_scene
from .truth import AdditiveTarget, drawn_functions

RATIO = 25
# Standard deviations of what the channels contribute to the target: each SAR channel, all radiometer channels.
OF_SAR, OF_MWR = 0.8, 1.0
AROUND_HH, AROUND_HV = Kernel.gaussian(3, 0.6), Kernel.box(3)
ALONE = Kernel.pixel(3)
_REFERENCE = 12  # scenes by which the functions' break points are placed
_TARGET, _SCENES = 20, 21  # draws


@dataclass(frozen=True)
class Fusion:
    """Scenes with an additive target.

    Parameters
    ----------
    variant : str
        Of the network that is trained on them. ``v2`` interpolates radiometer cells and has hidden units behind them,
        so that their functions are free; all others weigh the cell of a pixel, so that they are linear.
    mwr : tuple of str
        The radiometer's channels.
    ratio : int
        SAR pixels along the side of a cell.
    white : bool
        Whether every value of every channel is drawn by itself, and the target looks at a pixel and its cell alone, by
        odd functions: then neighbours have nothing in common, not even a mean, and a map that is moved by one pixel
        agrees with the truth no more than noise.
    """

    variant: str = "interpretability_small"
    mwr: tuple[str, ...] = MWR_CHANNELS
    ratio: int = RATIO
    white: bool = False

    @property
    def free(self) -> bool:
        """Whether functions of the radiometer's channels are curved."""
        return self.variant == "v2"

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The channels, in standardised units, SAR first."""
        named = standard_channels((*SAR_CHANNELS, *self.mwr), self.ratio)
        return tuple(dataclasses.replace(channel, mean=0.0, sd=1.0, unit="1") for channel in named)

    @property
    def neighbourhoods(self) -> tuple[Neighbourhood, ...]:
        """What of each channel the target looks at."""
        return (
            *((ALONE, ALONE) if self.white else (AROUND_HH, AROUND_HV)),
            *(Cells(self.ratio, self.free) for _ in self.mwr),
        )

    def target(self, seed: int) -> AdditiveTarget:
        """Return the target that a seed draws."""
        return _target(self, seed)

    def _drawn_target(self, seed: int) -> AdditiveTarget:
        draw = np.random.default_rng([seed, _TARGET])
        scenes = [self._drawn_scene(draw, 6) for _ in range(_REFERENCE)]
        deviations = np.array(
            [
                np.std([around.mean(scene.channels[c]) for scene in scenes])
                for c, around in enumerate(self.neighbourhoods)
            ]
        )
        number = len(self.mwr)
        sizes = np.array([OF_SAR, OF_SAR, *[OF_MWR / np.sqrt(number)] * number])
        linear = [False, False, *[not self.free] * number]
        return AdditiveTarget(
            drawn_functions(draw, deviations, sizes, linear, self.white), self.neighbourhoods
        )

    def _drawn_scene(self, draw: np.random.Generator, cells: int) -> FusionScene:
        return (white_scene if self.white else drawn_scene)(draw, self.channels, self.ratio, cells)

    def samples(
        self, seed: int, number: int, cells: int, part: int = 0
    ) -> tuple[list[FusionScene], list[np.ndarray]]:
        """Return scenes, and their truth.

        Parameters
        ----------
        seed : int
            Of target and scenes.
        number, cells : int
            How many scenes, and cells along their sides.
        part : int
            Another part, other scenes of the same target.

        Returns
        -------
        scenes : list of FusionScene
            The inputs.
        contributions : list of numpy.ndarray
            (channel, row, column), float64, of each: what each channel contributed at each pixel; their sum over the
            channels is the target.
        """
        target = self.target(seed)
        draw = np.random.default_rng([seed, _SCENES, part])
        scenes = [self._drawn_scene(draw, cells) for _ in range(number)]
        return scenes, [target.contributions(scene) for scene in scenes]


@lru_cache(maxsize=8)
def _target(fusion: Fusion, seed: int) -> AdditiveTarget:
    return fusion._drawn_target(seed)
