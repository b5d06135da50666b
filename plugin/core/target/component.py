"""One component of the last layer as the target: what it adds to the logits of each class.

The components are the inputs of the 1 x 1 convolution that ends a network; the logits are a regression on them, so
that the parts of all components and the biases add up to the logits. The part of one is the output of the same
network with the weights of all others at zero: every method explains it as it explains any network::

    runner = through_component(Runner(card, module), "d2_05")
"""

from __future__ import annotations

import copy

import numpy as np

from ...ground.errors import ModelError
from ...networks.inner_layers import output_convolution
from ...networks.layers import OneComponent
from ..streaming.runner import Runner
from .target import find_component


def through_component(runner: Runner, name: str) -> Runner:
    """Return the network whose logits are what one component adds to them; `runner` itself where `name` is empty.

    Parameters
    ----------
    runner : Runner
        The network.
    name : str
        Name of the component, as in the card and in the table of Z-scores.

    Raises
    ------
    ParameterError
        If the card has no such component.
    ModelError
        If the network does not end in a 1 x 1 convolution, or not in one of the card's components.
    """
    if not name:
        return runner
    card = runner.card
    position = card.components.index(find_component(card, name))
    end = output_convolution(runner.module)
    if end is None or end.components != len(card.components):
        number = "no" if end is None else str(end.components)
        raise ModelError(
            f"The card of '{card.id}' lists {len(card.components)} components, but the network ends in a 1 x 1 "
            f"convolution of {number} inputs. Leave COMPONENT empty."
        )
    module = copy.deepcopy(runner.module)
    for layer in end.names:
        parent, _, own = layer.rpartition(".")
        setattr(module.get_submodule(parent), own, OneComponent(module.get_submodule(layer), position))
    return Runner(card, module, runner.device.type, runner.precision)


def component_weights(runner: Runner, head: str, name: str) -> np.ndarray:
    """Return the weight of a component for each class of a head, (class,), float64."""
    position = runner.card.components.index(find_component(runner.card, name))
    return runner.output_weights()[0][runner.card.head_slice(head), position]
