"""A combo box in which anything may be typed: what the choosers of models, classes and layers share."""

from __future__ import annotations

from processing.gui.wrappers import DIALOG_MODELER, WidgetWrapper
from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QComboBox


class TypedChoice(WidgetWrapper):
    """Chooses a text: from a list, by typing, or in the model designer from inputs and other steps.

    What is typed is passed on as it is; whether it is right is judged when the tool runs.
    """

    def createWidget(self, **options):  # noqa: N802
        """Return the combo box."""
        combo = self.make_combo(**options)
        combo.setEditable(True)
        combo.completer().setCaseSensitivity(Qt.CaseSensitivity.CaseSensitive)
        for text in self.choices():
            combo.addItem(text, text)
        if self.dialogType == DIALOG_MODELER:
            values = self.dialog.getAvailableValuesOfType(
                [QgsProcessingParameterString, QgsProcessingParameterFile],
                [QgsProcessingOutputString, QgsProcessingOutputFile],
            )
            for value in values:
                combo.addItem(self.dialog.resolveValueDescription(value), value)
        if self.parameterDefinition().defaultValue() is None:
            combo.setCurrentIndex(-1)  # nothing is chosen by itself
        combo.editTextChanged.connect(self._changed)
        return combo

    def make_combo(self, **_options) -> QComboBox:
        """Return an empty combo box; `_options` are those of the parameter's metadata."""
        return QComboBox()

    def choices(self) -> list[str]:
        """Return the list to begin with."""
        return []

    def setValue(self, value) -> None:  # noqa: N802
        """Show `value`; one that is not in the list appears as typed text."""
        if value is not None:
            self.setComboValue(value)

    def value(self):
        """Return what is shown: the text, or the input or step that it stands for.

        Not the chosen entry: after typing, QGIS's own combo boxes still have the entry that was chosen before.
        """
        text = self.widget.currentText().strip()
        place = self.widget.findText(text, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchCaseSensitive)
        return self.widget.itemData(place) if place >= 0 else text

    def _changed(self, _text: str) -> None:
        self.widgetValueHasChanged.emit(self)
