"""The report of a run of Z-scores, and the table beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.zscores.channels.scores import ChannelScores
from ...core.zscores.refit import Refit
from ...core.zscores.sampling import sampling_text
from ...core.zscores.scores import COLUMNS, ZScores
from ...core.zscores.skill import Skill
from ...core.zscores.state import ScoreState
from ...core.zscores.zones import ZoneScores
from ...ground.wording import listed
from ...io.geometry.vector import Polygons, parts_of
from ...io.rasters.writer import Outputs
from ...networks.card import ModelCard
from ...report.page.short_lists import ShortLists
from ...report.page.tables import csv_text, csvt_path
from ...report.zscores.channels import ChannelJudgement
from ...report.zscores.report import (
    HeadScores,
    ZoneShape,
    ZScoresReport,
    zscores_csvt,
    zscores_html,
    zscores_json,
)
from ...report.zscores.skill import HeadSkill
from ..common.provenance import model_facts


@dataclass(frozen=True)
class ScoredZones:
    """The zones of a scene.

    Parameters
    ----------
    names : sequence of str
        Of all zones.
    polygons : Polygons
        Their outlines, in the same order.
    scores : tuple of dict
        One a head: the scores of the zones that hold pixels, by number.
    """

    names: Sequence[str]
    polygons: Polygons
    scores: tuple[dict[int, ZoneScores], ...]


@dataclass(frozen=True)
class SceneScores:
    """The scores of a scene, and what a report says of it."""

    state: ScoreState | None = None
    refits: Mapping[str, Refit] = field(default_factory=dict)
    name: str = ""
    start_time: str = ""
    zones: ScoredZones | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    skill: tuple[Skill, ...] = ()


def repetitions(state: ScoreState) -> tuple[str, ...]:
    """Return a sentence for each scene that is in a state more than once."""
    return tuple(
        f"Scene {name} is in the states more than once: a pixel that is in several counts as often, and so does a "
        "block, so that robust errors may be too small."
        for name in state.repeated_scenes
    )


def uneven(state: ScoreState) -> tuple[str, ...]:
    """Return a sentence where pixels of the scenes were chosen in different ways."""
    if len(state.sampling) < 2:
        return ()
    return (
        f"The scenes were sampled in different ways ({listed(state.sampling)}): those of which more pixels were taken "
        "decide scores and shares. Make all states with one value of SAMPLE to have scenes count alike.",
    )


def run_parameters(
    state: ScoreState, scene: bool, step: int, labels: str | None, clusters: str, method: str, states: int
) -> dict[str, str]:
    """Return the parameters of a run, in the reader's words.

    Parameters
    ----------
    state : ScoreState
        Everything together.
    scene : bool
        Whether a scene was read in this run.
    step : int
        Every n-th row and column; 0: one pixel a coarse cell.
    labels : str or None
        The raster.
    clusters, method : str
        What the errors allow for, and how logits were split; empty where they were not.
    states : int
        How many were merged.
    """
    known = ([Path(labels).name] if labels else ["none"] if scene else []) + ["as in the states"] * bool(
        states
    )
    return {
        "scenes": f"{len(state.scenes)}: {listed(state.scene_names)}",
        "sample": ", ".join([sampling_text(step)] * scene + ["as in the states"] * bool(states)),
        "labels": ", ".join(known),
        "clusters": clusters,
        "logits split over channels": method or "not asked for",
        "states merged": str(states),
    }


def write_report(
    outputs: Outputs,
    paths: tuple[str | None, str | None, str | None],
    card: ModelCard,
    parameters: Mapping[str, str],
    scores: Sequence[ZScores],
    channels: Sequence[ChannelScores],
    scene: SceneScores,
    warnings: Sequence[str],
    pixels: str = "",
    short_lists: Sequence[ShortLists] = (),
) -> None:
    """Write the report as HTML, JSON and CSV, as far as there is a path for each.

    `parameters` are those of :func:`run_parameters`, `warnings` those that do not come from a head, `pixels`
    says which pixels of the scene are scored, and `short_lists` how few components make the map.
    """
    page = ZScoresReport(
        model=model_facts(card),
        heads=tuple(HeadScores(**head.as_dict()) for head in scores),
        channels=tuple(ChannelJudgement(**head.as_dict()) for head in channels),
        skill=tuple(HeadSkill(**each.as_dict(), pixels=pixels) for each in scene.skill),
        asked=parameters,
        zones=tuple(_zone_shapes(card, scene.zones)),
        provenance=scene.tags or {"FLOELENS_MODEL": card.id, "FLOELENS_WEIGHTS_SHA256": card.weights.sha256},
        warnings=tuple(warnings),
        short_lists=tuple(short_lists),
    )
    html, as_json, as_csv = paths
    if html:
        outputs.file(html).write_text(zscores_html(page), encoding="utf-8")
    if as_json:
        outputs.file(as_json).write_text(zscores_json(page), encoding="utf-8")
    if as_csv:
        write_table(outputs, as_csv, [row for head in scores for row in head.rows])


def write_table(outputs: Outputs, path: str, rows: list[dict]) -> None:
    """Write a table, and the types of its fields beside it."""
    outputs.file(path).write_text(csv_text(COLUMNS, rows), encoding="utf-8")
    outputs.file(csvt_path(path)).write_text(zscores_csvt(COLUMNS), encoding="utf-8")


def _zone_shapes(card: ModelCard, zones: ScoredZones | None) -> Iterator[ZoneShape]:
    if zones is None:
        return
    for head, found in zip(card.heads, zones.scores):
        for number in sorted(found):
            polygons, _ = parts_of(zones.polygons.wkb[number])
            rings = tuple(rings[0] for rings in polygons if rings)
            yield ZoneShape(head.name, found[number].row(), zones.names[number], rings)
