"""Each package carries a STAC item; from one a card is made, and through catalogues models are found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks import catalogue, registry
from floelens.plugin.networks.card import ModelCard
from floelens.plugin.networks.card_json import read_some
from floelens.plugin.networks.families.stac_item import card_of_item, is_item, item_beside
from floelens.plugin.networks.stac import item_json, mlm_item

# Written for these tests from the text of the specifications; see its title.
RULES = json.loads((Path(__file__).parent / "mlm_rules.json").read_text(encoding="utf-8"))
BUNDLED = sorted(path.name for path in registry.BUNDLED.iterdir() if (path / registry.CARD).is_file())


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setenv(registry.VARIABLE, "")


def problems(item: dict) -> list[str]:
    validator = pytest.importorskip("jsonschema").Draft7Validator(RULES)
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(item)]


@pytest.mark.parametrize("model", BUNDLED)
def test_the_item_of_a_model_keeps_the_rules_of_the_extension(model):
    card = registry.load_card(model)
    item = json.loads(item_json(card))
    assert problems(item) == []
    assert item["assets"]["model"]["file:checksum"] == f"1220{card.weights.sha256}"
    assert item_json(card) == item_json(card)
    worded = mlm_item(dataclasses.replace(card, licence="as agreed with the authors"))
    assert problems(worded) == []
    assert worded["properties"]["license"] == "other"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("properties", "mlm:name"), "x"),
        (("properties", "mlm:unknown"), 1),
        (("properties", "datetime"), "2026-01-01T00:00:00Z"),
        (("assets", "model", "roles"), ["data"]),
        (("assets", "card", "mlm:artifact_type"), "json"),
        (("stac_extensions",), []),
        (("properties", "mlm:input", 0, "value_scaling", 0, "stddev"), "3"),
    ],
)
def test_the_rules_find_what_is_wrong(place, value):
    item = mlm_item(registry.load_card(BUNDLED[0]))
    inner = item
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    assert problems(item)


@pytest.mark.parametrize("model", BUNDLED)
def test_what_an_item_says_is_what_the_card_says(model):
    card = registry.load_card(model)
    item = json.loads(item_json(card))
    assert is_item(item)
    fields = read_some(ModelCard, card_of_item(item, "auto", "item.json"), "item.json")
    same = ("name", "sensor", "grid", "unit", "mean", "sd", "ratio")
    assert [[getattr(channel, key) for key in same] for channel in fields["channels"]] == [
        [getattr(channel, key) for key in same] for channel in card.channels
    ]
    assert [(head.name, head.kind, head.unit, head.outputs) for head in fields["heads"]] == [
        (head.name, head.kind, head.unit if head.kind != "softmax" else "", head.outputs)
        for head in card.heads
    ]
    if card.heads[0].kind == "softmax":
        assert [(c.name, c.value, c.colour.lower()) for c in fields["heads"][0].classes] == [
            (c.name, c.value, c.colour.lower()) for c in card.heads[0].classes
        ]
    assert (fields["title"], fields["licence"], fields["pixel_size_m"]) == (
        card.title,
        card.licence,
        card.pixel_size_m,
    )


def foreign(**changed) -> dict:
    """Return an item as somebody else would write it, with one scaling for all bands."""
    properties = {
        "gsd": 40,
        "mlm:input": [
            {
                "name": "image",
                "bands": ["hh", {"name": "slope"}],
                "input": {"shape": [-1, 2, 256, 256]},
                "value_scaling": [{"type": "z-score", "mean": -20, "stddev": 5}],
            }
        ],
        "mlm:output": [
            {"name": "ice", "tasks": ["regression"], "post_processing_function": {"expression": "Sigmoid"}}
        ],
    }
    return {"type": "Feature", "properties": {**properties, **changed}}


def test_a_foreign_item_gives_channels_in_order_and_a_head():
    fields = read_some(ModelCard, card_of_item(foreign(), "auto", "x"), "x")
    assert [(c.name, c.sensor, c.unit, c.mean, c.sd) for c in fields["channels"]] == [
        ("hh", "sar", "dB", -20.0, 5.0),
        ("slope", "other", "1", -20.0, 5.0),
    ]
    assert [(head.name, head.kind) for head in fields["heads"]] == [("ice", "sigmoid")]
    outputs = [{"name": "type", "tasks": ["segmentation"]}]  # classes are not said: nothing is made up
    assert "heads" not in card_of_item(foreign(**{"mlm:output": outputs}), "auto", "x")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"mlm:input": 3}, "no list"),
        ({"mlm:input": [{"bands": "hh"}]}, "no lists"),
        ({"mlm:input": [{"bands": [3]}]}, "no name of a band"),
        ({"mlm:input": [{"bands": ["a", "b", "c"], "value_scaling": [{}, {}]}]}, "2 entries"),
        ({"mlm:input": [{"bands": ["a"], "value_scaling": [{"type": "min-max"}]}]}, "not by mean"),
        ({"mlm:input": [{"bands": ["unheard-of"]}]}, "no value_scaling"),
        ({"mlm:output": [{"classification:classes": [1, 2]}]}, "no list of objects"),
    ],
)
def test_a_field_of_an_item_that_cannot_be_used_is_a_sentence(changed, words):
    with pytest.raises(ModelError, match=words) as raised:
        card_of_item(foreign(**changed), "auto", "item.json")
    assert len(str(raised.value)) < 500


def test_an_item_is_found_beside_its_file_and_nothing_else_is_taken_for_one(tmp_path):
    file = tmp_path / "unet.pt"
    for name, content in (
        ("unet.json", "{"),
        ("unet.pt.json", json.dumps({"type": "Feature"})),
        ("item.json", "[]"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert item_beside(str(file)) is None
    for href, found in (("https://example.com/other.pt", False), ("./unet.pt", True)):
        item = {**foreign(), "assets": {"model": {"href": href, "roles": ["mlm:model"]}}}
        (tmp_path / "stac-item.json").write_text(json.dumps(item), encoding="utf-8")
        assert item_beside(str(file)) == (tmp_path / "stac-item.json" if found else None)
    (tmp_path / "unet.json").write_text(json.dumps(foreign()), encoding="utf-8")
    assert item_beside(str(file)) == tmp_path / "unet.json"


def package(folder: Path, name: str) -> Path:
    """Write a package without weights, with its item."""
    card = dataclasses.replace(registry.load_card(BUNDLED[0]), id=name)
    folder.mkdir(parents=True)
    (folder / registry.CARD).write_text(card.to_json(), encoding="utf-8")
    (folder / registry.ITEM).write_text(item_json(card), encoding="utf-8")
    return folder


def test_models_are_found_through_a_catalogue_on_disk(tmp_path, monkeypatch):
    one, two = package(tmp_path / "a" / "one", "net-one"), package(tmp_path / "b c" / "two", "net-two")
    (tmp_path / "stac" / "north").mkdir(parents=True)
    top, child = tmp_path / "stac" / "catalog.json", tmp_path / "stac" / "north" / "collection.json"
    links = [
        {"rel": "self", "href": "https://example.com/catalog.json"},
        {"rel": "child", "href": "./north/collection.json"},
        {"rel": "item", "href": one.joinpath(registry.ITEM).as_uri()},
        {"rel": "item", "href": "https://example.com/item.json"},
        {"rel": "item", "href": "missing.json"},
    ]
    top.write_text(json.dumps({"type": "Catalog", "stac_version": "1.1.0", "links": links}), encoding="utf-8")
    links = [
        {"rel": "item", "href": "../../b%20c/two/stac-item.json"},
        {"rel": "parent", "href": "../catalog.json"},
        {"rel": "child", "href": "../catalog.json"},  # round and round
    ]
    child.write_text(
        json.dumps({"type": "Collection", "stac_version": "1.1.0", "links": links}), encoding="utf-8"
    )
    assert list(catalogue.packages_in(top)) == [one, two]
    for place in (top, top.parent):
        monkeypatch.setenv(registry.VARIABLE, str(place))
        assert registry.find("net-two") == two
        assert {"net-one", "net-two"} <= set(registry.installed())
    monkeypatch.setenv(registry.VARIABLE, "")
    assert registry.find(one / registry.ITEM) == one  # MODEL = an item
    with pytest.raises(ModelError, match="leads to several models: net-one, net-two"):
        registry.find(top)
    (tmp_path / "empty.json").write_text(json.dumps({"stac_version": "1.1.0", "links": 3}), encoding="utf-8")
    with pytest.raises(ModelError, match="leads to no model package"):
        registry.find(tmp_path / "empty.json")
