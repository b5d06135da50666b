"""The page *FloeLens* of QGIS's options."""

from __future__ import annotations

from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QFormLayout, QLabel, QSpinBox, QWidget

from ..algorithms.framework.preferences import preferred_memory, preferred_models, set_preferences
from ..ground.paths import RESOURCES
from ..ground.vocabulary.settings import MEMORY

MOST_MIB = 1 << 20  # a spin box as wide as a terabyte needs
HINT = (
    "Memory is what dialogs offer for new runs. Models are found in this folder, beside those that come along, those "
    "that FLOELENS_MODELS names and those that were imported."
)


class OptionsPage(QgsOptionsPageWidget):
    """Asks for the memory of a run and for a folder of models."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.memory = QSpinBox()
        self.memory.setRange(int(MEMORY.least), MOST_MIB)
        self.memory.setSingleStep(256)
        self.memory.setSuffix(" MiB")
        self.memory.setValue(preferred_memory())
        self.models = QgsFileWidget()
        self.models.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self.models.setFilePath(preferred_models())
        hint = QLabel(HINT)
        hint.setWordWrap(True)
        form = QFormLayout(self)
        form.addRow("Memory for tiles", self.memory)
        form.addRow("Folder of models", self.models)
        form.addRow(hint)

    def apply(self) -> None:
        """Keep what is set."""
        set_preferences(self.memory.value(), self.models.filePath())


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page for QGIS's options."""

    def __init__(self) -> None:
        super().__init__()
        self.setTitle("FloeLens")

    def icon(self) -> QIcon:
        """Return the icon in the list of pages."""
        return QIcon(str(RESOURCES / "icons" / "floelens.svg"))

    def createWidget(self, parent: QWidget | None) -> OptionsPage:  # noqa: N802
        """Return a page with what is set now."""
        return OptionsPage(parent)
