"""The project's own network is an additive target, or learns it, and its tools find what the channels contributed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.fusion.controls import BROKEN
from floelens.plugin.core.benchmarks.fusion.explaining import ABLATION, GATED, INTEGRATED
from floelens.plugin.core.benchmarks.fusion.networks import Effort
from floelens.plugin.core.benchmarks.fusion.run import (
    CONTRIBUTIONS,
    EXTENTS,
    RELEVANCE,
    SMALL,
    Extent,
    FusionResult,
    run_variant,
)
from floelens.plugin.core.benchmarks.fusion.scores import DETAIL, MEASURES, PEARSON
from floelens.plugin.ground.errors import Cancelled

MWR = ("btemp_18_7v", "btemp_36_5h", "btemp_89_0h")
EXTENT = Extent(
    (), Effort(12, 3, 2, 2, 50), scenes=1, cells=5, draws=2, patch=25, steps=4, mwr=MWR, mwr_free=MWR
)
GATES = ("gradient_x_input",)
FROM_BASELINE = ("integrated_gradients", "deeplift")
OTHERS = ("gradient", "lrp_gamma", "lrp_zplus", "lrp_alpha_beta")


@pytest.fixture(scope="module", params=[SMALL, "v2"])
def exact(request) -> FusionResult:
    methods = (*GATES, *FROM_BASELINE, *(OTHERS if request.param == SMALL else ()))
    return run_variant(f"{request.param}_exact", EXTENT, methods, seed=0)


def scores(result: FusionResult, kind: str, measure: str) -> dict[str, float]:
    rows = [row for row in result.judged if row.condition == f"fusion_{result.variant}_{kind}"]
    return {
        row.method: float(np.nan_to_num(row.scores[measure]).mean()) for row in rows if measure in row.scores
    }


def test_of_a_network_that_is_the_target_the_truth_is_found(exact):
    assert exact.explained_variance == pytest.approx(1, abs=1e-9)
    for measure in MEASURES:
        found = {**scores(exact, CONTRIBUTIONS, measure.word), **scores(exact, RELEVANCE, measure.word)}
        for method in (INTEGRATED, ABLATION, *FROM_BASELINE):
            # Nodes of a path do not meet every place where a gate changes; steps with secants need not.
            nodes = method == FROM_BASELINE[0] and exact.variant == "v2_exact"
            assert found[method] == pytest.approx(1, abs=5e-3 if nodes else 1e-5), (measure.word, method)


def test_methods_that_see_gates_show_what_gates_can_show_and_no_more(exact):
    shown = {**exact.of_gated[CONTRIBUTIONS], **exact.of_gated[RELEVANCE]}
    assert shown == pytest.approx(dict.fromkeys((GATED, GATES[0]), 1.0), abs=1e-5)
    for kind, method in ((CONTRIBUTIONS, GATED), (RELEVANCE, GATES[0])):
        ceiling = exact.ceilings[kind][PEARSON]
        assert scores(exact, kind, PEARSON)[method] == pytest.approx(ceiling, abs=1e-5)
        assert ceiling < 0.9


def test_broken_maps_are_ranked_behind_every_method_that_shares_out_the_logit(exact):
    for kind in (CONTRIBUTIONS, RELEVANCE):
        found = scores(exact, kind, DETAIL)
        sharing = [word for word in found if word not in (*BROKEN, "sobel", "random", "gradient")]
        assert max(found[word] for word in BROKEN) < min(found[word] for word in sharing)


def test_where_inputs_are_independent_a_map_that_is_moved_by_one_pixel_agrees_no_more_than_noise():
    extent = replace(EXTENT, scenes=2)
    result = run_variant(f"{SMALL}_white_exact", extent, ("deeplift", "gradient_x_input"), seed=0)
    assert result.explained_variance == pytest.approx(1, abs=1e-9)
    assert result.broken == {CONTRIBUTIONS: INTEGRATED, RELEVANCE: "deeplift"}
    alike = run_variant(f"{SMALL}_exact", extent, (), seed=0)
    assert scores(alike, CONTRIBUTIONS, PEARSON)["broken_shifted"] > 0.2  # neighbours that are alike
    for kind, best in result.broken.items():
        found = scores(result, kind, PEARSON)
        assert found[best] == pytest.approx(1, abs=1e-5)
        assert found["broken_sign"] == pytest.approx(-1, abs=1e-5)
        assert abs(found["broken_shifted"]) < 0.15
        assert abs(found["broken_swapped"]) < 0.15
        sharing = [word for word in found if word not in (*BROKEN, "sobel", "random")]
        assert min(found[word] for word in sharing) > 0.3


@pytest.mark.slow  # half a minute: the quick form, trained
def test_integrated_gradients_of_the_quick_form_correlate_with_the_truth():
    result = run_variant(SMALL, EXTENTS["quick"], ("integrated_gradients",), seed=0)
    assert result.explained_variance > 0.9
    found = scores(result, CONTRIBUTIONS, PEARSON)
    assert found[INTEGRATED] >= 0.95
    assert found[INTEGRATED] > found[GATED]


def test_a_seed_decides_all_numbers_and_a_run_ends_when_asked():
    tiny = replace(EXTENT, cells=4, steps=2, mwr=MWR[:1])
    one, again = (run_variant(SMALL, tiny, ("gradient_x_input",), seed=5) for _ in range(2))
    for left, right in zip(one.judged, again.judged):
        assert left.method == right.method
        assert {key: values.tobytes() for key, values in left.scores.items()} == {
            key: values.tobytes() for key, values in right.scores.items()
        }

    def stop(share: float) -> None:
        if share > 0.3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run_variant(SMALL, tiny, ("gradient_x_input",), seed=5, check=stop)
