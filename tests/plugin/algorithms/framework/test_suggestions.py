"""A dialog begins with the layers of the project that fit, whatever lies on top."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.tests.plugin.conftest import write_raster


@pytest.fixture
def add(qgis_processing, tmp_path):
    """Return a function that lays a raster on top of the project, which is empty before and after."""
    from qgis.core import QgsProject, QgsRasterLayer

    project = QgsProject.instance()
    project.clear()

    def added(name: str, *bands: str, folder: str = ".", origin: float = 0.0, tag: bool = False):
        (tmp_path / folder).mkdir(exist_ok=True)
        path = write_raster(
            tmp_path / folder / f"{name}.tif", {b: np.ones((20, 20), np.float32) for b in bands}
        )
        from osgeo import gdal

        raster = gdal.Open(str(path), gdal.GA_Update)
        raster.SetGeoTransform((origin, 80.0, 0.0, -1_000_000.0, 0.0, -80.0))
        if tag:
            raster.SetMetadataItem("FLOELENS_MODEL", "any")
        raster = None
        layer = QgsRasterLayer(str(path), name)
        project.addMapLayer(layer)
        return layer

    yield added
    project.clear()


def first(provider, algorithm: str, *names: str) -> list:
    """Return what a new dialog of an algorithm begins with: ids of layers, None where it has none of its own."""
    tool = provider.algorithm(algorithm).create()
    return [tool.parameterDefinition(name).defaultValueForGui() for name in names]


def test_radiometry_and_results_on_top_are_not_taken_for_sar(provider, add):
    sar = add("scene", "hh", "hv")
    mwr = add("radiometry", "btemp_6_9h", "btemp_6_9v")
    add("SAR relevance", "hh", "hv", tag=True)
    add("MWR relevance", "btemp_6_9h", "btemp_6_9h_per_pixel", tag=True)
    assert first(provider, "predict", "SAR", "MWR") == [sar.id(), mwr.id()]
    assert first(provider, "zscores", "LABELS") == [None]


def test_radiometry_and_chart_are_those_of_the_scene(provider, add):
    mwr = add("mwr", "btemp_6_9h", folder="day1")
    sar = add("sar", "Sigma0_HH_db", "Sigma0_HV_db", folder="day1")
    chart = add("chart", "concentration", folder="day1")
    add("other place", "btemp_6_9h", origin=900_000.0)
    add("other day", "btemp_6_9h", folder="day2")
    assert first(provider, "zscores", "SAR", "MWR", "LABELS") == [sar.id(), mwr.id(), chart.id()]


def test_bands_without_names_are_taken_where_no_other_fits(provider, add):
    plain = add("plain", "", "")
    add("radiometry", "btemp_6_9h")
    assert first(provider, "predict", "SAR") == [plain.id()]


def test_scripts_and_models_keep_their_defaults(provider, add):
    add("scene", "hh", "hv")
    tool = provider.algorithm("predict").create()
    assert tool.parameterDefinition("SAR").defaultValue() is None
    assert first(provider, "stampbenchmark", "SAR") == [None]


def test_the_model_designer_begins_without_layers_of_the_project(provider, add, monkeypatch):
    from floelens.plugin.algorithms.framework import suggestions

    class Designer:
        def activeWindow(self):  # noqa: N802
            return self

        def inherits(self, name: str) -> bool:
            return name in ("QWidget", "QgsModelDesignerDialog")

        def thread(self):
            return suggestions.QThread.currentThread()

    add("scene", "hh", "hv")
    add("radiometry", "btemp_6_9h")
    monkeypatch.setattr(suggestions.QCoreApplication, "instance", Designer)
    assert first(provider, "predict", "SAR", "MWR") == [None, None]


def test_a_dialog_shows_them(provider, add, monkeypatch):
    from processing.gui import ParametersPanel
    from processing.gui.AlgorithmDialog import AlgorithmDialog

    monkeypatch.setattr(ParametersPanel, "iface", None)
    sar, mwr = add("scene", "hh", "hv"), add("radiometry", "btemp_6_9h")
    add("on top", "red")
    dialog = AlgorithmDialog(provider.algorithm("relevance").create(), False, None)
    try:
        wrappers = dialog.mainWidget().wrappers
        assert [wrappers[name].parameterValue() for name in ("SAR", "MWR")] == [sar.id(), mwr.id()]
    finally:
        dialog.close()
        dialog.deleteLater()
