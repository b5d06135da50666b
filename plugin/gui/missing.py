"""Says which libraries are missing, and the one way that fits this QGIS, to be copied."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QApplication, QMessageBox, QWidget

from ..ground import dependencies

TITLE = "FloeLens: libraries are missing"


def missing_box(parent: QWidget | None, names: tuple[str, ...]) -> QMessageBox:
    """Return the window, with a button that copies the command."""
    box = QMessageBox(parent)
    box.setWindowTitle(TITLE)
    box.setIcon(QMessageBox.Icon.Information)
    box.setText(dependencies.steps_text(names))
    box.setInformativeText(dependencies.install_command(names))
    box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    copy = box.addButton("Copy the command", QMessageBox.ButtonRole.ActionRole)
    box.addButton(QMessageBox.StandardButton.Close)
    copy.clicked.connect(lambda: QApplication.clipboard().setText(box.informativeText()))
    return box


def show_missing(parent: QWidget | None) -> None:
    """Show the window where something is missing."""
    names = dependencies.missing()
    if names:
        missing_box(parent, names).exec()
