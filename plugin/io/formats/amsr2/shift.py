"""How far a channel lies from the 89 GHz one: misregistration measured in the picture itself.

Both channels see the same coasts, ice edges and floes, the lower one through a larger footprint. The
89 GHz picture is therefore blurred to the other's footprint, both are freed of what changes slowly
(atmosphere, season, temperature, in which channels differ), and the shift is sought for which one is
best described by the other: L(x) = a + b·R(x − s), by least squares in a, b and s, with a sign of b
that is left open because ice may be warmer than water in one channel and colder in the other.
The error is a jackknife over blocks, larger than a formal one: what the model does not explain is
itself smooth in space.

Far apart frequencies see different things, and a coast where land is warm in one and snow is cold in
the other looks like a shift that is none. Each frequency is therefore measured against the next
higher one, which it resembles, and the links are added up to 89 GHz; a chain with a weak link is
reported but not trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ....networks.standard_channels import AMSR2_FREQUENCIES

BLOCKS = 6
"""Rows and columns of blocks of the jackknife."""

LARGEST_SHIFT_KM = 20.0
"""How far is looked; beyond the footprints' own misalignment no instrument is off by so much."""

SLOW = 2.0
"""What varies over more than this many footprints' widths (as standard deviations) is removed."""

SMOOTHING = 1.0
"""Cells by which both are blurred before all. Noise that differs from cell to cell is damped by the
interpolation between cells, most half way, which would draw every shift to halves of cells."""

TRUSTED_CORRELATION = 0.7
"""A chain with a weaker link is not trusted: on the scene of 23 August 2019 links of 0.57 in vertical
polarisation differ by 2 km from those of horizontal polarisation, which comes through the same horn."""

_STEPS = 30
_TOLERANCE = 1e-3  # of a cell
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))  # of a Gaussian, in standard deviations


@dataclass(frozen=True)
class Shift:
    """Where a channel's features lie, seen from the reference's.

    Parameters
    ----------
    rows, cols : float
        Cells further down and to the right.
    rows_error, cols_error : float
        Standard errors of these.
    km, km_error : float
        Length of the shift on the ground, and its standard error along its own direction.
    correlation : float
        Of the two pictures where they fit best, its sign that of the contrast; of the weakest link
        in a chain.
    """

    rows: float
    cols: float
    rows_error: float
    cols_error: float
    km: float
    km_error: float
    correlation: float

    def as_json(self) -> dict[str, float]:
        """Return plain numbers, rounded to what they can mean."""
        names = ("rows", "cols", "rows_error", "cols_error", "km", "km_error", "correlation")
        return {name: round(float(getattr(self, name)), 3) for name in names}

    @property
    def trusted(self) -> bool:
        """Whether the pictures are alike enough for their shift to be one of geometry."""
        return abs(self.correlation) >= TRUSTED_CORRELATION

    def after(self, other: Shift, cell_km: float) -> Shift:
        """Return this shift, measured against a picture that is itself shifted by `other`."""
        rows, cols = self.rows + other.rows, self.cols + other.cols
        rows_error = float(np.hypot(self.rows_error, other.rows_error))
        cols_error = float(np.hypot(self.cols_error, other.cols_error))
        length = float(np.hypot(rows, cols))
        along = (rows * rows_error, cols * cols_error) if length > 0 else (rows_error, cols_error)
        weakest = min(self.correlation, other.correlation, key=abs)
        km_error = float(np.hypot(*along)) / (length if length > 0 else 1.0) * cell_km
        return Shift(rows, cols, rows_error, cols_error, length * cell_km, km_error, weakest)


def shifts_against_89(pictures: Mapping[str, np.ndarray], cell_km: float) -> dict[str, Shift | None]:
    """Return the shift of each channel below 89 GHz against 89 GHz in its own polarisation.

    Parameters
    ----------
    pictures : mapping
        Channel name (``btemp_6_9h``, ...) to (row, column), K, NaN where there is none.
    cell_km : float
        Size of a cell on the ground.

    Returns
    -------
    dict
        Channel to its shift, None where it cannot be measured; without the 89 GHz channels.
    """
    shifts: dict[str, Shift | None] = {}
    for polarisation in "hv":
        total: Shift | None = None
        above = None
        for frequency, (_, footprint) in reversed(AMSR2_FREQUENCIES.items()):
            name = f"btemp_{frequency}{polarisation}"
            if name not in pictures:
                continue
            if frequency == "89_0":
                above = (pictures[name], footprint)
                continue
            if above is None:
                break
            link = measure_shift(pictures[name], above[0], footprint, above[1], cell_km)
            if link is None:
                # The next lower frequency may still be like the last one that could be measured.
                shifts[name] = None
                continue
            total = link if total is None else link.after(total, cell_km)
            shifts[name] = total
            above = (pictures[name], footprint)
    return {name: shifts[name] for name in pictures if name in shifts}


