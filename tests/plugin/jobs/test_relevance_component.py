"""The map of one component says so in its tags and its report."""

from __future__ import annotations

import json

import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.networks.package import load
from floelens.tests.plugin.jobs.test_relevance import square


def test_a_component_stands_in_tags_and_report(scene, packages, tmp_path):
    part = SceneInputs(scene.sar, scene.mwr, extent=square(scene, 80, 80, 40))
    model = str(packages / "trial-type")
    path, as_json, html = (str(tmp_path / name) for name in ("map.tif", "map.json", "map.html"))
    choice = {"class_name": "old ice", "reference_class": "open water", "component": "D2_03"}
    found = Relevance(part, model, path, report=html, report_json=as_json, **choice).run(Silent())
    assert found["CLASS_NAME"] == "old ice rather than open water through d2_03"
    with rasterio.open(path) as raster:
        assert raster.tags()["FLOELENS_COMPONENT"] == "d2_03"
        assert raster.tags()["FLOELENS_TARGET"].endswith("through component d2_03")
    card, network = load(model)
    at = [component.name for component in card.components].index("d2_03")
    rows = network.output.weight[:, at, 0, 0].double()
    content = json.loads((tmp_path / "map.json").read_text(encoding="utf-8"))
    assert content["component"] == "d2_03"
    assert content["component_weight"] == float(rows[2] - rows[0])
    says = "Only what component d2_03 adds to the logit is explained."
    assert any(sentence.startswith(says) for sentence in content["summary"])
    assert says in (tmp_path / "map.html").read_text(encoding="utf-8")
