"""AMSR2 brightness temperatures of a simulated surface.

Each surface class has a mean and a covariance over the 14 channels (Reference dataset for sea ice
concentration, Pedersen et al., figshare 6626549; the numbers are in ``resources``). Weather and
surface vary about the mean as smooth fields with that covariance; a cell mixes the classes by area,
and every channel is blurred to its footprint.

Young ice and land are not in that dataset. Assumed here: see :data:`ASSUMPTIONS`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from ...ground.paths import RESOURCES
from ...networks.standard_channels import AMSR2_FREQUENCIES
from .noise import Axis, SmoothNoise, generator, octaves

CELL_SIZE = 2000.0
"""Size of a radiometer cell, m."""

NOISE_K = 0.3
"""Radiometric noise of a cell, K (standard deviation)."""

ASSUMPTIONS = (
    "Young ice has no measured statistics: its mean is assumed to lie on the way from open water to "
    "first-year winter ice, 92 % of the way at V and 70 % at H polarisation (thin ice is the more "
    "polarised), with twice the covariance of first-year ice.",
    "Land has no measured statistics: 250 K at V and 240 K at H polarisation in winter, 272 K and 262 K "
    "in summer, 15 K less at 89 GHz in winter, standard deviation 5 K, all channels together.",
    "In summer first-year and multi-year ice share one set of statistics.",
)
"""What the simulator assumes beyond the data, for file tags and model cards."""

STATISTICS_SOURCE = "Reference dataset for sea ice concentration (Pedersen et al., figshare 6626549)"
"""Where means and covariances come from."""

_STATISTICS = RESOURCES / "amsr2_tie_statistics.json"

CHANNELS = tuple(
    f"btemp_{frequency}{polarisation}" for frequency in AMSR2_FREQUENCIES for polarisation in "hv"
)
"""Names of the 14 channels, in order."""

FOOTPRINTS_KM = tuple(AMSR2_FREQUENCIES[name[6:-1]][1] for name in CHANNELS)
"""Half-power widths of each channel's footprint across and along the scan, km."""

MARGIN_CELLS = 56
"""Cells evaluated beyond the scene: four standard deviations of the widest footprint."""


@dataclass(frozen=True)
class SurfaceStatistics:
    """Brightness temperatures of one surface class.

    Parameters
    ----------
    mean : numpy.ndarray
        (14,) float64, K.
    covariance : numpy.ndarray
        (14, 14) float64, K².
    """

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def root(self) -> np.ndarray:
        """Lower triangle L with L Lᵀ = covariance, (14, 14) K.

        A millionth of the mean variance on the diagonal keeps the factor real where rounding of the
        printed numbers made the matrix indefinite.
        """
        ridge = 1e-6 * np.trace(self.covariance) / len(self.mean)
        return np.linalg.cholesky(self.covariance + ridge * np.eye(len(self.mean)))


@lru_cache(maxsize=2)
def surface_statistics(summer: bool) -> tuple[SurfaceStatistics, ...]:
    """Return the statistics of water, young, first-year, multi-year ice and land, in that order."""
    document = json.loads(_STATISTICS.read_text(encoding="utf-8"))
    if tuple(document["channels"]) != CHANNELS:
        raise ValueError(f"{_STATISTICS.name} lists other channels than the simulator")

    def measured(name: str) -> SurfaceStatistics:
        entry = document["classes"][name]
        return SurfaceStatistics(np.array(entry["mean"]), np.array(entry["covariance"]))

    water = measured("open_water_arctic")
    first_year = measured("ice_summer" if summer else "first_year_winter")
    multi_year = measured("ice_summer" if summer else "multi_year_winter")
    vertical = np.array([name.endswith("v") for name in CHANNELS])
    share = np.where(vertical, 0.92, 0.70)
    young = SurfaceStatistics(
        water.mean + share * (first_year.mean - water.mean), 2.0 * first_year.covariance
    )
    warmth = np.where(vertical, 250.0, 240.0) + (22.0 if summer else 0.0)
    if not summer:
        warmth = warmth - np.where([name.startswith("btemp_89") for name in CHANNELS], 15.0, 0.0)
    land = SurfaceStatistics(warmth, np.full((len(CHANNELS), len(CHANNELS)), 25.0))
    return water, young, first_year, multi_year, land


