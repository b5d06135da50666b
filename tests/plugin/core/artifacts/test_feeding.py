"""A network that reads a scene in a direction is found out by putting its steps in another order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from floelens.plugin.core.artifacts.feeding import permutation
from floelens.plugin.core.artifacts.inputs import permuted
from floelens.plugin.core.artifacts.run import Study
from floelens.plugin.core.artifacts.settings import Settings
from floelens.plugin.core.artifacts.significance import largest_standardised, rank_p
from floelens.plugin.core.benchmarks.echo_state import COLUMNS, COLUMNS_REVERSED, EchoState, Reservoir
from floelens.plugin.ground.vocabulary.artifact_tests import ARTIFACT, NONE, NOT_APPLICABLE
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.artifacts.analytic import Analytic, clean, correlated, patch_of

SCENE = Window(0, 0, 72, 72)


def fed(inputs, window):
    across = np.arange(window.col, window.col_stop)
    return clean(inputs, window) * 0.97**across


def finding_of(mapper: Analytic, seed: int = 5):
    study = Study(mapper, SCENE, [SCENE], Settings(("permutation",)))
    study.look(patch_of(correlated(seed, 72, 72, 1.5)), SCENE)
    (found,) = study.findings()
    return found


def test_steps_in_another_order_come_back():
    patch = patch_of(np.arange(2 * 6 * 8, dtype=float).reshape(2, 6, 8), Window(10, 20, 6, 8))
    core, order = Window(11, 22, 4, 5), np.array([3, 0, 4, 1, 2])
    mixed = permuted(patch, core, 1, order)
    np.testing.assert_array_equal(mixed.fine[:, :, 2:7], patch.fine[:, :, 2:7][:, :, order])
    np.testing.assert_array_equal(permuted(mixed, core, 1, np.argsort(order)).fine, patch.fine)


@pytest.mark.parametrize(("map_of", "verdict"), [(fed, ARTIFACT), (clean, NONE)])
def test_a_planted_direction_of_feeding_is_named_and_a_network_without_one_is_not(map_of, verdict):
    found = finding_of(Analytic(SCENE, map_of, feeding_axis=1))
    assert found.verdict == verdict
    if verdict == ARTIFACT:  # 0.97 a step over the 43 steps of the piece that is tried
        assert found.size == pytest.approx(1 - 0.97**43, abs=0.02)


def test_the_test_does_not_apply_to_a_network_that_reads_without_a_direction():
    found = finding_of(Analytic(SCENE, fed))
    assert (found.verdict, found.numbers) == (NOT_APPLICABLE, {"direction": 0.0})


class Reading:
    """Gradient x input of an echo state network, whole fields at a time."""

    feeding_axis, radius = 1, 0

    def __init__(self, feed: str, leak: float) -> None:
        self.network = EchoState(Reservoir(leak, feed, units=40), 24, seed=3)
        self.network.w_out = torch.from_numpy(np.random.default_rng(4).normal(size=(2, 40)))

    def relevance(self, patch, _core):
        fields = torch.from_numpy(patch.fine[None].copy()).requires_grad_()
        states = None
        network, leak = self.network, self.network.reservoir.leak
        for read in network.steps(fields):
            z = read @ network.w_in.T + network.b_in
            if states is None:
                states = leak * torch.tanh(z)
                continue
            states = (1 - leak) * states + leak * torch.tanh(z + states @ network.w_res.T + network.b_res)
        (states @ network.w_out.T)[0, 0].backward()
        return (fields * fields.grad)[0, 0].detach().numpy()


@pytest.mark.parametrize("feed", [COLUMNS, COLUMNS_REVERSED])
def test_an_echo_state_network_forgets_and_permutation_tells(feed):
    mapper, random = Reading(feed, 0.4), np.random.default_rng(0)
    core = Window(0, 0, 24, 36)
    patch = patch_of(random.normal(size=(1, 24, 36)))
    base = mapper.relevance(patch, core)
    found = permutation(mapper, patch, core, base, 99, random)
    chosen = largest_standardised(found.statistics)
    assert rank_p(chosen[0], chosen[1:]) == 0.01
    assert found.size > 0.8 * found.of  # 0.9 a step or less


@pytest.mark.slow
def test_p_values_of_another_order_are_uniform_where_the_place_does_not_count():
    from scipy import stats

    core, p_values = Window(0, 0, 24, 30), []
    for seed in range(500):
        noise = np.random.default_rng([seed, 1])

        class Noisy(Analytic):
            """What is drawn anew with every map is tied to no place, and not the same in both orders."""

            def relevance(self, patch, window, noise=noise):
                return super().relevance(patch, window) * np.exp(
                    0.3 * noise.normal(size=(window.rows, window.cols))
                )

        mapper = Noisy(core, feeding_axis=1)
        patch = patch_of(correlated(seed, 24, 30, 1.5))
        found = permutation(
            mapper, patch, core, mapper.relevance(patch, core), 79, np.random.default_rng(seed)
        )
        chosen = largest_standardised(found.statistics)
        p_values.append(rank_p(chosen[0], chosen[1:]))
    spread = np.random.default_rng(1).uniform(0, 1 / 80, 500)
    assert stats.kstest(np.array(p_values) - spread, "uniform").pvalue > 0.01


def test_gaps_do_not_hinder_it():
    patch = patch_of(correlated(5, 72, 72, 1.5))
    patch.valid[10:20, 30:50] = False
    patch = dataclasses.replace(patch, fine=np.where(patch.valid, patch.fine, np.nan))
    mapper = Analytic(SCENE, fed, feeding_axis=1)
    found = permutation(mapper, patch, SCENE, mapper.relevance(patch, SCENE), 39, np.random.default_rng(0))
    assert np.isfinite(found.statistics).all()
    assert found.size > 0.5 * found.of
