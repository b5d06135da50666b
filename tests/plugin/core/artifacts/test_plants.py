"""Planted artifacts are found and called by their names; a clean network is not accused."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.artifacts.bands import Layout
from floelens.plugin.core.artifacts.run import Study, cells_of
from floelens.plugin.core.artifacts.settings import Settings, planned_passes
from floelens.plugin.core.artifacts.verdicts import Finding, judged
from floelens.plugin.ground.protocols import Patch
from floelens.plugin.ground.vocabulary.artifact_tests import ARTIFACT, NOT_APPLICABLE, TESTS, UNTRAINED
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.artifacts.analytic import Analytic, clean, correlated, patch_of

SCENE = Window(0, 0, 150, 150)
CORE = Window(40, 40, 72, 72)
CORNER = Window(0, 0, 72, 72)


def study_of(mapper: Analytic, fine: np.ndarray, core: Window, tests=tuple(TESTS)) -> dict[str, Finding]:
    """Look at one window of a scene; the findings by test and part."""
    study = Study(mapper, mapper.scene, [core], Settings(tests))
    needed = study.needs(core)
    found = study.look(patch_of(fine[(slice(None), *needed.slices())], needed), core)
    findings = {f"{finding.test} {finding.part}".strip(): finding for finding in study.findings()}
    findings["maps"] = found
    findings["totals"] = study.totals
    return findings


def accused(findings: dict[str, Finding]) -> set[str]:
    return {name for name, each in findings.items() if isinstance(each, Finding) and each.verdict == ARTIFACT}


def rows_and_cols(window: Window) -> tuple[np.ndarray, np.ndarray]:
    return np.mgrid[window.row : window.row_stop, window.col : window.col_stop]


def checkerboard(inputs, window):
    down, across = rows_and_cols(window)
    return clean(inputs, window) * np.where((down % 2 == 0) & (across % 2 == 0), 1.8, 0.8)


def padded(inputs, window):
    down, across = rows_and_cols(window)
    return clean(inputs, window) * np.where(np.minimum(down, across) < 3, 2.0, 1.0)


def biased(inputs, window):
    down, across = rows_and_cols(window)
    return clean(inputs, window) + 3.0 * np.sin(down / 9.0) * np.cos(across / 7.0)


def dead_corner(inputs, window):
    down, across = rows_and_cols(window)
    return np.where((down < 60) & (across < 60), 0.0, clean(inputs, window))


def fed(inputs, window):
    _, across = rows_and_cols(window)
    return clean(inputs, window) * 0.97 ** (across - 40)


def celled(inputs, window):
    down, across = rows_and_cols(window)
    edge = (down % 12 == 0) | (across % 12 == 0)
    return clean(inputs, window) + 2.0 * edge


def saturating(inputs, _window):
    return np.tanh(inputs[0]) + np.tanh(inputs[1])


def linear(inputs, _window):
    return inputs[0] + inputs[1]


@pytest.mark.parametrize(
    ("plant", "core", "periods", "name"),
    [
        (checkerboard, CORE, (2, 12), "null_input pattern"),
        (padded, CORNER, (2, 12), "null_input border"),
        (biased, CORE, (2, 12), "null_input zero"),
        (dead_corner, CORE, (2, 12), "null_input local"),
        (fed, CORE, (2, 12), "mirroring"),
        (celled, CORE, (2, 12), "null_input pattern"),
    ],
)
def test_a_planted_artifact_is_found_and_the_right_test_names_it(plant, core, periods, name):
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    found = study_of(Analytic(SCENE, plant, periods=periods), fine, core)
    assert name in accused(found)
    specific = {"null_input pattern", "null_input border", "mirroring"} - {name}
    if name != "null_input zero":
        assert not (specific & accused(found))
    if "pattern" in name:
        assert found[name].numbers["period"] == {checkerboard: 2, celled: 12}[plant]


def test_a_peak_at_an_outlier_that_the_prediction_does_not_use_is_found_by_focus():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    fine[0, 60:63, 50:53] = 40.0
    found = study_of(Analytic(SCENE, linear, logit_of=saturating), fine, CORE)
    assert accused(found) == {"focus"}
    used = study_of(Analytic(SCENE, linear), fine, CORE)
    assert not accused(used)


@pytest.mark.usefixtures("few_replicates")
@pytest.mark.parametrize("intercept", [0.0, -2.0, -10.0])
def test_an_outlier_that_the_prediction_uses_is_no_artifact_whatever_the_intercept(intercept):
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    fine[0, 60:64, 50:53] = 40.0  # 12 outliers
    network = Analytic(SCENE, linear, logit_of=lambda inputs, window: linear(inputs, window) + intercept)
    assert not accused(study_of(network, fine, CORE, ("focus",)))


@pytest.mark.usefixtures("few_replicates")
def test_a_map_that_untrained_networks_make_as_well_is_not_called_trained():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    found = study_of(Analytic(SCENE, clean, untrained=clean), fine, CORE)
    assert found["randomised_weights all layers"].verdict == UNTRAINED
    assert found["randomised_weights all layers"].p_value == 1.0
    other = study_of(Analytic(SCENE, clean), fine, CORE)
    assert other["randomised_weights all layers"].verdict != UNTRAINED


@pytest.mark.usefixtures("few_replicates")
def test_the_correction_removes_a_pattern_and_the_map_splits_exactly():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    found = study_of(Analytic(SCENE, celled, periods=(2, 12)), fine, CORE)
    maps, totals = found["maps"].fine, found["totals"]
    down, across = rows_and_cols(CORE)
    edge = (down % 12 == 0) | (across % 12 == 0)
    truth = clean(fine[(slice(None), *CORE.slices())], CORE)
    errors = [np.abs(m - truth)[edge].mean() for m in (maps.observed, maps.relevance)]
    assert errors[1] < 0.25 * errors[0]
    assert totals.relevance == pytest.approx(totals.corrected + totals.artifact, rel=1e-12)


@pytest.mark.usefixtures("few_replicates")
def test_a_run_takes_as_many_passes_as_were_planned():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    core = Window(0, 0, 150, 150)
    counted = []
    mapper = Analytic(SCENE)
    original = Analytic.relevance

    def relevance(self, patch, window):
        counted.append(window.rows * window.cols)
        return original(self, patch, window)

    Analytic.relevance = relevance
    try:
        study_of(mapper, fine, core)
    finally:
        Analytic.relevance = original
    passes = sum(counted) / (core.rows * core.cols)
    # Focus finds no outliers here, nothing is filled or padded, and a network of one layer has no cascade.
    planned = planned_passes(Settings(), [core], coarse=False, compared=0).by_window([core])
    assert planned - 0.7 < passes <= planned


@pytest.mark.parametrize(
    "windows",
    [
        [Window(0, 300 * k, 300, 300) for k in range(12)],
        *([Window(0, 0, side, side)] for side in (40, 49, 50, 63, 64, 72, 87, 99, 100, 150)),
        [Window(0, 0, 64, 300)],
        [Window(0, 0, 80, 300), Window(0, 300, 80, 40)],
    ],
)
def test_a_default_run_takes_at_most_thirty_passes_of_small_regions_too(windows):
    # Eight methods of one pass and integrated gradients of 32 are compared.
    assert planned_passes(Settings(), windows, coarse=True, compared=40).by_window(windows) <= 30


@pytest.mark.slow
def test_a_clean_network_passes_in_at_least_93_of_100_seeds():
    passed = 0
    for seed in range(100):
        fine = correlated(seed, SCENE.rows, SCENE.cols, 1.5)
        passed += not accused(study_of(Analytic(SCENE, periods=(2, 12)), fine, CORE))
    assert passed >= 93


@pytest.mark.usefixtures("few_replicates")
def test_gaps_stay_gaps_and_a_window_with_gaps_is_mapped_but_not_tested_by_null_maps():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    patch = patch_of(fine, SCENE)
    patch.valid[50:60, 50:70] = False
    study = Study(Analytic(SCENE), SCENE, [CORE], Settings(("null_input", "translation", "focus")))
    found = study.look(patch, CORE)
    gap = ~patch.valid[CORE.slices()]
    layout = Layout()
    corrected = layout.corrected_bands(found)
    # Blocks that a gap reaches into have no value.
    assert np.isnan(corrected[-1, gap]).all()
    assert np.isfinite(corrected[-1, :8, :8]).all()
    for bands in (layout.artifact_bands(found)[:3], corrected[:-1]):
        assert np.isnan(bands[:, gap]).all()
        assert np.isfinite(bands[:, ~gap]).all()
    parts = {(finding.test, finding.part): finding.verdict for finding in study.findings()}
    assert parts["null_input", "noise"] == NOT_APPLICABLE
    assert parts["translation", ""] != ARTIFACT
    patch.valid[:] = False
    assert study.look(patch, CORE) is None


@pytest.mark.usefixtures("few_replicates")
def test_windows_that_an_edge_leaves_only_a_half_of_are_not_mirrored():
    # Away from the edge lie columns 40 to 72 of 72; mirrored, 0 to 32: the two do not meet.
    mapper = Analytic(SCENE, radius=40)
    findings = study_of(mapper, correlated(3, 150, 150, 1.5), CORNER, ("null_input", "mirroring"))
    assert findings["mirroring"].verdict != ARTIFACT


@pytest.mark.usefixtures("few_replicates")
def test_a_border_is_said_to_reach_as_far_as_the_network_looks():
    findings = study_of(
        Analytic(SCENE, padded, radius=7), correlated(3, 150, 150, 1.5), CORNER, ("null_input",)
    )
    assert findings["null_input border"].numbers == {"reach": 7.0}


@pytest.fixture
def few_replicates(monkeypatch):
    """Take reference values of p = 1/20 at least: for tests that ask for no smaller ones."""
    monkeypatch.setattr("floelens.plugin.core.artifacts.sensors.REPLICATES", 19)


@pytest.mark.usefixtures("few_replicates")
def test_pixels_outside_of_the_region_asked_for_are_not_judged_and_those_inside_as_without_it():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    down, across = np.mgrid[: CORE.rows, : CORE.cols]
    inside = (down - 30) ** 2 + (across - 40) ** 2 < 20**2
    needed = CORE.grown(21, within=SCENE)
    patch = patch_of(fine[(slice(None), *needed.slices())], needed)
    maps = []
    for mask in (None, lambda _window: inside):
        study = Study(Analytic(SCENE, celled, periods=(12,)), SCENE, [CORE], Settings(("null_input",)), mask)
        maps.append(study.look(patch, CORE).fine)
    whole, part = maps
    assert np.isnan(part.relevance[~inside]).all()
    np.testing.assert_array_equal(part.relevance[inside], whole.relevance[inside])
    assert study.totals.pixels == inside.sum()


@pytest.mark.usefixtures("few_replicates")
def test_the_band_of_facts_and_the_totals_have_the_same_level():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)
    fine[0, 70:76, 70:76] += 6.0
    needed = CORE.grown(21, within=SCENE)
    study = Study(Analytic(SCENE), SCENE, [CORE], Settings(("null_input",), level=0.3))
    maps = study.look(patch_of(fine[(slice(None), *needed.slices())], needed), CORE)
    bands = dict(zip(Layout().corrected, Layout(level=0.3).corrected_bands(maps)))
    assert np.count_nonzero(bands["fact"] == 255.0) == study.totals.significant_pixels
    assert study.totals.significant_pixels > np.count_nonzero(bands["q_value"] <= 0.05) > 0


def cells_with_a_loud_one(patch, window):
    """Return the square of a cell's value, but five times as much at one cell."""
    here = window.coarser(8).slices(patch.window.coarser(8))
    cells = patch.coarse[0][here] ** 2
    cells[2, 3] *= 5.0
    return cells


