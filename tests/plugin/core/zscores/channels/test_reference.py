"""The reference distribution of contributions, and what is unusual against it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from floelens.plugin.core.zscores.channels.reference import ContributionReference
from floelens.plugin.ground.errors import ModelError, NumericalError
from floelens.tests.plugin.core.channel_data import contributions, evidence_of


@pytest.mark.parametrize(("kind", "outputs"), [("sigmoid", 1), ("softmax", 3), ("linear", 1)])
def test_the_reference_sample_itself_has_mean_zero_and_sd_one(kind, outputs):
    parts = contributions(1, 900, 4, outputs)
    reference = ContributionReference.of(evidence_of(parts, np.zeros((900, outputs)), kind=kind), "m", "ab")
    standard = reference.standardised(parts.transpose(1, 2, 0).reshape(outputs, 4, 30, 30))
    np.testing.assert_allclose(standard.mean(axis=(2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(axis=(2, 3)), 1, rtol=1e-6)


def test_references_of_two_scenes_are_those_of_their_pixels_together():
    parts = contributions(2, 800, 3)
    first, second = (
        evidence_of(p, np.zeros(400), scene=s) for p, s in ((parts[:400], "a"), (parts[400:], "b"))
    )
    merged = ContributionReference.of(first.merge(second), "m", "ab")
    np.testing.assert_allclose(merged.mean, parts.astype(float).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(merged.sd, parts.astype(float).std(axis=0), rtol=1e-9)


def test_a_constant_contribution_is_nowhere_unusual():
    parts = contributions(3, 300, 3)
    parts[:, :, 1] = 0.1
    reference = ContributionReference.of(evidence_of(parts, np.zeros(300)), "m", "ab")
    standard = reference.standardised(parts.transpose(1, 2, 0))
    assert np.isnan(standard[0, 1]).all()
    assert np.isfinite(standard[0, [0, 2]]).all()


def test_a_file_gives_the_reference_back_and_other_models_are_refused():
    reference = ContributionReference.of(evidence_of(contributions(4, 300, 3), np.zeros(300)), "m", "ab")
    content = json.loads(json.dumps(reference.as_dict()))
    back = ContributionReference.from_dict(content, "m", "ab")
    np.testing.assert_array_equal(back.mean, reference.mean)
    np.testing.assert_array_equal(back.sd, reference.sd)
    for model, weights in (("other", "ab"), ("m", "cd")):
        with pytest.raises(ModelError, match="belongs to model 'm'"):
            ContributionReference.from_dict(content, model, weights)
    with pytest.raises(ModelError, match="make it again"):
        ContributionReference.from_dict({**content, "format_version": 9}, "m", "ab")
    with pytest.raises(ModelError, match="is damaged"):
        ContributionReference.from_dict({**content, "sd": [[1.0, float("nan"), 1.0]]}, "m", "ab")
    with pytest.raises(ModelError, match="1 outputs and 3 channels"):
        reference.standardised(np.zeros((1, 4, 5)))


def test_too_few_pixels_are_refused():
    with pytest.raises(NumericalError, match="too few for a reference"):
        ContributionReference.of(evidence_of(contributions(5, 20, 3), np.zeros(20)), "m", "ab")
