"""FloeLens: why did the network map ice there? A QGIS Processing provider."""


def classFactory(iface):  # noqa: N802 (the name QGIS looks up)
    """Return the plugin for QGIS; everything else is imported only then.

    Parameters
    ----------
    iface : qgis.gui.QgisInterface or None
        The desktop, or None under ``qgis_process``.
    """
    from .plugin.main import FloeLensPlugin

    return FloeLensPlugin(iface)
