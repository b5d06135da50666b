"""The layers torch does not have, against their definitions written as loops."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.networks.layers import LEAVES, BilinearUpsample, NearestUpsample, SamePool2d, trace
from floelens.tests.plugin.networks.networks import VARIANTS, random_inputs, random_network
from hypothesis import given, settings
from hypothesis import strategies as st


def slow_pool(values: torch.Tensor, size: int) -> torch.Tensor:
    """Return the mean of the pixels of each window that exist, pixel by pixel."""
    rows, cols = values.shape[-2:]
    result = torch.empty_like(values)
    for row in range(rows):
        for col in range(cols):
            top, left = max(0, row - (size - 1) // 2), max(0, col - (size - 1) // 2)
            window = values[..., top : row + size // 2 + 1, left : col + size // 2 + 1]
            result[..., row, col] = window.mean(dim=(-2, -1))
    return result


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 20), cols=st.integers(1, 20), size=st.sampled_from([1, 2, 3, 4, 5, 8, 16]))
def test_a_pool_is_the_mean_of_the_pixels_inside_the_array(rows, cols, size):
    values, _ = random_inputs(rows, cols, 1)
    torch.testing.assert_close(SamePool2d(size)(values), slow_pool(values, size), rtol=1e-12, atol=1e-13)


def test_an_even_pool_reaches_one_pixel_farther_to_the_lower_right():
    impulse = torch.zeros(1, 1, 9, 9)
    impulse[0, 0, 4, 4] = 1
    reached = SamePool2d(4)(impulse)[0, 0].nonzero()
    # The window of pixel p is p-1 .. p+2, so pixel 4 is seen from 2 to 5.
    assert reached.min().item() == 2
    assert reached.max().item() == 5


def test_a_pool_leaves_a_constant_as_it_is():
    constant = torch.full((1, 2, 7, 11), 3.5, dtype=torch.float64)
    torch.testing.assert_close(SamePool2d(16)(constant), constant, rtol=1e-14, atol=0)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 17), cols=st.integers(1, 17), ratio=st.integers(1, 7))
def test_nearest_upsampling_gives_each_pixel_its_cell(rows, cols, ratio):
    fine, coarse = random_inputs(rows, cols, ratio)
    pixels = NearestUpsample(ratio)(coarse, fine)
    for row in range(rows):
        for col in range(cols):
            assert torch.equal(pixels[..., row, col], coarse[..., row // ratio, col // ratio])


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 13), cols=st.integers(1, 13), ratio=st.integers(1, 6))
def test_bilinear_upsampling_interpolates_between_cell_centres(rows, cols, ratio):
    fine, coarse = random_inputs(rows, cols, ratio)
    pixels = BilinearUpsample(ratio)(coarse, fine)

    def place(index: int, count: int) -> tuple[int, int, float]:
        position = min(max((index + 0.5) / ratio - 0.5, 0), count - 1)
        first = min(int(position), count - 1)
        return first, min(first + 1, count - 1), position - first

    for row in range(rows):
        upper, lower, down = place(row, coarse.shape[2])
        for col in range(cols):
            left, right, across = place(col, coarse.shape[3])
            above = (1 - across) * coarse[..., upper, left] + across * coarse[..., upper, right]
            below = (1 - across) * coarse[..., lower, left] + across * coarse[..., lower, right]
            expected = (1 - down) * above + down * below
            torch.testing.assert_close(pixels[..., row, col], expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", [NearestUpsample, BilinearUpsample])
def test_upsampling_refuses_cells_that_do_not_cover_the_pixels(kind):
    fine, coarse = torch.zeros(1, 1, 11, 5), torch.zeros(1, 1, 2, 1)
    with pytest.raises(ValueError, match="2 x 1 cells of 5 x 5 pixels do not cover 11 x 5"):
        kind(5)(coarse, fine)


@pytest.mark.parametrize("kind", [NearestUpsample, BilinearUpsample])
def test_upsampling_does_not_depend_on_the_values_of_the_fine_array(kind):
    fine, coarse = random_inputs(10, 15, 5)
    fine.requires_grad_(True)
    coarse.requires_grad_(True)
    kind(5)(coarse, fine).sum().backward()
    assert fine.grad is None
    torch.testing.assert_close(coarse.grad, torch.full_like(coarse, 25.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_graph_of_a_network_shows_leaves_and_concatenation_only(variant):
    network = random_network(variant, ratio=10)
    graph = trace(network)
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        assert node.op in ("placeholder", "call_module", "call_function", "output")
        if node.op == "call_function":
            assert node.target is torch.cat
        if node.op == "call_module":
            layer = modules[node.target]
            assert isinstance(layer, LEAVES) or type(layer).__module__.startswith("torch.nn")
    inputs = random_inputs(23, 31, 10)
    assert torch.equal(graph(*inputs), network(*inputs))
    # Of another size as well: nothing of the first one is frozen into the graph.
    inputs = random_inputs(7, 12, 10)
    assert torch.equal(graph(*inputs), network(*inputs))
