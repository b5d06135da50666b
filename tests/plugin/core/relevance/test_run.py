"""Relevance over a scene: equal to its slow definitions, whatever the tiles, and conserved."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from floelens.plugin.core.layers.kinds import OF_LAYERS
from floelens.plugin.core.layers.layer_kind import LayerKind, Linear
from floelens.plugin.core.relevance.methods import METHODS, Method
from floelens.plugin.core.relevance.run import plan_relevance, run_relevance
from floelens.plugin.core.streaming.engine import scene_window
from floelens.plugin.core.streaming.runner import Inputs, Runner
from floelens.plugin.core.streaming.tiling import LARGEST_SIDE, Plan
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import Cancelled, ModelError, ParameterError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.tests.plugin.core.tiny_networks import (
    RADIUS,
    RATIO,
    LinearFusion,
    Listener,
    ListSink,
    TinyFusion,
    tiny_card,
    tiny_scene,
)

TYPE = Target(head="type", class_name="old ice")
METHOD = {
    name: Method(
        name, steps=6, refine=False, tolerance=1.0, epsilon=0.05, samples=3, patch=6, first_layer=first
    )
    for name, first in ((name, "flat" if name == "lrp_gamma" else "default") for name in METHODS)
}
CONSERVATIVE = [name for name in METHODS if METHOD[name].conservative]


def runner_of(network, precision="float64", **card):
    return Runner(tiny_card(**card), network, "cpu", precision)


def explain(runner, scene, target=TYPE, method="gradient_x_input", side=1000, region=None, progress=None):
    """Return result and map for tiles of about `side` pixels."""
    whole = scene_window(scene)
    plan = Plan(region or whole, whole, runner.radius, runner.alignment, side, side)
    method = METHOD[method] if isinstance(method, str) else method
    sink = ListSink()
    result = run_relevance(runner, scene, plan, target, method, sink, progress or Silent())
    return result, sink.values


def standardised(scene, fill=0.0):
    """Return a scene's standardised fine and coarse channels, by hand."""
    card = tiny_card(fill=fill)
    coarse = np.stack(
        [(scene.coarse[i].astype(float) - c.mean) / c.sd for i, c in enumerate(card.channels[2:])]
    )
    fine = np.stack([(scene.fine[i].astype(float) - c.mean) / c.sd for i, c in enumerate(card.channels[:2])])
    fine = np.where(scene.valid, fine, fill)
    coarse = np.where(np.isfinite(coarse), coarse, fill)
    return torch.from_numpy(fine)[None], torch.from_numpy(coarse)[None]


def plain_gradient(network, fine, coarse, mask, logit=3):
    """Return f and its gradients by autograd on the whole scene: f sums one logit over `mask`."""
    network = copy.deepcopy(network).double().eval()
    fine, coarse = fine.clone().requires_grad_(), coarse.clone().requires_grad_()
    f = network(fine, coarse)[0, logit][torch.from_numpy(mask)].sum()
    return f.item(), *(g[0].numpy() for g in torch.autograd.grad(f, (fine, coarse)))


def close(found, expected, share):
    """Whether the largest difference is below a share of the largest value; NaN in the same places."""
    assert (np.isnan(found) == np.isnan(expected)).all()
    return np.nanmax(np.abs(found - expected)) <= share * np.nanmax(np.abs(expected))


def test_gradient_x_input_equals_autograd_on_the_whole_scene():
    network, scene = TinyFusion(), tiny_scene()
    fine, coarse = standardised(scene)
    f, fine_gradient, coarse_gradient = plain_gradient(network, fine, coarse, scene.valid)
    result, found = explain(runner_of(network), scene, side=19)
    assert result.conservation.target_sum == pytest.approx(f, rel=1e-12)
    assert close(found, np.where(scene.valid, fine_gradient * fine[0].numpy(), np.nan), 1e-12)
    assert close(result.coarse_multipliers, coarse_gradient, 1e-12)
    expected = np.where(np.isfinite(scene.coarse), coarse_gradient * coarse[0].numpy(), np.nan)
    assert close(result.coarse_relevance, expected, 1e-12)
    assert result.pixels == scene.valid.sum()


