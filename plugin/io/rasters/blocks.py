"""Whether all blocks of a GeoTIFF lie in its file: where a disk is full GDAL may lose one and say nothing."""

from __future__ import annotations

from pathlib import Path

from osgeo import gdal


def lost_block(path: Path) -> str:
    """Return what is missing in a GeoTIFF, its overviews included, for a sentence; empty where nothing is."""
    size = path.stat().st_size
    dataset = gdal.Open(str(path))
    if dataset is None:
        return "the file just written cannot be opened"
    for number in range(1, dataset.RasterCount + 1):
        band = dataset.GetRasterBand(number)
        for level in [band, *(band.GetOverview(i) for i in range(band.GetOverviewCount()))]:
            width, height = level.GetBlockSize()
            for j in range(-(-level.YSize // height)):
                for i in range(-(-level.XSize // width)):
                    offset = level.GetMetadataItem(f"BLOCK_OFFSET_{i}_{j}", "TIFF")
                    length = level.GetMetadataItem(f"BLOCK_SIZE_{i}_{j}", "TIFF")
                    if not offset or not length or int(offset) + int(length) > size:
                        return f"block {i}, {j} of band {number} is not in the file"
    return ""
