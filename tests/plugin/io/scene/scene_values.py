"""Rasters of a calm scene whose values a test can replace by others, in other units."""

from __future__ import annotations

import numpy as np
import rasterio
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.tests.plugin.io.rasters import affine_grid, card_of, write_raster

ROWS, COLS, RATIO = 120, 160, 10
MWR = ("btemp_6_9h", "btemp_6_9v", "btemp_89_0h", "btemp_89_0v")
WATER = {"btemp_6_9h": 82.0, "btemp_6_9v": 162.0, "btemp_89_0h": 211.0, "btemp_89_0v": 250.0}  # K, real means
CARD = card_of(standard_channels(("hh", "hv", *MWR), RATIO))
GRID = affine_grid(ROWS, COLS)


class Trial:
    """The rasters of a scene; what is given replaces them."""

    def __init__(self, folder, truth):
        self.folder, (self.backscatter, self.temperatures) = folder, truth

    def _write(self, name, values, grid, names, units, tags, **options):
        path = write_raster(self.folder / name, values, grid, names, **options)
        with rasterio.open(path, "r+") as raster:
            raster.units = units
            for band, band_tags in enumerate(tags, start=1):
                raster.update_tags(band, **band_tags)
        return path

    def sar(self, values=None, units=("dB", "dB"), names=("hh", "hv"), tags=(), name="sar.tif", **options):
        values = self.backscatter if values is None else values
        return self._write(name, values, GRID, names, units, tags, **options)

    def mwr(self, values=None, units=("K",) * 4, names=MWR, tags=(), name="mwr.tif", **options):
        values = self.temperatures if values is None else values
        return self._write(name, values, GRID.coarser(RATIO), names, units, tags, **options)

    def open(self, sar=None, mwr=None, card=CARD, **options):
        return Scene.open(card, sar or self.sar(), mwr or self.mwr(), **options)

    def values(self, sar=None, mwr=None, **options):
        """Return fine and coarse values as the network sees them, and the scene's notes."""
        with self.open(sar, mwr, **options) as scene:
            patch = scene.read(scene.grid.window)
            return patch.fine, patch.coarse, " ".join(scene.notes), " ".join(scene.warnings)


def power(decibels):
    return (10 ** (decibels.astype(np.float64) / 10)).astype(np.float32)
