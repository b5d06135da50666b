"""Channels in a run of Z-scores: windows, state, report, and the raster of standardised contributions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from floelens.models.registry import load_card
from floelens.plugin.core.errors import ModelError, ParameterError
from floelens.plugin.core.protocols import Silent
from floelens.plugin.core.scores_state import ScoreState
from floelens.plugin.core.window import Window
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.reference import load_reference
from floelens.plugin.jobs.zscore_channels import spread_windows
from floelens.plugin.jobs.zscores import ZScores

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
    assert (corners.min(axis=0) < 1600).all() and (corners.max(axis=0) > 8200).all()
    assert len(set(map(tuple, corners))) == len(found)


def test_labels_bring_slopes_and_the_state_holds_what_they_rest_on(job, scene, tmp_path):
    state, content = str(tmp_path / "a.npz"), tmp_path / "a.json"
    replace(job, labels=scene.chart, state=state, report_json=str(content)).run(Silent())
    (channels,) = json.loads(content.read_text(encoding="utf-8"))["channels"]
    assert "gated contributions" in channels["method"]
    names = [row["group"] for row in channels["strengths"] if row["level"] == "channel"]
    assert names[:3] == ["hh", "hv", "btemp_6_9h"] and len(names) == 16
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
    assert valid.sum() > 10_000 and (np.isfinite(unusual[0]) == valid).all()
    expected = (contributions - reference.mean[0][:, None, None]) / reference.sd[0][:, None, None]
    np.testing.assert_allclose(unusual[:, valid], expected[:, valid], rtol=1e-3, atol=2e-3)
    assert "unusually" in (tmp_path / "unusual.qml").read_text(encoding="utf-8")


@pytest.mark.parametrize("model", [BUNDLED, "aspp-icetype-sim"])
@pytest.mark.parametrize("method", ["integrated", "gated"])
def test_the_bundled_models_have_references(model, method):
    card = load_card(model)
    reference = load_reference(model, card, card.heads[0].name, method)
    assert reference.n > 5000 and (reference.sd > 0).all()


def test_what_cannot_be_standardised_is_said_before_the_work(job, tmp_path):
    path = str(tmp_path / "unusual.tif")
    with pytest.raises(ModelError, match="has no reference of contributions"):
        replace(job, standardised=path).run(Silent())
    with pytest.raises(ParameterError, match="STANDARDISED needs a scene"):
        replace(job, standardised=path, channel_method="none").run(Silent())
    with pytest.raises(ParameterError, match="CHANNEL_METHOD is 'gradient'"):
        replace(job, channel_method="gradient").run(Silent())
