"""Rankings beside t tests of scipy, intervals by simulation, and what must never be recommended."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.ranking import (
    _adjusted,
    _errors,
    _studentised,
    mean_intervals,
    rank,
    rankings,
)
from floelens.plugin.ground.errors import NumericalError, ParameterError
from floelens.plugin.ground.rankings import Judged, Measure
from scipy import stats

R = Measure("r", "Pearson's r", "higher", 0.0, 1.0)
D = Measure("d", "distance D", "lower", np.sqrt(2), 0.0)


def judged(control: bool = False, **methods: np.ndarray) -> list[Judged]:
    return [Judged(name, "point", {"r": values}, 0.1, control) for name, values in methods.items()]


@pytest.mark.parametrize("number", [10, 30, 100])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_intervals_hold_the_true_mean_in_95_of_100(kind: str, number: int):
    draw = np.random.default_rng(3)
    columns = 800
    if kind == "normal":
        values, truth = draw.normal(0.3, 0.2, (number, columns)), 0.3
    else:  # as correlations are that come close to 1
        values, truth = draw.beta(8, 2, (number, columns)), 0.8
    low, high = mean_intervals(values, seed=0)
    assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(0.95, abs=0.03)
    if kind == "normal":  # as long as Student's
        length = 2 * stats.t.ppf(0.975, number - 1) * values.std(0, ddof=1) / np.sqrt(number)
        assert (high - low).mean() == pytest.approx(length.mean(), rel=0.02)


def test_paired_differences_agree_with_students_of_scipy():
    draw = np.random.default_rng(0)
    common = draw.normal(0.4, 0.3, 300)  # what samples have in common must not widen the difference
    first, second = common + draw.normal(0.06, 0.1, 300), common + draw.normal(0, 0.1, 300)
    ranking = rank(judged(second=second, first=first), R, seed=1)
    best, other = ranking.methods
    assert (best.method, other.method) == ("first", "second")
    assert other.behind == pytest.approx((first - second).mean())
    expected = stats.ttest_1samp(first - second, 0).confidence_interval(0.95)
    width = expected.high - expected.low
    assert (other.behind_low, other.behind_high) == pytest.approx(expected, abs=0.05 * width)
    expected = stats.ttest_1samp(first, 0).confidence_interval(0.95)
    assert (best.low, best.high) == pytest.approx(expected, abs=0.05 * (expected.high - expected.low))
    assert (best.rank, other.rank) == (1, 2)  # the intervals of the means overlap, but not the paired one's 0
    assert other.high > best.low
    assert best.tied == other.tied == ()


def test_methods_that_samples_do_not_tell_apart_are_tied_and_share_a_rank():
    draw = np.random.default_rng(1)
    base = draw.uniform(0.5, 0.9, 40)
    twin = base + draw.normal(0, 0.05, 40)
    ranking = rank(judged(base=base, twin=twin, same=base.copy(), poor=base - 0.3), R, seed=0)
    assert [ranking[name].rank for name in ("base", "twin", "same", "poor")] == [1, 1, 1, 4]
    assert set(ranking["twin"].tied) == {"base", "same"}
    assert ranking["poor"].place == 4
    assert ranking["base"].behind_low == ranking["base"].behind_high == 0.0 or ranking["twin"].place == 1


def test_a_sample_without_a_score_counts_as_uninformative():
    holes = np.full(20, 0.3)
    holes[:5] = np.nan
    ranking = rank([Judged("holes", "stamp", {"d": holes}, 1.0)], D, seed=0)
    row = ranking["holes"]
    assert row.undefined == 5
    assert row.mean == pytest.approx((15 * 0.3 + 5 * np.sqrt(2)) / 20)
    assert row.low < row.mean < row.high
    empty = rank([Judged("empty", "stamp", {"d": np.full(20, np.nan)}, 1.0)], D, seed=0)
    assert empty["empty"].mean == pytest.approx(np.sqrt(2))
    assert empty.recommended is None


def test_lower_is_better_gives_the_order_of_the_mirrored_measure():
    draw = np.random.default_rng(5)
    scores = {name: draw.normal(mean, 0.1, 30) for name, mean in (("a", 0.2), ("b", 0.5), ("c", 1.2))}
    low = rank([Judged(name, "x", {"d": each}, 1.0) for name, each in scores.items()], D, seed=0)
    mirrored = Measure("d", "", "higher", -np.sqrt(2), 0.0)
    high = rank([Judged(name, "x", {"d": -each}, 1.0) for name, each in scores.items()], mirrored, seed=0)
    for one, other in zip(low.methods, high.methods):
        assert (one.method, one.rank, one.tied, one.p) == (other.method, other.rank, other.tied, other.p)
        assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
        assert one.behind == pytest.approx(other.behind)
    assert low.recommended == high.recommended == "a"


def test_p_of_a_method_alone_is_that_of_students_with_its_worst_sample_twice():
    values = np.random.default_rng(2).normal(0.05, 0.3, 200)
    row = rank(judged(alone=values), R, seed=0)["alone"]
    assert row.p == pytest.approx(
        stats.ttest_1samp([*values, values.min()], 0, alternative="greater").pvalue, abs=0.01
    )
    assert row.weakest == "uninformative"


def test_a_method_that_does_not_surpass_every_control_is_never_recommended():
    draw = np.random.default_rng(4)
    edge = draw.normal(0.5, 0.1, 50)
    methods = judged(close=edge + draw.normal(0.005, 0.05, 50), poor=edge - 0.4)
    controls = judged(True, sobel=edge, random=draw.normal(0, 0.1, 50))
    ranking = rank(methods + controls, R, seed=0)
    assert ranking.recommended is None
    assert ranking["close"].weakest == "sobel"
    assert not ranking["close"].trusted
    assert ranking["sobel"].control
    assert ranking["sobel"].p == 1.0
    better = rank(methods + controls + judged(good=edge + draw.normal(0.1, 0.05, 50)), R, seed=0)
    assert better.recommended == "good"
    assert better["good"].rank == 1
    assert better["poor"].place == 4  # above noise alone, below the edge filter


def test_the_best_of_many_useless_methods_is_not_recommended():
    draw = np.random.default_rng(6)
    methods = {f"m{k}": draw.normal(0, 0.2, 20) for k in range(30)}
    alone = [stats.ttest_1samp(values, 0, alternative="greater").pvalue for values in methods.values()]
    assert min(alone) < 0.05  # one of them would pass without a correction
    assert rank(judged(**methods), R, seed=0).recommended is None


def test_a_bad_method_that_all_samples_but_one_agree_on_keeps_no_other_from_being_recommended():
    draw = np.random.default_rng(0)
    methods = judged(good=draw.normal(0.9, 0.05, 14), fair=draw.normal(0.6, 0.05, 14))
    sobel = judged(True, sobel=draw.normal(0.2, 0.05, 14))
    odd = 1e-3 * draw.standard_normal(14)
    odd[3] = -1.0  # a third of the resamples lack it, and their error is next to none
    ranking = rank(methods + sobel + judged(odd=odd), R, seed=0)
    assert ranking.recommended == "good"
    assert ranking["fair"].trusted
    assert not ranking["odd"].trusted


def test_a_method_with_fewer_than_12_scores_is_not_recommended():
    draw = np.random.default_rng(0)
    holes = draw.normal(0.9, 0.05, 20)
    holes[11:] = np.nan
    assert rank(judged(holes=holes), R, seed=0).recommended is None
    holes[11] = 0.9
    assert rank(judged(holes=holes), R, seed=0).recommended == "holes"


def test_surer_comparisons_have_no_larger_p_and_the_least_sure_one_that_of_its_own_alone():
    errors = np.random.default_rng(0).standard_normal((4000, 3))
    p = _adjusted(np.array([1.7, 9.0, 2.4]), errors)
    assert p[1] == 1 / 4001
    pair = np.maximum(errors[:, 0], errors[:, 2])
    assert p[2] == pytest.approx((pair >= 2.4).mean(), abs=1e-3)
    assert p[0] == pytest.approx((errors[:, 0] >= 1.7).mean(), abs=1e-3)


def skewed(draw: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    """Return scores of mean 0 that are strongly skewed towards bad ones."""
    if kind == "exponential":
        return 1 - draw.exponential(size=shape)
    return np.exp(0.245) - draw.lognormal(0, 0.7, shape)


@pytest.mark.parametrize("kind", ["exponential", "lognormal"])
def test_a_method_whose_few_failures_may_not_be_drawn_is_seldom_recommended(kind: str):
    values = skewed(np.random.default_rng(1), kind, (12, 1500))
    twice = np.concatenate([values, values.min(0, keepdims=True)])
    found = ((_errors(twice, seed=0) >= _studentised(twice)).mean(0) <= 0.05).mean()
    once = (stats.ttest_1samp(values, 0, alternative="greater").pvalue <= 0.05).mean()
    assert once > 0.11  # what Student's t would recommend
    assert found <= 0.075


@pytest.mark.slow  # 1800 rankings
@pytest.mark.parametrize("number", [12, 15, 30])
@pytest.mark.parametrize(("kind", "most"), [("exponential", 0.07), ("lognormal", 0.08), ("beta", 0.06)])
def test_useless_methods_are_recommended_in_about_5_of_100(kind: str, most: float, number: int):
    draw = np.random.default_rng(8)
    wrong = 0
    for seed in range(200):
        drawn = draw.beta(8, 2, (number, 8)) - 0.8 if kind == "beta" else skewed(draw, kind, (number, 8))
        methods = judged(**{f"m{k}": drawn[:, k] for k in range(8)})
        wrong += rank(methods, R, seed).recommended is not None
    assert wrong / 200 <= most


def test_none_is_recommended_where_a_surely_better_method_is_not_sure_to_surpass_the_controls():
    draw = np.random.default_rng(0)
    fair = draw.normal(0.02, 0.005, 20)
    ahead = stats.norm.ppf((np.arange(20) + 0.5) / 20)  # mean 0, in any order
    useless = {f"u{k}": draw.normal(0, 0.1, 20) for k in range(12)}
    for more, chosen in (
        (0.1, None),
        (0.02, "fair"),
        (0.3, "better"),
    ):  # not sure, tied with the other one, sure
        ranking = rank(judged(fair=fair, better=fair + more + 0.19 * ahead, **useless), R, seed=0)
        assert ranking["fair"].trusted
        assert ranking["better"].place == 1
        assert ranking.recommended == chosen
        assert ("fair" in ranking["better"].tied) == (chosen == "fair")


def test_few_samples_recommend_nothing_and_perfect_maps_are_recommended():
    assert rank(judged(perfect=np.ones(7)), R, seed=0).recommended is None
    assert rank(judged(perfect=np.ones(12), fair=np.full(12, 0.6)), R, seed=0).recommended == "perfect"
    single = rank(judged(one=np.array([0.4])), R, seed=0)["one"]
    assert single.mean == 0.4
    assert np.isnan(single.low)


def test_the_same_seed_gives_the_same_ranking():
    draw = np.random.default_rng(0)
    methods = judged(a=draw.normal(0.2, 1, 25), b=draw.normal(0.1, 1, 25))
    one, same, other = (rank(methods, R, seed)["a"] for seed in (3, 3, 4))
    assert (one.low, one.high, one.p) == (same.low, same.high, same.p)
    assert (one.low, one.high) != (other.low, other.high)


def test_conditions_and_measures_are_ranked_apart_and_methods_without_scores_are_named():
    ones = np.linspace(0.5, 0.6, 10)
    pool = [
        Judged("signed", "point", {"r": ones, "d": ones}, 1.0),
        Judged("unsigned", "point", {"d": ones}, 1.0),
        Judged("signed", "shapes", {"r": ones[:5]}, 1.0),
    ]
    made = rankings(pool, [R, D], seed=0)
    assert [(each.condition, each.measure.word, each.samples) for each in made] == [
        ("point", "r", 10), ("point", "d", 10), ("shapes", "r", 5),
    ]  # fmt: skip
    assert made[0].left_out == ("unsigned",)


def test_what_cannot_be_ranked_is_refused():
    ten = np.linspace(0, 1, 10)
    with pytest.raises(ParameterError, match="same samples"):
        rank(judged(a=ten, b=ten[:9]), R, 0)
    with pytest.raises(ParameterError, match="twice"):
        rank(judged(a=ten) + judged(a=ten), R, 0)
    with pytest.raises(ParameterError, match="within one condition"):
        rank([*judged(a=ten), Judged("b", "other", {"r": ten}, 1.0)], R, 0)
    with pytest.raises(ParameterError, match="nothing to rank"):
        rank(judged(a=ten), D, 0)
    with pytest.raises(NumericalError, match="infinite"):
        rank(judged(a=np.append(ten, np.inf)), R, 0)
    with pytest.raises(ParameterError, match="not better"):
        Measure("x", "", "lower", 0.0, 1.0)
