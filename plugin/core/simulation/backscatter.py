"""Sentinel-1 EW backscatter of a simulated surface, after noise subtraction.

Means and incidence slopes by class are round numbers within the ranges reported for C band (for
instance Lohse et al. 2020, Annals of Glaciology, and Mahmud et al. 2018, IEEE TGRS, for sea ice;
Vachon & Wolfe 2011, IEEE GRSL, for cross-polarised backscatter of the wind-roughened sea). They are
made for demonstration, not for calibration.
"""

from __future__ import annotations

import numpy as np

from .ice import LAND, UNKNOWN, WATER, Climate
from .noise import Axis, SmoothNoise, generator, octaves

FLOOR_DB = -40.0
"""What a pixel reads where subtracting the noise leaves nothing: values stay finite."""

LOOKS = 10.7
"""Looks of the speckle at the sensor's resolution of about 90 m; more in larger pixels."""

SWATH_WIDTH = 410e3
"""Ground range an EW scene covers, m."""

NEAR_ANGLE, FAR_ANGLE = 19.0, 47.0
"""Incidence angle at both ends of the swath, degrees."""

_SUBSWATH_ANGLES = (19.0, 28.0, 33.0, 38.0, 42.5, 47.0)  # limits of EW1 .. EW5, degrees
_NOISE_DB = (-27.0, -29.5, -30.5, -30.5, -29.5)  # noise-equivalent sigma0 in mid sub-swath
_REFERENCE_ANGLE = 30.0
_DB = np.float32(np.log(10.0) / 10.0)

# By class 1 young, 2 first-year, 3 multi-year, 4 land (0, water, comes from the wind):
# HH at 30 degrees in dB, its slope in dB per degree, HV, its slope, and the standard deviation in dB of
# the texture within a region, of differences between regions, and of differences between scenes.
_WINTER = {
    1: (-17.0, -0.26, -28.5, -0.14, 1.3, 1.2, 0.7),
    2: (-14.0, -0.22, -24.0, -0.12, 1.2, 0.9, 0.7),
    3: (-10.5, -0.16, -18.5, -0.10, 1.0, 0.8, 0.7),
    4: (-9.0, -0.12, -15.5, -0.10, 2.5, 1.5, 0.8),
}
_SUMMER = {
    1: (-16.0, -0.26, -27.0, -0.14, 1.3, 1.2, 1.0),
    2: (-14.5, -0.24, -24.0, -0.14, 1.4, 1.0, 0.7),
    3: (-11.5, -0.20, -20.0, -0.12, 1.4, 1.0, 0.7),
    4: (-9.5, -0.12, -16.0, -0.10, 2.5, 1.5, 0.8),
}
_RIDGES_DB = {1: 0.5, 2: 3.0, 3: 2.0, 4: 0.0}


def incidence_angle(cols: np.ndarray, width: float, swath_start: float) -> np.ndarray:
    """Return the incidence angle in degrees at column positions `cols` (m), linear in ground range.

    Parameters
    ----------
    cols : numpy.ndarray
        Positions across the scene, m.
    width : float
        Width of the scene, m; wider than the swath, it is taken for the whole swath.
    swath_start : float
        Ground range of the scene's first column within the swath, m.
    """
    return NEAR_ANGLE + (FAR_ANGLE - NEAR_ANGLE) * (swath_start + cols) / max(SWATH_WIDTH, width)


def water_hh(angle: np.ndarray, wind: np.ndarray) -> np.ndarray:
    """Return HH backscatter of the sea in dB: steep in incidence angle, logarithmic in wind speed.

    Parameters
    ----------
    angle : numpy.ndarray
        Incidence angle, degrees.
    wind : numpy.ndarray
        Wind speed, m/s.
    """
    exponent = 1.0 + 0.035 * (angle - 20.0)
    return -12.5 - 0.62 * (angle - _REFERENCE_ANGLE) + 10.0 * exponent * np.log10(wind / 10.0)


def water_hv(wind: np.ndarray) -> np.ndarray:
    """Return HV backscatter of the sea in dB, linear in wind speed (m/s) after Vachon & Wolfe (2011)."""
    return 0.592 * wind - 35.6


