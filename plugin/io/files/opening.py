"""What a file is before anything opens it: nothing is fetched, and nothing in a file is run.

A ``.tif`` may hold the description of a map service, a virtual raster may name files on other machines or
compute its pixels with Python code, and GDAL opens masks and overviews beside a file by itself. Each way to
a file that a person chose goes through here first, and the network is shut while it is opened
(:func:`.gdal_state.offline_gdal`), unless the person names it under ``/vsicurl/`` or the like::

    drivers = raster_drivers("scene.tif")     # judged; opened with these alone
    check_file("zones.geojson")               # before QGIS opens it
"""

from __future__ import annotations

import os
import re

from osgeo import gdal

from ...ground.errors import SceneError
from ..environment.gdal_state import offline_gdal, quiet_gdal
from .drivers import (
    NAMED_RASTERS,
    NAMED_VECTORS,
    PRODUCT,
    RASTERS,
    SERVICES,
    SUBDATASETS,
    VECTORS,
    any_driver,
    first_driver,
    is_remote,
    split_source,
    sure_driver,
)
from .sources import head
from .virtual import VIRTUAL, check_sidecars, check_virtual, is_virtual

_ADDRESS = re.compile(r"(https?|ftp)://", re.IGNORECASE)
# Where GeoJSON names its coordinate reference system by an address, GDAL fetches it.
_CRS = re.compile(rb'"crs"\s*:\s*\{[^{}]*(\{[^{}]*\})?[^{}]*\}', re.IGNORECASE)
_LINK = re.compile(rb'"(link|url)"', re.IGNORECASE)
_MOST_JSON = 64 << 20


def raster_drivers(source: str) -> list[str]:
    """Return the drivers with which a raster is opened, after it has been judged.

    Parameters
    ----------
    source : str
        What a person chose: a path, GDAL's name of a subdataset, or the text of a virtual raster.

    Raises
    ------
    SceneError
        It lies on another machine without being under ``/vsicurl/`` or the like, or leads there.
    """
    if VIRTUAL in source:
        check_virtual(source)
        return ["VRT"]
    prefix, file = split_source(source)
    if _ADDRESS.match(source) or _ADDRESS.match(file):
        raise SceneError(
            f"{source[:200]} lies on another machine. Save it on this one, or give it as GDAL reads it from there, "
            "under /vsicurl/."
        )
    _check_pieces(source)
    if prefix and prefix not in SUBDATASETS:
        raise SceneError(f"{source[:200]} is no file, nor a part of one that is read here. Name a file.")
    with quiet_gdal(), offline_gdal(is_remote(file)):
        virtual = not prefix and is_virtual(file)
        if virtual:
            check_virtual(file)
        check_sidecars(file)
    # A file that only looks like a virtual raster to another version of GDAL has not been judged.
    return (
        ["VRT"]
        if virtual
        else [SUBDATASETS[prefix]]
        if prefix
        else [name for name in RASTERS if name != "VRT"]
    )


def vector_drivers(path: str) -> list[str]:
    """Return the drivers with which a vector file is opened, after it has been judged.

    Raises
    ------
    SceneError
        It describes a service, or leads to another machine.
    """
    check_file(path)
    return list(VECTORS)


def check_file(path: str) -> None:
    """Check a raster or vector file, or what GDAL takes for one, that QGIS is to open with all drivers.

    A file that no driver knows passes: whoever opens it says what is wrong with it.

    Raises
    ------
    SceneError
        It describes a service, leads to another machine, runs code, or is in a format that is not read.
    """
    if VIRTUAL in path:
        check_virtual(path)
        return
    _check_pieces(path)
    if path.lstrip().startswith("<"):
        raise SceneError("A text that describes where data are to be fetched is no file. Name a file.")
    with quiet_gdal(), offline_gdal(is_remote(path)):
        if is_virtual(path):
            check_virtual(path)
        else:
            driver = any_driver(path)
            if driver and driver not in RASTERS + VECTORS:
                raise not_read(path, driver)
            _check_json(path)
        check_sidecars(path)
        _check_overviews(path)


def _check_pieces(path: str) -> None:
    if "/vsisparse/" in path:
        raise SceneError(
            f"{path[:200]} is put together from pieces that lie anywhere. Save it as a file first."
        )


def _check_overviews(path: str) -> None:
    """Check the file that the metadata of a raster names as its overviews: GDAL opens it for QGIS."""
    drivers = [name for name in RASTERS if name != "VRT"]
    try:
        dataset = gdal.OpenEx(path, gdal.OF_RASTER, allowed_drivers=drivers)
    except RuntimeError:  # where somebody has switched GDAL's exceptions on
        dataset = None
    named = dataset.GetMetadataItem("OVERVIEW_FILE", "OVERVIEWS") if dataset is not None else None
    if not named:
        return
    file = named.replace(":::BASE:::", os.path.dirname(path) + "/")
    if is_virtual(file) or not sure_driver(file) or is_remote(file):
        raise SceneError(
            f"{path} names '{named[:150]}' as its overviews, which is no plain raster on this machine. Save it as "
            "GeoTIFF without overviews first."
        )


def is_raster(path: str) -> bool:
    """Return whether a file is a raster that can be opened.

    Raises
    ------
    SceneError
        It leads to another machine, describes a service, or runs code.
    """
    drivers = raster_drivers(path)
    with quiet_gdal(), offline_gdal(is_remote(path)):
        try:
            is_one = gdal.OpenEx(path, gdal.OF_RASTER, allowed_drivers=drivers) is not None
        except RuntimeError:  # where somebody has switched GDAL's exceptions on
            is_one = False
        service = "" if is_one else service_of(path)
    if service:
        raise not_read(path, service)
    return is_one


def service_of(path: str) -> str:
    """Return the service that a file describes, or the product that it is, as GDAL names its driver; else nothing."""
    return "" if first_driver(path, RASTERS + VECTORS) else first_driver(path, (*SERVICES, PRODUCT))


def not_read(path: str, driver: str) -> SceneError:
    """Return the error of a file that is known to a driver of GDAL's which is not asked here."""
    if driver == PRODUCT:
        return SceneError(
            f"{path} is a satellite product, whose numbers are not calibrated. Give it to 'Import scene', and "
            "choose the raster that it writes."
        )
    if driver not in SERVICES:
        return SceneError(
            f"{path} is in a format that is not read here ({driver}). Rasters: {NAMED_RASTERS}. Polygons: "
            f"{NAMED_VECTORS}."
        )
    return SceneError(
        f"{path} holds no data but describes where they are to be fetched ({driver}). Nothing is fetched: save "
        f"what you need as a file first. Rasters: {NAMED_RASTERS}. Polygons: {NAMED_VECTORS}."
    )


def _check_json(path: str) -> None:
    if not head(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return
    crs = _CRS.search(head(path, _MOST_JSON))
    if crs and _LINK.search(crs.group(0)):
        raise SceneError(
            f"{path} names its coordinate reference system by an address on another machine, which is not asked. "
            "Save it as GeoPackage with the right one."
        )
