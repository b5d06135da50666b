r"""Relevance of an echo state network, which goes back through its steps.

Two ways. :class:`LayerwiseBackward` treats each step as the layers it is made of, with the rules of
:mod:`floelens.plugin.core.layers`: multipliers, and so relevance in proportion to what each part contributed to the
state. :func:`unrolled` is the rule of Landt-Hayen et al. 2023 (arXiv 2302.12317), which splits the relevance R(t) of a
state in fixed portions::

    R_act  = α R(t)                                  to what the activation read
    R(t-1) = (1 - α) R(t) + what of R_act goes through W_res

Of R_act, input pixel i gets Σ_j z_ij/D_j R_act,j with z_ij = w_ij u_i(t), and state k likewise with W_res x(t-1); both
share the denominator D_j. By z⁺, z_ij counts where it is positive, D_j = Σ_i z_ij⁺ over pixels and states, and biases
take no part. By ε, D_j = z_j + ε s_j (Σ_i \|z_ij\| + \|b_j\|), and biases take theirs. The first state hands all of its
portion to the first column; where it has no factor α, all of its relevance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ...ground.errors import ParameterError
from ..layers.conservation import Leaks
from ..layers.rules import Rules
from .echo_state import EchoState

Z_PLUS, EPSILON = "zplus", "epsilon"
RELATIVE_EPSILON = 1e-6

# Slopes of the activations, by their values.
SLOPES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": lambda reached: 1 - reached * reached,
    "sigmoid": lambda reached: reached * (1 - reached),
    "relu": lambda reached: (reached > 0).to(reached.dtype),
}

Part = tuple[torch.Tensor, torch.Tensor]  # values (sample, i) and weights (j, i)


@dataclass(frozen=True)
class Unrolled:
    """What the unrolled rule gives.

    Parameters
    ----------
    relevance : torch.Tensor
        (sample, 1, row, column).
    recurrent_share : float
        ρ: the share of Σ|R_act| that went on to earlier states, over all steps but the first.
    """

    relevance: torch.Tensor
    recurrent_share: float


class _Portions:
    """How relevance of sums z_j = Σ_i z_ij + b_j goes to their parts, by one variant of the rule."""

    def __init__(self, variant: str) -> None:
        if variant not in (Z_PLUS, EPSILON):
            raise ParameterError(
                f"Unknown variant '{variant}' of the unrolled rule. Choose {Z_PLUS} or {EPSILON}."
            )
        self._split = self._z_plus if variant == Z_PLUS else self._epsilon

    def __call__(self, relevance: torch.Tensor, parts: list[Part], bias: torch.Tensor) -> list[torch.Tensor]:
        """Return the relevance (sample, i) of the values of each part, of that of the sums (sample, j)."""
        return self._split(relevance, parts, bias)

    @staticmethod
    def _z_plus(relevance: torch.Tensor, parts: list[Part], bias: torch.Tensor) -> list[torch.Tensor]:
        signed = [(v.clamp(min=0), v.clamp(max=0), w.clamp(min=0), w.clamp(max=0)) for v, w in parts]
        denominator = sum(above @ up.T + below @ down.T for above, below, up, down in signed)
        share = _quotient(relevance, denominator)
        return [above * (share @ up) + below * (share @ down) for above, below, up, down in signed]

    @staticmethod
    def _epsilon(relevance: torch.Tensor, parts: list[Part], bias: torch.Tensor) -> list[torch.Tensor]:
        z = sum(values @ weight.T for values, weight in parts) + bias
        size = sum(values.abs() @ weight.abs().T for values, weight in parts) + bias.abs()
        sign = torch.where(z < 0, -1.0, 1.0).to(z.dtype)
        share = _quotient(relevance, z + RELATIVE_EPSILON * sign * size)
        return [values * (share @ weight) for values, weight in parts]


def _quotient(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))


def unrolled(
    network: EchoState,
    fields: torch.Tensor,
    classes: torch.Tensor,
    variant: str = Z_PLUS,
    check: Callable[[], None] = lambda: None,
) -> Unrolled:
    """Explain an output by the unrolled rule.

    Parameters
    ----------
    network : EchoState
        The network.
    fields : torch.Tensor
        (sample, 1, row, column), float64.
    classes : torch.Tensor
        (sample,): the output that is explained.
    variant : {'zplus', 'epsilon'}
        How relevance goes through weights.
    check : callable
        Called at every step, and may raise.
    """
    portions, reservoir = _Portions(variant), network.reservoir
    read, states = network.steps(fields), network.states(fields)
    outputs = states[-1] @ network.w_out.T + network.b_out
    seeded = torch.zeros_like(outputs).scatter_(1, classes[:, None], outputs.gather(1, classes[:, None]))
    (relevance,) = portions(seeded, [(states[-1], network.w_out)], network.b_out)
    found, onward, passed = torch.zeros_like(read), 0.0, 0.0
    for step in range(len(read) - 1, 0, -1):
        check()
        act = reservoir.leak * relevance
        parts = [(read[step], network.w_in), (states[step - 1], network.w_res)]
        found[step], through = portions(act, parts, network.b_in + network.b_res)
        relevance = reservoir.keep * relevance + through
        onward, passed = onward + float(through.abs().sum()), passed + float(act.abs().sum())
    act = reservoir.first_factor * relevance
    (found[0],) = portions(act, [(read[0], network.w_in)], network.b_in)
    return Unrolled(network.fields(found), onward / passed if passed else 0.0)


def gradient(network: EchoState, fields: torch.Tensor, seeds: torch.Tensor) -> torch.Tensor:
    """Return the gradient of Σ seeds · outputs, shaped as the fields: LRP-0 without its sums, in a third of the time.

    What enters and leaves through W_in is one product for all steps.

    Parameters
    ----------
    network : EchoState
        The network.
    fields : torch.Tensor
        (sample, 1, row, column), float64.
    seeds : torch.Tensor
        (sample, 2).
    """
    reservoir, activation = network.reservoir, network.activation
    with torch.no_grad():
        entering = network.steps(fields) @ network.w_in.T + network.b_in
        slopes = torch.empty_like(entering)
        state = None
        for step, z in enumerate(entering):
            if state is not None:
                z = z + state @ network.w_res.T + network.b_res
            reached = activation(z)
            slopes[step] = SLOPES[reservoir.activation](reached)
            state = (
                reservoir.first_factor * reached
                if state is None
                else reservoir.keep * state + reservoir.leak * reached
            )
        arriving = seeds @ network.w_out
        for step in range(len(slopes) - 1, 0, -1):
            slopes[step] *= reservoir.leak * arriving  # of the outputs by z
            arriving = reservoir.keep * arriving + slopes[step] @ network.w_res
        slopes[0] *= reservoir.first_factor * arriving
        return network.fields(slopes @ network.w_in)


class LayerwiseBackward:
    """Multipliers of an echo state network's inputs by the rules of layers; its steps are layers of one network.

    Parameters
    ----------
    network : EchoState
        The network.
    rules : Rules
        The rule for each layer.
    """

    def __init__(self, network: EchoState, rules: Rules) -> None:
        self._network, self._rules = network, rules
        self._first = dense(network.w_in, network.b_in)
        self._later = dense(torch.cat([network.w_in, network.w_res], 1), network.b_in + network.b_res)
        self._output = dense(network.w_out, network.b_out)
        self._passes: list[tuple[Callable, Callable]] = []

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        """Return the outputs (sample, 2)."""
        rules, reservoir, activation = self._rules, self._network.reservoir, self._network.activation
        self._passes = []
        state = None
        with torch.no_grad():
            for read in self._network.steps(fields):
                if state is None:
                    values, name, layer = read, "first", self._first
                else:
                    values, name, layer = torch.cat([read, state], 1), "later", self._later
                z, back_z = rules.layer(name, layer, (values,))
                act, back_act = rules.layer("activation", activation, (z,))
                new = (reservoir.first_factor if state is None else reservoir.leak) * act
                state = new if state is None else reservoir.keep * state + new
                self._passes.append((back_z, back_act))
            output, self._back_output = rules.layer("output", self._output, (state,))
        return output

    def backward(self, seeds: torch.Tensor, leaks: Leaks) -> torch.Tensor:
        """Return the multipliers of the fields for multipliers `seeds` of the outputs of the last pass."""
        reservoir, width = self._network.reservoir, self._network.w_in.shape[1]
        found: list[torch.Tensor] = []
        with torch.no_grad():
            (state,) = self._back_output(seeds, leaks.of_layer("output"))
            while self._passes:
                back_z, back_act = self._passes.pop()
                last = not self._passes
                factor = reservoir.first_factor if last else reservoir.leak
                (z,) = back_act(factor * state, leaks.of_layer("activation"))
                (values,) = back_z(z, leaks.of_layer("first" if last else "later"))
                found.append(values[:, :width])
                if not last:
                    state = reservoir.keep * state + values[:, width:]
        return self._network.fields(torch.stack(found[::-1]))


def dense(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    """Return a dense layer with given weights."""
    layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer.requires_grad_(False)
