"""A device whose memory does not suffice: smaller tiles, then the CPU, and the same result."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from floelens.plugin.core.ablation.run import Ablator, run_ablation
from floelens.plugin.core.contributions.run import Splitting, run_contributions
from floelens.plugin.core.contributions.splitters import GATED, INTEGRATED
from floelens.plugin.core.contributions.steps import settled
from floelens.plugin.core.faithfulness.blocks import BlockGrid, BlockRelevance
from floelens.plugin.core.faithfulness.curves import Control
from floelens.plugin.core.faithfulness.run import run_faithfulness
from floelens.plugin.core.layers.kinds import OF_LAYERS
from floelens.plugin.core.layers.layer_kind import LayerKind, Linear
from floelens.plugin.core.relevance import run as core_relevance
from floelens.plugin.core.relevance.methods import Method
from floelens.plugin.core.relevance.run import run_relevance
from floelens.plugin.core.relevance.uncertainty import DROPOUT, ENSEMBLE, NOISE, Uncertainty
from floelens.plugin.core.streaming import out_of_memory as out_of_memory
from floelens.plugin.core.streaming import runner as core_network
from floelens.plugin.core.streaming import runner as network
from floelens.plugin.core.streaming.engine import plan_predictions, stream_components, stream_predictions
from floelens.plugin.core.streaming.runner import Runner, is_out_of_memory
from floelens.plugin.core.streaming.tiling import Plan
from floelens.plugin.core.target.channel_groups import channel_groups
from floelens.plugin.core.target.target import Target
from floelens.plugin.ground.errors import ParameterError
from floelens.tests.plugin.core.contributions.test_run import full_card
from floelens.tests.plugin.core.tiny_networks import RADIUS, RATIO, Listener, ListSink, TinyFusion, tiny_scene
from torch.utils._python_dispatch import TorchDispatchMode

SCENE = tiny_scene(45, 52)
PLAN = Plan(SCENE.window, SCENE.window, RADIUS, RATIO, 1000, 1000)
TARGET = Target("type", "predicted", "water")
SMALLEST = 8
# Windows of this many pixels fit: tiles of 13 pixels with their margin do, those of 26 do not.
SOME, NEXT_TO_NONE = 1150, 100


class SmallDevice(TorchDispatchMode):
    """Refuses every fifth convolution over more than `pixels`, in the middle of the work, until left."""

    def __init__(self, pixels):
        super().__init__()
        self.pixels, self.large, self.refused, self.left = pixels, 0, 0, False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if "conv" in operation.name() and not self.left:
            self.large += args[0].shape[-1] * args[0].shape[-2] > self.pixels
            if self.large == 5:
                self.large, self.refused = 0, self.refused + 1
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.14 GiB")
        return operation(*args, **(kwargs or {}))


class DeviceRunner(Runner):
    """A network on a device that can be left for the CPU."""

    def __init__(self, seed=0):
        super().__init__(full_card(), TinyFusion(seed), "cpu", "float64")
        self.device_of_test = None

    def on_cpu(self):
        if self.device_of_test is not None:
            self.device_of_test.left = True
        return super().on_cpu()


def predictions(runner, progress):
    strips = list(stream_predictions(runner, SCENE, PLAN, progress))
    return [np.concatenate([strip.logits for strip in strips], 1)]


def components(runner, progress):
    found = list(stream_components(runner, SCENE, PLAN, progress))
    rows, cols = (np.concatenate([getattr(s, axis) for s in found]) for axis in ("rows", "cols"))
    order = np.argsort(rows * SCENE.cols + cols)
    assert len(order) == SCENE.valid.sum()
    return [np.concatenate([s.components for s in found])[order], rows[order], cols[order]]


def relevance(method, uncertainty=None):
    def run(runner, progress):
        sink = ListSink()
        made = uncertainty() if uncertainty else None
        result = run_relevance(runner, SCENE, PLAN, TARGET, method, sink, progress, made)
        books = result.conservation.as_dict()
        layers = [value for layers in books["layers"].values() for value in layers.values()]
        books = [
            books[name] for name in ("target_sum", "bias", "epsilon", "zero_denominator", "masked_input")
        ]
        return [sink.values, result.coarse_relevance, np.array([*books, result.pixels, *layers])]

    return run


def contributions(splitting, pilots=False):
    def run(runner, progress):
        sink, seeding = ListSink(), TARGET.resolve(runner.card)
        how = settled(runner, SCENE, PLAN, seeding, splitting, progress) if pilots else splitting
        shares = run_contributions(runner, SCENE, PLAN, seeding, how, sink, progress)
        return [
            sink.values,
            np.array([*shares.mean, *shares.mean_abs, shares.bias, shares.logit, shares.pixels]),
        ]

    return run


def ablation(runner, progress):
    sink, seeding = ListSink(), TARGET.resolve(runner.card)
    ablator = Ablator(runner, seeding, channel_groups(runner.card, "sensor"))
    result = run_ablation(runner, SCENE, PLAN, ablator, sink, progress)
    sums = [[e.mean_change, e.rmse_map, e.class_changed, e.shapley, result.pixels] for e in result.effects]
    return [sink.values, np.array(sums)]


def faithfulness(runner, progress):
    seeding = TARGET.resolve(runner.card)
    blocks = BlockRelevance(BlockGrid(SCENE.window, 12, RATIO), seeding, RADIUS, 2)
    blocks.write(np.random.default_rng(0).normal(size=(2, SCENE.rows, SCENE.cols)))
    blocks.add_cells(np.zeros_like(SCENE.coarse))
    found = run_faithfulness(runner, SCENE, PLAN, seeding, blocks, progress, Control(orders=2))
    return [np.array([[*m.deletion, *m.insertion] for m in found.measures]), np.array([found.pixels])]


WORK = {
    "predictions": predictions,
    "components": components,
    "gradient_x_input": relevance(Method()),
    "integrated_gradients": relevance(Method("integrated_gradients", steps=2, refine=False)),
    "integrated_gradients by pilots": relevance(Method("integrated_gradients", steps=2, tolerance=0.2)),
    "deeplift": relevance(Method("deeplift")),
    "lrp_epsilon": relevance(Method("lrp_epsilon", epsilon=0.05)),
    "lrp_alpha_beta": relevance(Method("lrp_alpha_beta")),
    "occlusion": relevance(Method("occlusion", patch=8)),
    "noise": relevance(Method(), lambda: Uncertainty(NOISE, samples=3)),
    "dropout": relevance(Method(), lambda: Uncertainty(DROPOUT, samples=3)),
    "ensemble": relevance(Method(), lambda: Uncertainty(ENSEMBLE, members=(DeviceRunner(1),))),
    "gated": contributions(Splitting(GATED)),
    "integrated": contributions(Splitting(INTEGRATED, steps=2)),
    "integrated by pilots": contributions(Splitting(INTEGRATED, steps=2, settled=0.2), pilots=True),
    "ablation": ablation,
    "faithfulness": faithfulness,
}


@contextmanager
def device_of(runner, pixels):
    with SmallDevice(pixels) as device:
        runner.device_of_test = device
        yield device


@pytest.fixture(autouse=True)
def smallest_tiles(monkeypatch):
    monkeypatch.setattr(out_of_memory, "SMALLEST_SIDE", SMALLEST)
    emptied = SimpleNamespace(times=0)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: setattr(emptied, "times", emptied.times + 1))
    return emptied


# Pilots are not cut, so that they tell the same: where they do not fit, they are left to the CPU.
@pytest.mark.parametrize(
    ("work", "pixels"),
    [
        (work, pixels)
        for work in WORK
        for pixels in (SOME, NEXT_TO_NONE)
        if pixels < SOME or "pilots" not in work
    ],
)
def test_results_are_those_of_enough_memory(work, pixels, smallest_tiles):
    expected = WORK[work](DeviceRunner(), Listener())
    runner, listener = DeviceRunner(), Listener()
    with device_of(runner, pixels) as device:
        found = WORK[work](runner, listener)
    assert device.refused
    assert smallest_tiles.times == device.refused
    assert device.left == (pixels == NEXT_TO_NONE)
    told = [text for text in (*listener.messages, *listener.warnings) if "does not suffice" in text]
    assert len(told) == device.refused
    assert len(listener.warnings) == device.left
    if device.left:
        assert "going on on the CPU" in listener.warnings[0]
    else:
        side = 24 if work == "integrated_gradients" else 13  # 24: of the window that is timed
        assert f"smaller tiles of {side} pixels" in told[-1]
    for one, other in zip(found, expected):
        scale = np.nanmax(np.abs(other))
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-10 * scale)


def test_a_cpu_without_bfloat16_says_that_the_rest_is_in_float32(smallest_tiles, monkeypatch):
    monkeypatch.setattr(network, "computes_bfloat16", lambda: False)
    runner, listener = DeviceRunner(), Listener()
    runner.precision = "bfloat16"  # of the device
    with device_of(runner, NEXT_TO_NONE):
        predictions(runner, listener)
    assert "going on on the CPU (in float32)" in listener.warnings[0]


def test_later_tiles_are_cut_at_once():
    runner, listener = DeviceRunner(), Listener()
    plan = Plan(SCENE.window, SCENE.window, RADIUS, RATIO, 26, 26)
    with device_of(runner, 1000) as device:
        list(stream_predictions(runner, SCENE, plan, listener))
    assert plan.count == 4
    assert device.refused == 1
    assert len(listener.fractions) == 1 + plan.count  # the estimate comes first


def test_a_run_is_not_lost_where_only_the_look_for_a_leak_does_not_fit(monkeypatch):
    def lossy(layer, values):
        return values, lambda multipliers, _record: (0.9 * multipliers,)

    monkeypatch.setitem(OF_LAYERS, torch.nn.Dropout, LayerKind((torch.nn.Dropout,), Linear(lossy)))
    runner, listener = DeviceRunner(), Listener()
    with device_of(runner, 10**9) as device:
        balance = core_relevance._balance

        def balanced(*args):
            device.pixels = 0  # from here on nothing fits
            return balance(*args)

        monkeypatch.setattr(core_relevance, "_balance", balanced)
        result = run_relevance(runner, SCENE, PLAN, TARGET, Method("lrp_composite"), None, listener)
    assert device.refused == 1
    assert result.conservation.leaking[0] == "drop1"


def test_a_failure_on_the_cpu_too_is_raised():
    runner = DeviceRunner()
    with SmallDevice(NEXT_TO_NONE), pytest.raises(torch.cuda.OutOfMemoryError):
        list(stream_predictions(runner, SCENE, PLAN, Listener()))


def test_a_device_without_room_for_a_probe_is_a_sentence():
    runner = DeviceRunner()
    with SmallDevice(0), pytest.raises(ParameterError, match=r"device is full.*DEVICE=cpu"):
        plan_predictions(runner, SCENE, SCENE.window, 1024)


def test_a_device_without_room_for_the_network_is_a_sentence(monkeypatch):
    def full(module, dtype):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB")

    monkeypatch.setattr(core_network, "fast_paths", full)
    with pytest.raises(ParameterError, match=r"device is full.*DEVICE=cpu"):
        Runner(full_card(), TinyFusion(0), "cpu")


def test_other_errors_come_through_at_once():
    runner, listener = DeviceRunner(), Listener()

    def broken(inputs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    runner.logits = broken
    with pytest.raises(RuntimeError, match="shapes cannot"):
        list(stream_predictions(runner, SCENE, PLAN, listener))
    assert not listener.messages


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("CUDA out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize(("device", "allowed"), [("cuda", False), ("cpu", True)])
def test_on_a_graphics_card_convolutions_are_not_rounded_to_tf32(device, allowed, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    tile = next(PLAN.strips())[0]
    runner = SimpleNamespace(device=torch.device(device))
    ready = out_of_memory.OutOfMemoryFallback(runner, PLAN, Listener(), lambda runner: runner)
    # Several threads may be at it on a CPU: they must not set what belongs to the whole process.
    found = list(ready.pieces(tile, lambda _runner, _piece: torch.backends.cudnn.allow_tf32))
    assert found == [(tile, allowed)]
    assert torch.backends.cudnn.allow_tf32