def test_gradient_is_the_multiplier_without_the_input():
    network, scene = TinyFusion(), tiny_scene()
    _, fine_gradient, coarse_gradient = plain_gradient(network, *standardised(scene), scene.valid)
    result, found = explain(runner_of(network), scene, method="gradient", side=19)
    assert close(found, np.where(scene.valid, fine_gradient, np.nan), 1e-12)
    assert close(result.coarse_relevance, np.where(np.isfinite(scene.coarse), coarse_gradient, np.nan), 1e-12)
    assert not result.conservation.conservative


def test_integrated_gradients_equal_a_dense_quadrature():
    network, scene = TinyFusion(), tiny_scene(25, 22)
    inputs = standardised(scene)
    levels = (0.3, -0.2, 0.1, 0.0, 0.5)
    origin = [
        torch.tensor(levels[:2]).double().view(1, 2, 1, 1),
        torch.tensor(levels[2:]).double().view(1, 3, 1, 1),
    ]
    total = [0.0, 0.0]
    number = 400
    for step in range(number):
        share = (step + 0.5) / number
        point = [o + share * (x - o) for o, x in zip(origin, inputs)]
        _, *gradients = plain_gradient(network, *point, scene.valid)
        total = [t + g / number for t, g in zip(total, gradients)]
    method = Method("integrated_gradients", steps=300, baseline=levels, refine=False)
    result, found = explain(runner_of(network), scene, method=method, side=1000)
    expected = np.where(scene.valid, total[0] * (inputs[0] - origin[0])[0].numpy(), np.nan)
    # Gates switch along the way: two quadratures agree like 1/steps at a pixel, better in the sum.
    assert close(found, expected, 1e-2)
    assert close(result.coarse_multipliers, total[1], 1e-2)
    assert result.conservation.relative_residual < 1e-3


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_tiled_relevance_equals_whole_scene(method, bilinear):
    # A pixel between the centres of cells depends on the cell beside its own.
    radius = RADIUS if not bilinear else max(RADIUS, 2 * RATIO)
    network, scene = TinyFusion(bilinear=bilinear), tiny_scene(41, 50)
    for precision, share in (("float64", 1e-10), ("float32", 1e-5)):
        runner = runner_of(network, precision, radius=radius)
        whole, expected = explain(runner, scene, method=method)
        for side in (12, 20) if precision == "float64" else (20,):
            tiled, found = explain(runner, scene, method=method, side=side)
            assert close(found, expected, share)
            assert close(tiled.coarse_relevance, whole.coarse_relevance, share)
            for name in ("target_sum", "bias", "epsilon", "zero_denominator", "absolute"):
                assert abs(getattr(tiled.conservation, name) - getattr(whole.conservation, name)) <= (
                    share * whole.conservation.scale
                )


@pytest.mark.parametrize("method", CONSERVATIVE)
@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_relevance_and_leaks_add_up_to_the_target(method, fill):
    scene = tiny_scene()
    # What does not multiply by the input gives fills of zero their part too.
    always = METHOD[method].first_rule != "same"
    if method == "integrated_gradients":
        method = Method(method, steps=64, refine=False)
    result, found = explain(runner_of(TinyFusion(), fill=fill), scene, method=method, side=1000)
    conservation = result.conservation
    assert conservation.relative_residual <= (5e-3 if "integrated" in result.method.name else 1e-12)
    assert conservation.balanced
    assert (conservation.masked_input != 0) == (fill != 0 or always)
    for index, name in enumerate(("hh", "hv")):
        assert conservation.relevance[name] == pytest.approx(np.nansum(found[index]), rel=1e-10)
    for index, name in enumerate(("btemp_6_9h", "btemp_6_9v", "t2m")):
        assert conservation.relevance[name] == pytest.approx(
            np.nansum(result.coarse_relevance[index]), rel=1e-10
        )


