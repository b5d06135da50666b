"""Rasters that are written."""
