"""Reads Sentinel-1 GRD products (EW and IW) as calibrated, noise-subtracted backscatter.

In short::

    if recognises(path):
        with open_sentinel1(path, ImportOptions()) as product:
            product.rasters["sar"].read(window)       # (hh, hv, incidence_angle; row; column)

`path` is the product's folder, its ``manifest.safe`` or a zip of it, also under GDAL's virtual file
systems. Nothing is unpacked and nothing outside of the product is opened.
"""

from __future__ import annotations

from .product import open_sentinel1
from .store import recognises

__all__ = ["open_sentinel1", "recognises"]
