"""One sensor's part of a study: what its null maps show window by window, and what its map exceeds.

The SAR's maps lie on pixels, the radiometry's on cells; both are taken apart and tested in the same way.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from ...ground.artifact_counts import SensorShares
from ...ground.vocabulary.artifact_tests import ARTIFACT, NOT_APPLICABLE, REPORTED
from .borders import BorderPool
from .decomposition import Place
from .fields import corrected, overlap
from .settings import NULL, REPLICATES
from .significance import largest_standardised, rank_correlation, rank_p
from .structure import COLUMNS, PARTS, Borders, Structure, structure_of
from .sums import Sums
from .verdicts import VISIBLE, Finding, quantiles


@dataclass(frozen=True)
class SensorBands:
    """What a sensor's maps of a window become: arrays (row, column), NaN where there is no map.

    Parameters
    ----------
    share, border, pattern, untrained, local : numpy.ndarray
        Share of the map without the data; border part; pattern; what untrained networks have in common with it;
        what else stays in place. All but the first in units of the map.
    relevance, q_values, p_values : numpy.ndarray
        The corrected map and its significance.
    observed, null_mean : numpy.ndarray
        The map itself, and the mean map of noise with the window's mean and spectrum.
    level : float
        Mean of the latter over the window.
    block_q_values : numpy.ndarray
        (block row, block column): significance of whole blocks.
    """

    share: np.ndarray
    border: np.ndarray
    pattern: np.ndarray
    untrained: np.ndarray
    local: np.ndarray
    relevance: np.ndarray
    q_values: np.ndarray
    p_values: np.ndarray
    observed: np.ndarray
    null_mean: np.ndarray
    level: float
    block_q_values: np.ndarray


@dataclass
class Totals:
    """Sums over all pixels of all windows that have a map.

    Parameters
    ----------
    pixels : int
        Their number.
    relevance, corrected, artifact : float
        Sums of the map and of its two parts.
    absolute, absolute_artifact, absolute_corrected, significant : float
        Sums of |map|, of the magnitudes of its parts, and of |map| where its q-value is at most the level.
    significant_pixels : int
        How many these are.
    least_q, repeats_needed : float
        The least q-value of any pixel, and how many null maps would call one fact; infinite where none has one.
    blocks, significant_blocks : int
        Whole blocks that have a q-value, and those of which it is at most the level.
    least_block_q : float
        The least of these q-values; infinite without any.
    zero, constant, untrained, trained : float
        Sums of |map| for inputs at their training means and at the window's means; what untrained networks share,
        and what other trained networks do.
    """

    pixels: int = 0
    relevance: float = 0.0
    corrected: float = 0.0
    artifact: float = 0.0
    absolute: float = 0.0
    absolute_artifact: float = 0.0
    absolute_corrected: float = 0.0
    significant: float = 0.0
    significant_pixels: int = 0
    zero: float = 0.0
    constant: float = 0.0
    untrained: float = 0.0
    trained: float = 0.0
    windows: int = 0
    smooth_windows: int = 0
    least_q: float = math.inf
    repeats_needed: float = math.inf
    blocks: int = 0
    significant_blocks: int = 0
    least_block_q: float = math.inf

    @property
    def shares(self) -> SensorShares:
        """How much of the map is artifact, and how much is fact."""
        whole = self.absolute_artifact + self.absolute_corrected
        return SensorShares(
            self.pixels,
            self.absolute_artifact / whole if whole else 0.0,
            self.significant / (self.absolute or 1.0),
            self.least_q if math.isfinite(self.least_q) else math.nan,
            self.repeats_needed,
            self.smooth_windows == self.windows,
            self.significant_blocks / (self.blocks or 1),
            self.least_block_q if math.isfinite(self.least_block_q) else math.nan,
        )


@dataclass(frozen=True)
class SensorNulls:
    """Null maps of a sensor in a window.

    Parameters
    ----------
    maps : numpy.ndarray
        (draw, row, column), finite.
    whole : bool
        Whether nothing was missing.
    place : Place
        Where they lie.
    structure : Structure
        What stays in place in them.
    """

    maps: np.ndarray
    whole: bool
    place: Place
    structure: Structure

    @classmethod
    def of(cls, maps: np.ndarray, whole: bool, place: Place, random: np.random.Generator) -> SensorNulls:
        """Measure null maps (draw, row, column) that may have gaps."""
        known = np.isfinite(maps)
        if known.all():
            return cls(maps, whole, place, structure_of(maps, place, REPLICATES, random))
        counts = np.maximum(known.sum(axis=(1, 2), keepdims=True), 1)
        means = np.where(known, maps, 0.0).sum(axis=(1, 2), keepdims=True) / counts
        filled = np.where(known, maps, means)
        return cls(filled, False, place, structure_of(filled, place, REPLICATES, random))

    def lighter(self) -> SensorNulls:
        """Return the same with maps in float32."""
        return dataclasses.replace(self, maps=self.maps.astype(np.float32))


class SensorStudy:
    """What all windows of a sensor show.

    Parameters
    ----------
    sensor : str
        ``""`` for the channels on the SAR grid, ``radiometry`` for those of the radiometer.
    smallest : int
        Windows with a shorter side take no part in the tests.
    reach : int
        How far a border may reach, in SAR pixels, for the report.
    """

    def __init__(self, sensor: str, smallest: int, reach: int) -> None:
        self.sensor, self._smallest, self._reach = sensor, smallest, reach
        self._structure = Sums()
        self._edges = False
        self._periods: dict[int, float] = {}
        self._pool = BorderPool()
        self._borders: Borders | None = None
        self.correlations: list[float] = []
        self.totals = Totals()

    def learn(self, nulls: SensorNulls) -> None:
        """Add a window to those of which borders are pooled."""
        if nulls.whole:
            self._pool.add(nulls.place, nulls.structure)
            self._borders = None

    def look(
        self,
        observed: np.ndarray,
        nulls: SensorNulls,
        inside: np.ndarray,
        zero: np.ndarray,
        constant: np.ndarray | None,
        untrained: list[np.ndarray],
        level: float,
    ) -> SensorBands:
        """Look at a window.

        Parameters
        ----------
        observed : numpy.ndarray
            The map (row, column); NaN where there is none.
        nulls : SensorNulls
            Null maps of the window.
        inside : numpy.ndarray
            (row, column), bool: which pixels are asked for.
        zero, constant : numpy.ndarray
            Maps of inputs at their training means and at the window's means; None where not asked for.
        untrained : list of numpy.ndarray
            Maps of networks with shuffled weights.
        level : float
            Of the false discovery rate.
        """
        place, structure = nulls.place, nulls.structure
        if self._borders is None:
            self._borders = self._pool.fit()
        if self._borders is not None:
            structure = structure.pooled(self._borders, place)
        if nulls.whole and min(place.rows, place.cols) >= self._smallest:
            self._take(structure, nulls.maps, place)
        mean = float(np.nanmean(zero))
        observed = np.where(inside, observed, np.nan)
        parts = corrected(observed, nulls.maps, structure, place, mean)
        known = np.isfinite(observed)
        common = np.full(observed.shape, np.nan)
        if untrained:
            common = overlap(observed, _mixed(untrained))
            if self.sensor:  # those of the SAR come from pieces
                sizes = np.abs(observed)
                self.correlations += [rank_correlation(sizes, np.abs(each)) for each in untrained]
        self._count(observed, parts, level)
        totals = self.totals
        totals.untrained += float(np.nansum(common))
        totals.zero += float(np.abs(zero[known]).sum())
        if constant is not None:
            totals.constant += float(np.nansum(np.abs(constant[known])))
        pieces_of = {name: np.where(known, part, np.nan) for name, part in structure.parts().items()}
        return SensorBands(
            parts.share,
            pieces_of["border"],
            pieces_of["pattern"],
            common,
            pieces_of["local"],
            parts.relevance,
            parts.q_values,
            parts.p_values,
            observed,
            np.where(known, structure.null_mean, np.nan),
            structure.signed.level,
            parts.block_q_values,
        )

    def _take(self, structure: Structure, maps: np.ndarray, place: Place) -> None:
        """Add what the null maps of a window without gaps show."""
        signed, sizes = structure.signed, structure.magnitude
        absolute = float(np.abs(maps).mean())  # by pixel and draw
        spread = float(np.abs(maps - maps.mean()).mean())
        numbers = {}
        for index, part in enumerate(PARTS):
            # A border is judged where it is; the other parts everywhere.
            where = place.border if part == "border" else slice(None)
            number = int(place.border.sum()) if part == "border" else maps[0].size
            mine = (
                structure.kept[0, index] * np.abs(getattr(signed, part))[where].sum() / max(absolute, 1e-300)
            )
            other = structure.kept[1, index] * np.abs(getattr(sizes, part))[where].sum() / max(spread, 1e-300)
            numbers[part] = float(max(mine, other))
            numbers[f"{part}_pixels"] = float(number)
        self._structure.add(structure.statistics, 0.0, maps[0].size, numbers)
        self._edges |= any(place.edges) and place.radius > 0
        for taken in (signed, sizes):
            if taken.period:
                self._periods[taken.period] = self._periods.get(taken.period, 0.0) + taken.statistics[0]

    def _count(self, observed: np.ndarray, parts, level: float) -> None:
        totals = self.totals
        size = np.abs(observed)
        significant = parts.q_values <= level
        totals.windows += 1
        totals.smooth_windows += parts.smooth
        totals.pixels += int(np.isfinite(observed).sum())
        totals.relevance += float(np.nansum(observed))
        totals.corrected += float(np.nansum(parts.relevance))
        totals.artifact += float(np.nansum(parts.artifact))
        totals.absolute += float(np.nansum(size))
        totals.absolute_artifact += float(np.nansum(np.abs(parts.artifact)))
        totals.absolute_corrected += float(np.nansum(np.abs(parts.relevance)))
        totals.significant += float(size[significant].sum())
        totals.significant_pixels += int(significant.sum())
        totals.repeats_needed = min(totals.repeats_needed, parts.repeats_needed)
        blocks = parts.block_q_values
        totals.blocks += int(np.isfinite(blocks).sum())
        totals.significant_blocks += int((blocks <= level).sum())
        totals.least_block_q = min(totals.least_block_q, float(np.nanmin(blocks, initial=np.inf)))
        totals.least_q = min(totals.least_q, float(np.nanmin(parts.q_values, initial=np.inf)))

    def findings(self) -> list[Finding]:
        """Return the rows of null inputs."""
        totals, sums, rows = self.totals, self._structure, []
        zero = totals.zero / totals.absolute if totals.absolute else 0.0
        flat = totals.constant / totals.absolute if totals.absolute else 0.0
        for part, share in (("zero", zero), ("constant", flat)):
            verdict = ARTIFACT if part == "zero" and share >= VISIBLE else REPORTED
            rows.append(Finding(NULL, part, share, size=share, verdict=verdict, sensor=self.sensor))
        if sums.statistics is None:
            return [
                *rows,
                Finding(NULL, "noise", float("nan"), verdict=NOT_APPLICABLE, sensor=self.sensor),
            ]
        for part in PARTS:
            if (part == "border" and not self._edges) or (part == "pattern" and not self._periods):
                continue
            chosen = largest_standardised(sums.statistics[:, COLUMNS[part]])
            numbers = {"period": float(self.period)} if part == "pattern" else {}
            if part == "border":
                numbers = {"reach": float(self._reach)}
            rows.append(
                Finding(
                    NULL,
                    part,
                    float(chosen[0]),
                    quantiles(chosen[1:]),
                    rank_p(chosen[0], chosen[1:]),
                    sums.numbers[part] / max(sums.numbers[f"{part}_pixels"], 1.0),
                    numbers,
                    in_family=True,
                    sensor=self.sensor,
                )
            )
        return rows

    @property
    def period(self) -> int:
        """The period of the strongest pattern, in pixels; 0 where there is none."""
        return max(self._periods, key=lambda period: self._periods[period], default=0)


def _mixed(untrained: list[np.ndarray]) -> np.ndarray:
    """Return the magnitudes of maps, each scaled to the same sum, added up."""
    total = np.zeros(untrained[0].shape)
    for each in untrained:
        size = np.abs(each)
        whole = np.nansum(size)
        total += size / whole if whole else 0.0
    return total
