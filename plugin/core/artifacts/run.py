"""Fact or artifact, window by window: maps of the scene and of inputs that hold nothing, and what the tests find.

A :class:`Study` looks at one window at a time and keeps sums alone, so memory does not depend on the scene; each window
gives the rasters' values there. :meth:`Study.findings` says at the end what all windows together show::

    study = Study(mapper, region, windows, Settings())
    for window in windows:
        found = study.look(source.read(study.needs(window)), window)
    findings = study.findings()

Cost in passes over the windows: 1 for the scene, REPEATS + 2 for null inputs, 2 for shuffled networks; the other tests
take a quarter or a sixteenth of the windows (:mod:`.settings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...ground.errors import ModelError
from ...ground.protocols import Patch
from ...ground.vocabulary.artifact_tests import ARTIFACT, NOT_APPLICABLE, REPORTED, TESTS, TRAINED, UNTRAINED
from ...ground.window import Window
from .experiments import MARGIN, Similarity, focus, mirroring, shifted_values, similarity, translation
from .fields import corrected, overlap
from .inputs import Surrogates, constant, flat_cells, means_of
from .maps import Mapper
from .settings import (
    CASCADE,
    FOCUS,
    MIRRORING,
    NULL,
    REPLICATES,
    RULES,
    TRANSLATION,
    UNTRAINED_EVERYWHERE,
    UNTRAINED_IN_PIECES,
    WEIGHTS,
    Settings,
    few,
    fewer,
    measured,
)
from .significance import largest_standardised, rank_correlation, rank_p
from .structure import COLUMNS, PARTS, Place, Structure, structure_of
from .sums import Sums, outcome_finding
from .verdicts import ALIKE, VISIBLE, Finding, judged, quantiles
from .windows import SMALLEST


@dataclass(frozen=True)
class WindowMaps:
    """What the rasters hold of a window: arrays (row, column), NaN where there is no map.

    Parameters
    ----------
    share, border, pattern, untrained, local : numpy.ndarray
        Share of the map without the data; border part; pattern; what untrained networks have in common with it;
        what else stays in place. All but the first in units of the map.
    relevance, q_values, p_values : numpy.ndarray
        The corrected map and its significance.
    observed, null_mean : numpy.ndarray
        The map itself, and the mean map of noise with the window's mean and spectrum.
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

    def artifact_bands(self) -> np.ndarray:
        """Return the bands of the first raster."""
        return np.stack([self.share, self.border, self.pattern, self.untrained, self.local, self.null_mean])

    def corrected_bands(self) -> np.ndarray:
        """Return the bands of the second raster."""
        return np.stack([self.relevance, self.q_values, self.p_values])


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
    zero, constant, untrained : float
        Sums of |map| for inputs at their training means and at the window's means; what untrained networks share.
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


