"""Which formats are read, and whose a file is.

GDAL asks some 200 drivers whose a file is, by its content, whatever its name. Here only those are asked whose
files lie on this machine as they are: none that fetches what a file merely describes.
"""

from __future__ import annotations

import os
import re

from osgeo import gdal

RASTERS = (
    "VRT", "GTiff", "HFA", "ENVI", "EHdr", "netCDF", "HDF5", "HDF5Image", "HDF4", "HDF4Image", "GRIB",
    "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JPEG", "PNG", "GPKG", "AAIGrid", "GSAG", "GSBG", "GS7BG",
    "PCRaster", "RST", "SAGA", "AIG", "KEA",
)  # fmt: skip
"""Drivers of rasters that services and programs of the field write; virtual ones are judged first."""

VECTORS = (
    "ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "ESRIJSON", "TopoJSON", "FlatGeobuf", "GML", "KML", "LIBKML",
    "MapInfo File", "OpenFileGDB", "SQLite", "S57", "DXF", "CSV", "OGR_GMT", "Parquet", "Arrow",
)  # fmt: skip
"""Drivers of polygons."""

SERVICES = (
    "WMS", "WMTS", "WCS", "WFS", "OAPIF", "OGCAPI", "CSW", "HTTP", "STACTA", "STACIT", "DAAS", "EEDA", "EEDAI",
    "PLMOSAIC", "PLSCENES", "NGW", "MRF", "OGR_VRT", "GMLAS",
)  # fmt: skip
"""Drivers of files that describe where data are to be fetched."""

PRODUCT = "SAFE"
"""Driver of Sentinel-1 products, which gives their numbers as they are, without calibration."""

NAMED_RASTERS = (
    "GeoTIFF, ENVI, NetCDF, HDF5, HDF4, Erdas Imagine, GRIB, JPEG 2000, PNG, JPEG, GeoPackage, text grids and virtual "
    "rasters of these"
)
NAMED_VECTORS = "GeoPackage, shapefile, GeoJSON, FlatGeobuf, GML, KML, MapInfo and file geodatabase"

SUBDATASETS = {
    "NETCDF": "netCDF",
    "HDF5": "HDF5Image",
    "HDF4_EOS": "HDF4Image",
    "HDF4_SDS": "HDF4Image",
    "HDF4_GR": "HDF4Image",
    "GTIFF_DIR": "GTiff",
    "GTIFF_RAW": "GTiff",
    "GPKG": "GPKG",
}
"""Prefixes of GDAL's names for one raster in a file of several, and the drivers that they mean."""

# GDAL's file systems that do not leave this machine.
_LOCAL_SYSTEMS = {"zip", "tar", "gzip", "7z", "rar", "mem", "subfile"}


def split_source(source: str) -> tuple[str, str]:
    """Return the prefix and the file of a source such as ``NETCDF:"file":variable``; of a path no prefix."""
    match = re.match(
        r'^([A-Za-z0-9_]{2,}):(?:(?:off:)?\d+:)?(?:"([^"]+)"|([^":]+))(?::.*)?$', source, re.DOTALL
    )
    if match is None or os.path.exists(source):
        return "", source
    return match.group(1).upper(), match.group(2) or match.group(3)


def is_remote(path: str) -> bool:
    """Return whether a path leads through one of GDAL's file systems to another machine."""
    return path.startswith("/vsi") and mentions_remote(path)


def mentions_remote(text: str) -> bool:
    """Return whether a text mentions a file system of GDAL's that leads to another machine."""
    return any(system not in _LOCAL_SYSTEMS for system in re.findall(r"/vsi(\w+)/", text))


def first_driver(path: str, drivers: tuple[str, ...]) -> str:
    """Return which of some drivers knows a file by its content; empty where none does. Nothing is opened."""
    try:
        driver = gdal.IdentifyDriverEx(path, gdal.OF_RASTER | gdal.OF_VECTOR, list(drivers))
    except RuntimeError:  # where somebody has switched GDAL's exceptions on
        return ""
    return "" if driver is None else str(driver.ShortName)


def any_driver(path: str) -> str:
    """Return which of all drivers takes a file; empty where none does."""
    try:
        driver = gdal.IdentifyDriverEx(path, gdal.OF_RASTER | gdal.OF_VECTOR)
    except RuntimeError:  # where somebody has switched GDAL's exceptions on
        return ""
    return "" if driver is None else str(driver.ShortName)


def sure_driver(path: str) -> str:
    """Return the driver of a raster that another file names; empty where it may be none of :data:`RASTERS`.

    GDAL opens such a file by itself, with all of its drivers: one that any other driver would take counts as
    none.
    """
    if not first_driver(path, RASTERS):
        return ""
    # One driver has known it: GDAL goes no further than to ask the others.
    driver = gdal.IdentifyDriverEx(path, gdal.OF_RASTER)
    return str(driver.ShortName) if driver is not None and driver.ShortName in RASTERS else ""
