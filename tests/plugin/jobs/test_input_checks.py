"""Every job that reads a scene checks its values: results never hold what no sensor measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.zscores import ZScores

JOBS = {
    "predict": lambda inputs, model, out: Predict(inputs, model, out("tif")),
    "relevance": lambda inputs, model, out: Relevance(
        inputs, model, out("tif"), report=out("html"), report_json=out("json"), method="gradient"
    ),
    "contributions": lambda inputs, model, out: Contributions(inputs, model, out("tif"), method="gated"),
    "ablation": lambda inputs, model, out: Ablation(
        inputs, model, out("tif"), groups="sensor", shapley=False, table=out("csv")
    ),
    "zscores": lambda inputs, model, out: ZScores(
        model, out("csv"), inputs, report=out("html"), report_json=out("json"), channel_method="none"
    ),
}


def changed(path: str, folder, name: str, change, unit: str | None = None) -> str:
    """Return a copy of a raster whose values (band, row, column) `change` returns."""
    copy = str(folder / name)
    shutil.copy(path, copy)
    with rasterio.open(copy, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        values = raster.read()
        raster.write(change(values).astype(values.dtype))
        if unit is not None:
            raster.units = (unit,) * raster.count
    return copy


@pytest.fixture
def model(packages) -> str:
    return str(packages / "trial-concentration")


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return lambda extension: str(folder / f"result.{extension}")


def fill_some(values):
    values[0, 100:110, 200:230] = -9999.0  # 300 pixels
    return values


def fill_many(values):
    values[0, ::2] = 1e20
    return values


@pytest.mark.parametrize("job", JOBS)
def test_a_raster_full_of_impossible_values_ends_a_job_without_results(job, scene, model, tmp_path, out):
    sar = changed(scene.sar, tmp_path, "sar.tif", fill_many)
    with pytest.raises(SceneError, match=r"50 % of the values of hh in .* are impossible \(1e\+20\)"):
        JOBS[job](SceneInputs(sar, scene.mwr), model, out).run(Silent())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("job", JOBS)
def test_a_few_impossible_values_are_told_in_log_report_and_tags(job, scene, model, tmp_path, out, recorder):
    sar = changed(scene.sar, tmp_path, "sar.tif", fill_some)
    mwr = changed(scene.mwr, tmp_path, "mwr.tif", lambda kelvin: kelvin - 273.15, "degC")
    log = recorder.messages = []
    recorder.message = log.append
    JOBS[job](SceneInputs(sar, mwr), model, out).run(recorder)
    assert sum("hh 300 of " in line for line in log) == 1
    assert any("converted from °C ('degC') to K" in line for line in log)
    if job == "zscores":
        with Path(out("json")).open(encoding="utf-8") as file:
            tags = json.load(file)["provenance"]
    else:
        with rasterio.open(out("tif")) as raster:
            tags = raster.tags()
    assert tags["FLOELENS_OUT_OF_RANGE"].startswith("hh 300 of ")
    assert tags["FLOELENS_UNITS"].endswith("converted from °C ('degC') to K")
    if job in ("relevance", "zscores"):
        with Path(out("html")).open(encoding="utf-8") as file:
            page = file.read()
        assert "hh 300 of " in page
        assert "converted from °C" in page


@pytest.mark.parametrize("job", ["relevance", "zscores"])
def test_a_report_warns_of_a_scene_outside_of_the_networks_experience(job, scene, model, tmp_path, out):
    def colder(kelvin):
        kelvin[13] -= 80.0
        return kelvin

    mwr = changed(scene.mwr, tmp_path, "mwr.tif", colder)
    JOBS[job](SceneInputs(scene.sar, mwr), model, out).run(Silent())
    with Path(out("json")).open(encoding="utf-8") as file:
        report = json.load(file)
    assert any(
        "outside of what model" in warning and "btemp_89_0v is " in warning for warning in report["warnings"]
    )
    assert report["provenance"]["FLOELENS_UNFAMILIAR"].startswith("btemp_89_0v is ")


def test_the_map_of_converted_radiometry_and_power_is_the_right_map(scene, model, tmp_path, out):
    right = out("tif")
    Predict(scene.inputs, model, right).run(Silent())
    sar = changed(scene.sar, tmp_path, "sar.tif", lambda decibels: 10 ** (decibels / 10.0), "1")
    mwr = changed(scene.mwr, tmp_path, "mwr.tif", lambda kelvin: kelvin - 273.15, "Celsius")
    Predict(SceneInputs(sar, mwr), model, str(tmp_path / "found.tif")).run(Silent())
    with rasterio.open(right) as expected, rasterio.open(tmp_path / "found.tif") as found:
        np.testing.assert_allclose(found.read(), expected.read(), atol=2e-4)


def test_right_inputs_leave_no_trace_of_the_checks(scene, model, out):
    Predict(scene.inputs, model, out("tif")).run(Silent())
    with rasterio.open(out("tif")) as raster:
        assert not {"FLOELENS_UNITS", "FLOELENS_OUT_OF_RANGE", "FLOELENS_UNFAMILIAR"} & set(raster.tags())


def test_the_other_scene_of_an_ablation_is_checked_as_well(scene, model, tmp_path, out):
    other = SceneInputs(changed(scene.sar, tmp_path, "sar.tif", fill_many), scene.mwr)
    job = Ablation(
        scene.inputs,
        model,
        out("tif"),
        groups="sensor",
        shapley=False,
        baseline="scene",
        baseline_scene=other,
    )
    with pytest.raises(SceneError, match=r"50 % of the values of hh in .* are impossible"):
        job.run(Silent())
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("job", JOBS)
def test_a_default_device_that_another_program_set_does_not_matter(job, scene, model, out):
    import torch

    torch.set_default_device("meta")  # tensors made there hold no values
    try:
        JOBS[job](scene.inputs, model, out).run(Silent())
        assert torch.empty(0).device.type == "meta"
    finally:
        torch.set_default_device("cpu")
