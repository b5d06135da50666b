"""Images for a classifier of stamped against regular: windows of scenes, standardised, with and without a stamp.

Every image takes part twice, as it is and with a stamp, so that nothing but the stamp tells the classes apart. The last
fifth of the images is held out; where there are several scenes, these are of other scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ....ground.errors import SceneError
from ....ground.protocols import Source
from ....ground.window import Window
from ...streaming.runner import Runner
from ..samples import held_out
from .stamps import Stamp

Check = Callable[[float], None]
FEWEST = 50  # images with which a classifier is trained


@dataclass(frozen=True)
class Images:
    """Standardised images without a stamp.

    Parameters
    ----------
    fine : numpy.ndarray
        (image, channel, row, column), float32.
    coarse : numpy.ndarray or None
        (image, channel, cell row, cell column), float32; None for a network without radiometer.
    """

    fine: np.ndarray
    coarse: np.ndarray | None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.fine)

    @property
    def ratio(self) -> int:
        """Pixels along the side of a cell; 1 without radiometer."""
        return 1 if self.coarse is None else self.fine.shape[3] // self.coarse.shape[3]

    @property
    def held_out(self) -> slice:
        """The images that no classifier is trained on."""
        return held_out(len(self))

    def stamped(self, stamp: Stamp, position: str, seed: int) -> StampedImages:
        """Return the same images with a stamp each."""
        draw = np.random.default_rng([seed, 5])
        values = self.coarse if stamp.coarse else self.fine
        if values is None:
            raise ValueError("a radiometer stamp needs images of a radiometer")
        places = np.stack([stamp.drawn((values.shape[2], values.shape[3]), position, draw) for _ in values])
        changed = (values + stamp.standardised(places)).astype(np.float32)
        images = Images(self.fine, changed) if stamp.coarse else Images(changed, self.coarse)
        return StampedImages(images, stamp, places)


@dataclass(frozen=True)
class StampedImages:
    """Images with a stamp, and where it is.

    Parameters
    ----------
    images : Images
        Stamped.
    stamp : Stamp
        Which.
    places : numpy.ndarray
        (image, row, column) of the stamp's grid, bool.
    """

    images: Images
    stamp: Stamp
    places: np.ndarray

    def truth(self, image: int) -> np.ndarray:
        """Return the values of the stamp's sensor that were changed, (channel, row, column) bool."""
        return self.stamp.truth(self.places[image])

    def values(self, image: int) -> np.ndarray:
        """Return the stamped values of that sensor, (channel, row, column), standardised."""
        values = self.images.coarse if self.stamp.coarse else self.images.fine
        if values is None:
            raise AssertionError("values is None")
        return values[image]


def gather(
    runner: Runner,
    sources: Sequence[tuple[Source, Window]],
    side: int,
    number: int,
    seed: int,
    check: Check = lambda share: None,
) -> Images:
    """Return images of scenes without missing values.

    Parameters
    ----------
    runner : Runner
        Standardises as its network expects.
    sources : sequence of (Source, Window)
        Scenes, and the part of each that is used.
    side : int
        Side of an image: whole cells.
    number : int
        How many images, in equal parts of the scenes.
    seed : int
        Which windows.
    check : callable
        Called with the share done; may raise.

    Raises
    ------
    SceneError
        If there are fewer than :data:`FEWEST`.
    """
    draw = np.random.default_rng([seed, 4])
    fine: list[np.ndarray] = []
    coarse: list[np.ndarray] = []
    for at, (source, region) in enumerate(sources):
        wanted = -(-number * (at + 1) // len(sources))
        windows = _windows(region, side)
        for place in draw.permutation(len(windows)):
            if len(fine) >= wanted:
                break
            check(len(fine) / number)
            patch = source.read(windows[place])
            if not (patch.valid.all() and np.isfinite(patch.fine).all() and np.isfinite(patch.coarse).all()):
                continue
            inputs = runner.standardise(patch)
            fine.append(inputs.fine[0].cpu().numpy().astype(np.float32))
            if inputs.coarse is not None:
                coarse.append(inputs.coarse[0].cpu().numpy().astype(np.float32))
    if len(fine) < FEWEST:
        raise SceneError(
            f"The scene has {len(fine)} windows of {side} x {side} pixels without land and missing values; a "
            f"classifier of stamps needs {FEWEST}. Choose a larger EXTENT or another scene, or leave SAR empty for "
            "simulated ones."
        )
    return Images(np.stack(fine), np.stack(coarse) if coarse else None)


def _windows(region: Window, side: int) -> list[Window]:
    """Return the windows of a grid that begins at the scene's first pixel which lie whole in a region."""
    inside = [
        Window(row, col, side, side)
        for row in range(-(-region.row // side) * side, region.row_stop - side + 1, side)
        for col in range(-(-region.col // side) * side, region.col_stop - side + 1, side)
    ]
    return inside
