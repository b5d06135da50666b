"""Relevance from the definitions, with explicit matrices and relevance carried as such: slow, and plain.

Nothing of the rules of FloeLens is used here but the graph of the network.
"""

from __future__ import annotations

import operator

import numpy as np
import torch
from floelens.plugin.networks.layers import BilinearUpsample, NearestUpsample, SamePool2d, trace
from torch import nn
from torch.nn import functional

RATIO = 4
AFFINE = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh)


class EveryKind(nn.Module):
    """Every kind of layer at least once: 8 x 8 pixels, two fine and three coarse channels, two logits."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.norm = nn.BatchNorm2d(4, eps=1e-3)
        self.drop = nn.Dropout(0.25)
        self.dilated = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.leaky = nn.LeakyReLU(0.1)
        self.strided = nn.Conv2d(4, 5, 3, stride=2, padding=1, padding_mode="reflect")
        self.tanh = nn.Tanh()
        self.average = nn.AvgPool2d(3, stride=1, padding=1)
        self.largest = nn.MaxPool2d(2)
        self.replicated = nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate", bias=False)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.pool = SamePool2d(3)
        self.nearest = NearestUpsample(RATIO)
        self.bilinear = BilinearUpsample(RATIO)
        self.coarse = nn.Conv2d(3, 2, 1)
        self.linear = nn.Linear(8, 8)
        self.output = nn.Conv2d(13, 2, 1)
        draw = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.5)
            self.norm.running_mean.copy_(torch.randn(4, generator=draw) * 0.5)
            self.norm.running_var.copy_(torch.rand(4, generator=draw) + 0.3)

    def forward(self, fine, coarse):
        first = self.relu(self.conv(fine))
        normed = self.drop(self.norm(first))
        trunk = self.leaky(self.dilated(normed)) + normed
        trunk = self.average(self.tanh(self.strided(trunk)))
        other = torch.sigmoid(self.replicated(self.largest(first)))
        joined = self.pool(self.up(torch.cat([trunk, other], 1)))
        weighed = functional.relu(self.coarse(self.bilinear(coarse, fine)))
        return self.output(torch.cat([self.linear(joined), self.nearest(coarse, fine), weighed], 1))


def matrix_of(layer, shape):
    """Return W and b of a layer that is affine in inputs of `shape`, by running it on unit vectors."""
    size = int(np.prod(shape))
    with torch.no_grad():
        offset = layer(torch.zeros(1, *shape).double()).flatten().numpy()
        columns = layer(torch.eye(size).double().view(size, *shape)).flatten(1).numpy() - offset
    return columns.T, offset


def divided(parts, denominators):
    """Return parts / denominators along the outputs, zero where the denominator is."""
    known = denominators != 0
    return np.where(known[:, None], parts, 0) / np.where(known, denominators, 1)[:, None]


def by_rule(rule, weight, bias, values, relevance):
    """Return the relevance of inputs by a rule written as its formula; `rule` is (word, parameter)."""
    word, parameter = rule
    z = weight * values  # (output, input)
    total = z.sum(1) + bias
    if word == "epsilon":
        sign = np.where(total < 0, -1.0, 1.0)
        shares = divided(z, total + parameter * sign * (np.abs(z).sum(1) + np.abs(bias)))
    elif word == "gamma":
        favoured = np.where(total[:, None] >= 0, np.maximum(z, 0), np.minimum(z, 0))
        of_bias = np.where(total >= 0, np.maximum(bias, 0), np.minimum(bias, 0))
        counted = z + parameter * favoured
        shares = divided(counted, counted.sum(1) + bias + parameter * of_bias)
    elif word == "signs":
        up, down = np.maximum(z, 0), np.minimum(z, 0)
        shares = parameter * divided(up, up.sum(1)) - (parameter - 1) * divided(down, down.sum(1))
    elif word == "w_square":
        shares = divided(weight**2, (weight**2).sum(1))
    elif word == "flat":
        # The taps that lie on the array; a weight is zero with probability zero.
        shares = divided((weight != 0).astype(float), (weight != 0).sum(1))
    elif word == "z_box":
        low, high = np.minimum(values, -parameter), np.maximum(values, parameter)
        parts = z - low * np.maximum(weight, 0) - high * np.minimum(weight, 0)
        shares = divided(parts, parts.sum(1))
    else:
        raise ValueError(word)
    return shares.T @ relevance


class Slow:
    """One forward pass of a network, node by node, and the ways back through it."""

    def __init__(self, network, fine, coarse):
        self.graph = trace(network)
        self.values = {}
        inputs = iter((fine, coarse))
        self.placeholders = [node for node in self.graph.graph.nodes if node.op == "placeholder"]
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = next(inputs)
            elif node.op == "output":
                self.result = node.args[0]
            else:
                self.values[node] = self.call(node, self.arguments(node))

    def layer(self, node):
        """Return the layer of a node, None for a function."""
        return self.graph.get_submodule(node.target) if node.op == "call_module" else None

    def arguments(self, node):
        return torch.fx.node.map_arg(node.args, lambda source: self.values[source])

    def call(self, node, arguments):
        layer = self.layer(node)
        with torch.no_grad():
            return layer(*arguments) if layer is not None else node.target(*arguments, **node.kwargs)

    def linear_map(self, node):
        """Return W and b of a node that is affine in its first argument."""
        first, *others = self.arguments(node)
        return matrix_of(lambda x: self.call(node, (x, *others)), first.shape[1:])

    def winners(self, node):
        """Return for each output of a max pool the flat number of its input."""
        values = self.values[node.args[0]]
        layer = self.layer(node)
        size, (_, channels, rows, cols) = layer.kernel_size, values.shape
        found = []
        for channel in range(channels):
            for row in range(rows // size):
                for col in range(cols // size):
                    block = values[0, channel, row * size : (row + 1) * size, col * size : (col + 1) * size]
                    down, across = divmod(int(block.reshape(-1).argmax()), size)
                    found.append((channel * rows + row * size + down) * cols + col * size + across)
        return np.array(found)

    def back(self, seeds, step):
        """Return what arrives at the inputs; ``step(node, arrived)`` gives (source, share) pairs."""
        arrived = {self.result: seeds.reshape(-1)}
        for node in reversed(list(self.graph.graph.nodes)):
            if node.op in ("call_module", "call_function") and node in arrived:
                for source, share in step(node, arrived.pop(node)):
                    arrived[source] = arrived.get(source, 0) + share
        return [arrived[node].reshape(self.values[node].shape) for node in self.placeholders]

    def lrp(self, seeds, rule_of, handed_through=()):
        """Return relevance by LRP; ``rule_of(name, layer)`` is a rule of :func:`by_rule`.

        Through the nodes `handed_through`, below a first layer, relevance goes by weights.
        """
        logits = self.values[self.result].numpy().reshape(-1)

        def step(node, relevance):
            layer, first = self.layer(node), node.args[0]
            if isinstance(layer, AFFINE):
                yield first, self.through_weights(rule_of(node.target, layer), layer, first, relevance)
            elif isinstance(layer, ACTIVATIONS) or node.target in (torch.sigmoid, functional.relu):
                yield first, relevance
            elif isinstance(layer, nn.MaxPool2d):
                share = np.zeros(self.values[first].numel())
                np.add.at(share, self.winners(node), relevance)
                yield first, share
            elif node.target is torch.cat:
                sizes = np.cumsum([self.values[part].numel() for part in first])[:-1]
                yield from zip(first, np.split(relevance, sizes))
            elif node.target is operator.add:
                parts = [self.values[part].numpy().reshape(-1) for part in node.args]
                total = sum(parts)
                for source, part in zip(node.args, parts):
                    yield source, np.where(total != 0, part / np.where(total != 0, total, 1), 0) * relevance
            else:
                weight, _ = self.linear_map(node)
                values = self.values[first].numpy().reshape(-1)
                z = weight if node.name in handed_through else weight * values
                yield first, divided(z, z.sum(1)).T @ relevance

        return self.back(seeds * logits, step)

    def through_weights(self, rule, layer, first, relevance):
        """Return what the inputs of an affine layer get; a margin that repeats pixels is a layer of its own."""
        values = self.values[first]
        if getattr(layer, "padding_mode", "zeros") == "zeros":
            return by_rule(rule, *matrix_of(layer, values.shape[1:]), values.numpy().reshape(-1), relevance)

        def pad(x):
            return functional.pad(x, (1, 1, 1, 1), layer.padding_mode)

        def convolve(x):
            return functional.conv2d(x, layer.weight, layer.bias, layer.stride)

        wide = pad(values)
        weights = matrix_of(convolve, wide.shape[1:])
        arrived = by_rule(rule, *weights, wide.numpy().reshape(-1), relevance)
        return matrix_of(pad, values.shape[1:])[0].T @ arrived

    def deeplift(self, seeds, base):
        """Return the contributions of DeepLIFT's rescale rule against another pass, `base`."""
        other = dict(zip((n.name for n in base.values), base.values.values()))

        def step(node, multipliers):
            layer, first = self.layer(node), node.args[0]
            if node.target is torch.cat:
                sizes = np.cumsum([self.values[part].numel() for part in first])[:-1]
                yield from zip(first, np.split(multipliers, sizes))
                return
            if node.target is operator.add:
                yield from ((source, multipliers) for source in node.args)
                return
            values = self.values[first].numpy().reshape(-1)
            there = other[first.name].numpy().reshape(-1)
            after = self.values[node].numpy().reshape(-1) - other[node.name].numpy().reshape(-1)
            if isinstance(layer, ACTIVATIONS) or node.target in (torch.sigmoid, functional.relu):
                yield first, multipliers * after / (values - there)
            elif isinstance(layer, nn.MaxPool2d):
                share = np.zeros(len(values))
                for change, arrived, winner, before in zip(
                    after, multipliers, self.winners(node), base.winners(self.same(node, base))
                ):
                    place = winner if change > 0 else before
                    if change:
                        share[place] += arrived * change / (values[place] - there[place])
                yield first, share
            else:
                yield first, self.linear_map(node)[0].T @ multipliers

        found = self.back(seeds, step)
        return [m * (self.values[n] - other[n.name]).numpy() for m, n in zip(found, self.placeholders)]

    @staticmethod
    def same(node, base):
        """Return the node of another pass that has the same name."""
        return next(n for n in base.values if n.name == node.name)
