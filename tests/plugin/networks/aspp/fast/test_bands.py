"""Bands of rows, and the memory that tiles share."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.aspp.fast import head as aspp_head
from floelens.plugin.networks.aspp.fast import lrp_epsilon_branches as aspp_epsilon_branches
from floelens.plugin.networks.aspp.fast.bands import Band, Rolling, bands, rolled, shares
from floelens.plugin.networks.aspp.fast.gated import GatedForward
from floelens.plugin.networks.aspp.fast.gradient import GradientPass
from floelens.plugin.networks.aspp.fast.head import LinearHead
from floelens.plugin.networks.aspp.fast.head_forward import HeadForward
from floelens.plugin.networks.aspp.fast.head_transpose import HeadTranspose
from floelens.plugin.networks.aspp.fast.lrp_epsilon import EpsilonPass
from floelens.plugin.networks.aspp.fast.lrp_epsilon_branches import BRANCH_HALO, EpsilonBranches
from floelens.plugin.networks.aspp.fast.lrp_epsilon_rule import EpsilonRule
from floelens.plugin.networks.kernels.buffers import ROOM, BufferPool
from floelens.tests.plugin.networks.aspp.fast.test_gradient import inputs_of, network_of, off
from floelens.tests.plugin.networks.networks import fast_of
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("two_cores")

INSIDE = (False,) * 4


@given(rows=st.integers(1, 500), height=st.integers(1, 200), halo=st.integers(0, 30))
def test_bands_cover_the_rows_once_and_reach_no_further_than_the_array(rows, height, halo):
    cut = list(bands(rows, height))
    assert [row for band in cut for row in range(band.start, band.stop)] == list(range(rows))
    assert max(band.stop - band.start for band in cut) <= height
    assert [band.own for band in bands(rows, 0)] == [slice(0, rows)]
    for band in cut:
        seen = band.around(halo)
        assert (seen.start, seen.stop) == (max(0, band.start - halo), min(rows, band.stop + halo))


@given(
    rows=st.integers(1, 60), part=st.tuples(st.integers(0, 59), st.integers(1, 60)), height=st.integers(0, 20)
)
def test_a_chain_sees_each_row_and_its_neighbours_and_computes_it_once(rows, part, height):
    start = min(part[0], rows - 1)
    share = Band(start, min(rows, start + part[1]), rows)
    # Each layer adds up a pixel and those above and below, zero beyond the array: exact in whole numbers.
    layers, given_rows = range(3), torch.arange(1.0, rows + 1).square()
    expected = given_rows
    for _ in layers:
        padded = torch.cat([torch.zeros(1), expected, torch.zeros(1)])
        expected = padded[:-2] + padded[1:-1] + padded[2:]
    computed, found, buffer_pool = [[] for _ in layers], [], BufferPool()
    whole = given_rows.view(1, 1, rows, 1)
    with rolled(map(str, layers), rows, buffer_pool) as chain:
        for band in share.cut(height):
            before = Rolling(rows, whole)
            for layer, rolling in enumerate(chain.values()):
                new = rolling.new(band.around(len(layers) - 1 - layer))
                if new:
                    values, own = before.seen_by(new)
                    padded = torch.nn.functional.pad(values, (0, 0, 1, 1))
                    sums = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
                    rolling.room(new, 1, whole, torch.float32)[:] = sums[:, :, own]
                    computed[layer] += range(new.start, new.stop)
                before = rolling
            found.append(before.of(band.own).flatten().clone())
    assert torch.equal(torch.cat(found), expected[share.own])
    for layer, all_rows in enumerate(computed):
        seen = share.around(len(layers) - 1 - layer)
        assert all_rows == list(range(seen.start, seen.stop))
    assert 3 <= len(buffer_pool._free) <= 6  # a larger one is asked for before the other is given back


@pytest.mark.parametrize(
    ("outputs", "edges"), [(1, (True,) * 4), (3, (True,) * 4), (1, INSIDE), (3, (True, False, False, True))]
)
def test_bands_change_neither_logits_nor_multipliers_nor_books(outputs, edges):
    network = network_of("interpretability_small", outputs, torch.float64)
    fine, coarse = inputs_of(151, 120, torch.float64)
    seeds = torch.randn(1, outputs, 151, 120, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for height in (0, 40, 7):
        fast = fast_of(network)
        fast.band_rows = height
        noted, noted_epsilon = {}, {}
        logits, backward = GradientPass(fast)(fine, coarse, edges)
        gradients = backward(seeds, noted.__setitem__)
        epsilon_logits, backward = EpsilonPass(fast, 0.01)(fine, coarse, edges)
        by_epsilon = backward(seeds, lambda *note, into=noted_epsilon: into.__setitem__(note[:2], note[2]))
        amounts = [torch.stack(list(leaks.values())) for leaks in (noted, noted_epsilon)]
        found.append((fast(fine, coarse, edges), logits, *gradients, epsilon_logits, *by_epsilon, *amounts))
    whole, *cut = found
    for values in cut:
        assert max(off(mine, theirs) for mine, theirs in zip(values, whole)) < 1e-12


@pytest.mark.parametrize("cores", [1, 2, 7, 64])
@pytest.mark.parametrize("height", [0, 7, 48, 200])
def test_no_row_is_reached_by_more_than_two_bands_of_the_branches(height, cores, monkeypatch):
    network = fast_of(network_of("interpretability_small", 1, torch.float64))
    network.band_rows = height
    branches = EpsilonBranches(network, EpsilonRule(0.01, torch.float64))
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    for start in (0, 5):
        for length in (*range(300), 683, 1160):
            rows = Band(start, start + length, start + length + 9)
            cut = branches._bands(rows)
            assert [row for band in cut for row in range(band.start, band.stop)] == list(
                range(start, start + length)
            )
            seen = [band.around(BRANCH_HALO) for band in cut]
            assert all(above.stop <= below.start for above, below in zip(seen, seen[2:]))


def test_one_band_of_the_branches_at_a_time_adds(monkeypatch):
    fast = fast_of(network_of("interpretability_small", 1, torch.float64))
    fine, coarse = inputs_of(384, 40, torch.float64)
    computing, adding, both = threading.Barrier(2, timeout=60), [], []
    from_band, add = EpsilonBranches._from_band, aspp_epsilon_branches._add

    def two_at_once(*given):
        found = from_band(*given)
        computing.wait()  # else this would show nothing
        return found

    def told(parts, values):
        adding.append(None)
        time.sleep(0.05)
        both.append(len(adding))
        add(parts, values)
        adding.pop()

    monkeypatch.setattr(EpsilonBranches, "_from_band", two_at_once)
    monkeypatch.setattr(aspp_epsilon_branches, "_add", told)
    with torch.no_grad():
        logits, backward = EpsilonPass(fast, 0.01)(fine, coarse)
        backward(torch.ones_like(logits), lambda *_note: None)
    assert both == [1] * 4


def test_several_cores_find_the_same_numbers_every_time():
    fast = fast_of(network_of("interpretability_small", 3, torch.float32))
    fine, coarse = inputs_of(310, 120, torch.float32)
    found = []
    for _ in range(4):
        with torch.no_grad():
            logits, backward = EpsilonPass(fast, 0.01)(fine, coarse)
            leaks = {}
            pulled = backward(
                torch.ones_like(logits), lambda *note, into=leaks: into.__setitem__(note[:2], note[2])
            )
        found.append([logits, *pulled, torch.stack(list(leaks.values()))])
    assert all(torch.equal(mine, first) for each in found for mine, first in zip(each, found[0]))


@pytest.mark.parametrize(
    ("outputs", "seeded"),
    [
        (1, (slice(None),) * 2),
        (3, (slice(20, 90), slice(3, 60))),
        (1, (slice(150, 151), slice(0, 1))),
    ],
)
def test_epsilon_relevance_of_single_precision_is_that_of_double_in_bands_of_any_height(outputs, seeded):
    network = network_of("interpretability_small", outputs, torch.float64)
    fine, coarse = inputs_of(151, 118, torch.float64)
    seeds = torch.zeros(1, outputs, 151, 118, dtype=torch.float64)
    seeds[(..., *seeded)] = torch.randn(
        seeds[(..., *seeded)].shape, generator=torch.Generator().manual_seed(1)
    )
    expected = EpsilonPass(fast_of(network), 0.05)(fine, coarse)[1](seeds, lambda *_note: None)
    fast = fast_of(network.float())
    for height in (0, 48, 7):
        fast.band_rows = height
        backward = EpsilonPass(fast, 0.05)(fine.float(), coarse.float())[1]
        found = backward(seeds.float(), lambda *_note: None)
        assert max(off(mine.double(), theirs) for mine, theirs in zip(found, expected)) < 1e-5


@pytest.mark.parametrize("seeded", [[0, 1, 2], [1], []])
@pytest.mark.parametrize("edges", [(True,) * 4, INSIDE, (False, True, True, False)])
def test_a_linear_head_is_turned_right_whatever_outputs_are_seeded(seeded, edges):
    torch.manual_seed(1)
    kernels = {scale: torch.randn(3, 5, 3, 3, dtype=torch.float64) for scale in (2, 4, 8, 16)}
    head = LinearHead(kernels, torch.float64, torch.float64, torch.contiguous_format)
    rows, cols = 130, 141
    seeds = torch.zeros(1, 3, rows, cols, dtype=torch.float64)
    own = (
        slice(0 if edges[0] else 24, rows if edges[1] else rows - 24),
        slice(0 if edges[2] else 24, cols if edges[3] else cols - 24),
    )
    for output in seeded:
        seeds[(0, output, *own)] = torch.randn(rows, cols, dtype=torch.float64)[own]
    trunk = torch.randn(1, 5, rows, cols, dtype=torch.float64, requires_grad=True)
    logits = head.by_definition(trunk)
    (expected,) = torch.autograd.grad(logits, trunk, seeds)
    head_transpose = HeadTranspose(head, seeds, edges)
    assert (head_transpose.gradients(slice(0, rows)) - expected).abs().max() < 1e-11
    for number in (1, 2):
        parts = shares(Band(0, rows, rows), number)
        assert len(parts) == number
        with torch.no_grad():
            head_forward = HeadForward(head, trunk, edges, parts)
            for share, part in zip(parts, head_forward.parts):
                part.add(share.own, trunk[:, :, share.own])
                part.finish()
            assert (head_forward.logits() - logits)[(..., *own)].abs().max() < 1e-11


def test_seeds_that_are_zero_everywhere_reach_nothing():
    assert not list(bands(0, 7))
    assert not shares(Band(0, 0, 300), 4)
    fast = fast_of(network_of("interpretability_small", 2, torch.float64))
    fine, coarse = inputs_of(150, 40, torch.float64)
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        amounts = []
        logits, backward = forward_pass(fine, coarse)
        for found in backward(torch.zeros_like(logits), lambda *note, into=amounts: into.append(note[-1])):
            assert not found.any()
        assert not any(amounts)


def test_a_pass_whose_memory_a_later_one_uses_cannot_be_pulled():
    fast = fast_of(network_of("interpretability_small", 1, torch.float64))
    fine, coarse = inputs_of(40, 40, torch.float64)
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        _, backward = forward_pass(fine, coarse)
        forward_pass(fine + 1, coarse)
        with pytest.raises(RuntimeError, match="later forward pass"):
            backward(torch.ones(1, 1, 40, 40, dtype=torch.float64), lambda *_note: None)


@pytest.mark.parametrize(("outputs", "corner"), [(1, (0, 0)), (3, (60, 45)), (3, (151 - 20, 120 - 11))])
def test_what_few_seeds_hand_back_and_what_the_others_do_add_up(outputs, corner):
    network = network_of("interpretability_small", outputs, torch.float64)
    fine, coarse = inputs_of(151, 120, torch.float64)
    seeds = torch.randn(1, outputs, 151, 120, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    few = torch.zeros_like(seeds)
    here = (..., slice(corner[0], corner[0] + 20), slice(corner[1], corner[1] + 11))
    few[here] = seeds[here]
    fast = fast_of(network)
    fast.band_rows = 40
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        _, backward = forward_pass(fine, coarse)
        found, leaks = [], []
        for part in (seeds, few, seeds - few):
            noted = {}
            found.append(backward(part, lambda *note, into=noted: into.__setitem__(note[:-1], note[-1])))
            leaks.append(noted)
        for whole, one, other in zip(*found):
            assert off(one + other, whole) < 1e-12
        largest = max(abs(amount) for amount in leaks[0].values())
        for entry, amount in leaks[0].items():
            assert abs(leaks[1][entry] + leaks[2][entry] - amount) < 1e-12 * largest


def test_a_pass_can_be_pulled_twice():
    fast = fast_of(network_of("interpretability_small", 1, torch.float64))
    seeds = torch.ones(1, 1, 40, 40, dtype=torch.float64)
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        _, backward = forward_pass(*inputs_of(40, 40, torch.float64))
        first, second = (backward(seeds, lambda *_note: None) for _ in range(2))
        assert all(torch.equal(*pair) for pair in zip(first, second))


def test_arrays_are_used_again_where_they_fit_and_shrink_where_much_less_is_asked_for():
    buffer_pool, like = BufferPool(), torch.zeros(1)
    first = buffer_pool.named("a", (1, 3, 40, 50), like)
    assert first.is_contiguous(memory_format=torch.channels_last)
    address = first.untyped_storage().data_ptr()
    again = buffer_pool.named("a", (1, 3, 42, 51), like)
    assert again.untyped_storage().data_ptr() == address
    assert len(again.untyped_storage()) == 4 * int(ROOM * 6000)
    assert len(buffer_pool.named("a", (1, 3, 10, 10), like).untyped_storage()) == 4 * int(ROOM * 300)
    assert buffer_pool.named("a", (1, 3, 10, 10), like.double()).dtype == torch.float64


def test_what_is_lent_belongs_to_one_and_is_lent_again():
    buffer_pool, kind = BufferPool(), (torch.float32, torch.device("cpu"))
    first, second = (buffer_pool.acquire(1000, *kind) for _ in range(2))
    assert first.data_ptr() != second.data_ptr()
    buffer_pool.put_back(first)
    assert buffer_pool.acquire(900, *kind) is first
    buffer_pool.put_back(first)
    # What is too small goes, so that no more is kept than was ever lent at once.
    large = buffer_pool.acquire(5000, *kind)
    assert len(large) >= 5000
    buffer_pool.put_back(large)
    assert buffer_pool.acquire(10, torch.float64, kind[1]).dtype == torch.float64
    buffer_pool.clear()
    assert not buffer_pool._free


def test_strips_in_pieces_are_the_strip(monkeypatch):
    torch.manual_seed(2)
    kernels = {scale: torch.randn(2, 3, 3, 3, dtype=torch.float64) for scale in (2, 4, 8, 16)}
    head = LinearHead(kernels, torch.float64, torch.float64, torch.contiguous_format)
    trunk = torch.randn(1, 3, 150, 170, dtype=torch.float64)
    share = Band(0, 150, 150)
    found = []
    for length in (1000, 60):
        monkeypatch.setattr(aspp_head, "STRIP_LENGTH", length)
        with torch.no_grad():
            head_forward = HeadForward(head, trunk, (True,) * 4, [share])
            head_forward.parts[0].add(share.own, trunk)
            head_forward.parts[0].finish()
            found.append(head_forward.logits())
    assert len(list(head.strips(150, 170, (True,) * 4))) == 12
    assert (found[0] - found[1]).abs().max() < 1e-11
    assert (found[0] - head.by_definition(trunk)).abs().max() < 1e-11


def test_only_in_evaluation_without_gradients_are_rows_cut():
    network = fast_of(AsppFusion(2, 3, 25, "interpretability_small").eval())
    fine, _ = inputs_of(300, 30, torch.float32)
    with torch.no_grad():
        assert sum(len(list(network.bands(share, fine))) for share in network.shares(300)) >= 3
    (share,) = network.shares(300)
    assert len(list(network.bands(share, fine.requires_grad_()))) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_memory_of_a_pass_in_inference_mode_serves_passes_outside_of_it_and_back(dtype):
    network = network_of("interpretability_small", 1, torch.promote_types(dtype, torch.float32))
    fast = fast_of(network, dtype)
    fine, coarse = inputs_of(150, 60, fast.sum_dtype)
    seeds = torch.ones(1, 1, 150, 60, dtype=fast.sum_dtype)
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        found = []
        for inference in (True, False, True):
            with torch.inference_mode(inference):
                _, backward = forward_pass(fine, coarse)
                found.append(backward(seeds, lambda *_note: None))
            with torch.inference_mode():
                fast(fine, coarse)
        assert all(torch.equal(one, other) for later in found[1:] for one, other in zip(found[0], later))


def test_layers_of_a_last_band_give_their_memory_back_as_soon_as_the_next_one_has_seen_it(monkeypatch):
    held, most = [], []

    def acquire(self, number, dtype, device):
        memory = torch.empty(number, dtype=dtype, device=device)
        held.append(id(memory))
        most.append(len(held))
        return memory

    monkeypatch.setattr(BufferPool, "acquire", acquire)
    monkeypatch.setattr(BufferPool, "put_back", lambda _self, memory: held.remove(id(memory)))
    fast = fast_of(network_of("interpretability_small", 1, torch.float32))
    fast.band_rows = 0
    fine, coarse = inputs_of(60, 40, torch.float32)
    monkeypatch.setattr(fast, "shares", lambda _rows: shares(Band(0, 60, 60), 1))
    for forward_pass in (GradientPass(fast), EpsilonPass(fast, 0.01)):
        logits, backward = forward_pass(fine, coarse)
        backward(torch.ones_like(logits), lambda *_note: None)
    with torch.no_grad():
        nothing = torch.zeros_like(fine), torch.zeros_like(coarse)
        list(GatedForward(fast)((fine, coarse), nothing, [[0], [1]]))
    assert not held
    assert len(most) == 5 * 6
    assert max(most) == 3  # what is seen, what is put out, and the skip components


def test_only_the_processors_memory_is_kept_for_the_next_to_ask():
    buffer_pool = BufferPool()
    buffer_pool.put_back(buffer_pool.acquire(10, torch.float32, torch.device("meta")))
    assert not buffer_pool._free
