"""What the network may see of SAR is written into tags and report, and changes nothing by default."""

from __future__ import annotations

import json

import numpy as np
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.relevance import Relevance
from floelens.tests.plugin.jobs.test_relevance import square


def test_a_cap_stands_in_tags_and_report_and_none_by_default(scene, packages, tmp_path):
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 80, 80, 40))
    found = {}
    for name, focus in (("plain", {}), ("capped", {"cap": 0.5, "mask_fill": 0.0})):
        paths = tmp_path / f"{name}.tif", tmp_path / f"{name}.json"
        model = str(packages / "trial-concentration")
        Relevance(part, model, str(paths[0]), report_json=str(paths[1]), **focus).run(Silent())
        with rasterio.open(paths[0]) as raster:
            found[name] = raster.read(), raster.tags()
        found[name] += (json.loads(paths[1].read_text(encoding="utf-8"))["settings"],)
    assert "FLOELENS_FOCUS" not in found["plain"][1]
    assert "input focus" not in found["plain"][2]
    text = "SAR channels: values capped at ±0.5 standard deviations, gaps and land filled with 0 standard deviations"
    assert found["capped"][1]["FLOELENS_FOCUS"] == text
    assert found["capped"][2]["input focus"] == text
    assert not np.array_equal(found["plain"][0], found["capped"][0])
