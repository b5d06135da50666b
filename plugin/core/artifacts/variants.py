"""Networks that differ from the given one: with shuffled weights, or with edges padded otherwise.

*Shuffled* from the output back or all at once, a network has learned nothing.
Adebayo et al. 2018, arXiv 1810.03292. Each parameter's numbers are put in random order: their distribution stays, what
training arranged is lost. Running statistics of batch norms are shuffled as well.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def layers_with_weights(module: nn.Module) -> list[str]:
    """Return the names of layers that hold weights of their own, from the input to the output as they are declared."""
    return [
        name
        for name, layer in module.named_modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]


def randomised(module: nn.Module, seed: int, layers: int | None = None) -> nn.Module:
    """Return a copy of a network with shuffled weights.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is left as it is.
    seed : int
        Another number, another order.
    layers : int, optional
        How many layers, counted from the output; default: all.
    """
    changed = copy.deepcopy(module)
    names = layers_with_weights(changed)
    names = names if layers is None else names[max(0, len(names) - layers) :]
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in names:
            layer = changed.get_submodule(name)
            tensors = [*layer.parameters(recurse=False)]
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.running_mean is not None:
                order = torch.randperm(layer.num_features, generator=draw).to(layer.running_mean.device)
                layer.running_mean.copy_(layer.running_mean[order])
                layer.running_var.copy_(layer.running_var[order])
            for tensor in tensors:
                order = torch.randperm(tensor.numel(), generator=draw).to(tensor.device)
                tensor.copy_(tensor.flatten()[order].view_as(tensor))
    return changed


def padded_otherwise(module: nn.Module) -> nn.Module | None:
    """Return a copy of a network whose convolutions repeat the outermost value; None where none pads with zeros.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is left as it is.
    """
    changed = copy.deepcopy(module)
    layers = [layer for layer in changed.modules() if _pads_with_zeros(layer)]
    for layer in layers:
        layer.padding_mode = "replicate"
    return changed if layers else None


def _pads_with_zeros(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d) or layer.padding_mode != "zeros":
        return False
    return layer.padding == "same" if isinstance(layer.padding, str) else any(layer.padding)
