"""Convolutions that fill the lanes of a register are the convolutions of torch."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from floelens.plugin.networks.kernels import convolutions
from floelens.plugin.networks.kernels.convolutions import (
    Filters,
    convolved,
    filled,
    kernel_lines,
    planes,
    without_padding_channels,
)
from torch.nn import functional

# Less than a register, all of it, and what is left over.
OUTPUTS = [1, 2, 3, 4, 5, 12, 16, 18, 20, 34]


@pytest.fixture(params=[8, 16], autouse=True)
def lanes(request, monkeypatch):
    """Registers of 256 and of 512 bits, whatever this machine has."""
    monkeypatch.setattr(convolutions, "LANES", request.param)
    return request.param


def made(outputs, channels, dtype, seed=1):
    torch.manual_seed(seed)
    weight = torch.randn(outputs, channels, 3, 3, dtype=torch.float64).to(dtype)
    return weight.contiguous(memory_format=torch.channels_last), torch.randn(outputs, dtype=torch.float64).to(
        dtype
    )


@pytest.mark.parametrize("cols", [1, 7, 33, 48, 61])
def test_filters_are_a_padded_convolution(cols):
    for outputs, relu, added in product(OUTPUTS, (False, True), (False, True)):
        weight, bias = made(outputs, 6, torch.float32)
        values = torch.randn(1, 6, 9, cols).contiguous(memory_format=torch.channels_last)
        filters = Filters(weight, bias)
        expected = functional.conv2d(
            values.double(), weight.double(), bias.double() if added else None, padding=1
        )
        with torch.no_grad():
            found = filters(values, relu=relu, bias=added)
        # Sums of 54 products of about 1, each rounded to 24 bits.
        assert found.shape == expected.shape
        assert (found - (expected.clamp(min=0) if relu else expected)).abs().max() < 54 * 2**-22
        assert found.is_contiguous(memory_format=torch.channels_last) or cols == 1


def test_filters_take_several_samples_and_bfloat16():
    weight, bias = made(18, 14, torch.bfloat16)
    values = torch.randn(3, 14, 12, 50).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    expected = functional.conv2d(values.double(), weight.double(), bias.double(), padding=1)
    with torch.no_grad():
        found = Filters(weight, bias)(values)
    # Rounded once, at the end, to 8 bits.
    assert found.dtype == torch.bfloat16
    assert (found - expected).abs().max() <= 2**-8 * expected.abs().max()


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_where_gradients_are_wanted_they_flow_and_in_float64_nothing_is_rounded_otherwise(outputs):
    weight, bias = made(outputs, 4, torch.float64)
    values = torch.randn(1, 4, 8, 40, dtype=torch.float64, requires_grad=True)
    found = Filters(weight, bias)(values, relu=True)
    expected = functional.conv2d(values, weight, bias, padding=1).relu()
    seeds = torch.randn_like(expected)
    assert torch.equal(found, expected)
    assert torch.equal(
        *(torch.autograd.grad(each, values, seeds, retain_graph=True)[0] for each in (found, expected))
    )


@pytest.mark.parametrize("relu", [False, True])
def test_gradients_flow_in_float32_too(relu):
    weight, bias = made(5, 4, torch.float32)
    values = torch.randn(1, 4, 8, 10, requires_grad=True)
    exact = values.detach().double().requires_grad_()
    found = Filters(weight, bias)(values, relu=relu)
    expected = functional.conv2d(exact, weight.double(), bias.double(), padding=1)
    seeds = torch.randn_like(found)
    gradient = torch.autograd.grad(expected.relu() if relu else expected, exact, seeds.double())[0]
    assert (torch.autograd.grad(found, values, seeds)[0] - gradient).abs().max() < 45 * 2**-20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_rows_wanted_go_where_they_are_wanted_and_nothing_else_is_touched(layout, dtype):
    for outputs, cols in product(OUTPUTS, (7, 12, 33)):
        weight, bias = made(outputs, 6, dtype)
        values = torch.randn(1, 6, 9, cols).to(dtype).contiguous(memory_format=torch.channels_last)
        expected = functional.conv2d(values.double(), weight.double(), bias.double(), padding=1).clamp(min=0)
        tolerance = {torch.float32: 54 * 2**-22, torch.float64: 1e-12, torch.bfloat16: 2**-8 * expected.max()}
        for first, last in ((0, 9), (1, 8), (0, 6), (0, 8), (3, 9), (2, 4), (1, 2)):
            around = torch.full((1, outputs, last - first + 2, cols), -7.0, dtype=dtype)
            around = around.contiguous(memory_format=layout)
            out = around[:, :, 1:-1]
            with torch.no_grad():
                found = Filters(weight, bias)(values, relu=True, rows=slice(first, last), out=out)
            assert found.data_ptr() == out.data_ptr()
            assert (out - expected[:, :, first:last]).abs().max() <= tolerance[dtype]
            assert (around[:, :, [0, -1]] == -7).all()


@pytest.mark.parametrize("others", [2, 3])
def test_results_may_go_to_some_channels_of_a_larger_array(others):
    """Two numbers are moved like one only where both arrays allow it: here one begins at an odd place."""
    weight, bias = made(12, 6, torch.float32)
    values = torch.randn(1, 6, 9, 8).contiguous(memory_format=torch.channels_last)
    whole = torch.full((1, 12 + others, 9, 8), -7.0).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        Filters(weight, bias)(values, out=whole[:, 1:13])
    expected = functional.conv2d(values.double(), weight.double(), bias.double(), padding=1)
    assert (whole[:, 1:13] - expected).abs().max() < 54 * 2**-22
    assert (whole[:, [0, *range(13, 12 + others)]] == -7).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_channels_keep_their_type(dtype):
    values = torch.randn(2, 6, 5, 7).to(dtype).contiguous(memory_format=torch.channels_last)
    first = without_padding_channels(values, 4)
    assert first.dtype == dtype
    assert torch.equal(first, values[:, :4])


def test_a_single_channel_keeps_its_rows_and_columns():
    torch.manual_seed(5)
    values, weight = torch.randn(2, 1, 9, 13), torch.randn(4, 1, 3, 3)
    expected = functional.conv2d(values.double(), weight.double(), padding=1)
    assert (convolved(values, weight, padding=1) - expected).abs().max() < 9 * 2**-22


def test_lanes_are_filled_with_zeros_where_a_part_of_a_register_costs_more_than_all_of_it(lanes):
    weight, _ = made(12, 4, torch.float32)
    assert len(filled(weight)) == (16 if lanes == 8 else 12)
    assert len(filled(made(18, 4, torch.float32)[0])) == (24 if lanes == 8 else 18)
    assert torch.equal(filled(weight)[:12], weight)
    assert not filled(weight)[12:].any()
    assert filled(weight).is_contiguous(memory_format=torch.channels_last)
    assert filled(weight.double()).shape == weight.shape  # oneDNN does not compute in float64
    values = torch.randn(1, 4, 9, 13).contiguous(memory_format=torch.channels_last)
    found = without_padding_channels(convolved(values, filled(weight)), 12)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (found - functional.conv2d(values.double(), weight.double())).abs().max() < 36 * 2**-22


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_convolution_has_padding_dilation_stride_and_groups_along_either_axis(dtype):
    torch.manual_seed(4)
    weight, bias = torch.randn(6, 2, 3, 3, dtype=dtype), torch.randn(6, dtype=dtype)
    values = torch.randn(1, 4, 13, 17, dtype=dtype).contiguous(memory_format=torch.channels_last)
    found = convolved(values, weight, bias, (2, 1), (2, 3), (1, 2), 2)
    expected = functional.conv2d(values.double(), weight.double(), bias.double(), (1, 2), (2, 1), (2, 3), 2)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 19 * 2**-20


def test_lines_of_a_kernel_are_its_rows_each_with_all_outputs():
    weight = torch.randn(2, 5, 3, 3)
    lines = kernel_lines(weight)
    assert lines.shape == (6, 5, 1, 3)
    for row in range(3):
        assert torch.equal(lines[2 * row : 2 * row + 2, :, 0], weight[:, :, row])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("recorded", [False, True])
def test_planes_are_a_convolution_of_single_pixels(dtype, recorded):
    torch.manual_seed(3)
    weight = torch.randn(36, 18, 1, 1, dtype=torch.float64).to(dtype)
    whole = torch.randn(1, 18, 20, 31, dtype=torch.float64).to(dtype)
    values = whole.contiguous(memory_format=torch.channels_last)[:, :, 4:16]
    with torch.set_grad_enabled(recorded):
        found = planes(values, weight)
    expected = functional.conv2d(values.double(), weight.double())[0]
    assert found.is_contiguous()
    assert found.dtype == dtype
    tolerance = {
        torch.float32: 18 * 2**-22,
        torch.float64: 1e-13,
        torch.bfloat16: 2**-8 * expected.abs().max(),
    }
    assert (found - expected).abs().max() <= tolerance[dtype]