def test_bias_share_of_gradient_x_input_is_what_scaling_all_biases_changes():
    network, scene = TinyFusion(), tiny_scene(25, 22)
    scaled = copy.deepcopy(network).double().eval()
    fine, coarse = standardised(scene)
    mask = torch.from_numpy(scene.valid)
    share = torch.ones((), dtype=torch.float64, requires_grad=True)
    # The gates are those of the unscaled network; near 1 they do not change, so the derivative is exact.
    parameters = dict(scaled.named_parameters())
    for name in list(parameters):
        if name.endswith("bias") and "norm" not in name:
            parameters[name] = parameters[name].detach() * share
    for name in ("norm1", "norm2"):
        layer = getattr(scaled, name)
        gain = 1 / (layer.running_var + layer.eps).sqrt()
        gain = gain if layer.weight is None else gain * layer.weight.detach()
        shift = -layer.running_mean * gain + (0 if layer.bias is None else layer.bias.detach())
        normalise = torch.nn.Identity()
        normalise.forward = lambda x, g=gain, b=shift: x * g[:, None, None] + share * b[:, None, None]
        setattr(scaled, name, normalise)
    kept = {name: value for name, value in parameters.items() if "norm" not in name}
    logits = torch.func.functional_call(scaled, kept, (fine, coarse))
    (expected,) = torch.autograd.grad(logits[0, 3][mask].sum(), share)
    result, _ = explain(runner_of(network), scene)
    assert result.conservation.bias == pytest.approx(expected.item(), rel=1e-10)
    assert set(result.conservation.layers["bias"]) == {
        "conv1", "norm1", "conv2", "conv3", "norm2", "scale2", "scale4", "output",
    }  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_relevance_is_conserved_in_every_precision(precision):
    conservation = explain(runner_of(TinyFusion(), precision), tiny_scene(), side=20)[0].conservation
    assert conservation.balanced
    assert conservation.relative_residual <= (1e-4 if precision == "float32" else 3e-2)


def test_bfloat16_relevance_resembles_that_of_float32():
    scene = tiny_scene()
    maps = [explain(runner_of(TinyFusion(), p), scene)[1] for p in ("float32", "bfloat16")]
    for exact, rough in zip(*maps):
        assert np.corrcoef(exact[scene.valid], rough[scene.valid])[0, 1] > 0.99


EXACT = ["gradient_x_input", "integrated_gradients", "deeplift", "lrp_0", "lrp_epsilon", "occlusion"]


@pytest.mark.parametrize("method", EXACT)
def test_exact_methods_equal_weight_times_input_on_a_linear_network(method):
    network, scene = LinearFusion(), tiny_scene(25, 30)
    fine, coarse = standardised(scene)
    _, fine_weight, coarse_weight = plain_gradient(network, fine, coarse, scene.valid)
    method = Method(method, epsilon=1e-13, patch=1)
    result, found = explain(runner_of(network, radius=9), scene, method=method, side=19)
    assert close(found, np.where(scene.valid, fine_weight * fine[0].numpy(), np.nan), 1e-8)
    expected = np.where(np.isfinite(scene.coarse), coarse_weight * coarse[0].numpy(), np.nan)
    assert close(result.coarse_relevance, expected, 1e-8)


def test_lrp_epsilon_tends_to_gradient_x_input():
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    _, expected = explain(runner, scene)
    _, zero = explain(runner, scene, method="lrp_0")
    distances = []
    for epsilon in (1e-4, 1e-7, 1e-10):
        _, found = explain(runner, scene, method=Method("lrp_epsilon", epsilon=epsilon))
        distances.append(np.nanmax(np.abs(found - expected)) / np.nanmax(np.abs(expected)))
    assert close(zero, expected, 1e-12)
    assert distances[0] > distances[1] > distances[2]
    assert distances[2] < 1e-5


