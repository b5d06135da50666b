"""Every row of the table of layer kinds: backwards, forwards in parts, and how far it looks, each by its definition."""

from __future__ import annotations

import operator

import pytest
import torch
from floelens.plugin.core.contributions.run import Splitting, splitter_for
from floelens.plugin.core.layers.activations import Rescaled, Smooth, Whole
from floelens.plugin.core.layers.backward import LayerwiseBackward, traced
from floelens.plugin.core.layers.conservation import Leaks
from floelens.plugin.core.layers.kinds import KINDS, OF_CALLS, OF_LAYERS, Interpolation, reach_of_node
from floelens.plugin.core.layers.layer_kind import Activated, LayerKind, Unknown
from floelens.plugin.core.layers.reach import Reach, none
from floelens.plugin.core.layers.rules import AlongEpsilon, AlongGamma, ByKind, Rules, along_gradient
from floelens.plugin.core.layers.split_activations import Frozen, Step
from floelens.plugin.core.layers.split_forward import ChannelParts, SplitForward
from floelens.plugin.core.relevance.methods import Method, explainer_for
from floelens.plugin.core.relevance.occlusion import coarse_reach
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.layers import (
    UPSAMPLING,
    BilinearUpsample,
    FillUp,
    FitTo,
    NearestUpsample,
    OneComponent,
    ResizeTo,
    SamePool2d,
)
from floelens.tests.plugin.core.tiny_networks import RATIO, TinyFusion, tiny_card
from torch import nn
from torch.nn import functional

SHAPE = (1, 4, 6, 6)


def a_norm(**settings):
    norm = nn.BatchNorm2d(4, **settings)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    return norm


