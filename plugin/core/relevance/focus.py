"""What a network is allowed to see of the channels on the SAR grid: capped, shifted, gaps filled otherwise.

Peaks of a relevance map at outliers of the input, and rims around gaps, come and go with such choices while the
prediction hardly moves (Landt-Hayen et al. 2023, arXiv 2302.12317). The defaults change nothing, to the last bit.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from ...ground.errors import ParameterError
from ...ground.vocabulary.settings import CAP, OFFSET
from ..streaming.runner import Runner


@dataclass(frozen=True)
class Focus:
    """Choices in standardised units, of the channels on the SAR grid.

    Parameters
    ----------
    cap : float
        Values farther from the channel's training mean stand at this distance; 0 caps none.
    offset : float
        Added to every measured value, after the cap.
    mask_fill : float or None
        What stands for masked and missing pixels; None: the card's fill.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    cap: float = CAP.default
    offset: float = OFFSET.default
    mask_fill: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cap) and self.cap >= 0):
            raise ParameterError(f"CAP is {self.cap:g}: give standard deviations above 0, or 0 for no cap.")
        if not math.isfinite(self.offset):
            raise ParameterError(f"OFFSET is {self.offset:g}: give a number of standard deviations.")
        if self.mask_fill is not None and not math.isfinite(self.mask_fill):
            raise ParameterError(f"MASK_FILL is {self.mask_fill:g}: give a number of standard deviations.")

    @property
    def plain(self) -> bool:
        """Whether nothing is changed."""
        return not self.cap and not self.offset and self.mask_fill is None

    def text(self) -> str:
        """Say in words what was changed; empty for nothing."""
        said = []
        if self.cap:
            said.append(f"values capped at ±{self.cap:g} standard deviations")
        if self.offset:
            said.append(f"{self.offset:+g} standard deviations added")
        if self.mask_fill is not None:
            said.append(f"gaps and land filled with {self.mask_fill:g} standard deviations")
        return f"SAR channels: {', '.join(said)}" if said else ""


class FocusedRunner(Runner):
    """A runner that shows its network the fine channels as a :class:`Focus` says."""

    focus: Focus

    @classmethod
    def of(cls, runner: Runner, focus: Focus) -> Runner:
        """Return `runner` itself where nothing is changed, else one that shares its network."""
        if focus.plain:
            return runner
        focused: Any = copy.copy(runner)
        focused.__class__ = cls
        focused.focus = focus
        return focused

    def on_cpu(self) -> Runner:
        """Return the same network made ready on the CPU."""
        return FocusedRunner.of(Runner(self.card, self.module, "cpu", self.precision), self.focus)

    def _standardised(
        self, values: np.ndarray, channels: tuple, missing: np.ndarray | None = None
    ) -> torch.Tensor:
        if missing is None:  # coarse cells
            return super()._standardised(values, channels)
        focus = self.focus
        seen = values.astype(self.array_dtype)
        for plane, channel in zip(seen, channels):
            if focus.cap:
                np.clip(
                    plane,
                    channel.mean - focus.cap * channel.sd,
                    channel.mean + focus.cap * channel.sd,
                    out=plane,
                )
            if focus.offset:
                plane += focus.offset * channel.sd
        if focus.mask_fill is not None:
            channels = tuple(SimpleNamespace(mean=c.mean, sd=c.sd, fill=focus.mask_fill) for c in channels)
        return super()._standardised(seen, channels, missing)
