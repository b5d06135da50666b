"""The fusion network: its definition, and the fast form held equal to it."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.aspp.variants import VARIANTS as TABLE
from floelens.tests.plugin.networks.networks import VARIANTS, fast_of, random_inputs, random_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

SIZES = [(73, 51), (5, 9), (1, 1), (16, 40), (3, 66)]


def worst(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    return float((got.double() - expected.double()).abs().max() / expected.double().abs().max())


def slow_forward(network: AsppFusion, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
    """Return the logits by the table of the paper's network, with functions only."""
    state, widths = network.state_dict(), TABLE[network.variant]

    def convolve(name, values, dilation=1):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        padding = dilation * (weight.shape[-1] // 2)
        return functional.conv2d(values, weight, bias, padding=padding, dilation=dilation)

    def normalise(name, values):
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        standardised = (values - mean[:, None, None]) / torch.sqrt(variance + 1e-3)[:, None, None]
        return state[f"{name}.weight"][:, None, None] * standardised + state[f"{name}.bias"][:, None, None]

    skip = convolve("conv2", convolve("conv1", fine).clamp(min=0)).clamp(min=0)
    trunk = normalise("norm1", skip)
    trunk = convolve("conv4", convolve("conv3", trunk).clamp(min=0)).clamp(min=0)
    trunk = normalise("norm2", trunk)
    trunk = convolve("conv6", convolve("conv5", trunk).clamp(min=0)).clamp(min=0)
    parts = [skip]
    for index, size in enumerate((2, 4, 8, 16)):
        before, after = (size - 1) // 2, size // 2
        padding = (before, after, before, after)
        ones = torch.ones_like(trunk)
        pooled = functional.avg_pool2d(functional.pad(trunk, padding), size, 1) / functional.avg_pool2d(
            functional.pad(ones, padding), size, 1
        )
        branch = convolve(f"scales.{index}", pooled, size)
        parts.append(branch.clamp(min=0) if widths.rectified else branch)
    rows, cols = fine.shape[-2:]
    if widths.bilinear:
        up = functional.interpolate(coarse, scale_factor=network.ratio, mode="bilinear")
    else:
        up = coarse.repeat_interleave(network.ratio, 2).repeat_interleave(network.ratio, 3)
    parts.append(up[..., :rows, :cols])
    joined = torch.cat(parts, 1)
    if widths.hidden:
        joined = convolve("hidden", joined).clamp(min=0)
    return convolve("output", joined)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_is_the_one_of_the_table(variant):
    network = random_network(variant, ratio=20, outputs=2)
    inputs = random_inputs(47, 38, 20)
    assert worst(network(*inputs), slow_forward(network, *inputs)) < 1e-13


@pytest.mark.parametrize(
    ("variant", "components"),
    [("fusion", 122), ("interpretability_small", 84), ("interpretability_large", 140), ("v2", 128)],
)
def test_the_last_convolution_reads_the_components(variant, components):
    network = random_network(variant, ratio=10, outputs=3)
    inputs = random_inputs(21, 33, 10)
    parts = network.components(*inputs)
    assert parts.shape == (1, components, 21, 33)
    assert torch.equal(network.output(parts), network(*inputs))


def test_the_last_components_are_the_coarse_channels_themselves():
    network = random_network("interpretability_small", ratio=10)
    fine, coarse = random_inputs(20, 30, 10)
    assert torch.equal(network.components(fine, coarse)[0, -14:, 13, 25], coarse[0, :, 1, 2])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("outputs", [1, 5])
def test_the_fast_form_equals_the_definition(variant, outputs):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        network = random_network(variant, dtype, ratio=25, outputs=outputs)
        fast = fast_of(network)
        reference = random_network(variant, ratio=25, outputs=outputs)
        for rows, cols in SIZES:
            inputs = random_inputs(rows, cols, 25, dtype)
            expected = reference(*(values.double() for values in inputs))
            logits = fast(*inputs)
            assert logits.dtype == dtype
            assert logits.shape == expected.shape
            assert worst(logits, expected) < tolerance, (dtype, rows, cols)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_fast_components_equal_the_definition(variant):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        network = random_network(variant, dtype, ratio=25)
        for rows, cols in SIZES:
            inputs = random_inputs(rows, cols, 25, dtype)
            expected = network.components(*inputs)
            for recorded in (True, False):  # without gradients pixels are joined row by row
                with torch.set_grad_enabled(recorded):
                    got = fast_of(network).components(*inputs)
                assert got.shape == expected.shape
                assert worst(got, expected) < tolerance, (dtype, rows, cols)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 40),
    ratio=st.integers(1, 60),
    variant=st.sampled_from(VARIANTS),
    outputs=st.sampled_from([1, 2, 3, 20]),
    samples=st.integers(1, 2),
)
def test_the_fast_form_equals_the_definition_at_any_size_and_ratio(
    rows, cols, ratio, variant, outputs, samples
):
    network = random_network(variant, ratio=ratio, outputs=outputs)
    inputs = random_inputs(rows, cols, ratio, samples=samples)
    assert worst(fast_of(network)(*inputs), network(*inputs)) < 1e-12


