"""Classes, heads, components and layers in a dialog are those of the model that is chosen there."""

from __future__ import annotations

import pytest

ICE_TYPES = ["predicted", "open water", "young ice", "first-year ice", "multi-year ice"]


@pytest.fixture
def wrappers(provider):
    """Return the wrappers of a relevance dialog, and of the layers of features, by name."""
    from processing.gui.wrappers import WidgetWrapperFactory

    def made(algorithm: str = "relevance") -> dict:
        tool = provider.algorithm(algorithm).create()  # keeps the definitions alive
        names = ("MODEL", "CLASS", "REFERENCE_CLASS", "HEAD", "COMPONENT", "NETWORK_LAYER")
        definitions = [d for d in tool.parameterDefinitions() if d.name() in names]
        found = {d.name(): WidgetWrapperFactory.create_wrapper(d, None) for d in definitions}
        for wrapper in found.values():
            wrapper.postInitialize(list(found.values()))
        found["tool"] = tool
        return found

    return made


def listed(wrapper) -> list[str]:
    """Return the texts in the list of a wrapper."""
    return [wrapper.widget.itemText(i) for i in range(wrapper.widget.count())]


def test_lists_are_those_of_the_model_and_follow_it(wrappers):
    dialog = wrappers()
    assert listed(dialog["CLASS"]) == ["predicted", "ice"]
    dialog["MODEL"].setValue("aspp-icetype-sim")
    assert listed(dialog["CLASS"]) == ICE_TYPES
    assert listed(dialog["REFERENCE_CLASS"]) == ["", *ICE_TYPES[1:]]
    assert listed(dialog["HEAD"]) == ["", "icetype"]
    assert "skip_01" in listed(dialog["COMPONENT"])


def test_a_class_of_the_model_before_gives_way_and_a_typed_one_stays(wrappers):
    dialog = wrappers()
    dialog["MODEL"].setValue("aspp-icetype-sim")
    dialog["CLASS"].setValue("young ice")
    dialog["REFERENCE_CLASS"].widget.setEditText("my class")
    dialog["MODEL"].setValue("aspp-concentration-sim")
    assert dialog["CLASS"].value() == "predicted"
    assert dialog["REFERENCE_CLASS"].value() == "my class"


def test_values_are_plain_texts_as_if_they_had_been_typed(wrappers):
    dialog = wrappers()
    assert {name: dialog[name].value() for name in ("CLASS", "REFERENCE_CLASS", "HEAD", "COMPONENT")} == {
        "CLASS": "predicted",
        "REFERENCE_CLASS": "",
        "HEAD": "",
        "COMPONENT": "",
    }


def test_what_is_typed_counts_though_another_entry_was_chosen_before(wrappers):
    model = wrappers()["MODEL"]
    model.setValue("aspp-concentration-sim")
    model.widget.setEditText("aspp-icetype-sim")
    assert model.value() == "aspp-icetype-sim"


def test_a_model_that_does_not_exist_leaves_short_lists(wrappers):
    dialog = wrappers()
    dialog["MODEL"].widget.setEditText("/no/such/model")
    assert listed(dialog["CLASS"]) == ["predicted"]


def test_the_layers_of_a_network_are_listed_when_the_list_is_opened(wrappers):
    dialog = wrappers("features")
    layers = dialog["NETWORK_LAYER"]
    assert listed(layers) == ["", "components"]
    layers.widget.showPopup()
    layers.widget.hidePopup()
    assert {"components", "relu6", "relu2", "upsample"} <= set(listed(layers))
    assert layers.value() == ""
