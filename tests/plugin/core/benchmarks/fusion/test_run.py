"""The project's own network is trained on additive scenes, and its tools find what the channels contributed."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.fusion.controls import BROKEN, SHIFTED
from floelens.plugin.core.benchmarks.fusion.explaining import ABLATION, GATED, INTEGRATED
from floelens.plugin.core.benchmarks.fusion.networks import Effort
from floelens.plugin.core.benchmarks.fusion.run import (
    CONTRIBUTIONS,
    RELEVANCE,
    Extent,
    FusionResult,
    run_variant,
)
from floelens.plugin.core.benchmarks.fusion.scores import CHANNEL, DETAIL, MEASURES, PEARSON
from floelens.plugin.core.relevance.methods import METHODS
from floelens.plugin.ground.errors import Cancelled

SMALL = "interpretability_small"
MWR = ("btemp_18_7v", "btemp_36_5h", "btemp_89_0h")
EXTENT = Extent((SMALL,), Effort(80, 3, 120, 6, 50), scenes=2, cells=6, draws=2, patch=25, steps=8, mwr=MWR)


@pytest.fixture(scope="module")
def result() -> FusionResult:
    return run_variant(SMALL, EXTENT, tuple(METHODS), seed=0)


def scores(result: FusionResult, kind: str, measure: str) -> dict[str, float]:
    rows = [row for row in result.judged if row.condition.endswith(kind)]
    return {row.method: float(np.mean(row.scores[measure])) for row in rows}


def test_integrated_gradients_find_the_truth_of_a_network_that_learnt_it(result):
    assert result.explained_variance > 0.95
    found = scores(result, CONTRIBUTIONS, PEARSON)
    assert found[INTEGRATED] > 0.95
    assert (
        found[ABLATION] > 0.95
    )  # nothing but the channel itself contributes, so that taking it away is exact
    assert result.ceilings[CONTRIBUTIONS][PEARSON] < 0.95
    assert found[GATED] < found[INTEGRATED]
    assert scores(result, RELEVANCE, PEARSON)["integrated_gradients"] > 0.9


def test_broken_maps_are_behind_all_methods_that_part_the_logit(result):
    found = {measure.word: scores(result, CONTRIBUTIONS, measure.word) for measure in MEASURES}
    for word in BROKEN:
        measure = DETAIL if word == SHIFTED else CHANNEL
        assert found[measure][word] < min(found[measure][method] for method in (INTEGRATED, GATED, ABLATION))


def test_every_method_is_scored_on_every_scene(result):
    found = {row.method: row for row in result.judged if row.condition.endswith(RELEVANCE)}
    assert set(METHODS) <= set(found)
    for method in METHODS:
        assert len(found[method].scores[PEARSON]) == EXTENT.scenes
        assert np.isfinite(found[method].scores[PEARSON]).all()
        assert found[method].seconds > 0
        assert result.maps[RELEVANCE, method].fine.shape == (2, 100, 100)
        assert result.maps[RELEVANCE, method].coarse.shape == (3, 4, 4)


def test_a_seed_decides_all_numbers_and_a_run_ends_when_asked():
    tiny = Extent(("v2",), Effort(20, 3, 3, 2, 50), scenes=1, cells=4, mwr=MWR[:1])
    one, again = (run_variant("v2", tiny, ("gradient_x_input",), seed=5) for _ in range(2))
    for left, right in zip(one.judged, again.judged):
        assert left.method == right.method
        assert {key: values.tobytes() for key, values in left.scores.items()} == {
            key: values.tobytes() for key, values in right.scores.items()
        }

    def stop(share: float) -> None:
        if share > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run_variant("v2", tiny, ("gradient_x_input",), seed=5, check=stop)