class Backscatter:
    """The radar of one simulated scene.

    Parameters
    ----------
    seed : int
        The scene's seed.
    climate : Climate
        The scene's drawn numbers.
    width : float
        Width of the scene, m.
    pixel_size : float
        Size of a pixel, m.
    """

    def __init__(self, seed: int, climate: Climate, width: float, pixel_size: float) -> None:
        def field(name: str, largest: float, smallest: float, persistence: float) -> SmoothNoise:
            noise = SmoothNoise(f"{seed}/{name}", **octaves(largest, smallest, persistence))
            return noise.coarser_than(2.0 * pixel_size)

        draw = generator(f"{seed}/radar")
        self._seed = seed
        self._width = width
        self._swath_start = max(0.0, SWATH_WIDTH - width) * draw.uniform()
        self.looks = LOOKS * max(1.0, (pixel_size / 90.0) ** 2)
        self.mean_wind = 2.0 + 11.0 * draw.beta(2.0, 2.5)
        self._wind = field("wind", 150e3, 9e3, 0.6)
        self._regions = (field("regions hh", 50e3, 12e3, 0.7), field("regions hv", 50e3, 12e3, 0.7))
        self._texture = (field("texture hh", 1.3e3, 160.0, 0.9), field("texture hv", 1.3e3, 160.0, 0.9))
        self._ridges = field("ridges", 3e3, 187.5, 0.7)
        statistics = _SUMMER if climate.summer else _WINTER
        table = np.zeros((5, 7))
        ridges = np.zeros(5)
        for code, values in statistics.items():
            table[code] = values
            ridges[code] = _RIDGES_DB[code]
        offsets = draw.standard_normal((2, 5)) * table[:, 6]
        table[:, 0] += offsets[0]
        table[:, 2] += 0.7 * offsets[0] + 0.7 * offsets[1]
        table[WATER, 4] = 0.4  # short waves and rolls; the wind field does the rest
        self._table = table.astype(np.float32)
        self._ridge_table = ridges.astype(np.float32)
        # What is left of the noise after subtraction: a step for each sub-swath, a burst pattern along track.
        self._residual = draw.normal(0.0, 0.12, size=5)
        self._scalloping = draw.uniform(0.02, 0.10)
        self._burst = draw.uniform(15e3, 22e3)
        self._phase = draw.uniform(0.0, 2.0 * np.pi, size=5)

    def angle(self, cols: Axis) -> np.ndarray:
        """Return the incidence angle of each column, (cols.count,) float64 in degrees."""
        return incidence_angle(cols.positions, self._width, self._swath_start)

    def noise(self, rows: Axis, cols: Axis) -> tuple[np.ndarray, np.ndarray]:
        """Return the noise-equivalent sigma0 (linear) and the share of it that subtraction gets wrong.

        Both (rows, cols) float32. Each sub-swath has its own level, rising towards its limits.
        """
        angle = self.angle(cols)
        subswath = np.clip(np.searchsorted(_SUBSWATH_ANGLES, angle, side="right") - 1, 0, 4)
        lower = np.take(_SUBSWATH_ANGLES, subswath)
        across = (angle - lower) / (np.take(_SUBSWATH_ANGLES, subswath + 1) - lower)
        level = 10.0 ** ((np.take(_NOISE_DB, subswath) + 2.0 * (2.0 * across - 1.0) ** 2) / 10.0)
        phase = 2.0 * np.pi * rows.positions[:, None] / self._burst + self._phase[subswath][None, :]
        wrong = self._residual[subswath][None, :] + self._scalloping * np.sin(phase)
        return np.broadcast_to(level.astype(np.float32), wrong.shape), wrong.astype(np.float32)

    def wind(self, rows: Axis, cols: Axis) -> np.ndarray:
        """Return the wind speed over open sea, (rows, cols) float32 in m/s."""
        return np.float32(self.mean_wind) * np.exp(np.float32(0.3) * self._wind.evaluate(rows, cols))

    def mean(self, rows: Axis, cols: Axis, classes: np.ndarray, concentration: np.ndarray) -> np.ndarray:
        """Return the backscatter without speckle and noise, (2, rows, cols) float32 in dB.

        Parameters
        ----------
        rows, cols : Axis
            Pixel centres.
        classes : numpy.ndarray
            (rows, cols) uint8, 0 water .. 4 land.
        concentration : numpy.ndarray
            (rows, cols), 0..1: waves are lower among the floes.
        """
        angle = self.angle(cols).astype(np.float32)[None, :]
        wind = np.maximum(self.wind(rows, cols) * (1.0 - np.float32(0.5) * concentration), np.float32(1.0))
        water = classes == WATER
        relief = self._ridge_table[classes] * np.exp(
            -np.square(self._ridges.evaluate(rows, cols) / np.float32(0.12))
        )
        texture = self._texture[0].evaluate(rows, cols)
        textures = (
            texture,
            np.float32(0.6) * texture + np.float32(0.8) * self._texture[1].evaluate(rows, cols),
        )
        regions = self._regions[0].evaluate(rows, cols)
        region_fields = (
            regions,
            np.float32(0.7) * regions + np.float32(0.7) * self._regions[1].evaluate(rows, cols),
        )
        result = np.empty((2, rows.count, cols.count), dtype=np.float32)
        for band, of_water in enumerate((water_hh(angle, wind), water_hv(wind))):
            column = self._table[:, 2 * band][classes], self._table[:, 2 * band + 1][classes]
            of_ice = column[0] + column[1] * (angle - np.float32(_REFERENCE_ANGLE))
            of_ice += self._table[:, 5][classes] * region_fields[band] + relief
            result[band] = np.where(water, of_water, of_ice) + self._table[:, 4][classes] * textures[band]
        return result

    def observe(
        self, rows: Axis, cols: Axis, classes: np.ndarray, concentration: np.ndarray, block: tuple[int, int]
    ) -> np.ndarray:
        """Return what the product holds: HH and HV, (2, rows, cols) float32 in dB, finite but for no data.

        Measured intensity is (sigma0 + noise) times speckle, gamma-distributed with mean 1; what is
        subtracted is the noise as the product believes it to be. `block` numbers the speckle's draw.
        """
        known = classes != UNKNOWN
        shown = np.where(known, classes, np.uint8(LAND))
        share = np.where(np.isfinite(concentration), concentration, np.float32(0.0))
        sigma0 = np.exp(self.mean(rows, cols, shown, share) * _DB)
        noise, wrong = self.noise(rows, cols)
        draw = generator(f"{self._seed}/speckle/{block[0]}/{block[1]}")
        speckle = draw.standard_gamma(self.looks, size=sigma0.shape, dtype=np.float32) / np.float32(
            self.looks
        )
        observed = (sigma0 + noise) * speckle - noise * (1.0 + wrong)
        decibel = np.log(np.maximum(observed, np.float32(10.0 ** (FLOOR_DB / 10.0)))) / _DB
        return np.where(known, decibel, np.float32(np.nan))
