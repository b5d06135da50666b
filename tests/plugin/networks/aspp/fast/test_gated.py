"""The pass in rows equals the definition: Jacobian-vector products of the plain network, gates frozen."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.networks.architectures import fast_paths
from floelens.plugin.networks.aspp.fast import gated as aspp_rows
from floelens.plugin.networks.aspp.fast.gated import BIAS, GatedForward
from floelens.tests.plugin.networks.networks import VARIANTS, fast_of, random_inputs, random_network

pytestmark = pytest.mark.usefixtures("two_cores")

LINEAR = ("interpretability_small", "interpretability_large")
GROUPS = ((0,), (1, 2), (3, 4, 5))  # a fine channel, one fine and one coarse, and the other coarse ones


def settings_of(variant: str, rows: int, cols: int):
    """Return a network of two logits, inputs and a baseline: fine, coarse, base fine, base coarse."""
    network = random_network(variant, outputs=2, fine_channels=2, coarse_channels=4, ratio=10)
    inputs = random_inputs(rows, cols, 10, channels=(2, 4))
    levels = random_inputs(1, 1, 1, channels=(2, 4), seed=5)
    return network, *inputs, *(level.expand_as(values).clone() for level, values in zip(levels, inputs))


def summed(rows, like: torch.Tensor, groups: int) -> torch.Tensor:
    """Return (group, then bias; output, row, column)."""
    found = torch.zeros(groups + 1, *like.shape[1:], dtype=like.dtype)
    for name, row in rows:
        found[name if name != BIAS else groups] += row[0]
    return found


def by_definition(network, fine, coarse, base_fine, base_coarse):
    """Return the same by forward-mode derivatives of the plain network, the bias as what they leave over."""
    found = []
    for group in GROUPS:
        steps = []
        for values, base, first in ((fine, base_fine, 0), (coarse, base_coarse, 2)):
            mask = torch.tensor([first + channel in group for channel in range(values.shape[1])])
            steps.append((values - base) * mask[None, :, None, None])
        found.append(torch.func.jvp(network, (fine, coarse), tuple(steps))[1][0])
    logits = network(fine, coarse)[0]
    return torch.stack([*found, logits - sum(found)])


@pytest.mark.parametrize(
    ("variant", "size", "dead"),
    [
        (LINEAR[0], (73, 51), True),
        (LINEAR[1], (73, 51), False),
        (LINEAR[0], (5, 9), False),
        (LINEAR[1], (5, 9), True),
        (LINEAR[0], (120, 130), False),
    ],
)
def test_rows_equal_derivatives_of_the_plain_network(variant, size, dead):
    network, *inputs = settings_of(variant, *size)
    fine, coarse, base_fine, base_coarse = inputs
    if dead:  # a norm with a gain of zero cannot be merged
        with torch.no_grad():
            network.norm1.weight[3] = 0.0
    with torch.no_grad():
        expected = by_definition(network, *inputs)
        fast = fast_of(network, torch.float64)
        fast.band_rows = 32
        distance, origin = (fine - base_fine, coarse - base_coarse), (base_fine, base_coarse)
        found = summed(GatedForward(fast)(distance, origin, GROUPS), expected[None, 0], len(GROUPS))
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


def test_inner_edges_are_right_beyond_the_receptive_field():
    network, *inputs = settings_of("interpretability_small", 150, 140)
    fine, coarse, base_fine, base_coarse = inputs
    with torch.no_grad():
        distance, origin = (fine - base_fine, coarse - base_coarse), (base_fine, base_coarse)
        rows = GatedForward(fast_of(network, torch.float64))
        whole, inner = (
            summed(rows(distance, origin, GROUPS, edges), network(fine, coarse), len(GROUPS))
            for edges in ((True,) * 4, (False,) * 4)
        )
    inside = (..., slice(60, -60), slice(60, -60))
    torch.testing.assert_close(inner[inside], whole[inside], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("outputs", [(1,), (1, 0), ()])
def test_some_outputs_are_those_of_all(outputs):
    network, *inputs = settings_of("interpretability_small", 40, 30)
    fine, coarse, base_fine, base_coarse = inputs
    rows = GatedForward(fast_of(network, torch.float64))
    given = (fine - base_fine, coarse - base_coarse), (base_fine, base_coarse), GROUPS
    expected, found = list(rows(*given)), list(rows(*given, outputs=outputs))
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, all_of_it), (_, some) in zip(expected, found):
        assert torch.equal(some, all_of_it[:, list(outputs)])


def test_inputs_that_require_a_gradient_are_split_the_same_without_one():
    network, *inputs = settings_of("interpretability_small", 150, 20)
    fine, coarse, base_fine, base_coarse = inputs
    rows, origin = GatedForward(fast_of(network, torch.float64)), (base_fine, base_coarse)
    expected = dict(rows((fine - base_fine, coarse - base_coarse), origin, GROUPS[:1]))
    found = dict(rows(((fine - base_fine).requires_grad_(), coarse - base_coarse), origin, GROUPS[:1]))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("height", "least"), [(0, 1), (128, 2), (32, 5)])
def test_rows_are_cut_where_the_network_cuts_its_own(height, least, monkeypatch):
    network, *inputs = settings_of("interpretability_small", 150, 20)
    fine, coarse, base_fine, base_coarse = inputs
    fast, heights = fast_of(network, torch.float64), []
    fast.band_rows = height
    monkeypatch.setattr(aspp_rows, "_gate", lambda rows: heights.append(rows.shape[2]))
    list(GatedForward(fast)((fine - base_fine, coarse - base_coarse), (base_fine, base_coarse), GROUPS))
    with torch.no_grad():
        number = sum(len(list(share.cut(height))) for share in fast.shares(150))
    assert number >= least
    assert len(heights) == 6 * number


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant not in LINEAR])
def test_variants_without_a_linear_head_have_none(variant):
    assert fast_paths(random_network(variant), torch.float64).gated is None
