"""*Try it*: makes a small scene and explains it, in the background, and opens the project of what came out."""

from __future__ import annotations

import json
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsProject, QgsTask
from qgis.PyQt.QtCore import QObject, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import QMessageBox, QPushButton

from ..algorithms.framework.job_threads import JOB_THREADS
from ..algorithms.framework.project_file import Shown, questions, write_project
from ..ground import dependencies
from ..ground.errors import Cancelled, FloeLensError
from ..networks import registry
from .missing import show_missing

TITLE = "FloeLens: Try it"
FOLDER = "first-look"
ASK = (
    "FloeLens makes four small scenes with known ice, maps one of them with the network that comes along, and explains "
    "the map: about half a minute. Nothing is downloaded. The results go to\n\n{folder}\n\nand a project with them "
    "is opened."
)


class FirstLook(QObject):
    """Runs *Try it*.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface
        The desktop.
    """

    def __init__(self, iface) -> None:
        super().__init__()
        self._iface = iface
        self._task: FirstLookTask | None = None
        self.folder = registry.user_folder().parent / FOLDER

    def start(self, *_checked) -> None:
        """Ask, and begin; a library that is missing is said first."""
        window = self._iface.mainWindow()
        if dependencies.missing():
            show_missing(window)
            return
        if self._task is not None:
            self._say("It runs already: see the bar below the map.", Qgis.MessageLevel.Info)
            return
        buttons = QMessageBox.StandardButton.Ok | QMessageBox.StandardButton.Cancel
        asked = QMessageBox.question(
            window, TITLE, ASK.format(folder=self.folder), buttons, QMessageBox.StandardButton.Ok
        )
        if asked == QMessageBox.StandardButton.Ok:
            self.begin()

    def begin(self) -> None:
        """Begin in the background."""
        self._task = FirstLookTask(str(self.folder))
        self._task.taskCompleted.connect(self._done)
        self._task.taskTerminated.connect(self._failed)
        QgsApplication.taskManager().addTask(self._task)
        self._say(
            "Making scenes and explaining one of them: see the bar below the map.", Qgis.MessageLevel.Info, 15
        )

    def close(self) -> None:
        """Stop what runs."""
        if self._task is not None:
            self._task.taskCompleted.disconnect(self._done)
            self._task.taskTerminated.disconnect(self._failed)
            self._task.cancel()
            self._task = None

    def _done(self) -> None:
        results, self._task = self._task.results if self._task else {}, None
        try:
            path = project_of(results)
        except (RuntimeError, OSError, KeyError, ValueError) as error:
            self._say(f"The project could not be made ({error}).", Qgis.MessageLevel.Warning)
            return
        button = QPushButton("Open report")
        button.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(results["REPORT"])))
        if QgsProject.instance().isDirty() or QgsProject.instance().mapLayers():
            opened = QPushButton("Open the project")
            opened.clicked.connect(lambda: self._iface.addProject(path))
            self._say(f"Ready: {path}", Qgis.MessageLevel.Success, 0, opened, button)
            return
        self._iface.addProject(path)
        text = "Pick another question in the layer panel."
        self._say(text, Qgis.MessageLevel.Success, 0, button)

    def _failed(self) -> None:
        problem, self._task = self._task.problem if self._task else "", None
        if problem:
            self._say(problem, Qgis.MessageLevel.Warning)

    def _say(self, text: str, level, seconds: int = 0, *buttons: QPushButton) -> None:
        bar = self._iface.messageBar()
        item = bar.createMessage(TITLE, text)
        for button in buttons:
            item.layout().addWidget(button)
        bar.pushWidget(item, level, seconds)


def project_of(results: dict[str, str]) -> str:
    """Write the project of a first look beside its results and return its path."""
    path = str(Path(results["OUTPUT"]).with_name("first-look.qgz"))
    answer = json.loads(Path(results["REPORT_JSON"]).read_text(encoding="utf-8"))["answer"]
    seen = [Shown("SAR, HH", results["SAR"]), Shown("Radiometry", results["MWR"])]
    write_project(path, questions(results), seen, " ".join(answer))
    return path


class FirstLookTask(QgsTask):
    """The job of *Try it* in QGIS's list of tasks; it is the progress of the job as well.

    Parameters
    ----------
    folder : str
        Where results go.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(TITLE, QgsTask.Flag.CanCancel)
        self._folder = folder
        self.results: dict[str, str] = {}
        self.problem = ""

    def run(self) -> bool:
        """Run the job, in a thread of Python's own."""
        try:
            from ..jobs.firstlook import FirstLook as Job  # a library may be there and broken

            self.results = JOB_THREADS.run(lambda _caller: Job(self._folder).run(self))
        except Cancelled:
            return False
        except FloeLensError as error:
            self.problem = str(error)
            return False
        except Exception as error:
            self.problem = (
                f"'Try it' failed unexpectedly ({type(error).__name__}: {error}). Please report it."
            )
            return False
        return True

    def report(self, fraction: float, _text: str = "") -> None:
        """Show how far it is, 0 to 1."""
        self.setProgress(100 * fraction)

    def message(self, text: str) -> None:
        """Say nothing: the reports hold it."""

    warn = message

    def cancelled(self) -> bool:
        """Return whether a person has stopped it."""
        return self.isCanceled()
