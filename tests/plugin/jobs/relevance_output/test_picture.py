"""The picture of a report of relevance: what it shows is what the rasters hold."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.jobs import relevance
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.report.page.map_picture import CLASSES, CONCENTRATION
from floelens.tests.plugin.jobs.test_relevance import square


@pytest.fixture
def pictured(monkeypatch):
    """Return a function that runs a job of relevance and returns the picture of its report."""

    def run(job):
        pages = []
        monkeypatch.setattr(relevance, "write_report", lambda _outputs, page, *_paths: pages.append(page))
        job.run(Silent())
        return pages[0].picture

    return run


@pytest.mark.parametrize(
    ("model", "colours"), [("trial-concentration", CONCENTRATION), ("trial-type", CLASSES)]
)
def test_the_panels_are_scene_prediction_and_relevance_as_the_rasters_have_them(
    scene, packages, tmp_path, pictured, model, colours
):
    model, part = str(packages / model), SceneInputs(scene.sar, scene.mwr, extent=square(scene, 100, 100, 40))
    sar, mwr, mapped = (str(tmp_path / f"{name}.tif") for name in ("sar", "mwr", "mapped"))
    picture = pictured(Relevance(part, model, sar, mwr, report=str(tmp_path / "r.html")))
    Predict(part, model, mapped).run(Silent())
    panels = {panel.title.split(":")[0]: panel for panel in picture.panels}
    assert list(panels) == ["scene", "network's map", "relevance of SAR", "relevance of the radiometer"]
    row, col = Grid.from_file(scene.sar).lonlat_to_pixel(picture.lon, picture.lat)
    with rasterio.open(scene.sar) as raster:
        expected = raster.read(1)[np.floor(row).astype(int), np.floor(col).astype(int)]
        np.testing.assert_array_equal(panels["scene"].values, expected)
    with rasterio.open(mapped) as raster:
        values = raster.read(1).astype(float)
        values[values == raster.nodata] = np.nan
        assert panels["network's map"].colours == colours
        np.testing.assert_allclose(panels["network's map"].values, values, rtol=1e-5)
    with rasterio.open(sar) as raster:
        total = raster.read().sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(panels["relevance of SAR"].values, total, rtol=1e-5, atol=1e-6)
    with rasterio.open(mwr) as raster:
        names = raster.descriptions
        shared = raster.read()[[name.endswith("_per_pixel") for name in names]].sum(axis=0)
    shown = panels["relevance of the radiometer"].values
    known = np.isfinite(shown)
    assert known.mean() > 0.5
    cells = shared[np.isfinite(shared)].astype(float)
    assert max(np.abs(cells - value).min() for value in np.unique(shown[known])) < 1e-5


def test_a_region_is_shown_with_its_surroundings_and_a_changed_network_has_no_map(
    scene, packages, tmp_path, pictured
):
    model = str(packages / "trial-type")
    paths = {"sar_relevance": str(tmp_path / "s.tif"), "report": str(tmp_path / "r.html")}
    region = square(scene, 10, 10, 20)
    wide = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 0, 0, 200))
    near = pictured(Relevance(wide, model, aoi=region, **paths))
    assert 120 <= near.lat.shape[0] <= 160
    part = SceneInputs(scene.sar, scene.mwr, extent=region)
    titles = [
        panel.title
        for panel in pictured(Relevance(part, model, class_name="old ice", component="d2_03", **paths)).panels
    ]
    assert not any("network's map" in title for title in titles)
