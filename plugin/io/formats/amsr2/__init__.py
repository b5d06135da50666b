"""AMSR2 files of every kind as rasters: swaths of Level 1B and 1R, grids over a SAR scene, projected grids.

::

    product = open_amsr2(["GW1AM2_..._L1SGBTBR_....h5", "..."], options, scene, scene_time)
    product.rasters["mwr"]                  # up to fourteen channels, K
    product.rasters["ancillary_coarse"]     # the delay to the SAR, s; or a concentration, %

Swaths become cells of about 2 km on the scene's own grid, or of 10 km in polar stereographic
coordinates where there is no scene.
"""

from __future__ import annotations

from .product import open_amsr2, recognises

__all__ = ["open_amsr2", "recognises"]
