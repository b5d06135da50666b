"""A layer that a tool has made looks like one opened by hand, has a telling name, and its group."""

from __future__ import annotations

import gc
import shutil
from dataclasses import replace

import pytest
from floelens.plugin.algorithms.framework.layers import (
    Look,
    RunLayers,
    layer_name,
    order_of,
    short_scene,
    style_when_loaded,
    styled_by_person,
)
from floelens.plugin.report.styles import layers as styles
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
    QgsSingleBandGrayRenderer,
)

LOOK = Look("Relevance of SAR", "scene · SAR relevance", "FloeLens scene")


@pytest.fixture
def made(backscatter):
    """Return a raster with its style, and a project and a context in which it is to be loaded."""
    text = styles.relevance_style("ice", 5.0, start_time="2021-03-04T07:12:00Z")
    styles.sidecar(backscatter).write_text(text, encoding="utf-8")
    project, context = QgsProject(), QgsProcessingContext()
    context.setProject(project)
    details = QgsProcessingContext.LayerDetails(
        "Relevance of SAR", project, "SAR_RELEVANCE", QgsProcessingUtils.LayerHint.Raster
    )
    context.addLayerToLoadOnCompletion(str(backscatter), details)
    return str(backscatter), project, context


def load(path: str, project: QgsProject, context: QgsProcessingContext, name: str) -> QgsRasterLayer:
    """Load a result as Processing does."""
    layer = QgsRasterLayer(path, name, "gdal")
    layer.setDefaultContrastEnhancement()
    project.addMapLayer(layer)
    gc.collect()  # a post-processor without a reference in Python would be gone now
    context.layerToLoadOnCompletionDetails(path).postProcessor().postProcessLayer(
        layer, context, QgsProcessingFeedback()
    )
    return project.mapLayer(layer.id())


def test_a_style_that_a_person_chose_for_an_output_stays(made):
    path, project, context = made
    assert style_when_loaded(context, path, replace(LOOK, styled=True))
    layer = QgsRasterLayer(path, "Relevance of SAR", "gdal")
    layer.setRenderer(QgsSingleBandGrayRenderer(layer.dataProvider(), 1))
    project.addMapLayer(layer)
    details = context.layerToLoadOnCompletionDetails(path)
    details.postProcessor().postProcessLayer(layer, context, QgsProcessingFeedback())
    assert layer.renderer().type() == "singlebandgray"
    assert layer.name() == "scene · SAR relevance"


def test_whether_a_person_chose_a_style_is_asked_of_processing(qgis_processing):
    from processing.gui.RenderingStyles import RenderingStyles

    before = dict(RenderingStyles.styles)
    try:
        RenderingStyles.styles["floelens:relevance"] = {"SAR_RELEVANCE": "mine.qml"}
        assert styled_by_person("floelens:relevance", "SAR_RELEVANCE")
        assert not styled_by_person("floelens:relevance", "MWR_RELEVANCE")
        assert not styled_by_person("floelens:predict", "OUTPUT")
    finally:
        RenderingStyles.styles = before


def test_a_loaded_result_has_style_time_name_and_group(made):
    path, project, context = made
    assert style_when_loaded(context, path, LOOK)
    layer = load(path, project, context, "Relevance of SAR")
    assert layer.renderer().type() == "singlebandpseudocolor"
    assert layer.temporalProperties().isActive()
    assert layer.name() == "scene · SAR relevance"
    details = context.layerToLoadOnCompletionDetails(path)
    if not hasattr(details, "groupName"):  # newer versions group by themselves
        groups = [group.name() for group in project.layerTreeRoot().findGroups()]
        assert groups == ["FloeLens scene"]
        assert project.layerTreeRoot().findLayer(layer.id()).parent().name() == "FloeLens scene"
    assert len(project.layerTreeRoot().findLayers()) == 1


def test_a_second_result_of_the_scene_joins_its_group(made):
    path, project, context = made
    project.layerTreeRoot().insertGroup(0, "FloeLens other")
    project.layerTreeRoot().insertGroup(0, "FloeLens scene")
    style_when_loaded(context, path, LOOK)
    load(path, project, context, "Relevance of SAR")
    assert len(project.layerTreeRoot().findGroups()) == 2


