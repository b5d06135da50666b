"""A small network with every layer kind of the fusion network, and scenes in memory, for the tests."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from floelens.plugin.ground.protocols import Patch, Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.networks.card import Head, HeadClass, ModelCard
from floelens.plugin.networks.layers import BilinearUpsample, NearestUpsample, SamePool2d
from torch import nn

RATIO = 4
RADIUS = 7


class TinyFusion(nn.Module):
    """Two fine and three coarse channels, four logits; receptive-field radius 7."""

    def __init__(self, seed: int = 0, bilinear: bool = False) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.conv1 = nn.Conv2d(2, 5, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.norm1 = nn.BatchNorm2d(5, eps=1e-3)
        self.drop1 = nn.Dropout(0.25)
        self.conv2 = nn.Conv2d(5, 6, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.relu3 = nn.LeakyReLU(0.1)
        self.norm2 = nn.BatchNorm2d(6, eps=1e-3, affine=False)
        self.pool2 = SamePool2d(2)
        self.scale2 = nn.Conv2d(6, 3, 3, padding=1)
        self.pool4 = SamePool2d(4)
        self.scale4 = nn.Conv2d(6, 4, 3, padding=2, dilation=2)
        self.relu4 = nn.ReLU()
        self.upsample = BilinearUpsample(RATIO) if bilinear else NearestUpsample(RATIO)
        self.output = nn.Conv2d(5 + 3 + 4 + 3, 4, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.4)
            for norm in (self.norm1, self.norm2):
                norm.running_mean.copy_(torch.randn(norm.running_mean.shape, generator=draw) * 0.5)
                norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=draw) + 0.3)

    def components(self, fine, coarse):
        skip = self.relu1(self.conv1(fine))
        trunk = self.relu2(self.conv2(self.drop1(self.norm1(skip))))
        trunk = self.norm2(self.relu3(self.conv3(trunk)) + trunk)
        parts = [
            skip,
            self.scale2(self.pool2(trunk)),
            self.relu4(self.scale4(self.pool4(trunk))),
            self.upsample(coarse, fine),
        ]
        return torch.cat(parts, 1)

    def forward(self, fine, coarse):
        return self.output(self.components(fine, coarse))


class LinearFusion(nn.Module):
    """A linear network without biases, except that of the output where asked for."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.pool = SamePool2d(4)
        self.scale = nn.Conv2d(4, 3, 3, padding=2, dilation=2, bias=False)
        self.upsample = NearestUpsample(RATIO)
        self.output = nn.Conv2d(4 + 3 + 3, 4, 1, bias=False)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw))

    def forward(self, fine, coarse):
        skip = self.conv(fine)
        return self.output(torch.cat([skip, self.scale(self.pool(skip)), self.upsample(coarse, fine)], 1))


class TinyCard(SimpleNamespace):
    """What the core reads of a card, without a card's checks; tests may change it."""

    fine_channels = ModelCard.fine_channels
    coarse_channels = ModelCard.coarse_channels
    ratio = ModelCard.ratio
    outputs = ModelCard.outputs
    head = ModelCard.head
    head_slice = ModelCard.head_slice


def tiny_card(radius: int = RADIUS, fill: float = 0.0):
    """Return what a Runner reads of a card, for the networks above."""
    fine = [
        SimpleNamespace(name=name, sensor="sar", grid="fine", ratio=None, mean=mean, sd=sd, fill=fill)
        for name, mean, sd in (("hh", -14.5, 5.5), ("hv", -24.5, 4.5))
    ]
    coarse = [
        SimpleNamespace(name=name, sensor="mwr", grid="coarse", ratio=RATIO, mean=mean, sd=sd, fill=fill)
        for name, mean, sd in (("btemp_6_9h", 150.0, 60.0), ("btemp_6_9v", 200.0, 40.0), ("t2m", 270.0, 9.0))
    ]
    ice = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000"),))
    names = "water", "young ice", "old ice"
    types = Head("type", "softmax", tuple(HeadClass(name, at, "#0000ff") for at, name in enumerate(names)))
    return TinyCard(
        id="tiny",
        channels=(*fine, *coarse),
        heads=(ice, types),
        receptive_field_radius=radius,
        alignment=RATIO,
    )


class ArraySource:
    """A scene in memory: physical units, NaN where nothing was measured."""

    def __init__(self, fine, coarse, valid, ratio: int = RATIO) -> None:
        self.fine, self.coarse, self.valid, self.ratio = fine, coarse, valid, ratio
        self.rows, self.cols = valid.shape
        self.window = Window(0, 0, self.rows, self.cols)

    def read(self, window: Window) -> Patch:
        assert window == window.snapped(self.ratio, within=self.window), "a source is read by whole cells"
        cells = window.coarser(self.ratio)
        here = (slice(None), *window.slices())
        return Patch(
            window,
            self.fine[here].copy(),
            self.coarse[(slice(None), *cells.slices())].copy(),
            self.valid[window.slices()].copy(),
        )


def tiny_scene(rows: int = 61, cols: int = 74, seed: int = 1, gaps: bool = True) -> ArraySource:
    """Return a scene whose size is no multiple of the ratio, with missing pixels, cells, and land."""
    draw = np.random.default_rng(seed)
    cells = Window(0, 0, rows, cols).coarser(RATIO)
    fine = np.array([-14.5, -24.5])[:, None, None] + draw.normal(0, 5, (2, rows, cols))
    coarse = np.array([150.0, 200.0, 270.0])[:, None, None] + draw.normal(0, 30, (3, cells.rows, cells.cols))
    fine, coarse = fine.astype(np.float32), coarse.astype(np.float32)
    valid = np.ones((rows, cols), bool)
    if gaps:
        fine[1, 10:19, 5:16] = np.nan  # nothing measured
        valid[10:19, 5:16] = False
        valid[30:, 50:60] = False  # land: finite, but not to be used
        coarse[2, 3, 4] = np.nan
        valid[12:16, 16:20] = False
        fine[:, :, -3:] = np.nan  # the edge of the swath
        valid[:, -3:] = False
    return ArraySource(fine, coarse, valid)


class ListSink:
    """Keeps the strips it is given."""

    def __init__(self) -> None:
        self.strips = []

    def write(self, values) -> None:
        self.strips.append(values.copy())

    @property
    def values(self):
        return np.concatenate(self.strips, axis=1)


class Listener(Silent):
    """Keeps what is reported; asks to stop after a number of reports."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.fractions, self.messages, self.warnings = [], [], []
        self.stop_after = stop_after

    def report(self, fraction, text=""):
        self.fractions.append(fraction)

    def message(self, text):
        self.messages.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def cancelled(self):
        return self.stop_after is not None and len(self.fractions) >= self.stop_after
