"""Feature analysis of a scene: what its files hold, and scales that merge."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.streaming.runner import Runner
from floelens.plugin.ground.errors import FloeLensError, ParameterError
from floelens.plugin.ground.paths import MODELS
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.vector import Polygons, polygon_wkb
from floelens.plugin.jobs.common.inputs import Compute
from floelens.plugin.jobs.features import run
from floelens.plugin.jobs.features.job import Features
from floelens.plugin.jobs.features.scenes import further_scenes, named_after, training_warning
from floelens.plugin.networks.package import load
from floelens.tests.plugin.io.rasters import open_to_change
from floelens.tests.plugin.jobs.conftest import simulate

KINDS = {
    "output": "cam.tif", "component_maps": "maps.tif", "decomposed": "kept.tif", "table": "table.csv",
    "outliers": "outliers.gpkg", "report": "report.html", "report_json": "report.json", "report_csv": "report.csv",
    "scale": "scale.json",
}  # fmt: skip


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(np.float64)


@pytest.fixture(scope="module")
def analysed(scene, tmp_path_factory):
    """Return a function that analyses the simulated scene: results and folder."""

    def run(folder: Path | None = None, only: tuple[str, ...] = tuple(KINDS), **changes):
        folder = folder or tmp_path_factory.mktemp("features")
        paths = {name: str(folder / KINDS[name]) for name in only}
        settings = {
            "scene": scene.inputs, "model": "aspp-concentration-sim", "class_name": "ice", "sample_size_km": 4.0,
            "labels": scene.chart,
        }  # fmt: skip
        return Features(**{**settings, **paths, **changes}).run(Silent()), folder

    return run


@pytest.fixture(scope="module")
def branch(analysed):
    """Return the analysis of a layer before the last, with all results."""
    return analysed(network_layer="scales.3")


def test_map_features_and_table_of_a_run_agree(branch):
    results, folder = branch
    scaled, unscaled = read(folder / "cam.tif")
    low, high = results["SCALE_LOW"], results["SCALE_HIGH"]
    np.testing.assert_allclose(scaled, (unscaled - low) / (high - low), rtol=1e-4, atol=1e-5)
    maps = read(folder / "maps.tif")
    with rasterio.open(folder / "maps.tif") as raster:
        assert raster.descriptions[0] == f"{results['LEADING_FEATURE']} activation"
    with (folder / "table.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == results["FEATURES"] == 14
    assert sum(row["kept"] == "yes" for row in rows) == 4  # a quarter of 14, 3.5
    np.testing.assert_allclose(read(folder / "kept.tif")[1], maps[1:8:2].sum(0), atol=1e-3)
    assert (folder / "cam.qml").exists()
    types = (folder / "table.csvt").read_text(encoding="utf-8").strip().replace('"', "").split(",")
    for column, kind in zip(rows[0], types):
        if kind != "String":  # QGIS shows what is not of the declared type as NULL
            assert all(not row[column] or np.isfinite(float(row[column])) for row in rows), column


def test_the_report_says_what_was_found_in_three_sentences(branch):
    results, folder = branch
    page = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(page["summary"]) == 3
    assert " ".join(page["summary"]) == results["SUMMARY"]
    assert page["skill"]["labelled"]
    kinds = {(row["kind"], row["fill"]) for row in page["skill"]["rows"]}
    assert {("top", "zero"), ("random", "mean"), ("complement", "zero"), ("predicted class", "mean")} <= kinds
    whole = [row for row in page["skill"]["rows"] if row["kind"] == "top" and row["number"] == 14]
    assert all(row["r2"] == pytest.approx(1.0) for row in whole)
    assert whole


def test_a_scale_is_reused_as_it_is_and_refused_for_another_layer(branch, analysed, tmp_path):
    results, folder = branch
    scale = str(folder / "scale.json")
    again, _ = analysed(tmp_path, ("output", "scale"), network_layer="scales.3", scale_in=(scale,))
    assert (again["SCALE_LOW"], again["SCALE_HIGH"]) == (results["SCALE_LOW"], results["SCALE_HIGH"])
    assert again["SUMMARY"].startswith("Layer scales.3 has 14 features. ")  # no report: none was left out
    assert (tmp_path / "scale.json").read_bytes() == Path(scale).read_bytes()  # the same scene counts once
    with pytest.raises(ParameterError, match=r"another NETWORK_LAYER \(scales.3, here relu2\)"):
        analysed(tmp_path, ("output",), network_layer="relu2", scale_in=(scale,))


def test_the_map_of_the_components_is_the_logit_without_its_bias(analysed, tmp_path):
    results, folder = analysed(tmp_path, ("output", "report_json"), compute=Compute(memory_mib=256))
    page = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert page["layer"] == "components"
    assert results["CONSISTENCY"] == pytest.approx(1.0, abs=1e-6)
    assert {row["feature"] for row in page["features"]} >= {"skip_01", "btemp_6_9h"}


def test_the_radiometry_of_more_scenes_is_found_by_its_name(tmp_path):
    for name in ("a_sar.tif", "a_mwr.tif"):
        (tmp_path / name).touch()
    assert named_after(str(tmp_path / "a_sar.tif"), "_sar=_mwr", "MWR_PATTERN") == str(tmp_path / "a_mwr.tif")
    with pytest.raises(ParameterError, match=r"a_era\.tif does not exist"):
        named_after(str(tmp_path / "a_sar.tif"), "sar=era", "MWR_PATTERN")
    with pytest.raises(ParameterError, match="has no 'hh'"):
        named_after(str(tmp_path / "a_sar.tif"), "hh=mwr", "MWR_PATTERN")


def halves(scene) -> Polygons:
    """Return the upper and the lower part of a scene as polygons named by concentrations in %."""
    grid = Grid.from_file(scene.sar)
    rings = []
    for first, stop in ((20, 150), (170, 300)):
        rows, cols = np.array([first, first, stop, stop, first]), np.array([20, 380, 380, 20, 20])
        rings.append(np.column_stack(grid.pixel_to_lonlat(rows, cols)))
    return Polygons(tuple(polygon_wkb([ring]) for ring in rings), "EPSG:4326", ("0", "90"))


def test_polygons_are_samples_of_their_class_and_more_scenes_add_theirs(analysed, scene, tmp_path):
    for kind in ("sar", "mwr"):
        shutil.copy(getattr(scene, kind), tmp_path / f"b_{kind}.tif")
    with open_to_change(tmp_path / "b_sar.tif") as raster:
        raster.write(raster.read(1) + 0.5, 1)  # another scene of the same place
    results, folder = analysed(
        tmp_path,
        ("output", "report_json", "scale"),
        samples="polygons",
        zones=halves(scene),
        labels=None,
        scenes=(str(tmp_path / "b_sar.tif"),),
        cam="gradcam",
        scale_form="tanh",
        training="2018",
    )
    page = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert results["SAMPLE_COUNT"] == 4
    assert page["scenes"] == ["sar", "b_sar"]
    assert any("no name of the scenes (sar and b_sar)" in warning for warning in page["warnings"])
    assert [row["labelled"] for row in page["classes"]] == [2, 2]
    assert len(json.loads((folder / "scale.json").read_text(encoding="utf-8"))["scenes"]) == 2
    scaled, unscaled = read(folder / "cam.tif")
    assert np.isnan(unscaled[:15]).all()  # no polygon there
    assert np.nanmin(unscaled) >= 0
    slope = (np.arctanh(0.95) - np.arctanh(0.05)) / results["SCALE_HIGH"]
    np.testing.assert_allclose(scaled, np.tanh(slope * unscaled + np.arctanh(0.05)), atol=1e-5)


@pytest.fixture
def another(scene, tmp_path) -> tuple[str]:
    """Return the SAR raster of another scene, whose radiometry is beside it."""
    for kind in ("sar", "mwr"):
        shutil.copy(getattr(scene, kind), tmp_path / f"b_{kind}.tif")
    return (str(tmp_path / "b_sar.tif"),)


@pytest.mark.parametrize("fault", ["bands", "crs", "zones"])
def test_a_fault_of_a_further_scene_shows_before_the_first_pass(
    analysed, scene, another, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(run, "read_scene", None)
    settings, (path,), sentence = {}, another, "b_sar"
    if fault == "zones":
        path = simulate(tmp_path, center=(20.0, 81.0)).sar
        settings = {"samples": "polygons", "zones": halves(scene), "labels": None}
        sentence = "No polygon of ZONES lies on sar"
    else:
        with rasterio.open(path) as raster:
            values, names = raster.read(), raster.descriptions
            located = {"gcps": raster.gcps[0], "crs": raster.gcps[1]} if fault == "bands" else {}
        profile = {"driver": "GTiff", "count": len(values), "dtype": values.dtype, **located}
        with rasterio.open(path, "w", height=values.shape[1], width=values.shape[2], **profile) as raster:
            raster.write(values)
            raster.descriptions = ("x", "y", "z")[: len(values)] if fault == "bands" else names
    with pytest.raises(FloeLensError, match=sentence):
        analysed(tmp_path, ("output",), scenes=(path,), **settings)


def test_a_scene_given_twice_counts_once(scene, another):
    found = further_scenes(scene.inputs, (*another, *another, scene.sar), "sar=mwr", None, "")
    assert [inputs.sar for inputs, _ in found] == [*another]


def test_scenes_are_refused_where_the_model_reads_ancillary_rasters(analysed, scene, another, tmp_path):
    package = shutil.copytree(MODELS / "aspp-concentration-sim", tmp_path / "model")
    card = json.loads((package / "card.json").read_text(encoding="utf-8"))
    card["channels"][1]["sensor"] = "weather"
    (package / "card.json").write_text(json.dumps(card), encoding="utf-8")
    inputs = replace(scene.inputs, ancillary=(scene.chart,))
    with pytest.raises(ParameterError, match=r"SCENES: model '.*' reads hv from ANCILLARY"):
        analysed(tmp_path, ("output",), model=str(package), scene=inputs, scenes=another)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"labels": None, "labels_pattern": "sar=chart"}, "LABELS_PATTERN finds .* give LABELS"),
        ({"zones": Polygons((), "EPSG:4326")}, "ZONES are given, but SAMPLES is tiles"),
    ],
)
def test_a_parameter_without_the_one_it_needs_is_refused(analysed, tmp_path, settings, sentence):
    with pytest.raises(ParameterError, match=sentence):
        analysed(tmp_path, ("output",), **settings)


def test_a_part_of_names_that_separates_no_scenes_is_a_warning_with_their_names():
    for part, where in (("2018", "no name"), (" A", "all names")):
        assert training_warning(["a_x", "a_y"], part).startswith(
            f"TRAINING='{part.strip()}' is in {where} of the scenes (a_x and a_y)"
        )
    assert training_warning(["a_x", "a_y"], "X") == training_warning(["a_x"], " ") == ""


def definition(model: str, inputs):
    """Return valid pixels, components (component, row, column) and logits of a scene by the definition, float64."""
    card, module = load(model)
    runner = Runner(card, module, "cpu", "float64", fast=False)
    with inputs.open(card, Silent()) as scene, torch.no_grad():
        patch = scene.read(scene.region)
        given = runner.standardise(patch)
        components = runner.module.components(given.fine, given.coarse)
        logits = runner.module.output(components)
    return patch.valid, components[0].numpy(), logits[0].numpy(), runner.output_weights()


def test_whole_scenes_are_samples_with_their_own_means_and_extremes(analysed, scene, tmp_path):
    rasters = [scene.inputs]
    for name, seed in (("b", 7), ("c", 19)):
        (tmp_path / name).mkdir()
        other = simulate(tmp_path / name, seed=seed, rows=100, cols=100)
        rasters.append(other.inputs)
    results, folder = analysed(
        tmp_path,
        ("output", "table", "scale", "report_json"),
        samples="scene",
        labels=None,
        scenes=tuple(each.sar for each in rasters[1:]),
    )
    lows, highs, sums, predicted = [], [], [], []
    for inputs in rasters:
        valid, components, logits, (weight, bias) = definition("aspp-concentration-sim", inputs)
        mapped = logits[0][valid] - bias[0]
        lows.append(mapped.min())
        highs.append(mapped.max())
        sums.append(weight[0] * components[:, valid].mean(1))
        predicted.append(logits[0][valid].mean() > 0)
    assert results["SAMPLE_COUNT"] == 3
    assert results["SCALE_LOW"] == pytest.approx(np.median(lows), rel=1e-4)
    assert results["SCALE_HIGH"] == pytest.approx(np.quantile(highs, 0.9), rel=1e-4)
    with (folder / "table.csv").open(encoding="utf-8") as file:
        rows = {row["feature"]: float(row["im_all"]) for row in csv.DictReader(file)}
    card, _ = load("aspp-concentration-sim")
    expected = np.mean(sums, axis=0)
    found = [rows[part.name] for part in card.components]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    page = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert [row["samples"] for row in page["classes"]] == [3 - sum(predicted), sum(predicted)]


def test_the_short_list_of_components_goes_by_their_z_scores_too(analysed, scene, tmp_path):
    _, folder = analysed(tmp_path, ("output", "report_json"))
    page = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    orders = {each["by"]: each for each in page["short_list"]["orders"]}
    assert list(orders) == [
        "z",
        "group",
        "information",
        "importance",
    ]  # robust errors take more than one block
    assert orders["z"]["measure"] == "rmse"
    valid, components, logits, (weight, _) = definition("aspp-concentration-sim", scene.inputs)
    every = np.zeros_like(valid)
    every[::3, ::3] = True  # 255 x 285 pixels, at most 128 a side
    found = dict(zip(orders["z"]["names"], orders["z"]["values"]))
    card, _ = load("aspp-concentration-sim")
    known = [at for at, part in enumerate(card.components) if found[part.name] is not None]
    assert len(known) > 40  # others do not vary, or repeat others
    x = np.concatenate([np.ones((1, int((valid & every).sum()))), components[:, valid & every][known]])
    p = 1 / (1 + np.exp(-logits[0][valid & every]))
    size = np.sqrt((x**2).mean(1))
    x /= size[:, None]
    z = np.abs(weight[0][known]) * size[1:] / np.sqrt(np.diag(np.linalg.inv((x * p * (1 - p)) @ x.T))[1:])
    np.testing.assert_allclose([found[card.components[at].name] for at in known], z, rtol=0.02)


def test_what_passes_a_layer_by_is_named_and_can_be_joined_with_it(analysed, branch, tmp_path):
    results, folder = branch
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Beside scales.3 the logit depends on relu2, scales.0, scales.1 and 2 more" in page
    assert "NETWORK_LAYER=relu2+scales.0+scales.1+scales.2+scales.3+upsample looks at all of it." in page
    assert page.index("<figure>") < page.index("Please note") < page.index("<h2>Importance</h2>")
    joined, _ = analysed(tmp_path, ("output",), network_layer="relu6+relu2+upsample")
    assert joined["FEATURES"] == 18 + 14 + 14
    assert joined["CONSISTENCY"] > max(0.97, results["CONSISTENCY"])


@pytest.mark.parametrize(
    ("model", "class_name"), [("aspp-concentration-sim", "ice"), ("aspp-icetype-sim", "first-year ice")]
)
def test_layers_before_the_last_joined_carry_the_mean_logit_of_both_bundled_networks(
    analysed, tmp_path, model, class_name
):
    settings = {"model": model, "class_name": class_name, "labels": None, "network_layer": "relu2+upsample"}
    results, _ = analysed(tmp_path, ("output",), **settings)
    assert results["FEATURES"] == 28
    assert results["CONSISTENCY"] >= 0.97


def test_the_legend_of_the_predicted_class_names_the_classes(analysed, tmp_path):
    analysed(tmp_path, ("output",), model="aspp-icetype-sim", class_name="predicted", labels=None)
    style = (tmp_path / "cam.qml").read_text(encoding="utf-8")
    assert "much for the class predicted at the pixel: open water, " in style
