"""Fact or artifact, window by window: maps of the scene and of inputs that hold nothing, and what the tests find.

A :class:`Study` looks at one window at a time and keeps sums alone, so memory does not depend on the scene; each window
gives the rasters' values there. Windows at edges of the scene may be learned from first: what padding adds is pooled
over them. :meth:`Study.findings` says at the end what all windows together show::

    study = Study(mapper, region, windows, Settings())
    for window in at_edges:
        study.learn(source.read(study.needs(window)), window)
    for window in windows:
        found = study.look(source.read(study.needs(window)), window)
    findings = study.findings()

Cost in passes over the windows: 1 for the scene, REPEATS + 2 for null inputs, 2 for shuffled networks; the other tests
take a quarter or a sixteenth of the windows (:mod:`.settings`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...ground.errors import ModelError
from ...ground.protocols import Patch
from ...ground.vocabulary.artifact_tests import NOT_APPLICABLE, TESTS
from ...ground.window import Window
from ..target.target import RegionMask
from .decomposition import Place
from .experiments import MARGIN, altered, focus, mirroring, translation
from .feeding import permutation
from .fields import overlap
from .inputs import Surrogates, constant, flat_cells, means_of
from .maps import Mapper, Maps
from .sensors import SensorBands, SensorNulls, SensorStudy, Totals
from .settings import (
    FOCUS,
    MIRRORING,
    NULL,
    PERMUTATION,
    REPLICATES,
    RULES,
    TRANSLATION,
    WEIGHTS,
    Settings,
    few,
    fewer,
    measured,
    untrained_everywhere,
)
from .significance import rank_correlation
from .sums import Sums, outcome_finding
from .verdicts import Finding, judged
from .weights import WeightTests
from .windows import SMALLEST

# Windows of fewer cells along a side take no part in the tests of the radiometry.
FEWEST_CELLS = 4
MOVING = (TRANSLATION, MIRRORING, PERMUTATION)


@dataclass(frozen=True)
class WindowMaps:
    """What a window gives.

    Parameters
    ----------
    fine : SensorBands
        Of the channels on the SAR grid.
    cells : SensorBands or None
        Of the radiometer's; on cells.
    trained : numpy.ndarray or None
        Part of |map| that all other trained networks put there, (row, column); None without any.
    """

    fine: SensorBands
    cells: SensorBands | None = None
    trained: np.ndarray | None = None

    @property
    def artifact_share(self) -> float:
        """The artifact's share of the sizes of artifact and corrected map."""
        artifact = float(np.nansum(np.abs(self.fine.observed - self.fine.relevance)))
        whole = artifact + float(np.nansum(np.abs(self.fine.relevance)))
        return artifact / whole if whole else 0.0


