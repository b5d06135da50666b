"""What happens when the memory of a device does not suffice: smaller tiles, and the CPU at last.

A tile that does not fit is cut into smaller ones that answer for a part of its output each; these see less
of the scene, and all that they find adds up to what the whole tile would have found. Later tiles are cut
alike. When not even the smallest tiles fit, the computation goes on on the CPU, with tiles as planned::

    retreat = Retreat(runner, plan, progress, prepare=lambda runner: runner)
    for tile, patch, last in tiles_with_patches(...):
        for piece, found in retreat.pieces(tile, lambda runner, piece: ...):
            ...                         # keep what was found: nothing of a failed attempt arrives here

Work must not change anything outside of itself, since it may be done again. On a CPU, which nothing retreats from,
several threads may ask for pieces at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Generic, TypeVar

import torch

from ...ground.protocols import Progress
from .runner import Runner, is_out_of_memory
from .tiling import SMALLEST_SIDE, Plan, Tile

Ready = TypeVar("Ready")
Found = TypeVar("Found")


class Retreat(Generic[Ready]):
    """Does work on tiles, with smaller and smaller ones while the memory of the device does not suffice.

    Parameters
    ----------
    runner : Runner
        The network on its device.
    plan : Plan
        The tiles.
    progress : Progress
        Told when tiles become smaller, and when the computation moves to the CPU.
    prepare : callable
        ``prepare(runner)`` makes ready what the work needs of the network, :attr:`ready`; called again with
        a runner on the CPU after the last retreat.
    """

    def __init__(
        self, runner: Runner, plan: Plan, progress: Progress, prepare: Callable[[Runner], Ready]
    ) -> None:
        self._runner, self._plan, self._progress, self._prepare = runner, plan, progress, prepare
        self.ready = prepare(runner)
        self._side: int | None = None
        self._on_cpu = False

    def pieces(self, tile: Tile, work: Callable[[Ready, Tile], Found]) -> Iterator[tuple[Tile, Found]]:
        """Yield the parts of a tile, which is one as a rule, with what was found on each.

        Parameters
        ----------
        tile : Tile
            The tile.
        work : callable
            ``work(ready, piece)`` returns what is wanted of a piece; arrays of the host, lest those of the
            device pile up.
        """
        waiting = [tile]
        while waiting:
            piece = waiting.pop(0)
            if self._side is not None and max(piece.output.rows, piece.output.cols) > self._side:
                parts = piece.output.split(self._side, self._side)
                waiting = [self._plan.tile(part) for part in parts] + waiting
                continue
            found = self._attempt(piece, work)
            if found is None:
                self._give_way(piece)
                waiting.insert(0, piece)
            else:
                yield piece, found[0]

    def whole(self, tile: Tile, work: Callable[[Ready, Tile], Found]) -> Found:
        """Return what work finds on a small tile that must not be cut: on the CPU if need be."""
        found = self._attempt(tile, work)
        if found is None:
            self._go_to_cpu()
            return work(self.ready, tile)
        return found[0]

    def _attempt(self, piece: Tile, work: Callable[[Ready, Tile], Found]) -> tuple[Found] | None:
        """Return what work finds, in a tuple, or None where the memory does not suffice."""
        try:
            with _exact_convolutions() if self._runner.device.type == "cuda" else nullcontext():
                return (work(self.ready, piece),)
        except RuntimeError as error:
            if self._on_cpu or not is_out_of_memory(error):
                raise
        return None  # only now the error is gone, and with it the arrays of the failed attempt

    def _give_way(self, piece: Tile) -> None:
        """Make tiles smaller than `piece`, or go on on the CPU."""
        side = max(piece.output.rows, piece.output.cols) // 2
        if side >= SMALLEST_SIDE:
            self._side = side
            self._progress.message(
                f"The memory of the {self._runner.device.type} device does not suffice: going on with smaller tiles of "
                f"{side} pixels."
            )
            self._runner.fast.release()
            torch.cuda.empty_cache()
        else:
            self._go_to_cpu()

    def _go_to_cpu(self) -> None:
        device, precision = self._runner.device.type, self._runner.precision
        self._runner.fast.release()
        self._runner = self._runner.on_cpu()
        finer = f" (in {self._runner.precision})" if self._runner.precision != precision else ""
        self._progress.warn(
            f"The memory of the {device} device does not suffice even for the smallest tiles: "
            f"going on on the CPU{finer}, which takes longer. Nothing is lost."
        )
        self._side, self._on_cpu = None, True
        self.ready = self._prepare(self._runner)
        torch.cuda.empty_cache()


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Let convolutions of float32 be computed in float32: CUDA rounds to TF32, ten bits, unless told not to."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
