"""U-Nets of the published families as their formulas say, in plain torch, with the names that their files have."""

from __future__ import annotations

import torch
from floelens.tests.plugin.networks.networks import randomise
from torch import nn
from torch.nn import functional


class Twice(nn.Module):
    """Two convolutions, each with what follows it."""

    def __init__(self, inputs: int, outputs: int, padding: str, bias: bool, norm: bool, drop: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers.append(nn.Conv2d(channels, outputs, 3, padding=1, padding_mode=padding, bias=bias))
            layers += [nn.BatchNorm2d(outputs)] if norm else []
            layers += [nn.ReLU()]
            layers += [nn.Dropout2d(drop)] if drop else []
        self.double_conv = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.double_conv(x)


def fitted(x: torch.Tensor, like: torch.Tensor, padding: str) -> torch.Tensor:
    """Pad at the lower and right border to the size of another array."""
    sides = [0, like.shape[3] - x.shape[3], 0, like.shape[2] - x.shape[2]]
    return functional.pad(x, sides, mode="constant" if padding == "zeros" else padding) if any(sides) else x


class Down(nn.Module):
    """A max-pool and two convolutions."""

    def __init__(self, *settings) -> None:
        super().__init__()
        self.double_conv = Twice(*settings)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.double_conv(functional.max_pool2d(x, 2))


class Up(nn.Module):
    """Upsampling, concatenation, two convolutions; ``aligned``: bilinear from corner to corner."""

    aligned = True

    def __init__(
        self, below: int, skip: int, outputs: int, transposed: bool, first: str, padding: str, *rest
    ) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(below, below // 2, 2, 2) if transposed else None
        self.first, self.padding = first, padding
        self.double_conv = Twice((below // 2 if transposed else below) + skip, outputs, padding, *rest)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        if self.up is not None:
            x = self.up(x)
        else:
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=self.aligned)
        x = fitted(x, skip, self.padding)
        return self.double_conv(torch.cat([x, skip] if self.first == "upsampled_first" else [skip, x], 1))


class Head(nn.Module):
    """A 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.feature_out = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.feature_out(x)


class StarterKit(nn.Module):
    """A U-Net with the names of the AutoICE starter kit; ``linear``: with MMSeaIce's regression of concentration."""

    def __init__(
        self, channels=24, filters=(4, 6, 8, 8), heads=(12, 7, 8), padding="zeros", linear=False, apart=False
    ) -> None:
        super().__init__()
        rest = (padding, False, True, 0.0)
        self.input_block = Twice(channels, filters[0], *rest)
        self.contract_blocks = nn.ModuleList(Down(a, b, *rest) for a, b in zip(filters, filters[1:]))
        self.bridge = Down(filters[-1], filters[-1], *rest)
        ways = [(filters[-1], filters[-1]), *zip(filters[:0:-1], filters[-2::-1])]

        def way_up() -> nn.ModuleList:
            return nn.ModuleList(Up(a, b, b, False, "upsampled_first", *rest) for a, b in ways)

        self.expand_blocks = way_up()
        self.sic_feature_map, self.sod_feature_map, self.floe_feature_map = (
            Head(filters[0], n) for n in heads
        )
        if apart:
            self.expand_sic_blocks, self.expand_sod_blocks, self.expand_floe_blocks = (
                way_up() for _ in range(3)
            )
        self.apart = apart
        if linear:
            self.regression_layer = nn.Linear(filters[0], 1)
        self.linear = linear

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        skips = [self.input_block(x)]
        for block in self.contract_blocks:
            skips.append(block(skips[-1]))
        bottom = self.bridge(skips[-1])

        def risen(blocks) -> torch.Tensor:
            up = bottom
            for block, skip in zip(blocks, reversed(skips)):
                up = block(up, skip)
            return up

        if self.apart:
            ups = [
                risen(b) for b in (self.expand_sic_blocks, self.expand_sod_blocks, self.expand_floe_blocks)
            ]
        else:
            ups = [risen(self.expand_blocks)] * 3
        if self.linear:
            concentration = self.regression_layer(ups[0].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            concentration = self.sic_feature_map(ups[0])
        return {
            "sic": concentration,
            "sod": self.sod_feature_map(ups[1]),
            "floe": self.floe_feature_map(ups[2]),
        }


class Steps(nn.Module):
    """A U-Net in steps ``inc``, ``down1`` … and ``up1`` …, skips first, with biases and dropout."""

    def __init__(
        self, channels=3, filters=(4, 6, 8, 8), outputs=1, transposed=False, norm=True, padding="zeros"
    ) -> None:
        super().__init__()
        self.depth = len(filters) - 1
        rest = (True, norm, 0.4)
        self.inc = Twice(channels, filters[0], padding, *rest)
        for level in range(1, len(filters)):
            self.add_module(f"down{level}", Down(filters[level - 1], filters[level], padding, *rest))
        for step, (below, skip) in enumerate(zip(filters[:0:-1], filters[-2::-1]), 1):
            self.add_module(f"up{step}", Up(below, skip, skip, transposed, "skip_first", padding, *rest))
        self.outc = nn.Conv2d(filters[0], outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = [self.inc(x)]
        for level in range(1, self.depth + 1):
            skips.append(getattr(self, f"down{level}")(skips[-1]))
        up = skips.pop()
        for step in range(1, self.depth + 1):
            up = getattr(self, f"up{step}")(up, skips.pop())
        return self.outc(up)


def drawn(network: nn.Module, seed: int = 1) -> nn.Module:
    """Return a network in evaluation mode with random weights, biases and statistics."""
    randomise(network, seed)
    for layer in network.modules():
        if isinstance(layer, (nn.ConvTranspose2d, nn.Linear)):
            nn.init.uniform_(layer.weight, -0.4, 0.4, generator=torch.Generator().manual_seed(seed))
    return network.eval().requires_grad_(False)
