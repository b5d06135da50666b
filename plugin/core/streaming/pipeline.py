"""Pipelining: while a tile is used, the next ones are read and computed and earlier strips are written.

Each stage has threads of its own and keeps the order; an error there is raised in the thread that uses the result.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from ...ground.protocols import Patch, Sink, Source
from ...ground.window import Window
from .tiling import Tile

# Patches that wait to be computed, at most.
PATCHES_WAITING = 2
Result = TypeVar("Result")


def read_ahead(source: Source, windows: Iterable[Window]) -> Generator[Patch, None, None]:
    """Yield the patches of `windows` in order, reading the next ones meanwhile.

    Whatever the source raises is raised here. Closing the iterator ends the thread.
    """
    waiting: queue.Queue = queue.Queue(maxsize=PATCHES_WAITING)
    stop = threading.Event()

    def enqueue(item: object) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def read() -> None:
        try:
            for window in windows:
                if stop.is_set():
                    return
                enqueue(source.read(window))
            enqueue(None)
        except BaseException as error:  # it is raised where the patches are used
            enqueue(error)

    reader = threading.Thread(target=read, name="floelens-reader", daemon=True)
    reader.start()
    try:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        reader.join()


@contextmanager
def writing_behind(sink: Sink, waiting: bool = True) -> Iterator[Sink]:
    """Give a sink that writes to `sink` in a thread while the next strip is computed.

    At most one strip waits while another is written; without `waiting` none does, which holds a strip less. What
    `sink` raises is raised at the next write or at the end. When the block is left by an error, strips that wait are
    dropped.
    """
    behind = _WriteBehind(sink, waiting)
    try:
        yield behind
    except BaseException:
        behind.close(discard=True)
        raise
    behind.close()


class _WriteBehind:
    def __init__(self, sink: Sink, waiting: bool = True) -> None:
        self._sink, self._may_wait = sink, waiting
        self._waiting: queue.Queue = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._discard = False
        self._writer = threading.Thread(target=self._run, name="floelens-writer", daemon=True)
        self._writer.start()

    def _run(self) -> None:
        while (values := self._waiting.get()) is not None:
            if self._error is None and not self._discard:
                try:
                    self._sink.write(values)
                except BaseException as error:  # it is raised in the thread that computes
                    self._error = error
            del values  # not held until the next one comes
            self._waiting.task_done()

    def write(self, values: np.ndarray) -> None:
        """Take the next strip."""
        if self._error is not None:
            raise self._error
        if not self._may_wait:
            self._waiting.join()
        self._waiting.put(values)

    def close(self, discard: bool = False) -> None:
        """Wait until all is written."""
        self._discard = discard
        self._waiting.put(None)
        self._writer.join()
        if self._error is not None and not discard:
            raise self._error


def computed_ahead(
    tiles: Iterable[tuple[Tile, Patch]],
    work: Callable[[Tile, Patch], Result],
    ahead: int,
    together: bool = True,
) -> Generator[tuple[tuple[Tile, Patch], Result], None, None]:
    """Yield tiles and patches in order, each with what `work` returns for them.

    Closing the iterator waits for the work that has begun; what has not is left out.

    Parameters
    ----------
    tiles : iterable
        What is to be computed, asked for as late as can be.
    work : callable
        ``work(tile, patch)``.
    ahead : int
        For how many more tiles it runs at the same time, each in a thread of its own; 0: none, and in the thread
        that asks.
    together : bool
        Whether they run beside the one that is waited for; else one after the other in one thread, beside what is done
        with the results.

    Raises
    ------
    Exception
        What `work` raises, in its tile's place; what `tiles` raises, up to `ahead` tiles earlier.
    """
    if not ahead:
        for tile, patch in tiles:
            yield (tile, patch), work(tile, patch)
        return
    running: deque[tuple[tuple[Tile, Patch], Future[Result]]] = deque()
    # A new thread inherits the last `set_num_threads` of any thread, even a worker's 1.
    begin = partial(torch.set_num_threads, torch.get_num_threads())
    workers = ahead + 1 if together else 1
    with ThreadPoolExecutor(workers, thread_name_prefix="floelens-tile", initializer=begin) as threads:
        try:
            for pair in tiles:
                running.append((pair, threads.submit(work, *pair)))
                if len(running) > ahead:
                    pair, future = running.popleft()
                    yield pair, future.result()
            while running:
                pair, future = running.popleft()
                yield pair, future.result()
        finally:
            for _, future in running:
                future.cancel()