class Study:
    """Looks at windows one after the other and judges at the end.

    Parameters
    ----------
    mapper : Mapper
        Makes the maps.
    region : Window
        What is explained: the scene or a part of it. Its edges are where borders are looked for.
    windows : sequence of Window
        Those that will be looked at.
    settings : Settings
        What is done.
    """

    def __init__(self, mapper: Mapper, region: Window, windows: Sequence[Window], settings: Settings) -> None:
        self._mapper, self._region, self._settings = mapper, region, settings
        self._few, self._fewer = few(windows), fewer(windows)
        shuffled = UNTRAINED_EVERYWHERE if WEIGHTS in settings.tests else 0
        self._untrained = [mapper.randomised(draw) for draw in range(1, 1 + shuffled)]
        self._structure = Sums()
        self._edges = False
        self._outcomes: dict[str, Sums] = {TRANSLATION: Sums(), MIRRORING: Sums(), FOCUS: Sums()}
        self._similarities: list[Similarity] = []
        self._rules: dict[str, list[tuple[float, float]]] = {}
        self._periods: dict[int, float] = {}
        self._shifts: dict[str, np.ndarray] = {}
        self.totals = Totals()

    def needs(self, window: Window) -> Window:
        """Return the window that must be read for one that is looked at."""
        return self._mapper.needs(window, MARGIN)

    def look(self, patch: Patch, window: Window) -> WindowMaps | None:
        """Look at a window; None where it has no valid pixel.

        Parameters
        ----------
        patch : Patch
            What was read over :meth:`needs`.
        window : Window
            One of the study's windows.
        """
        if not patch.valid[window.slices(patch.window)].any():
            return None
        mapper, settings = self._mapper, self._settings
        observed = mapper.relevance(patch, window)
        if not np.isfinite(observed).any():
            return None
        draws = Surrogates(patch, settings.seed)
        maps = np.stack([mapper.relevance(draws.draw(n), window) for n in range(settings.repeats)])
        filled = np.where(np.isfinite(maps), maps, np.nanmean(maps, axis=(1, 2), keepdims=True))
        place = self._place(window)
        whole = bool(patch.valid.all() and np.isfinite(maps).all())
        tested = whole and NULL in settings.tests and min(window.rows, window.cols) >= SMALLEST
        random = self._random(window)
        structure = structure_of(filled, place, REPLICATES, random)
        if tested:
            self._take(structure, filled, place)
        zero = mapper.relevance(mapper.zero(patch), window)
        parts = corrected(observed, filled, structure, place, float(np.nanmean(zero)))
        self.totals.zero += float(np.nansum(np.abs(zero)))
        untrained = self._untrained_map(patch, window)
        common = overlap(observed, untrained) if untrained is not None else np.full(observed.shape, np.nan)
        self._count(observed, parts, common, settings.level)
        if NULL in settings.tests:
            flat = constant(patch, means_of(patch.fine, patch.valid), means_of(patch.coarse, None))
            self.totals.constant += float(np.nansum(np.abs(mapper.relevance(flat, window))))
        self._try_pieces(patch, window, observed)
        known = np.isfinite(observed)
        pieces_of = {name: np.where(known, part, np.nan) for name, part in structure.parts().items()}
        return WindowMaps(
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
        )

    def _place(self, window: Window) -> Place:
        edges = window.shared_sides(self._region)
        return Place(
            window.row, window.col, window.rows, window.cols, edges, self._mapper.radius, self._mapper.periods
        )

    def _random(self, window: Window) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, window.row, window.col])

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

    def _untrained_map(self, patch: Patch, window: Window) -> np.ndarray | None:
        if not self._untrained:
            return None
        total = np.zeros((window.rows, window.cols))
        for network in self._untrained:
            size = np.abs(network.relevance(patch, window))
            mean = np.nansum(size)
            total += size / mean if mean else 0.0
        return total

    def _count(self, observed: np.ndarray, parts, common: np.ndarray, level: float) -> None:
        totals = self.totals
        size = np.abs(observed)
        found = parts.q_values <= level
        totals.pixels += int(np.isfinite(observed).sum())
        totals.relevance += float(np.nansum(observed))
        totals.corrected += float(np.nansum(parts.relevance))
        totals.artifact += float(np.nansum(parts.artifact))
        totals.absolute += float(np.nansum(size))
        totals.absolute_artifact += float(np.nansum(np.abs(parts.artifact)))
        totals.absolute_corrected += float(np.nansum(np.abs(parts.relevance)))
        totals.significant += float(size[found].sum())
        totals.significant_pixels += int(found.sum())
        totals.untrained += float(np.nansum(common))

    def _try_pieces(self, patch: Patch, window: Window, observed: np.ndarray) -> None:
        tests, random = self._settings.tests, self._random(window)
        mapper, region = self._mapper, self._region
        for piece in self._few:
            if not measured(piece, window, patch):
                continue
            mine = observed[piece.slices(window)]
            if TRANSLATION in tests or MIRRORING in tests:
                base = mapper.relevance(flat_cells(patch), piece) if patch.coarse.size else mine
                for test, run in ((TRANSLATION, translation), (MIRRORING, mirroring)):
                    if test in tests:
                        found = run(mapper, patch, piece, base, region, REPLICATES, random)
                        if found is not None:
                            self._outcomes[test].add_outcome(found)
            if FOCUS in tests:
                self._outcomes[FOCUS].add_outcome(focus(mapper, patch, piece, mine, REPLICATES, random))
                for name, sums in shifted_values(mapper, patch, piece, mine).items():
                    self._shifts[name] = self._shifts.get(name, np.zeros(4)) + sums
        for piece in self._fewer:
            if not measured(piece, window, patch):
                continue
            mine = observed[piece.slices(window)]
            if WEIGHTS in tests:
                self._shuffle(patch, piece, mine)
            if RULES in tests:
                self._compare_rules(patch, piece, mine)

    def _shuffle(self, patch: Patch, piece: Window, mine: np.ndarray) -> None:
        mapper, depth = self._mapper, self._mapper.depth()
        maps = [mapper.randomised(draw).relevance(patch, piece) for draw in range(1, 1 + UNTRAINED_IN_PIECES)]
        steps = sorted({max(1, round(depth * k / (CASCADE + 1))) for k in range(1, CASCADE + 1)})
        cascade = [(k, mapper.randomised(1, k).relevance(patch, piece)) for k in steps if k < depth]
        self._similarities.append(similarity([mine, *maps], cascade))

    def _compare_rules(self, patch: Patch, piece: Window, mine: np.ndarray) -> None:
        for word, other in self._mapper.compared().items():
            try:
                found = other.relevance(patch, piece)
            except ModelError:  # no rule for a layer of this network
                continue
            residual = float(getattr(other, "residual", float("nan")))
            self._rules.setdefault(word, []).append((rank_correlation(mine, found), residual))

    def findings(self) -> tuple[Finding, ...]:
        """Return what all windows together show, judged."""
        tests, found = self._settings.tests, []
        if NULL in tests:
            found += self._null_findings()
        for test in (TRANSLATION, MIRRORING, FOCUS):
            if test in tests:
                found.append(outcome_finding(test, self._outcomes[test]))
        for name, (change, size, logit, logits) in self._shifts.items():
            moved = float(change / size) if size else 0.0
            numbers = {"prediction_change": float(logit / logits) if logits else 0.0}
            found.append(Finding(FOCUS, name, moved, size=moved, numbers=numbers))
        if WEIGHTS in tests:
            found += self._weight_findings()
        for word, values in self._rules.items():
            correlation, residual = np.mean(values, axis=0)
            found.append(
                Finding(RULES, word, float(correlation), numbers={"conservation_error": float(residual)})
            )
        order = {test: place for place, test in enumerate(TESTS)}
        return judged(sorted(found, key=lambda finding: order[finding.test]), self._settings.level)

    def _null_findings(self) -> list[Finding]:
        totals, sums, found = self.totals, self._structure, []
        zero = totals.zero / totals.absolute if totals.absolute else 0.0
        flat = totals.constant / totals.absolute if totals.absolute else 0.0
        for part, share in (("zero", zero), ("constant", flat)):
            verdict = ARTIFACT if part == "zero" and share >= VISIBLE else REPORTED
            found.append(Finding(NULL, part, share, size=share, verdict=verdict))
        if sums.statistics is None:
            return [*found, Finding(NULL, "noise", float("nan"), verdict=NOT_APPLICABLE)]
        for part in PARTS:
            if (part == "border" and not self._edges) or (part == "pattern" and not self._periods):
                continue
            chosen = largest_standardised(sums.statistics[:, COLUMNS[part]])
            numbers = {"period": float(self.period)} if part == "pattern" else {}
            if part == "border":
                numbers = {"reach": float(self._mapper.radius)}
            found.append(
                Finding(
                    NULL,
                    part,
                    float(chosen[0]),
                    quantiles(chosen[1:]),
                    rank_p(chosen[0], chosen[1:]),
                    sums.numbers[part] / max(sums.numbers[f"{part}_pixels"], 1.0),
                    numbers,
                    in_family=True,
                )
            )
        return found

    @property
    def period(self) -> int:
        """The period of the strongest pattern, in pixels; 0 where there is none."""
        return max(self._periods, key=lambda period: self._periods[period], default=0)

    def _weight_findings(self) -> list[Finding]:
        if not self._similarities:
            return [Finding(WEIGHTS, "", float("nan"), verdict=NOT_APPLICABLE)]
        statistics = np.sum([each.statistics for each in self._similarities], axis=0)
        correlation = float(np.mean([each.correlation for each in self._similarities]))
        among = float(np.mean([each.among for each in self._similarities]))
        p_value = rank_p(statistics[0], statistics[1:])
        alike = p_value > self._settings.level and correlation >= ALIKE
        share = self.totals.untrained / self.totals.absolute if self.totals.absolute else 0.0
        found = [
            Finding(
                WEIGHTS,
                "all layers",
                correlation,
                quantiles(-statistics[1:] / len(self._similarities)),
                p_value,
                share,
                {"among_untrained": among},
                verdict=UNTRAINED if alike else TRAINED,
            )
        ]
        for index, (layers, _) in enumerate(self._similarities[0].cascade):
            values = [each.cascade[index][1] for each in self._similarities]
            name = f"last {layers} layer{'s'[: layers != 1]}"
            found.append(Finding(WEIGHTS, name, float(np.mean(values)), numbers={"layers": float(layers)}))
        return found