@pytest.mark.parametrize("variant", ["fusion", "interpretability_small"])
def test_bfloat16_is_near_the_definition_and_answers_in_float32(variant):
    network = random_network(variant, torch.float32, ratio=25, outputs=2)
    inputs = random_inputs(60, 70, 25, torch.float32)
    logits = fast_of(network, torch.bfloat16)(*inputs)
    assert logits.dtype == torch.float32
    # Eight bits of significand through nine layers: a few parts in a hundred at most.
    assert worst(logits, network(*inputs)) < 0.03
    assert worst(logits, network(*inputs)) > 0


@pytest.mark.parametrize("variant", VARIANTS)
# Smaller tiles are taken whole by a linear head.
@pytest.mark.parametrize(("rows", "cols", "outputs"), [(33, 27, 1), (101, 97, 1), (101, 97, 2)])
def test_gradients_of_the_fast_form_equal_those_of_the_definition(variant, rows, cols, outputs):
    network = random_network(variant, ratio=10, outputs=outputs)
    gradients = []
    for forward in (network, fast_of(network)):
        inputs = [values.requires_grad_(True) for values in random_inputs(rows, cols, 10)]
        forward(*inputs)[:, :, 5:20, 3:-10].sum().backward()
        gradients.append([values.grad for values in inputs])
    for plain, fast in zip(*gradients):
        assert worst(fast, plain) < 1e-12


def test_the_fast_form_shares_nothing_with_the_network():
    network = random_network("fusion", ratio=10)
    fast = fast_of(network)
    inputs = random_inputs(15, 15, 10)
    before, plain = fast(*inputs), network(*inputs)
    for parameter in network.parameters():
        parameter.mul_(2)
    network.norm1.running_mean.add_(1)
    assert torch.equal(fast(*inputs), before)
    assert not torch.allclose(network(*inputs), plain)


def test_the_fast_form_is_that_of_evaluation_even_while_training():
    network = random_network("fusion", ratio=10)
    inputs = random_inputs(15, 15, 10)
    expected = network(*inputs)
    assert worst(fast_of(network.train())(*inputs), expected) < 1e-12
    assert network.training


def test_a_shift_of_batch_norm_does_not_reach_the_padding():
    """Folding the shift into the next bias would move the border; the fast form must not do so."""
    network = random_network("interpretability_small", ratio=10)
    network.norm1.bias.add_(10)
    network.norm2.bias.sub_(10)
    inputs = random_inputs(20, 20, 10)
    assert worst(fast_of(network)(*inputs), network(*inputs)) < 1e-12


def test_a_network_without_coarse_channels_needs_none():
    network = random_network("interpretability_small", coarse_channels=0, fine_channels=3)
    fine = random_inputs(20, 20, 1, channels=(3, 1))[0]
    logits = network(fine, None)
    assert network.components(fine, None).shape[1] == 70
    assert worst(fast_of(network)(fine, None), logits) < 1e-12


def test_dropout_is_active_in_training_only():
    network = random_network("fusion", torch.float32, ratio=10)
    inputs = random_inputs(15, 15, 10, torch.float32)
    assert torch.equal(network(*inputs), network(*inputs))
    network.drop1.train()
    assert not torch.equal(network(*inputs), network(*inputs))
    assert network.drop1.p == network.drop2.p == 0.25


def test_batch_norm_follows_keras():
    network = AsppFusion()
    assert network.norm1.eps == network.norm2.eps == 1e-3
    assert network.norm1.momentum == 0.01


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match=r"No network variant 'small'.*interpretability_small"):
        AsppFusion(variant="small")