def test_of_the_layers_of_a_run_the_first_is_shown_above_the_others_and_tables_come_last(backscatter):
    """However QGIS loads them: by their paths, so that a map may come last."""
    project, context = QgsProject(), QgsProcessingContext()
    context.setProject(project)
    before = QgsRasterLayer(str(backscatter), "SAR", "gdal")
    group = project.layerTreeRoot().insertGroup(0, "FloeLens scene")
    project.addMapLayer(before, False)
    group.addLayer(before)
    outputs = ("OUTPUT", "PROBABILITIES", "COVERAGE", "TABLE")
    run, files = RunLayers(), {}
    for rank, (name, shown) in enumerate(order_of(outputs, ("COVERAGE",), ("TABLE",))):
        files[name] = str(shutil.copy(backscatter, backscatter.with_name(f"{name}.tif")))
        details = QgsProcessingContext.LayerDetails(name, project, name)
        context.addLayerToLoadOnCompletion(files[name], details)
        look = Look(name, name.lower(), "FloeLens scene", rank=rank, shown=shown)
        assert style_when_loaded(context, files[name], look, run)
    if hasattr(context.layerToLoadOnCompletionDetails(files["OUTPUT"]), "groupName"):
        keys = {
            name: context.layerToLoadOnCompletionDetails(path).layerSortKey for name, path in files.items()
        }
        assert sorted(outputs, key=keys.get) == ["TABLE", "PROBABILITIES", "OUTPUT", "COVERAGE"]
        return
    for name in sorted(outputs):
        load(files[name], project, context, name)
    shown = {node.name(): node.itemVisibilityChecked() for node in group.findLayers()}
    assert list(shown) == ["coverage", "output", "probabilities", "table", "SAR"]
    assert shown == {"coverage": True, "output": True, "probabilities": False, "table": True, "SAR": True}
    assert len(project.mapLayers()) == 5


def test_a_layer_that_comes_into_the_tree_later_is_ticked_or_not_then(made):
    """As QGIS 3.32 and later do: the post-processor comes first, the layer's node after it."""
    path, project, context = made
    assert style_when_loaded(context, path, replace(LOOK, group="", shown=False))
    layer = QgsRasterLayer(path, "Relevance of SAR", "gdal")
    project.addMapLayer(layer, False)
    context.layerToLoadOnCompletionDetails(path).postProcessor().postProcessLayer(
        layer, context, QgsProcessingFeedback()
    )
    group = project.layerTreeRoot().addGroup("some group")
    node = group.addLayer(layer)
    assert not node.itemVisibilityChecked()
    node.setItemVisibilityChecked(True)
    group.addGroup("another")
    assert node.itemVisibilityChecked()  # asked once


def test_the_group_that_a_person_set_for_results_is_kept(made):
    path, project, context = made
    QgsSettings().setValue("Processing/Configuration/RESULTS_GROUP_NAME", "mine")
    try:
        style_when_loaded(context, path, LOOK)
        load(path, project, context, "Relevance of SAR")
        assert project.layerTreeRoot().findGroup("FloeLens scene") is None
    finally:
        QgsSettings().remove("Processing/Configuration/RESULTS_GROUP_NAME")


def test_a_name_that_a_person_gave_is_kept(made):
    path, project, context = made
    style_when_loaded(context, path, replace(LOOK, group=""))
    assert load(path, project, context, "my map").name() == "my map"


def test_a_result_that_is_not_loaded_is_left_alone(made):
    _, _, context = made
    assert not style_when_loaded(context, "/elsewhere.tif", LOOK)


def test_layer_names_leave_out_what_is_unknown():
    assert layer_name("SAR relevance", "ice", "S1A", "aspp") == "SAR relevance: ice (S1A, aspp)"
    assert layer_name("Z-scores", None, "S1A", None) == "Z-scores (S1A)"
    assert layer_name("SAR") == "SAR"


@pytest.mark.parametrize(
    ("scene", "shown"),
    [
        ("S1A_EW_GRDM_1SDH_20180124T194759_20180124T194859_020293_022A39_C0A6", "2018-01-24 19:47:59 S1A"),
        ("20180124T194759_S1B_AMSR2_Icechart-Greenland-CapeFarewell", "2018-01-24 19:47:59 S1B"),
        ("GW1AM2_201908230330_123A_L1SGBTBR_2220220", "2019-08-23 03:30 GW1AM2"),
        ("201504261200_Greenland_WA", "201504261200_Greenland_WA"),
        ("20180124T194759_dmi_prep", "20180124T194759_dmi_prep"),
        (
            "a_name_that_is_far_too_long_for_the_panel_and_has_no_time",
            "a_name_that_is_far_too_long_for_the_pane…",
        ),
        ("a_name_with_20999999999999_that_is_no_time_", "a_name_with_20999999999999_that_is_no_ti…"),
        ("NSIDC-0803_SEAICE_AMSR2_N_20240105_v2.0", "NSIDC-0803_SEAICE_AMSR2_N_20240105_v2.0"),
    ],
)
def test_long_scene_names_are_told_by_time_and_satellite(scene, shown):
    assert short_scene(scene) == shown
