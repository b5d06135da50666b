"""What the toolbox, models and scripts rely on: ids, names, help; quick and without the big libraries."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import floelens
import pytest
from floelens.plugin.ground.paths import DOCUMENTATION
from floelens.tools.headless import ROOT
from qgis.core import QgsProcessingParameterDefinition

PUBLISHED = json.loads((ROOT / "tests" / "published.json").read_text(encoding="utf-8"))
WORDS = [(name, parameter) for name, entry in PUBLISHED.items() for parameter in entry["words"]]


def parameters(provider, algorithm: str) -> list[str]:
    """Return the names of the parameters of an algorithm."""
    return [d.name() for d in provider.algorithm(algorithm).parameterDefinitions()]


def test_the_published_ids_and_parameter_names_are_kept(provider):
    assert provider.id() == "floelens"
    found = {a.name(): parameters(provider, a.name()) for a in provider.algorithms()}
    assert {name: sorted(p) for name, p in found.items()} == {
        name: sorted(entry["parameters"]) for name, entry in PUBLISHED.items()
    }


def test_every_algorithm_has_an_icon_of_its_own_and_a_page_on_the_documentation_site(provider):
    for algorithm in provider.algorithms():
        icon = ROOT / "resources" / "icons" / f"{algorithm.name()}.svg"
        assert algorithm.svgIconPath() == str(icon)
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(icon).iter()}
        assert tags <= {"svg", "title", "circle", "path", "rect"}  # Qt draws SVG Tiny
        assert not algorithm.icon().pixmap(24, 24).isNull()
        # As `write_reference` names pages.
        assert algorithm.helpUrl() == f"{DOCUMENTATION}/algorithms/{algorithm.name()}.html"


def test_the_words_of_every_enum_are_published(provider):
    enums = {
        (algorithm.name(), definition.name())
        for algorithm in provider.algorithms()
        for definition in algorithm.parameterDefinitions()
        if definition.type() == "enum"
    }
    shared = {"DEVICE", "PRECISION"}  # of every algorithm that reads a scene; held for one of them
    assert {(name, parameter) for name, parameter in enums if parameter not in shared} <= set(WORDS)


@pytest.mark.parametrize(("algorithm", "parameter"), WORDS)
def test_the_published_words_of_enums_are_kept_and_explained(provider, algorithm, parameter):
    definition = provider.algorithm(algorithm).parameterDefinition(parameter)
    assert definition.usesStaticStrings()
    assert definition.options() == PUBLISHED[algorithm]["words"][parameter]
    if definition.allowMultiple():  # all or some of them, in their order
        chosen = definition.defaultValue()
        assert chosen
        assert chosen == [word for word in definition.options() if word in chosen]
    else:
        assert definition.defaultValue() == definition.options()[0]
    assert all(f"{word}:" in definition.help() for word in definition.options())


def test_the_first_output_is_mandatory_and_the_others_are_optional(provider):
    optional = QgsProcessingParameterDefinition.Flag.FlagOptional
    for algorithm in provider.algorithms():
        first, *others = algorithm.destinationParameterDefinitions()
        if algorithm.name() == "importscene":
            # An ice chart has no SAR: it may be skipped, but dialogs ask for it.
            assert first.createByDefault()
            assert not any(other.createByDefault() for other in others)
        elif algorithm.name() == "importmodel":
            # Empty: the user's model folder, whose place is not asked for.
            assert first.flags() & optional
        elif algorithm.name() == "removemodel":
            assert first.flags() & optional  # a copy of what is removed
            assert not first.createByDefault()
        else:
            assert not first.flags() & optional, algorithm.name()
        assert all(other.flags() & optional for other in others), algorithm.name()


def test_reports_come_with_their_content_for_programs(provider):
    for name in ("relevance", "zscores"):
        outputs = [o.name() for o in provider.algorithm(name).outputDefinitions()]
        assert {"REPORT", "REPORT_JSON", "REPORT_CSV"} <= set(outputs)


def test_every_algorithm_has_group_tags_icon_and_a_help_page_of_all_it_declares(provider):
    for algorithm in provider.algorithms():
        assert algorithm.group()
        assert algorithm.groupId()
        assert algorithm.shortDescription()
        assert "sea ice" in algorithm.tags()
        assert not algorithm.icon().isNull()
        page = algorithm.shortHelpString()
        for definition in algorithm.parameterDefinitions():
            assert definition.help(), f"{algorithm.name()} {definition.name()}"
            assert f"<b>{definition.name()}</b>" in page
        for output in algorithm.outputDefinitions():
            assert f"<b>{output.name()}</b>" in page


def test_results_are_plain_files_of_few_kinds(provider):
    assert not provider.supportsNonFileBasedOutput()
    table = provider.algorithm("zscores").parameterDefinition("OUTPUT")
    zones = provider.algorithm("zscores").parameterDefinition("ZONE_ZSCORES")
    raster = provider.algorithm("predict").parameterDefinition("OUTPUT")
    assert [d.defaultFileExtension() for d in (table, zones, raster)] == ["csv", "gpkg", "tif"]
    assert provider.algorithm("zscores").parameterDefinition("REPORT").defaultFileExtension() == "html"
    for name, parameter, kind in (("predict", "COVERAGE", ".tif"), ("zscores", "STATE", ".npz")):
        entry = provider.algorithm(name).shortHelpString().split(f"<b>{parameter}</b>")[1].split("</li>")[0]
        assert f"a {kind} file" in entry


def test_registering_twice_and_unloading_leave_one_and_none(qgis_processing):
    from floelens.plugin.main import FloeLensPlugin
    from floelens.plugin.provider import FloeLensProvider

    plugin = FloeLensPlugin(None)
    provider = plugin.provider = FloeLensProvider()
    plugin.initProcessing()
    assert plugin.provider is provider
    plugin.provider = None
    plugin.unload()
    assert plugin.provider is None


def test_the_model_that_comes_along_is_valid_in_the_designer(provider):
    from qgis.core import QgsProcessingModelAlgorithm

    (path,) = (Path(floelens.__file__).parent / "resources" / "processing_models").glob("*.model3")
    model = QgsProcessingModelAlgorithm()
    assert model.fromFile(str(path))
    assert model.validate() == (True, [])


def test_the_first_start_in_the_desktop_says_where_the_tools_are_and_later_ones_do_not(provider, monkeypatch):
    from floelens.plugin import main

    said = []

    class Desktop:
        def messageBar(self):  # noqa: N802
            return self

        def pushMessage(self, *given):  # noqa: N802
            said.append(given)

        def mainWindow(self):  # noqa: N802
            return None

        def addPluginToMenu(self, *given):  # noqa: N802
            """Take it."""

        addToolBarIcon = registerOptionsWidgetFactory = addPluginToMenu  # noqa: N815

    class Settings(dict):
        def value(self, key, default, type):
            return self.get(key, default)

        setValue = dict.__setitem__  # noqa: N815

    kept = Settings()
    monkeypatch.setattr(main, "QgsSettings", lambda: kept)
    plugin = main.FloeLensPlugin(Desktop())
    plugin.provider = provider  # is registered already
    plugin.initGui()
    plugin.initGui()
    ((title, text, _, _),) = said
    assert title == "FloeLens"
    assert "Processing toolbox" in text
    assert "Try it" in text
    assert main.PLACES in text