def measure_shift(
    channel: np.ndarray,
    reference: np.ndarray,
    footprint_km: tuple[float, float],
    reference_footprint_km: tuple[float, float],
    cell_km: float,
) -> Shift | None:
    """Return the shift of a channel against a reference, or None where it cannot be measured.

    Parameters
    ----------
    channel, reference : numpy.ndarray
        (row, column), brightness temperatures on one grid, K; NaN where there is none.
    footprint_km, reference_footprint_km : tuple of float
        Widths at half maximum, the two axes of the ellipse.
    cell_km : float
        Size of a cell on the ground.

    Returns
    -------
    Shift or None
        None where too few cells are valid or nothing in the pictures corresponds.
    """
    valid = np.isfinite(channel) & np.isfinite(reference)
    own, sharp = (_sigma(footprint, cell_km) for footprint in (footprint_km, reference_footprint_km))
    # Whichever sees more sharply is blurred to the other: 18.7 GHz sees more sharply than 23.8.
    blur = np.sqrt(abs(own**2 - sharp**2))
    slow = SLOW * max(own, sharp, 4.0)
    # Cells whose surroundings are cut off are not used: the antenna saw beyond the border, and what
    # varies slowly is not well known there.
    margin = max(2.0 * blur, 3.0) + 0.5 * slow + 0.25 * LARGEST_SHIFT_KM / cell_km
    inside = _far_from_invalid(valid, margin)
    if inside.sum() < 400:
        return None
    picture = np.where(valid, channel, np.nan).astype(np.float64)
    blurred = np.where(valid, reference, np.nan).astype(np.float64)
    coarse = float(np.hypot(blur, SMOOTHING))
    picture = _blur(picture, SMOOTHING if own >= sharp else coarse)
    blurred = _blur(blurred, coarse if own >= sharp else SMOOTHING)
    picture = _filled(picture - _blur(picture, slow))
    blurred = _filled(blurred - _blur(blurred, slow))
    if not (picture[inside].std() > 1e-6 and blurred[inside].std() > 1e-6):
        return None
    return _fit(picture, blurred, inside, cell_km)


def _fit(picture: np.ndarray, blurred: np.ndarray, inside: np.ndarray, cell_km: float) -> Shift | None:
    """Return the shift of `picture` against `blurred`, both without gaps, over the cells `inside`."""
    largest = LARGEST_SHIFT_KM / cell_km
    spline = ndimage.spline_filter(blurred, order=3, mode="nearest")
    shift = _search(picture, blurred, inside, largest)
    block = _blocks(inside)
    for _ in range(_STEPS):
        design, target, correlation = _system(picture, spline, inside, shift)
        weight = _robust_weights(design, target)
        step = _step(*_normal(design, target, weight))
        if step is None:
            return None
        # A whole step from far away may overshoot where the picture is not smooth on its scale.
        step = np.clip(step, -1.0, 1.0)
        shift = shift + step
        if np.abs(shift).max() > largest:
            return None
        if np.abs(step).max() < _TOLERANCE:
            break
    else:
        return None
    design, target, correlation = _system(picture, spline, inside, shift)
    weight = _robust_weights(design, target)
    parts = [_normal(design[block == b], target[block == b], weight[block == b]) for b in np.unique(block)]
    matrix, vector = np.sum([m for m, _ in parts], axis=0), np.sum([v for _, v in parts], axis=0)
    without = [step for m, v in parts if (step := _step(matrix - m, vector - v)) is not None]
    if len(parts) < 4 or len(without) < len(parts):
        return None
    steps = np.stack(without)
    covariance = (len(steps) - 1) / len(steps) * (steps - steps.mean(0)).T @ (steps - steps.mean(0))
    length = float(np.hypot(*shift))
    direction = shift / length if length > 0 else np.array([1.0, 0.0])
    return Shift(
        rows=float(shift[0]),
        cols=float(shift[1]),
        rows_error=float(np.sqrt(covariance[0, 0])),
        cols_error=float(np.sqrt(covariance[1, 1])),
        km=length * cell_km,
        km_error=float(np.sqrt(direction @ covariance @ direction)) * cell_km,
        correlation=correlation,
    )


