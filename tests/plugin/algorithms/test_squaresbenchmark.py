"""The squares benchmark through QGIS's own parameters: fields of a layer, a box in a CRS, a covariance."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.jobs.test_squaresbenchmark import small  # noqa: F401  (a fixture)
from qgis.core import QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsRasterLayer


@pytest.fixture
def run(provider, tmp_path, small):  # noqa: F811
    """Return a function that runs the benchmark as the toolbox does."""
    import processing

    def call(**parameters) -> dict:
        outputs = {"OUTPUT": str(tmp_path / "s.csv"), "OUTPUT_RASTER": str(tmp_path / "maps.tif")}
        return processing.run(
            "floelens:squaresbenchmark",
            {"METHODS": [0], **outputs, **parameters},
            context=QgsProcessingContext(),
            feedback=QgsProcessingFeedback(),
        )

    return call


@pytest.fixture
def fields(tmp_path) -> QgsRasterLayer:
    """Return a layer of 60 fields of independent cells."""
    values = np.random.default_rng(0).normal(size=(60, 12, 16)).astype(np.float32)
    bands = {f"month {number}": band for number, band in enumerate(values)}
    path = write_raster(tmp_path / "stack.tif", bands, epsg=3413, pixel=25000.0)
    return QgsRasterLayer(str(path), "fields")


def test_fields_of_a_layer_and_a_box_in_another_crs_give_maps_on_the_layers_grid(run, fields):
    extent = fields.extent()
    left, top = extent.xMinimum() + 4 * 25000, extent.yMaximum() - 2 * 25000
    box = f"{left},{left + 3 * 25000},{top - 4 * 25000},{top} [EPSG:3413]"
    results = run(FIELDS=fields, INDEX_BOX=box)
    with rasterio.open(results["OUTPUT_RASTER"]) as raster:
        assert (raster.width, raster.height, raster.crs.to_epsg()) == (16, 12, 3413)
        assert raster.count == 2 * results["COMPARED"] > 0


def test_fields_are_drawn_from_a_covariance_and_refused_beside_others(run, fields, tmp_path):
    rows, cols = np.divmod(np.arange(9 * 18), 18)
    apart = np.hypot(rows[:, None] - rows, cols[:, None] - cols)
    np.savez(tmp_path / "c.npz", covariance=np.exp(-apart / 2.0), mask=np.ones((9, 18), bool))
    given = {"COVARIANCE": str(tmp_path / "c.npz"), "INDEX_BOX": "-60,20,-40,40 [EPSG:4326]"}
    results = run(**given)
    with rasterio.open(results["OUTPUT_RASTER"]) as raster:
        assert (raster.width, raster.height) == (18, 9)
        assert raster.bounds.left == pytest.approx(-180.0)
    with pytest.raises(QgsProcessingException, match="both given"):
        run(FIELDS=fields, **given)
