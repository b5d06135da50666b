"""The chooser offers installed models and takes whatever is typed."""

from __future__ import annotations

from floelens.plugin.networks import registry


def chooser(provider, algorithm: str = "predict"):
    """Return the chooser as the dialog of an algorithm makes it."""
    from processing.gui.wrappers import WidgetWrapperFactory

    definition = provider.algorithm(algorithm).parameterDefinition("MODEL")
    return WidgetWrapperFactory.create_wrapper(definition, None)


def test_a_dialog_gets_the_chooser_with_the_default_model(provider):
    wrapper = chooser(provider)
    assert type(wrapper).__name__ == "ModelChooser"
    assert wrapper.value() == "aspp-concentration-sim"
    assert wrapper.label.text() == "Model"


def test_it_offers_what_is_installed(provider, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "installed", lambda: {"b-model": tmp_path, "a-model": tmp_path})
    combo = chooser(provider, "inspectmodel").widget
    assert [combo.itemText(i) for i in range(combo.count())] == ["a-model", "b-model"]
    assert combo.isEditable()


def test_no_model_is_chosen_for_removal_by_itself(provider, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "installed", lambda: {"a-model": tmp_path})
    assert not chooser(provider, "removemodel").value()


def test_a_typed_path_is_passed_on_as_it_is(provider):
    wrapper = chooser(provider)
    wrapper.widget.setEditText(" /data/my model ")
    assert wrapper.value() == "/data/my model"
    wrapper.setValue("/other/card.json")
    assert wrapper.value() == "/other/card.json"


def test_what_is_chosen_comes_back_by_its_id(provider, monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "installed", lambda: {"a-model": tmp_path, "b-model": tmp_path})
    wrapper = chooser(provider)
    wrapper.setValue("b-model")
    assert wrapper.widget.currentIndex() == 1
    assert wrapper.value() == "b-model"


def test_the_dialog_of_an_algorithm_opens_with_every_parameter(provider, monkeypatch):
    from processing.gui import ParametersPanel
    from processing.gui.AlgorithmDialog import AlgorithmDialog

    monkeypatch.setattr(ParametersPanel, "iface", None)  # the test framework's mock of it is not accepted
    dialog = AlgorithmDialog(provider.algorithm("relevance").create(), False, None)
    try:
        wrappers = dialog.mainWidget().wrappers
        assert type(wrappers["MODEL"]).__name__ == "ModelChooser"
        assert set(wrappers) == {d.name() for d in provider.algorithm("relevance").parameterDefinitions()}
    finally:
        dialog.close()
        dialog.deleteLater()
