"""The science: arrays in, arrays out; no QGIS, no files."""