# Examples of every row, by the layers and calls that it lists.
LAYERS = {
    nn.Conv2d: [
        lambda: nn.Conv2d(4, 3, 3, padding=1),
        lambda: nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2, bias=False),
        lambda: nn.Conv2d(4, 3, 3, padding=2, dilation=2, padding_mode="reflect"),
        lambda: nn.Conv2d(4, 3, 3, padding="same", padding_mode="replicate"),
        lambda: nn.Conv2d(4, 3, 2, padding="same"),
        lambda: nn.Conv2d(4, 3, 4, padding="same", padding_mode="reflect"),
        lambda: nn.Conv2d(4, 3, 1),
    ],
    nn.ConvTranspose2d: [
        lambda: nn.ConvTranspose2d(4, 3, 2, stride=2),
        lambda: nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False),
        lambda: nn.ConvTranspose2d(4, 3, 3, padding=1, dilation=2, output_padding=1),
    ],
    nn.Linear: [lambda: nn.Linear(6, 5)],
    nn.BatchNorm2d: [a_norm, lambda: a_norm(affine=False)],
    nn.ReLU: [nn.ReLU],
    nn.LeakyReLU: [lambda: nn.LeakyReLU(0.2)],
    nn.Sigmoid: [nn.Sigmoid],
    nn.Tanh: [nn.Tanh],
    nn.Hardtanh: [lambda: nn.Hardtanh(-0.5, 0.8)],
    nn.ReLU6: [nn.ReLU6],
    nn.GELU: [nn.GELU, lambda: nn.GELU("tanh")],
    nn.SiLU: [lambda: nn.SiLU(inplace=True)],
    nn.Mish: [nn.Mish],
    nn.ELU: [lambda: nn.ELU(0.7)],
    nn.SELU: [nn.SELU],
    nn.Softplus: [lambda: nn.Softplus(2.0)],
    nn.Hardswish: [nn.Hardswish],
    nn.MaxPool2d: [lambda: nn.MaxPool2d(2), lambda: nn.MaxPool2d(3, 1, 1), lambda: nn.MaxPool2d(3, 2, 1, 2)],
    OneComponent: [lambda: OneComponent(nn.Conv2d(4, 3, 1), 2)],
    SamePool2d: [lambda: SamePool2d(3), lambda: SamePool2d(2)],
    nn.AvgPool2d: [lambda: nn.AvgPool2d(2), lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False)],
    nn.AdaptiveAvgPool2d: [lambda: nn.AdaptiveAvgPool2d((4, 1))],
    NearestUpsample: [lambda: NearestUpsample(3)],
    BilinearUpsample: [lambda: BilinearUpsample(3), lambda: BilinearUpsample(2)],
    FitTo: [FitTo, lambda: FitTo("reflect"), lambda: FitTo("replicate")],
    FillUp: [lambda: FillUp(4), lambda: FillUp(5, "reflect"), lambda: FillUp(6)],
    ResizeTo: [ResizeTo, lambda: ResizeTo("nearest"), lambda: ResizeTo(align_corners=True)],
    nn.Upsample: [
        lambda: nn.Upsample(scale_factor=3),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        lambda: nn.Upsample((9, 7), mode="bilinear"),
        lambda: nn.Upsample(scale_factor=2, mode="bicubic"),
    ],
    nn.UpsamplingNearest2d: [lambda: nn.UpsamplingNearest2d(scale_factor=2)],
    nn.UpsamplingBilinear2d: [lambda: nn.UpsamplingBilinear2d(scale_factor=2)],
    Interpolation: [lambda: Interpolation(scale_factor=0.5, mode="bilinear", antialias=True)],
    nn.PixelShuffle: [lambda: nn.PixelShuffle(2)],
    nn.ConstantPad2d: [lambda: nn.ConstantPad2d(2, 0.7), lambda: nn.ConstantPad2d((2, -1, -1, 2), -0.4)],
    nn.ZeroPad2d: [lambda: nn.ZeroPad2d(1)],
    nn.ReflectionPad2d: [lambda: nn.ReflectionPad2d(2), lambda: nn.ReflectionPad2d((1, 0, 1, 0))],
    nn.ReplicationPad2d: [lambda: nn.ReplicationPad2d(2)],
    nn.Identity: [nn.Identity],
    nn.Dropout: [lambda: nn.Dropout(0.3)],
    nn.Dropout2d: [lambda: nn.Dropout2d(0.3)],
    nn.Flatten: [nn.Flatten, lambda: nn.Flatten(2)],
}
CALLS = {
    torch.relu: torch.relu,
    functional.relu: lambda x: functional.relu(x, inplace=False),
    "relu": lambda x: x.relu(),
    functional.leaky_relu: lambda x: functional.leaky_relu(input=x, negative_slope=0.3),
    torch.sigmoid: torch.sigmoid,
    "sigmoid": functional.sigmoid,
    torch.tanh: torch.tanh,
    "tanh": functional.tanh,
    functional.hardtanh: lambda x: functional.hardtanh(x, -0.4, 0.6),
    functional.relu6: functional.relu6,
    functional.gelu: functional.gelu,
    functional.silu: functional.silu,
    functional.mish: functional.mish,
    functional.elu: lambda x: functional.elu(x, 0.5),
    functional.selu: functional.selu,
    torch.selu: torch.selu,
    functional.softplus: lambda x: functional.softplus(x, beta=3),
    functional.hardswish: functional.hardswish,
    functional.max_pool2d: lambda x: functional.max_pool2d(x, 3, 2, padding=1),
    torch.max_pool2d: lambda x: torch.max_pool2d(x, 2),
    functional.avg_pool2d: lambda x: functional.avg_pool2d(x, 3, 1, 1),
    functional.adaptive_avg_pool2d: lambda x: functional.adaptive_avg_pool2d(x, 2),
    functional.interpolate: lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    functional.pixel_shuffle: lambda x: functional.pixel_shuffle(x, 2),
    functional.pad: lambda x: functional.pad(functional.pad(x, (1, 2)), (1, 1, 1, 1), "reflect"),
    "contiguous": lambda x: x.contiguous(),
    functional.dropout: lambda x: functional.dropout(x, 0.4, training=False),
    functional.dropout2d: lambda x: functional.dropout2d(x, 0.4, training=False),
    torch.flatten: lambda x: torch.flatten(x, 2),
    "flatten": lambda x: x.flatten(1, 2),
    torch.cat: lambda x: torch.cat([x, torch.relu(x)], 1),
    torch.concat: lambda x: torch.concat(tensors=[x, torch.relu(x)], dim=2),
    operator.add: lambda x: x + torch.relu(x),
    operator.iadd: lambda x: operator.iadd(functional.avg_pool2d(x, 3, 1, 1), x),
    torch.add: lambda x: torch.add(x, functional.avg_pool2d(x, 6)),  # of one size and another
    "add": lambda x: x.add(torch.tanh(x)),
    getattr: lambda x: functional.interpolate(functional.avg_pool2d(x, 2), size=x.shape[2:], mode="bilinear"),
    "size": lambda x: functional.pad(functional.max_pool2d(x, 4), [0, x.size(3) - 1, 0, x.size()[2] // 2]),
}
EXAMPLES = [
    *(
        pytest.param(make, id=f"{kind.__name__}{n}")
        for kind, makes in LAYERS.items()
        for n, make in enumerate(makes)
    ),
    *(
        pytest.param(lambda f=function: f, id=call if isinstance(call, str) else call.__name__)
        for call, function in CALLS.items()
    ),
]


class Alone(nn.Module):
    """A layer or a call by itself; its second input tells no more than a size."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, fine, coarse):
        if isinstance(self.layer, (*UPSAMPLING, FitTo, ResizeTo)):
            return self.layer(fine, coarse)
        return self.layer(fine)


def network_of(make):
    torch.manual_seed(3)
    layer = make()
    network = Alone(layer)
    return network.double().eval().requires_grad_(False)


def values_of(number=1, scale=1.0):
    draw = torch.Generator().manual_seed(number)
    return scale * torch.randn(SHAPE, generator=draw, dtype=torch.float64)


SIZE = torch.zeros(1, 1, 10, 11, dtype=torch.float64)  # of the second input


def run(network, values):
    return network(values.clone(), SIZE)  # layers may work in place


def same(found, expected, tolerance=1e-12):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_every_row_has_an_example_here():
    explained = [kind for kind in KINDS if not isinstance(kind.mathematics, Unknown)]
    assert {layer for kind in explained for layer in kind.layers} == set(LAYERS)
    assert {call for kind in explained for call in kind.calls} == set(CALLS)


def test_a_layer_or_call_has_one_row():
    assert len(OF_LAYERS) == sum(len(kind.layers) for kind in KINDS)
    assert len(OF_CALLS) == sum(len(kind.calls) for kind in KINDS)


@pytest.mark.parametrize("make", EXAMPLES)
def test_the_backward_pass_is_the_gradient_and_conserves_relevance(make):
    network, values = network_of(make), values_of()
    leaf = values.clone().requires_grad_()
    output = run(network, leaf)
    seeds = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(output, leaf, seeds)
    total = (seeds * output).sum().item()
    for rule, gates in (
        (along_gradient, None),
        (AlongEpsilon(0.05), Whole()),
        (ByKind(AlongGamma(0.3), AlongGamma(0.3)), Whole()),
    ):
        layerwise, leaks = LayerwiseBackward(traced(network), Rules(rule, torch.float64, gates)), Leaks()
        same(layerwise.forward(values.clone(), SIZE), output.detach())
        found = layerwise.backward(seeds, leaks)[0]
        if gates is None:
            same(found, gradient)
        leaks = sum(sum(layers.values()) for layers in leaks.by_layer().values())
        assert (found * values).sum().item() + leaks == pytest.approx(total, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("make", EXAMPLES)
def test_differences_to_a_baseline_add_up(make):
    network, values, base = network_of(make), values_of(), values_of(7)
    gates = Rescaled()
    layerwise = LayerwiseBackward(traced(network), Rules(along_gradient, torch.float64, gates))
    gates.record()
    before = layerwise.forward(base.clone(), SIZE)
    gates.recording = False
    after = layerwise.forward(values.clone(), SIZE)
    seeds = torch.randn(after.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (found, *_) = layerwise.backward(seeds, Leaks())
    expected = (seeds * (after - before)).sum().item()
    assert (found * (values - base)).sum().item() == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("make", EXAMPLES)
def test_the_forward_pass_in_parts_adds_up_and_its_parts_are_products_with_the_jacobian(make):
    network, base = network_of(make), values_of()
    parts = [values_of(5), values_of(6)]
    values = base + sum(parts)
    forward = SplitForward(network, torch.float64)
    found = forward.propagate(
        [ChannelParts({-1: base, 0: parts[0], 1: parts[1]}), ChannelParts({-1: SIZE})], Frozen()
    )
    same(sum(found.values.values()), run(network, values))
    for number, part in enumerate(parts):
        product = torch.autograd.functional.jvp(lambda x: run(network, x), values, part)[1]
        same(found.part(number), product)
    # Over a step every slope is a secant, so that parts of the step add up to the change of the output.
    rows = ChannelParts({-2: base, -1: values, 0: parts[0], 1: parts[1]})
    found = forward.propagate([rows, ChannelParts({-2: SIZE, -1: SIZE})], Step())
    same(found.part(0) + found.part(1), run(network, values) - run(network, base))
    same(found.part(-1), run(network, values))
    if forward.straight_inputs()[0]:
        alone = forward.propagate([ChannelParts({1: parts[1]}), ChannelParts({}, SIZE)], Frozen()).part(1)
        same(alone, torch.autograd.functional.jvp(lambda x: run(network, x), values, parts[1])[1])


def measured_reach(network, step):
    """Return the largest gaps, before and after, between a place of the output and what it reads, along either axis."""
    before, after = [], []
    leaf = (0.01 + values_of().abs()).requires_grad_()
    output = run(network, leaf)
    for other in (2, 3):
        for place, value in enumerate(output.sum((0, 1, other))):
            (gradient,) = torch.autograd.grad(value, leaf, retain_graph=True)
            read = torch.nonzero(gradient.abs().sum((0, 1, other)))[:, 0].tolist()
            before += [(place + 1) * step - (first + 1) for first in read]
            after += [first - place * step for first in read]
    return max(before), max(after)


WINDOWED = [case for case in EXAMPLES if "MaxPool" not in case.id and "max_pool" not in case.id]


@pytest.mark.parametrize("make", WINDOWED)
def test_what_a_place_reads_is_as_measured(make):
    network = network_of(make)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_().add_(0.1)
    own = reach_of(network)
    if own is not None:
        assert measured_reach(network, own.step) == (own.before, own.after)


def reach_of(network):
    """Return the reach of the only layer or call of a network; None where it has several or does not know."""
    graph = traced(network)
    nodes = [node for node in graph.graph.nodes if node.op.startswith("call")]
    if len(nodes) > 1:
        return None
    kind = OF_LAYERS[type(network.layer)] if nodes[0].op == "call_module" else OF_CALLS[nodes[0].target]
    return reach_of_node(graph, nodes[0], kind)


def test_a_maximum_looks_as_far_as_a_mean_of_the_same_window():
    for window in ((2,), (3, 1, 1), (3, 2, 1)):
        assert reach_of(Alone(nn.MaxPool2d(*window))) == reach_of(Alone(nn.AvgPool2d(*window)))
    assert reach_of(Alone(nn.MaxPool2d(3, 2, 1, 2))) == Reach(2, 3, 2)


def test_coarse_cells_act_no_further_than_their_reach():
    class Coarse(nn.Module):
        """Convolutions of cells, a step to half the cells and back, and others of pixels."""

        def __init__(self):
            super().__init__()
            self.cells, self.fewer = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, stride=2, padding=1)
            self.back, self.up = nn.ConvTranspose2d(1, 1, 2, stride=2), BilinearUpsample(RATIO)
            self.pixels = nn.Conv2d(2, 1, 3, padding=1)

        def forward(self, fine, coarse):
            cells = self.back(self.fewer(self.cells(coarse)))
            return self.pixels(torch.cat([fine, self.up(cells, fine)], 1))

    network = Coarse().double().requires_grad_(False)
    for parameter in network.parameters():
        parameter.fill_(1.0)
    side, cell = 20, 10
    fine, coarse = torch.ones(1, 1, side * RATIO, RATIO).double(), torch.ones(1, 1, side, 2).double()
    changed = coarse.clone()
    changed[0, 0, cell] += 1
    rows = (network(fine, changed) - network(fine, coarse)).abs().sum((0, 1, 3)).nonzero()[:, 0]
    measured = max(cell * RATIO - int(rows[0]), int(rows[-1]) + 1 - (cell + 1) * RATIO)
    reach = coarse_reach(network, 1000, RATIO)
    assert measured <= reach <= measured + 2 * RATIO
    assert coarse_reach(network, 5, RATIO) == 5  # never beyond the network's own radius
    assert coarse_reach(Alone(nn.Tanh()), 5, RATIO) == 0  # no coarse input at all


SLOPED = [nn.GroupNorm(2, 4), nn.LayerNorm(6), nn.InstanceNorm2d(4), nn.Softmax(1)]


@pytest.mark.parametrize("layer", SLOPED)
def test_a_layer_that_no_rule_shares_out_says_why_in_every_explanation(layer):
    network = Alone(layer.double().eval())
    kind = OF_LAYERS[type(layer)]
    with pytest.raises(ModelError, match=rf"'layer' of the kind {type(layer).__name__}") as backward:
        LayerwiseBackward(traced(network), Rules(AlongEpsilon(0.1), torch.float64)).forward(values_of(), None)
    with pytest.raises(ModelError) as forward:
        SplitForward(network, torch.float64)
    assert str(backward.value) == str(forward.value)
    assert kind.mathematics.why in str(backward.value)
    assert "METHOD=gradient_x_input, integrated_gradients or smoothgrad" in str(backward.value)
    assert len(str(backward.value)) < 500


def gated(x):
    """A gate of each channel, as squeeze and excitation has it."""
    return x * torch.sigmoid(functional.adaptive_avg_pool2d(x, 1))


@pytest.mark.parametrize("make", [*(lambda layer=layer: layer for layer in SLOPED), lambda: gated])
def test_gradients_need_no_rule_and_what_the_tangent_leaves_counts_as_a_bias(make):
    network, values = network_of(make), values_of()
    leaf = values.clone().requires_grad_()
    output = run(network, leaf)
    seeds = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    layerwise, leaks = LayerwiseBackward(traced(network), Rules(along_gradient, torch.float64)), Leaks()
    same(layerwise.forward(values.clone(), SIZE), output.detach())
    found = layerwise.backward(seeds, leaks)[0]
    same(found, torch.autograd.grad(output, leaf, seeds)[0])
    biases = sum(sum(layers.values()) for layers in leaks.by_layer().values())
    total = (seeds * output).sum().item()
    assert (found * values).sum().item() + biases == pytest.approx(total, rel=1e-10, abs=1e-10)
    for gates in (Whole(), Rescaled()):
        if isinstance(gates, Rescaled):
            gates.record()
        with pytest.raises(ModelError, match="cannot be explained"):
            LayerwiseBackward(traced(network), Rules(along_gradient, torch.float64, gates)).forward(
                values, SIZE
            )


def test_an_unknown_layer_is_one_sentence_with_those_that_are_known():
    with pytest.raises(ModelError, match=r"Softsign.*Conv2d") as error:
        SplitForward(Alone(nn.Softsign()), torch.float64)
    assert len(str(error.value)) < 500


def test_a_new_kind_of_layer_is_one_row(monkeypatch):
    """As docs/how-to/layer-kind.md says: with its row it is known to relevance, occlusion and contributions."""
    network = TinyFusion(1)
    network.relu2 = nn.Softsign()
    runner = Runner(tiny_card(), network, "cpu", "float64")
    draw = torch.Generator().manual_seed(3)
    fine = torch.randn(1, 2, 16, 16, generator=draw, dtype=torch.float64)
    inputs = Inputs(fine, torch.randn(1, 3, 4, 4, generator=draw, dtype=torch.float64))
    with pytest.raises(ModelError, match="Softsign"):
        explainer_for(runner, Method("lrp_0")).explain(inputs, torch.ones_like, Leaks())

    row = LayerKind((nn.Softsign,), Activated(lambda _layer: Smooth(functional.softsign)), reach=none)
    monkeypatch.setitem(OF_LAYERS, nn.Softsign, row)
    for name in ("gradient_x_input", "lrp_epsilon", "deeplift", "lrp_composite"):
        leaks = Leaks()
        method = Method(name, first_layer="same" if name == "lrp_composite" else "default")
        found = explainer_for(runner, method).explain(inputs, torch.ones_like, leaks)
        leaks = sum(sum(layers.values()) for layers in leaks.by_layer().values())
        total = (found.fine * inputs.fine).sum() + (found.coarse * inputs.coarse).sum()
        assert total.item() + leaks == pytest.approx(found.target_sum, rel=1e-9)
    target = Target(head="type", class_name="old ice").resolve(runner.card)
    for method in ("gated", "integrated"):
        bands = splitter_for(runner, Splitting(method, "sensor")).split(inputs, target)
        same(bands[:-1].sum(0), bands[-1], 1e-10)
