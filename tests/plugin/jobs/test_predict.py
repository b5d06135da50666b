"""The map lies on the grid of the SAR raster, and is the network's own."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.streaming import runner as network
from floelens.plugin.ground.errors import Cancelled, OutputError, SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.io.rasters.writer import RasterWriter
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.io.transaction.temporary import cannot_write
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.networks.package import load


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()


@pytest.fixture
def model(packages) -> str:
    return str(packages / "trial-concentration")


def logits_of_the_whole_scene(model: str, inputs: SceneInputs) -> np.ndarray:
    """Return the plain network's logits of a scene that is read at once, in float64."""
    import torch

    card, module = load(model)
    with Scene.open(card, inputs.sar, inputs.mwr) as scene:
        patch = scene.read(scene.grid.window)

    def standard(values, channels):
        mean, sd = (np.array([getattr(c, name) for c in channels])[:, None, None] for name in ("mean", "sd"))
        return torch.from_numpy(np.nan_to_num((values.astype(float) - mean) / sd))[None]

    with torch.no_grad():
        fine, coarse = standard(patch.fine, card.fine_channels), standard(patch.coarse, card.coarse_channels)
        return np.where(patch.valid, module.double()(fine, coarse)[0].numpy(), np.nan)


def test_concentration_is_the_sigmoid_of_the_plain_network_in_percent(scene, model, tmp_path):
    output = str(tmp_path / "ice.tif")
    results = Predict(scene.inputs, model, output).run(Silent())
    expected = 100 / (1 + np.exp(-logits_of_the_whole_scene(model, scene.inputs)))
    np.testing.assert_allclose(read(output), expected, rtol=0, atol=2e-3)
    assert results["VALID_PIXELS"] == np.isfinite(expected).sum()


def test_the_map_keeps_every_tie_point_and_says_where_it_came_from(scene, model, tmp_path):
    output = str(tmp_path / "ice.tif")
    Predict(scene.inputs, model, output).run(Silent())
    assert Grid.from_file(output).same_as(Grid.from_file(scene.sar))
    with rasterio.open(output) as raster:
        assert raster.descriptions == ("concentration",)
        assert raster.units == ("%",)
        tags = raster.tags()
    assert tags["FLOELENS_MODEL"] == "trial-concentration"
    assert tags["start_time"].startswith("2020")
    assert not any(str(tmp_path) in value for value in tags.values())


@pytest.mark.parametrize("broken", ["class.tif", "p.tif", "entropy.tif"])
def test_a_write_that_fails_in_its_thread_ends_the_run_and_leaves_no_file(
    broken, scene, packages, tmp_path, monkeypatch
):
    write, threads = RasterWriter.write, set()

    def failing(self, values):
        threads.add(threading.current_thread().name)
        if self.path.name == broken:
            raise cannot_write(self.path, "no space left on device")
        write(self, values)

    monkeypatch.setattr(RasterWriter, "write", failing)
    paths = [str(tmp_path / name) for name in ("class.tif", "p.tif", "entropy.tif")]
    model = str(packages / "trial-type")
    job = Predict(scene.inputs, model, paths[0], probabilities=paths[1], uncertainty=paths[2])
    with pytest.raises(OutputError, match=f"{broken} could not be written"):
        job.run(Silent())
    assert threads == {"floelens-writer"}
    assert not list(tmp_path.iterdir())
    assert "floelens-writer" not in {thread.name for thread in threading.enumerate()}


