"""The coverage layer tells land from gaps, and how far each footprint reaches from the coast."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.plugin.jobs.common.coverage import CoastalZone, coastal_zones
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.networks.package import load
from scipy.ndimage import distance_transform_edt


@pytest.fixture
def island(scene) -> tuple[Polygons, np.ndarray]:
    """Return an island in the scene, and its pixels."""
    grid = Grid.from_file(scene.sar)
    row = np.array([100.0, 100, 160, 160, 100])
    col = np.array([50.0, 90, 90, 50, 50])
    lon, lat = grid.pixel_to_lonlat(row, col)
    mask = np.zeros((grid.rows, grid.cols), bool)
    mask[100:160, 50:90] = True
    return Polygons((polygon_wkb([np.column_stack([lon, lat])]),), "EPSG:4326"), mask


def predict(scene, model: str, folder, land: Polygons | None, **options) -> dict:
    inputs = SceneInputs(scene.sar, scene.mwr, land=land)
    output, coverage = str(folder / "ice.tif"), str(folder / "coverage.tif")
    return Predict(inputs, model, output, coverage=coverage, **options).run(Silent())


def test_land_gaps_and_coastal_zones_have_codes_of_their_own(scene, packages, island, tmp_path):
    model = str(packages / "trial-concentration")
    results = predict(scene, model, tmp_path, island[0])
    with rasterio.open(results["COVERAGE"]) as raster:
        codes, tags = raster.read(1), raster.tags(1)
        assert raster.nodata is None
    with rasterio.open(results["OUTPUT"]) as raster:
        mapped = np.isfinite(raster.read(1))
    land = island[1]
    np.testing.assert_array_equal(codes == 254, land)
    np.testing.assert_array_equal(codes == 255, ~mapped & ~land)
    zones = coastal_zones(load(model)[0])
    assert zones
    km = distance_transform_edt(~land) * Grid.from_file(scene.sar).pixel_size() / 1e3
    for number, zone in enumerate(zones, start=1):
        within = mapped & (km < zone.width_km - 0.6)
        beyond = mapped & (km > zone.width_km + 0.6)
        assert (codes[within] >= number).all()
        assert (codes[beyond] < number).all()
        assert tags[f"CLASS_{number}"] == zone.label
    assert tags["CLASS_254"] == "land (not mapped)"
    assert tags["CLASS_255"] == "no data (not mapped)"


def test_zones_are_the_footprints_of_the_network_widest_first(packages):
    card = load(str(packages / "trial-concentration"))[0]
    widths = {max(c.footprint_km) for c in card.channels if c.footprint_km}
    assert [zone.width_km for zone in coastal_zones(card)] == sorted(widths, reverse=True)
    assert all(isinstance(zone, CoastalZone) and "GHz" in zone.label for zone in coastal_zones(card))


def test_without_land_the_layer_says_that_it_cannot_show_it(scene, packages, recorder, tmp_path):
    inputs = SceneInputs(scene.sar, scene.mwr)
    coverage = str(tmp_path / "coverage.tif")
    Predict(inputs, str(packages / "trial-concentration"), str(tmp_path / "ice.tif"), coverage=coverage).run(
        recorder
    )
    assert any("LAND is not given" in warning for warning in recorder.warnings)
    with rasterio.open(coverage) as raster:
        assert set(np.unique(raster.read(1))) <= {0, 255}
        assert "CLASS_254" not in raster.tags(1)


def test_class_rasters_tell_land_from_no_data(scene, packages, island, tmp_path):
    results = predict(scene, str(packages / "trial-type"), tmp_path, island[0])
    with rasterio.open(results["OUTPUT"]) as raster:
        classes = raster.read(1)
        assert raster.tags(1)["CLASS_254"] == "land"
    np.testing.assert_array_equal(classes == 254, island[1])
    style = (tmp_path / "ice.qml").read_text()
    assert 'label="land"' in style
    assert 'label="no data (not mapped)"' in style


def test_memory_does_not_change_the_layer(scene, packages, island, tmp_path):
    layers = []
    for memory in (60, 2000):
        folder = tmp_path / str(memory)
        folder.mkdir()
        model = str(packages / "trial-concentration")
        results = predict(scene, model, folder, island[0], compute=Compute(memory_mib=memory))
        with rasterio.open(results["COVERAGE"]) as raster:
            layers.append(raster.read(1))
    np.testing.assert_array_equal(*layers)
