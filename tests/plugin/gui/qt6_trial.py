"""The windows of FloeLens under PyQt6, with stand-ins for QGIS: a script for `test_qt6`, which gives it the checkout.

A QGIS of Qt 6 cannot be had everywhere; PyQt6 can. Names of Qt are looked up in PyQt6, windows are drawn and used.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from PyQt6 import QtCore, QtGui, QtWidgets, QtXml

MODULES = {"QtCore": QtCore, "QtGui": QtGui, "QtWidgets": QtWidgets, "QtXml": QtXml}


class Layer:
    """Stands for a layer; there is none in the project."""


class LayerComboBox(QtWidgets.QComboBox):
    """Stands for a combo box of layers."""

    def __getattr__(self, name: str):
        if name.startswith(("set", "currentLayer")):
            return lambda *_values: None
        raise AttributeError(name)


class MapTool(QtCore.QObject):
    """Stands for a map tool on a canvas where a pixel is a unit of the map."""

    deactivated = QtCore.pyqtSignal()

    def __init__(self, canvas) -> None:
        super().__init__()
        self._canvas = canvas
        self.cursor = None

    def canvas(self):
        """Return the map."""
        return self._canvas

    def setCursor(self, cursor) -> None:  # noqa: N802
        """Take a cursor."""
        self.cursor = QtGui.QCursor(cursor)

    def toMapCoordinates(self, point):  # noqa: N802
        """Return the point."""
        return point

    def deactivate(self) -> None:
        """Tell that it is put down."""
        self.deactivated.emit()


class FileWidget(QtWidgets.QLineEdit):
    """Stands for a field for a file or a folder."""

    StorageMode = MagicMock()

    def setStorageMode(self, _mode) -> None:  # noqa: N802
        """Take it."""

    def setFilePath(self, path: str) -> None:  # noqa: N802
        """Show a path."""
        self.setText(path)

    def filePath(self) -> str:  # noqa: N802
        """Return the path."""
        return self.text()


class Plain:
    """Stands for a class of QGIS that another one is made of."""

    def __init__(self, *_arguments) -> None:
        self.made = True


def stand_in() -> None:
    """Put PyQt6 and stand-ins in the place of qgis and processing."""
    core, gui = MagicMock(name="qgis.core"), MagicMock(name="qgis.gui")
    for name in ("QgsMapLayer", "QgsRasterLayer", "QgsVectorLayer"):
        setattr(core, name, type(name, (Layer,), {}))
    for name in ("QgsProcessingProvider", "QgsProcessingAlgorithm", "QgsProcessingFeedback"):
        setattr(core, name, type(name, (Plain,), {}))
    core.QgsSettings.return_value.value.side_effect = lambda _key, default=None, **_kind: (
        default
    )  # nothing is kept
    core.QgsProviderRegistry.instance.return_value.providerList.return_value = ["gdal", "ogr"]
    gui.QgsMapLayerComboBox, gui.QgsMapTool = LayerComboBox, MapTool
    gui.QgsCollapsibleGroupBox, gui.QgsMapCanvasItem = QtWidgets.QGroupBox, Plain
    gui.QgsOptionsPageWidget, gui.QgsFileWidget = QtWidgets.QWidget, FileWidget
    gui.QgsOptionsWidgetFactory = type("Factory", (Plain,), {"setTitle": lambda *_arguments: None})
    qgis, pyqt, processing = (
        types.ModuleType("qgis"),
        types.ModuleType("qgis.PyQt"),
        MagicMock(name="processing"),
    )
    processing.gui.wrappers.WidgetWrapper = Plain
    qgis.core, qgis.gui, qgis.PyQt, qgis.processing = core, gui, pyqt, processing
    qgis.utils = MagicMock(name="qgis.utils")
    names = {
        "qgis": qgis,
        "qgis.core": core,
        "qgis.gui": gui,
        "qgis.PyQt": pyqt,
        "qgis.processing": processing,
    }
    names |= {
        "processing": processing,
        "processing.gui": processing.gui,
        "processing.gui.wrappers": processing.gui.wrappers,
    }
    for name, module in MODULES.items():
        setattr(pyqt, name, module)
        names[f"qgis.PyQt.{name}"] = module
    sys.modules.update(names)


def unknown_names(path: Path) -> list[str]:
    """Return what a module names of Qt that PyQt6 does not have: unscoped enums, and classes that moved."""
    source = path.read_text(encoding="utf-8")
    if "from qgis.PyQt" not in source:
        return []
    tree, roots, found = ast.parse(source), {}, []
    guarded = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Try) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.PyQt."):
            module = MODULES[node.module.rpartition(".")[2]]
            for alias in node.names:
                if hasattr(module, alias.name):
                    roots[alias.asname or alias.name] = getattr(module, alias.name)
                elif id(node) not in guarded:
                    found.append(f"{path}:{node.lineno}: {node.module}.{alias.name}")
    for node in ast.walk(tree):
        chain, inner = [], node
        while isinstance(inner, ast.Attribute):
            chain.insert(0, inner.attr)
            inner = inner.value
        if chain and isinstance(inner, ast.Name) and inner.id in roots:
            value = roots[inner.id]
            for name in chain:
                if not hasattr(value, name):
                    found.append(f"{path}:{node.lineno}: {inner.id}.{'.'.join(chain)}")
                    break
                value = getattr(value, name)
    return found


def mouse(kind, x: int, y: int) -> QtGui.QMouseEvent:
    """Return an event of the left button."""
    button = QtCore.Qt.MouseButton.LeftButton
    place = QtCore.QPointF(x, y)
    return QtGui.QMouseEvent(kind, place, place, button, button, QtCore.Qt.KeyboardModifier.NoModifier)


def use_tool() -> None:
    """Click, drag, press keys and put the tool down."""
    from floelens.plugin.gui import place_tool

    geometry, chosen = place_tool.QgsGeometry, []
    geometry.fromPointXY.return_value, geometry.fromRect.return_value = "point", "box"
    tool = place_tool.PlaceTool(MagicMock(), chosen.append)
    kinds = QtCore.QEvent.Type
    for x, y in ((10, 10), (60, 40)):
        tool.canvasPressEvent(mouse(kinds.MouseButtonPress, 10, 10))
        tool.canvasMoveEvent(mouse(kinds.MouseMove, x, y))
        tool.canvasReleaseEvent(mouse(kinds.MouseButtonRelease, x, y))
    for key in (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Escape):
        tool.keyPressEvent(QtGui.QKeyEvent(kinds.KeyPress, key, QtCore.Qt.KeyboardModifier.NoModifier))
    tool.deactivate()
    assert chosen == ["point", "box", "point"], chosen
    assert tool.cursor.shape() == QtCore.Qt.CursorShape.CrossCursor


def answer():
    """Return an answer to a place."""
    from floelens.plugin.ground.window import Window
    from floelens.plugin.report.places.answer import Evidence, PlaceAnswer, Position, Shown

    evidence = Evidence("young ice", 1.5, 0.2, {"hh": 1.8, "hv": -0.5}, 0.0, {"SAR": 1.3})
    contrast = Evidence(
        "young ice rather than open water", 2.0, 0.1, {"hh": 2.2, "hv": -0.3}, 0.0, {"SAR": 1.9}
    )
    groups = {
        kind: {"hh": ("hh",), "hv": ("hv",)} for kind in ("sensor", "frequency", "polarisation", "channel")
    }
    return PlaceAnswer(
        position=Position(20.0, 79.0, 5.5, 6.5, 1, Window(5, 6, 1, 1), 40.0, 1000.0),
        mapped=Shown("young ice", 0.8, ""),
        second=Shown("open water", 0.1, ""),
        charted=None,
        evidence=evidence,
        contrast=contrast,
        groups=groups,
        without={"SAR": Shown("open water", 0.6, "")},
        footprints=(),
        warnings=("It is near land.",),
        relevance=np.zeros((2, 3, 3), np.float32),
        around=Window(4, 5, 3, 3),
    )


def use_window() -> None:
    """Show an answer as text and bars, and copy it."""
    from floelens.plugin.gui.bars import Bars
    from floelens.plugin.gui.place_dock import PlaceDock

    bars = Bars()
    bars.show_rows([("SAR", 1.5), ("radiometry", -0.5)])
    bars.resize(300, bars.sizeHint().height())
    assert len({bars.grab().toImage().pixel(x, 8) for x in range(0, 300, 2)}) > 2, "no bar is drawn"
    dock = PlaceDock()
    asked: list[bool] = []
    dock.started.connect(asked.append)
    dock.button.click()
    assert asked == [True]
    dock.show_answer(answer())
    dock.kind.setCurrentIndex(4)
    dock.copy.click()
    assert "young ice" in QtWidgets.QApplication.clipboard().text()
    assert not dock.grab().isNull()
    dock.fail("No.")
    assert dock.status.text() == "No."


def use_plugin(root: Path) -> None:
    """Start and end the plugin in a desktop; draw every icon."""
    from floelens.plugin.main import FloeLensPlugin

    window = QtWidgets.QMainWindow()
    iface = MagicMock()
    iface.mainWindow.return_value = window
    plugin = FloeLensPlugin(iface)
    plugin.initGui()
    iface.addToolBarIcon.assert_called_once()
    iface.registerOptionsWidgetFactory.assert_called_once()
    page = plugin._options.createWidget(window)
    assert page.memory.value() >= page.memory.minimum()
    page.apply()
    plugin._action.trigger()
    iface.addDockWidget.assert_called_once()
    plugin.unload()
    iface.unregisterOptionsWidgetFactory.assert_called_once()
    for icon in (root / "resources" / "icons").glob("*.svg"):
        assert not QtGui.QIcon(str(icon)).pixmap(24, 24).isNull(), icon


def main(root: Path) -> None:
    """Look up every name, import every window, and use them."""
    stand_in()
    spec = importlib.util.spec_from_file_location(
        "floelens", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["floelens"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["floelens"])
    application = QtWidgets.QApplication(["trial", "-platform", "offscreen"])
    unknown = [name for path in sorted((root / "plugin").rglob("*.py")) for name in unknown_names(path)]
    assert not unknown, "\n".join(unknown)
    for path in sorted((root / "plugin" / "gui").glob("*.py")):
        importlib.import_module(f"floelens.plugin.gui.{path.stem}")
    use_tool()
    use_window()
    use_plugin(root)
    application.quit()
    print(f"Qt {QtCore.QT_VERSION_STR}: well")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
