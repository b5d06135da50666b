"""What the network is allowed to see: nothing changes by default, and a cap is a cap."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.relevance.focus import Focus, FocusedRunner
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.ground.errors import ParameterError
from floelens.tests.plugin.core.tiny_networks import TinyFusion, tiny_card, tiny_scene


def test_the_default_focus_is_the_runner_itself():
    runner = Runner(tiny_card(), TinyFusion(), "cpu", "float64")
    assert FocusedRunner.of(runner, Focus()) is runner


def test_values_are_capped_shifted_and_gaps_filled_in_standard_deviations():
    scene = tiny_scene()
    runner = Runner(tiny_card(), TinyFusion(), "cpu", "float64")
    patch = scene.read(scene_window(scene))
    plain = runner.standardise(patch)
    seen = FocusedRunner.of(runner, Focus(cap=0.5, offset=0.25, mask_fill=-3.0)).standardise(patch)
    known = torch.from_numpy(patch.valid & np.isfinite(patch.fine).all(0))
    expected = plain.fine[..., known].clamp(-0.5, 0.5) + 0.25
    torch.testing.assert_close(seen.fine[..., known], expected, atol=1e-6, rtol=0)
    assert (seen.fine[..., ~torch.from_numpy(patch.valid)] == -3.0).all()
    torch.testing.assert_close(seen.coarse, plain.coarse, atol=0, rtol=0)


def test_a_negative_cap_is_refused():
    with pytest.raises(ParameterError, match="CAP"):
        Focus(cap=-1.0)