def test_classes_probabilities_and_entropy_agree(scene, packages, tmp_path):
    paths = [str(tmp_path / name) for name in ("class.tif", "p.tif", "entropy.tif")]
    Predict(
        scene.inputs, str(packages / "trial-type"), paths[0], probabilities=paths[1], uncertainty=paths[2]
    ).run(Silent())
    classes, p, entropy = (read(path) for path in paths)
    valid = classes[0] != 255
    np.testing.assert_allclose(p.sum(axis=0)[valid], 1, atol=1e-6)
    np.testing.assert_array_equal(classes[0][valid], p.argmax(axis=0)[valid])
    expected = -(p * np.log2(np.maximum(p, 1e-30))).sum(axis=0)
    np.testing.assert_allclose(entropy[0][valid], expected[valid], atol=1e-5)
    assert np.isnan(entropy[0][~valid]).all()
    with rasterio.open(paths[0]) as raster:
        assert raster.colormap(1)[1][:3] == (0xAA, 0x28, 0xF0)


def test_an_extent_is_the_same_part_of_the_whole_map(scene, model, tmp_path):
    whole, part = str(tmp_path / "whole.tif"), str(tmp_path / "part.tif")
    Predict(scene.inputs, model, whole).run(Silent())
    lon, lat = Grid.from_file(scene.sar).pixel_to_lonlat(np.array([130.0]), np.array([210.0]))
    inputs = SceneInputs(scene.sar, scene.mwr, extent=Polygons.point(float(lon[0]), float(lat[0])))
    Predict(inputs, model, part).run(Silent())
    np.testing.assert_allclose(read(part)[0], read(whole)[0, 125:150, 200:225], atol=1e-3)
    grid = Grid.from_file(part)
    lon_part, lat_part = grid.pixel_to_lonlat(np.array([5.0]), np.array([10.0]))
    np.testing.assert_allclose((lon_part[0], lat_part[0]), (lon[0], lat[0]), atol=1e-7)


def test_memory_does_not_change_the_map(scene, model, tmp_path):
    paths = [str(tmp_path / f"{memory}.tif") for memory in (60, 2000)]
    for path, memory in zip(paths, (60, 2000)):
        Predict(scene.inputs, model, path, compute=Compute(memory_mib=memory)).run(Silent())
    np.testing.assert_allclose(read(paths[0]), read(paths[1]), atol=1e-3)


def test_without_bfloat16_in_the_processor_the_map_is_that_of_float32_and_says_so(
    scene, model, tmp_path, recorder, monkeypatch
):
    monkeypatch.setattr(network, "computes_bfloat16", lambda: False)
    asked, plain = str(tmp_path / "asked.tif"), str(tmp_path / "plain.tif")
    Predict(scene.inputs, model, asked, compute=Compute("cpu", "bfloat16")).run(recorder)
    Predict(scene.inputs, model, plain, compute=Compute("cpu")).run(Silent())
    np.testing.assert_array_equal(read(asked), read(plain))
    with rasterio.open(asked) as raster:
        assert raster.tags()["FLOELENS_PRECISION"] == "float32"
    assert [text for text in recorder.warnings if "PRECISION=bfloat16" in text and "float32" in text]


def test_the_same_parameters_give_the_same_bytes(scene, model, tmp_path):
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        output = tmp_path / name / "ice.tif"
        Predict(scene.inputs, model, str(output)).run(Silent())
        contents.append((output.read_bytes(), output.with_suffix(".qml").read_bytes()))
    assert contents[0] == contents[1]


def test_cancelling_leaves_nothing(scene, model, tmp_path, stopping):
    with pytest.raises(Cancelled):
        Predict(
            scene.inputs,
            model,
            str(tmp_path / "ice.tif"),
            probabilities=str(tmp_path / "p.tif"),
            compute=Compute(memory_mib=60),
        ).run(stopping)
    assert list(tmp_path.iterdir()) == []


def test_land_everywhere_is_an_error_that_leaves_nothing(scene, model, tmp_path):
    world = Polygons.rectangle(-180, -90, 180, 90, "EPSG:4326")
    inputs = SceneInputs(scene.sar, scene.mwr, land=world)
    with pytest.raises(SceneError, match=r"can be mapped|no valid pixel"):
        Predict(inputs, model, str(tmp_path / "ice.tif")).run(Silent())
    assert list(tmp_path.iterdir()) == []
