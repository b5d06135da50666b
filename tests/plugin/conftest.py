"""A QGIS with Processing and the FloeLens provider, and small rasters to give it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def provider(qgis_processing):
    """Return the provider, registered as QGIS would."""
    from floelens.plugin.main import FloeLensPlugin

    plugin = FloeLensPlugin(None)
    plugin.initProcessing()
    yield plugin.provider
    plugin.unload()


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two small untrained models that call a warm cell ice.

    ``trial-concentration`` has a sigmoid head, ``trial-type`` a softmax head of three classes. Their
    SAR branches keep random weights (from a seed); brightness temperatures get weights by hand, so
    that the maps have structure.
    """
    import torch
    from floelens.plugin.io.transaction.packages import save_package
    from floelens.plugin.networks.aspp.card import aspp_card
    from floelens.plugin.networks.card import Head, HeadClass
    from floelens.plugin.networks.package import build

    ice = Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")
    classes = (("open water", 0, "#0064ff"), ("young ice", 1, "#aa28f0"), ("old ice", 2, "#b46432"))
    kind = Head("icetype", "softmax", tuple(HeadClass(*entry) for entry in classes))
    folder = tmp_path_factory.mktemp("models")
    for name, head, slopes in (("trial-concentration", ice, [1.0]), ("trial-type", kind, [-1.0, 0.2, 0.8])):
        torch.manual_seed(3)
        card = aspp_card(name, "interpretability_small", 25, [head], title=name, pixel_size_m=80.0)
        network = build(card)
        coarse = len([c for c in card.channels if c.grid == "coarse"])
        with torch.no_grad():
            network.output.weight[:, -coarse:] = 0.15 * torch.tensor(slopes)[:, None, None, None]
        save_package(folder / name, card, network.eval())
    return folder


@pytest.fixture
def context():
    """Return a Processing context without a project."""
    from qgis.core import QgsProcessingContext

    context = QgsProcessingContext()
    yield context
    context.temporaryLayerStore().removeAllMapLayers()  # that of the last test outlives QGIS


def write_raster(path: Path, bands: dict[str, np.ndarray], epsg: int = 3413, pixel: float = 80.0) -> Path:
    """Write a GeoTIFF with named bands (row, column) on a north-up grid."""
    from osgeo import gdal, osr

    first = next(iter(bands.values()))
    rows, cols = first.shape
    kind = gdal.GDT_Byte if first.dtype == np.uint8 else gdal.GDT_Float32
    raster = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, len(bands), kind)
    raster.SetGeoTransform((0.0, pixel, 0.0, -1_000_000.0, 0.0, -pixel))
    system = osr.SpatialReference()
    system.ImportFromEPSG(epsg)
    raster.SetProjection(system.ExportToWkt())
    for number, (name, values) in enumerate(bands.items(), start=1):
        band = raster.GetRasterBand(number)
        band.SetDescription(name)
        band.WriteArray(values)
    raster = None
    return path


@pytest.fixture
def backscatter(tmp_path: Path) -> Path:
    """Return a raster of two channels that cover the values of a scene."""
    ramp = np.linspace(-30, 0, 60 * 80, dtype=np.float32).reshape(60, 80)
    return write_raster(tmp_path / "sar.tif", {"hh": ramp, "hv": ramp - 8})
