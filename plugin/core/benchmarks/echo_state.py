"""Echo state networks: a random reservoir that reads a field column by column or row by row.

With leak rate α and inputs u(t), t = 1 … T, of one column or row each::

    x(1) = [α] g(W_in u(1) + b_in)                       the factor α is a switch
    x(t) = (1 - α) x(t-1) + α g(W_in u(t) + b_in + W_res x(t-1) + b_res)

Not leaky, the state keeps 1 in place of 1 - α. The classes are linear in the final state and a constant, fitted by
the pseudo-inverse to 1 for the class and 0 for the other. Weights and biases are U(-0.1, 0.1), of W_res a share
`kept` is not zero, and it is scaled so that the largest real part of its eigenvalues is `radius`.

Source: Jaeger 2001 (GMD report 148); Landt-Hayen et al. 2023 (arXiv 2302.12317) for the values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ..layers.kinds import kind_of_call

COLUMNS, COLUMNS_REVERSED, ROWS = "columns", "columns_reversed", "rows"
SPREAD = 0.1


@dataclass(frozen=True)
class Reservoir:
    """What an echo state network is, beside its weights.

    Parameters
    ----------
    leak : float
        α, above 0 and at most 1.
    feed : str
        ``columns`` from left to right, ``columns_reversed`` from right to left, or ``rows`` from top to bottom.
    units : int
        Of the reservoir.
    kept : float
        Share of W_res that is not zero.
    radius : float
        Largest real part of the eigenvalues of W_res.
    first_scaled : bool
        Whether the first state has the factor α.
    leaky : bool
        Whether the state keeps 1 - α of itself, or all.
    activation : str
        ``tanh``, ``sigmoid`` or ``relu``: a method of a tensor in :data:`..layers.kinds.KINDS`.
    """

    leak: float
    feed: str = COLUMNS
    units: int = 300
    kept: float = 0.3
    radius: float = 0.8
    first_scaled: bool = True
    leaky: bool = True
    activation: str = "tanh"

    @property
    def keep(self) -> float:
        """What the state keeps of itself in a step: 1 - α, or 1 where it does not leak."""
        return 1 - self.leak if self.leaky else 1.0

    @property
    def first_factor(self) -> float:
        """The factor of the first state: α, or 1."""
        return self.leak if self.first_scaled else 1.0


class EchoState:
    """A reservoir with its weights, in float64; after :meth:`fit` a network of two classes.

    Parameters
    ----------
    reservoir : Reservoir
        What it is.
    width : int
        Pixels that it reads in a step.
    seed : int
        Of the weights.
    """

    def __init__(self, reservoir: Reservoir, width: int, seed: int) -> None:
        self.reservoir = reservoir
        draw = np.random.default_rng([seed, 2])
        units = reservoir.units

        def drawn(*shape: int) -> np.ndarray:
            return draw.uniform(-SPREAD, SPREAD, shape)

        w_in, b_in, w_res, b_res = drawn(units, width), drawn(units), drawn(units, units), drawn(units)
        w_res *= draw.random(w_res.shape) < reservoir.kept
        largest = np.linalg.eigvals(w_res).real.max()
        w_res *= reservoir.radius / largest if largest > 0 else 0.0
        self.w_in, self.b_in, self.w_res, self.b_res = (
            torch.from_numpy(a) for a in (w_in, b_in, w_res, b_res)
        )
        self.w_out = torch.zeros(2, units, dtype=torch.float64)
        self.b_out = torch.zeros(2, dtype=torch.float64)

    @cached_property
    def activation(self) -> nn.Module:
        """The activation g."""
        word = self.reservoir.activation
        return kind_of_call("activation", word).calls[word]()

    def steps(self, fields: torch.Tensor) -> torch.Tensor:
        """Return fields (sample, 1, row, column) as what is read step by step, (step, sample, pixel)."""
        by_column = fields[:, 0].permute(2, 0, 1)
        return {
            COLUMNS: lambda: by_column,
            COLUMNS_REVERSED: lambda: by_column.flip(0),
            ROWS: lambda: fields[:, 0].permute(1, 0, 2),
        }[self.reservoir.feed]()

    def fields(self, steps: torch.Tensor) -> torch.Tensor:
        """Return what lies at steps (step, sample, pixel) as fields (sample, 1, row, column)."""
        return {
            COLUMNS: lambda: steps.permute(1, 2, 0),
            COLUMNS_REVERSED: lambda: steps.flip(0).permute(1, 2, 0),
            ROWS: lambda: steps.permute(1, 0, 2),
        }[self.reservoir.feed]()[:, None]

    def states(self, fields: torch.Tensor, check: Callable[[], None] = lambda: None) -> torch.Tensor:
        """Return the states (step, sample, unit); `check` is called at every step, and may raise."""
        keep, leak = self.reservoir.keep, self.reservoir.leak
        states: list[torch.Tensor] = []
        with torch.no_grad():
            for read in self.steps(fields):
                check()
                z = read @ self.w_in.T + self.b_in
                if not states:
                    states.append(self.reservoir.first_factor * self.activation(z))
                    continue
                z += states[-1] @ self.w_res.T + self.b_res
                states.append(keep * states[-1] + leak * self.activation(z))
        return torch.stack(states)

    def fit(
        self, fields: torch.Tensor, classes: torch.Tensor, check: Callable[[], None] = lambda: None
    ) -> None:
        """Fit the output weights to samples (sample, 1, row, column) of known classes (sample,)."""
        final = self.states(fields, check)[-1]
        known = torch.cat([final.new_ones(len(final), 1), final], 1)
        target = nn.functional.one_hot(classes, 2).to(final.dtype)
        weights = torch.linalg.pinv(known) @ target
        self.b_out, self.w_out = weights[0].clone(), weights[1:].T.clone()

    def __call__(self, fields: torch.Tensor) -> torch.Tensor:
        """Return the outputs (sample, 2)."""
        return self.states(fields)[-1] @ self.w_out.T + self.b_out
