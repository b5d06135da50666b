"""A combo box of the installed models, in which a path may be typed."""

from __future__ import annotations

from processing.gui.wrappers import DIALOG_MODELER, WidgetWrapper
from qgis.core import (
    QgsProcessingOutputFile,
    QgsProcessingOutputString,
    QgsProcessingParameterFile,
    QgsProcessingParameterString,
)
from qgis.PyQt.QtWidgets import QComboBox

from ..networks import registry


class ModelChooser(WidgetWrapper):
    """Chooses the MODEL of an algorithm: an installed id, or a path.

    What is typed is passed on as it is; whether it is a model is judged when the tool runs.
    """

    def createWidget(self, **options):  # noqa: N802
        """Return the combo box; in the model designer it also offers inputs and outputs of other steps."""
        combo = QComboBox()
        combo.setEditable(True)
        for model in sorted(registry.installed()):
            combo.addItem(model, model)
        if self.dialogType == DIALOG_MODELER:
            values = self.dialog.getAvailableValuesOfType(
                [QgsProcessingParameterString, QgsProcessingParameterFile],
                [QgsProcessingOutputString, QgsProcessingOutputFile],
            )
            for value in values:
                combo.addItem(self.dialog.resolveValueDescription(value), value)
        if self.parameterDefinition().defaultValue() is None:
            combo.setCurrentIndex(-1)  # nothing is chosen by itself
        return combo

    def setValue(self, value) -> None:  # noqa: N802
        """Show `value`; one that is not in the list appears as typed text."""
        if value is not None:
            self.setComboValue(value)

    def value(self):
        """Return the id or path; an empty one is for the algorithm to refuse."""
        return self.comboValue()
