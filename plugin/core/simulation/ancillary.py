"""What surrounds a simulated scene: incidence angle, distance to land and weather, consistent with its ice and sensors.

The wind is the one that roughens the simulated sea; vapour and cloud water are where the simulated brightness
temperatures of open water are above their mean at 23.8 and 36.5 GHz; the skin is cold where there is ice. Amounts are
round numbers within the spread of the AI4Arctic data, made for demonstration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from ...ground.window import Window
from ...networks.standard_channels import WEATHER_CHANNELS
from .ice import LAND, UNKNOWN, WATER
from .noise import Axis, SmoothNoise, generator, octaves
from .radiometry import CHANNELS

if TYPE_CHECKING:
    from .scene import SimulatedScene

FINE_CHANNELS = ("incidence_angle", "distance_map")
"""Ancillary channels on the radar's pixels, in order."""

FARTHEST_KM = 300.0
"""Where the last class of the distance map begins."""

DISTANCE_CLASSES = 41
"""Classes of the distance map, besides 0, which is land."""

DISTANCE_LIMITS_KM = np.geomspace(0.5, FARTHEST_KM, DISTANCE_CLASSES - 1)
"""Upper limits of the classes but the last: evenly spaced on a logarithmic scale, which is assumed."""

_FREEZING_K = 271.35
_MEAN_VAPOUR = {False: 4.0, True: 12.0}  # kg/m², by summer
_MEAN_CLOUD_WATER = {False: 0.02, True: 0.07}


class Surroundings:
    """Ancillary channels of a simulated scene.

    Parameters
    ----------
    scene : SimulatedScene
        The scene; its own values do not depend on these.
    """

    def __init__(self, scene: SimulatedScene) -> None:
        self._scene = scene
        self._cell = scene.ratio * scene.pixel_size
        self._margin = int(np.ceil(FARTHEST_KM * 1000.0 / self._cell))
        self._fractions, self._known = scene.cell_fractions(self._margin)
        land = self._fractions[LAND] > 0.5
        self._distance_km = (
            distance_transform_edt(~land) * self._cell / 1000.0 if land.any() else np.full(land.shape, np.inf)
        )

    def fine(self, window: Window) -> np.ndarray:
        """Return incidence angle (degrees) and distance class over `window`: (2, row, column) float32.

        The class is 0 on land, at least 1 elsewhere, NaN where a given chart has no data.
        """
        scene = self._scene
        size = scene.pixel_size
        cols = Axis((window.col + 0.5) * size, size, window.cols)
        angle = np.broadcast_to(scene.radar.angle(cols).astype(np.float32), (window.rows, window.cols))
        rows = Axis((window.row + 0.5) * size, size, window.rows)
        row, col = (axis.positions / self._cell - 0.5 + self._margin for axis in (rows, cols))
        places = np.stack(np.meshgrid(row, col, indexing="ij"))
        far = np.minimum(self._distance_km, 2.0 * FARTHEST_KM)
        distance = map_coordinates(far, places, order=1, mode="nearest")
        classes = 1 + np.searchsorted(DISTANCE_LIMITS_KM, distance, side="right").astype(np.float32)
        shown = scene.surface(window).classes
        classes = np.where(shown == LAND, np.float32(0.0), classes)
        return np.stack([angle, np.where(shown == UNKNOWN, np.float32(np.nan), classes)])

    def weather(self) -> np.ndarray:
        """Return wind, temperatures, vapour and cloud water on the scene's cells.

        Returns
        -------
        numpy.ndarray
            (6, R, C) float32 in the order of :data:`WEATHER_CHANNELS`: wind along the columns' direction and against
            the rows' (m/s), temperature at 2 m and of the skin (K), water vapour and cloud water (kg/m²). NaN where a
            given chart has no data.
        """
        scene = self._scene
        rows, cols = scene.cell_axes()
        inner = slice(self._margin, -self._margin)
        draw = generator(f"{scene.seed}/weather of the scene")

        def field(name: str) -> np.ndarray:
            return SmoothNoise(f"{scene.seed}/{name}", **octaves(240e3, 30e3, 0.5)).evaluate(rows, cols)

        direction = draw.uniform(0.0, 2.0 * np.pi) + 0.4 * field("wind direction")
        speed = scene.radar.wind(rows, cols)
        summer = scene.climate.summer
        ice = 1.0 - self._fractions[WATER, inner, inner]
        cold = (0.0 if summer else -22.0 - 6.0 * draw.uniform()) + (1.0 if summer else 4.0) * field("cold")
        skin = _FREEZING_K + (1.5 if summer else 0.3) * np.abs(field("sea")) + ice * (cold + 1.5 * summer)
        air = gaussian_filter(skin, 3.0, mode="nearest") + (1.0 if summer else -1.0) + 0.5 * field("air")
        water = scene.radiometer.temperature(WATER, rows, cols)
        spread = np.sqrt(np.diag(scene.radiometer.statistics[WATER].covariance))
        warmer = (water - scene.radiometer.statistics[WATER].mean[:, None, None]) / spread[:, None, None]
        vapour = _MEAN_VAPOUR[summer] * np.exp(0.3 * warmer[CHANNELS.index("btemp_23_8v")])
        cloud = _MEAN_CLOUD_WATER[summer] * np.exp(0.6 * warmer[CHANNELS.index("btemp_36_5h")])
        values = np.stack([speed * np.cos(direction), speed * np.sin(direction), air, skin, vapour, cloud])
        if len(values) != len(WEATHER_CHANNELS):
            raise AssertionError("len(values) != len(WEATHER_CHANNELS)")
        return np.where(self._known, values, np.nan).astype(np.float32)
