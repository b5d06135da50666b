"""The libraries under a run: GDAL and PROJ without network, coordinate systems."""
