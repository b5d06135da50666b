"""The plugin as QGIS sees it: it registers one Processing provider, and nothing else."""

from __future__ import annotations

from qgis.core import QgsApplication

from .algorithms.job_threads import JOB_THREADS
from .provider import FloeLensProvider


class FloeLensPlugin:
    """Adds the FloeLens provider to Processing and takes it away again.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface or None
        The desktop; None under ``qgis_process``, which calls `initProcessing` only.
    """

    def __init__(self, iface) -> None:
        self.iface = iface
        self.provider = None

    def initProcessing(self) -> None:  # noqa: N802 (the name QGIS looks up)
        """Register the provider; `qgis_process` calls this and never `initGui`."""
        if self.provider is None:
            self.provider = FloeLensProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Start in the desktop: everything is in the Processing toolbox."""
        self.initProcessing()

    def unload(self) -> None:
        """Leave no trace."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        JOB_THREADS.close()
