"""Where there is ice, of which type, in which floes: the geography of a simulated scene.

Large fields (concentration, stage of development, coast) are smooth and known at any place; floes,
leads and the mixture of types inside a region are realised from them pixel by pixel, so that the
ice-covered share of an area is the concentration there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, ndtr, ndtri

from ...ground.window import Window
from .noise import Axis, SmoothNoise, generator, octaves

WATER, YOUNG, FIRST_YEAR, MULTI_YEAR, LAND, UNKNOWN = 0, 1, 2, 3, 4, 255
"""Surface classes; the first four are also the codes of the `icetype` band."""

WATER_LIMIT = 0.15
"""Concentration below which the ice-type chart says open water."""

LAND_CODE = 254
"""Value of a given chart that means land; any other above 100 means no data."""

_TYPE_MIXING = 0.35  # standard deviation of the stage of development from floe to floe

ChartReader = Callable[[Window], np.ndarray]
"""Reads a window of a real chart: (row, column), %; NaN or above 100 no data, 254 land."""


@dataclass(frozen=True)
class Climate:
    """What is one number for a whole scene, drawn from its seed.

    Parameters
    ----------
    summer : bool
        Melting: no young ice, wet surfaces, loose pack.
    direction : float
        Direction in which the ice gets closer, radians.
    closing : float
        How fast it does, in standard deviations of the ice-edge field per 100 km.
    edge : float
        Value of the ice-edge field at the edge.
    margin_width : float
        Width of the marginal zone, in units of the ice-edge field.
    pack : float
        Highest concentration, 0..1.
    looseness : float
        Loss of concentration in the loosest parts of the pack, 0..1.
    young_below, multi_year_above : float
        Limits of the stage-of-development field.
    coast : float
        How far the coast field rises, above zero or the scene's centre, before there is land
        (infinite: none).
    """

    summer: bool
    direction: float
    closing: float
    edge: float
    margin_width: float
    pack: float
    looseness: float
    young_below: float
    multi_year_above: float
    coast: float

    @classmethod
    def draw(cls, seed: int, summer: bool | None = None) -> Climate:
        """Return the climate of a seed; by default about one seed in four is a melting scene."""
        draw = generator(f"{seed}/climate").uniform(size=12)
        summer = bool(draw[0] < 0.25) if summer is None else summer
        young = -1.5 + 1.6 * draw[1]
        return cls(
            summer=summer,
            direction=2.0 * np.pi * draw[2],
            closing=0.3 + 0.7 * draw[3],
            edge=-0.7 + 1.4 * draw[4],
            margin_width=0.2 + 1.2 * draw[5] ** 2,
            pack=0.65 + 0.35 * draw[6] if summer else 0.94 + 0.06 * draw[6],
            looseness=0.1 + 0.5 * draw[7],
            young_below=-np.inf if summer else young,
            multi_year_above=max(young + 0.7, -0.1 + 1.6 * draw[8]),
            coast=np.inf if draw[9] < 0.3 else 0.4 + 1.3 * draw[10],
        )


@dataclass(frozen=True)
class Surface:
    """What covers a piece of the scene.

    Parameters
    ----------
    concentration : numpy.ndarray
        (row, column) float32, 0..1: the smooth concentration of the chart; NaN on land and where a
        given chart has no data.
    icetype : numpy.ndarray
        (row, column) uint8: the region's type, 0..3; 255 on land and without data.
    classes : numpy.ndarray
        (row, column) uint8: what each pixel shows, 0..4; 255 without data.
    """

    concentration: np.ndarray
    icetype: np.ndarray
    classes: np.ndarray


class IceGeography:
    """The fields of one seed, for pixels of one size.

    Parameters
    ----------
    seed : int
        The scene's seed.
    climate : Climate
        The scene's drawn numbers.
    centre : tuple of float
        Row and column position of the scene's centre, m: the ice edge passes near it.
    extent : float
        Larger side of the scene, m.
    pixel_size : float
        Size of a pixel, m: octaves finer than two pixels are left out.
    """

    def __init__(
        self, seed: int, climate: Climate, centre: tuple[float, float], extent: float, pixel_size: float
    ) -> None:
        self.climate = climate
        self._centre = centre

        def field(name: str, largest: float, smallest: float, persistence: float) -> SmoothNoise:
            noise = SmoothNoise(f"{seed}/{name}", **octaves(largest, smallest, persistence))
            return noise.coarser_than(2.0 * pixel_size)

        self._edge = field("edge", 160e3, 5e3, 0.62)
        self._looseness = field("looseness", 40e3, 5e3, 0.7)
        self._stage = field("stage", 120e3, 7.5e3, 0.65)
        self._coast = field("coast", 150e3, 4.6e3, 0.6)
        self._large_floes = field("large floes", 4.8e3, 600.0, 0.8)
        self._small_floes = field("small floes", 1.2e3, 150.0, 0.85)
        self._leads = field("leads", 12e3, 750.0, 0.6)
        self._floe_stage = field("floe stage", 6e3, 375.0, 0.7)
        at_centre = (Axis(centre[0], 1.0, 1), Axis(centre[1], 1.0, 1))
        self._edge_at_centre = float(self._edge.evaluate(*at_centre)[0, 0])
        # The centre is always sea.
        self._coast_value = climate.coast + max(0.0, float(self._coast.evaluate(*at_centre)[0, 0]))
        # A scene smaller than the ice edge's meanders still shows both sides of the edge.
        self._edge_value = climate.edge * min(1.0, extent / 300e3)

    def closeness(self, rows: Axis, cols: Axis) -> np.ndarray:
        """Return the ice-edge field, (rows, cols) float32: zero at the edge, growing into the pack."""
        slope = self.climate.closing / 100e3
        down = slope * np.sin(self.climate.direction) * (rows.positions - self._centre[0])
        across = slope * np.cos(self.climate.direction) * (cols.positions - self._centre[1])
        trend = (down[:, None] + across[None, :] - (self._edge_at_centre + self._edge_value)).astype(
            np.float32
        )
        return self._edge.evaluate(rows, cols) + trend

    def concentration(self, rows: Axis, cols: Axis, closeness: np.ndarray) -> np.ndarray:
        """Return the chart's concentration, (rows, cols) float32 in 0..1, with no regard to land."""
        ramp = np.clip(closeness / np.float32(self.climate.margin_width), 0.0, 1.0)
        ramp = ramp * ramp * (3.0 - 2.0 * ramp)
        loose = np.clip((self._looseness.evaluate(rows, cols) - 0.2) / 1.5, 0.0, 1.0)
        concentration = (
            ramp * np.float32(self.climate.pack) * (1.0 - np.float32(self.climate.looseness) * loose)
        )
        return np.where(concentration < 0.02, np.float32(0.0), concentration)

    def stage(self, rows: Axis, cols: Axis, closeness: np.ndarray) -> np.ndarray:
        """Return the stage of development, (rows, cols) float32: low young, high multi-year."""
        return np.float32(0.8) * self._stage.evaluate(rows, cols) + np.float32(0.4) * (
            np.clip(closeness, 0.0, 2.0) - 1.0
        )

    def land(self, rows: Axis, cols: Axis) -> np.ndarray:
        """Return where there is land, (rows, cols) bool."""
        if not np.isfinite(self._coast_value):
            return np.zeros((rows.count, cols.count), dtype=bool)
        return self._coast.evaluate(rows, cols) > np.float32(self._coast_value)

    def type_fractions(self, stage: np.ndarray) -> np.ndarray:
        """Return the expected shares of young, first-year and multi-year ice: (3, …) float64, sum 1.

        The share of floes whose own stage, normal about the region's, falls in each class.
        """
        below_young = ndtr((self.climate.young_below - stage.astype(np.float64)) / _TYPE_MIXING)
        below_multi = ndtr((self.climate.multi_year_above - stage.astype(np.float64)) / _TYPE_MIXING)
        return np.stack([below_young, below_multi - below_young, 1.0 - below_multi])

    def region_type(self, stage: np.ndarray) -> np.ndarray:
        """Return the type of ice that prevails: uint8 codes 1, 2, 3."""
        types = np.full(stage.shape, FIRST_YEAR, dtype=np.uint8)
        types[stage < self.climate.young_below] = YOUNG
        types[stage > self.climate.multi_year_above] = MULTI_YEAR
        return types

    def is_ice(self, rows: Axis, cols: Axis, concentration: np.ndarray) -> np.ndarray:
        """Realise floes and leads: (rows, cols) bool, ice with probability `concentration` everywhere.

        In close pack most of the open water is leads, elsewhere it lies between floes; the two are
        independent and the ice-covered share is their product. Floes are smaller in loose ice.
        """
        lead_share = np.clip((concentration - 0.7) / 0.2, 0.0, 1.0) * np.float32(0.7)
        lead_water = lead_share * (1.0 - concentration)
        between_leads = np.clip(concentration / np.maximum(1.0 - lead_water, 1e-3), 0.0, 1.0)
        large = np.clip(concentration, 0.2, 0.9)
        mixed = large * self._large_floes.evaluate(rows, cols) + (1.0 - large) * self._small_floes.evaluate(
            rows, cols
        )
        normal = mixed / np.sqrt(large**2 + (1.0 - large) ** 2)
        # A normal number is below the c-quantile with probability c; |normal| below t with erf(t / sqrt 2).
        floe = normal < ndtri(between_leads)
        lead = erf(np.abs(self._leads.evaluate(rows, cols)) * np.float32(np.sqrt(0.5))) < lead_water
        return (floe & ~lead) | (concentration >= 0.999)

    def surface(self, rows: Axis, cols: Axis, chart: np.ndarray | None = None) -> Surface:
        """Return what covers the pixels at these positions.

        Parameters
        ----------
        rows, cols : Axis
            Pixel centres.
        chart : numpy.ndarray, optional
            (rows, cols) of a real chart in % to follow instead of the simulated concentration and
            coast; NaN or above 100 no data, 254 land.
        """
        closeness = self.closeness(rows, cols)
        if chart is None:
            concentration = self.concentration(rows, cols, closeness)
            land = self.land(rows, cols)
            unknown = np.zeros_like(land)
        else:
            land = chart == LAND_CODE
            unknown = ~land & ~((chart >= 0.0) & (chart <= 100.0))
            concentration = np.where(land | unknown, 0.0, chart / 100.0).astype(np.float32)
        stage = self.stage(rows, cols, closeness)
        floe_stage = np.float32(_TYPE_MIXING) * self._floe_stage.evaluate(rows, cols)
        classes = np.where(
            self.is_ice(rows, cols, concentration), self.region_type(stage + floe_stage), np.uint8(WATER)
        )
        icetype = np.where(concentration < WATER_LIMIT, np.uint8(WATER), self.region_type(stage))
        classes[land], icetype[land] = LAND, UNKNOWN
        classes[unknown], icetype[unknown] = UNKNOWN, UNKNOWN
        concentration[land | unknown] = np.nan
        return Surface(concentration, icetype, classes)
