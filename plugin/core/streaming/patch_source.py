"""A patch that was read once, as the source of more than one run."""

from __future__ import annotations

from ...ground.protocols import Patch
from ...ground.window import Window


class PatchSource:
    """A patch in memory as a source of the scene that it was read from.

    Parameters
    ----------
    patch : Patch
        What was read, or what was made of it.
    scene : Window
        The whole scene.
    ratio : int
        Pixels along the side of a coarse cell.
    """

    def __init__(self, patch: Patch, scene: Window, ratio: int) -> None:
        self.rows, self.cols = scene.rows, scene.cols
        self._patch, self._ratio = patch, ratio

    def read(self, window: Window) -> Patch:
        """Return a part of the patch."""
        here = window.slices(self._patch.window)
        cells = window.coarser(self._ratio).slices(self._patch.window.coarser(self._ratio))
        return Patch(
            window,
            self._patch.fine[(slice(None), *here)],
            self._patch.coarse[(slice(None), *cells)],
            self._patch.valid[here],
        )
