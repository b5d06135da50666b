"""The bound on GDAL's cache of blocks, which belongs to the whole process, leaves nothing behind."""

from __future__ import annotations

import pytest
from floelens.plugin.io.environment.gdal_state import bounded_block_cache
from osgeo import gdal


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_blocks_that_overlap_put_the_size_of_before_back(first_leaves_first):
    before = gdal.GetCacheMax()
    gdal.SetCacheMax(900 << 20)
    try:
        # Two threads, as QGIS runs two tools: neither ends in the order of the other.
        one, two = bounded_block_cache(128), bounded_block_cache(64)
        one.__enter__()
        two.__enter__()
        assert gdal.GetCacheMax() == 64 << 20
        early, late = (one, two) if first_leaves_first else (two, one)
        early.__exit__(None, None, None)
        assert gdal.GetCacheMax() == (64 if first_leaves_first else 128) << 20
        late.__exit__(None, None, None)
        assert gdal.GetCacheMax() == 900 << 20
    finally:
        gdal.SetCacheMax(before)
