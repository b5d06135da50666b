"""Batch: one algorithm runs over several sets of parameters, and each result is loaded and dressed."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
)


@pytest.fixture
def project():
    """Return the project of QGIS, empty; one of our own would outlive QGIS in the last test."""
    project = QgsProject.instance()
    project.clear()
    yield project
    project.clear()


@pytest.fixture
def batch(provider, project):
    """Return a function that does what the batch dialog does: one algorithm, one context a row."""
    from processing.gui.Postprocessing import handleAlgorithmResults

    def run(name: str, rows: list[dict]) -> list[dict | None]:
        algorithm = provider.algorithm(name).create()
        found: list[dict | None] = []
        for row in rows:
            context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
            context.setProject(project)
            destinations = {d.name() for d in algorithm.destinationParameterDefinitions()}
            parameters = {
                key: QgsProcessingOutputLayerDefinition(value, project) if key in destinations else value
                for key, value in row.items()
            }
            try:
                results, _ = algorithm.run(parameters, context, feedback, {}, False)
            except QgsProcessingException:
                found.append(None)
                continue
            assert handleAlgorithmResults(algorithm, context, feedback, parameters=parameters)
            found.append(results)
        return found

    return run


@pytest.fixture
def scenes(batch, tmp_path) -> list[dict[str, str]]:
    """Return two simulated scenes, made by a batch."""
    size = {"ROWS": 100, "COLS": 120}
    rows = [
        {**size, "SEED": seed, "SAR": f"{tmp_path}/sar{seed}.tif", "MWR": f"{tmp_path}/mwr{seed}.tif"}
        for seed in (1, 2)
    ]
    assert all(batch("simulatescene", rows))
    return [{"SAR": row["SAR"], "MWR": row["MWR"]} for row in rows]


def test_a_batch_over_scenes_loads_every_layer_with_its_style_name_and_group(
    batch, scenes, packages, project, tmp_path
):
    project.removeAllMapLayers()
    common = {"MODEL": str(packages / "trial-concentration")}
    rows = [{**common, **scene, "OUTPUT": f"{tmp_path}/ice{i}.tif"} for i, scene in enumerate(scenes)]
    bad = {**rows[0], "CHANNELS": "hh=9", "OUTPUT": f"{tmp_path}/bad.tif"}
    found = batch("predict", [rows[0], bad, rows[1]])
    assert [result and result["OUTPUT"] for result in found] == [rows[0]["OUTPUT"], None, rows[1]["OUTPUT"]]
    assert not (tmp_path / "bad.tif").exists()
    layers = {layer.source(): layer for layer in project.mapLayers().values()}
    assert set(layers) == {row["OUTPUT"] for row in rows}
    for number, row in enumerate(rows, start=1):
        layer = layers[row["OUTPUT"]]
        labels = [i.label for i in layer.renderer().shader().rasterShaderFunction().colorRampItemList()]
        assert "9/10 to 10/10 (above 85 %)" in labels
        assert f"sar{number}" in layer.name()
        assert "trial-concentration" in layer.name()
        group = project.layerTreeRoot().findLayer(layer.id()).parent()
        assert group.name() == f"FloeLens sar{number}"


def test_every_row_of_a_batch_loads_all_of_its_outputs(batch, scenes, packages, project, tmp_path):
    project.removeAllMapLayers()
    rows = [
        {
            **scene,
            "MODEL": str(packages / "trial-type"),
            "CLASS": "old ice",
            "SAR_RELEVANCE": f"{tmp_path}/s{i}.tif",
            "MWR_RELEVANCE": f"{tmp_path}/r{i}.tif",
        }
        for i, scene in enumerate(scenes)
    ]
    assert all(batch("relevance", rows))
    names = sorted(layer.name() for layer in project.mapLayers().values())
    assert len(names) == 4
    assert all("old ice" in name for name in names)
    for layer in project.mapLayers().values():
        assert layer.renderer().type() == "singlebandpseudocolor"


def test_a_batch_of_scores_loads_tables_and_zones(batch, scenes, packages, project, tmp_path):
    project.removeAllMapLayers()
    rows = [
        {
            **scene,
            "MODEL": str(packages / "trial-concentration"),
            "ZONE_SIZE": 4,
            "OUTPUT": f"{tmp_path}/z{i}.csv",
            "ZONE_ZSCORES": f"{tmp_path}/z{i}.gpkg",
        }
        for i, scene in enumerate(scenes)
    ]
    assert all(batch("zscores", rows))
    layers = list(project.mapLayers().values())
    assert len(layers) == 4
    tables = [layer for layer in layers if not layer.isSpatial()]
    assert len(tables) == 2
    assert all(table.fields().lookupField("z_robust") >= 0 for table in tables)
