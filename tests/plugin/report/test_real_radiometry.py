"""Real brightness temperatures of ice and water: scores as statsmodels', and a report to be believed.

Concentrations are drawn uniformly and the temperatures of an ice point and a water point mixed
linearly; the regression is fitted on half of the points and its channels are judged on the other.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from floelens.plugin.core.zscores.channels.scores import channel_scores
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer, SceneAccumulator
from floelens.plugin.report.page.model_facts import ModelFacts
from floelens.plugin.report.zscores.channels import ChannelJudgement
from floelens.plugin.report.zscores.report import HeadScores, ZScoresReport, summary, zscores_html
from floelens.tests.plugin.report.page_checks import checked

FREQUENCIES = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89.0")
COLUMNS = [f"{frequency}GHz{p}" for frequency in FREQUENCIES for p in "HV"]
NAMES = [f"btemp_{frequency.replace('.', '_')}{p}" for frequency in FREQUENCIES for p in "hv"]
FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "amsr2-rrdp-points"


def points(path: Path, least_latitude: float) -> tuple[np.ndarray, np.ndarray]:
    """Return temperatures (point, channel), K, and the days of the points (point,)."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        next(file)
        header = [name.lstrip("# ") for name in next(file).strip().split(",")]
        at = [header.index(name) for name in COLUMNS]
        temperatures, days = [], []
        for row in csv.reader(file):
            try:
                values = [float(row[place]) for place in at]
                latitude = float(row[0])
            except ValueError:  # "noval"
                continue
            if latitude >= least_latitude and min(values) > 50:
                temperatures.append(values)
                days.append(row[2][:10])
    return np.array(temperatures), np.array(days)


@pytest.fixture(scope="module")
def mixtures() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return standardised temperatures (sample, channel), concentrations, and days of the ice points."""
    if not FOLDER.is_dir():
        pytest.skip("the folder of real data (shared/data beside the project) is not here")
    files = {path.name[:5]: path for path in FOLDER.glob("*.text")}
    ice, days = points(files["ASCAT"], -90.0)
    water, _ = points(files["QSCAT"], 60.0)
    draw = np.random.default_rng(7)
    n = 6000
    chosen = draw.integers(0, len(ice), n)
    concentration = draw.uniform(size=n)
    mixed = (
        concentration[:, None] * ice[chosen]
        + (1 - concentration[:, None]) * water[draw.integers(0, len(water), n)]
    )
    mixed = (mixed - mixed.mean(axis=0)) / mixed.std(axis=0)
    return mixed, concentration, np.unique(days[chosen], return_inverse=True)[1]


def parts() -> list[Component]:
    return [
        Component(name, "mwr", "mwr", name, float(name[6:-1].replace("_", ".")), name[-1]) for name in NAMES
    ]


def test_scores_on_real_radiometry_equal_those_of_statsmodels(mixtures):
    x, y, days = mixtures
    design = sm.add_constant(x)
    plain = sm.Logit(y, design).fit(disp=0, method="newton", tol=1e-14, maxiter=200)
    robust = sm.Logit(y, design).fit(
        disp=0, method="newton", tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": days}
    )
    layer = OutputLayer("ice", "sigmoid", ("ice",), tuple(parts()), plain.params[None, 1:], plain.params[:1])
    accumulator = SceneAccumulator(layer)
    accumulator.add(x, y, {"days": days})
    rows = compute_scores(accumulator.close()).rows
    for key, expected in (
        ("z", plain.tvalues),
        ("se", plain.bse),
        ("z_robust", robust.tvalues),
        ("se_robust", robust.bse),
    ):
        np.testing.assert_allclose([row[key] for row in rows], expected[1:], rtol=1e-6)
    assert max(row["vif"] for row in rows) > 30


def test_the_report_on_real_radiometry_is_one_to_be_believed(mixtures):
    x, y, days = mixtures
    learned = days % 2 == 0
    fit = sm.Logit(y[learned], sm.add_constant(x[learned])).fit(disp=0, maxiter=200)
    layer = OutputLayer("ice", "sigmoid", ("ice",), tuple(parts()), fit.params[None, 1:], fit.params[:1])
    unseen = ~learned
    accumulator = SceneAccumulator(layer)
    accumulator.add(x[unseen], y[unseen], {"days": days[unseen]})
    head = HeadScores(**compute_scores(accumulator.close()).as_dict())
    channels = [InputChannel(p.name, p.sensor, p.frequency_ghz, p.polarisation) for p in parts()]
    evidence = ChannelAccumulator(
        ChannelEvidence.empty("ice", "sigmoid", ("ice",), channels, "the terms of the regression"), "points"
    )
    at = np.flatnonzero(unseen)
    terms = x[unseen] * fit.params[1:]
    evidence.add(np.full(len(at), fit.params[0]), terms, at, at, y[unseen], {"days": days[unseen]})
    judged = ChannelJudgement(**channel_scores(evidence.close(), "days").as_dict())
    (whole,) = [row for row in judged.slopes if row["level"] == "sensor"]
    assert 0.9 < whole["slope"] < 1.1
    assert whole["z_against_0"] > 50
    report = ZScoresReport(
        ModelFacts("points", "Ice against water"), (head,), {"points": "RRDP"}, channels=(judged,)
    )
    sentences = summary(head, judged)
    assert "trust in the radiometer (MWR) is deserved" in sentences[2]
    page = zscores_html(report)
    checked(page)
    assert "VIF above 30" in page
