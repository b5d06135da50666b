"""The classifier learns the stamp, is explained as its definition says, and broken maps come last."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.ranking import rank
from floelens.plugin.core.benchmarks.stamps.classifier import Classifier, StampNetwork, Training
from floelens.plugin.core.benchmarks.stamps.controls import BROKEN, RANDOM
from floelens.plugin.core.benchmarks.stamps.images import Images
from floelens.plugin.core.benchmarks.stamps.run import DISTANCE, Extent, run_classifier
from floelens.plugin.core.benchmarks.stamps.stamps import Stamp, StampSettings
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.ground.errors import NumericalError
from floelens.plugin.ground.vocabulary.relevance_methods import METHODS as METHODS_KNOWN
from floelens.tests.plugin.core.tiny_networks import tiny_card

SMALL = Extent(cells=5, images=160, explained=16, scenes=1, steps=4, draws=2, places=3, sanity=0)
METHODS = ("gradient_x_input", "integrated_gradients", "lrp_zplus", "occlusion")


def images(number: int = SMALL.images, coarse: bool = True) -> Images:
    draw = np.random.default_rng(5)
    fine = draw.standard_normal((number, 2, 20, 20)).astype(np.float32)
    return Images(fine, draw.standard_normal((number, 3, 5, 5)).astype(np.float32) if coarse else None)


@pytest.fixture(scope="module")
def found():
    settings = StampSettings(contrast=30.0)
    stamp = Stamp.of("bright_point", tiny_card(), settings)
    return run_classifier(images(), stamp, settings, METHODS, SMALL, 1, training=Training(epochs=12))


def test_the_stamp_is_learned_and_maps_of_held_out_images_are_scored(found):
    assert found.accuracy > 0.9
    assert found.recognised > 0.7
    assert [each.method for each in found.judged if not each.control] == list(METHODS)
    assert {len(each.scores["distance"]) for each in found.judged} == {SMALL.explained}
    assert found.example.maps["lrp_zplus"].shape == found.example.truth.shape == (20, 20)


def test_broken_maps_are_ranked_behind_the_method_they_are_made_of_and_tell_nothing(found):
    ranking = rank(found.judged, DISTANCE, 0)
    best = ranking.methods[0]
    assert not best.control
    assert best.high < 1.2
    for word in BROKEN:
        assert ranking[word].rank > best.rank
    assert ranking[RANDOM].low < np.sqrt(2) < ranking[RANDOM].high


def test_a_classifier_that_calls_every_image_stamped_is_not_judged(monkeypatch):
    monkeypatch.setattr(Classifier, "says_stamped", lambda _, images, *__: np.ones(len(images), bool))
    settings = StampSettings()
    stamp = Stamp.of("bright_point", tiny_card(), settings)
    with pytest.raises(NumericalError, match="gets 0 of 32 images right with and without the stamp"):
        run_classifier(images(), stamp, settings, METHODS, SMALL, 1, training=Training(epochs=1))


def test_the_same_seed_gives_the_same_scores(found):
    settings = StampSettings(contrast=30.0)
    stamp = Stamp.of("bright_point", tiny_card(), settings)
    again = run_classifier(images(), stamp, settings, METHODS, SMALL, 1, training=Training(epochs=12))
    for one, other in zip(found.judged, again.judged):
        assert all(
            np.array_equal(one.scores[word], other.scores[word], equal_nan=True) for word in one.scores
        )


@pytest.mark.parametrize("coarse", [True, False])
def test_maps_are_those_of_the_definitions(coarse):
    regular = images(3, coarse)
    torch.manual_seed(0)
    network = StampNetwork(regular, 4).requires_grad_(False)
    classifier, chosen = Classifier(network, regular.ratio), np.arange(3)
    values = [torch.from_numpy(part) for part in (regular.fine, regular.coarse) if part is not None]
    leaves = [part.clone().requires_grad_() for part in values]
    network(leaves[0], leaves[1] if coarse else None).sum().backward()
    relevance = classifier.explain(Method("gradient_x_input"), regular, chosen, lambda: None)
    maps = [relevance.fine, relevance.coarse] if coarse else [relevance.fine]
    for part, leaf in zip(maps, leaves):
        np.testing.assert_allclose(part, (leaf * leaf.grad).detach().numpy(), atol=1e-6)
    path = classifier.explain(Method("integrated_gradients", steps=200), regular, chosen, lambda: None)
    total = path.fine.sum((1, 2, 3)) + (path.coarse.sum((1, 2, 3)) if coarse else 0.0)
    nothing = [torch.zeros_like(part) for part in values]
    change = network(values[0], values[1] if coarse else None) - network(
        nothing[0], nothing[1] if coarse else None
    )
    np.testing.assert_allclose(total, change[:, 0].numpy(), atol=2e-3)


def test_occlusion_writes_what_the_logit_loses_on_the_patch():
    regular = images(2)
    network = StampNetwork(regular, 4).requires_grad_(False)
    found = Classifier(network, regular.ratio).explain(
        Method("occlusion"), regular, np.arange(2), lambda: None
    )
    without = regular.fine.copy()
    without[:, 1, 4:6, 8:10] = 0.0
    logits = [
        network(torch.from_numpy(fine), torch.from_numpy(regular.coarse)) for fine in (regular.fine, without)
    ]
    lost = (logits[0] - logits[1])[:, 0].numpy()
    np.testing.assert_allclose(found.fine[:, 1, 4:6, 8:10].sum((1, 2)), lost, atol=1e-5)


def test_a_stamp_that_cannot_be_seen_is_a_sentence():
    settings = StampSettings(contrast=0.1)
    stamp = Stamp.of("bright_point", tiny_card(), settings)
    with pytest.raises(NumericalError, match="Raise CONTRAST"):
        run_classifier(images(60), stamp, settings, METHODS, SMALL, 1, training=Training(epochs=1, rate=1e-9))


@pytest.mark.parametrize("word", METHODS_KNOWN)
def test_every_method_explains_both_sensors(word):
    regular = images(2)
    network = StampNetwork(regular, 4).requires_grad_(False)
    method = Method(word, steps=2, samples=2)
    found = Classifier(network, regular.ratio).explain(method, regular, np.arange(2), lambda: None)
    assert found.fine.shape == regular.fine.shape
    assert found.coarse.shape == regular.coarse.shape
    assert np.isfinite(found.fine).all()
    assert np.abs(found.coarse).sum() > 0
