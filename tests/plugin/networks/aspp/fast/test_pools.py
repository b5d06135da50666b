"""Pools made of smaller ones: by sums and by convolutions, whole and in parts, ahead and back."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.networks.aspp.fast import pools as aspp_pools
from floelens.plugin.networks.aspp.fast.pools import (
    doubled_pools,
    framed_pools,
    normalise_boundary,
    shifted_sum,
    transposed_pools,
)
from floelens.plugin.networks.layers import SamePool2d
from floelens.tests.plugin.networks.aspp.test_definition import worst
from floelens.tests.plugin.networks.networks import random_inputs

SCALES = (2, 4, 8, 16)
# float32 goes by convolutions of single channels, float64 by sums.
KINDS = [(torch.float64, 1e-13), (torch.float32, 1e-5)]


def values_of(rows: int, cols: int, dtype: torch.dtype, channels: int = 18) -> torch.Tensor:
    values = random_inputs(rows, cols, 1, dtype, channels=(channels, 1))[0]
    return values.contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def without_gradient():
    with torch.no_grad():
        yield


def test_single_precision_goes_by_convolutions_but_for_few_channels_and_gradients():
    values = values_of(20, 20, torch.float32)
    assert aspp_pools._depthwise(values)
    assert not aspp_pools._depthwise(values.double())
    assert not aspp_pools._depthwise(values[:, :4])
    with torch.enable_grad():
        assert not aspp_pools._depthwise(values)


@pytest.mark.parametrize(("dtype", "share"), KINDS)
@pytest.mark.parametrize("channels", [2, 18])
def test_doubled_pools_equal_pools_of_each_size(dtype, share, channels):
    for rows, cols in ((40, 33), (3, 20), (1, 1)):
        values = values_of(rows, cols, dtype, channels)
        for scale, pooled in doubled_pools(values, SCALES):
            assert worst(pooled.double(), SamePool2d(scale)(values.double())) < share


@pytest.mark.parametrize(("dtype", "share"), KINDS)
@pytest.mark.parametrize(("first", "stop"), [(0, 90), (0, 31), (20, 70), (52, 90), (0, 1), (89, 90)])
@pytest.mark.parametrize("cols", [1, 9, 50])
def test_framed_pools_are_those_of_the_whole_array_with_zeros_beside(dtype, share, first, stop, cols):
    array = values_of(90, cols, dtype)
    before = array.clone()
    seen = slice(max(0, first - 8), min(90, stop + 8))
    top, bottom = seen.start == 0, seen.stop == 90
    scales = []
    for scale, begin, means, frame in framed_pools(array[:, :, seen], SCALES, top, bottom):
        expected = SamePool2d(scale)(array.double())
        assert not means[..., :frame].any()
        assert not means[..., frame + cols :].any()
        assert means.shape[3] == cols + 2 * frame
        # What lies beyond the array is not given, and at least what was asked for is.
        begin += seen.start
        end = begin + means.shape[2]
        assert 0 <= begin <= first
        assert stop <= end <= 90
        inside = means[..., frame : frame + cols]
        assert worst(inside.double(), expected[:, :, begin:end]) < share
        scales.append(scale)
    assert tuple(scales) == SCALES
    assert torch.equal(array, before)


@pytest.mark.parametrize(("dtype", "share"), KINDS)
def test_transposed_pools_are_the_transpose(dtype, share):
    values = values_of(37, 30, dtype)
    given = {scale: values_of(37, 30, dtype).roll(scale, 2) for scale in SCALES}
    ahead = sum(
        (pooled.double() * given[scale].double()).sum() for scale, pooled in doubled_pools(values, SCALES)
    )
    back = (transposed_pools(given, torch.channels_last).double() * values.double()).sum()
    assert abs(ahead - back) < share * abs(ahead)


@pytest.mark.parametrize(("dtype", "share"), KINDS)
def test_sums_beside_take_nothing_from_outside(dtype, share):
    values = values_of(12, 15, dtype)
    padded = torch.nn.functional.pad(values.double(), (2, 2, 2, 2))
    rows, cols = slice(4, None), slice(4, None)
    expected = sum(padded[:, :, a, b] for a in (slice(0, -4), rows) for b in (slice(0, -4), cols))
    assert worst(shifted_sum(values, 2).double(), expected) < share


@pytest.mark.parametrize("length", [5, 8, 40])
@pytest.mark.parametrize(("first", "stop"), [(0, 5), (1, 4), (0, 1), (4, 5)])
def test_means_are_completed_where_the_array_ends_and_nowhere_else(length, first, stop):
    pool, scale = SamePool2d(8), 8
    factors = (8 / pool.counts(length, torch.ones((), dtype=torch.float64)))[first:stop]
    for ends, rows in (((True, True), factors), ((False, False), torch.ones_like(factors))):
        means = torch.ones(1, 2, stop - first, 40, dtype=torch.float64)
        normalise_boundary(means, scale, ((first, stop), (0, 40)), (length, 40), ends)
        cols = 8 / pool.counts(40, means)
        assert (means - rows[:, None] * cols).abs().max() < 1e-15
