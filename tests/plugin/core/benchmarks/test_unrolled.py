"""Relevance of echo state networks: by loops from the definition, and in cases that can be solved by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from floelens.plugin.core.benchmarks.echo_state import COLUMNS, COLUMNS_REVERSED, ROWS, EchoState, Reservoir
from floelens.plugin.core.benchmarks.explaining import ReservoirNetwork
from floelens.plugin.core.benchmarks.unrolled import EPSILON, RELATIVE_EPSILON, Z_PLUS, unrolled
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.streaming.runner import Inputs

ROWS_OF_FIELD, COLUMNS_OF_FIELD = 4, 5


def network(**changes) -> EchoState:
    """Return a small network of both recurrences with biases, with output weights of either sign."""
    reservoir = Reservoir(**{"leak": 0.4, "units": 6, "kept": 0.7, **changes})
    width = COLUMNS_OF_FIELD if reservoir.feed == ROWS else ROWS_OF_FIELD
    echo = EchoState(reservoir, width, seed=3)
    generator = torch.Generator().manual_seed(1)
    echo.w_out = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    echo.b_out = torch.randn(2, generator=generator, dtype=torch.float64)
    return echo


def fields(number: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(number, 1, ROWS_OF_FIELD, COLUMNS_OF_FIELD, generator=generator, dtype=torch.float64)


CLASSES = torch.tensor([0, 1, 1])


def share(parts: list[float], bias: float, variant: str) -> list[float]:
    """Return what share of the relevance of a sum each of its parts gets."""
    if variant == Z_PLUS:
        positive = [max(part, 0.0) for part in parts]
        return [part / sum(positive) if sum(positive) else 0.0 for part in positive]
    z = sum(parts) + bias
    size = sum(abs(part) for part in parts) + abs(bias)
    return [part / (z + RELATIVE_EPSILON * (1 if z >= 0 else -1) * size) for part in parts]


def by_loops(echo: EchoState, field: np.ndarray, output: int, variant: str) -> np.ndarray:
    """Return the relevance of one field (row, column), fed by columns, unit by unit from the paper's formulas."""
    alpha, keep, first = echo.reservoir.leak, echo.reservoir.keep, echo.reservoir.first_factor
    w_in, w_res, w_out = echo.w_in.numpy(), echo.w_res.numpy(), echo.w_out.numpy()
    units, steps = len(w_in), field.shape[1]
    states = [first * np.tanh(w_in @ field[:, 0] + echo.b_in.numpy())]
    for t in range(1, steps):
        z = w_in @ field[:, t] + echo.b_in.numpy() + w_res @ states[-1] + echo.b_res.numpy()
        states.append(keep * states[-1] + alpha * np.tanh(z))
    f = w_out[output] @ states[-1] + echo.b_out.numpy()[output]
    parts = list(w_out[output] * states[-1])
    relevance = [f * s for s in share(parts, float(echo.b_out[output]), variant)]
    found = np.zeros_like(field)
    for t in range(steps - 1, -1, -1):
        earlier = [0.0] * units
        for j in range(units):
            act = (alpha if t else first) * relevance[j]
            parts = [w_in[j, i] * field[i, t] for i in range(len(field))]
            bias = float(echo.b_in[j])
            if t:
                parts += [w_res[j, k] * states[t - 1][k] for k in range(units)]
                bias += float(echo.b_res[j])
            for number, s in enumerate(share(parts, bias, variant)):
                if number < len(field):
                    found[number, t] += s * act
                else:
                    earlier[number - len(field)] += s * act
        relevance = [keep * relevance[j] + earlier[j] for j in range(units)]
    return found


@pytest.mark.parametrize("variant", [Z_PLUS, EPSILON])
@pytest.mark.parametrize("changes", [{}, {"leaky": False}, {"first_scaled": False}], ids=str)
def test_the_unrolled_rule_equals_loops_over_units(variant, changes):
    echo, given = network(**changes), fields()
    found = unrolled(echo, given, CLASSES, variant).relevance[:, 0].numpy()
    for sample, output in enumerate(CLASSES.tolist()):
        expected = by_loops(echo, given[sample, 0].numpy(), output, variant)
        np.testing.assert_allclose(found[sample], expected, rtol=1e-9, atol=1e-12)


def test_feeding_by_rows_or_from_the_right_is_feeding_a_turned_field_by_columns():
    given = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    plain = unrolled(network(), given, CLASSES[:2]).relevance
    mirrored = unrolled(network(feed=COLUMNS_REVERSED), given.flip(3), CLASSES[:2]).relevance
    torch.testing.assert_close(mirrored.flip(3), plain)
    by_rows = network()
    object.__setattr__(by_rows.reservoir, "feed", ROWS)  # the same weights
    torch.testing.assert_close(unrolled(by_rows, given.mT, CLASSES[:2]).relevance.mT, plain)


