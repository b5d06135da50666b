"""Fact or artifact on a simulated scene: rasters on its grid, a table, a report, whatever the tiles."""

from __future__ import annotations

import csv
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.artifacts.bands import Layout
from floelens.plugin.ground.errors import Cancelled, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.vocabulary.artifact_tests import TESTS
from floelens.plugin.ground.window import Window
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.geometry.zones import PolygonIndex
from floelens.plugin.jobs.artifacts import Artifacts
from floelens.plugin.jobs.common.inputs import Compute, SceneInputs
from floelens.plugin.jobs.relevance import Relevance
from floelens.tests.plugin.jobs.test_relevance import louder, square

LAYOUT = Layout(radiometry=True)


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read().astype(np.float64)


def job(scene, packages, folder, name="found", place=(80, 80, 40), **changes) -> Artifacts:
    paths = {
        "artifact": f"{name}.tif", "corrected": f"{name}_c.tif", "table": f"{name}.csv", "report": f"{name}.html",
        "report_json": f"{name}_r.json", "report_csv": f"{name}_r.csv",
    }  # fmt: skip
    settings = {"model": str(packages / "trial-concentration"), "sample": 1, "steps": 4, **changes}
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, *place))
    return Artifacts(scene=part, **{k: str(folder / v) for k, v in paths.items()}, **settings)


@pytest.fixture(scope="module", autouse=True)
def smaller():
    """Compare with fewer networks, methods and moved maps than users do: the rasters and rows are the same."""
    core = "floelens.plugin.core.artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{core}.sensors.REPLICATES", 19)
        patch.setattr(f"{core}.weights.UNTRAINED_IN_PIECES", 3)
        patch.setattr(f"{core}.maps.COMPARED", ("gradient_x_input", "lrp_zplus"))
        yield


@pytest.fixture(scope="module")
def found(scene, packages, tmp_path_factory):
    """Return the folder of a run with all tests, and its results."""
    folder = tmp_path_factory.mktemp("artifacts")
    results = job(scene, packages, folder).run(Silent())
    return folder, results


def test_rasters_lie_on_the_scenes_grid_and_split_the_relevance_map(found, scene, packages, tmp_path):
    folder, results = found
    grid = Grid.from_file(folder / "found.tif")
    sar = str(tmp_path / "r.tif")
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 80, 80, 40))
    Relevance(part, str(packages / "trial-concentration"), sar).run(Silent())
    assert grid.same_as(Grid.from_file(sar))
    whole = read(sar).sum(axis=0)
    corrected = read(folder / "found_c.tif")
    window = np.isfinite(corrected[0])
    assert 0 < window.sum() <= whole.size
    with rasterio.open(folder / "found_c.tif") as raster:
        tags = raster.tags()
        assert raster.descriptions == LAYOUT.corrected
    with rasterio.open(folder / "found.tif") as raster:
        assert raster.descriptions == LAYOUT.artifact
    sums = {key: float(tags[f"FLOELENS_SUM_{key}"]) for key in ("RELEVANCE", "CORRECTED", "ARTIFACT")}
    assert sums["RELEVANCE"] == pytest.approx(whole[window].sum(), rel=1e-4)
    assert sums["RELEVANCE"] == pytest.approx(sums["CORRECTED"] + sums["ARTIFACT"], rel=1e-6)
    assert ((corrected[1][window] > 0) & (corrected[1][window] <= 1)).all()
    assert 20 < results["PASSES"] <= 30