def test_maps_of_two_regions_add_up_to_the_map_of_both():
    runner, scene = runner_of(TinyFusion()), tiny_scene()

    def left(window):
        return np.broadcast_to(np.arange(window.col, window.col_stop) < 31, (window.rows, window.cols))

    parts = [
        explain(runner, scene, Target("type", region=region), side=19)
        for region in (left, lambda window: ~left(window))
    ]
    whole, expected = explain(runner, scene, Target("type"), side=19)
    assert close(parts[0][1] + parts[1][1], expected, 1e-12)
    assert close(
        parts[0][0].coarse_multipliers + parts[1][0].coarse_multipliers, whole.coarse_multipliers, 1e-12
    )
    assert parts[0][0].pixels + parts[1][0].pixels == whole.pixels


def test_contrast_of_two_classes_is_the_difference_of_their_maps():
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    old = explain(runner, scene, Target("type", "old ice"))[1]
    water = explain(runner, scene, Target("type", "water"))[1]
    contrast = explain(runner, scene, Target("type", "old ice", "water"))[1]
    assert close(contrast, old - water, 1e-10)


@pytest.mark.parametrize("method", ["lrp_composite", "deeplift"])
def test_where_the_predicted_class_is_the_reference_nothing_is_explained(method):
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    logits = runner.logits(Inputs(*standardised(scene)))[0, 1:].numpy()
    place = tuple(np.argwhere((logits.argmax(0) == 0) & scene.valid)[0])

    def there(window):
        mask = np.zeros((scene.rows, scene.cols), bool)
        mask[place] = True
        return mask[window.slices()]

    result, found = explain(runner, scene, Target("type", "predicted", "water", there), method)
    assert result.pixels == 1
    assert result.conservation.target_sum == 0
    assert not np.nan_to_num(found).any()


def test_predicted_class_is_the_sum_over_classes_where_each_is_predicted():
    network, scene = TinyFusion(), tiny_scene()
    runner = runner_of(network)
    with torch.no_grad():
        logits = copy.deepcopy(network).double().eval()(*standardised(scene))[0, 1:]
    predicted = logits.argmax(0).numpy()
    total = 0
    for index, name in enumerate(("water", "young ice", "old ice")):
        if (predicted[scene.valid] == index).any():
            target = Target("type", name, region=lambda w, i=index: (predicted == i)[w.slices()])
            total = total + explain(runner, scene, target, side=19)[1]
    assert close(explain(runner, scene, Target("type"), side=19)[1], total, 1e-10)


@pytest.mark.parametrize("method", ["gradient_x_input", "lrp_epsilon"])
def test_part_of_a_scene_sees_the_scene_around_it(method):
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    part = Window(8, 12, 32, 40)

    def inside(window):
        mask = np.zeros((scene.rows, scene.cols), bool)
        mask[part.slices()] = True
        return mask[window.slices()]

    whole, expected = explain(runner, scene, Target("type", "old ice", region=inside), method=method)
    result, found = explain(runner, scene, TYPE, method=method, region=part, side=17)
    assert found.shape == (2, part.rows, part.cols)
    assert close(found, expected[(slice(None), *part.slices())], 1e-12)
    assert close(result.coarse_multipliers, whole.coarse_multipliers, 1e-12)
    beyond = expected.copy()
    beyond[(slice(None), *part.slices())] = 0
    assert result.conservation.outside_region == pytest.approx(np.nansum(beyond), rel=1e-10)
    assert result.conservation.outside_region != 0
    assert result.conservation.relative_residual < 1e-12
    assert result.conservation.target_sum == pytest.approx(whole.conservation.target_sum, rel=1e-12)


def test_steps_of_integrated_gradients_are_refined_alike_for_all_tilings():
    runner, scene, listener = runner_of(TinyFusion()), tiny_scene(), Listener()
    method = Method("integrated_gradients", steps=2, tolerance=5e-3)
    results = [explain(runner, scene, method=method, side=side, progress=listener) for side in (25, 1000)]
    steps = {result.method.steps for result, _ in results}
    assert len(steps) == 1
    assert steps.pop() > 2
    assert close(results[0][1], results[1][1], 1e-10)
    assert results[0][0].conservation.relative_residual <= 5e-3
    assert "steps" in listener.messages[0]


