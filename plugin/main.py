"""The plugin as QGIS sees it: a Processing provider and, in the desktop, the window of *Explain a place*."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from qgis.core import Qgis, QgsApplication, QgsSettings

from .algorithms.framework.job_threads import JOB_THREADS
from .algorithms.framework.preferences import apply_preferences
from .ground import dependencies
from .provider import ICON, FloeLensProvider

if TYPE_CHECKING:
    from .gui.first_look import FirstLook
    from .gui.options_page import OptionsFactory
    from .gui.places import Places

MENU, PLACES = "FloeLens", "Explain a place"

GREETED = "floelens/greeted"
TRY = "Try it on a simulated scene"
GREETING = (
    "Begin with Plugins > FloeLens > Try it: it makes a small scene, maps it and explains the map. Explain a place, "
    "beside it, answers a click on a scene; all tools are in the Processing toolbox (Ctrl+Alt+T), under FloeLens."
)


class FloeLensPlugin:
    """Adds the FloeLens provider to Processing, and a window to the desktop, and takes them away again.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface or None
        The desktop; None under ``qgis_process``, which calls `initProcessing` only.
    """

    def __init__(self, iface) -> None:
        self.iface = iface
        self.provider: FloeLensProvider | None = None
        self._action: Any = None  # the action in menu and toolbar
        self._places: Places | None = None
        self._options: OptionsFactory | None = None
        self._try: Any = None  # the action in the menu
        self._first_look: FirstLook | None = None

    def initProcessing(self) -> None:  # noqa: N802 (the name QGIS looks up)
        """Register the provider; `qgis_process` calls this and never `initGui`."""
        if self.provider is None:
            apply_preferences()
            self.provider = FloeLensProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Start in the desktop: add the action of *Explain a place*; the first time a message says where things are."""
        self.initProcessing()
        if self.iface is None:
            return
        from qgis.PyQt.QtGui import QIcon

        try:
            from qgis.PyQt.QtGui import QAction  # where Qt 6 has it
        except ImportError:
            from qgis.PyQt.QtWidgets import QAction

        self._action = QAction(QIcon(str(ICON)), PLACES, self.iface.mainWindow())
        self._action.setCheckable(True)
        # Not `toggled`: a window behind another tab is not visible, and must not be closed for that.
        self._action.triggered.connect(self._show_places)
        from .gui.options_page import OptionsFactory

        self._options = OptionsFactory()
        self.iface.registerOptionsWidgetFactory(self._options)
        self.iface.addPluginToMenu(MENU, self._action)
        self.iface.addToolBarIcon(self._action)
        self._try = QAction(QIcon(str(ICON)), TRY, self.iface.mainWindow())
        self._try.triggered.connect(self._try_it)
        self.iface.addPluginToMenu(MENU, self._try)
        absent = dependencies.missing()
        settings = QgsSettings()
        if absent:
            self._say_missing(absent)
        elif not settings.value(GREETED, False, type=bool):
            settings.setValue(GREETED, True)
            self.iface.messageBar().pushMessage("FloeLens", GREETING, Qgis.MessageLevel.Info, 60)

    def _say_missing(self, absent: tuple[str, ...]) -> None:
        """Say in the message bar that libraries are missing; a button opens the way to get them."""
        from qgis.PyQt.QtWidgets import QPushButton

        from .gui.missing import show_missing

        bar = self.iface.messageBar()
        item = bar.createMessage(
            "FloeLens", f"Missing: {', '.join(absent)}. Without it no network can be run."
        )
        button = QPushButton("How to get it")
        button.clicked.connect(lambda: show_missing(self.iface.mainWindow()))
        item.layout().addWidget(button)
        bar.pushWidget(item, Qgis.MessageLevel.Warning)

    def _try_it(self, *_checked: object) -> None:
        """Start *Try it*."""
        if self._first_look is None:
            from .gui.first_look import FirstLook

            self._first_look = FirstLook(self.iface)
        self._first_look.start()

    def _show_places(self, shown: bool) -> None:
        """Show the window of *Explain a place*, which is made the first time, or hide it."""
        if shown and self._places is None and dependencies.missing():
            from .gui.missing import show_missing

            self._action.setChecked(False)
            show_missing(self.iface.mainWindow())
            return
        if self._places is None and shown:
            from .gui.places import Places

            self._places = Places(self.iface)
            self._places.dock.visibilityChanged.connect(self._action.setChecked)
        if self._places is not None:
            self._places.dock.setVisible(shown)
            if shown:
                self._places.dock.raise_()

    def unload(self) -> None:
        """Leave no trace."""
        if self._places is not None:
            self._places.dock.visibilityChanged.disconnect(self._action.setChecked)
            self._places.close()
            self._places = None
        if self._first_look is not None:
            self._first_look.close()
            self._first_look = None
        if self._try is not None:
            self.iface.removePluginMenu(MENU, self._try)
            self._try.deleteLater()
            self._try = None
        if self._action is not None:
            self.iface.removePluginMenu(MENU, self._action)
            self.iface.removeToolBarIcon(self._action)
            self._action.deleteLater()
            self._action = None
        if self._options is not None:
            self.iface.unregisterOptionsWidgetFactory(self._options)
            self._options = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        JOB_THREADS.close()
        # Only where it has been imported: importing it here would import torch.
        threads = sys.modules.get(f"{__package__}.networks.kernels.threads")
        if threads is not None:
            threads.end_threads()
