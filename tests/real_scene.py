"""Makes rasters of the real AMSR2 grid over a Sentinel-1 scene of 23 August 2019.

The NetCDF file has 14 channels on 214 x 209 cells and no georeferencing; DMI's concentration of
the same scene has 5353 x 5241 pixels and 483 ground control points in EPSG:3411. The grid spans
the image in the same orientation, block-centred, so a cell is 5353/214 x 5241/209 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint

FOLDER = "amsr2-on-s1-20190823"
STEM = "S1A_EW_GRDM_1SDH_20190823T033023_20190823T033127_028691_033F56_7A1D"
FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89.0")


def concentration_path(data: Path) -> Path:
    """Return DMI's concentration in %, with 254 for land and 255 outside of the image."""
    return data / FOLDER / f"{STEM}_SIC.tiff"


def write_brightness_temperatures(data: Path, path: Path) -> Path:
    """Write the 14 channels as a GeoTIFF whose control points are those of the concentration.

    Their rows and columns are scaled to cells, their map coordinates stay: nested geometry.
    """
    netcdf = data / FOLDER / f"AMSR2_{STEM}.nc"
    names = [f"btemp_{frequency}{p}" for frequency in FREQUENCIES for p in "hv"]
    # The file has no coordinate that tells up from down, and GDAL would turn it over.
    with rasterio.Env(OSR_USE_NON_DEPRECATED="NO", GDAL_NETCDF_BOTTOMUP="NO"):
        with rasterio.open(concentration_path(data)) as sic:
            rows, cols = sic.shape
            gcps, crs = sic.gcps
        values = []
        for name in names:
            with rasterio.open(f'NETCDF:"{netcdf}":{name}') as band:
                values.append(band.read(1).astype("float32"))
        values = np.stack(values)
        scaled = [
            GroundControlPoint(
                row=g.row * values.shape[1] / rows, col=g.col * values.shape[2] / cols, x=g.x, y=g.y, z=g.z
            )
            for g in gcps
        ]
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=values.shape[1],
            width=values.shape[2],
            count=len(names),
            dtype="float32",
            nodata=np.nan,
            gcps=scaled,
            crs=crs,
        ) as out:
            out.write(values)
            out.descriptions = names
            out.update_tags(start_time="2019-08-23T03:30:23Z", amsr2_delay_s="1292..1647")
    return path
