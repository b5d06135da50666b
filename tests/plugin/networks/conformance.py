"""What :mod:`floelens.plugin.networks.contract` asks, as checks that every architecture gets for free."""

from __future__ import annotations

import copy
import dataclasses

import torch
from floelens.plugin.core.layers.backward import LayerwiseBackward, traced
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.rules import Rules, along_gradient
from floelens.plugin.networks.architectures import fast_paths, named
from floelens.plugin.networks.contract import FastPaths
from floelens.plugin.networks.inner_layers import activation, output_convolution
from floelens.plugin.networks.package import build
from floelens.tests.plugin.networks.networks import ICE_TYPE, make_card, random_inputs, randomise
from torch import nn

RECORD_NOTHING = lambda *_: None  # noqa: E731


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference in units of the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-300))


def assert_architecture_conforms(name: str) -> None:
    """Assert that networks of an architecture can be built, traced and explained, and that its fast paths conform.

    Parameters
    ----------
    name : str
        A row of :data:`floelens.plugin.networks.architectures.ARCHITECTURES`; its `examples` are built.
    """
    examples = named(name).examples
    assert examples, f"architecture '{name}' has no examples"
    for arguments in examples:
        card = make_card(ratio=5, heads=(ICE_TYPE,))
        made = dataclasses.replace(card.architecture, name=name, arguments=dict(arguments))
        card = dataclasses.replace(card, architecture=made, components=())
        module = build(card)
        randomise(module, 1)
        module = module.double().eval().requires_grad_(False)
        fine, coarse = random_inputs(
            40, 55, card.ratio, channels=(len(card.fine_channels), len(card.coarse_channels))
        )
        assert module(fine, coarse).shape == (1, card.outputs, 40, 55)
        _assert_explained(module, fine, coarse)
        paths = fast_paths(module, torch.float64)
        paths = paths or FastPaths(
            forward=lambda fine, coarse, _edges=None, module=module: module(fine, coarse)
        )
        assert_conforms(module, paths, fine, coarse, 1e-10)
        if paths.gradient_crop is not None:
            assert_crop_conforms(paths, (len(card.fine_channels), len(card.coarse_channels)), card.ratio)
        if paths.known_seeds is not None:
            _assert_known_seeds_conform(module, paths, (len(card.fine_channels), len(card.coarse_channels)))


def assert_conforms(
    module: nn.Module, paths: FastPaths, fine: torch.Tensor, coarse: torch.Tensor | None, tolerance: float
) -> None:
    """Assert that the fast paths of a network compute what its definition does, and leave it as it is.

    Parameters
    ----------
    module : torch.nn.Module
        The definition, in evaluation mode.
    paths : FastPaths
        Made of it in the type of the inputs.
    fine, coarse : torch.Tensor
        Standardised inputs.
    tolerance : float
        Largest relative difference: of float64 rounding, mostly.
    """
    before = copy.deepcopy(module.state_dict())
    with torch.no_grad():
        logits = module(fine, coarse)
        assert gap(paths.forward(fine, coarse), logits) < tolerance
    _assert_components(module, paths, fine, coarse, logits, tolerance)
    _assert_inner(module, paths, fine, coarse, tolerance)
    seeds = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5), dtype=logits.dtype)
    if paths.features is not None:
        _assert_features(module, paths.features, fine, coarse, seeds, tolerance)
    gradients = _autograd(module, fine, coarse, seeds)
    if paths.gradient is not None:
        _assert_gradients(paths.gradient(fine, coarse), seeds, logits, gradients, tolerance)
    if paths.lrp_epsilon is not None:  # with a stabiliser that vanishes it is the gradient times the input
        vanishing = paths.lrp_epsilon(1e-60)(fine, coarse)
        _assert_gradients(vanishing, seeds, logits, gradients, max(tolerance, 1e-5))
    if paths.secants is not None:
        _assert_secants_add_up(module, paths, fine, coarse, seeds, tolerance)
    if paths.gated is not None:
        _assert_gated_parts_add_up(paths, fine, coarse, logits, tolerance)
    paths.release()
    with torch.no_grad():
        assert gap(paths.forward(fine, coarse), logits) < tolerance
        assert paths.bands_at_once(fine.shape[2]) >= 1
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(
        layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks
        for layer in module.modules()
    )


