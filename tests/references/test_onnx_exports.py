"""ONNX files as both exporters of torch write them give the modules that they come from: `make test-references`."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from floelens.plugin.io.models.onnx.convert import read_onnx
from floelens.plugin.networks.graph.geometry import geometry
from floelens.tests.plugin.io.models.onnx.test_onnx import module_of
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """A U-Net of two levels that pads to the size of the skip, with a gate by the mean of the image where asked for."""

    def __init__(self, upsampling: str) -> None:
        super().__init__()
        self.upsampling = upsampling
        self.down, self.deep = self.block(4, 8), self.block(8, 8)
        self.up, self.gate = self.block(16, 8), nn.Conv2d(8, 8, 1)
        self.transposed = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.ice, self.kind = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 5, 1)

    @staticmethod
    def block(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, values):
        skip = self.down(values)
        low = self.deep(functional.max_pool2d(skip, 2))
        if self.upsampling == "transposed":
            high = self.transposed(low)
        else:
            corners = {"align_corners": self.upsampling == "corners"} if self.upsampling != "nearest" else {}
            mode = "nearest" if self.upsampling == "nearest" else "bilinear"
            high = functional.interpolate(low, scale_factor=2, mode=mode, **corners)
        rows, cols = (skip.shape[axis] - high.shape[axis] for axis in (2, 3))
        high = functional.pad(high, [cols // 2, cols - cols // 2, rows // 2, rows - rows // 2])
        last = self.up(torch.cat([high, skip], 1))
        if self.upsampling == "corners":
            last = last * torch.sigmoid(self.gate(functional.adaptive_avg_pool2d(last, 1)))
        return self.ice(last), self.kind(last)


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest", "transposed", "corners"])
@pytest.mark.parametrize("dynamo", [False, True])
def test_an_exported_u_net_is_its_module_for_odd_images(upsampling, dynamo, tmp_path):
    if importlib.util.find_spec("onnx") is None or importlib.util.find_spec("onnxscript") is None:
        pytest.skip("onnx and onnxscript are not installed: run make test-references")
    torch.manual_seed(1)
    module, path = UNet(upsampling).eval(), tmp_path / "net.onnx"
    example = torch.randn(1, 4, 32, 48)
    if dynamo:
        sizes = {"values": {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}}
        torch.onnx.export(module, (example,), path, dynamo=True, external_data=False, dynamic_shapes=sizes)
    else:
        names = {"input_names": ["values"], "dynamic_axes": {"values": {2: "rows", 3: "cols"}}}
        torch.onnx.export(module, (example,), str(path), dynamo=False, opset_version=17, **names)
    network = read_onnx(path)
    assert bool(geometry(network.spec).whole_image) == (upsampling == "corners")
    values = torch.randn(1, 4, 41, 53)
    with torch.no_grad():
        found, expected = module_of(network)(values.double(), None), torch.cat(module(values), 1)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
