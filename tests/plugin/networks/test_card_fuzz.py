"""Damaged cards and STAC items give a card or a sentence, and what they ask for is bounded."""

from __future__ import annotations

import copy
import json
import random
import time
from typing import Any

import pytest
from floelens.plugin.ground.errors import FloeLensError
from floelens.plugin.networks import registry
from floelens.plugin.networks.card import ModelCard
from floelens.plugin.networks.card_json import read_some
from floelens.plugin.networks.families.stac_item import card_of_item, is_item
from floelens.plugin.networks.files import read_json
from floelens.plugin.networks.graph.examples import fusion
from floelens.plugin.networks.package import build
from floelens.plugin.networks.stac import mlm_item

VALUES = [
    None, True, 0, -1, 1, 3, 2**31, 10**15, -(10**300), 1e-300, 0.5, "", "hh", "x" * 5000, "<script>alert(1)</script>",
    "../../etc/passwd", "\0", "NaN", [], {}, [[]], {"a": {}}, [1, 2, 3], ["hh"] * 50, {"name": "hh"},
]  # fmt: skip
INSERTED = [
    b"",
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\\u0000",
    b"1e999",
    b"NaN",
    b"-",
    b"\xff",
    b"9" * 400,
]


def samples() -> list[dict[str, Any]]:
    """Return the bundled cards, and one with a graph."""
    cards = [
        registry.load_card(path).to_dict() for path in sorted(registry.BUNDLED.iterdir()) if path.is_dir()
    ]
    made = copy.deepcopy(cards[0])
    made["architecture"] = {"name": "graph", "arguments": {"graph": fusion(ratio=25, outputs=1).to_json()}}
    made["components"] = []
    return [*cards, made]


def places(value: Any, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


def changed(content: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Return JSON values of which one to four are others, or missing, or stand twice."""
    made = copy.deepcopy(content)
    for _ in range(draw.randint(1, 4)):
        where = draw.choice(places(made)[1:])
        inner: Any = made
        for key in where[:-1]:
            inner = inner[key]
        kind = draw.random()
        if kind < 0.6:
            inner[where[-1]] = copy.deepcopy(draw.choice(VALUES))
        elif kind < 0.8:
            del inner[where[-1]]
        elif isinstance(inner, list):
            inner.extend(inner[: draw.randint(1, 3)])
        else:
            inner[draw.choice(("name", "graph", "nodes", "extra", "weights"))] = draw.choice(VALUES)
    return made


def damaged(content: bytes, draw: random.Random) -> bytes:
    made = content
    for _ in range(draw.randint(1, 5)):
        at = draw.randrange(len(made) + 1)
        made = made[:at] + draw.choice(INSERTED) + made[at + draw.choice((0, 0, 1, 7)) :]
    return made


def fuzz(number_of: int, seed: int, tmp_path) -> tuple[int, float]:
    """Read damaged cards and items; return how many gave a card, and the seconds of the slowest."""
    draw, cards, path, read, slowest = random.Random(seed), samples(), tmp_path / "card.json", 0, 0.0
    items = [mlm_item(ModelCard.from_json(card)) for card in cards]
    for number in range(number_of):
        content = draw.choice(items if number % 4 == 3 else cards)
        if number % 4 == 0:
            path.write_bytes(damaged(json.dumps(content).encode(), draw))
        else:
            path.write_text(json.dumps(changed(content, draw)), encoding="utf-8")
        began = time.process_time()
        try:
            if number % 4 == 3:
                values = read_json(path)
                if is_item(values):
                    read_some(ModelCard, card_of_item(values, "auto", "item.json"), "item.json")
            else:
                build(ModelCard.from_json(path))
            read += 1
        except FloeLensError as error:
            assert len(str(error)) < 900
        slowest = max(slowest, time.process_time() - began)
    return read, slowest


def test_damaged_cards_give_a_network_or_a_sentence(tmp_path):
    read, slowest = fuzz(150, 1, tmp_path)
    assert 0 < read < 150
    assert slowest < 5


@pytest.mark.fuzz
@pytest.mark.slow
def test_ten_thousand_damaged_cards_give_a_network_or_a_sentence(tmp_path):
    read, slowest = fuzz(10_000, 2, tmp_path)
    assert 0 < read < 10_000
    assert slowest < 5
