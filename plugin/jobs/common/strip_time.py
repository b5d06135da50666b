"""How long rasters that are made strip by strip will take, estimated when the second strip is made.

The first one pays for what is paid once only: what it needs of its neighbours, tables, compiled kernels. Writing is
timed on a part of the second, in a file that never gets a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.streaming.run_time import clock, duration
from ...ground.protocols import Progress
from ...ground.window import Window
from ...io.geometry.grid import Grid
from ...io.rasters.writer import Band, Outputs

# Columns of the part that is written for trial; whole blocks of a file.
TRIAL_COLS = 512
# Largest share of a raster's pixels that the trial may take.
SHARE = 0.03


@dataclass(frozen=True)
class TrialStrip:
    """A strip of a raster that is to be written.

    Parameters
    ----------
    path : str
        Where the raster goes.
    grid : Grid
        Its geometry.
    bands : sequence of Band
        Its bands.
    values : numpy.ndarray
        (band, row, column), full width.
    options : tuple of (str, object)
        Of the writer: the type of the pixels and the like.
    """

    path: str
    grid: Grid
    bands: Sequence[Band]
    values: np.ndarray
    options: tuple[tuple[str, object], ...] = ()

    def writing(self, outputs: Outputs) -> float:
        """Return the seconds that writing the whole raster will take; 0 where it is too small to try.

        Parameters
        ----------
        outputs : Outputs
            Whose folder is written to; of the trial nothing stays.
        """
        rows, cols = self.values.shape[1], min(TRIAL_COLS, self.grid.cols)
        rows = min(rows, TRIAL_COLS)
        pixels = self.grid.rows * self.grid.cols
        if rows * cols > SHARE * pixels:
            return 0.0
        start = clock()
        part = self.grid.subset(Window(0, 0, rows, cols))
        raster = outputs.raster(self.path, part, self.bands, keep=False, **dict(self.options))
        raster.write(self.values[:, :rows, :cols])
        raster.finish()
        seconds = clock() - start
        raster.discard()
        return seconds / (rows * cols) * pixels


def announce_strips(progress: Progress, text: str, seconds: float) -> None:
    """Put an estimated time into the log, in words that begin with `text`."""
    progress.message(f"{text}: estimated time {duration(seconds)}, from the second strip.")
