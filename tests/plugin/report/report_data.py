"""Reports of made-up but computed scores: a network of SAR scales and 14 radiometer channels."""

from __future__ import annotations

import functools

import numpy as np
from floelens.plugin.core.zscores.scores import compute_scores
from floelens.plugin.core.zscores.sums.information import Component, OutputLayer, SceneAccumulator
from floelens.plugin.core.zscores.sums.refit_sample import RefitSampler
from floelens.plugin.core.zscores.zones import ZoneAccumulator
from floelens.plugin.jobs.scoring.shortlist import head_short_lists
from floelens.plugin.report.page.model_facts import ModelFacts
from floelens.plugin.report.relevance.conservation import Conservation
from floelens.plugin.report.relevance.content import ChannelRelevance, RelevanceReport
from floelens.plugin.report.zscores.report import HeadScores, ZoneShape, ZScoresReport
from scipy import special

MWR = [(f, p) for f in (6.9, 7.3, 10.7, 18.7, 23.8, 36.5, 89.0) for p in "hv"]
FOOTPRINTS = {
    6.9: (35, 62),
    7.3: (34, 58),
    10.7: (24, 42),
    18.7: (14, 22),
    23.8: (15, 26),
    36.5: (7, 12),
    89.0: (3, 5),
}
MODEL = ModelFacts(
    "aspp-concentration-sim", "Ice concentration from simulated scenes", True, ("Winter conditions only.",)
)


def parts(a_scale: int = 14) -> tuple[Component, ...]:
    made = [
        Component(f"{scale}_{j + 1:02d}", "sar", scale)
        for scale in ("skip", "d2", "d4", "d8", "d16")
        for j in range(a_scale)
    ]
    made += [
        Component(
            f"btemp_{str(f).replace('.', '_')}{p}", "mwr", "mwr", f"btemp_{str(f).replace('.', '_')}{p}", f, p
        )
        for f, p in MWR
    ]
    return tuple(made)


def components(seed: int, n: int, a_scale: int = 14) -> np.ndarray:
    """Return components that follow a few common signals, as a network's do."""
    generator = np.random.default_rng(seed)
    m = 5 * a_scale + 14
    signals = generator.normal(size=(n // 20, 6)).repeat(20, axis=0)
    x = signals @ generator.normal(size=(6, m)) + generator.normal(size=(n, m))
    x[:, : 5 * a_scale] = np.maximum(x[:, : 5 * a_scale], 0.0)
    return x.astype(np.float32)


@functools.cache
def report(
    kind: str = "sigmoid", labels: bool = True, zones: bool = True, a_scale: int = 14, n: int = 4000
) -> ZScoresReport:
    """Return a report whose numbers are computed from made components; the same one to all who ask for it."""
    generator = np.random.default_rng(5)
    x = components(6, n, a_scale)
    x[:, 3] = 0.0  # a dead filter
    classes = ("ice",) if kind == "sigmoid" else ("open water", "young", "first-year", "multi-year")
    weights = 0.12 * generator.normal(size=(len(classes), x.shape[1]))
    weights[:, -14:] *= 2.0
    layer = OutputLayer(
        "concentration" if kind == "sigmoid" else "type",
        kind,
        classes,
        parts(a_scale),
        weights,
        np.zeros(len(classes)),
    )
    logits = x.astype(float) @ weights.T
    if kind == "sigmoid":
        y = special.expit(logits[:, 0] + 0.8 * generator.normal(size=n // 20).repeat(20))
    else:
        y = np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)
    accumulator = SceneAccumulator(layer)
    clusters = {"64 km blocks": np.arange(n) // (n // 64), "128 km blocks": np.arange(n) // (n // 16)}
    accumulator.add(x, y if labels else None, clusters)
    information = accumulator.close()
    scores = compute_scores(information, "64 km blocks" if labels else None)
    sampler = RefitSampler(x.shape[1], "scene", "place")
    at = np.arange(n)
    sampler.add(x, at, at, y, clusters)
    sample = sampler.close({})
    shapes = ()
    if zones:
        number = np.arange(n) * 9 // n
        number[number == 8] = np.where(np.arange((number == 8).sum()) < 12, 8, -1)
        collected = ZoneAccumulator(layer)
        collected.add(x, number)
        shapes = tuple(
            ZoneShape(layer.head, zone.row(), f"zone {i}", (square(i % 3, i // 3),))
            for i, zone in collected.close().items()
        )
    return ZScoresReport(
        model=MODEL,
        heads=(HeadScores(**scores.as_dict()),),
        asked={
            "scene": "S1A_EW <20190823>",
            "sample": "one pixel per radiometer cell",
            "labels": "chart.tif" if labels else "none",
        },
        zones=shapes,
        provenance={"floelens": "0.1.0", "weights (sha256)": "ab" * 32},
        warnings=("The pixels are 40 m wide, the model was trained on 80 m.",),
        short_lists=head_short_lists([information], [scores], {layer.head: sample} if labels else {}),
    )


def square(column: int, row: int) -> np.ndarray:
    return 100_000.0 * np.array(
        [[column, -row], [column + 1, -row], [column + 1, -row - 1], [column, -row - 1]]
    )


def relevance_report(**changes) -> RelevanceReport:
    """Return a relevance report in which relevance is conserved."""
    generator = np.random.default_rng(8)
    channels = [
        ChannelRelevance(
            name, "sar", "dB", float(abs(generator.normal(300, 80))), -float(abs(generator.normal(200, 60)))
        )
        for name in ("hh", "hv")
    ]
    channels += [
        ChannelRelevance(
            f"btemp_{str(f).replace('.', '_')}{p}",
            "mwr",
            "K",
            float(abs(generator.normal(0, 400))),
            -float(abs(generator.normal(0, 300))),
            f,
            p,
            FOOTPRINTS[f],
        )
        for f, p in MWR
    ]
    total = sum(channel.net for channel in channels)
    conservation = Conservation(total + 120.5 + 2e-4, total, 120.5, 0.0, 0.0, 0.0, 0.0, 2e-4, 3e-8, 1e-4)
    values = {
        "model": MODEL,
        "scene": "S1A_EW <20190823>",
        "head": "concentration",
        "target_class": "ice",
        "region": "all valid pixels",
        "pixels": 123456,
        "method": "gradient_x_input",
        "channels": tuple(channels),
        "conservation": conservation,
        "settings": {"baseline": "training mean"},
        "provenance": {"floelens": "0.1.0"},
    }
    return RelevanceReport(**{**values, **changes})