def test_table_and_report_hold_a_row_for_each_test_and_three_short_sentences(found):
    folder, results = found
    with (folder / "found.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["test"] for row in rows} == set(TESTS)
    assert all(row["meaning"] for row in rows)
    content = json.loads((folder / "found_r.json").read_text(encoding="utf-8"))
    assert len(content["summary"]) == 3
    assert all(len(sentence.split()) <= 25 for sentence in content["summary"])
    assert results["VERDICT"] == content["summary"][0]
    page = (folder / "found.html").read_text(encoding="utf-8")
    assert content["summary"][2] in page
    permutation = next(row for row in rows if row["test"] == "permutation")
    assert permutation["meaning"] == "Not applicable: the network reads the scene without a direction."
    assert {row["sensor"] for row in rows} == {"sar", "radiometry"}
    style = (folder / "found_c.qml").read_text(encoding="utf-8")
    fact = 1 + LAYOUT.corrected.index("fact")
    any_fact = results["FACT_SHARE"] > 0
    assert f'alphaBand="{fact if any_fact else -1}"' in style  # all faint would look like an empty map
    assert any_fact == ("no pixel is fact" not in style)
    assert f'classificationMax="{content["colours_end_at"]!r}"' in style  # one scale for QGIS and report


def test_what_exceeds_noise_is_fact_in_raster_style_and_report(scene, packages, tmp_path):
    loud = shutil.copy(scene.sar, tmp_path / "loud.tif")
    with rasterio.open(loud, "r+") as raster:
        values = raster.read()
        values[:2, 98:102, 98:102] = np.array([8.0, 2.0])[:, None, None]  # hh and hv of a ship
        raster.write(values)
    results = job(
        SimpleNamespace(sar=str(loud), mwr=scene.mwr),
        packages,
        tmp_path,
        place=(40, 40, 130),
        tests=("null_input",),
        model="aspp-concentration-sim",
    ).run(Silent())
    corrected = dict(zip(LAYOUT.corrected, read(tmp_path / "found_c.tif")))
    fact = corrected["fact"] == 255
    assert np.array_equal(fact, corrected["q_value"] <= 0.05)
    down, across = np.nonzero(fact)
    assert results["FACT_SHARE"] > 0
    assert len(down) > 10
    row, col = Grid.from_file(tmp_path / "found_c.tif").pixels_in(Grid.from_file(scene.sar), down, across)
    assert (np.hypot(row - 100, col - 100) < 12).mean() > 0.8
    style = (tmp_path / "found_c.qml").read_text(encoding="utf-8")
    assert f'alphaBand="{1 + LAYOUT.corrected.index("fact")}"' in style
    content = json.loads((tmp_path / "found_r.json").read_text(encoding="utf-8"))
    assert "of the relevance lies at pixels that are fact" in content["facts"][0]


def test_a_region_is_judged_alone_and_networks_trained_alike_are_compared(scene, packages, tmp_path):
    other = louder(str(packages / "trial-concentration"), tmp_path / "louder")
    inner = square(scene, 90, 90, 15)
    run = job(
        scene, packages, tmp_path, tests=("null_input", "randomised_weights"), aoi=inner, ensemble=(other,)
    )
    run.run(Silent())
    corrected, artifact = read(tmp_path / "found_c.tif"), read(tmp_path / "found.tif")
    inside = PolygonIndex(inner, Grid.from_file(tmp_path / "found.tif")).mask(
        Window(0, 0, *corrected.shape[1:])
    )
    assert np.array_equal(np.isfinite(corrected[0]), inside)
    with rasterio.open(tmp_path / "found.tif") as raster:
        assert raster.descriptions[-1] == "trained"
        assert raster.tags()["FLOELENS_AOI"] == "1 polygon"
    assert np.isfinite(artifact[-1][inside]).all()
    content = json.loads((tmp_path / "found_r.json").read_text(encoding="utf-8"))
    assert content["not_tried"] == ["translation", "mirroring", "rule_comparison", "focus", "permutation"]
    assert any(row["part"] == "other trained networks" for row in content["tests"])
    with pytest.raises(ParameterError, match="ENSEMBLE names a network"):
        job(scene, packages, tmp_path, "again", ensemble=(run.model,)).run(Silent())


def test_the_memory_does_not_matter(found, scene, packages, tmp_path):
    folder, _ = found
    job(scene, packages, tmp_path, "small", tests=("null_input",), compute=Compute(memory_mib=50)).run(
        Silent()
    )
    maps = [read(path)[0] for path in (tmp_path / "small_c.tif", folder / "found_c.tif")]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4 * np.nanmax(np.abs(maps[1])))


def test_bad_values_get_a_sentence_and_leave_nothing(scene, packages, tmp_path):
    with pytest.raises(ParameterError, match="REPEATS"):
        job(scene, packages, tmp_path, repeats=5).run(Silent())
    with pytest.raises(ParameterError, match="TESTS"):
        job(scene, packages, tmp_path, tests=()).run(Silent())
    assert not list(tmp_path.iterdir())


def test_a_cancelled_run_leaves_nothing(scene, packages, tmp_path):
    class Stop(Silent):
        def cancelled(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        job(scene, packages, tmp_path).run(Stop())
    assert not list(tmp_path.iterdir())
