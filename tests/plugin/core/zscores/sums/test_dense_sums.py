"""The information of every pixel: equal to its definition in float64, whatever the batches, zones and cores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums import dense_sums, gram_sums
from floelens.plugin.core.zscores.sums.dense_sums import DenseAccumulator, in_lattice, lattice_step
from floelens.plugin.core.zscores.sums.information import SceneAccumulator
from floelens.plugin.core.zscores.zones import DenseZones, zone_scores
from floelens.plugin.ground.errors import NumericalError, ParameterError
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.score_data import correlated, layer
from scipy import special

SCENE = Window(0, 0, 120, 250)


def scene(kind="sigmoid", scale=1.0, classes=4):
    """Return a layer, the components of all pixels of the scene, and their places."""
    x = correlated(1, SCENE.rows * SCENE.cols, 8).astype(np.float32)
    classes = classes if kind == "softmax" else 1
    output = layer(scale * np.random.default_rng(2).normal(size=(classes, 8)), np.zeros(classes), kind)
    rows, cols = (at.ravel() for at in np.indices((SCENE.rows, SCENE.cols)))
    return output, x, rows, cols


def collected(output, x, rows, cols, batch, region=SCENE):
    accumulator = DenseAccumulator(output, region)
    for start in range(0, len(x), batch):
        part = slice(start, start + batch)
        accumulator.add(x[part], rows[part], cols[part])
    return accumulator.close()


@pytest.mark.parametrize(
    ("kind", "classes"), [("sigmoid", 1), ("softmax", 2), ("softmax", 4), ("softmax", 7), ("linear", 1)]
)
def test_sums_over_all_pixels_equal_their_definition(kind, classes):
    """Seven classes have 21 pairs: their products of components are made once for all."""
    output, x, rows, cols = scene(kind, classes=classes)
    found = collected(output, x, rows, cols, 7000).total
    design = np.column_stack([np.ones(len(x)), x.astype(np.float64)])
    logits = design[:, 1:] @ output.weights.T + output.bias
    if kind == "sigmoid":
        p = special.expit(logits)
        pairs, means = [p[:, 0] * (1 - p[:, 0])], p
    elif kind == "softmax":
        means = special.softmax(logits, axis=1)
        pairs = [means[:, k] * means[:, other] for k, other in output.pairs]
    else:
        pairs, means = [np.ones(len(x))], logits
    for pair, weight in enumerate(pairs):
        expected = design.T @ (weight[:, None] * design)
        np.testing.assert_allclose(found.pairs[pair], expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(found.means, means.sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.inputs, design[:, 1:].sum(axis=0), rtol=1e-9)
    assert found.n == len(x)


def test_scores_of_all_pixels_are_those_of_the_accumulator_of_labelled_scenes():
    output, x, rows, cols = scene()
    plain = SceneAccumulator(output)
    plain.add(x)
    expected, found = compute_scores(plain.close()), compute_scores(collected(output, x, rows, cols, 9000))
    for ours, theirs in zip(found.rows, expected.rows):
        assert ours["z"] == pytest.approx(theirs["z"], rel=1e-9)
        assert ours["vif"] == pytest.approx(theirs["vif"], rel=1e-9)
        assert ours["information"] == pytest.approx(
            theirs["information"], rel=1e-9
        )  # small: all in the lattice


def test_information_shares_of_large_scenes_come_from_a_lattice_and_stay_close(monkeypatch):
    output, x, rows, cols = scene()
    plain = SceneAccumulator(output)
    plain.add(x)
    monkeypatch.setattr(dense_sums, "LATTICE", 1000)
    found = collected(output, x, rows, cols, 9000)
    assert not np.allclose(found.total.divergence, plain.close().total.divergence, rtol=1e-9)
    np.testing.assert_allclose(found.total.divergence, plain.close().total.divergence, rtol=0.15)


def test_the_lattice_depends_on_places_alone_and_never_thins_small_scenes():
    assert [lattice_step(pixels) for pixels in (1, 10_000, 40_001, 250_000, 10**8)] == [1, 1, 2, 5, 5]
    rows, cols = (at.ravel() for at in np.indices((100, 100)))
    for step in (1, 3, 5):
        assert in_lattice(rows, cols, step).sum() == pytest.approx(10_000 / step**2, rel=0.05)


@pytest.mark.parametrize("batch", [333, 8192, 30_000])
def test_tiles_do_not_matter(batch):
    output, x, rows, cols = scene("softmax")
    one, other = collected(output, x, rows, cols, 5000), collected(output, x, rows, cols, batch)
    for ours, theirs in zip(compute_scores(one).rows, compute_scores(other).rows):
        assert ours["z"] == pytest.approx(theirs["z"], rel=1e-9)


@pytest.mark.parametrize("batch", [30_000, 6000, 1500])
@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_the_number_of_cores_changes_no_digit(kind, batch):
    output, x, rows, cols = scene(kind)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(collected(output, x, rows, cols, batch).total.pairs)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_blocks_of_products_cover_every_pair_of_components_once(monkeypatch):
    generator = np.random.default_rng(4)
    x, weights = generator.normal(size=(2, 256, 41)), generator.random((21, 512))
    expected = np.einsum("pi,ij,ik->pjk", weights, x.reshape(512, 41), x.reshape(512, 41))
    for block in (1, 41, 100, 10_000):
        monkeypatch.setattr(gram_sums, "BLOCK", block)
        grams = gram_sums.WeightedGrams(21, 41)
        for _ in range(2):
            grams.add(torch.from_numpy(x), weights)
        np.testing.assert_allclose(grams.total(), 2 * expected, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(grams.total(), grams.total().swapaxes(1, 2))


def test_predictions_that_are_nearly_certain_keep_their_information():
    output, x, rows, cols = scene(scale=60.0)
    found = collected(output, x, rows, cols, 30_000).total.pairs[0]
    logits = x.astype(np.float64) @ output.weights[0]
    assert np.abs(logits).max() > 200
    expected = np.exp(special.log_expit(logits) + special.log_expit(-logits)).sum()
    assert found[0, 0] == pytest.approx(expected, rel=1e-9)


def test_zones_and_what_is_outside_add_up_to_the_scene():
    output, x, rows, cols = scene()
    zones = np.where(cols < 100, 0, np.where(cols < 200, 1, -7)).astype(np.int32)
    collector = DenseZones(output, SCENE)
    for start in range(0, len(x), 6000):
        part = slice(start, start + 6000)
        collector.add(x[part], rows[part], cols[part], zones[part])
    whole = collected(output, x, rows, cols, 30_000)
    np.testing.assert_allclose(collector.whole().total.pairs, whole.total.pairs, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(collector.whole().lowest, whole.lowest)
    found = collector.close()
    assert {zone: scores.n for zone, scores in found.items()} == {0: 12_000, 1: 12_000}
    alone = SceneAccumulator(output)
    alone.add(x[zones == 1])
    expected = compute_scores(alone.close())
    leading = max(expected.rows, key=lambda row: abs(row["z"]))
    assert found[1].level == "components"
    assert found[1].leading_component == leading["component"]
    assert found[1].leading_z == pytest.approx(leading["z"], rel=1e-9)


def test_values_that_are_no_numbers_are_refused_with_the_component():
    output, x, rows, cols = scene()
    x[17, 3] = np.nan
    with pytest.raises(NumericalError, match="'sar_3' is not a finite number at 1 of 30000 pixels"):
        collected(output, x, rows, cols, 30_000)
    with pytest.raises(ParameterError, match="has 8 components"):
        DenseAccumulator(output, SCENE).add(x[:, :5], rows, cols)


@pytest.mark.parametrize(("cells", "level"), [(4, "sensors"), (40, "components")])
def test_zones_of_few_radiometer_cells_have_scores_of_sensors_only(cells, level):
    """All pixels of a cell share its radiometry: 4 cells cannot tell 6 channels apart, of any size."""
    generator = np.random.default_rng(9)
    sar, radiometer = generator.normal(size=(cells * 400, 6)), generator.normal(size=(cells, 6))
    x = np.concatenate([sar, np.repeat(radiometer, 400, axis=0)], axis=1)
    accumulator = SceneAccumulator(layer(0.3 * generator.normal(size=12), 0.0))
    accumulator.add(x)
    found = zone_scores(0, accumulator.close())
    assert found.level == level
    assert (found.scores is None) == (level == "sensors")
    assert (found.leading_component == "") == (level == "sensors")
    assert ("too few radiometer cells" in found.note) == (level == "sensors")
    assert found.leading_sensor in ("sar", "mwr")


def test_a_zone_says_whose_weight_its_leading_component_carries_and_nothing_else():
    generator = np.random.default_rng(11)
    x = generator.normal(size=(4000, 8))
    for repeated in (True, False):
        if repeated:
            x[:, 1] = 2.0 * x[:, 0]
        else:
            x[:, 1] = generator.normal(size=4000)
        accumulator = SceneAccumulator(layer(np.array([3.0, 1.0] + [0.1] * 6), 0.0))
        accumulator.add(x)
        found = zone_scores(0, accumulator.close())
        assert found.level == "components"
        assert found.leading_component == "sar_0"
        assert found.note == ("sar_0 carries also the weight of sar_1" if repeated else "")