@pytest.mark.parametrize("planted", [True, False])
def test_the_radiometry_is_tested_on_its_cells_and_spread_over_its_pixels(planted):
    window = Window(0, 0, 64, 64)
    sound = lambda patch, core: patch.coarse[0][core.coarser(8).slices(patch.window.coarser(8))] ** 2  # noqa: E731
    mapper = Analytic(window, cells_of=cells_with_a_loud_one if planted else sound)
    cells = correlated(3, 8, 8, 0.6, 1)
    patch = Patch(window, correlated(5, 64, 64, 1.5), cells, np.ones((64, 64), bool))
    study = Study(mapper, window, [window], Settings(("null_input",)))
    maps = study.look(patch, window)
    found = {finding.part: finding for finding in study.findings() if finding.sensor == "radiometry"}
    assert (found["local"].verdict == ARTIFACT) == planted
    layout = Layout(radiometry=True, ratio=8)
    bands = dict(zip(layout.corrected, layout.corrected_bands(maps)))
    assert bands["mwr_relevance"].sum() == pytest.approx(np.nansum(maps.cells.relevance))
    np.testing.assert_array_equal(bands["mwr_q_value"][8:16, 16:24], maps.cells.q_values[1, 2])
    assert layout.artifact_bands(maps).shape == (8, 64, 64)
    assert set(np.unique(bands["fact"])) <= {80.0, 255.0}


def test_a_cell_is_asked_for_where_any_of_its_pixels_is():
    inside = np.zeros((10, 13), bool)
    inside[9, 12] = inside[0, 3] = True
    expected = np.zeros((3, 4), bool)
    expected[2, 3] = expected[0, 0] = True
    np.testing.assert_array_equal(cells_of(inside, 4), expected)


def test_the_tests_of_each_map_are_a_family_of_their_own():
    rows = [Finding("focus", str(k), 5.0, p_value=1 / 150, size=0.2, in_family=True) for k in range(7)]
    cells = [
        Finding("null_input", str(k), 5.0, p_value=0.02, size=0.2, in_family=True, sensor="radiometry")
        for k in (1, 2)
    ]
    found = judged([*rows, *cells])
    assert {each.verdict for each in found} == {ARTIFACT}
    assert [each.p_holm for each in found] == pytest.approx([7 / 150] * 7 + [0.04] * 2)
