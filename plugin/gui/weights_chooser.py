"""The file of weights in the dialog of *Import model*: chosen, it is recognised, and what is still needed stands below.

What holds for fields that are left empty appears in them in grey. Nothing is filled in that a person would then seem
to have said.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from html import escape
from typing import Any

from processing.gui.wrappers import DIALOG_MODELER, DIALOG_STANDARD, WidgetWrapper
from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFile,
)
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QDoubleSpinBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from ..ground import dependencies

# Parameters of the job by those of the algorithm: what a person has given so far is taken into account.
_GIVEN = {
    "FAMILY": "family",
    "NAME": "name",
    "CHANNELS": "channels",
    "PIXEL_SIZE": "pixel_size",
    "LICENCE": "licence",
    "CARD": "card",
    "RATIO": "ratio",
    "ORDER": "order",
    "PADDING": "padding",
    "UPSAMPLING": "upsampling",
}
_PAUSE_MS = 500  # after the last change of a field
_MOST_SENTENCES = 4


class _Answers(QObject):
    """Brings what a thread found into the thread of the window."""

    found = pyqtSignal(int, object)


class WeightsChooser(WidgetWrapper):
    """Chooses the INPUT of *Import model*, and says what it is."""

    def createWidget(self, **options):  # noqa: N802
        """Return the field; in the model designer it offers inputs and outputs of other steps."""
        self._wrappers: dict[str, Any] = {}
        self._asked = 0
        if self.dialogType == DIALOG_MODELER:
            combo = QComboBox()
            combo.setEditable(True)
            for value in self.dialog.getAvailableValuesOfType(
                QgsProcessingParameterFile, QgsProcessingOutputFile
            ):
                combo.addItem(self.dialog.resolveValueDescription(value), value)
            return combo
        self._file = QgsFileWidget()
        self._file.setDialogTitle(self.parameterDefinition().description())
        if self.dialogType != DIALOG_STANDARD:
            return self._file
        self._said = QLabel()
        self._said.setWordWrap(True)
        self._said.hide()
        widget = QWidget()
        self._answers = _Answers(
            widget
        )  # goes with the dialog: a thread or a timer that is late finds no window
        self._answers.found.connect(self._show)
        self._timer = QTimer(self._answers)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._ask)
        self._file.fileChanged.connect(lambda _path: self._timer.start(_PAUSE_MS))
        layout = QVBoxLayout(widget)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._file)
        layout.addWidget(self._said)
        return widget

    def setValue(self, value) -> None:  # noqa: N802
        """Show a path."""
        if self.dialogType == DIALOG_MODELER:
            self.setComboValue(value)
        else:
            self._file.setFilePath("" if value is None else str(value))

    def value(self):
        """Return the path; an empty one is for the algorithm to refuse."""
        return self.comboValue() if self.dialogType == DIALOG_MODELER else self._file.filePath()

    def postInitialize(self, wrappers) -> None:  # noqa: N802
        """Watch the other fields: what is given changes what is still needed."""
        if self.dialogType != DIALOG_STANDARD:
            return
        self._wrappers = {wrapper.parameterDefinition().name(): wrapper for wrapper in wrappers}
        for name in _GIVEN:
            if name in self._wrappers:
                self._wrappers[name].widgetValueHasChanged.connect(
                    lambda *_given: self._timer.start(_PAUSE_MS)
                )

    def _ask(self) -> None:
        """Have the file recognised, in a thread of Python's own."""
        from ..jobs.importmodel import ImportModel
        from ..jobs.models.hints import hint_for

        path = self._file.filePath().strip()
        self._asked += 1
        if not path or dependencies.missing(("torch",)):
            self._said.hide()
            return
        given: dict[str, Any] = {}
        for name, argument in _GIVEN.items():
            wrapper = self._wrappers.get(name)
            value = wrapper.parameterValue() if wrapper is not None else None
            if value not in (None, ""):
                given[argument] = value
        try:
            job = ImportModel(path, **given)
        except TypeError:
            return
        number, answers = self._asked, self._answers

        def work() -> None:
            hint = hint_for(job)
            with suppress(RuntimeError):  # the dialog was closed meanwhile
                answers.found.emit(number, hint)

        threading.Thread(target=work, name="floelens-recognise", daemon=True).start()

    def _show(self, number: int, hint: Any) -> None:
        """Say what was found; an answer to an earlier question is dropped."""
        if number != self._asked:
            return
        lines = [f"<p><b>{escape(hint.title)}</b> {escape(' '.join(hint.found[:_MOST_SENTENCES]))}</p>"]
        needed = [f"<li>{escape(self._in_labels(text))}</li>" for text in hint.needed]
        if needed and hint.family:
            lines.append(f"<p><b>Still needed:</b></p><ul>{''.join(needed)}</ul>")
        elif needed:
            lines = [f"<p><b>Not as it stands:</b> {escape(self._in_labels(hint.needed[0]))}</p>"]
        else:
            lines.append("<p><b>Nothing more is needed.</b> Grey text shows what holds for empty fields.</p>")
        self._said.setText("".join(lines))
        self._said.show()
        for name in ("NAME", "CHANNELS", "LICENCE", "PIXEL_SIZE"):
            self._set_default(name, hint.defaults.get(name, ""))

    def _in_labels(self, text: str) -> str:
        """Return a sentence with what the dialog calls parameters in place of their names."""

        def label(match: re.Match) -> str:
            wrapper = self._wrappers.get(match[0])
            if wrapper is None:
                return match[0]
            definition = wrapper.parameterDefinition()
            hidden = definition.flags() & QgsProcessingParameterDefinition.Flag.FlagAdvanced
            return f"“{definition.description()}”" + (" (among the advanced parameters)" if hidden else "")

        return re.sub(r"\b[A-Z]{4,}(?:_[A-Z]+)*\b", label, text)

    def _set_default(self, name: str, text: str) -> None:
        """Show in grey what holds while a field is empty."""
        wrapper = self._wrappers.get(name)
        widget = wrapper.wrappedWidget() if wrapper is not None else None
        if widget is None:
            return
        for line in [widget] if isinstance(widget, QLineEdit) else widget.findChildren(QLineEdit):
            if isinstance(line.parent(), QDoubleSpinBox):
                continue
            line.setPlaceholderText(text)
        for spin in [widget] if isinstance(widget, QDoubleSpinBox) else widget.findChildren(QDoubleSpinBox):
            spin.setSpecialValueText(f"0 ({text} m, as in the family's data)" if text else "0 (not known)")
