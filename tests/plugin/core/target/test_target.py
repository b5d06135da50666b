"""Targets: names looked up in the card, seeds that are linear."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.card import Head, HeadClass
from floelens.tests.plugin.core.tiny_networks import tiny_card

LOGITS = torch.tensor([[[[9.0, 9.0]], [[0.0, 3.0]], [[1.0, -1.0]], [[-1.0, 2.0]]]])  # (1, output, 1, 2)
ALL = torch.ones(1, 2, dtype=torch.bool)


def seeds(target, mask=ALL):
    return target.resolve(tiny_card()).seeds(LOGITS, mask)[0, :, 0].T.tolist()


def test_the_first_head_and_its_only_class_are_the_default():
    assert seeds(Target()) == [[1, 0, 0, 0]] * 2


def test_predicted_is_the_class_of_the_largest_logit_of_its_head():
    assert seeds(Target("type")) == [[0, 0, 1, 0], [0, 1, 0, 0]]


def test_a_class_is_found_by_its_name_in_any_case():
    assert seeds(Target("type", "Old Ice")) == [[0, 0, 0, 1]] * 2


def test_a_contrast_subtracts_the_reference():
    assert seeds(Target("type", "old ice", "water")) == [[0, -1, 0, 1]] * 2
    assert seeds(Target("type", reference_class="water")) == [[0, -1, 1, 0], [0, 0, 0, 0]]


def test_the_logits_that_may_count_hold_all_that_do():
    card = tiny_card()
    assert Target().resolve(card).logits == (0,)
    assert Target("type", "old ice").resolve(card).logits == (3,)
    assert Target("type", "old ice", "water").resolve(card).logits == (1, 3)
    assert Target("type").resolve(card).logits == (1, 2, 3)
    assert Target("type", reference_class="water").resolve(card).logits == (1, 2, 3)


def test_pixels_outside_the_mask_are_not_seeded():
    assert seeds(Target("type"), torch.tensor([[False, True]])) == [[0, 0, 0, 0], [0, 1, 0, 0]]


def test_only_valid_pixels_of_the_region_are_meant():
    window, valid = Window(0, 4, 1, 3), np.array([[True, False, True]])
    everything = Target("type").resolve(tiny_card())
    part = Target("type", region=lambda w: np.arange(w.col, w.col_stop)[None] >= 5).resolve(tiny_card())
    assert (everything.mask(window, valid) == valid).all()
    assert part.mask(window, valid).tolist() == [[False, False, True]]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target("depth"), "no head 'depth'. Set HEAD to one of: concentration, type"),
        (
            Target("type", "grease"),
            "no class 'grease'. Set CLASS to one of: water, young ice, old ice, predicted",
        ),
        (Target("type", "water", "water"), "the explained class itself"),
        (Target("type", "water", "grease"), "Set REFERENCE_CLASS to one of"),
        (Target("concentration", "ice", "ice"), "a single logit"),
    ],
)
def test_unknown_names_are_sentences(target, says):
    with pytest.raises(ParameterError) as caught:
        target.resolve(tiny_card())
    assert says in str(caught.value)


def test_the_target_is_told_in_words():
    text = Target("type", "old ice", "water").resolve(tiny_card()).text
    assert text == "logit of 'old ice' rather than 'water' (head 'type')"


def test_a_target_has_a_name_for_legends_and_one_in_quotes_for_sentences():
    contrast = Target("type", "old ice", "water").resolve(tiny_card())
    assert contrast.shown == "old ice rather than water"
    assert contrast.text == "logit of 'old ice' rather than 'water' (head 'type')"
    assert Target("type").resolve(tiny_card()).shown == "the predicted class"


def test_the_logit_of_a_group_is_the_mean_of_its_classes():
    """Against another group: the logarithm of the ratio of the geometric means of their probabilities."""
    contrast = Target("type", "young ice + old ice", "water").resolve(tiny_card())
    assert contrast.logits == (1, 2, 3)
    assert contrast.text == "logit of 'young ice'+'old ice' rather than 'water' (head 'type')"
    own = torch.softmax(LOGITS[0, 1:].double(), 0).numpy()[:, 0]  # (class, pixel)
    expected = np.log(np.sqrt(own[1] * own[2]) / own[0])
    found = (LOGITS * contrast.seeds(LOGITS, ALL)).sum(1)[0, 0].double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert seeds(Target("type", "water", "old ice+young ice")) == [[0, 1, -0.5, -0.5]] * 2
    assert seeds(Target("type", reference_class="old ice+young ice")) == [
        [0, 0, 0.5, -0.5],
        [0, 1, -0.5, -0.5],
    ]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Target("type", "old ice+water", "water"), "'water' stands in CLASS and in REFERENCE_CLASS"),
        (Target("type", "old ice+fog"), "no class 'fog'"),
        (Target("type", "old ice+"), "an empty name cannot be joined"),
        (Target("type", "predicted+water"), "'predicted' cannot be joined with other classes"),
    ],
)
def test_a_group_that_cannot_be_is_a_sentence(target, says):
    with pytest.raises(ParameterError, match=says):
        target.resolve(tiny_card())


def test_a_class_whose_name_holds_the_joint_is_found_alone_and_in_a_group():
    head = Head(
        "type", "softmax", tuple(HeadClass(name, at, "#0000ff") for at, name in enumerate(("a", "a+b", "c")))
    )
    card = SimpleNamespace(id="plus", heads=[head], head_slice=lambda _name: slice(0, 3), components=())
    found = {
        text: Target("type", text).resolve(card).classes for text in ("A+B", "a+b+c", "c + a+b", "a+c", "c+a")
    }
    assert found == {"A+B": (1,), "a+b+c": (1, 2), "c + a+b": (2, 1), "a+c": (0, 2), "c+a": (2, 0)}


def test_what_explains_one_class_alone_refuses_a_group():
    group = Target("type", "old ice+young ice").resolve(tiny_card())
    with pytest.raises(ParameterError, match="CLASS names a group of 2 classes"):
        assert group.wanted
    assert Target("type", "old ice").resolve(tiny_card()).wanted == 2
