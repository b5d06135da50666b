"""With labels a run of Z-scores tells how well the map agrees with them: in its report, zones and a raster."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.zscores import ZScores
from floelens.tests.plugin.report.schema_checks import problems, schema
from osgeo import ogr


@pytest.fixture
def job(scene, packages, tmp_path) -> ZScores:
    """Return a job on the concentration model with labels at every eighth pixel."""
    return ZScores(
        str(packages / "trial-concentration"),
        str(tmp_path / "z.csv"),
        scene=scene.inputs,
        labels=chart(scene, tmp_path / "chart.tif", np.array([0, 5, 30, 60, 80, 100, 255])),
        sample=8,
        channel_method="none",
        block_size_km=2.5,
        report_json=str(tmp_path / "z.json"),
    )


def chart(scene, path, values) -> str:
    """Write a chart of polygons that hold `values`, on the grid of the scene; 255 is no label."""
    drawn = np.random.default_rng(3).choice(values, (11, 14)).astype("uint8")
    drawn = drawn.repeat(30, axis=0).repeat(30, axis=1)[:255, :285]
    with rasterio.open(scene.chart) as raster:
        profile, gcps = raster.profile, raster.gcps
    profile.update(count=1, dtype="uint8", nodata=255)
    with rasterio.open(path, "w", **{**profile, "gcps": gcps[0], "crs": gcps[1]}) as out:
        out.write(drawn, 1)
    return str(path)


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


def mapped_by(job: ZScores, path) -> np.ndarray:
    """Return what *Predict* maps, (row, column)."""
    Predict(job.scene, job.model, str(path)).run(Silent())
    return read(path)


def test_skill_error_and_zones_agree_with_the_predicted_map_and_the_chart(job, tmp_path):
    error, zones = str(tmp_path / "error.tif"), str(tmp_path / "zones.gpkg")
    replace(job, error=error, zone_zscores=zones, zone_size_km=10).run(Silent())
    mapped, labelled = mapped_by(job, tmp_path / "map.tif").astype(float), read(job.labels).astype(float)
    labelled[labelled == 255] = np.nan
    difference = mapped - labelled
    # All pixels, whatever SAMPLE; NaN where blank.
    np.testing.assert_allclose(read(error), difference, atol=1e-4)
    assert np.isfinite(difference).sum() > 50_000
    assert np.isnan(difference).any()
    with rasterio.open(error) as raster:
        tags = raster.tags()
        assert (raster.descriptions, raster.units) == (("concentration",), ("%",))
    assert (tags["FLOELENS_PRODUCT"], tags["FLOELENS_LABELS"]) == ("error", "chart.tif")
    style = (tmp_path / "error.qml").read_text(encoding="utf-8")
    assert "more than the labels" in style
    assert 'classificationMin="-50.0"' in style
    content = json.loads((tmp_path / "z.json").read_text(encoding="utf-8"))
    rules = schema("zscores-report")
    assert problems(content, rules, rules) == []
    (skill,) = content["skill"]
    sampled = difference[4::8, 4::8]
    assert skill["pixels"] == "every 8. row and column"
    assert skill["n"] == np.isfinite(sampled).sum()
    assert skill["rmse"] == pytest.approx(np.sqrt(np.nanmean(sampled**2)), rel=1e-4)
    assert skill["bias"] == pytest.approx(np.nanmean(sampled), rel=1e-3, abs=1e-3)
    assert [row["range"] for row in skill["ranges"]] == ["0", "<10", "10–39", "40–69", "70–89", "90–100"]
    for row, value in zip(skill["ranges"], (0, 5, 30, 60, 80, 100)):
        here = labelled[4::8, 4::8] == value
        assert row["mapped"] == pytest.approx(np.nanmean(mapped[4::8, 4::8][here]), rel=1e-4)
    assert skill["poor"]
    assert content["heads"][0]["summary"][0].startswith("The map is poor against the labels: RMSE ")
    source = ogr.Open(zones)  # the layer lives as long as it does
    rows = [dict(feature.items()) for feature in source.GetLayer(0)]
    names = list(rows[0])
    assert names[names.index("note") + 1 :] == ["n_labelled", "mean_mapped", "mean_labelled"]
    assert sum(row["n_labelled"] for row in rows) == skill["n"]
    weighted = sum(row["n_labelled"] * (row["mean_mapped"] - row["mean_labelled"]) for row in rows)
    assert weighted / skill["n"] == pytest.approx(skill["bias"], abs=1e-3)


def test_classes_that_differ_are_1_on_the_raster_and_in_the_confusion_matrix(job, scene, packages, tmp_path):
    error = str(tmp_path / "error.tif")
    labels = chart(scene, tmp_path / "types.tif", np.array([0, 1, 2, 255]))
    kinds = replace(job, model=str(packages / "trial-type"), labels=labels, error=error)
    kinds.run(Silent())
    mapped, labelled = mapped_by(kinds, tmp_path / "map.tif"), read(labels)
    known = (labelled != 255) & (mapped != 255)
    np.testing.assert_array_equal(read(error), np.where(known, mapped != labelled, np.nan).astype("float32"))
    (skill,) = json.loads((tmp_path / "z.json").read_text(encoding="utf-8"))["skill"]
    chosen = np.zeros(known.shape, bool)
    chosen[4::8, 4::8] = True
    for code, row in enumerate(skill["confusion"]):
        counted = [int((chosen & known & (labelled == code) & (mapped == to)).sum()) for to in range(3)]
        assert list(row["mapped"].values()) == counted
    assert skill["accuracy"] == pytest.approx((mapped == labelled)[chosen & known].mean())
    assert "another class" in (tmp_path / "error.qml").read_text(encoding="utf-8")


def test_states_alone_hold_no_skill_and_the_report_says_so(job, tmp_path):
    state, page = str(tmp_path / "state.npz"), tmp_path / "z.html"
    replace(job, state=state).run(Silent())
    merged = replace(job, scene=None, labels=None, state_in=(state,), report=str(page))
    merged.run(Silent())
    assert json.loads((tmp_path / "z.json").read_text(encoding="utf-8"))["skill"] == []
    assert "states hold no skill" in page.read_text(encoding="utf-8")


def test_errors_without_labels_are_refused_before_the_work(job, tmp_path):
    for missing in ({"labels": None}, {"scene": None}):
        with pytest.raises(ParameterError, match="ERROR compares the map of a scene with labels"):
            replace(job, error=str(tmp_path / "error.tif"), **missing).run(Silent())
