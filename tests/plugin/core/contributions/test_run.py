"""Contributions equal their definitions, add up at every pixel, and do not depend on tiles."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from floelens.plugin.core.contributions import sums
from floelens.plugin.core.contributions.run import (
    Splitting,
    plan_contributions,
    run_contributions,
    splitter_for,
)
from floelens.plugin.core.contributions.splitters import GATED, INTEGRATED, SPLITTERS, GatedSplitter
from floelens.plugin.core.contributions.steps import settled
from floelens.plugin.core.layers import affine, split_activations
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.core.streaming.tiling import LARGEST_SIDE, Plan
from floelens.plugin.core.target.channel_groups import channel_groups
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import Cancelled, ModelError, NumericalError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.vocabulary.words import CONTRIBUTION_METHODS
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.package import load
from floelens.tests.plugin.core.tiny_networks import (
    RATIO,
    LinearFusion,
    Listener,
    ListSink,
    TinyFusion,
    tiny_card,
    tiny_scene,
)
from floelens.tools.headless import ROOT
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

MODELS = ROOT / "models"
BUNDLED = ("aspp-concentration-sim", "aspp-icetype-sim")
TYPE = Target(head="type", class_name="old ice", reference_class="water")
GATED_ONE = Splitting(GATED)
BASELINE = (0.3, -0.2, 0.5, 0.1, -0.4)


class EveryLayer(nn.Module):
    """The layer kinds that the tiny fusion network does not have; the coarse input passes an activation."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, padding="same")
        self.tanh = nn.Tanh()
        self.down = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, groups=2)
        self.sigmoid = nn.Sigmoid()
        self.strided = nn.Conv2d(8, 6, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.up = nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True)
        self.average = nn.AvgPool2d(3, stride=1, padding=1)
        self.inner = nn.MaxPool2d(3, stride=1, padding=1)
        self.spatial = nn.Dropout2d()
        self.same = nn.Identity()
        from floelens.plugin.networks.layers import NearestUpsample

        self.nearest = NearestUpsample(RATIO)
        self.mixed = nn.Conv2d(6 + 6 + 3, 7, 3, padding=1, bias=False)
        self.output = nn.Conv2d(7 + 2, 4, 1)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.5)

    def forward(self, fine, coarse):
        first = self.tanh(self.conv1(fine))
        deep = self.sigmoid(self.conv2(self.down(first)))
        deep = self.up(self.relu(self.strided(deep)))
        cells = self.nearest(coarse, fine)
        mixed = self.mixed(torch.cat([self.average(first), self.spatial(deep), cells], 1))
        return self.output(torch.cat([torch.relu(self.inner(mixed)), self.same(fine)], dim=1))


def full_card():
    """Return the tiny card with what groups look at."""
    card = tiny_card()
    facts = [(None, "hh"), (None, "hv"), (6.9, "h"), (6.9, "v"), (None, "")]
    for channel, (frequency, polarisation) in zip(card.channels, facts):
        channel.frequency_ghz, channel.polarisation = frequency, polarisation
    card.channels[4].sensor = "weather"
    card.components = tuple(
        SimpleNamespace(name=f"{scale}{i}", scale=scale)
        for scale, number in (("skip", 5), ("d2", 3), ("d4", 4), ("mwr", 2), ("weather", 1))
        for i in range(number)
    )
    return card


def runner_of(network, precision="float64"):
    return Runner(full_card(), network, "cpu", precision)


