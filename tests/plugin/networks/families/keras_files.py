"""ASIP networks as Keras writes them to HDF5, by GDAL's writer of NetCDF-4, and their forward pass in NumPy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from osgeo import gdal

SCALES = (2, 4, 8, 16)


def asip_layers(skip: int, scale: int, coarse: int, hidden: int = 0, seed: int = 1) -> dict[str, dict]:
    """Return random arrays by layer, in Keras' names, axes and order."""
    draw = np.random.default_rng(seed)
    sides = [(3, 2, 12), (3, 12, skip), (3, skip, 18), *[(3, 18, 18)] * 3, *[(3, 18, scale)] * 4]
    joined = skip + 4 * scale + coarse
    sides += [(1, joined, hidden)] * bool(hidden) + [(1, hidden or joined, 1)]
    layers = {}
    for number, (kernel, inputs, outputs) in enumerate(sides):
        span = 1.5 / np.sqrt(kernel * kernel * inputs)
        layers[f"conv2d_{number}" if number else "conv2d"] = {
            "kernel:0": draw.uniform(-span, span, (kernel, kernel, inputs, outputs)),
            "bias:0": draw.uniform(-0.3, 0.3, outputs),
        }
    for number, width in enumerate((skip, 18)):
        layers[f"batch_normalization_{number}" if number else "batch_normalization"] = {
            "gamma:0": draw.uniform(0.5, 1.5, width),
            "beta:0": draw.uniform(-0.5, 0.5, width),
            "moving_mean:0": draw.uniform(-0.5, 0.5, width),
            "moving_variance:0": draw.uniform(0.5, 2.0, width),
        }
    return layers


def config_of(activation: str = "sigmoid", cell: int = 50, epsilon: float = 1e-3) -> dict:
    """Return an architecture as Keras stores it, as far as it is read."""
    settings = [
        ("Conv2D", {"activation": "relu"}),
        ("BatchNormalization", {"epsilon": epsilon}),
        ("UpSampling2D", {"size": [cell, cell]}),
        ("Conv2D", {"activation": activation}),
    ]
    layers = [{"class_name": kind, "config": values} for kind, values in settings]
    return {"class_name": "Functional", "config": {"layers": layers}}


def write_keras(path: Path, layers: dict[str, dict], config: dict | str | None = None, top: str = "") -> Path:
    """Write layers as Keras does: a group a layer, in it a group of the same name with the arrays."""
    file = gdal.GetDriverByName("netCDF").CreateMultiDimensional(str(path))
    root = file.GetRootGroup()
    if config is not None:
        text = root.CreateAttribute("model_config", [], gdal.ExtendedDataType.CreateString())
        text.WriteString(config if isinstance(config, str) else json.dumps(config))
    below = root.CreateGroup(top) if top else root
    for name, arrays in layers.items():
        group = below.CreateGroup(name).CreateGroup(name)
        for array, values in arrays.items():
            values = np.asarray(values)
            sides = [
                group.CreateDimension(f"{array[:-2]}_{axis}", None, None, side)
                for axis, side in enumerate(values.shape)
            ]
            values = values.astype("f4") if values.dtype.kind == "f" else values
            kind = gdal.GDT_Float32 if values.dtype.kind == "f" else gdal.GDT_Int32
            written = group.CreateMDArray(array, sides, gdal.ExtendedDataType.Create(kind))
            written.Write(np.ascontiguousarray(values).tobytes())
    return path


def asip_logits(
    layers: dict[str, dict], fine: np.ndarray, coarse: np.ndarray | None, cell: int, linear: bool
):
    """Return the logit (row, column) of fine (row, column, channel) and coarse inputs, in float64.

    From the published table of layers, by sums over shifted arrays; pools divide by the number of pixels inside.
    """
    convolutions = [arrays for name, arrays in layers.items() if name.startswith("conv")]
    norms = [arrays for name, arrays in layers.items() if name.startswith("batch")]

    def convolved(x: np.ndarray, layer: dict, dilation: int = 1) -> np.ndarray:
        kernel, bias = layer["kernel:0"].astype(np.float32).astype(float), layer["bias:0"].astype(np.float32)
        half = kernel.shape[0] // 2 * dilation
        padded = np.pad(x, ((half, half), (half, half), (0, 0)))
        total = np.zeros((*x.shape[:2], kernel.shape[3])) + bias
        for row in range(kernel.shape[0]):
            for col in range(kernel.shape[1]):
                top, left = row * dilation, col * dilation
                total += padded[top : top + x.shape[0], left : left + x.shape[1]] @ kernel[row, col]
        return total

    def normalised(x: np.ndarray, layer: dict) -> np.ndarray:
        gamma, beta, mean, variance = (
            layer[f"{name}:0"].astype(np.float32).astype(float)
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    def pooled(x: np.ndarray, size: int) -> np.ndarray:
        result = np.empty_like(x)
        before, after = (size - 1) // 2, size // 2
        for row in range(x.shape[0]):
            for col in range(x.shape[1]):
                rows = slice(max(0, row - before), row + after + 1)
                result[row, col] = x[rows, max(0, col - before) : col + after + 1].mean((0, 1))
        return result

    x = np.maximum(convolved(fine, convolutions[0]), 0)
    skip = np.maximum(convolved(x, convolutions[1]), 0)
    x = normalised(skip, norms[0])
    x = np.maximum(convolved(np.maximum(convolved(x, convolutions[2]), 0), convolutions[3]), 0)
    x = normalised(x, norms[1])
    x = np.maximum(convolved(np.maximum(convolved(x, convolutions[4]), 0), convolutions[5]), 0)
    parts = [skip]
    for size, layer in zip(SCALES, convolutions[6:10]):
        branch = convolved(pooled(x, size), layer, size)
        parts.append(branch if linear else np.maximum(branch, 0))
    if coarse is not None:
        upsampled = coarse.repeat(cell, 0).repeat(cell, 1)
        parts.append(upsampled[: fine.shape[0], : fine.shape[1]])
    return convolved(np.concatenate(parts, 2), convolutions[-1])[..., 0]
