"""The dialog of Import model says what a chosen file is, what is still needed, and what holds for empty fields."""

from __future__ import annotations

import json
import time
import zipfile

import pytest
import torch
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.models.hints import hint_for
from floelens.plugin.networks import registry
from floelens.tests.plugin.networks.families.definitions import Steps, drawn


def saved(path, network) -> str:
    torch.save(drawn(network).state_dict(), path)
    return str(path)


@pytest.fixture
def dialog(provider, monkeypatch):
    """Return the dialog."""
    from processing.gui import ParametersPanel
    from processing.gui.AlgorithmDialog import AlgorithmDialog

    monkeypatch.setattr(ParametersPanel, "iface", None)  # the test framework's mock of it is not accepted
    made = AlgorithmDialog(provider.algorithm("importmodel").create(), False, None)
    yield made
    made.close()
    made.deleteLater()


def said(dialog, before: str = "") -> str:
    """Wait for another answer, and return it."""
    from qgis.PyQt.QtCore import QCoreApplication

    chooser = dialog.mainWidget().wrappers["INPUT"]
    for _ in range(400):
        QCoreApplication.processEvents()
        text = chooser._said.text()
        if text and text != before:
            return text
        time.sleep(0.02)
    raise AssertionError("nothing was said")


def test_the_dialog_names_the_family_and_what_is_still_needed_in_its_own_labels(dialog, tmp_path):
    from qgis.core import QgsProcessingContext

    wrappers = dialog.mainWidget().wrappers
    wrappers["INPUT"].setValue(saved(tmp_path / "w.pt", Steps(channels=3, filters=(4, 4), transposed=True)))
    first = said(dialog)
    assert "Recognised: Binary U-Net of UiT (uit)." in first
    assert "“Pixel size (m)”: the size" in first
    assert wrappers["CHANNELS"].wrappedWidget().placeholderText() == "hh,hv,incidence_angle"
    assert wrappers["CHANNELS"].parameterValue() in (None, "")
    wrappers["PIXEL_SIZE"].setParameterValue(40.0, QgsProcessingContext())
    second = said(dialog, first)
    assert "Nothing more is needed." in second
    wrappers["CHANNELS"].setParameterValue("hh,hv", QgsProcessingContext())
    assert "Not as it stands:</b> “Channels in the network" in said(dialog, second)


def test_a_field_that_has_gone_is_not_asked_again(provider, monkeypatch):
    from floelens.plugin.gui.weights_chooser import WeightsChooser
    from processing.gui.AlgorithmDialog import AlgorithmDialog
    from processing.gui.wrappers import WidgetWrapperFactory
    from qgis.PyQt.QtCore import QCoreApplication, QEvent

    asked = []
    monkeypatch.setattr("floelens.plugin.gui.weights_chooser._PAUSE_MS", 0)
    monkeypatch.setattr(WeightsChooser, "_ask", lambda chooser: asked.append(chooser._file.filePath()))
    definition = provider.algorithm("importmodel").parameterDefinition("INPUT")
    chooser = WidgetWrapperFactory.create_wrapper(definition, AlgorithmDialog.__new__(AlgorithmDialog))
    chooser.setValue("/data/w.pt")
    chooser.widget.deleteLater()  # a dialog is closed while its wrappers live on
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    assert asked == []


def test_what_a_batch_gets_is_a_plain_field(provider):
    from processing.gui.wrappers import WidgetWrapperFactory

    wrapper = WidgetWrapperFactory.create_wrapper(
        provider.algorithm("importmodel").parameterDefinition("INPUT"), type("BatchAlgorithmDialog", (), {})()
    )
    wrapper.setValue("/data/w.pt")
    assert wrapper.value() == "/data/w.pt"
    assert not hasattr(wrapper, "_said")


def test_hints_name_what_is_needed_and_never_run_the_network(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    file = saved(tmp_path / "five.pt", Steps(channels=5, filters=(4, 4)))
    hint = hint_for(ImportModel(file))
    assert hint.family == "unet"
    assert [sentence.split(":")[0] for sentence in hint.needed] == ["ORDER", "PIXEL_SIZE", "CHANNELS"]
    assert "CHANNELS" not in hint.defaults
    given = {"pixel_size": 80.0, "order": "skip_first", "channels": "hh,hv,t2m,u10m_rotated,v10m_rotated"}
    complete = hint_for(ImportModel(file, **given))
    assert complete.needed == ()
    assert complete.defaults["CHANNELS"] == given["channels"]
    assert hint_for(ImportModel(str(tmp_path / "none.pt"))).needed[0].startswith("There is no file")
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(registry.BUNDLED / "aspp-icetype-sim" / "card.json", "card.json")
        archive.writestr("broken.txt", "")
    hint = hint_for(ImportModel(str(tmp_path / "p.zip")))
    assert hint.title.endswith("(id aspp-icetype-sim).")
    assert hint.needed == ()
    # A text would be taken for the path of a card: choosing a file must open no other one.
    elsewhere = json.dumps(str(registry.BUNDLED / "aspp-icetype-sim" / "card.json"))
    for content, words in (("{", "no valid JSON"), ("[]", "no JSON object"), (elsewhere, "no JSON object")):
        with zipfile.ZipFile(tmp_path / "q.zip", "w") as archive:
            archive.writestr("card.json", content)
        assert words in hint_for(ImportModel(str(tmp_path / "q.zip"))).needed[0]
    assert not (tmp_path / "user").exists()
