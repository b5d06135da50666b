"""What running a network costs, counted on a small image, and how much of it may be spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Bytes that may be held at a time: with what Python and torch take, a process stays below 600 MiB.
MOST_BYTES = 220 * 2**20
# Multiplications and values written, in float64: less than ten seconds of one core.
MOST_WORK = 40_000_000_000
# What writing a value takes, in multiplications.
_VALUE = 16
# A pass back computes each product twice more, and holds gradients beside the values.
_BACK, _HELD_BACK = 3, 1.8
# Without one, values are dropped on the way.
_HELD = 0.8
_FLOAT64 = 8


class OverBudget(Exception):
    """An image is too large, or too many were run; its text says which in half a sentence."""


@dataclass(frozen=True)
class CostPerPixel:
    """What a network costs for a fine pixel, forwards.

    Parameters
    ----------
    values : float
        Numbers written by all layers.
    products : float
        Multiplications of convolutions and matrix products.
    """

    values: float
    products: float

    @classmethod
    def of(cls, run: Callable[[], torch.Tensor], pixels: int) -> CostPerPixel:
        """Count what `run` does for an image of so many pixels."""
        with torch.no_grad(), _Counter() as counter:
            run()
        return cls(counter.values / pixels, counter.products / pixels)


class WorkBudget:
    """What is left to spend.

    Parameters
    ----------
    ratio, coarse : int
        Pixels along a coarse cell, and the number of coarse channels: networks bring whole cells to the fine grid.

    Attributes
    ----------
    cost : CostPerPixel
        Of the network.
    whole_periods : bool
        Whether the network takes no images but those that hold whole periods of its card.
    """

    def __init__(self, ratio: int = 1, coarse: int = 0) -> None:
        self.cost = CostPerPixel(0.0, 0.0)
        self.whole_periods = False
        self._ratio, self._coarse = ratio, coarse
        self._left = float(MOST_WORK)

    def spend(self, rows: int, cols: int, back: bool = False) -> None:
        """Take an image off what is left, which is run back to its pixels as well where `back` is set.

        Raises
        ------
        OverBudget
            If it takes too much memory, or more time than is left; nothing is taken off then.
        """
        pixels = rows * cols
        cells = -(-rows // self._ratio) * -(-cols // self._ratio) * self._coarse * self._ratio**2
        size = _FLOAT64 * (2 * cells + pixels * self.cost.values * (_HELD_BACK if back else _HELD))
        if size > MOST_BYTES:
            raise OverBudget(
                f"a test image of {rows} x {cols} pixels would take {math.ceil(size / 2**20)} MiB of memory"
            )
        work = pixels * (self.cost.products + _VALUE * self.cost.values) * (_BACK if back else 1)
        if work > self._left:
            raise OverBudget("the test images would take more than ten seconds")
        self._left -= work


class _Counter(TorchDispatchMode):
    """Counts what is computed while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.values = self.products = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: torch then leaves out a wrapper whose first call imports its compiler, and triton with it."""
        return False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            if operation._schema.returns[0].alias_info is None:  # else it is a view, or written in place
                self.values += result.numel()
            name = str(operation)
            if "convolution" in name:
                self.products += result.numel() * args[1][0].numel()
            elif "mm" in name:
                self.products += result.numel() * args[-1].shape[-2]
        return result
