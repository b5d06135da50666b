"""What a run of relevance does on one piece of a scene: it seeds the logits and explains them by every replica.

A piece is a tile, or the part of one that fits into the memory of a device.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from ...ground.errors import NumericalError
from ...ground.protocols import Patch
from ..layers.conservation import Leaks
from ..streaming.runner import Inputs, Runner
from ..streaming.thumbnail import Thumbnail
from ..streaming.tiling import Plan, Tile
from ..target.target import Seeding
from .audit import lost_by_layer
from .explainers import Check, Explanation, Seeds
from .methods import Method, rules_of
from .steps import around_seeds, seeded_pixels, seeds_of
from .uncertainty import Replica


@dataclass(frozen=True)
class PieceRelevance:
    """What one replica computed on a piece.

    Parameters
    ----------
    relevance : numpy.ndarray
        (fine channel, row, column).
    explanation : Explanation
        The rest of it; what belongs to fine inputs is in `relevance`.
    inputs : Inputs
        What the network saw.
    noise : Inputs or None
        What was added to it.
    leaks : Leaks
        What did not reach the inputs.
    """

    relevance: np.ndarray
    explanation: Explanation
    inputs: Inputs
    noise: Inputs | None
    leaks: Leaks


@dataclass(frozen=True)
class Pieces:
    """Explains the pieces of a scene.

    Parameters
    ----------
    plan : Plan
        The tiles.
    seeding : Seeding
        Which logits.
    method : Method
        How.
    levels : numpy.ndarray
        (fine channel,): the baseline, in standardised units.
    check : callable
        Called between replicas, and may raise.
    pictured : Thumbnail or None
        Takes the logits of the explained head, where the network is explained as it is: without replicas.
    """

    plan: Plan
    seeding: Seeding
    method: Method
    levels: np.ndarray
    check: Check
    pictured: Thumbnail | None = None

    @property
    def everywhere(self) -> Pieces:
        """The same without a region, for a trial that must cost what a full tile costs."""
        return dataclasses.replace(
            self, seeding=dataclasses.replace(self.seeding, region=None), pictured=None
        )

    def needed(self, tile: Tile, mask: np.ndarray) -> Tile:
        """Return the part of a tile that seeded pixels depend on, for methods in steps; `mask` is of its input."""
        # Steps are many: they are not spent on pixels that nothing explained depends on.
        return around_seeds(self.plan, tile, mask) if self.method.how.in_steps else tile

    def needed_if_valid(self, tile: Tile) -> Tile | None:
        """Return what is needed of a tile whose pixels are all valid; None where it holds none of the region."""
        mask = np.zeros((tile.input.rows, tile.input.cols), bool)
        meant = np.ones((tile.output.rows, tile.output.cols), bool)
        mask[tile.output.slices(tile.input)] = self.seeding.mask(tile.output, meant)
        return self.needed(tile, mask) if mask.any() else None

    def explain(self, patch: Patch, replicas: list[Replica], piece: Tile) -> list[PieceRelevance]:
        """Return what every replica computes on a piece; nothing where no pixel of it is explained.

        Raises
        ------
        NumericalError
            If relevance is not finite.
        """
        mask = seeded_pixels(self.seeding, piece, patch)
        if not mask.any():
            return []
        inputs = {id(r): r.standardise(patch, piece.input) for r in (replica.runner for replica in replicas)}
        first, results = replicas[0].runner, []
        seeds = seeds_of(self.seeding, mask, first, inputs[id(first)], fixed=len(replicas) > 1)
        if self.pictured is not None and len(replicas) == 1:
            seeds = self._picturing(seeds, self.pictured, first, piece, patch)
        for replica in replicas:
            self.check()
            given, leaks = inputs[id(replica.runner)], Leaks()
            explanation, noise = replica.explain(given, seeds, leaks, piece.input)
            relevance = self._of_fine_inputs(replica.runner, explanation, given, noise)
            _check_finite(relevance, piece)
            # The relevance of fine inputs is in the memory of the host now.
            rest = dataclasses.replace(explanation, fine=None, direct_fine=None)
            results.append(PieceRelevance(relevance, rest, given, noise, leaks))
        return results

    def _picturing(
        self, seeds: Seeds, pictured: Thumbnail, runner: Runner, piece: Tile, patch: Patch
    ) -> Seeds:
        """Return the same seeds; the logits that they are asked for are kept in `pictured`."""
        inside = piece.output.slices(piece.input)
        valid = patch.valid[piece.output.slices(patch.window)]
        head = slice(self.seeding.first, self.seeding.first + self.seeding.outputs)

        def seeded(logits: torch.Tensor) -> torch.Tensor:
            pictured.add(piece.output, runner.array(logits[0, head][(slice(None), *inside)]), valid)
            return seeds(logits)

        return seeded

    def lost_by_layer(
        self, patch: Patch, mask: np.ndarray, replicas: list[Replica], piece: Tile
    ) -> dict[str, float]:
        """Return how much relevance each layer loses on a piece whose seeded pixels are `mask`."""
        runner = replicas[0].runner
        inputs = runner.standardise(patch, piece.input)
        seeds = seeds_of(self.seeding, mask, runner, inputs, fixed=False)
        return lost_by_layer(runner, rules_of(runner, self.method), inputs, seeds)

    def _of_fine_inputs(
        self, runner: Runner, explanation: Explanation, inputs: Inputs, noise: Inputs | None
    ) -> np.ndarray:
        """Return the relevance (fine channel, row, column) of fine inputs."""
        direct = None if explanation.direct_fine is None else runner.array(explanation.direct_fine[0])
        if explanation.fine is None:
            return np.zeros(inputs.fine.shape[1:], runner.array_dtype) if direct is None else direct
        relevance = runner.array(explanation.fine[0])
        if self.method.times_input:
            given = inputs.fine if noise is None else inputs.fine + noise.fine
            multipliers, relevance = relevance, np.empty(relevance.shape, relevance.dtype)
            baseline = self.levels.astype(relevance.dtype)
            # Plane by plane: of all at once, whose pixels take turns in memory, numpy would go pixel by pixel.
            planes = zip(relevance, runner.array(given[0]), baseline, multipliers)
            for plane, values, level, multiplier in planes:
                np.subtract(values, level, out=plane)
                plane *= multiplier
        return relevance if direct is None else relevance + direct


def _check_finite(relevance: np.ndarray, tile: Tile) -> None:
    if not np.isfinite(relevance).all():
        raise NumericalError(
            f"Relevance is not finite at rows {tile.output.row} to {tile.output.row_stop}, columns "
            f"{tile.output.col} to {tile.output.col_stop}. Check the units of the channels, and the weights."
        )
