"""What is lost without a group: the map's own difference, with a table beside it."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.predict import Predict
from floelens.tests.plugin.io.rasters import open_to_change


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(np.float64)


@pytest.fixture
def ablate(scene, packages, tmp_path):
    """Return a function that takes groups out of the scene: results, bands and table by group."""

    def run(name: str = "lost", model: str = "trial-concentration", progress=None, **changes):
        paths = {"output": str(tmp_path / f"{name}.tif"), "table": str(tmp_path / f"{name}.csv")}
        settings = {
            "scene": scene.inputs,
            "model": str(packages / model),
            "groups": "sensor",
            **paths,
            **changes,
        }
        results = Ablation(**settings).run(progress or Silent())
        with Path(paths["table"]).open(encoding="utf-8") as file:
            rows = {row["group"]: row for row in csv.DictReader(file)}
        return SimpleNamespace(results=results, bands=read(paths["output"]), rows=rows)

    return run


def with_band_at_mean(source: str, target, band: int, mean: float) -> str:
    """Copy a raster with one band constant."""
    import shutil

    shutil.copy(source, target)
    with open_to_change(target) as raster:
        raster.write(np.full(raster.shape, mean, "float32"), band)
    return str(target)


def test_a_band_is_the_map_minus_the_map_of_the_scene_without_the_channel(ablate, scene, packages, tmp_path):
    found = ablate(groups="channel")
    maps = []
    for sar in (scene.sar, with_band_at_mean(scene.sar, tmp_path / "flat.tif", 2, -24.701)):
        path = str(tmp_path / "ice.tif")
        inputs = SceneInputs(sar, scene.mwr, accept_range=True)  # a constant band is refused otherwise
        Predict(inputs, str(packages / "trial-concentration"), path).run(Silent())
        maps.append(read(path)[0])
    np.testing.assert_allclose(found.bands[1], maps[0] - maps[1], atol=2e-3)
    expected = np.sqrt(np.nanmean((maps[0] - maps[1]) ** 2))
    assert float(found.rows["hv"]["rmse_map"]) == pytest.approx(expected, rel=1e-3)
    assert found.rows["hv"]["linear"] == "no"
    assert found.rows["btemp_6_9h"]["linear"] == "yes"


def test_shapley_values_in_the_table_add_up_to_what_all_groups_change(ablate):
    found = ablate(groups="channel")
    shares = [float(row["shapley"]) for name, row in found.rows.items() if name != "all"]
    sizes = [float(row["shapley_abs"]) for name, row in found.rows.items() if name != "all"]
    assert len(shares) == 16
    assert abs(sum(shares) - float(found.rows["all"]["mean_change_logit"])) < 1e-6 * sum(sizes)
    assert found.results["EFFICIENCY"] < 1e-6


def test_bands_are_named_and_styled_and_the_table_is_typed(ablate, scene, tmp_path):
    found = ablate()
    assert Grid.from_file(tmp_path / "lost.tif").same_as(Grid.from_file(scene.sar))
    with rasterio.open(tmp_path / "lost.tif") as raster:
        assert raster.descriptions == ("sar", "mwr")
        assert set(raster.units) == {"%"}
        assert raster.tags()["FLOELENS_BASELINE"] == "channel means"
    leading = found.results["LEADING_GROUP"]
    assert f"{leading} raises ice" in (tmp_path / "lost.qml").read_text(encoding="utf-8")
    types = (tmp_path / "lost.csvt").read_text(encoding="utf-8").strip().split(",")
    assert len(types) == len(found.rows["all"])
    assert list(found.rows) == ["sar", "mwr", "all"]


def test_logits_can_be_mapped_instead_and_shapley_values_left_out(ablate, tmp_path):
    found = ablate(quantity="logit", shapley=False)
    assert float(found.rows["mwr"]["mean_change_logit"]) == pytest.approx(
        np.nanmean(found.bands[1]), rel=1e-5
    )
    assert found.rows["mwr"]["shapley"] == ""
    assert found.results["EFFICIENCY"] is None
    with rasterio.open(tmp_path / "lost.tif") as raster:
        assert set(raster.units) == {"logit"}


def test_classes_that_change_are_counted(ablate):
    found = ablate(model="trial-type")
    assert 0 < float(found.rows["mwr"]["share_class_changed"]) <= 1


def test_blurred_and_other_scenes_stand_in(ablate, scene, tmp_path):
    same = ablate("same", baseline="scene", baseline_scene=scene.inputs, quantity="logit")
    np.testing.assert_allclose(same.bands[np.isfinite(same.bands)], 0, atol=1e-5)
    blurred = {
        memory: ablate(f"b{memory}", baseline="blur", blur_km=1.0, compute=Compute(memory_mib=memory))
        for memory in (60, 1024)
    }
    assert np.nanmax(np.abs(blurred[1024].bands)) > 0.1
    np.testing.assert_allclose(blurred[60].bands, blurred[1024].bands, atol=1e-3)
    with rasterio.open(tmp_path / "b60.tif") as raster:
        assert raster.tags()["FLOELENS_BASELINE"] == "Gaussian blur, sd 1 km"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"baseline": "zero"}, "Unknown BASELINE 'zero'"),
        ({"baseline": "scene"}, "belong together"),
        ({"baseline": "blur", "blur_km": 0.0}, "BLUR is 0 km"),
        ({"quantity": "p"}, "Unknown QUANTITY 'p'"),
        ({"groups": "scale"}, "Unknown GROUPS 'scale'"),
        ({"class_name": "slush"}, "no class 'slush'"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(ablate, tmp_path, changes, sentence):
    with pytest.raises(ParameterError, match=sentence):
        ablate(**changes)
    assert list(tmp_path.iterdir()) == []


def test_another_scene_needs_its_radiometry(ablate, scene, tmp_path):
    with pytest.raises(ParameterError, match="give BASELINE_MWR"):
        ablate(baseline="scene", baseline_scene=SceneInputs(scene.sar))
    assert list(tmp_path.iterdir()) == []


def test_cancelling_leaves_nothing(ablate, tmp_path, stopping):
    with pytest.raises(Cancelled):
        ablate(progress=stopping, compute=Compute(memory_mib=60))
    assert list(tmp_path.iterdir()) == []