def test_settings_are_judged_by_the_method_that_reads_them():
    assert Method("integrated_gradients", steps=4096).steps == 4096  # as many as STEPS takes
    assert Method("gradient_x_input", epsilon=0.0).name == "gradient_x_input"
    with pytest.raises(ParameterError, match="For none choose METHOD=gradient_x_input"):
        Method("lrp_epsilon", epsilon=0.0)
    with pytest.raises(ParameterError, match="at least 1 step"):
        Method("integrated_gradients", steps=0)


def test_steps_are_tried_out_where_the_target_is():
    runner, scene, listener = runner_of(TinyFusion()), tiny_scene(), Listener()

    def point(window):
        mask = np.zeros((scene.rows, scene.cols), bool)
        mask[55, 20] = True
        return mask[window.slices()]

    method = Method("integrated_gradients", steps=1, tolerance=1e-3)
    result, _ = explain(runner, scene, Target("type", region=point), method, side=15, progress=listener)
    assert result.pixels == 1
    assert result.method.steps > 1
    assert "in 1 small window tried" in listener.messages[0]


def test_relevance_that_is_not_conserved_is_a_warning():
    listener = Listener()
    method = Method("integrated_gradients", steps=1, refine=False, tolerance=1e-6)
    result, _ = explain(runner_of(TinyFusion()), tiny_scene(), method=method, progress=listener)
    assert not result.conservation.balanced
    assert "does not add up" in listener.warnings[0]


@pytest.mark.parametrize("method", ["gradient_x_input", "lrp_epsilon", "lrp_composite"])
def test_the_layer_that_loses_relevance_is_named_where_it_is_not_conserved(method, monkeypatch):
    network, scene, listener = TinyFusion(), tiny_scene(), Listener()

    def lossy(layer, values):
        return values, lambda multipliers, _record: (0.9 * multipliers,)

    monkeypatch.setitem(OF_LAYERS, torch.nn.Dropout, LayerKind((torch.nn.Dropout,), Linear(lossy)))
    result, _ = explain(runner_of(network), scene, method=method, side=20, progress=listener)
    assert not result.conservation.balanced
    assert result.conservation.leaking[0] == "drop1"
    assert result.conservation.leaking[1] > 0.999
    (warning,) = listener.warnings
    assert "The largest leak: in layer 'drop1', 100 % of what all layers lose" in warning


def test_largest_leak_is_named_with_its_layer():
    result, _ = explain(runner_of(TinyFusion()), tiny_scene(), method=Method("lrp_epsilon", epsilon=0.1))
    kind, layer, amount = result.conservation.largest_leak()
    assert kind == "epsilon"
    assert amount == max(result.conservation.layers["epsilon"].values(), key=abs)
    assert layer in result.conservation.layers["epsilon"]
    assert result.conservation.epsilon == pytest.approx(sum(result.conservation.layers["epsilon"].values()))


def test_network_is_left_as_it_was_found():
    network, scene = TinyFusion().train(), tiny_scene(20, 25)
    network.conv1.weight.grad = torch.full_like(network.conv1.weight, 3.0)
    network.conv2.bias.requires_grad_(False)
    before = copy.deepcopy(network)
    for method in METHODS:
        for precision in ("float32", "bfloat16", "float64"):
            explain(runner_of(network, precision), scene, method=method, side=100)
    assert network.training
    assert all(layer.training for layer in network.modules())
    for name, value in before.state_dict().items():
        assert torch.equal(network.state_dict()[name], value)
        assert network.state_dict()[name].dtype == value.dtype
    for old, new in zip(before.modules(), network.modules()):
        assert vars(old).keys() == vars(new).keys()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            assert not getattr(new, kind)
    for old, new in zip(before.parameters(), network.parameters()):
        assert old.requires_grad == new.requires_grad
    assert torch.equal(network.conv1.weight.grad, torch.full_like(network.conv1.weight, 3.0))
    assert all(p.grad is None for name, p in network.named_parameters() if name != "conv1.weight")