@dataclass(frozen=True)
class _Nulls:
    fine: SensorNulls
    cells: SensorNulls | None


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
    inside : callable, optional
        Which pixels of a window are asked for; all where None. The tests look at all of the windows.
    trained : sequence of Mapper
        Other networks that were trained alike.
    """

    def __init__(
        self,
        mapper: Mapper,
        region: Window,
        windows: Sequence[Window],
        settings: Settings,
        inside: RegionMask | None = None,
        trained: Sequence[Mapper] = (),
    ) -> None:
        self._mapper, self._region, self._settings = mapper, region, settings
        self._inside = inside
        self._few, self._fewer = few(windows), fewer(windows)
        shuffled = untrained_everywhere(windows) if WEIGHTS in settings.tests else 0
        self._untrained = [mapper.randomised(draw) for draw in range(1, 1 + shuffled)]
        self._trained = list(trained) if WEIGHTS in settings.tests else []
        self._weights = WeightTests(mapper, self._trained)
        self._fine = SensorStudy("", SMALLEST, mapper.radius)
        self._cells = SensorStudy("radiometry", FEWEST_CELLS, mapper.radius)
        self._learned: dict[Window, _Nulls] = {}
        self._outcomes: dict[str, Sums] = {
            TRANSLATION: Sums(),
            MIRRORING: Sums(),
            FOCUS: Sums(),
            PERMUTATION: Sums(),
        }
        self._rules: dict[str, list[tuple[float, float, float]]] = {}
        self._altered: dict[str, np.ndarray] = {}

    @property
    def totals(self) -> Totals:
        """Sums over all windows, of the map on the SAR grid."""
        return self._fine.totals

    @property
    def radiometry(self) -> Totals:
        """Sums over all windows, of the radiometry's map."""
        return self._cells.totals

    @property
    def period(self) -> int:
        """The period of the strongest pattern, in pixels; 0 where there is none."""
        return self._fine.period

    def needs(self, window: Window) -> Window:
        """Return the window that must be read for one that is looked at."""
        return self._mapper.needs(window, MARGIN)

    def learn(self, patch: Patch, window: Window) -> None:
        """Map null inputs of a window at an edge before any is looked at: its border is pooled with others."""
        if not patch.valid[window.slices(patch.window)].any():
            return
        nulls = self._nulls(patch, window)
        self._fine.learn(nulls.fine)
        if nulls.cells is not None:
            self._cells.learn(nulls.cells)
        # In float32, since those of several windows are kept.
        cells = nulls.cells.lighter() if nulls.cells is not None else None
        self._learned[window] = _Nulls(nulls.fine.lighter(), cells)

    def look(self, patch: Patch, window: Window) -> WindowMaps | None:
        """Look at a window; None where it has no valid pixel that is asked for.

        Parameters
        ----------
        patch : Patch
            What was read over :meth:`needs`.
        window : Window
            One of the study's windows.
        """
        here = patch.valid[window.slices(patch.window)]
        inside = np.ones(here.shape, bool) if self._inside is None else self._inside(window)
        if not (here & inside).any():
            return None
        mapper, settings = self._mapper, self._settings
        observed = mapper.maps(patch, window)
        if not np.isfinite(observed.fine[inside]).any():
            return None
        nulls = self._learned.pop(window, None) or self._nulls(patch, window)
        zero = mapper.maps(mapper.zero(patch), window)
        flat = None
        if NULL in settings.tests:
            still = constant(patch, means_of(patch.fine, patch.valid), means_of(patch.coarse, None))
            flat = mapper.maps(still, window)
        shuffled = [network.maps(patch, window) for network in self._untrained]
        fine = self._fine.look(
            observed.fine, nulls.fine, inside, zero.fine, None if flat is None else flat.fine,
            [each.fine for each in shuffled], settings.level,
        )  # fmt: skip
        cells = self._look_at_cells(observed, nulls, inside, zero, flat, shuffled)
        trained = self._shared(patch, window, fine.observed) if self._trained else None
        self._try_pieces(patch, window, observed.fine)
        return WindowMaps(fine, cells, trained)

    def _look_at_cells(
        self,
        observed: Maps,
        nulls: _Nulls,
        inside: np.ndarray,
        zero: Maps,
        flat: Maps | None,
        shuffled: Sequence[Maps],
    ) -> SensorBands | None:
        if observed.cells is None or nulls.cells is None or zero.cells is None:
            return None
        asked = cells_of(inside, self._mapper.ratio)
        if not np.isfinite(observed.cells[asked]).any():
            return None
        return self._cells.look(
            observed.cells, nulls.cells, asked, zero.cells, None if flat is None else flat.cells,
            [each.cells for each in shuffled if each.cells is not None], self._settings.level,
        )  # fmt: skip

    def _shared(self, patch: Patch, window: Window, observed: np.ndarray) -> np.ndarray:
        """Return the part of |map| that all other trained networks put at the same place."""
        shared = np.abs(observed)
        for network in self._trained:
            shared = np.minimum(shared, overlap(observed, network.relevance(patch, window)))
        self._fine.totals.trained += float(np.nansum(shared))
        return shared

    def _nulls(self, patch: Patch, window: Window) -> _Nulls:
        """Map the null inputs of a window and measure what stays in place in them."""
        draws = Surrogates(patch, self._settings.seed)
        maps = [self._mapper.maps(draws.draw(n), window) for n in range(self._settings.repeats)]
        tested = bool(patch.valid.all()) and NULL in self._settings.tests
        random = partial(self._random, window)
        fine = SensorNulls.of(np.stack([m.fine for m in maps]), tested, self.place(window), random())
        cells = [m.cells for m in maps if m.cells is not None]
        if not cells:
            return _Nulls(fine, None)
        ratio = self._mapper.ratio
        here = window.coarser(ratio)
        place = Place(
            here.row,
            here.col,
            here.rows,
            here.cols,
            window.shared_sides(self._region),
            -(-self._mapper.radius // ratio),
        )
        return _Nulls(fine, SensorNulls.of(np.stack(cells), tested, place, random()))

    def place(self, window: Window) -> Place:
        """Return where a window lies, as far as its structure goes."""
        edges = window.shared_sides(self._region)
        return Place(
            window.row, window.col, window.rows, window.cols, edges, self._mapper.radius, self._mapper.periods
        )

    def _random(self, window: Window) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, window.row, window.col])

    def _try_pieces(self, patch: Patch, window: Window, observed: np.ndarray) -> None:
        tests, random = self._settings.tests, self._random(window)
        mapper, region = self._mapper, self._region
        for piece in self._few:
            if not measured(piece, window, patch):
                continue
            mine = observed[piece.slices(window)]
            self._move(patch, piece, mine, random)
            if FOCUS in tests:
                self._outcomes[FOCUS].add_outcome(focus(mapper, patch, piece, mine, REPLICATES, random))
        for piece in self._fewer:
            if not measured(piece, window, patch):
                continue
            mine = observed[piece.slices(window)]
            if FOCUS in tests:
                for name, sums in altered(mapper, patch, piece, mine, region).items():
                    self._altered[name] = self._altered.get(name, np.zeros(4)) + sums
            if WEIGHTS in tests:
                self._weights.look(patch, piece, mine)
            if RULES in tests:
                self._compare_rules(patch, piece, mine)

    def _move(self, patch: Patch, piece: Window, mine: np.ndarray, random: np.random.Generator) -> None:
        """Run the tests for which the scene is moved, mirrored or put in another order."""
        mapper, region = self._mapper, self._region
        tests = [test for test in MOVING if test in self._settings.tests]
        if mapper.feeding_axis is None and PERMUTATION in tests:
            tests.remove(PERMUTATION)
        if not tests:
            return
        base = mapper.relevance(flat_cells(patch), piece) if patch.coarse.size else mine
        for test in tests:
            if test == PERMUTATION:
                outcome = permutation(mapper, patch, piece, base, REPLICATES, random)
            else:
                run = translation if test == TRANSLATION else mirroring
                outcome = run(mapper, patch, piece, base, region, REPLICATES, random)
            if outcome is not None:
                self._outcomes[test].add_outcome(outcome)

    def _compare_rules(self, patch: Patch, piece: Window, mine: np.ndarray) -> None:
        for word, other in self._mapper.compared().items():
            try:
                maps = other.maps(patch, piece)
            except ModelError:  # no rule for a layer of this network
                continue
            error = abs(maps.relevance_sum - maps.target_sum)
            numbers = rank_correlation(mine, maps.fine), error, abs(maps.target_sum)
            self._rules.setdefault(word, []).append(numbers)

    def findings(self) -> tuple[Finding, ...]:
        """Return what all windows together show, judged."""
        tests, level, rows = self._settings.tests, self._settings.level, []
        if NULL in tests:
            rows += self._fine.findings()
            if self.radiometry.pixels:
                rows += self._cells.findings()
        for test in (each for each in self._outcomes if each in tests):
            if test == PERMUTATION and self._mapper.feeding_axis is None:
                numbers = {"direction": 0.0}
                rows.append(Finding(test, "", float("nan"), verdict=NOT_APPLICABLE, numbers=numbers))
            else:
                rows.append(outcome_finding(test, self._outcomes[test]))
        for name, (change, size, logit, logits) in self._altered.items():
            moved = float(change / size) if size else 0.0
            numbers = {"prediction_change": float(logit / logits) if logits else 0.0}
            rows.append(Finding(FOCUS, name, moved, size=moved, numbers=numbers))
        if WEIGHTS in tests:
            rows += self._weights.findings(self.totals, self._cells, level)
        if RULES in tests and not self._rules:
            rows.append(Finding(RULES, "", float("nan"), verdict=NOT_APPLICABLE))
        for word, values in self._rules.items():
            correlation, _, _ = np.mean(values, axis=0)
            _, errors, targets = np.sum(values, axis=0)
            error = float(errors / targets) if targets else float("nan")
            rows.append(Finding(RULES, word, float(correlation), numbers={"conservation_error": error}))
        order = {test: place for place, test in enumerate(TESTS)}
        return judged(sorted(rows, key=lambda finding: order[finding.test]), level)


def cells_of(inside: np.ndarray, ratio: int) -> np.ndarray:
    """Return which cells of `ratio` pixels a side hold any of the pixels `inside` (row, column), bool."""
    rows, cols = inside.shape
    cells = np.zeros((-(-rows // ratio) * ratio, -(-cols // ratio) * ratio), bool)
    cells[:rows, :cols] = inside
    return cells.reshape(-1, ratio, cells.shape[1] // ratio, ratio).any(axis=(1, 3))
