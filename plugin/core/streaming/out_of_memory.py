"""Out-of-memory fallback: split tiles, then continue on the CPU.

A tile that does not fit into the memory of a device is split into smaller tiles, each of which answers for a part
of its output; their results together are those of the whole tile. Later tiles are split in the same way. When not
even the smallest tiles fit, the computation continues on the CPU, with tiles as planned::

    fallback = OutOfMemoryFallback(runner, plan, progress, prepare=lambda runner: runner)
    for tile, patch, last in tiles_with_patches(...):
        for piece, found in fallback.pieces(tile, lambda runner, piece: ...):
            ...                         # keep the result: nothing of a failed attempt arrives here

Work must not change anything outside of itself, since it may be repeated. The CPU has no fallback, so several
threads may call `pieces` there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Generic, TypeVar

import torch

from ...ground.protocols import Progress
from .runner import Runner, is_out_of_memory
from .tiling import SMALLEST_SIDE, Plan, Tile
from .windows import WindowPlan

Ready = TypeVar("Ready")
Result = TypeVar("Result")


class OutOfMemoryFallback(Generic[Ready]):
    """Runs work on tiles; splits them, and moves to the CPU at last, when the memory of the device does not suffice.

    Parameters
    ----------
    runner : Runner
        The network on its device.
    plan : Plan
        The tiles.
    progress : Progress
        Reports when tiles become smaller, and when the computation moves to the CPU.
    prepare : callable
        ``prepare(runner)`` makes ready what the work needs of the network, :attr:`ready`; called again with
        a runner on the CPU after the last fallback.
    """

    def __init__(
        self, runner: Runner, plan: Plan, progress: Progress, prepare: Callable[[Runner], Ready]
    ) -> None:
        self._runner, self._plan, self._progress, self._prepare = runner, plan, progress, prepare
        self.ready = prepare(runner)
        self._side: int | None = None
        self._on_cpu = False

    def pieces(self, tile: Tile, work: Callable[[Ready, Tile], Result]) -> Iterator[tuple[Tile, Result]]:
        """Yield the parts of a tile, one as a rule, each with the result of the work.

        Parameters
        ----------
        tile : Tile
            The tile.
        work : callable
            ``work(ready, piece)`` returns the result of a piece: arrays on the host, so that those of the
            device do not pile up.
        """
        waiting = [tile]
        while waiting:
            piece = waiting.pop(0)
            if self._side is not None and max(piece.output.rows, piece.output.cols) > self._side:
                parts = piece.output.split(self._side, self._side)
                waiting = [self._plan.tile(part) for part in parts] + waiting
                continue
            result = self._attempt(piece, work)
            if result is None:
                self._split_or_move(piece)
                waiting.insert(0, piece)
            else:
                yield piece, result[0]

    def whole(self, tile: Tile, work: Callable[[Ready, Tile], Result]) -> Result:
        """Return the result of work on a small tile that must not be split: on the CPU if need be."""
        result = self._attempt(tile, work)
        if result is None:
            self._move_to_cpu()
            return work(self.ready, tile)
        return result[0]

    def _attempt(self, piece: Tile, work: Callable[[Ready, Tile], Result]) -> tuple[Result] | None:
        """Return the result of work, in a tuple, or None where the memory does not suffice."""
        try:
            with _exact_convolutions() if self._runner.device.type == "cuda" else nullcontext():
                return (work(self.ready, piece),)
        except RuntimeError as error:
            if self._on_cpu or not is_out_of_memory(error):
                raise
        return None  # only now the error is gone, and with it the arrays of the failed attempt

    def _split_or_move(self, piece: Tile) -> None:
        """Split tiles smaller than `piece`, or move to the CPU."""
        side = max(piece.output.rows, piece.output.cols) // 2
        # A network that is run in windows sees all of a window, however few pixels are asked for.
        if side >= SMALLEST_SIDE and not isinstance(self._plan, WindowPlan):
            self._side = side
            self._progress.message(
                f"The memory of the {self._runner.device.type} device does not suffice: going on with smaller tiles of "
                f"{side} pixels."
            )
            self._runner.fast.release()
            torch.cuda.empty_cache()
        else:
            self._move_to_cpu()

    def _move_to_cpu(self) -> None:
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
    """Let convolutions of float32 be computed in float32: CUDA rounds to TF32, ten bits, by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
