"""The model card: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys

import pytest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.aspp.card import aspp_components
from floelens.plugin.networks.card import CardError, Channel, Head, HeadClass, ModelCard
from floelens.plugin.networks.stac import mlm_properties
from floelens.plugin.networks.standard_channels import (
    MWR_CHANNELS,
    STANDARD_CHANNELS,
    standard_channel,
    standard_channels,
)
from floelens.tests.plugin.networks.networks import CONCENTRATION, ICE_TYPE, changed, make_card
from floelens.tools.headless import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(str.strip)
NUMBER = st.floats(-1e6, 1e6, allow_nan=False)
POSITIVE = st.floats(0.5, 4e4, allow_nan=False)  # lengths on the Earth, and spreads of such means


@st.composite
def cards(draw) -> ModelCard:
    """Return any card of the fusion network with channels, heads and texts of its own."""
    ratio = draw(st.integers(1, 60))
    fine = [
        Channel(f"fine_{i}", "sar", "fine", draw(TEXT), draw(NUMBER), draw(POSITIVE), draw(NUMBER))
        for i in range(draw(st.integers(1, 3)))
    ]
    coarse = [
        Channel(
            f"coarse_{i}",
            draw(TEXT),
            "coarse",
            draw(TEXT),
            draw(NUMBER),
            draw(POSITIVE),
            aliases=(f"Other.{i}",),
            ratio=ratio,
            frequency_ghz=draw(st.none() | POSITIVE),
            polarisation=draw(st.sampled_from(["", "h", "v"])),
            footprint_km=draw(st.none() | st.tuples(POSITIVE, POSITIVE)),
        )
        for i in range(draw(st.integers(0, 3)))
    ]
    heads = tuple(
        Head(
            f"head {i}",
            "softmax",
            tuple(
                HeadClass(f"class {j}", j, "#0a0B0c", draw(st.none() | st.floats(0, 100)))
                for j in range(2 + i)
            ),
            draw(TEXT),
        )
        for i in range(draw(st.integers(1, 2)))
    )
    return make_card(
        draw(st.sampled_from(["fusion", "v2"])),
        ratio,
        heads,
        title=draw(TEXT),
        channels=tuple(draw(st.permutations(fine + coarse))),
        summary=draw(TEXT),
        limits=tuple(draw(st.lists(TEXT, max_size=2))),
        skill=draw(st.dictionaries(TEXT, NUMBER | TEXT | st.booleans(), max_size=2)),
        demonstration=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None)
@given(card=cards())
def test_a_card_survives_json(card):
    text = card.to_json()
    again = ModelCard.from_json(json.loads(text))
    assert again == card
    assert again.to_json() == text
    assert pickle.loads(pickle.dumps(card)) == card


def test_a_card_survives_a_file_with_letters_of_any_script(tmp_path):
    card = make_card(title="Meereis – морской лёд")
    (tmp_path / "card.json").write_text(card.to_json(), encoding="utf-8")
    assert ModelCard.from_json(tmp_path / "card.json") == card
    assert ModelCard.from_json(tmp_path) == card


@settings(max_examples=25, deadline=None)
@given(card=cards())
def test_logits_of_the_heads_follow_one_another(card):
    places = [card.head_slice(head.name) for head in card.heads]
    covered = [position for place in places for position in range(place.start, place.stop)]
    assert covered == list(range(card.outputs))
    assert card.head() is card.heads[0]


def _set(document: dict, path: str, value) -> None:
    """Set (or, with ..., remove) the entry at a path such as ``channels[1].sd``."""
    *parents, last = [int(p) if p.isdigit() else p for p in re.findall(r"\w+", path)]
    for key in parents:
        document = document[key]
    if value is ...:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("format", "something", "field format: it is not 'floelens-model'"),
        ("format_version", 2, "field format_version: 2 is not known, only 1. Update FloeLens"),
        ("id", "My Model", "field id: 'My Model' is no id. Use lower-case"),
        ("id", "../x", "field id: '../x' is no id"),
        ("title", " ", "field title: it is empty. Give the model a title."),
        ("licence", ..., "field licence: the field is missing. Add it."),
        ("licence", 3, "field licence: 3 is not a text"),
        ("pixel_size_m", 0, "field pixel_size_m: 0 is not above 0"),
        ("pixel_size_m", "80", "field pixel_size_m: '80' is not a finite number"),
        ("pixel_size", 80, "field pixel_size: no such field is known. Did you mean 'pixel_size_m'?"),
        ("channels", [], "field channels: the list is empty"),
        ("channels", {}, "field channels: {} is not a list"),
        ("channels[1].sd", 0, "field channels[1].sd: 0 is not above 0. Give the standard deviation"),
        ("channels[1].sd", True, "field channels[1].sd: True is not a finite number"),
        ("channels[1].std", 1, "field channels[1].std: no such field is known. Did you mean 'sd'?"),
        ("channels[1].name", "HH", "field channels[1].name: 'hh' is taken by channels[0] already"),
        ("channels[1].aliases", "hv", "field channels[1].aliases: 'hv' is not a list of texts"),
        (
            "channels[1].aliases",
            ["Sigma0.HH"],
            "field channels[1].aliases: a band called 'sigma0_hh' would be 'hh' as",
        ),
        ("channels[0].grid", "medium", "field channels[0].grid: 'medium' is not one of fine, coarse"),
        ("channels[0].ratio", 25, "field channels[0].ratio: only a coarse channel has one"),
        ("channels[2].ratio", ..., "field channels[2].ratio: None is not a whole number of at least 1"),
        ("channels[2].ratio", 50, "field channels: the coarse channels have several ratios ([25, 50])"),
        ("channels[2].footprint_km", [35], "field channels[2].footprint_km: [35] is not a list of 2 numbers"),
        ("heads[0].kind", "tanh", "field heads[0].kind: 'tanh' is not one of sigmoid, softmax, linear"),
        ("heads[0].classes", [], "field heads[0].classes: a sigmoid head has one class"),
        ("heads[0].classes[0].colour", "red", "field heads[0].classes[0].colour: 'red' is not a colour"),
        ("heads[0].classes[0].value", 255, "field heads[0].classes[0].value: 255 is not below 254"),
        (
            "heads[0].classes[0].name",
            "Predicted",
            "field heads[0].classes[0].name: 'Predicted' means the class",
        ),
        (
            "heads[0].classes[0].percent",
            101,
            "field heads[0].classes[0].percent: 101.0 is not between 0 and 100",
        ),
        ("heads[1].classes[2].value", 0, "field heads[1].classes[2].value: 0 is taken by classes[0] already"),
        ("components[1].name", "skip_01", "field components[1].name: 'skip_01' is taken by components[0]"),
        (
            "components[0].channel",
            "hx",
            "field components[0].channel: no channel 'hx'. Use one of btemp_10_7h",
        ),
        ("weights.file", "weights.pt", "field weights.file: 'weights.pt' may hold pickled code"),
        ("weights.file", "../w.safetensors", "field weights.file: '../w.safetensors' is a path"),
        ("weights.file", "..\\w.safetensors", "is a path"),
        ("weights.file", "weights.h5", "field weights.file: 'weights.h5' is not a .safetensors file"),
        ("weights.sha256", "abc", "field weights.sha256: 'abc' is not a checksum"),
        ("alignment", 30, "field alignment: 30 is not a multiple of the coarse ratio 25"),
        ("alignment", 0, "field alignment: 0 is not a whole number of at least 1"),
        ("receptive_field_radius", 2.5, "field receptive_field_radius: 2.5 is not a whole number"),
        ("architecture.name", "", "field architecture.name: it is empty. Name the architecture"),
        ("architecture.arguments", [], "field architecture.arguments: [] is not an object"),
        ("training", None, "field training: None is not an object"),
        ("demonstration", "yes", "field demonstration: 'yes' is neither true nor false"),
        ("limits", ["", "b"], "field limits[0]: it is empty"),
    ],
)
def test_a_mistake_is_named_by_file_and_field_with_a_remedy(tmp_path, path, value, sentence):
    document = make_card(heads=(CONCENTRATION, ICE_TYPE)).to_dict()
    _set(document, path, value)
    file = tmp_path / "card.json"
    file.write_text(json.dumps(document))
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(file)
    assert str(caught.value).startswith(f"{file}, field ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is no valid JSON"),
        ("[]", "is no JSON object"),
        ('{"id": "a", "id": "b"}', "the field 'id' stands there twice"),
        ('{"pixel_size_m": NaN}', "NaN is not a number JSON knows"),
        ("", "is no valid JSON"),
    ],
)
def test_a_file_that_is_no_card_is_refused(tmp_path, text, sentence):
    file = tmp_path / "card.json"
    file.write_text(text)
    with pytest.raises(ModelError, match=re.escape(sentence)) as caught:
        ModelCard.from_json(file)
    assert str(file) in str(caught.value)


def test_a_missing_or_binary_card_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="There is no model card"):
        ModelCard.from_json(tmp_path / "none.json")
    (tmp_path / "card.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        ModelCard.from_json(tmp_path)


def test_a_card_made_in_code_is_checked_too_and_keeps_nothing_of_its_maker():
    with pytest.raises(CardError, match="field alignment"):
        changed(make_card(), alignment=7)
    details = {"losses": [1.0]}
    card = changed(make_card(), skill=details)
    details["losses"].append(2.0)
    assert card.skill == {"losses": [1.0]}
    with pytest.raises(CardError, match="field skill: it holds what JSON cannot"):
        changed(card, skill={"r2": float("nan")})
    error = pickle.loads(pickle.dumps(CardError("id", "wrong.")))
    assert str(error) == "Model card, field id: wrong."


def test_an_unknown_head_or_channel_lists_the_known_ones():
    card = make_card(heads=(CONCENTRATION, ICE_TYPE))
    assert card.head("Ice Type") is ICE_TYPE
    with pytest.raises(ModelError, match=r"no head 'age'. Its heads are concentration, ice type"):
        card.head("age")
    with pytest.raises(ModelError, match=r"no channel 'vv'. Its channels are hh, hv, btemp_6_9h"):
        card.channel("vv")


def test_bands_match_names_and_aliases_in_any_case():
    card = make_card()
    assert card.channel("BTEMP_6.9H").name == "btemp_6_9h"
    assert card.channel(" Sigma0_HV ").name == "hv"
    assert not card.channel("hh").matches("hv")


@pytest.mark.parametrize(
    ("variant", "groups"),
    [
        ("fusion", {"skip": 12, "d2": 24, "d4": 24, "d8": 24, "d16": 24, "mwr": 14}),
        ("interpretability_small", {"skip": 14, "d2": 14, "d4": 14, "d8": 14, "d16": 14, "mwr": 14}),
        ("interpretability_large", {"skip": 14, "d2": 28, "d4": 28, "d8": 28, "d16": 28, "mwr": 14}),
        ("v2", {"hidden": 128}),
    ],
)
def test_components_are_grouped_by_scale(variant, groups):
    components = make_card(variant).components
    counts: dict[str, int] = {}
    for component in components:
        counts[component.scale] = counts.get(component.scale, 0) + 1
    assert counts == groups


def test_the_components_of_the_radiometer_are_its_channels():
    channels = standard_channels(("hv", "btemp_36.5v", "t2m"), ratio=10)
    first, *_, brightness, weather = aspp_components("interpretability_small", channels)
    assert (first.name, first.sensor, first.channel) == ("skip_01", "sar", "")
    assert (brightness.name, brightness.frequency_ghz, brightness.polarisation) == ("btemp_36_5v", 36.5, "v")
    assert (weather.name, weather.sensor, weather.scale) == ("t2m", "weather", "weather")


def test_the_standard_channels_are_those_of_the_facts():
    assert len(STANDARD_CHANNELS) == 24
    assert len(MWR_CHANNELS) == 14
    assert standard_channel("btemp_10.7v").footprint_km == (24.0, 42.0)
    assert standard_channel("btemp_10_7v").frequency_ghz == 10.65
    assert standard_channel("nersc_sar_secondary").mean == -24.701
    assert [c.ratio for c in standard_channels(("hh", "skt"), ratio=7)] == [None, 7]
    with pytest.raises(ModelError, match="No standard channel is called 'vh'"):
        standard_channel("vh")


def test_the_stac_fields_tell_bands_scaling_and_classes():
    card = make_card(heads=(CONCENTRATION, ICE_TYPE))
    fields = mlm_properties(card)
    assert set(fields) >= {
        "mlm:name",
        "mlm:architecture",
        "mlm:framework",
        "mlm:tasks",
        "mlm:input",
        "mlm:output",
    }
    assert fields["mlm:tasks"] == ["regression", "semantic-segmentation"]
    fine, coarse = fields["mlm:input"]
    assert fine["bands"] == ["hh", "hv"]
    assert coarse["bands"] == list(MWR_CHANNELS)
    assert coarse["input"]["shape"] == [-1, 14, -1, -1]
    assert fine["value_scaling"][1] == {"type": "z-score", "mean": -24.701, "stddev": 4.747}
    concentration, ice_type = fields["mlm:output"]
    assert "classification:classes" not in concentration
    assert ice_type["result"]["shape"] == [-1, 3, -1, -1]
    assert ice_type["classification:classes"][0] == {
        "value": 0,
        "name": "open_water",
        "description": "open water",
        "color_hint": "0064FF",
    }
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", fields["mlm:name"])
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", name) for name in fields["mlm:hyperparameters"])
    json.dumps(fields, allow_nan=False)
    # What is handed out is not the card's own.
    before = copy.deepcopy(card)
    fields["mlm:hyperparameters"]["variant"] = "other"
    assert card == before


def test_cards_and_the_registry_do_without_torch():
    """They are read when QGIS lists its algorithms, where torch may be missing."""
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['safetensors'] = None\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import conftest\n"
        "from floelens.plugin.networks import card, package, registry, standard_channels, weights\n"
        "from floelens.plugin.networks.aspp import card as aspp_card\n"
        "registry.installed()\n"
        "from floelens.plugin.ground.errors import DependencyError\n"
        "from floelens.plugin.ground import dependencies\n"
        "try: dependencies.require('torch')\n"
        "except DependencyError as error: print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert re.search(r"(pip|apt-get) install", result.stdout)
    assert "torch" in result.stdout
