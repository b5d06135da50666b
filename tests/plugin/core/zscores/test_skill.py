"""Skill added up batch by batch is that of the whole arrays, by its textbook definitions."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.zscores.skill import SkillAccumulator
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer
from floelens.plugin.core.zscores.zones import ZoneAccumulator

PARTS = tuple(Component(f"c{at}", "sar") for at in range(3))
PERCENT = np.array([0.0, 0.1, 9.9, 10.0, 14.9, 15.0, 39.9, 40.0, 69.0, 70.0, 89.0, 90.0, 100.0])
INTERVALS = {
    "0": (-1, 1e-9),
    "<10": (1e-9, 10),
    "10–39": (10, 40),
    "40–69": (40, 70),
    "70–89": (70, 90),
    "90–100": (90, 101),
}


def layer(kind: str, classes: tuple[str, ...], seed: int = 3) -> OutputLayer:
    generator = np.random.default_rng(seed)
    size = len(classes)
    return OutputLayer(
        "ice", kind, classes, PARTS, generator.normal(size=(size, 3)), generator.normal(size=size)
    )


def skill_of(head: OutputLayer, x: np.ndarray, labels: np.ndarray, unit: str = ""):
    collected = SkillAccumulator(head, unit)
    for start in range(0, len(x), 700):
        collected.add(x[start : start + 700], labels[start : start + 700])
    return collected.close()


@pytest.mark.parametrize(("kind", "unit"), [("sigmoid", "%"), ("linear", "%"), ("linear", "K")])
def test_values_are_compared_in_percent_over_all_labelled_pixels_and_by_range(kind, unit):
    head, generator = layer(kind, ("ice",)), np.random.default_rng(7)
    x = (30.0 if kind == "linear" else 2.0) * generator.normal(size=(5000, 3))
    percent = generator.choice(PERCENT, 5000)
    labels = np.where(np.arange(5000) % 7 == 0, np.nan, percent / (100.0 if kind == "sigmoid" else 1.0))
    found = skill_of(head, x, labels, unit)
    known = ~np.isnan(labels)
    logits = (x * head.weights[0]).sum(axis=1) + head.bias[0]
    mapped = (100.0 / (1.0 + np.exp(-logits)) if kind == "sigmoid" else logits)[known]
    label = percent[known]
    assert found.n == known.sum()
    assert found.unit == unit
    assert found.rmse == pytest.approx(np.sqrt(np.mean((mapped - label) ** 2)), rel=1e-10)
    assert found.bias == pytest.approx(np.mean(mapped) - np.mean(label), rel=1e-10)
    assert found.r2 == pytest.approx(
        1 - np.var(mapped - label) / np.var(label) - found.bias**2 / np.var(label)
    )
    if unit == "K":
        assert not found.ranges
        assert found.missed_ice is None
        return
    assert [row["range"] for row in found.ranges] == list(INTERVALS)
    for row in found.ranges:
        low, high = INTERVALS[row["range"]]
        here = (label >= low) & (label < high)
        assert row["n"] == here.sum() > 0
        assert row["mapped"] == pytest.approx(mapped[here].mean())
        assert row["labelled"] == pytest.approx(label[here].mean(), abs=1e-9)
        assert row["rmse"] == pytest.approx(np.sqrt(((mapped - label)[here] ** 2).mean()))
    assert found.missed_ice == pytest.approx(np.mean((label >= 15) & (mapped < 15)))
    assert found.false_ice == pytest.approx(np.mean((label < 15) & (mapped >= 15)))
    assert found.worst == max(found.ranges, key=lambda row: abs(row["mapped"] - row["labelled"]))["range"]


def test_classes_are_compared_by_their_confusion_matrix_and_f1():
    names = ("water", "young", "old", "never seen")
    head, generator = layer("softmax", names), np.random.default_rng(8)
    head = OutputLayer("ice", "softmax", names, PARTS, head.weights, [0.0, 0.0, 0.0, -99.0])
    x = generator.normal(size=(3000, 3))
    mapped = np.array([np.argmax(head.weights @ row + head.bias) for row in x])
    truth = np.where(generator.random(3000) < 0.6, mapped, generator.integers(0, 3, 3000))
    labels = np.where(np.arange(3000) % 5 == 0, np.nan, truth)
    found = skill_of(head, x, labels)
    mapped, truth = mapped[~np.isnan(labels)], truth[~np.isnan(labels)]
    scores = []
    for at, (name, row) in enumerate(zip(names, found.confusion)):
        assert row["class"] == name
        assert list(row["mapped"].values()) == [((truth == at) & (mapped == to)).sum() for to in range(4)]
        if name == "never seen":
            assert row["recall"] is row["precision"] is row["f1"] is None
            continue
        recall, precision = (mapped[truth == at] == at).mean(), (truth[mapped == at] == at).mean()
        assert (row["recall"], row["precision"]) == pytest.approx((recall, precision))
        scores.append(2 * precision * recall / (precision + recall))
        assert row["f1"] == pytest.approx(scores[-1])
    assert found.accuracy == pytest.approx((mapped == truth).mean())
    assert found.macro_f1 == pytest.approx(np.mean(scores))
    assert found.rmse is None
    assert not found.ranges
    assert not found.poor


def test_a_map_is_poor_by_its_r2_by_a_range_that_is_off_or_by_macro_f1():
    """The map says what the labels say, except where told."""
    head = OutputLayer("ice", "linear", ("ice",), PARTS[:1], [[1.0]], [0.0])
    generator = np.random.default_rng(9)
    truth = generator.uniform(0.0, 100.0, 4000)
    noise = generator.normal(size=4000)
    assert not skill_of(head, truth[:, None] + 15.0 * noise[:, None], truth, "%").poor  # R² 0.73
    assert skill_of(head, truth[:, None] + 25.0 * noise[:, None], truth, "%").poor  # R² 0.25
    thinned = truth - 22.0 * ((truth >= 40) & (truth < 70))
    found = skill_of(head, thinned[:, None], truth, "%")
    assert found.r2 > 0.7
    assert found.worst == "40–69"
    assert found.poor
    rare = np.where(np.arange(4000) < 30, 55.0, 0.0)  # 0.75 % of the pixels, all of them missed
    assert skill_of(head, 0 * rare[:, None], rare, "%").worst == "0"
    constant = skill_of(head, truth[:, None], np.full(4000, 50.0), "%")
    assert constant.r2 is None
    assert not constant.poor
    classes = OutputLayer("ice", "softmax", ("a", "b"), PARTS[:1], [[1.0], [-1.0]], [0.0, 0.0])
    side = np.sign(noise)
    for wrong, poor in ((0.35, False), (0.45, True)):
        labels = np.where(generator.random(4000) < wrong, side > 0, side < 0).astype(float)
        assert skill_of(classes, side[:, None], labels).poor == poor
    assert skill_of(head, truth[:, None], np.full(4000, np.nan), "%") is None


def test_zones_have_the_means_of_map_and_labels_or_the_part_that_agrees():
    generator = np.random.default_rng(10)
    x, zones = generator.normal(size=(900, 3)), np.arange(900) % 4 - 1  # -1: outside
    fractions = np.where(zones == 2, np.nan, generator.random(900))
    head = layer("sigmoid", ("ice",))
    collected = ZoneAccumulator(head, labelled=True)
    for half in (slice(0, 500), slice(500, 900)):
        collected.add(x[half], zones[half], fractions[half])
    rows = {zone: scores.row() for zone, scores in collected.close().items()}
    mapped = 100.0 / (1.0 + np.exp(-(x @ head.weights[0] + head.bias[0])))
    for zone in (0, 1):
        assert rows[zone]["mean_mapped"] == pytest.approx(mapped[zones == zone].mean())
        assert rows[zone]["mean_labelled"] == pytest.approx(100 * fractions[zones == zone].mean())
    assert (rows[2]["n_labelled"], rows[2]["mean_mapped"], rows[2]["mean_labelled"]) == (0, None, None)
    kinds = layer("softmax", ("a", "b", "c"))
    found, truth = (x @ kinds.weights.T + kinds.bias).argmax(axis=1), generator.integers(0, 3, 900)
    collected = ZoneAccumulator(kinds, labelled=True)
    collected.add(x, zones, truth.astype(float))
    row = collected.close()[1].row()
    assert row["agreement"] == pytest.approx((found == truth)[zones == 1].mean())
    assert list(row)[-2:] == ["n_labelled", "agreement"]  # existing fields keep their places
    plain = ZoneAccumulator(kinds)
    plain.add(x, zones)
    assert "agreement" not in plain.close()[1].row()