@pytest.mark.parametrize(("leaky", "factor"), [(True, 0.7), (False, 1.0)])
def test_without_recurrent_weights_relevance_decays_as_the_state_leaks_and_else_not_at_all(leaky, factor):
    echo = network(leak=0.3, leaky=leaky)
    echo.w_res.zero_()
    given = fields(1).abs()
    echo.w_in.abs_()
    echo.w_out.abs_()
    by_column = unrolled(echo, given, CLASSES[:1]).relevance[0, 0].sum(0).numpy()
    np.testing.assert_allclose(by_column[:-1] / by_column[1:], factor, rtol=1e-12)


def test_by_z_plus_nothing_is_lost_but_what_the_first_state_keeps():
    # With positive weights and inputs no denominator is zero.
    sums = {}
    for first_scaled in (True, False):
        echo = network(first_scaled=first_scaled)
        for values in (echo.w_in, echo.w_res, echo.w_out, echo.b_in, echo.b_res, echo.b_out):
            values.abs_()
        given = fields().abs()
        f = echo(given).gather(1, CLASSES[:, None])[:, 0]
        sums[first_scaled] = unrolled(echo, given, CLASSES).relevance.sum((1, 2, 3)) / f
    torch.testing.assert_close(sums[False], torch.ones(3, dtype=torch.float64))
    assert (sums[True] < 0.99).all()


def test_all_relevance_goes_to_the_first_column_as_the_leak_rate_goes_to_zero():
    echo = network(leak=1e-6, first_scaled=False)
    for weights in (echo.w_in, echo.w_out):
        weights.abs_()
    by_column = unrolled(echo, fields(1).abs(), CLASSES[:1]).relevance[0, 0].sum(0)
    assert by_column[0] / by_column.sum() > 1 - 1e-4


@pytest.mark.parametrize(
    "changes",
    [{}, {"activation": "sigmoid", "leaky": False}, {"activation": "relu", "first_scaled": False}],
    ids=str,
)
def test_the_gradient_is_that_of_autograd_layer_by_layer_and_all_steps_at_once(changes):
    echo, given = network(**changes), fields()
    reservoir, activation = echo.reservoir, getattr(torch, changes.get("activation", "tanh"))
    tracked = given.clone().requires_grad_()
    steps, state = tracked[:, 0].permute(2, 0, 1), None
    for read in steps:
        z = read @ echo.w_in.T + echo.b_in
        if state is None:
            state = (0.4 if reservoir.first_scaled else 1.0) * activation(z)
        else:
            new = activation(z + state @ echo.w_res.T + echo.b_res)
            state = (0.6 if reservoir.leaky else 1.0) * state + 0.4 * new
    outputs = state @ echo.w_out.T + echo.b_out
    (expected,) = torch.autograd.grad(outputs.gather(1, CLASSES[:, None]).sum(), tracked)
    explained = ReservoirNetwork(echo)
    found = explained.explain(Method("gradient"), given, CLASSES, lambda: None).relevance
    np.testing.assert_allclose(found, expected[:, 0].numpy(), rtol=1e-10, atol=1e-14)
    seeds = torch.nn.functional.one_hot(CLASSES, 2).double()
    at_once, _ = explained.gradient(Inputs(given, None), seeds)
    torch.testing.assert_close(at_once, expected, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(echo(given).numpy(), outputs.detach().numpy(), rtol=1e-12)


def test_deeplift_adds_up_to_the_change_from_zero():
    echo, given = network(), fields()
    found = ReservoirNetwork(echo).explain(Method("deeplift"), given, CLASSES, lambda: None).relevance
    change = echo(given) - echo(torch.zeros_like(given))
    np.testing.assert_allclose(found.sum((1, 2)), change.gather(1, CLASSES[:, None])[:, 0].numpy(), rtol=1e-9)


def test_a_reservoir_is_sparse_and_scaled_by_the_largest_real_part():
    echo = EchoState(Reservoir(0.1, COLUMNS, units=80), 5, seed=0)
    w_res = echo.w_res.numpy()
    assert np.linalg.eigvals(w_res).real.max() == pytest.approx(0.8, rel=1e-9)
    assert (w_res != 0).mean() == pytest.approx(0.3, abs=0.03)
    assert not np.array_equal(w_res, EchoState(Reservoir(0.1, COLUMNS, units=80), 5, seed=1).w_res.numpy())
