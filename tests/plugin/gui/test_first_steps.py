"""What a new user meets: *Try it*, and what is said where a library is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from floelens.plugin.ground import dependencies


class Bar:
    """Stands for the desktop and its message bar."""

    def __init__(self) -> None:
        from qgis.PyQt.QtWidgets import QHBoxLayout, QWidget

        self.said, self.projects, self._make = [], [], lambda: (QWidget(), QHBoxLayout)

    def messageBar(self):  # noqa: N802
        return self

    def mainWindow(self):  # noqa: N802
        return None

    def createMessage(self, _title, text):  # noqa: N802
        widget, layout = self._make()
        layout(widget)
        widget.text = text
        return widget

    def pushWidget(self, widget, level, seconds=0):  # noqa: N802
        from qgis.PyQt.QtWidgets import QPushButton

        self.said.append((widget.text, [b.text() for b in widget.findChildren(QPushButton)]))

    def addProject(self, path):  # noqa: N802
        self.projects.append(path)


@pytest.fixture
def desktop(qgis_processing):
    """Return a desktop with an empty project."""
    from qgis.core import QgsProject

    QgsProject.instance().clear()
    yield Bar()
    QgsProject.instance().clear()


def test_the_window_of_what_is_missing_copies_the_command(qgis_processing, monkeypatch):
    from floelens.plugin.gui.missing import missing_box
    from qgis.PyQt.QtWidgets import QApplication, QPushButton

    box = missing_box(None, ("torch",))
    assert "1. Open" in box.text()
    assert box.informativeText() == dependencies.install_command(["torch"])
    next(b for b in box.findChildren(QPushButton) if b.text() == "Copy the command").click()
    assert QApplication.clipboard().text() == dependencies.install_command(["torch"])


def test_try_it_says_first_what_is_missing(desktop, monkeypatch):
    from floelens.plugin.gui import first_look

    shown = []
    monkeypatch.setattr(first_look.dependencies, "missing", lambda: ("torch",))
    monkeypatch.setattr(first_look, "show_missing", shown.append)
    first_look.FirstLook(desktop).start()
    assert shown == [None]


def test_a_library_that_is_there_and_broken_ends_the_task_with_a_sentence(desktop, tmp_path, monkeypatch):
    from floelens.plugin.gui.first_look import FirstLookTask

    monkeypatch.setitem(sys.modules, "floelens.plugin.jobs.firstlook", None)  # its import fails
    task = FirstLookTask(str(tmp_path))
    assert not task.run()  # what is raised here ends in a thread of Qt's, where nobody takes it
    assert "'Try it' failed unexpectedly (ModuleNotFoundError" in task.problem


def test_try_it_ends_in_a_project_whose_layers_are_there(desktop, tmp_path):
    from floelens.plugin.gui.first_look import FirstLook, FirstLookTask
    from floelens.plugin.jobs import firstlook
    from qgis.core import QgsProject

    look = FirstLook(desktop)
    look._task = task = FirstLookTask(str(tmp_path))
    small = firstlook.FirstLook(str(tmp_path), size=100, seeds=(1, 2))
    task.results = small.run(task)
    assert task.progress() == pytest.approx(100)
    look._done()
    (path,) = desktop.projects
    project = QgsProject()
    assert project.read(path)
    assert len(project.mapLayers()) == 6
    assert all(layer.isValid() for layer in project.mapLayers().values())
    assert desktop.said[-1][1] == ["Open report"]
    assert Path(task.results["REPORT"]).is_file()
    assert Path(task.results["ZSCORES_REPORT"]).is_file()


def test_a_project_that_is_open_is_not_replaced_unasked(desktop, tmp_path, monkeypatch):
    from floelens.plugin.gui import first_look
    from qgis.core import QgsProject

    QgsProject.instance().setDirty(True)
    look = first_look.FirstLook(desktop)
    look._task = first_look.FirstLookTask(str(tmp_path))
    monkeypatch.setattr(first_look, "project_of", lambda _results: "made.qgz")
    look._done()
    assert desktop.projects == []
    assert desktop.said[-1][1] == ["Open the project", "Open report"]
