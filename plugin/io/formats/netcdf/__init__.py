"""Scenes as NetCDF files: ASIP v2, AI4Arctic raw and AI4Arctic ready-to-train."""

from .reader import open_netcdf, recognises

__all__ = ["open_netcdf", "recognises"]
