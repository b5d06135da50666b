"""The prediction with some of the features: what a hook in the definition gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.features.decomposition import (
    MEAN,
    NONE,
    OWN_CLASS,
    RANDOM,
    RANDOM_SETS,
    SHARES,
    TOP,
    ZERO,
    Decomposition,
    FeatureSet,
    KeptSkill,
    _Counts,
    _rows,
    decompose,
    feature_sets,
)
from floelens.plugin.core.features.importance import Importance
from floelens.plugin.core.features.layer import COMPONENTS
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.protocols import Silent
from floelens.tests.plugin.core.contributions.test_run import runner_of
from floelens.tests.plugin.core.features.test_run import analysis_of, planned
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_scene

OLD = Target(head="type", class_name="old ice")


def drawn(features: int) -> Importance:
    """Return some importance of features in three classes."""
    draw = np.random.default_rng(5)
    return Importance(draw.normal(size=features), draw.normal(size=(3, features)), 30, np.full(3, 10))


@pytest.mark.parametrize(("layer", "features"), [("relu2", 6), ("relu4", 4), (COMPONENTS, 15)])
def test_skill_is_that_of_the_network_with_the_other_features_set(layer, features):
    scene, runner = tiny_scene(rows=40, cols=44), runner_of(TinyFusion(), "float64")
    analysis, importance = analysis_of(runner, layer, OLD), drawn(features)
    means = np.random.default_rng(6).normal(size=features)
    found = decompose(analysis, scene, planned(analysis, scene, 17), importance, means, Silent())
    patch = scene.read(scene.window)
    inputs, valid = runner.standardise(patch), torch.from_numpy(patch.valid)
    changes: list = []

    def change(_module, _inputs, output):
        return torch.where(changes[0], output, changes[1]) if changes else output

    place = runner.module.output if layer == COMPONENTS else runner.module.get_submodule(layer)
    if layer == COMPONENTS:
        handle = place.register_forward_pre_hook(lambda module, given: (change(module, None, given[0]),))
    else:
        handle = place.register_forward_hook(change)
    own = slice(1, 4)  # the head's logits
    with torch.no_grad():
        whole = runner.module(inputs.fine, inputs.coarse)[0, own][:, valid]
        assert found.pixels == int(valid.sum())  # one window holds the whole scene
        commonest = np.bincount(whole.argmax(0).numpy()).max() / found.pixels
        assert found.constant_agreement == pytest.approx(commonest, abs=1e-12)
        for share in SHARES:
            for fill, value in ((ZERO, np.zeros(features)), (MEAN, means)):
                mask = np.zeros(features, bool)
                mask[importance.order(2)[: max(1, round(share * features))]] = True
                changes[:] = [torch.from_numpy(each)[None, :, None, None] for each in (mask, value)]
                kept = runner.module(inputs.fine, inputs.coarse)[0, own][:, valid]
                row = found.row(TOP, fill, share)
                residual = ((kept[2] - whole[2]) ** 2).sum() / ((whole[2] - whole[2].mean()) ** 2).sum()
                assert row.r2 == pytest.approx(1 - float(residual), abs=1e-9)
                assert row.agreement == pytest.approx(
                    float((kept.argmax(0) == whole.argmax(0)).double().mean()), abs=1e-12
                )
    handle.remove()
    assert found.without(ZERO).number == 0
    full = found.curve(ZERO)[-1]
    assert (full.number, full.skill) == (features, 1.0)
    assert found.smallest(ZERO).skill >= 0.99


def kept(number: int, r2: float, agreement: float, accuracy: float = np.nan) -> KeptSkill:
    return KeptSkill(TOP, MEAN, number / 9, number, r2, agreement, accuracy, 1, (0.0, 1.0))


def test_a_constant_map_never_keeps_the_map_or_its_skill():
    nothing = KeptSkill(NONE, MEAN, 0.0, 0, 0.0, 1.0, np.nan, 1, (1.0, 1.0))
    rows = (nothing, kept(3, 0.7, 1.0), kept(6, 0.995, 1.0), kept(9, 1.0, 1.0))
    water = Decomposition(1.0, False, 100, 4, rows, 9, 1.0, np.nan)  # all is water: any set maps it
    assert water.smallest(MEAN).number == 6
    rows = (kept(3, 0.995, 0.995), kept(6, 0.995, 0.9999), kept(9, 1.0, 1.0))
    assert Decomposition(1.0, False, 100, 4, rows, 9, 0.98, np.nan).smallest(MEAN).number == 6
    rows = (kept(3, 0.995, 1.0, 0.92), kept(6, 0.995, 1.0, 0.9399), kept(9, 1.0, 1.0, 0.94))
    assert Decomposition(0.94, True, 100, 4, rows, 9, 0.5, 0.90).smallest(MEAN).number == 6
    assert Decomposition(0.94, True, 100, 4, rows, 9, 0.5, 0.94).smallest(MEAN) is None


def test_random_sets_are_twenty_of_each_size_and_masks_follow_the_predicted_class():
    importance = drawn(20)
    sets = feature_sets(importance, 1, seed=3)
    for share in SHARES:
        random = [each for each in sets if (each.kind, each.share) == (RANDOM, share)]
        assert len(random) == RANDOM_SETS
        assert len({each.masks.tobytes() for each in random}) > RANDOM_SETS // 2
        assert {int(each.masks.sum()) for each in random} == {round(share * 20)}
        (own,) = (each for each in sets if (each.kind, each.share) == (OWN_CLASS, share))
        np.testing.assert_array_equal(
            np.flatnonzero(own.mask(2)), np.sort(importance.order(2)[: round(share * 20)])
        )


def test_the_mean_of_equal_sets_lies_between_the_smallest_and_the_largest():
    sets = [FeatureSet(RANDOM, 0.1, np.ones((1, 2), bool))] * RANDOM_SETS
    alike = _Counts()
    alike.agreeing = 10
    assert np.mean([10 / 97] * RANDOM_SETS) > 10 / 97  # by rounding
    rows = _rows(sets, {(n, fill): alike for n in range(RANDOM_SETS) for fill in (ZERO, MEAN)}, 97, 0, 1.0)
    assert [(row.skill, row.spread) for row in rows] == [(10 / 97, (10 / 97, 10 / 97))] * 2
