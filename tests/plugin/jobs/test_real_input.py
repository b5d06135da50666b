"""Real geometry and real radiometry: results lie where the inputs lie, datum included.

The radar of these scenes is simulated; numbers about skill are a consistency check and stand in
``bench/real_scene.py``, not here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.crs import parse_crs
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.rasters.writer import Band, RasterWriter
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.simulate import SimulateScene
from floelens.plugin.jobs.zscores import ZScores
from floelens.tests.real_scene import concentration_path, write_brightness_temperatures

CROPS = ["S1A_EW_GRDM_1SDH_20161005T142446.tif", "S1B_EW_GRDM_1SDH_20200123T120618.tif"]


def part_of_the_concentration(data: Path, window: Window, path: Path) -> Path:
    """Write a part of DMI's concentration on the same ground control points, shifted."""
    source = concentration_path(data)
    grid = Grid.from_file(source).subset(window)
    with rasterio.open(source) as raster:
        rows, cols = window.slices()
        values = raster.read(1, window=rasterio.windows.Window.from_slices(rows, cols))
    tags = {"start_time": "2019-08-23T03:30:23Z"}
    with RasterWriter(path, grid, [Band("concentration", "%")], dtype="uint8", nodata=255, tags=tags) as out:
        out.write(values[None])
    return path


@pytest.fixture(scope="module")
def franz_josef_land(real_data, tmp_path_factory) -> tuple[SceneInputs, Path]:
    """Return a part of the scene of 23 August 2019: real AMSR2, SAR after DMI's concentration."""
    folder = tmp_path_factory.mktemp("franz_josef_land")
    window = Window(400, 2600, 850, 900)  # ice edge, ice and open water
    chart = part_of_the_concentration(real_data, window, folder / "sic.tif")
    mwr = write_brightness_temperatures(real_data, folder / "amsr2.tif")
    sar = str(folder / "sar.tif")
    SimulateScene(seed=11, concentration=str(chart), sar=sar).run(Silent())
    return SceneInputs(sar, str(mwr)), chart


def test_the_main_job_keeps_the_grid_and_datum_of_epsg_3411(franz_josef_land, packages, tmp_path):
    inputs, chart = franz_josef_land
    model = str(packages / "trial-concentration")
    ice, sar, mwr = (str(tmp_path / f"{name}.tif") for name in ("ice", "sar", "mwr"))
    Predict(inputs, model, ice).run(Silent())
    Relevance(inputs, model, sar, mwr_relevance=mwr).run(Silent())
    for output, source in ((ice, chart), (sar, chart), (mwr, inputs.mwr)):
        given, made = Grid.from_file(source), Grid.from_file(output)
        assert made.differences(given) == []
        assert "Hughes" in parse_crs(made.crs).datum.ellipsoid.name
    with rasterio.open(mwr) as raster:
        values = raster.read()
    assert values.shape == (2 * 14, 214, 209)  # the sum over a cell, and the same for each SAR pixel
    assert np.isfinite(values[:, 18:48, 106:138]).all()  # the cells under the part
    assert np.isnan(values[:, 120:, :]).all()  # far from it


def test_real_brightness_temperatures_reach_the_cells_they_were_measured_over(franz_josef_land, packages):
    """The part begins at row 400 and column 2600 of the scene that the AMSR2 grid spans."""
    from floelens.plugin.io.scene.reader import Scene
    from floelens.plugin.networks.package import load

    inputs, _ = franz_josef_land
    card, _ = load(str(packages / "trial-concentration"))
    with Scene.open(card, inputs.sar, inputs.mwr) as scene:
        patch = scene.read(Window(0, 0, 850, 900))
    with rasterio.open(inputs.mwr) as raster:
        measured = raster.read(14)
    rows = (400 + 12.5 + 25 * np.arange(34)) / 5353 * 214 - 0.5
    cols = (2600 + 12.5 + 25 * np.arange(36)) / 5241 * 209 - 0.5
    i, j = np.floor(rows).astype(int)[:, None], np.floor(cols).astype(int)
    t, s = rows[:, None] - i, cols - j
    expected = (
        measured[i, j] * (1 - t) * (1 - s)
        + measured[i, j + 1] * (1 - t) * s
        + measured[i + 1, j] * t * (1 - s)
        + measured[i + 1, j + 1] * t * s
    )
    np.testing.assert_allclose(patch.coarse[13], expected, atol=0.02)


@pytest.mark.slow
def test_scores_of_real_radiometry_are_finite_with_and_without_labels(franz_josef_land, packages, tmp_path):
    inputs, chart = franz_josef_land
    for labels in (None, str(chart)):
        output = tmp_path / "z.csv"
        ZScores(
            str(packages / "trial-concentration"),
            str(output),
            scene=inputs,
            labels=labels,
            block_size_km=8,
            sample=10,
            channel_method="integrated" if labels else "gated",
        ).run(Silent())
        text = output.read_text(encoding="utf-8").lower()
        assert "nan" not in text
        assert "inf" not in text.replace("information", "")
        assert text.count("\n") == 85


@pytest.mark.parametrize("name", CROPS)
def test_real_crops_with_scattered_tie_points_keep_every_one(real_data, packages, tmp_path, name):
    """One has its tie points in degrees, the other in a stereographic CRS without a code."""
    source = real_data / "s1-ew-hv-crops" / name
    grid = Grid.from_file(source)
    full = tmp_path / "pack.tif"
    with RasterWriter(full, grid, [Band("concentration", "%")], dtype="uint8", nodata=255) as out:
        out.write(np.full((1, grid.rows, grid.cols), 95, np.uint8))
    simulated, mwr, sar = (str(tmp_path / f"{part}.tif") for part in ("simulated", "mwr", "sar"))
    SimulateScene(seed=2, concentration=str(full), sar=simulated, mwr=mwr).run(Silent())
    with rasterio.open(source) as raster, rasterio.open(simulated) as other:
        bands = np.stack([other.read(1), 10 * np.log10(raster.read(1))])
    with RasterWriter(sar, grid, [Band("hh", "dB"), Band("hv", "dB")]) as out:
        out.write(bands)
    warnings = []

    class Listening(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    model = str(packages / "trial-concentration")
    inputs = SceneInputs(sar, mwr)
    ice, evidence, cells = (str(tmp_path / f"{part}.tif") for part in ("ice", "evidence", "cells"))
    Predict(inputs, model, ice).run(Listening())
    results = Relevance(inputs, model, evidence, mwr_relevance=cells).run(Silent())
    assert any("was trained on 80 m" in text for text in warnings)
    assert Grid.from_file(ice).differences(grid) == []
    assert Grid.from_file(evidence).differences(grid) == []
    assert Grid.from_file(cells).differences(Grid.from_file(mwr)) == []
    assert len(Grid.from_file(ice).gcps) in (102, 104)
    assert results["RELATIVE_RESIDUAL"] <= 1e-4
