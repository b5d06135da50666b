"""Channels in a run of Z-scores: windows, state, report, and the raster of standardised contributions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from floelens.plugin.core.zscores.channels.collect import spread_windows
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from floelens.plugin.core.zscores.channels.reference import load_reference
from floelens.plugin.core.zscores.state import ScoreState
from floelens.plugin.core.zscores.sums.clusters import SCENES
from floelens.plugin.ground.errors import ModelError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.ground.window import Window
from floelens.plugin.io.transaction.packages import save_package
from floelens.plugin.jobs.common.inputs import Compute
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.packages.reference import make_references, write_references
from floelens.plugin.jobs.zscores import ZScores
from floelens.plugin.networks.aspp.card import aspp_card
from floelens.plugin.networks.card import Head, HeadClass
from floelens.plugin.networks.package import build
from floelens.plugin.networks.registry import load_card
from floelens.tests.plugin.jobs.test_relevance import square

BUNDLED = "aspp-concentration-sim"


@pytest.fixture
def job(scene, packages, tmp_path) -> ZScores:
    """Return a job on the concentration model that splits logits with gates frozen."""
    return ZScores(
        str(packages / "trial-concentration"),
        str(tmp_path / "z.csv"),
        scene=scene.inputs,
        sample=10,
        block_size_km=2.5,
        channel_method="gated",
    )


def test_windows_are_spread_over_all_of_a_large_scene_and_cover_a_small_one():
    small = Window(0, 0, 330, 410)
    found = spread_windows(small, 25, 2_000_000)
    assert sum(w.rows * w.cols for w in found) == 330 * 410
    large = Window(0, 0, 9985, 10372)
    found = spread_windows(large, 50, 2_000_000)
    area = sum(w.rows * w.cols for w in found)
    assert 0.7e6 < area < 2.6e6
    assert all(w.row % 50 == 0 and w.col % 50 == 0 and w.intersection(large) == w for w in found)
    corners = np.array([(w.row, w.col) for w in found])
    assert (corners.min(axis=0) < 1600).all()
    assert (corners.max(axis=0) > 8200).all()
    assert len(set(map(tuple, corners))) == len(found)


def test_labels_bring_slopes_and_the_state_holds_what_they_rest_on(job, scene, tmp_path):
    state, content = str(tmp_path / "a.npz"), tmp_path / "a.json"
    replace(job, labels=scene.chart, state=state, report_json=str(content)).run(Silent())
    (channels,) = json.loads(content.read_text(encoding="utf-8"))["channels"]
    assert "gated contributions" in channels["method"]
    names = [row["group"] for row in channels["strengths"] if row["level"] == "channel"]
    assert names[:3] == ["hh", "hv", "btemp_6_9h"]
    assert len(names) == 16
    assert {row["level"] for row in channels["slopes"]} == {"sensor", "frequency", "channel"}
    evidence = ScoreState.load(state).channels[0]
    # offset and contributions add up to the logit whose mean the components give
    logit = evidence.sample.offset[:, 0] + evidence.sample.contributions[:, 0].sum(axis=1)
    measured = json.loads(content.read_text(encoding="utf-8"))["heads"][0]["measures"]
    assert evidence.sums.n == measured["n"]
    assert np.isclose(logit.mean(), measured["mean_logit"]["ice"], rtol=1e-4)
    again = tmp_path / "b.json"
    merged = replace(job, scene=None, state_in=(state,), report_json=str(again))
    merged.run(Silent())
    assert json.loads(again.read_text(encoding="utf-8"))["channels"][0]["slopes"] == channels["slopes"]


class Watched(Silent):
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.fractions: list[float] = []
        self.texts: list[str] = []

    def report(self, fraction: float, text: str = "") -> None:
        """Keep it."""
        self.fractions.append(fraction)
        self.texts.append(text)


def test_progress_runs_once_from_the_first_pixel_to_the_last_contribution(job, tmp_path):
    progress = Watched()
    replace(job, model=BUNDLED, standardised=str(tmp_path / "unusual.tif")).run(progress)
    assert progress.fractions == sorted(progress.fractions)
    assert progress.fractions[-1] == pytest.approx(1.0)
    texts = (text.removesuffix(" (a small region)") for text in progress.texts if text)
    steps = list(dict.fromkeys(texts))
    assert len(steps) >= 3
    assert steps[-2:] == ["Splitting logits over channels", "Standardising contributions"]


def test_standardised_contributions_are_contributions_against_the_reference(job, scene, tmp_path):
    path, plain = str(tmp_path / "unusual.tif"), str(tmp_path / "plain.tif")
    replace(job, model=BUNDLED, standardised=path).run(Silent())
    Contributions(scene.inputs, BUNDLED, plain, method="gated").run(Silent())
    reference = load_reference(BUNDLED, load_card(BUNDLED), "concentration", "gated")
    with rasterio.open(path) as raster, rasterio.open(plain) as other:
        unusual, names = raster.read(), raster.descriptions
        contributions = other.read()[:-2]
    assert names == reference.channels
    valid = np.isfinite(contributions).all(axis=0)
    assert valid.sum() > 10_000
    assert (np.isfinite(unusual[0]) == valid).all()
    expected = (contributions - reference.mean[0][:, None, None]) / reference.sd[0][:, None, None]
    np.testing.assert_allclose(unusual[:, valid], expected[:, valid], rtol=1e-3, atol=2e-3)
    assert "unusually" in (tmp_path / "unusual.qml").read_text(encoding="utf-8")


@pytest.mark.slow  # one head is tested above
def test_every_head_is_standardised_against_its_own_reference(scene, tmp_path):
    package = two_heads(tmp_path / "two")
    path, plain = tmp_path / "unusual.tif", tmp_path / "plain.tif"
    ZScores(
        package,
        str(tmp_path / "z.csv"),
        scene=scene.inputs,
        sample=10,
        channel_method="gated",
        standardised=str(path),
    ).run(Silent())
    card = load_card(package)
    with rasterio.open(path) as raster:
        unusual, names = raster.read(), raster.descriptions
        assert raster.tags()["FLOELENS_HEAD"] == "concentration, icetype"
    assert len(names) == 32
    assert names[1] == "hv (concentration)"
    assert names[17] == "hv (icetype)"
    for head, first in zip(card.heads, (0, 16)):
        split = []
        for entry in head.classes:
            one = Contributions(
                scene.inputs, package, str(plain), head=head.name, class_name=entry.name, method="gated"
            )
            one.run(Silent())
            with rasterio.open(plain) as other:
                split.append(other.read())
        split = np.array(split)  # (class, channels then bias then logit, row, column)
        valid = np.isfinite(split).all(axis=(0, 1))
        expected = load_reference(package, card, head.name, "gated").standardised(split[:, :16, valid])
        predicted = split[:, -1, valid].argmax(axis=0)
        expected = np.take_along_axis(expected, predicted[None, None], axis=0)[0]
        np.testing.assert_allclose(unusual[first : first + 16, valid], expected, rtol=1e-3, atol=3e-3)


@pytest.mark.parametrize(("scenes", "expected"), [(2, "2.5 km blocks"), (3, SCENES)])
def test_slopes_rest_on_whole_scenes_as_soon_as_there_are_three(job, scenes, expected):
    channels = (InputChannel("hh", "sar"), InputChannel("hv", "sar"))
    evidence = ChannelEvidence.empty("concentration", "sigmoid", ("ice",), channels, "gated")
    for number in range(scenes):
        accumulator = ChannelAccumulator(evidence, f"scene {number}")
        at, parts = np.arange(4), np.random.default_rng(number).normal(size=(4, 2))
        accumulator.add(np.zeros(4), parts, at, at, np.ones(4), {"2.5 km blocks": at // 2, SCENES: 0 * at})
        evidence = accumulator.close()
    assert evidence.scene_count == scenes
    assert job._channel_clustering(evidence) == expected


def two_heads(folder) -> str:
    """Write a model with a head of concentration and one of ice types, with a reference of both."""
    torch.manual_seed(5)
    heads = [
        Head("concentration", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%"),
        Head(
            "icetype",
            "softmax",
            tuple(
                HeadClass(name, at, "#0064ff")
                for at, name in enumerate(("open water", "young ice", "old ice"))
            ),
        ),
    ]
    card = aspp_card("two", "interpretability_small", 25, heads, title="two", pixel_size_m=80.0)
    save_package(folder, card, build(card).eval())
    runner = Compute(device="cpu").runner(str(folder))
    write_references(folder, make_references(runner, ["gated"], [1]), [1])
    return str(folder)


@pytest.mark.parametrize("model", [BUNDLED, "aspp-icetype-sim"])
@pytest.mark.parametrize("method", ["integrated", "gated"])
def test_the_bundled_models_have_references(model, method):
    card = load_card(model)
    reference = load_reference(model, card, card.heads[0].name, method)
    assert reference.n > 5000
    assert (reference.sd > 0).all()


def test_what_cannot_be_standardised_is_said_before_the_work(job, tmp_path):
    path = str(tmp_path / "unusual.tif")
    with pytest.raises(ModelError, match="has no reference of contributions"):
        replace(job, standardised=path).run(Silent())
    with pytest.raises(ParameterError, match="STANDARDISED needs a scene"):
        replace(job, standardised=path, channel_method="none").run(Silent())
    with pytest.raises(ParameterError, match="Unknown CHANNEL_METHOD 'gradient'"):
        replace(job, channel_method="gradient").run(Silent())


def test_contributions_that_do_not_add_up_are_a_warning_in_log_and_report(
    job, scene, recorder, tmp_path, monkeypatch
):
    """Along the path HV gets what the others leave, so that a wrong split adds up all the same."""
    from floelens.plugin.core.layers import split_activations

    content = tmp_path / "z.json"
    along = replace(
        job,
        scene=replace(scene.inputs, extent=square(scene, 80, 80, 75)),
        channel_method="integrated",
        sample=2,
        report_json=str(content),
    )
    along.run(recorder)
    assert not any("add up" in warning for warning in recorder.warnings)
    right = json.loads(content.read_text(encoding="utf-8"))
    assert 0 < float(right["provenance"]["FLOELENS_CHANNEL_RESIDUAL"]) < 1e-4

    def slope_of_the_end(self, activation, rows):
        passed = {name: activation.value(rows[name]) for name in self.base}
        slope = 2 * activation.slope(rows[-1])  # so that it shows beside radiometry, which carries most here
        return {**passed, **{name: row * slope for name, row in rows.items() if name >= 0}}

    monkeypatch.setattr(split_activations.Step, "activate", slope_of_the_end)
    along.run(recorder)
    told = [warning for warning in recorder.warnings if "Contributions of channels do not add up" in warning]
    assert len(told) == 1
    assert told[0] in json.loads(content.read_text(encoding="utf-8"))["warnings"]
