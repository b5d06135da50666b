"""Fields of the Earth in two classes, by a threshold on an index: the mean over a box, as the El Niño index is.

Landt-Hayen et al. 2023 (arXiv 2302.12317) make classes so of a continuous target. Only the cells of the box decide the
class; what is elsewhere goes along with them. Each cell is standardised by its own mean and standard deviation, capped
to ±5 and scaled to ±1. Cells without data are zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...ground.errors import ParameterError, SceneError
from .normal import covariance_root
from .samples import Description, Truth

CAP = 5.0  # standard deviations
FEWEST = 40  # fields
SMALLEST = 8  # rows and columns
DESCRIPTION = Description(
    subject="fields",
    place="true box",
    common="cells that both classes have",
    elsewhere="cells elsewhere, which vary with the box or by chance,",
    about=(
        "Each cell of a field is standardised by its own mean and standard deviation, capped to ±5 and scaled to ±1. "
        "A field is of the first class where its mean over INDEX_BOX is above the median of all fields. Cells "
        "elsewhere that vary with the box carry evidence too: relevance outside of it is not wrong as such.",
        "Fields of a time series are taken in random order: held-out fields have neighbours among those trained on.",
    ),
)


def drawn_fields(covariance: np.ndarray, mask: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Draw fields from a normal distribution of mean zero.

    Parameters
    ----------
    covariance : numpy.ndarray
        (cell, cell), of the cells of `mask` row by row.
    mask : numpy.ndarray
        (row, column), bool: the cells that have data.
    number, seed : int
        How many, and of which draw.

    Returns
    -------
    numpy.ndarray
        (sample, row, column), float64; NaN where `mask` is false.
    """
    root = covariance_root(covariance)
    draws = np.random.default_rng([seed, 4]).standard_normal((number, len(root))) @ root.T
    fields = np.full((number, *mask.shape), np.nan)
    fields[:, mask] = draws
    return fields


@dataclass(frozen=True)
class Fields:
    """Fields with a box that decides their class.

    Parameters
    ----------
    fields : numpy.ndarray
        (sample, row, column); NaN where there is no data. A cell has data where all fields have some that varies.
    box : numpy.ndarray
        (row, column), bool: the cells over which the index is the mean.

    Raises
    ------
    SceneError
        There are too few fields, or they are too small.
    ParameterError
        No cell of the box has data.
    """

    fields: np.ndarray
    box: np.ndarray
    cap: float = 1.0
    description: Description = DESCRIPTION

    def __post_init__(self) -> None:
        number, rows, cols = self.fields.shape
        if number < FEWEST or min(rows, cols) < SMALLEST:
            raise SceneError(
                f"FIELDS has {number} bands of {rows} × {cols} cells. The benchmark needs at least {FEWEST} fields, "
                f"each of {SMALLEST} × {SMALLEST} cells or more."
            )
        if not (self.box & self.valid).any():
            raise ParameterError(
                "INDEX_BOX holds no cell that has data in all fields. Move it, or check its CRS and the order of its "
                "numbers: xmin,xmax,ymin,ymax."
            )

    @property
    def valid(self) -> np.ndarray:
        """(row, column), bool: the cells that have data."""
        with np.errstate(invalid="ignore"):
            return np.isfinite(self.fields).all(0) & (self.fields.max(0) > self.fields.min(0))

    def samples(self, seed: int) -> tuple[np.ndarray, Truth]:
        """Return standardised fields in random order, and their classes: 0 above the median of the index, 1 below."""
        valid = self.valid
        inside = self.box & valid
        order = np.random.default_rng([seed, 5]).permutation(len(self.fields))
        values = self.fields[order][:, valid].astype(np.float64)
        scaled = np.zeros((len(values), *valid.shape))
        scaled[:, valid] = np.clip((values - values.mean(0)) / values.std(0), -CAP, CAP) / CAP
        index = self.fields[order][:, inside].mean(1)
        classes = (index <= np.median(index)).astype(int)
        return scaled, Truth(classes, inside, inside, valid)

    def null(self, seed: int, number: int) -> np.ndarray:
        """Return fields of noise that is independent from cell to cell."""
        draw = np.random.default_rng([seed, 6]).standard_normal((number, *self.box.shape))
        return np.where(self.valid, np.clip(draw, -CAP, CAP) / CAP, 0.0)
