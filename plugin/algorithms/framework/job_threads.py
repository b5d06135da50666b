"""The threads in which jobs run: made by Python, kept for later jobs, ended with the plugin.

QGIS runs a tool in the main thread or in a thread of Qt's. For Python such a thread of Qt's begins
anew at every run, and what libraries keep for a thread is destroyed between two: with pyproj 3.7 the
second run ends QGIS (pyproj's issues 1509 and 1622). In a thread that Python made and that stays,
nothing is destroyed. What touches QGIS, feedback above all, is still called in QGIS's own thread,
which waits and serves (:class:`Caller`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from ...ground.errors import Cancelled

Result = TypeVar("Result")
IDLE_S = 0.05  # between two calls of what a thread does while it waits


class Caller:
    """The thread that waits for a job: calls functions for it, and takes its result."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue = SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = True

    def call(self, function: Callable[..., Result], *arguments: object) -> Result:
        """Call `function` in the thread that waits, and return what it returns or raise what it raises.

        Raises
        ------
        Cancelled
            Nobody waits any longer.
        """
        answer: SimpleQueue = SimpleQueue()
        with self._lock:
            if not self._waiting:
                raise Cancelled("Stopped: nobody waits for this job any longer.")
            self._inbox.put((function, arguments, answer))
        return _given(answer.get())

    def finish(self, outcome: tuple[bool, object]) -> None:
        """Give the job's result, or its error, to the thread that waits."""
        self._inbox.put((None, outcome, None))

    def serve(self, idle: Callable[[], object] | None = None) -> object:
        """Wait for the job, call what it asks for, and return its result or raise its error.

        Parameters
        ----------
        idle : callable, optional
            What is called meanwhile, every :data:`IDLE_S`.
        """
        try:
            while True:
                try:
                    function, arguments, answer = self._inbox.get(timeout=IDLE_S if idle else None)
                except Empty:
                    if idle is not None:
                        idle()
                    continue
                if function is None:
                    return _given(arguments)
                answer.put(_outcome(function, *arguments))
                del function, arguments, answer
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._waiting = False
        while not self._inbox.empty():
            function, _, answer = self._inbox.get()
            if function is not None:
                answer.put((False, Cancelled("Stopped: nobody waits for this job any longer.")))


class JobThreads:
    """As many threads as jobs ran at once; a job takes one that is idle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue] = []
        self._own = threading.local()
        self._closed = 0  # how often: a thread of before ends when its job does

    def run(self, work: Callable[[Caller], Result], idle: Callable[[], object] | None = None) -> Result:
        """Run `work` in one of the threads, and return its result or raise its error.

        Parameters
        ----------
        work : callable
            Takes the :class:`Caller` that waits for it. A job that is begun inside a job runs in the
            thread it is begun in: there is nobody to wait for.
        idle : callable, optional
            What the thread that waits does meanwhile, again and again.
        """
        caller = Caller()
        if getattr(self._own, "caller", None) is not None:
            return work(self._own.caller)
        work = with_threads_of_torch(work)
        with self._lock:
            tasks = self._idle.pop() if self._idle else None
        if tasks is None:
            tasks = SimpleQueue()
            name = "FloeLens job"
            threading.Thread(target=self._loop, args=(tasks, self._closed), name=name, daemon=True).start()
        tasks.put((work, caller))
        del work
        return cast(Result, caller.serve(idle))

    def close(self) -> None:
        """End the threads: idle ones now, others after their job. Later jobs get new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._closed += 1
        for tasks in idle:
            tasks.put(None)

    def _loop(self, tasks: SimpleQueue, generation: int) -> None:
        while True:
            task = tasks.get()
            if task is None:
                return
            work, caller = task
            self._own.caller = caller
            outcome = _outcome(work, caller)
            self._own.caller = None
            del task, work
            with self._lock:
                over = generation != self._closed
                if not over:
                    self._idle.append(tasks)
            caller.finish(outcome)
            del caller, outcome  # nothing of a job stays with the thread
            if over:
                return


def with_threads_of_torch(work: Callable[..., Result]) -> Callable[..., Result]:
    """Return the work with as many threads of torch as the calling thread has.

    By itself a new thread gets the number that was set last in any other: that of a single core, where workers of
    :mod:`floelens.plugin.networks.kernels.threads` are just beginning.
    """
    torch = sys.modules.get("torch")  # not imported for this: a job may do without
    kernels = sys.modules.get(f"{__package__.rpartition('.algorithms')[0]}.networks.kernels.threads")
    number = None
    if torch is not None:
        number = torch.get_num_threads() if kernels is None else kernels.thread_count()

    def run(*arguments: object) -> Result:
        if torch is not None and torch.get_num_threads() != number:
            torch.set_num_threads(number)
        return work(*arguments)

    return run


def _outcome(function: Callable, *arguments: object) -> tuple[bool, object]:
    try:
        return True, function(*arguments)
    except BaseException as error:  # whatever it is, it belongs to whom the result belongs to
        return False, error


def _given(outcome: tuple[bool, Any]) -> Any:
    succeeded, value = outcome
    if succeeded:
        return value
    try:
        raise value
    finally:
        del outcome, value  # an error keeps this frame, which is not to keep the error


JOB_THREADS = JobThreads()
