"""Feature analysis as Processing runs it: zones with and without a class, and how its layers look."""

from __future__ import annotations

import json

import numpy as np
import pytest
from floelens.plugin.algorithms.framework.base import Destinations
from floelens.plugin.io.geometry.grid import Grid
from floelens.tests.plugin.jobs.conftest import simulate
from qgis.core import (
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import Qt

CLASSES = ("young ice", None, "", "old ice", "1")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return a simulated scene."""
    return simulate(tmp_path_factory.mktemp("scene"), rows=220, cols=250)


@pytest.fixture
def run(provider, packages, scene, monkeypatch):
    """Return a function that analyses the scene."""
    import processing

    monkeypatch.setenv("FLOELENS_MODELS", str(packages))
    inputs = {"SAR": scene.sar, "MWR": scene.mwr, "MODEL": "trial-type", "CLASS": "old ice"}

    def call(context: QgsProcessingContext, feedback: QgsProcessingFeedback, **parameters) -> dict:
        return processing.run(
            "floelens:features", {**inputs, **parameters}, context=context, feedback=feedback
        )

    return call


def strips(scene) -> QgsVectorLayer:
    """Return strips across a scene, of which one has no value and one an empty text for its class."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:4326&field=ice:string", "strips", "memory")
    grid = Grid.from_file(scene.sar)
    for number, name in enumerate(CLASSES):
        rows, cols = 20 + 40 * number + np.array([0, 0, 30, 30]), np.array([20, 230, 230, 20])
        lon, lat = grid.pixel_to_lonlat(rows, cols)
        feature = QgsFeature(layer.fields())
        feature.setAttributes([name])
        feature.setGeometry(QgsGeometry.fromPolygonXY([[QgsPointXY(x, y) for x, y in zip(lon, lat)]]))
        layer.dataProvider().addFeature(feature)
    return layer


class Texts(QgsProcessingFeedback):
    """Keeps how far a run was, in %, when each step began."""

    def __init__(self) -> None:
        super().__init__(False)
        self.began: dict[str, float] = {}

    def setProgressText(self, text):  # noqa: N802
        """Keep it."""
        self.began.setdefault(text.split(",")[0], self.progress())


def test_only_polygons_with_a_class_have_a_label_and_layers_say_what_they_show(run, scene, tmp_path):
    report = tmp_path / "report.html"
    files = {"OUTPUT": str(tmp_path / "cam.tif"), "OUTLIERS": str(tmp_path / "odd.gpkg")}
    project, context, feedback = QgsProject(), QgsProcessingContext(), Texts()
    context.setProject(project)
    descriptions = {"OUTPUT": "Class activation map", "OUTLIERS": "Outlier samples"}
    for name, path in files.items():
        details = QgsProcessingContext.LayerDetails(descriptions[name], project, name)
        context.addLayerToLoadOnCompletion(path, details)
    zones = {"SAMPLES": "polygons", "ZONES": strips(scene), "ZONE_FIELD": "ice"}
    found = run(
        context, feedback, **zones, **files, REPORT=str(report), NETWORK_LAYER="scales.3", CAM="gradcam"
    )
    assert found["SAMPLE_COUNT"] == len(CLASSES)
    page = json.loads(report.with_suffix(".json").read_text(encoding="utf-8"))
    assert [row["labelled"] for row in page["classes"]] == [0, 2, 1]
    assert feedback.began["Analysing the samples"] >= 90 > feedback.began["Leaving features out"]
    for name, kind in (("OUTLIERS", QgsVectorLayer), ("OUTPUT", QgsRasterLayer)):
        layer = project.addMapLayer(kind(files[name], descriptions[name]))
        details = context.layerToLoadOnCompletionDetails(files[name])
        details.postProcessor().postProcessLayer(layer, context, feedback)
    nodes = {node.name().split(": ")[0]: node for node in project.layerTreeRoot().findLayers()}
    assert [node.itemVisibilityChecked() for node in nodes.values()] == [True, True]
    outliers = nodes["Outlier samples, scales.3"]
    assert "Class activation map, scales.3, gradcam" in nodes
    details = {name: context.layerToLoadOnCompletionDetails(path) for name, path in files.items()}
    if hasattr(details["OUTPUT"], "layerSortKey"):  # QGIS sorts by it, after the layers have been added
        assert details["OUTLIERS"].layerSortKey > details["OUTPUT"].layerSortKey
    else:
        assert next(iter(nodes.values())) is outliers
    outline = outliers.layer().renderer().symbol().symbolLayer(0)
    assert (outline.brushStyle(), outline.strokeColor().name()) == (Qt.NoBrush, "#0072b2")


def test_no_polygon_has_a_class_where_no_field_is_given(provider, scene, tmp_path):
    algorithm = provider.algorithm("features").create()
    parameters = {"SAR": scene.sar, "ZONES": strips(scene), "OUTPUT": str(tmp_path / "cam.tif")}
    job = algorithm.job(Destinations(algorithm, parameters, QgsProcessingContext()))
    assert job.zones.names == ("",) * len(CLASSES)
