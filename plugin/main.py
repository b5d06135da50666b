"""The plugin as QGIS sees it: it registers one Processing provider, and nothing else."""

from __future__ import annotations

import sys

from qgis.core import Qgis, QgsApplication, QgsSettings

from .algorithms.framework.job_threads import JOB_THREADS
from .provider import FloeLensProvider

GREETED = "floelens/greeted"
GREETING = (
    "The tools are in the Processing toolbox (Ctrl+Alt+T), under FloeLens. First steps without data of your own: "
    "Simulate a scene, then Predict sea ice and Relevance maps on its layers. Environment says whether a library is "
    "missing."
)


class FloeLensPlugin:
    """Adds the FloeLens provider to Processing and takes it away again.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface or None
        The desktop; None under ``qgis_process``, which calls `initProcessing` only.
    """

    def __init__(self, iface) -> None:
        self.iface = iface
        self.provider: FloeLensProvider | None = None

    def initProcessing(self) -> None:  # noqa: N802 (the name QGIS looks up)
        """Register the provider; `qgis_process` calls this and never `initGui`."""
        if self.provider is None:
            self.provider = FloeLensProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Start in the desktop: everything is in the Processing toolbox, and the first time a message says so."""
        self.initProcessing()
        settings = QgsSettings()
        if self.iface is not None and not settings.value(GREETED, False, type=bool):
            settings.setValue(GREETED, True)
            self.iface.messageBar().pushMessage("FloeLens", GREETING, Qgis.MessageLevel.Info, 60)

    def unload(self) -> None:
        """Leave no trace."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        JOB_THREADS.close()
        # Only where it has been imported: importing it here would import torch.
        threads = sys.modules.get(f"{__package__}.networks.kernels.threads")
        if threads is not None:
            threads.end_threads()