def _sigma(footprint_km: tuple[float, float], cell_km: float) -> float:
    """Return the standard deviation, in cells, of a round Gaussian as large as the footprint.

    Round, because a grid does not say how the ellipse lay. A symmetric blur that is a little too wide
    or too narrow moves nothing.
    """
    return float(np.sqrt(footprint_km[0] * footprint_km[1])) / _FWHM / cell_km


def _far_from_invalid(valid: np.ndarray, cells: float) -> np.ndarray:
    framed = np.pad(valid, 1, constant_values=False)
    return (ndimage.distance_transform_edt(framed) > cells)[1:-1, 1:-1]


def _blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Return a Gaussian mean over the valid cells around, NaN where `values` is."""
    if sigma < 0.1:
        return values
    valid = np.isfinite(values)
    total = ndimage.gaussian_filter(np.where(valid, values, 0.0), sigma, mode="constant")
    weight = ndimage.gaussian_filter(valid.astype(np.float64), sigma, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(valid, total / weight, np.nan)


def _filled(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, 0.0)


def _search(picture: np.ndarray, blurred: np.ndarray, inside: np.ndarray, largest: float) -> np.ndarray:
    """Return the shift in whole cells at which the two pictures correlate most, of either sign."""
    reach = int(min(largest, min(picture.shape) // 4))
    step = max(1, reach // 8)
    best, offset = -1.0, (0, 0)
    for row in range(-reach, reach + 1, step):
        for col in range(-reach, reach + 1, step):
            moved = np.roll(blurred, (row, col), axis=(0, 1))
            strength = abs(np.corrcoef(picture[inside], moved[inside])[0, 1])
            if strength > best:
                best, offset = strength, (row, col)
    return np.array(offset, dtype=np.float64)


def _system(
    picture: np.ndarray, spline: np.ndarray, inside: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the design (cell, 4) of 1, R, −∂R/∂row, −∂R/∂col at x − s, the target, and their correlation."""
    row, col = np.nonzero(inside)

    def at(down: float, right: float) -> np.ndarray:
        places = np.stack([row - shift[0] + down, col - shift[1] + right])
        return ndimage.map_coordinates(spline, places, order=3, mode="nearest", prefilter=False)

    moved, half = at(0.0, 0.0), 0.5
    design = np.stack(
        [np.ones(len(row)), moved, at(-half, 0.0) - at(half, 0.0), at(0.0, -half) - at(0.0, half)], axis=1
    )
    target = picture[inside]
    return design, target, float(np.corrcoef(moved, target)[0, 1])


def _robust_weights(design: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return Huber's weights: what fits far worse than most counts less."""
    weight = np.ones(len(target))
    for _ in range(3):
        matrix, vector = _normal(design, target, weight)
        residual = np.abs(target - design @ np.linalg.lstsq(matrix, vector, rcond=None)[0])
        limit = 1.345 * 1.4826 * np.median(residual) + 1e-12
        weight = np.minimum(1.0, limit / np.maximum(residual, 1e-12))
    return weight


def _normal(design: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weighted = design * weight[:, None]
    return weighted.T @ design, weighted.T @ target


def _step(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray | None:
    """Return the correction of the shift (row, column), None where nothing determines it."""
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix, tol=1e-10 * np.trace(matrix)) < 4:
        return None
    _, contrast, *moved = np.linalg.solve(matrix, vector)
    return np.array(moved) / contrast if contrast != 0 else None


def _blocks(inside: np.ndarray) -> np.ndarray:
    """Return the block of each cell inside: equal parts of the rows and columns that are used."""
    row, col = np.nonzero(inside)
    part = [np.minimum((axis - axis.min()) * BLOCKS // (np.ptp(axis) + 1), BLOCKS - 1) for axis in (row, col)]
    return part[0] * BLOCKS + part[1]