def assert_crop_conforms(paths: FastPaths, channels: tuple[int, int], ratio: int) -> None:
    """Assert that gradients in a tile inside a scene are right as far inside as an architecture says.

    Parameters
    ----------
    paths : FastPaths
        In float64.
    channels : tuple of int
        Fine and coarse ones.
    ratio : int
        Pixels along a cell.
    """
    crop, margin = paths.gradient_crop, 8 * ratio
    side = -(-max(crop.least_side, 2 * crop.margin + ratio) // ratio) * ratio
    fine, coarse = random_inputs(side + 2 * margin, side + 2 * margin, ratio, channels=channels)
    whole, backward = paths.gradient(fine, coarse)
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    seeds = torch.zeros_like(whole)
    seeds[inner] = torch.randn(
        whole[inner].shape, generator=torch.Generator().manual_seed(5), dtype=whole.dtype
    )
    expected = backward(seeds)[0][inner].clone()
    cells = (..., slice(8, -8), slice(8, -8))
    found = paths.gradient(fine[inner], coarse[cells], (False,) * 4)[1](seeds[inner])[0]
    right = (..., slice(crop.margin, -crop.margin), slice(crop.margin, -crop.margin))
    assert gap(found[right], expected[right]) < 1e-10
    assert gap(found, expected) > 1e-6  # the margin is needed


def _assert_known_seeds_conform(module, paths: FastPaths, channels: tuple[int, int]) -> None:
    """Assert that gradients for seeds far around a tile are autograd's, also at a corner with a gap."""
    rows, cols, reach, margin = 170, 165, 30, paths.known_seeds_margin
    fine, coarse = random_inputs(rows, cols, 5, channels=channels)
    with torch.no_grad():
        outputs = module(fine, coarse).shape[1]
    single = torch.randn((1, outputs, 1, 1), generator=torch.Generator().manual_seed(5), dtype=fine.dtype)
    corner = torch.ones((rows, cols), dtype=torch.bool)
    corner[20:40, 30:50] = False
    for top, left, seeded in ((60, 60, torch.ones_like(corner)), (0, 0, corner)):
        core = (slice(top, top + 50), slice(left, left + 45))
        near, around = (
            tuple(slice(max(0, side.start - by), side.stop + by) for side in core) for by in (margin, reach)
        )
        explained = torch.zeros_like(seeded)
        explained[around] = seeded[around]
        expected = _autograd(module, fine, coarse, single * explained)[0]
        edges = (top == 0, False, left == 0, False)
        within, inside, at = (_places(*pair) for pair in ((near, around), (near, near), (core, near)))
        known = paths.known_seeds(explained[around], edges, within, inside)
        cells = (..., *(slice(side.start // 5, -(-side.stop // 5)) for side in near))
        logits, backward = known(fine[(..., *near)], coarse[cells], edges)
        assert not logits.any()
        found = backward(single * explained[near])[0]
        assert gap(found[(..., *at)], expected[(..., *core)]) < 1e-10


def _places(inner: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return where slices lie in others."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer))


def _assert_explained(module, fine, coarse) -> None:
    """Assert that relevance goes back through each layer: with the rule of the gradient it is that of autograd."""
    layerwise = LayerwiseBackward(traced(module), Rules(along_gradient, fine.dtype))
    logits = layerwise.forward(fine, coarse)
    found = layerwise.backward(torch.ones_like(logits), Leaks())
    for gradient, expected in zip(found, _autograd(module, fine, coarse, torch.ones_like(logits))):
        assert gap(_or_zeros(gradient, expected), expected) < 1e-10


def _or_zeros(gradient: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    """Return a gradient; zeros for that of inputs which a network does not read."""
    return torch.zeros_like(like) if gradient is None else gradient


def _autograd(module, fine, coarse, seeds) -> list[torch.Tensor]:
    leaves = [values.clone().requires_grad_() for values in (fine, coarse) if values is not None]
    logits = module(leaves[0], leaves[1] if coarse is not None else None)
    found = torch.autograd.grad(logits, leaves, seeds, allow_unused=True)
    return [torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(leaves, found)]


def _assert_components(module, paths, fine, coarse, logits, tolerance) -> None:
    output = output_convolution(module)
    if output is None:
        assert paths.components is None
        return
    weights, biases = (each.to(logits.dtype) for each in output.weights(module))
    with torch.no_grad():
        found = [output.inputs(module, fine, coarse)]
        found += [] if paths.components is None else [paths.components(fine, coarse)]
    if paths.component_bands is not None:
        rows, parts = zip(*paths.component_bands(fine, coarse, (True,) * 4))
        assert [each.start for each in rows] == [0, *(each.stop for each in rows)][:-1]
        found.append(torch.cat(parts, 2))
    for components in found:
        assert components.shape == (len(fine), output.components, *logits.shape[2:])
        rebuilt = torch.einsum("kj,sjrc->skrc", weights, components) + biases[:, None, None]
        assert gap(rebuilt, logits) < tolerance


def _assert_inner(module, paths, fine, coarse, tolerance) -> None:
    if paths.inner is None:
        return
    found = paths.inner(fine, coarse, (True,) * 4)
    assert set(found) == set(paths.inner_layers)
    for name, values in found.items():
        with torch.no_grad():
            assert gap(values, activation(module, name, fine, coarse)) < tolerance, name


def _assert_features(module, features, fine, coarse, seeds, tolerance) -> None:
    """Assert that each layer's output and gradient are those of autograd through the definition."""
    for layer in features.layers:
        kept = {}

        def keep(_module, _inputs, output, kept=kept):
            kept["leaf"] = output.detach().requires_grad_()
            return kept["leaf"]

        handle = module.get_submodule(layer).register_forward_hook(keep)
        logits = module(fine, coarse)
        handle.remove()
        (expected,) = torch.autograd.grad(logits, kept["leaf"], seeds)
        found, values, backward = features(layer, fine, coarse)
        assert gap(found, logits.detach()) < tolerance
        assert gap(values, kept["leaf"].detach()) < tolerance, layer
        assert gap(backward(seeds), expected) < tolerance, layer


def _assert_gradients(forward_pass, seeds, logits, expected, tolerance) -> None:
    found, backward = forward_pass
    assert gap(found, logits) < tolerance
    for gradient, wanted in zip(backward(seeds, RECORD_NOTHING), expected):
        assert gap(_or_zeros(gradient, wanted), wanted) < tolerance


def _assert_secants_add_up(module, paths, fine, coarse, seeds, tolerance) -> None:
    start = 0.3 * fine
    with torch.no_grad():
        (step,) = paths.secants.steps([start, fine], seeds)
        change = (seeds * (module(fine, coarse) - module(start, coarse))).sum()
        assert abs(float((step * (fine - start)).sum() / change) - 1) < tolerance


def _assert_gated_parts_add_up(paths, fine, coarse, logits, tolerance) -> None:
    number = fine.shape[1] + (0 if coarse is None else coarse.shape[1])
    origin = (torch.zeros_like(fine), None if coarse is None else torch.zeros_like(coarse))
    with torch.no_grad():
        parts = list(paths.gated((fine, coarse), origin, [[channel] for channel in range(number)]))
    assert {group for group, _ in parts} <= {-1, *range(number)}
    total = torch.zeros_like(logits)
    for _, part in parts:
        total = total + part
    assert gap(total, logits) < tolerance
