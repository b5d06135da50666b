"""A layer that a tool has made looks like one opened by hand, has a telling name, and its group."""

from __future__ import annotations

import gc

import pytest
from floelens.plugin.algorithms.framework.layers import dress, layer_name, short_scene, styled_by_person
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
    assert dress(context, path, "Relevance of SAR", "scene · SAR relevance", "FloeLens scene", styled=True)
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
    assert dress(context, path, "Relevance of SAR", "scene · SAR relevance", "FloeLens scene")
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
    dress(context, path, "Relevance of SAR", "name", "FloeLens scene")
    load(path, project, context, "Relevance of SAR")
    assert len(project.layerTreeRoot().findGroups()) == 2


def test_the_group_that_a_person_set_for_results_is_kept(made):
    path, project, context = made
    QgsSettings().setValue("Processing/Configuration/RESULTS_GROUP_NAME", "mine")
    try:
        dress(context, path, "Relevance of SAR", "name", "FloeLens scene")
        load(path, project, context, "Relevance of SAR")
        assert project.layerTreeRoot().findGroup("FloeLens scene") is None
    finally:
        QgsSettings().remove("Processing/Configuration/RESULTS_GROUP_NAME")


def test_a_name_that_a_person_gave_is_kept(made):
    path, project, context = made
    dress(context, path, "Relevance of SAR", "scene · SAR relevance", "")
    assert load(path, project, context, "my map").name() == "my map"


def test_a_result_that_is_not_loaded_is_left_alone(made):
    _, _, context = made
    assert not dress(context, "/elsewhere.tif", "Relevance of SAR", "name", "group")


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