def draw_inputs(rows=12, cols=16, seed=3):
    draw = torch.Generator().manual_seed(seed)
    fine = torch.randn(1, 2, rows, cols, generator=draw, dtype=torch.float64)
    coarse = torch.randn(1, 3, -(-rows // RATIO), -(-cols // RATIO), generator=draw, dtype=torch.float64)
    return Inputs(fine, coarse)


def bands_of(runner, splitting, inputs, target=TYPE):
    return splitter_for(runner, splitting).split(inputs, target.resolve(runner.card)).numpy()


def off(bands):
    """Return the largest residual as a share of what is added."""
    return (np.abs(bands[:-1].sum(axis=0) - bands[-1]) / np.abs(bands[:-1]).sum(axis=0)).max()


def target_of(network, inputs):
    """Return the contrast of TYPE as a function of the two inputs: (row, column)."""
    module = copy.deepcopy(network).double().eval()

    def contrast(fine, coarse):
        logits = module(fine, coarse)
        return logits[0, 3] - logits[0, 1]

    return contrast


def jacobian_parts(network, inputs, distance):
    """Return J · distance by channel (channel, row, column), by torch's forward-mode derivatives at `inputs`."""
    contrast, at = target_of(network, inputs), (inputs.fine, inputs.coarse)
    parts = []
    for i in range(5):
        step = [torch.zeros_like(values) for values in at]
        own, channel = (0, i) if i < 2 else (1, i - 2)
        step[own][:, channel] = (distance.fine, distance.coarse)[own][:, channel]
        parts.append(torch.func.jvp(contrast, at, tuple(step))[1].detach())
    return torch.stack(parts).numpy()


def between(inputs, origin):
    return Inputs(inputs.fine - origin.fine, inputs.coarse - origin.coarse)


def mean_jacobian_parts(network, inputs, origin, nodes):
    """Return J · distance by channel, J as its mean at `nodes` midpoints of the path, which are samples of a batch."""
    module, distance = copy.deepcopy(network).double().eval(), between(inputs, origin)
    at = [inputs.towards(origin, (node + 0.5) / nodes) for node in range(nodes)]
    fine, coarse = torch.cat([each.fine for each in at]), torch.cat([each.coarse for each in at])
    parts = []
    for i in range(5):
        step = [torch.zeros_like(fine), torch.zeros_like(coarse)]
        own, channel = (0, i) if i < 2 else (1, i - 2)
        step[own][:, channel] = (distance.fine, distance.coarse)[own][:, channel]
        logits = torch.func.jvp(module, (fine, coarse), tuple(step))[1].detach()
        parts.append((logits[:, 3] - logits[:, 1]).mean(0))
    return torch.stack(parts).numpy()


@pytest.mark.parametrize("baseline", [(), BASELINE])
@pytest.mark.parametrize(
    "network", [TinyFusion(1), TinyFusion(2, bilinear=True), EveryLayer(), LinearFusion()]
)
def test_gated_contributions_are_products_with_the_whole_jacobian(network, baseline):
    runner, inputs = runner_of(network), draw_inputs()
    origin = runner.constant(inputs, baseline)
    bands = bands_of(runner, Splitting(GATED, baseline=baseline), inputs)
    expected = jacobian_parts(network, inputs, between(inputs, origin))
    np.testing.assert_allclose(bands[:-2], expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    logit = target_of(network, inputs)(inputs.fine, inputs.coarse).detach().numpy()
    np.testing.assert_allclose(bands[-1], logit, rtol=1e-12, atol=1e-12)
    assert off(bands) < 1e-10


def test_the_bias_of_the_gated_split_is_what_the_frozen_network_makes_of_its_biases():
    """It is computed by hand here: gates written down as masks, a zero input, biases left in place."""
    network, inputs = TinyFusion(1), draw_inputs()
    module, masks = copy.deepcopy(network).double().eval(), {}
    gates = {
        name: layer for name, layer in module.named_modules() if isinstance(layer, (nn.ReLU, nn.LeakyReLU))
    }
    hooks = [
        layer.register_forward_hook(lambda _m, x, y, name=name: masks.__setitem__(name, y / x[0]))
        for name, layer in gates.items()
    ]
    module(inputs.fine, inputs.coarse)
    for hook in hooks:
        hook.remove()
    for name, layer in gates.items():
        layer.register_forward_hook(lambda _m, x, _y, name=name: x[0] * masks[name])
    logits = module(torch.zeros_like(inputs.fine), torch.zeros_like(inputs.coarse)).detach().numpy()
    bands = bands_of(runner_of(network), GATED_ONE, inputs)
    np.testing.assert_allclose(bands[-2], logits[0, 3] - logits[0, 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [GATED, INTEGRATED])
def test_on_a_linear_network_a_contribution_is_weight_times_input(method):
    network, inputs = LinearFusion(), draw_inputs()
    bands = bands_of(runner_of(network), Splitting(method, steps=3), inputs)
    contrast = target_of(network, inputs)
    for i in range(5):
        only = Inputs(torch.zeros_like(inputs.fine), torch.zeros_like(inputs.coarse))
        if i < 2:
            only.fine[:, i] = inputs.fine[:, i]
        else:
            only.coarse[:, i - 2] = inputs.coarse[:, i - 2]
        expected = contrast(only.fine, only.coarse).detach().numpy()
        np.testing.assert_allclose(bands[i], expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(bands[-2], 0, atol=1e-12)


@pytest.mark.parametrize("network", [TinyFusion(1), EveryLayer()])
def test_integrated_contributions_are_the_mean_jacobian_along_the_path(network):
    runner, inputs, steps = runner_of(network), draw_inputs(8, 8), 150
    origin = runner.constant(inputs, BASELINE)
    expected = mean_jacobian_parts(network, inputs, origin, steps)
    errors = []
    for number in (1, 8, 64):
        bands = bands_of(runner, Splitting(INTEGRATED, baseline=BASELINE, steps=number), inputs)
        assert off(bands) < 1e-10  # complete at every pixel, whatever the number of steps
        errors.append(np.abs(bands[:-2] - expected).max() / np.abs(expected).max())
    # Points along the path, as in `expected`, are themselves good to about twice the inverse of their number.
    assert errors[2] < 2 / steps
    assert errors[2] < errors[1] / 2 < errors[0] / 4


@pytest.mark.parametrize(
    ("groups", "network"), [("sensor", TinyFusion(1)), ("frequency", TinyFusion(2, bilinear=True))]
)
def test_one_group_that_is_not_linear_needs_no_steps(groups, network, monkeypatch):
    """Its contribution is what the linear groups leave: integrated gradients of any number of nodes come to it."""
    runner, inputs, nodes = runner_of(network), draw_inputs(8, 8), 150
    splitting = Splitting(INTEGRATED, groups, baseline=BASELINE)
    splitter = splitter_for(runner, splitting)
    passes, plain = [], runner.logits
    monkeypatch.setattr(runner, "logits", lambda inputs: passes.append(1) or plain(inputs))
    bands = splitter.split(inputs, TYPE.resolve(runner.card)).numpy()
    assert len(passes) == 2  # at the inputs and at the baseline
    again = splitter.split(inputs, TYPE.resolve(runner.card)).numpy()
    assert len(passes) == 3  # the baseline's logits are known now
    np.testing.assert_array_equal(again, bands)
    origin = runner.constant(inputs, BASELINE)
    channels = mean_jacobian_parts(network, inputs, origin, nodes)
    expected = np.stack([channels[list(group.members)].sum(axis=0) for group in splitter.groups])
    assert np.abs(bands[:-2] - expected).max() < 2 / nodes * np.abs(expected).max()
    np.testing.assert_allclose(bands[1:-2], expected[1:], rtol=0, atol=1e-12)  # linear: exact


@pytest.mark.parametrize("method", [GATED, INTEGRATED])
def test_a_network_without_coarse_channels_is_split(method):
    class Fine(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.output = nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 4, 1)

        def forward(self, fine, coarse):
            return self.output(self.relu(self.conv(fine)))

    card = full_card()
    card.channels = card.channels[:2]
    runner = Runner(card, Fine(), "cpu", "float64")
    inputs = Inputs(draw_inputs().fine, None)
    bands = bands_of(runner, Splitting(method, steps=3), inputs)
    assert bands.shape[0] == 4
    assert off(bands) < 1e-10


@pytest.mark.parametrize("model", BUNDLED)
@pytest.mark.parametrize(("precision", "accepted"), [("float64", 1e-10), ("float32", 1e-4)])
def test_contributions_of_the_bundled_models_add_up_at_every_pixel(model, precision, accepted):
    card, module = load(MODELS / model)
    runner = Runner(card, module, "cpu", precision)
    draw = torch.Generator().manual_seed(4)
    fine = torch.randn(1, 2, 70, 60, generator=draw, dtype=torch.float64)
    coarse = torch.randn(1, 14, 3, 3, generator=draw, dtype=torch.float64)
    inputs = Inputs(fine, coarse).to(runner.input_dtype)
    with torch.no_grad():
        logits = copy.deepcopy(module).double()(fine, coarse)[0].numpy()
    for splitting in (GATED_ONE, Splitting(INTEGRATED, steps=2), Splitting(GATED, "scale")):
        bands = bands_of(runner, splitting, inputs, Target())
        assert off(bands) < accepted
        expected = logits.max(axis=0)  # a single logit, or the predicted class's
        np.testing.assert_allclose(bands[-1], expected, rtol=0, atol=accepted * np.abs(expected).max())


def test_channels_that_enter_at_the_last_layer_get_their_weights_times_their_values():
    card, module = load(MODELS / BUNDLED[1])
    runner = Runner(card, module, "cpu", "float64")
    draw = torch.Generator().manual_seed(4)
    inputs = Inputs(
        torch.randn(1, 2, 30, 40, generator=draw, dtype=torch.float64),
        torch.randn(1, 14, 2, 2, generator=draw, dtype=torch.float64),
    )
    weight, _ = runner.output_weights()
    target = Target(class_name=card.heads[0].classes[1].name)
    for splitting in (GATED_ONE, Splitting(INTEGRATED, steps=3)):
        bands = bands_of(runner, splitting, inputs, target)
        for i in range(14):
            cells = weight[1, -14 + i] * inputs.coarse[0, i].numpy()
            pixels = cells.repeat(25, axis=0).repeat(25, axis=1)[:30, :40]
            np.testing.assert_allclose(bands[2 + i], pixels, rtol=1e-10, atol=1e-14)


class ConvolvedPixels(TorchDispatchMode):
    """Counts, by the size of the kernel, how many output values convolutions compute."""

    def __init__(self) -> None:
        super().__init__()
        self.work = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if "convolution" in str(operation):
            self.work += result.numel() * args[1][0].numel()
        return result


@pytest.mark.parametrize("model", BUNDLED)
def test_the_gated_split_costs_one_pass_and_one_more_for_each_sar_channel(model):
    card, module = load(MODELS / model)
    runner = Runner(card, module, "cpu", "float64")
    inputs = Inputs(torch.randn(1, 2, 75, 75).double(), torch.randn(1, 14, 3, 3).double())
    splitter = splitter_for(runner, GATED_ONE)
    with ConvolvedPixels() as plain, torch.no_grad():
        runner.module(inputs.fine, inputs.coarse)
    with ConvolvedPixels() as split:
        list(splitter._carried(inputs))
    assert plain.work < split.work <= 3 * plain.work


def test_groups_hold_every_channel_once_and_their_bands_are_sums_over_channels():
    card = full_card()
    named = {
        kind: [g.name for g in channel_groups(card, kind)] for kind in ("frequency", "polarisation", "sensor")
    }
    assert named == {
        "frequency": ["sar", "6.9 GHz", "weather"],
        "polarisation": ["hh", "hv", "h", "v", "weather"],
        "sensor": ["sar", "mwr", "weather"],
    }
    runner, inputs = runner_of(TinyFusion(1)), draw_inputs()
    single = bands_of(runner, GATED_ONE, inputs)
    for kind in named:
        groups = channel_groups(card, kind)
        assert sorted(member for group in groups for member in group.members) == list(range(5))
        bands = bands_of(runner, Splitting(GATED, kind), inputs)
        for band, group in zip(bands, groups):
            np.testing.assert_allclose(band, single[list(group.members)].sum(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(bands[-2:], single[-2:], rtol=0, atol=1e-12)


def test_scales_are_split_at_the_last_layer():
    network, inputs = TinyFusion(1), draw_inputs()
    bands = bands_of(runner_of(network), Splitting(GATED, "scale"), inputs)
    module = copy.deepcopy(network).double().eval()
    components = module.components(inputs.fine, inputs.coarse)[0].detach().numpy()
    weight = (module.output.weight[3] - module.output.weight[1]).detach().numpy()[:, 0, 0]
    terms = weight[:, None, None] * components
    expected = [terms[a:b].sum(axis=0) for a, b in ((0, 5), (5, 8), (8, 12), (12, 14), (14, 15))]
    np.testing.assert_allclose(bands[:-2], expected, rtol=0, atol=1e-12)
    bias = module.output.bias.detach()
    np.testing.assert_allclose(bands[-2], float(bias[3] - bias[1]))
    assert off(bands) < 1e-10


def run(runner, splitting, side=1000, region=None, progress=None, target=TYPE, scene=None):
    scene = scene or tiny_scene()
    plan = Plan(region or scene.window, scene.window, runner.radius, runner.alignment, side, side)
    sink = ListSink()
    seeding, progress = target.resolve(runner.card), progress or Silent()
    splitting = settled(runner, scene, plan, seeding, splitting, progress)
    shares = run_contributions(runner, scene, plan, seeding, splitting, sink, progress)
    assert shares.pixels
    return SimpleNamespace(**vars(shares), share=shares.share, steps=splitting.steps), sink.values


@pytest.mark.parametrize("splitting", [GATED_ONE, Splitting(INTEGRATED, "sensor"), Splitting(GATED, "scale")])
@pytest.mark.parametrize(("precision", "within"), [("float64", 1e-10), ("float32", 1e-5)])
def test_tiled_contributions_equal_those_of_the_whole_scene(splitting, precision, within):
    runner = runner_of(TinyFusion(1), precision)
    whole_shares, whole = run(runner, splitting)
    shares, tiled = run(runner, splitting, side=17)
    scale = np.nansum(np.abs(whole[:-1]), axis=0)
    assert (np.isnan(tiled) == ~tiny_scene().valid).all()
    assert np.nanmax(np.abs(tiled - whole) / np.where(scale > 0, scale, 1)) < within
    assert shares.steps == whole_shares.steps
    assert shares.residual < {"float64": 1e-10, "float32": 1e-5}[precision]


def test_a_network_with_its_own_pass_in_parts_takes_two_large_tiles_at_the_same_time(monkeypatch):
    torch.manual_seed(2)
    network, scene = AsppFusion(2, 3, RATIO, "interpretability_small", outputs=4), tiny_scene(210, 190)
    card = full_card()
    card.receptive_field_radius = 30
    runner = Runner(card, network, "cpu", "float64")
    found = []
    for cores, side in ((1, 1000), (2, 60)):
        monkeypatch.setattr(torch, "get_num_threads", lambda cores=cores: cores)
        splitter = splitter_for(runner, GATED_ONE)
        assert splitter.takes_large_tiles
        assert splitter.tiles_ahead == cores - 1
        found.append(run(runner, GATED_ONE, side=side, scene=scene))
    (whole_shares, whole), (shares, tiled) = found
    assert (np.isnan(whole) == ~scene.valid).all()
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-10 * np.nanmax(np.abs(whole)))
    np.testing.assert_allclose(shares.mean, whole_shares.mean, rtol=1e-9)
    assert off(tiled[:, scene.valid]) < 1e-10
    plan = plan_contributions(runner, scene, scene.window, GATED_ONE, TYPE.resolve(runner.card), 4096)
    assert plan.tile_rows > LARGEST_SIDE


def test_where_contributions_are_no_numbers_is_told_by_rows(monkeypatch):
    runner, scene = runner_of(TinyFusion(1)), tiny_scene()
    assert scene.valid[20].any()
    monkeypatch.setattr(sums, "ROWS_AT_ONCE", 4)
    split = GatedSplitter.split

    def broken(self, inputs, seeding):
        found = split(self, inputs, seeding)
        found[0, 20] = float("nan")
        return found

    monkeypatch.setattr(GatedSplitter, "split", broken)
    with pytest.raises(NumericalError, match="not finite at rows 20 to 24, columns 0 to"):
        run(runner, GATED_ONE, scene=scene)


def test_shares_are_means_of_the_bands():
    shares, bands = run(runner_of(TinyFusion(1)), GATED_ONE, side=20)
    valid = tiny_scene().valid
    assert shares.pixels == valid.sum()
    np.testing.assert_allclose(shares.mean, bands[:-2, valid].mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(shares.mean_abs, np.abs(bands[:-2, valid]).mean(axis=1), rtol=1e-9)
    assert sum(shares.share) == pytest.approx(1)
    assert shares.names == ("hh", "hv", "btemp_6_9h", "btemp_6_9v", "t2m")


def test_steps_are_doubled_until_the_split_stands_still_and_told():
    listener = Listener()
    runner = runner_of(TinyFusion(1))
    scene = tiny_scene(25, 26)
    loose, _ = run(runner, Splitting(INTEGRATED, steps=1, settled=1.0), progress=listener, scene=scene)
    firm, _ = run(runner, Splitting(INTEGRATED, steps=1, settled=0.02), progress=listener, scene=scene)
    capped, _ = run(
        runner, Splitting(INTEGRATED, steps=1, settled=1e-9, most_steps=4), progress=listener, scene=scene
    )
    assert loose.steps == 1 < firm.steps
    assert capped.steps == 4
    assert "1 steps" in listener.messages[0]
    assert "the most" in listener.messages[-1]
    exact, _ = run(runner, Splitting(INTEGRATED, "sensor"), progress=listener, scene=scene)
    assert exact.steps == 1
    assert "exact without steps" in listener.messages[-1]


def test_bands_that_do_not_add_up_are_a_warning_with_the_place(monkeypatch):
    runner, listener = runner_of(TinyFusion(1)), Listener()
    right = runner.logits

    def wrong(inputs):
        logits = right(inputs).clone()
        logits[:, 3, 33, 21] += 0.5
        return logits

    monkeypatch.setattr(runner, "logits", wrong)
    run(runner, GATED_ONE, progress=listener)
    assert len(listener.warnings) == 1
    assert "row 33, column 21" in listener.warnings[0]


def a_slope_of_the_end(self, activation, rows):
    """A step's rule made wrong: the slope of its end in place of the secant."""
    passed = {name: activation.value(rows[name]) for name in self.base}
    slope = activation.slope(rows[-1])
    return {**passed, **{name: row * slope for name, row in rows.items() if name >= 0}}


def a_forgotten_channel(self, values, bias, channels):
    """A convolution made wrong: it drops the first channel of its parts, and keeps those of whole values."""
    weight = self.weight[:, channels]
    if bias is None:
        weight = weight.clone()
        weight[:, 0] = 0
    return self.apply(values, weight, bias)


@pytest.mark.parametrize("groups", ["channel", "sensor"])
@pytest.mark.parametrize(
    ("kind", "name", "wrong"),
    [
        (split_activations.Step, "activate", a_slope_of_the_end),
        (affine.Convolution, "part", a_forgotten_channel),
    ],
)
def test_a_wrong_rule_shows_though_one_group_is_what_the_others_leave(monkeypatch, groups, kind, name, wrong):
    runner, listener, splitting = (
        runner_of(TinyFusion(1)),
        Listener(),
        Splitting(INTEGRATED, groups, steps=2, settled=1),
    )
    right, _ = run(runner, splitting, progress=listener)
    assert right.windows == 3
    assert right.residual < 1e-10
    assert not listener.warnings
    monkeypatch.setattr(kind, name, wrong)
    found, bands = run(runner, splitting, progress=listener)
    assert off(bands[:, tiny_scene().valid]) < 1e-10  # as the last group takes the rest
    assert found.windows == 3
    assert found.residual > 0.01
    assert "do not add up" in listener.warnings[0]


def test_wrong_logits_show_in_windows_though_one_group_is_what_the_others_leave(monkeypatch):
    runner, listener = runner_of(TinyFusion(1)), Listener()
    right = runner.logits
    monkeypatch.setattr(runner, "logits", lambda inputs: 1.02 * right(inputs))
    found, _ = run(runner, Splitting(INTEGRATED, "sensor"), progress=listener)
    assert found.residual > 0.001
    assert len(listener.warnings) == 1


def test_a_scene_whose_few_valid_pixels_lie_beside_the_fixed_windows_is_checked_there(monkeypatch):
    scene = tiny_scene()
    scene.valid[:] = False
    scene.valid[23:26, 28:31] = True
    listener = Listener()
    monkeypatch.setattr(split_activations.Step, "activate", a_slope_of_the_end)
    found, _ = run(runner_of(TinyFusion(1)), Splitting(INTEGRATED, "sensor"), progress=listener, scene=scene)
    assert found.windows == 1
    assert found.residual > 0.001
    assert scene.valid[found.place]


@pytest.mark.parametrize("splitting", [GATED_ONE, Splitting(GATED, "scale")])
def test_methods_without_a_rest_need_no_windows(splitting, monkeypatch):
    assert run(runner_of(TinyFusion(1)), splitting)[0].windows == 0
    if splitting is GATED_ONE:
        plain = split_activations.Frozen.activate

        def wrong(self, activation, rows):
            return {name: 1.01 * row for name, row in plain(self, activation, rows).items()}

        monkeypatch.setattr(split_activations.Frozen, "activate", wrong)
        assert run(runner_of(TinyFusion(1)), splitting)[0].residual > 1e-4  # every band is its own


def test_an_unknown_layer_is_an_error_that_names_it_and_the_network_is_left_as_it_was():
    network = TinyFusion(1)
    network.relu2 = nn.Softsign()
    with pytest.raises(ModelError, match="'relu2' of the kind Softsign"):
        splitter_for(runner_of(network), GATED_ONE)

    class Product(TinyFusion):
        def forward(self, fine, coarse):
            return super().forward(fine, coarse) * 2.0

    with pytest.raises(ModelError, match=r"'mul'.*product of arrays"):
        splitter_for(runner_of(Product()), GATED_ONE)
    network = TinyFusion(1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bands_of(runner_of(network), GATED_ONE, draw_inputs())
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(layer._forward_hooks for layer in network.modules())


def test_every_word_of_the_vocabulary_has_a_splitter():
    assert list(SPLITTERS) == list(CONTRIBUTION_METHODS)


def test_values_that_make_no_sense_are_sentences():
    with pytest.raises(ParameterError, match="Unknown METHOD 'exact'"):
        Splitting("exact")
    with pytest.raises(ParameterError, match="Unknown GROUPS 'band'"):
        Splitting(groups="band")
    with pytest.raises(ParameterError, match="at least 1 step"):
        Splitting(steps=0)
    with pytest.raises(ParameterError, match="no baseline of channels"):
        Splitting(groups="scale", baseline=BASELINE)


def test_cancel_comes_through_between_steps():
    with pytest.raises(Cancelled):
        run(
            runner_of(TinyFusion(1)), Splitting(INTEGRATED, steps=8), side=17, progress=Listener(stop_after=1)
        )


def test_tiles_shrink_with_the_memory():
    runner, scene = runner_of(TinyFusion(1), "float32"), tiny_scene()
    sides = [
        plan_contributions(
            runner, scene, scene.window, GATED_ONE, TYPE.resolve(runner.card), memory
        ).tile_rows
        for memory in (4, 16, 4096)
    ]
    assert sides[0] < sides[1] < sides[2] == LARGEST_SIDE


class SarOnly(nn.Module):
    """A network without radiometry that is given none: its second input stays unused."""

    def __init__(self, seed: int = 9) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.output = nn.Conv2d(6, 4, 1)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.5)

    def forward(self, fine, coarse):
        return self.output(self.relu(self.conv(fine)))


def sar_only_networks():
    """Return networks for SAR alone: one of no known kind, and the published one of every variant's branches."""
    torch.manual_seed(4)
    own = [
        AsppFusion(outputs=4, fine_channels=2, coarse_channels=0, ratio=RATIO, variant=variant)
        for variant in ("fusion", "interpretability_small", "v2")
    ]
    return [SarOnly(), *own]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("method", [GATED, INTEGRATED])
def test_networks_for_sar_alone_are_split(method, number):
    network = sar_only_networks()[number].double().eval()
    card = full_card()
    card.channels = card.channels[:2]
    runner = Runner(card, network, "cpu", "float64")
    inputs = Inputs(draw_inputs(40, 44).fine, None)
    splitter = splitter_for(runner, Splitting(method, "channel"))
    bands = splitter.split_outputs(inputs)
    expected = network(inputs.fine, None)[0].detach()
    assert bands.shape == (4, 4, 40, 44)
    torch.testing.assert_close(bands[-1], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bands[:-1].sum(0), expected, rtol=1e-9, atol=1e-9)
    assert (bands[:2].abs().amax((1, 2, 3)) > 1e-3).all()
