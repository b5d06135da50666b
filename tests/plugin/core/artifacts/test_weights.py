"""Whether a map depends on what was learned: what is said at which p-value, and a method that fails."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.artifacts.run import Study
from floelens.plugin.core.artifacts.sensors import SensorStudy, Totals
from floelens.plugin.core.artifacts.settings import Settings
from floelens.plugin.core.artifacts.verdicts import training_verdict
from floelens.plugin.core.artifacts.weights import WeightTests
from floelens.plugin.ground.vocabulary.artifact_tests import TRAINED, UNDECIDED, UNTRAINED
from floelens.plugin.report.artifacts.report import TestRow as Row
from floelens.plugin.report.artifacts.report import artifact_html, summary
from floelens.tests.plugin.core.artifacts.analytic import Analytic, clean, correlated, patch_of
from floelens.tests.plugin.core.artifacts.test_maps import CORE, PlainReLU, mapper_of
from floelens.tests.plugin.core.artifacts.test_plants import CORE as PLANTED
from floelens.tests.plugin.core.artifacts.test_plants import SCENE
from floelens.tests.plugin.core.tiny_networks import tiny_card, tiny_scene
from floelens.tests.plugin.report.artifacts.test_artifacts_report import report


@pytest.mark.parametrize(
    ("p_value", "correlation", "verdict"),
    [
        (0.05, 0.1, TRAINED),
        (0.05, 0.9, TRAINED),
        (0.1, 0.1, UNDECIDED),
        (1.0, 0.49, UNDECIDED),
        (0.1, 0.5, UNTRAINED),
    ],
)
def test_a_map_is_said_to_depend_on_training_up_to_the_level_alone(p_value, correlation, verdict):
    assert training_verdict(p_value, correlation) == verdict


def trained_relu(scene) -> PlainReLU:
    """Return a plain ReLU network that has learned where the first channel is above its mean nearby."""
    network = PlainReLU().double()
    card = tiny_card()
    fine = [(scene.fine[i] - c.mean) / c.sd for i, c in enumerate(card.fine_channels)]
    inputs = torch.from_numpy(np.stack(fine)[None].astype(float))
    truth = (torch.nn.functional.avg_pool2d(inputs[:, :1], 5, 1, 2) > 0).double()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(40):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs, None)[:, :1], truth)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.45  # 0.69 is what chance gives
    return network.eval()


def test_zplus_alone_on_a_trained_relu_network_fails_and_the_report_says_so_first():
    scene = tiny_scene(gaps=False)
    mapper = mapper_of(trained_relu(scene), scene, "lrp_zplus")
    patch = scene.read(mapper.needs(CORE))
    tests = WeightTests(mapper)
    tests.look(patch, CORE, mapper.relevance(patch, CORE))
    findings = tests.findings(Totals(), SensorStudy("radiometry", 4, 7), 0.05)
    assert UNTRAINED in {f.verdict for f in findings}
    assert all(f.p_value is None or f.p_value <= 0.05 or f.verdict != TRAINED for f in findings)
    rows = [
        Row(f.test, f.part, f.statistic, f.quantiles, f.p_value, f.p_holm, f.verdict, f.size, dict(f.numbers))
        for f in findings
    ]
    assert summary(report(*rows))[0].startswith("This map cannot be trusted")
    assert UNTRAINED in artifact_html(report(*rows))


def test_networks_trained_alike_agree_more_than_shuffled_ones():
    fine = correlated(5, SCENE.rows, SCENE.cols, 1.5)

    def verdict(other: Analytic) -> tuple[str, float]:
        study = Study(Analytic(SCENE), SCENE, [PLANTED], Settings(("randomised_weights",)), trained=[other])
        needed = study.needs(PLANTED)
        found = study.look(patch_of(fine[(slice(None), *needed.slices())], needed), PLANTED)
        row = next(each for each in study.findings() if each.part == "other trained networks")
        np.testing.assert_array_less(found.trained, np.abs(found.fine.observed) + 1e-12)
        return row.verdict, row.size

    alike = verdict(Analytic(SCENE, lambda inputs, window: 3.0 * clean(inputs, window)))
    assert alike == (TRAINED, pytest.approx(1.0))
    assert verdict(Analytic(SCENE).randomised(99))[0] == UNDECIDED
