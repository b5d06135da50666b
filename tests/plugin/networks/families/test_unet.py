"""U-Nets of published families, recognised in their state dicts and run as graphs, beside plain definitions."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.families.checkpoint import StateDict
from floelens.plugin.networks.families.proposal import Given
from floelens.plugin.networks.families.unet import recognise
from floelens.plugin.networks.families.unet_proposal import propose_unet
from floelens.plugin.networks.package import build
from floelens.plugin.networks.weights import fill
from floelens.tests.plugin.networks.families.definitions import StarterKit, Steps, drawn

# No whole number of cells or strides: skips are one row or column larger than what was upsampled.
ROWS, COLS = 83, 107


def state_of(network) -> StateDict:
    return StateDict({n: t.clone() for n, t in network.state_dict().items() if not n.endswith("tracked")})


def imported(network, given: Given):
    """Return the card and the network that a state dict becomes, in float64."""
    proposal = propose_unet(state_of(network), given)
    card = proposal.complete()
    module = build(card)
    fill(module, proposal.weights, card)
    return card, module.double().eval().requires_grad_(False)


def gap(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def inputs_of(card, rows: int = ROWS, cols: int = COLS):
    """Return random inputs as the card takes them, and as the network's own code does: all on the fine grid."""
    draw = torch.Generator().manual_seed(4)
    fine = torch.randn(1, len(card.fine_channels), rows, cols, generator=draw, dtype=torch.float64)
    if not card.coarse_channels:
        return fine, None, fine
    cells = -(-rows // card.ratio), -(-cols // card.ratio)
    coarse = torch.randn(1, len(card.coarse_channels), *cells, generator=draw, dtype=torch.float64)
    repeated = coarse.repeat_interleave(card.ratio, 2).repeat_interleave(card.ratio, 3)[:, :, :rows, :cols]
    return fine, coarse, torch.cat([fine, repeated], 1)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_the_starter_kits_network_runs_as_its_own_code_does(padding):
    network = drawn(StarterKit(padding=padding)).double()
    card, module = imported(network, Given(padding=padding))
    fine, coarse, own = inputs_of(card)
    expected = network(own)
    # The last output of each head stands for masked pixels and is left out.
    together = torch.cat([expected[name][:, :-1] for name in ("sic", "sod", "floe")], 1)
    assert gap(module(fine, coarse), together) < 1e-6
    assert [head.outputs for head in card.heads] == [11, 6, 7]
    assert [channel.name for channel in card.channels][:5] == [
        "hh",
        "hv",
        "incidence_angle",
        "distance_map",
        "btemp_6_9h",
    ]
    assert (card.ratio, card.alignment, card.pixel_size_m) == (25, 400, 80.0)


def test_separate_ways_up_and_a_linear_concentration_in_percent(tmp_path):
    network = drawn(StarterKit(channels=4, linear=True, apart=True)).double()
    given = Given(channels="hh,hv,incidence_angle,distance_map", pixel_size_m=800.0)
    proposal = propose_unet(state_of(network), given)
    assert proposal.family == "mmseaice"
    card, module = imported(network, given)
    fine, coarse, own = inputs_of(card)
    expected = network(own)
    parts = [10 * expected["sic"], expected["sod"][:, :-1], expected["floe"][:, :-1]]
    assert gap(module(fine, coarse), torch.cat(parts, 1)) < 1e-6
    assert card.heads[0].kind == "linear"
    assert card.heads[0].unit == "%"
    assert not card.components  # heads with features of their own have no common ones
    assert any("expand_blocks" in sentence for sentence in proposal.findings.found)


@pytest.mark.parametrize(
    ("transposed", "norm", "outputs"), [(False, True, 1), (True, True, 2), (True, False, 1)]
)
def test_a_network_in_steps_takes_the_skip_first(transposed, norm, outputs):
    network = drawn(Steps(transposed=transposed, norm=norm, outputs=outputs)).double()
    card, module = imported(network, Given(pixel_size_m=40.0))
    fine, _, own = inputs_of(card)
    assert gap(module(fine, None), network(own)) < 1e-6
    assert card.heads[0].kind == ("sigmoid" if outputs == 1 else "softmax")
    assert [(channel.mean, channel.sd) for channel in card.channels] == [
        (-15.61, 6.15),
        (-26.31, 2.54),
        (35.85, 7.06),
    ]


def test_channels_in_another_order_reach_the_weights_that_are_theirs():
    network = drawn(Steps(channels=4)).double()
    # Radiometry between fine channels: the card lists the fine ones first.
    given = Given(channels="hh,btemp_18_7h,hv,btemp_36_5v", ratio=5, pixel_size_m=400.0, order="skip_first")
    card, module = imported(network, given)
    assert [channel.name for channel in card.channels] == ["hh", "hv", "btemp_18_7h", "btemp_36_5v"]
    fine, coarse, own = inputs_of(card)
    assert gap(module(fine, coarse), network(own[:, [0, 2, 1, 3]])) < 1e-6


def test_the_other_order_gives_another_map_so_that_it_must_be_given():
    network = drawn(Steps(channels=4)).double()
    given = {"channels": "hh,hv,incidence_angle,distance_map", "pixel_size_m": 40.0}
    proposal = propose_unet(state_of(network), Given(**given))
    assert proposal.card is None
    assert any("ORDER" in sentence for sentence in proposal.findings.needed)
    with pytest.raises(ModelError, match="ORDER"):
        proposal.complete()
    card, module = imported(network, Given(**given, order="upsampled_first"))
    fine, _, own = inputs_of(card)
    assert gap(module(fine, None), network(own)) > 1e-3


@pytest.mark.parametrize("transposed", [True, False])
def test_the_stated_receptive_field_is_no_smaller_than_the_one_that_gradients_show(transposed):
    network = drawn(Steps(transposed=transposed, filters=(2, 2, 2, 2))).double()
    given = Given(pixel_size_m=40.0, upsampling="bilinear")
    card, module = imported(network, given)
    from floelens.plugin.networks.positive_copy import positive_copy

    module = positive_copy(module)
    most = 0
    for place in range(8):  # each place of a period of three halvings
        fine = torch.ones(1, 3, 8, 256, dtype=torch.float64, requires_grad=True)
        module(fine, None)[0, :, 4, 128 + place].sum().backward()
        read = fine.grad.abs().amax((0, 1, 2)).nonzero().flatten()
        most = max(most, 128 + place - int(read[0]), int(read[-1]) - 128 - place)
    assert most <= card.receptive_field_radius <= most + 1


def changed(network, change) -> dict[str, torch.Tensor]:
    tensors = dict(state_of(network).tensors)
    change(tensors)
    return tensors


MISFITS = {
    "missing level": (lambda t: [t.pop(n) for n in list(t) if n.startswith("bridge")], "no U-Net|does not"),
    "missing kernel": (
        lambda t: t.pop("contract_blocks.1.double_conv.double_conv.0.weight"),
        "levels have two|does not",
    ),
    "kernel of another size": (
        lambda t: t.update({"expand_blocks.1.double_conv.double_conv.0.weight": torch.ones(8, 15, 3, 3)}),
        "does not take 8 upsampled",
    ),
    "even kernel": (
        lambda t: t.update({"input_block.double_conv.0.weight": torch.ones(4, 24, 4, 4)}),
        "even side of 4",
    ),
    "no statistics": (
        lambda t: t.pop("input_block.double_conv.1.running_var"),
        "running_var' of a batch norm is missing",
    ),
    "statistics of another size": (
        lambda t: t.update({"input_block.double_conv.1.running_mean": torch.ones(5)}),
        r"shape \(5,\) instead of \(4,\)",
    ),
    "negative variance": (
        lambda t: t.update({"input_block.double_conv.1.running_var": -torch.ones(4)}),
        "negative",
    ),
    "unknown part": (lambda t: t.update({"attention.query": torch.ones(4)}), "attention.query"),
    "kernel in three dimensions": (
        lambda t: t.update({"extra.weight": torch.ones(2, 2, 3, 3, 3)}),
        "no square kernel",
    ),
    "oblong kernel": (
        lambda t: t.update({"input_block.double_conv.0.weight": torch.ones(4, 24, 3, 5)}),
        "no square",
    ),
    "no heads": (lambda t: [t.pop(n) for n in list(t) if "feature_map" in n], "No 1 x 1 convolution"),
    "head of other features": (
        lambda t: t.update({"sod_feature_map.feature_out.weight": torch.ones(7, 9, 1, 1)}),
        "does not fit the 4 channels",
    ),
    "four heads": (
        lambda t: t.update({"age_feature_map.feature_out.weight": torch.ones(3, 4, 1, 1)}),
        "one to three",
    ),
    "layer left over": (
        lambda t: t.update({"expand_blocks.9.double_conv.double_conv.0.weight": torch.ones(4, 4, 3, 3)}),
        "still",
    ),
    "empty kernel": (
        lambda t: t.update({"input_block.double_conv.0.weight": torch.ones(0, 24, 3, 3)}),
        "empty",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_named(case):
    change, words = MISFITS[case]
    with pytest.raises(ModelError, match=words) as raised:
        recognise(changed(StarterKit(), change))
    assert len(str(raised.value)) < 500
