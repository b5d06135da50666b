"""The thread in which places are explained: it keeps the scene open, and drops what nobody waits for any longer."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..algorithms.framework.job_threads import with_threads_of_torch
from ..ground.errors import Cancelled, FloeLensError
from ..ground.heap import give_back_free_memory
from ..io.geometry.vector import Polygons, read_polygons
from ..jobs.common.inputs import SceneInputs
from ..report.places.answer import PlaceAnswer, SimilarPlace

SHOWN_AT = (0.1, 0.3, 1.0)  # of the scene looked at: when similar places are shown


@dataclass(frozen=True)
class SceneChoice:
    """What places are explained of: equal choices are the same scene, which stays open.

    Parameters
    ----------
    sar, model : str
        The SAR raster and the model.
    mwr, labels : str
        The radiometry and a chart to compare with; empty for none.
    land : str
        A raster in which any value but 0 is land, or a file of polygons; empty where land is not known.
    land_layer : str
        The layer of a file of polygons.
    land_is_polygons : bool
        Whether `land` is a file of polygons.
    """

    sar: str
    model: str
    mwr: str = ""
    labels: str = ""
    land: str = ""
    land_layer: str = ""
    land_is_polygons: bool = False


@dataclass(frozen=True)
class Answered:
    """An answer, and the raster of relevance around the place."""

    answer: PlaceAnswer
    overlay: str


@dataclass(frozen=True)
class Similar:
    """Places like the one of the newest answer.

    Parameters
    ----------
    places : tuple of SimilarPlace
        The most similar first; empty where there are none, or too little has been looked at.
    share : float
        How much of the scene has been looked at, 0 to 1.
    possible : bool
        Whether the network can be asked for them.
    """

    places: tuple[SimilarPlace, ...]
    share: float
    possible: bool


class PlaceWorker(QObject):
    """Explains places one after the other in a thread of Python's own; between them it looks for similar places.

    Parameters
    ----------
    folder : str
        Where rasters of relevance go.
    """

    opened = pyqtSignal(object)  # a tuple of warnings
    answered = pyqtSignal(object)  # an Answered
    similar = pyqtSignal(object)  # a Similar, some time after an answer
    failed = pyqtSignal(str)  # a sentence

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder
        self._tasks: SimpleQueue = SimpleQueue()
        self._newest = 0
        self._thread: threading.Thread | None = None

    def ask(self, choice: SceneChoice, place: Polygons) -> None:
        """Explain a place; what was asked before and is not answered yet is dropped."""
        self._newest += 1
        if self._thread is None:
            loop = with_threads_of_torch(self._loop)
            self._thread = threading.Thread(target=loop, name="FloeLens places", daemon=True)
            self._thread.start()
        self._tasks.put((self._newest, choice, place))

    def close(self) -> None:
        """Close the scene, and end the thread as soon as it has finished its tile."""
        self._newest += 1
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join()
            self._thread = None

    def drop(self) -> None:
        """Drop what is asked and not answered yet."""
        self._newest += 1

    def newest(self) -> int:
        """Return the number of the newest question."""
        return self._newest

    def _loop(self) -> None:
        state = _Opened()
        while True:
            try:
                task = self._tasks.get(block=not state.looking)
            except Empty:
                self._look(state)
                continue
            if task is None:
                state.close()
                return
            number, choice, place = task
            del task
            if number == self._newest:
                self._answer(state, number, choice, place)
                give_back_free_memory()

    def _answer(self, state: _Opened, number: int, choice: SceneChoice, place: Polygons) -> None:
        from ..jobs.places.overlay import write_overlay

        progress = _Waited(self, number)
        try:
            if state.choice != choice:
                state.open(choice, progress)
                self.opened.emit(state.loaded.warnings)
            answer = state.loaded.explain(place, progress)
            path = str(Path(self._folder) / f"relevance_{number}.tif")
            write_overlay(state.loaded, answer, path, progress)
        except Cancelled:
            return
        except FloeLensError as error:
            self._fail(number, str(error))
        except Exception as error:
            self._fail(number, f"This place could not be explained ({type(error).__name__}: {error}).")
        else:
            if number == self._newest:
                self.answered.emit(Answered(answer, path))
                state.number, state.answer = number, answer
                state.looking = state.similar.share < 1.0
                self._show_similar(state)
            else:
                remove_overlay(path)

    def _look(self, state: _Opened) -> None:
        """Look at one more point of the scene; at some shares of it show what is similar so far."""
        before = state.similar.share
        try:
            state.looking = state.similar.look()
        except Exception:  # what a place looks like elsewhere is no reason to stop: the answer stands
            state.looking = False
            self.similar.emit(Similar((), 1.0, False))
            return
        if any(before < share <= state.similar.share for share in SHOWN_AT):
            self._show_similar(state)

    def _show_similar(self, state: _Opened) -> None:
        """Show what is like the newest place."""
        similar = state.similar
        try:
            found = similar.find(state.answer) if similar.share >= SHOWN_AT[0] else ()
        except FloeLensError:
            found = ()
        if state.number == self._newest:
            self.similar.emit(Similar(found, similar.share, similar.possible))

    def _fail(self, number: int, sentence: str) -> None:
        if number == self._newest:
            self.failed.emit(sentence)


def remove_overlay(path: str) -> None:
    """Remove a raster of relevance and its style, as far as they can be removed."""
    for file in Path(path).parent.glob(f"{Path(path).stem}.*"):
        with suppress(OSError):  # Windows keeps files that are open
            file.unlink()


class _Opened:
    """The scene that is open, if any."""

    def __init__(self) -> None:
        self.choice: SceneChoice | None = None
        self.loaded: Any = None
        self.similar: Any = None
        self.looking = False  # whether more of the scene is to be looked at
        self.answer: PlaceAnswer | None = None  # the newest, and its number
        self.number = 0

    def open(self, choice: SceneChoice, progress: _Waited) -> None:
        from ..jobs.places.loaded import LoadedScene
        from ..jobs.places.similar import SimilarPlaces

        self.close()
        land = (
            read_polygons(choice.land, choice.land_layer) if choice.land_is_polygons else choice.land or None
        )
        scene = SceneInputs(choice.sar, choice.mwr or None, land=land)
        self.loaded = LoadedScene(scene, choice.model, progress, labels=choice.labels or None)
        self.similar = SimilarPlaces(self.loaded)
        self.choice = choice

    def close(self) -> None:
        if self.loaded is not None:
            self.loaded.close()
        self.choice = self.loaded = self.similar = self.answer = None
        self.looking = False


class _Waited:
    """A progress that stops as soon as another place is asked about."""

    def __init__(self, worker: PlaceWorker, number: int) -> None:
        self._worker, self._number = worker, number

    def report(self, fraction: float, text: str = "") -> None:
        """Take no notice."""

    def message(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Take no notice: the scene's warnings are shown once it is open, and stand in every answer."""

    def cancelled(self) -> bool:
        """Return whether something newer is asked."""
        return self._worker.newest() != self._number
