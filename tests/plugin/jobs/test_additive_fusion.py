"""Truth, estimates and errors of the additive benchmark as rasters that lie on each other."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks.fusion.explaining import Maps
from floelens.plugin.core.benchmarks.fusion.generator import Fusion
from floelens.plugin.core.benchmarks.fusion.run import FusionResult
from floelens.plugin.core.benchmarks.ranking import Judged
from floelens.plugin.ground.errors import Cancelled
from floelens.plugin.io.rasters.writer import Outputs
from floelens.plugin.jobs.additive_fusion import fusion_results, write_rasters
from floelens.plugin.jobs.common.unfinished import Unfinished

MWR = ("btemp_18_7v", "btemp_36_5h")


def made(variant: str) -> FusionResult:
    """Return a result whose estimates are the truth and a constant."""
    fusion = Fusion(variant, MWR, ratio=5)
    scenes, contributions = fusion.samples(2, 1, 6)
    scene = scenes[0]
    truth = Maps.of_output(contributions[0][(slice(None), *scene.inner.slices())], 2, 5)
    maps = {}
    for kind, methods in (("contributions", ("integrated", "gated")), ("relevance", ("lrp_0",))):
        maps[kind, "truth"] = truth
        for number, method in enumerate(methods, 1):
            maps[kind, method] = Maps(truth.fine + number, truth.coarse + number)
    judged = (
        Judged("integrated", f"fusion_{variant}_contributions", {"pearson": np.array([0.9, np.nan])}, 0.1),
    )
    channels = tuple(channel.name for channel in fusion.channels)
    means = {key: np.ones(4) for key in maps}
    return FusionResult(
        variant, 0.9, judged, {"relevance": {"pearson": 0.8}}, {}, channels, 2, means, scene, maps
    )


def test_rasters_of_truth_estimates_and_errors_lie_on_each_other(tmp_path):
    results = [made("interpretability_small"), made("v2")]
    with Outputs() as outputs:
        written = write_rasters(outputs, str(tmp_path / "maps.tif"), results, {"FLOELENS_SEED": "2"})
    assert len(written) == len(list(tmp_path.glob("*.tif"))) == len(list(tmp_path.glob("*.qml"))) == 12
    for result, stem in zip(results, ("maps", "maps_v2")):
        for cells, ratio in (("", 1), ("_cells", 5)):
            files = [
                rasterio.open(tmp_path / f"{stem}{cells}{kind}.tif") for kind in ("", "_estimates", "_errors")
            ]
            truth, estimates, errors = files
            assert len({file.transform for file in files}) == 1
            assert len({(file.crs.to_epsg(), file.shape) for file in files}) == 1
            assert truth.crs.to_epsg() == 3413
            assert truth.transform.a == 80.0 * ratio
            planes = dict(zip(truth.descriptions, truth.read()))
            for name, values in zip(estimates.descriptions, estimates.read()):
                kind, method, channel = name.split()
                offset = {"integrated": 1, "gated": 2, "lrp_0": 1}[method]
                exact = planes[f"{kind} truth {channel}"]
                np.testing.assert_allclose(values, exact + offset, atol=1e-6)
                error = errors.read(1 + errors.descriptions.index(f"{name} error"))
                np.testing.assert_allclose(error, offset, atol=1e-6)
            group = result.maps["contributions", "truth"]
            np.testing.assert_array_equal(
                planes[f"contributions truth {result.channels[2 if cells else 0]}"],
                (group.coarse if cells else group.fine)[0].astype(np.float32),
            )
            # The middle of the inner part is the middle of the scene: both grids have one corner, at the same place.
            left, top = truth.transform * (0, 0)
            right, bottom = truth.transform * (truth.width, truth.height)
            fine = rasterio.open(tmp_path / f"{stem}.tif")
            assert (left, top) == fine.transform * (0, 0)
            assert (right, bottom) == fine.transform * (fine.width, fine.height)
            style = (tmp_path / f"{stem}{cells}_errors.qml").read_text(encoding="utf-8")
            assert "speaks for the target" in style
            assert truth.tags()["FLOELENS_SEED"] == "2"


def test_variants_that_were_finished_are_taken_from_the_run_that_was_stopped(tmp_path, monkeypatch):
    from floelens.plugin.core.benchmarks.fusion import run

    begun = []

    def run_variant(variant: str, *_rest: object) -> FusionResult:
        begun.append(variant)
        if begun == ["interpretability_small", "v2"]:
            raise Cancelled("stopped")
        return made(variant)

    monkeypatch.setattr(run, "run_variant", run_variant)

    def results_of() -> list[FusionResult]:
        kept = Unfinished(str(tmp_path / "scores.csv"), {"seed": 2})
        return fusion_results("full", ("lrp_0",), 2, lambda *_: None, kept)

    with pytest.raises(Cancelled):
        results_of()
    results = results_of()
    assert begun == ["interpretability_small", "v2", "v2"]
    before, after = made("interpretability_small"), results[0]
    assert after.channels == before.channels
    assert after.ceilings == before.ceilings
    np.testing.assert_array_equal(after.judged[0].scores["pearson"], before.judged[0].scores["pearson"])
    for key, maps in before.maps.items():
        np.testing.assert_array_equal(after.maps[key].fine, maps.fine)
        np.testing.assert_array_equal(after.maps[key].coarse, maps.coarse)
    np.testing.assert_array_equal(after.scene.fine, before.scene.fine)
