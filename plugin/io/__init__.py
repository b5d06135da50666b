"""Files and geometry: rasters, polygons, grids; no QGIS, no torch."""