def test_unknown_layers_are_named():
    network = TinyFusion()
    network.relu4 = torch.nn.Softsign()
    with pytest.raises(ModelError, match=r"'relu4' of the kind Softsign"):
        explain(runner_of(network), tiny_scene())


class Overwriting(TinyFusion):
    """Adds to a value in place that it reads again: the drawn graph shows a sum, and two values."""

    def components(self, fine, coarse):
        values = super().components(fine, coarse)
        kept = values
        values += torch.relu(values)
        return values + kept


class OverwritingLayer(TinyFusion):
    """Has an activation in place, of a value that it reads again."""

    def components(self, fine, coarse):
        values = super().components(fine, coarse)
        rectified = self.again(values)
        return values + rectified

    def __init__(self):
        super().__init__()
        self.again = torch.nn.ReLU(inplace=True)


@pytest.mark.parametrize("kind", [Overwriting, OverwritingLayer])
@pytest.mark.parametrize("method", ["lrp_epsilon", "lrp_composite", "deeplift"])
def test_a_network_that_is_not_what_its_graph_shows_is_refused(kind, method):
    with pytest.raises(ModelError, match="gives other logits"):
        explain(runner_of(kind()), tiny_scene(), method=method)


def test_cancel_stops_before_the_next_tile_and_between_steps():
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    sink, listener = ListSink(), Listener(stop_after=2)
    plan = Plan(scene.window, scene.window, RADIUS, RATIO, 15, 15)
    with pytest.raises(Cancelled):
        run_relevance(runner, scene, plan, TYPE, Method(), sink, listener)
    assert len(listener.fractions) == 2 < plan.count
    slow = Method("integrated_gradients", steps=500, refine=False)
    with pytest.raises(Cancelled):
        run_relevance(runner, scene, plan, TYPE, slow, sink, CancelsAtCall(5))


class CancelsAtCall(Listener):
    def __init__(self, number):
        super().__init__()
        self.calls, self.number = 0, number

    def cancelled(self):
        self.calls += 1
        assert self.calls <= self.number, "the computation went on"
        return self.calls == self.number


def test_a_region_without_valid_pixels_is_a_sentence():
    runner, scene = runner_of(TinyFusion()), tiny_scene()
    nowhere = Target("type", region=lambda window: np.zeros((window.rows, window.cols), bool))
    with pytest.raises(ParameterError, match="No valid pixel"):
        explain(runner, scene, nowhere)
    with pytest.raises(ParameterError, match="No valid pixel"):
        explain(runner, scene, nowhere, method=Method("integrated_gradients"))
    scene.valid[:] = False
    with pytest.raises(SceneError, match="no valid pixel"):
        explain(runner, scene)


def test_a_failing_sink_is_heard():
    class Full:
        def write(self, values):
            raise OSError("no room")

    runner, scene = runner_of(TinyFusion()), tiny_scene()
    plan = Plan(scene.window, scene.window, RADIUS, RATIO, 15, 15)
    with pytest.raises(OSError, match="no room"):
        run_relevance(runner, scene, plan, TYPE, Method(), Full(), Silent())


@pytest.mark.parametrize("method", ["gradient_x_input", "integrated_gradients", "deeplift", "lrp_composite"])
def test_tiles_shrink_with_the_memory(method):
    runner, scene = runner_of(TinyFusion(), "float32"), tiny_scene()
    sides = [
        plan_relevance(runner, scene, scene.window, METHOD[method], memory).tile_rows
        for memory in (4, 16, 4096)
    ]
    assert sides[0] < sides[1] < sides[2] == LARGEST_SIDE
    with pytest.raises(ParameterError, match="MEMORY=1 MiB is too little"):
        plan_relevance(runner, scene, scene.window, METHOD[method], 1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_planned(method):
    runner, scene = runner_of(TinyFusion(), "float32"), tiny_scene()
    assert plan_relevance(runner, scene, scene.window, METHOD[method], 64).tile_rows > 32
