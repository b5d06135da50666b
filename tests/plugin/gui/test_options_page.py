"""What is set on the page of QGIS's options steers dialogs and the list of models, and can be taken back."""

from __future__ import annotations

import shutil

import pytest
from floelens.plugin.algorithms.framework import preferences
from floelens.plugin.ground.vocabulary.settings import MEMORY
from floelens.plugin.networks import registry
from qgis.core import QgsProcessingContext, QgsSettings
from qgis.gui import QgsGui, QgsProcessingGui


@pytest.fixture(autouse=True)
def as_before(qgis_processing):
    yield
    preferences.set_preferences(MEMORY.default, "")


def offered(provider) -> int:
    """Return the memory that a new dialog of *Predict* offers."""
    algorithm, context = provider.algorithm("predict").create(), QgsProcessingContext()
    parameter = algorithm.parameterDefinition("MEMORY")
    assert parameter.defaultValue() == MEMORY.default  # of scripts, models and the command line
    wrapper = QgsGui.processingGuiRegistry().createParameterWidgetWrapper(
        parameter, QgsProcessingGui.Standard
    )
    widget = wrapper.createWrappedWidget(context)
    value = wrapper.parameterValue()
    widget.deleteLater()
    return value


def test_the_page_sets_the_memory_that_dialogs_offer_and_a_folder_of_models(provider, packages, tmp_path):
    from floelens.plugin.gui.options_page import OptionsFactory

    shutil.copytree(packages / "trial-type", tmp_path / "trial-type")
    assert "trial-type" not in registry.installed()
    page = OptionsFactory().createWidget(None)
    assert page.memory.value() == MEMORY.default == offered(provider)
    page.memory.setValue(3000)
    page.models.setFilePath(str(tmp_path))
    page.apply()
    assert offered(provider) == 3000
    assert registry.installed()["trial-type"] == (tmp_path / "trial-type").resolve()
    again = OptionsFactory().createWidget(None)
    assert (again.memory.value(), again.models.filePath()) == (3000, str(tmp_path))
    again.memory.setValue(MEMORY.default)
    again.models.setFilePath("")
    again.apply()
    assert offered(provider) == MEMORY.default
    assert "trial-type" not in registry.installed()
    assert not QgsSettings().contains(preferences.MEMORY_KEY)


@pytest.mark.parametrize("kept", ["much", "7", "-1", "1e99", ""])
def test_a_memory_that_makes_no_sense_does_not_count(kept):
    QgsSettings().setValue(preferences.MEMORY_KEY, kept)
    assert preferences.preferred_memory() == MEMORY.default
