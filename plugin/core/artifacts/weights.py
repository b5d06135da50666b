"""Does a map depend on what its network learned? Networks with shuffled weights, and others that were trained alike.

*Shuffled all at once*: the trained network's map is one of R + 1; its mean rank correlation with the others is ranked
among theirs. *Cascade*: weights are shuffled from the output back; a map that stays as it is does not see the layers
that were shuffled (Adebayo et al. 2018, arXiv 1810.03292; Sixt et al. 2020, arXiv 1912.09818, for z⁺). *Other trained
networks*: their rank correlation with the map is ranked among those of the shuffled ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...ground.protocols import Patch
from ...ground.vocabulary.artifact_tests import NOT_APPLICABLE, REPORTED, TRAINED, UNDECIDED, UNTRAINED
from ...ground.window import Window
from .experiments import Similarity, similarity
from .maps import Mapper
from .sensors import SensorStudy, Totals
from .settings import CASCADE, UNTRAINED_IN_PIECES, WEIGHTS
from .significance import rank_correlation, rank_p
from .verdicts import BLIND, Finding, quantiles, training_verdict


class WeightTests:
    """Comparisons with other networks, piece by piece.

    Parameters
    ----------
    mapper : Mapper
        Of the network.
    trained : sequence of Mapper
        Of other trained networks.
    """

    def __init__(self, mapper: Mapper, trained: Sequence[Mapper] = ()) -> None:
        self._mapper, self._trained = mapper, trained
        self._similarities: list[Similarity] = []
        # (1 + shuffled networks,): rank correlation of the map with other trained networks, then with each shuffled.
        self._agreement: list[np.ndarray] = []

    def look(self, patch: Patch, piece: Window, mine: np.ndarray) -> None:
        """Compare the map `mine` (row, column) of a piece."""
        mapper, depth = self._mapper, self._mapper.depth()
        draws = range(1, 1 + UNTRAINED_IN_PIECES)
        maps = [mapper.randomised(draw).relevance(patch, piece) for draw in draws]
        steps = sorted({max(1, round(depth * k / (CASCADE + 1))) for k in range(1, CASCADE + 1)})
        cascade = [(k, mapper.randomised(1, k).relevance(patch, piece)) for k in steps if k < depth]
        self._similarities.append(similarity([mine, *maps], cascade))
        if self._trained:
            sizes = [np.abs(each.relevance(patch, piece)) for each in self._trained]
            own = np.abs(mine)
            others = float(np.mean([rank_correlation(own, size) for size in sizes]))
            self._agreement.append(np.array([others, *(rank_correlation(own, np.abs(m)) for m in maps)]))

    def findings(self, totals: Totals, radiometry: SensorStudy, level: float) -> list[Finding]:
        """Return the rows; `totals`: of all windows on the SAR grid."""
        if not self._similarities:
            return [Finding(WEIGHTS, "", float("nan"), verdict=NOT_APPLICABLE)]
        number = len(self._similarities)
        statistics = np.sum([each.statistics for each in self._similarities], axis=0)
        correlation = float(np.mean([each.correlation for each in self._similarities]))
        among = float(np.mean([each.among for each in self._similarities]))
        p_value = rank_p(statistics[0], statistics[1:])
        rows = [
            Finding(
                WEIGHTS,
                "all layers",
                correlation,
                quantiles(-statistics[1:] / number),
                p_value,
                totals.untrained / totals.absolute if totals.absolute else 0.0,
                {"among_untrained": among},
                verdict=training_verdict(p_value, correlation, level),
            ),
            *self._cascade(),
        ]
        if self._agreement:
            rows.append(self._ensemble(totals, level))
        if radiometry.correlations:
            mine = radiometry.totals
            share = mine.untrained / mine.absolute if mine.absolute else 0.0
            mean = float(np.mean(radiometry.correlations))
            rows.append(Finding(WEIGHTS, "all layers", mean, size=share, sensor=radiometry.sensor))
        return rows

    def _cascade(self) -> list[Finding]:
        rows, depth = [], self._mapper.depth()
        for index, (layers, _) in enumerate(self._similarities[0].cascade):
            mean = float(np.mean([each.cascade[index][1] for each in self._similarities]))
            # The last layer alone scales maps; half of them hold most of what was learned.
            blind = mean >= BLIND and layers >= depth / 2
            name = f"last {layers} layer{'s'[: layers != 1]}"
            numbers = {"layers": float(layers), "depth": float(depth)}
            rows.append(
                Finding(WEIGHTS, name, mean, numbers=numbers, verdict=UNTRAINED if blind else REPORTED)
            )
        return rows

    def _ensemble(self, totals: Totals, level: float) -> Finding:
        agreement = np.mean(self._agreement, axis=0)
        p_value = rank_p(agreement[0], agreement[1:])
        return Finding(
            WEIGHTS,
            "other trained networks",
            float(agreement[0]),
            quantiles(agreement[1:]),
            p_value,
            totals.trained / totals.absolute if totals.absolute else 0.0,
            {"networks": float(len(self._trained))},
            verdict=TRAINED if p_value <= level else UNDECIDED,
        )
