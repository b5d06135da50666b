"""Relevance lies on the grids of the inputs and adds up to the logits it explains."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.sampler import Sampler
from floelens.plugin.io.geometry.vector import Polygons
from floelens.plugin.io.transaction.packages import save_package
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.relevance_output.layers import per_pixel, sar_pixels
from floelens.plugin.networks.package import load
from scipy import sparse

METHODS = ["gradient_x_input", "integrated_gradients", "lrp_epsilon"]


def read(path, second: bool = False) -> np.ndarray:
    """Return the bands of a raster but those of the second reading, or only these."""
    with rasterio.open(path) as raster:
        named = [name.endswith("_per_pixel") for name in raster.descriptions]
        assert named == sorted(named)  # behind all others
        return raster.read([i for i, each in enumerate(named, 1) if each == second]).astype(np.float64)


@pytest.fixture
def model(packages) -> str:
    return str(packages / "trial-concentration")


@pytest.fixture
def explain(scene, model, tmp_path):
    """Return a function that explains a small part of the scene and returns results and maps."""

    def run(name: str = "map", **changes):
        paths = {
            "sar_relevance": str(tmp_path / f"{name}_sar.tif"),
            "mwr_relevance": str(tmp_path / f"{name}_mwr.tif"),
            "report_json": str(tmp_path / f"{name}.json"),
        }
        settings = {"scene": scene.inputs, "model": model, "steps": 8, **paths, **changes}
        results = Relevance(**settings).run(Silent())
        return results, read(paths["sar_relevance"]), read(paths["mwr_relevance"])

    return run


def square(scene, row: float, col: float, side: float) -> Polygons:
    """Return a square of pixels as a polygon in longitude and latitude."""
    from floelens.plugin.io.geometry.vector import polygon_wkb

    rows = row + side * np.array([0, 0, 1, 1, 0.0])
    cols = col + side * np.array([0, 1, 1, 0, 0.0])
    lon, lat = Grid.from_file(scene.sar).pixel_to_lonlat(rows, cols)
    return Polygons((polygon_wkb([np.column_stack([lon, lat])]),), "EPSG:4326")


@pytest.mark.parametrize("method", METHODS)
def test_the_maps_and_the_bias_add_up_to_the_logits(explain, scene, method):
    results, sar, mwr = explain(method=method, aoi=square(scene, 120, 150, 60))
    total = np.nansum(sar) + np.nansum(mwr)
    scale = np.nansum(np.abs(sar)) + np.nansum(np.abs(mwr)) + abs(results["BIAS_SHARE"])
    tolerance = 0.01 if method == "integrated_gradients" else 1e-4
    assert abs(total + results["BIAS_SHARE"] - results["TARGET_SUM"]) <= tolerance * scale
    assert results["PIXELS_EXPLAINED"] == pytest.approx(3600, rel=0.05)


def test_the_radiometer_gets_its_relevance_on_its_own_grid(explain, scene):
    _, sar, mwr = explain(aoi=square(scene, 120, 150, 60))
    assert sar.shape == (2, 255, 285)
    with rasterio.open(scene.mwr) as raster:
        assert mwr.shape == raster.read().shape
    # The network reads a pixel's own cell only: what lies outside of the region speaks neither way.
    speaks = (np.nan_to_num(np.abs(mwr)) > 0).any(axis=0)
    rows, cols = np.nonzero(speaks)
    assert rows.min() >= 120 // 25
    assert rows.max() <= 180 // 25
    assert cols.min() >= 150 // 25
    assert cols.max() <= 210 // 25


@pytest.mark.parametrize("gap", [False, True])
def test_radiometry_on_a_map_grid_of_its_own_gets_all_of_its_relevance_back(explain, scene, tmp_path, gap):
    """The adjoint sampler hands back what the cells received, whatever grid the radiometry came on.

    Beside a gap of one channel the weights are those of the pixels left, for all channels.
    """
    from rasterio.transform import from_origin
    from rasterio.warp import transform

    with rasterio.open(scene.mwr) as raster:
        names = raster.descriptions
    grid = Grid.from_file(scene.sar)
    lon, lat = grid.pixel_to_lonlat(np.array([0, 0, 255, 255.0]), np.array([0, 285, 0, 285.0]))
    x, y = (np.array(part) for part in transform("EPSG:4326", "EPSG:3413", lon, lat))
    rows, cols = (int(np.ptp(part) // 5000) + 9 for part in (y, x))
    generator = np.random.default_rng(4)
    values = (200 + 10 * generator.standard_normal((len(names), rows, cols))).astype("float32")
    if gap:
        values[3, rows // 2, cols // 2] = np.nan
    path = str(tmp_path / "mwr_3413.tif")
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=rows,
        width=cols,
        count=len(names),
        dtype="float32",
        crs="EPSG:3413",
        transform=from_origin(x.min() - 20000, y.max() + 20000, 5000, 5000),
    ) as raster:
        raster.write(values)
        raster.descriptions = names
    results, sar, mwr = explain(scene=SceneInputs(scene.sar, path))
    assert mwr.shape == values.shape
    assert np.isnan(mwr[:, rows // 2, cols // 2]).all() == gap
    total = np.nansum(sar) + np.nansum(mwr) + results["BIAS_SHARE"]
    scale = np.nansum(np.abs(sar)) + np.nansum(np.abs(mwr)) + abs(results["BIAS_SHARE"])
    assert abs(total - results["TARGET_SUM"]) <= 1e-4 * scale


def test_radiometry_has_a_second_reading_for_each_sar_pixel_of_a_cell(explain, scene, tmp_path):
    """Cells at the edge of the scene, 255 x 285 pixels, hold fewer pixels: 5 of 25 rows, 10 of 25 columns."""
    _, sar, mwr = explain()
    second = read(tmp_path / "map_mwr.tif", second=True)
    rows, cols = (np.diff([*range(0, size, 25), size]) for size in (255, 285))
    np.testing.assert_allclose(second, mwr / np.outer(rows, cols), rtol=1e-6)
    limits = [
        re.search(r"≥ ([\d.]+) speaks for .*?\(logit per SAR pixel\)", (tmp_path / name).read_text("utf-8"))[
            1
        ]
        for name in ("map_sar.qml", "map_mwr.qml")
    ]
    shown = [np.abs(each)[np.nansum(np.abs(each), axis=(1, 2)).argmax()] for each in (sar, second)]
    expected = max(np.nanpercentile(each[each > 0], 98) for each in shown)
    assert limits[0] == limits[1]
    assert float(limits[0]) == pytest.approx(expected, rel=0.05)


def test_coarse_pixels_between_cells_stand_for_their_weights_of_them():
    weights = np.array([[0.75, 0.25, 0.0], [0.0, 0.5, 0.5]])
    sampler = Sampler(sparse.csr_matrix(weights), (1, 2), (1, 3), np.ones((1, 2), bool))
    # Cells of 4 x 4 and 4 x 3 pixels.
    pixels = sar_pixels(SimpleNamespace(sampler=sampler, rows=4, cols=7), 4)
    np.testing.assert_allclose(pixels, [[12.0, 10.0, 6.0]])
    sums = np.array([[[6.0, 5.0, 0.0]]])
    np.testing.assert_allclose(per_pixel(sums, pixels), [[[0.5, 0.5, 0.0]]])
    assert np.isnan(per_pixel(sums, np.zeros((1, 3)))).all()


def test_maps_of_two_regions_add_up_to_the_map_of_both(explain, scene):
    first, second = square(scene, 60, 60, 40), square(scene, 150, 200, 50)
    both = Polygons(first.wkb + second.wkb, first.crs)
    parts = [explain(name, aoi=aoi)[1:] for name, aoi in (("a", first), ("b", second))]
    whole = explain("c", aoi=both)[1:]
    for i in range(2):
        expected = parts[0][i] + parts[1][i]
        assert np.nanmax(np.abs(whole[i] - expected)) <= 1e-5 * np.nanmax(np.abs(expected))


def test_a_point_explains_the_one_pixel_under_it(explain, scene):
    lon, lat = Grid.from_file(scene.sar).pixel_to_lonlat(np.array([200.5]), np.array([100.5]))
    results, sar, _ = explain(point=(float(lon[0]), float(lat[0])))
    assert results["PIXELS_EXPLAINED"] == 1
    rows, cols = np.nonzero(np.nan_to_num(np.abs(sar)).sum(axis=0))
    assert abs(rows - 200).max() <= 30
    assert abs(cols - 100).max() <= 30


def test_the_bands_name_channel_unit_and_footprint(explain, scene, tmp_path):
    explain(aoi=square(scene, 120, 150, 30))
    with rasterio.open(tmp_path / "map_mwr.tif") as raster:
        assert raster.descriptions[0] == "btemp_6_9h"
        assert raster.units == ("logit",) * 14 + ("logit per SAR pixel",) * 14
        assert raster.descriptions[14] == "btemp_6_9h_per_pixel"
        assert "add up" in raster.tags(1)["reading"]
        assert "comparable with SAR" in raster.tags(15)["reading"]
        assert raster.tags(1)["footprint_km"] == "35 x 62"
        assert raster.tags()["FLOELENS_METHOD"] == "gradient_x_input"
    assert "for ice" in (tmp_path / "map_sar.qml").read_text(encoding="utf-8")


def test_slopes_have_the_unit_and_the_legend_of_slopes(explain, scene, tmp_path):
    explain(scene=SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 45)), method="gradient")
    unit = "logit per standard deviation"
    for name, units in (("map_sar.tif", {unit}), ("map_mwr.tif", {unit, f"{unit} per SAR pixel"})):
        with rasterio.open(tmp_path / name) as raster:
            assert set(raster.units) == units
    style = (tmp_path / "map_sar.qml").read_text(encoding="utf-8")
    assert "a rise speaks for ice (logit per sd per SAR pixel)" in style


def test_files_tell_the_steps_that_were_taken_not_those_to_begin_with(explain, scene, tmp_path, monkeypatch):
    def three(runner, source, plan, seeding, method, progress):
        return dataclasses.replace(method, steps=3, refine=False)

    monkeypatch.setattr("floelens.plugin.core.relevance.steps.refined", three)
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 45))
    explain(scene=part, method="integrated_gradients", steps=1)
    assert json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))["settings"]["steps"] == 3
    with rasterio.open(tmp_path / "map_sar.tif") as raster:
        assert raster.tags()["FLOELENS_STEPS"] == "3"


def test_the_report_holds_the_sums_of_the_maps(explain, scene, tmp_path):
    _, sar, mwr = explain(aoi=square(scene, 120, 150, 60))
    content = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    rows = {row["channel"]: row for row in content["channels"]}
    np.testing.assert_allclose(rows["hh"]["positive"], np.nansum(np.maximum(sar[0], 0)), rtol=1e-6)
    np.testing.assert_allclose(rows["hv"]["negative"], np.nansum(np.minimum(sar[1], 0)), rtol=1e-6)
    np.testing.assert_allclose(rows["btemp_36_5v"]["net"], np.nansum(mwr[11]), rtol=1e-5, atol=1e-9)


def test_the_report_of_several_classes_says_so_and_names_the_part_explained(scene, packages, tmp_path):
    part, paths = square(scene, 120, 150, 30), {}
    for model in ("trial-type", "trial-concentration"):
        paths[model] = str(tmp_path / f"{model}.json")
        inputs = SceneInputs(scene.sar, scene.mwr, extent=part)
        maps = str(tmp_path / f"{model}.tif")
        Relevance(inputs, str(packages / model), maps, report_json=paths[model]).run(Silent())
    said = {model: json.loads(Path(path).read_text(encoding="utf-8")) for model, path in paths.items()}
    assert {content["region"] for content in said.values()} == {"every valid pixel of EXTENT"}
    common = {
        m: any("all classes alike" in text for text in content["caveats"]) for m, content in said.items()
    }
    assert common == {"trial-type": True, "trial-concentration": False}


def test_a_region_beside_the_scene_is_refused(explain, tmp_path):
    with pytest.raises(ParameterError, match="AOI lies outside"):
        explain(aoi=Polygons.rectangle(100, 10, 101, 11, "EPSG:4326"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_ancillary_channels_the_network_does_not_read_is_refused(explain, tmp_path):
    with pytest.raises(ParameterError, match="reads no ancillary channel"):
        explain(ancillary_folder=str(tmp_path))


ALL_METHODS = [
    "gradient", "gradient_x_input", "smoothgrad", "deeplift", "lrp_0", "lrp_gamma", "lrp_alpha_beta", "lrp_zplus",
    "lrp_composite", pytest.param("occlusion", marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize("method", ALL_METHODS)
def test_every_method_writes_maps_and_a_report_of_what_it_did(explain, scene, method, tmp_path):
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 45))
    results, sar, _ = explain(scene=part, method=method, samples=2, patch=25, report=str(tmp_path / "r.html"))
    content = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert content["method"] == method
    assert content["about_method"]
    assert np.nanmax(np.abs(sar)) > 0
    conservative = method not in ("gradient", "smoothgrad", "occlusion")
    assert (results["RELATIVE_RESIDUAL"] is not None) == conservative
    if conservative:
        assert results["RELATIVE_RESIDUAL"] <= 1e-4
    else:
        assert content["conservation"]["residual"] is None
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert "need not add up" in page
        assert "not accounted for" not in page


def louder(model, folder) -> str:
    """Save a copy of a model whose logits are twice as large."""
    card, network = load(model)
    with torch.no_grad():
        network.output.weight.mul_(2)
        network.output.bias.mul_(2)
    save_package(folder, card, network)
    return str(folder)


def test_a_network_counts_once_in_an_ensemble(explain, model, tmp_path):
    other = louder(model, tmp_path / "louder")
    for members in ((model,), (other, other)):
        with pytest.raises(ParameterError, match="ENSEMBLE names a network that takes part already"):
            explain(uncertainty="ensemble", ensemble=members)


@pytest.mark.parametrize("kind", ["smoothgrad", "dropout", "ensemble"])
def test_uncertainty_adds_a_band_of_deviations_for_each_channel(explain, scene, model, kind, tmp_path):
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 45))
    ensemble = (louder(model, tmp_path / "louder"),) if kind == "ensemble" else ()
    _, single, single_mwr = explain("single", scene=part)
    _, sar, mwr = explain(scene=part, uncertainty=kind, ensemble=ensemble, samples=3)
    with rasterio.open(tmp_path / "map_sar.tif") as raster:
        assert raster.descriptions == ("hh", "hv", "hh_sd", "hv_sd")
    with rasterio.open(tmp_path / "map_mwr.tif") as raster:
        assert raster.descriptions[13:15] == ("btemp_89_0v", "btemp_6_9h_sd")
        assert raster.tags(15)["footprint_km"] == "35 x 62"
    assert (mwr[:14].shape, mwr[14:].shape) == (single_mwr.shape, single_mwr.shape)
    if kind == "ensemble":  # of R and 2 R: mean 1.5 R, deviation R/√2
        np.testing.assert_allclose(sar[:2], 1.5 * single, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(sar[2:], np.abs(single) / 2**0.5, rtol=1e-3, atol=1e-9)
    else:
        assert np.nanmedian(sar[2:]) > 0
    content = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert content["uncertainty"]
    assert any("_sd" in text for text in content["caveats"])


def test_a_baseline_is_given_in_physical_units(explain, scene, model, tmp_path):
    from floelens.plugin.jobs.common.baseline import baseline_levels

    card, _ = load(model)
    hh = card.fine_channels[0]
    levels = baseline_levels(card, f"HH={hh.mean + hh.sd}, btemp_6_9h={card.coarse_channels[0].mean}")
    assert levels == pytest.approx((1.0,) + (0.0,) * 15)
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 120, 150, 45))
    results = explain(scene=part, method="deeplift", baseline="hh=-30")[0]
    assert results["RELATIVE_RESIDUAL"] <= 1e-4
    with rasterio.open(tmp_path / "map_sar.tif") as raster:
        assert raster.tags()["FLOELENS_BASELINE"] == "hh=-30, other channels at their means"
    for text, says in (
        ("hx=1", "no channel 'hx'"),
        ("hh=cold", "is no value"),
        ("hh", "no channel with a value"),
    ):
        with pytest.raises(ParameterError, match=says):
            explain(method="deeplift", baseline=text)
    with pytest.raises(ParameterError, match="has no baseline"):
        explain(baseline="hh=-30")


@pytest.mark.parametrize("center", [(180.0, 79.0), (30.0, 90.0)])
def test_a_region_over_the_antimeridian_or_the_pole_is_found(center, model, tmp_path):
    from floelens.plugin.io.environment.crs import LONLAT, transform
    from floelens.plugin.io.geometry.vector import polygon_wkb
    from floelens.tests.plugin.jobs.conftest import simulate

    made = simulate(tmp_path, rows=150, cols=150, center=center)
    grid = Grid.from_file(made.sar)
    rows, cols = 50 + 50 * np.array([0, 0, 1, 1, 0.0]), 50 + 50 * np.array([0, 1, 1, 0, 0.0])
    lon, lat = grid.pixel_to_lonlat(rows, cols)
    x, y = transform(LONLAT, "EPSG:3413", lon, lat)
    areas = {"EPSG:3413": np.column_stack([x, y])}
    if center[1] < 90:
        assert lon.min() < -170
        assert lon.max() > 170
        areas["EPSG:4326"] = np.column_stack([lon, lat])
    for crs, ring in areas.items():
        aoi = Polygons((polygon_wkb([ring]),), crs)
        results = Relevance(made.inputs, model, str(tmp_path / "map.tif"), aoi=aoi).run(Silent())
        assert results["PIXELS_EXPLAINED"] == pytest.approx(2500, rel=0.05)


def test_a_point_beside_the_scene_and_a_region_given_twice_are_sentences(explain, scene, tmp_path):
    with pytest.raises(ParameterError, match="POINT lies outside of the scene"):
        explain(point=(100.0, 10.0))
    with pytest.raises(ParameterError, match="AOI and POINT are both given"):
        explain(point=(20.0, 79.0), aoi=square(scene, 120, 150, 30))
    assert list(tmp_path.iterdir()) == []
