"""The QGIS face: one thin file an algorithm."""
