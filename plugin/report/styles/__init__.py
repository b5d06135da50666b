"""QGIS styles of the results."""
