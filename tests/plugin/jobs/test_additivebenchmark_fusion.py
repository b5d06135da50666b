"""The generator *fusion* in its job: rankings, and rasters of truth, estimates and errors that lie on each other."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from floelens.plugin.core.benchmarks.fusion import run
from floelens.plugin.core.benchmarks.fusion.generator import Fusion
from floelens.plugin.core.benchmarks.fusion.networks import Effort
from floelens.plugin.core.benchmarks.fusion.run import SMALL, Extent
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.rasters.writer import Outputs
from floelens.plugin.jobs.additivebenchmark.fusion import FusionStudy
from floelens.plugin.jobs.additivebenchmark.job import AdditiveBenchmark
from floelens.plugin.jobs.additivebenchmark.study import Part, restored, stored

MWR = ("btemp_18_7v", "btemp_36_5h")
EXTENT = Extent((SMALL, "v2"), Effort(12, 3, 2, 2, 50), scenes=1, cells=5, steps=2, mwr=MWR, mwr_free=MWR)


def estimated(variant: str, study: FusionStudy) -> tuple[Part, np.ndarray]:
    """Return a part whose estimates are the truth and a constant, and the contributions of the whole scene."""
    fusion = Fusion(variant, MWR)
    scenes, contributions = fusion.samples(2, 1, study.extent.cells)
    inner = scenes[0].inner
    bands = contributions[0][(slice(None), *inner.slices())]
    cells = bands[2:].reshape(2, 3, 25, 3, 25).mean((2, 4))
    arrays = {}
    for kind, methods in (
        ("contributions", ("truth", "integrated", "gated")),
        ("relevance", ("truth", "lrp_0", "gradient")),
    ):
        for number, method in enumerate(methods):
            arrays[f"{kind} {method} fine"] = bands[:2] + number
            arrays[f"{kind} {method} coarse"] = cells + number
    return Part((), (), {"r_squared": 0.9, "relevance: ceiling of gates": 0.5}, (), arrays), contributions[0]


def test_rasters_of_truth_estimates_and_errors_lie_on_each_other(tmp_path):
    study = FusionStudy(("lrp_0",), EXTENT, 2)
    made = {word: estimated(word.removeprefix("fusion_"), study) for word in study.parts}
    parts = {word: restored(*stored(part)) for word, (part, _) in made.items()}
    with Outputs() as outputs:
        study.write(outputs, str(tmp_path / "maps.tif"), parts, {"FLOELENS_SEED": "2"})
    assert len(list(tmp_path.glob("*.tif"))) == len(list(tmp_path.glob("*.qml"))) == 12
    for (_, contributions), stem in zip(made.values(), ("maps", "maps_v2")):
        for cells, ratio in (("", 1), ("_cells", 25)):
            files = [
                rasterio.open(tmp_path / f"{stem}{cells}{kind}.tif") for kind in ("", "_estimates", "_errors")
            ]
            truth, estimates, errors = files
            assert len({(file.transform, file.crs.to_epsg(), file.shape) for file in files}) == 1
            assert truth.crs.to_epsg() == 3413
            planes = dict(zip(truth.descriptions, truth.read()))
            assert len(planes) == 4  # two channels, of contributions and of relevance
            for name, values in zip(estimates.descriptions, estimates.read()):
                kind, method, channel = name.split()
                if method == "gradient":
                    assert name not in errors.descriptions  # a slope is no estimate of what was contributed
                    continue
                offset = {"integrated": 1, "gated": 2, "lrp_0": 1}[method]
                np.testing.assert_allclose(values, planes[f"{kind} truth {channel}"] + offset, atol=1e-6)
                np.testing.assert_allclose(
                    errors.read(1 + errors.descriptions.index(name)), offset, atol=1e-6
                )
            # Each pixel is where the scene's is: the scene begins a cell further up and left.
            fine = rasterio.open(tmp_path / f"{stem}.tif")
            assert truth.transform.a == 80.0 * ratio
            assert truth.transform * (0, 0) == fine.transform * (0, 0)
            assert truth.transform * (truth.width, truth.height) == fine.transform * (fine.width, fine.height)
            channel = 2 if cells else 0
            place = truth.transform * (1.5, 0.5)  # the second pixel of the first row
            col, row = (int(part) for part in ~fine.transform * place)
            window = contributions[channel, 25:, 25:]
            expected = window[:25, 25:50].mean() if cells else window[row, col]
            name = f"contributions truth {(*('hh', 'hv'), *MWR)[channel]}"
            assert next(truth.sample([place], truth.descriptions.index(name) + 1))[0] == pytest.approx(
                expected, rel=1e-5
            )
            style = (tmp_path / f"{stem}{cells}_errors.qml").read_text(encoding="utf-8")
            assert "speaks for the target" in style
            assert truth.tags()["FLOELENS_SEED"] == "2"


def test_the_network_that_is_the_target_ranks_integrated_gradients_first(tmp_path, monkeypatch):
    small = replace(EXTENT, variants=(f"{SMALL}_exact",), scenes=2, cells=4)
    monkeypatch.setattr(run, "EXTENTS", {"quick": small})
    results = AdditiveBenchmark(
        str(tmp_path / "ranking.csv"),
        generator="fusion",
        methods=("gradient_x_input", "deeplift"),
        report=str(tmp_path / "report.html"),
        report_json=str(tmp_path / "report.json"),
        output_raster=str(tmp_path / "maps.tif"),
    ).run(Silent())
    with Path(results["OUTPUT"]).open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["measure"] == "least_detail"]
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    assert conditions == [f"fusion_{SMALL}_exact_contributions", f"fusion_{SMALL}_exact_relevance"]
    for condition, good in zip(conditions, ("integrated", "deeplift")):
        order = [row["method"] for row in rows if row["condition"] == condition]
        methods = [word for word in order if not word.startswith(("broken", "sobel", "random"))]
        assert (
            order[: len(methods)] == methods
        )  # all that was broken, and all that knows no network, comes behind
        assert good in order[:2]
        assert order[-1] == "broken_sign"
    content = json.loads(Path(results["REPORT_JSON"]).read_text(encoding="utf-8"))
    assert all(each["last"] for each in content["broken_maps"])
    assert [each["broken"] for each in content["conditions"]] == ["integrated", "deeplift"]
    assert content["comparisons"][0]["rows"][0]["integrated"] == pytest.approx(1, abs=1e-5)
    page = Path(results["REPORT"]).read_text(encoding="utf-8")
    assert "Ceiling of gates" in page
    assert (tmp_path / "maps_cells_errors.tif").exists()