def blur(temperature: np.ndarray, cell_km: float, widths_km: tuple[float, float], angle: float) -> np.ndarray:
    """Return `temperature` seen through a Gaussian footprint.

    Parameters
    ----------
    temperature : numpy.ndarray
        (row, column) float64, K. The array is treated as periodic, so that cells within a footprint
        of its border are of no use.
    cell_km : float
        Size of a cell, km.
    widths_km : tuple of float
        Half-power (full) widths along the footprint's two axes, km.
    angle : float
        Direction of the second axis against the rows' direction (downwards), radians.

    Notes
    -----
    A Gaussian of standard deviation s has the full width 2 sqrt(2 ln 2) s at half power and the
    transfer function exp(-2 π² s² f²); here along both axes of the ellipse.
    """
    sigma = [width / (2.0 * np.sqrt(2.0 * np.log(2.0)) * cell_km) for width in widths_km]
    down = fft.fftfreq(temperature.shape[0])[:, None]
    across = fft.rfftfreq(temperature.shape[1])[None, :]
    long_axis = np.cos(angle) * down + np.sin(angle) * across
    short_axis = -np.sin(angle) * down + np.cos(angle) * across
    transfer = np.exp(-2.0 * np.pi**2 * ((sigma[0] * short_axis) ** 2 + (sigma[1] * long_axis) ** 2))
    return fft.irfft2(fft.rfft2(temperature) * transfer, s=temperature.shape)


class Radiometer:
    """The radiometer of one simulated scene.

    Parameters
    ----------
    seed : int
        The scene's seed.
    summer : bool
        Which statistics hold.
    """

    def __init__(self, seed: int, summer: bool) -> None:
        self._seed = seed
        self.statistics = surface_statistics(summer)
        draw = generator(f"{seed}/radiometer")
        self.scan_angle = draw.uniform(0.0, np.pi)
        self._of_scene = draw.standard_normal((len(self.statistics), len(CHANNELS)))
        self._fields = tuple(
            tuple(
                SmoothNoise(f"{seed}/weather/{surface}/{number}", **octaves(120e3, 15e3, 0.6))
                for number in range(len(CHANNELS))
            )
            for surface in range(len(self.statistics))
        )

    def temperature(self, surface: int, rows: Axis, cols: Axis) -> np.ndarray:
        """Return the brightness temperature of one surface class: (14, rows, cols) float64, K.

        Half of the variance belongs to the scene, half varies within it.
        """
        statistics = self.statistics[surface]
        smooth = np.stack([noise.evaluate(rows, cols) for noise in self._fields[surface]]).astype(np.float64)
        unit = np.sqrt(0.5) * (smooth + self._of_scene[surface][:, None, None])
        return statistics.mean[:, None, None] + np.tensordot(statistics.root, unit, axes=1)

    def mixed(self, fractions: np.ndarray, rows: Axis, cols: Axis) -> np.ndarray:
        """Return Σ_k f_k T_k before the blur: (14, rows, cols) float64, K.

        Parameters
        ----------
        fractions : numpy.ndarray
            (5, rows, cols): shares of the surface classes in each cell, sum 1.
        rows, cols : Axis
            Cell centres.
        """
        return sum(
            fractions[surface] * self.temperature(surface, rows, cols)
            for surface in range(len(self.statistics))
        )

    def observe(self, fractions: np.ndarray, rows: Axis, cols: Axis, margin: int) -> np.ndarray:
        """Return what the radiometer measures: (14, R, C) float32 in K, without the margin.

        Parameters
        ----------
        fractions : numpy.ndarray
            (5, R + 2 margin, C + 2 margin): shares of the surface classes.
        rows, cols : Axis
            Cell centres, the margin included.
        margin : int
            Cells on each side that only serve the blur.
        """
        mixed = self.mixed(fractions, rows, cols)
        inner = (slice(margin, rows.count - margin), slice(margin, cols.count - margin))
        noise = generator(f"{self._seed}/radiometric noise")
        seen = [
            blur(values, rows.step / 1000.0, widths, self.scan_angle)[inner]
            for values, widths in zip(mixed, FOOTPRINTS_KM)
        ]
        return np.stack([v + NOISE_K * noise.standard_normal(v.shape) for v in seen]).astype(np.float32)
