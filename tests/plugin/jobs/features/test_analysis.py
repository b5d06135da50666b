"""The samples of features as the analyses take them, and what the report then says."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from floelens.plugin.core.features.samples import FeatureSamples
from floelens.plugin.ground.errors import Cancelled
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.rasters.writer import Outputs
from floelens.plugin.jobs.features.analysis import (
    distributions_of,
    feature_table,
    further_sections,
    outliers_of,
    short_lists_of,
)
from floelens.plugin.jobs.features.maps import write_outliers
from floelens.plugin.report.features.distributions import findings_sentences
from floelens.plugin.report.page.html import render
from floelens.plugin.report.page.short_lists import short_list_section
from floelens.plugin.report.page.tables import json_text
from floelens.tests.plugin.core.distributions.planted import SCENES, SIDE, planted
from floelens.tests.plugin.report.page_checks import checked


def samples_of(seed: int = 3, **planted_in) -> FeatureSamples:
    """Return samples of 16 scenes, tiles of 100 pixels."""
    table = planted(seed, **planted_in)
    n = len(table)
    corner = 100 * np.column_stack([table.covariates["row"], table.covariates["column"]]).astype(int)
    return FeatureSamples(
        features=table.features,
        classes=table.classes,
        scenes=tuple(f"scene {at}" for at in range(SCENES)),
        f=table.values,
        logit=table.values.sum(axis=1),
        label=table.label,
        predicted=table.label,
        scene=table.unit,
        pixels=np.full(n, 10_000),
        bounds=np.column_stack([corner, corner + 100]),
        names=tuple(f"tile {at}" for at in range(n)),
        minimum=np.zeros(n),
        maximum=np.ones(n),
        covariates=table.covariates,
    )


def test_what_is_planted_is_said_in_sentences_that_name_it():
    samples = samples_of(confounder=4, duplicate=(2, 7), dead=9, outlier=100)
    sections, extra, _ = further_sections(samples, np.abs(samples.f).mean(axis=0), 1, 800)
    said = findings_sentences(extra["distributions"])
    assert said[0].startswith("Confounder: f04 follows the incidence angle, whatever the ice")
    assert "Column" not in said[0]
    assert "The column of the scene cannot be distinguished from the incidence angle." in said[0]
    assert "also" not in said[0]
    (row,) = (each for each in extra["distributions"].findings if each["kind"] == "confounder")
    both = replace(extra["distributions"], findings=({**row, "also": ("row",), "alike": ("column",)},))
    (sentence,) = findings_sentences(both)
    assert "Beside it, it also follows the row of the scene." in sentence
    assert sentence.endswith("The column of the scene cannot be distinguished from the incidence angle.")
    assert any(each.startswith("Redundant: f02 and f07 say the same") for each in said)
    assert "Dead: f09 does not vary in any sample." in said
    assert any(each.startswith("Sample tile 100 is unlike the others") for each in said)
    page = checked(render("Features", said, sections))
    assert page.tags["figure"] == 2  # short list, redundancy
    assert extra["distributions"].outliers[0]["scene"] == "scene 2"
    json.loads(json_text(extra))


def test_clean_samples_are_said_to_be_clean():
    said = findings_sentences(distributions_of(samples_of(), 1, 800)[0])
    assert len(said) == 1
    assert said[0].startswith("No feature is tied to where or when a sample lies")


def test_what_two_scenes_cannot_tell_is_said_not_to_be_tested():
    samples = samples_of()
    few = samples.chosen(samples.scene < 4)
    found = distributions_of(few, 1, 300)[0]
    (said,) = findings_sentences(found)
    assert said.startswith("No feature repeats another, no feature is dead and no sample is unlike")
    assert "Whether a feature is tied to where or when a sample lies was not tested." in said
    assert any("4 scenes cannot tell a dependence from chance" in note for note in found.notes)
    sections, extra, _ = further_sections(few, np.abs(samples.f).mean(axis=0), 1, 300)
    checked(render("Features", [said], sections))
    json.loads(json_text(extra))


def test_few_scenes_are_cut_into_blocks_which_do_not_span_scenes():
    samples = samples_of()
    many = feature_table(samples, 1, 300)
    assert many.units == "scenes"
    few = feature_table(samples.chosen(samples.scene < 2), 1, 300)
    assert few.units == "blocks of 300 pixels"
    assert len(np.unique(few.unit)) == 2 * (-(-SIDE // 3)) ** 2
    for block in np.unique(few.unit):
        own = few.unit == block
        assert len(np.unique(samples.scene[: 2 * SIDE * SIDE][own])) == 1
        assert np.ptp(few.covariates["row"][own]) < 3


def test_months_are_seasons_and_splits_go_by_scene():
    samples = samples_of()
    month = np.array([12, 1, 2, 3, 5, 6, 8, 9, 11, *[np.nan] * 7])[samples.scene]
    split = ["train"] * 8 + ["test"] * 7 + [""]
    table = feature_table(replace(samples, covariates={"month": month}), 1, 300, split)
    first = [table.groups["season"][samples.scene == at][0] for at in range(10)]
    assert first == ["winter"] * 3 + ["spring"] * 2 + ["summer"] * 2 + ["autumn"] * 2 + [""]
    assert [table.groups["split"][samples.scene == at][0] for at in (0, 8, 15)] == ["train", "test", ""]
    assert set(table.covariates) == {"month"}


def test_the_short_list_of_samples_reproduces_their_mean_logits():
    samples = samples_of()
    importance = np.arange(len(samples.features), dtype=float)
    lists = short_lists_of(samples, importance)
    assert [each.by for each in lists.orders] == ["importance", "information"]
    order = [samples.features.index(name) for name in lists.orders[0].names]
    assert order == list(range(len(order)))[::-1]
    total = samples.f.sum(axis=1)
    for k in range(len(order) + 1):
        left = samples.f[:, order[k:]]
        missing = np.square((left - left.mean(axis=0)).sum(axis=1)).mean()
        assert lists.orders[0].r2[k] == pytest.approx(1 - missing / total.var(), abs=1e-9)
    said = " ".join(short_list_section(lists, "s").text)
    assert "the class activation map" in said
    assert "the map's logits" not in said
    last = short_list_section(replace(lists, called="components"), "s")
    assert "the map's logits" in " ".join(last.text)
    assert short_lists_of(replace(samples, f=np.ones_like(samples.f)), importance) is None


def test_the_polygons_of_outliers_are_the_samples_that_the_report_lists(scene, tmp_path):
    samples = samples_of(outlier=100)
    *_, odd = further_sections(samples, np.abs(samples.f).mean(axis=0), 1, 800)
    assert outliers_of(samples, 1, 800) == odd  # without a report
    n, grid = len(samples), SimpleNamespace(grid=Grid.from_file(scene.sar), start_time=None)
    placed = replace(samples, scene=np.zeros(n, int), bounds=np.tile([10, 20, 30, 40], (n, 1)))
    with Outputs(Silent()) as outputs:
        assert write_outliers(outputs, str(tmp_path / "odd.gpkg"), placed, odd, grid) == 1
    with closing(sqlite3.connect(tmp_path / "odd.gpkg")) as drawn:
        found = drawn.execute("SELECT sample, features FROM outliers").fetchall()
    assert found == [("tile 100", ", ".join(odd[0].features))]


def test_the_analyses_ask_whether_to_go_on(stopping):
    samples = samples_of()
    with pytest.raises(Cancelled):
        further_sections(samples, np.abs(samples.f).mean(axis=0), 1, 800, progress=stopping)
