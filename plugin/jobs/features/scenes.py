"""The scenes of a feature analysis: the one that is mapped, and further ones that add samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.features.pictures import Picture, PixelSample, TargetsAt
from ...core.features.run import collect, sample_weights, weighted_map
from ...core.features.samples import FeatureSamples
from ...core.features.sums import Regions, SampleSums, feature_samples
from ...core.features.tiles import Analysis
from ...core.streaming.tiling import Plan
from ...ground.errors import ParameterError
from ...ground.protocols import Part, Progress, Silent
from ...ground.vocabulary.cams import FULL, GRADCAM_PLUS_PLUS
from ...ground.wording import listed
from ...io.geometry.vector import Polygons
from ...io.scene.raster_roles import role_of
from ...io.scene.reader import Scene
from ...networks.card import Head, ModelCard
from ..common.inputs import SceneInputs, conclude
from ..common.seams import sampled_seams
from ..scoring.channels import scene_identity
from ..scoring.labels import SceneLabels
from .regions import class_names, places, regions_of
from .spool import MapSpool


@dataclass(frozen=True)
class Sampling:
    """What counts as a sample, and where its class comes from.

    Parameters
    ----------
    kind : str
        A word of :data:`floelens.plugin.ground.vocabulary.cams.SAMPLES`.
    size_km : float
        Side of the tiles.
    polygons : Polygons, optional
        The polygons.
    """

    kind: str
    size_km: float
    polygons: Polygons | None


@dataclass(frozen=True)
class SceneFeatures:
    """What was read of a scene.

    Parameters
    ----------
    identity, name : str
        Of the scene.
    samples : FeatureSamples
        Its samples.
    sums : SampleSums
        What they are made of, by the number of a sample in `regions`.
    regions : Regions
        Where they are.
    plan : Plan
        The tiles.
    weights : numpy.ndarray or None
        (sample, feature), of other CAMs than the full one.
    warnings : tuple of str
        Of the scene and its labels.
    pixel_size_m : float
        Width of a pixel on the ground, m.
    pixels : PixelSample or None
        Some pixels of the components.
    """

    identity: str
    name: str
    samples: FeatureSamples
    sums: SampleSums
    regions: Regions
    plan: Plan
    weights: np.ndarray | None
    warnings: tuple[str, ...]
    pixel_size_m: float
    pixels: PixelSample | None = None

    @property
    def weighted(self) -> tuple[Regions, np.ndarray] | None:
        """The samples with their weights, where maps need them."""
        return None if self.weights is None else (self.regions, self.weights)


def read_scene(
    analysis: Analysis,
    scene: Scene,
    inputs: SceneInputs,
    labels: str | None,
    sampling: Sampling,
    cam: str,
    memory_mib: float,
    features: Sequence[str],
    progress: Progress,
    stack: ExitStack,
    spool: MapSpool | None = None,
    picture: Picture | None = None,
    sampled: bool = False,
) -> SceneFeatures:
    """Take the samples of a scene, and map its CAM into `spool`; `sampled`: keep some pixels of the components, too.

    Raises
    ------
    SceneError
        If labels have no usable value.
    ParameterError
        If samples are wanted that the scene does not have.
    """
    head = analysis.seeding.head
    chart = SceneLabels(labels, scene.card.heads, scene.grid, stack) if labels else None
    regions = regions_of(
        scene, inputs.sar, head, sampling.kind, sampling.size_km, sampling.polygons, chart, stack
    )
    plan = analysis.plan(scene, scene.region, memory_mib)
    sampled_seams(analysis.runner, scene, plan, head, progress)
    passes = 1 if cam == FULL else 3 if cam == GRADCAM_PLUS_PLUS else 2
    first = Part(progress, 0.0, 1 / passes)
    pixels = PixelSample(scene.region, len(features), _targets(chart, scene.card, head)) if sampled else None
    sums = collect(analysis, scene, plan, regions, cam, spool, first, picture, pixels)
    if not (sums.pixels > 0).any():
        raise ParameterError(f"No sample has a valid pixel of {scene.name}. Choose other SAMPLES or ZONES.")
    weights = None
    if cam != FULL:
        if spool is not None:
            spool.clear()
        middle = Part(progress, 1 / passes, 1 - 1 / passes)
        weights = sample_weights(analysis, scene, plan, regions, cam, sums, middle)
        last = Part(progress, 1 - 1 / passes, 1.0)
        weighted_map(analysis, scene, plan, regions, weights, sums, spool, last)
    odd = chart.judged(scene.start_time) if chart is not None else ()
    for sentence in odd:
        progress.warn(sentence)
    own = scene.card.head_slice(head.name)
    samples = feature_samples(sums, regions, features, class_names(head), scene.name, own)
    identity = scene_identity(scene)
    size = scene.grid.pixel_size()
    return SceneFeatures(identity, scene.name, samples, sums, regions, plan, weights, odd, size, pixels)


def _targets(chart: SceneLabels | None, card: ModelCard, head: Head) -> TargetsAt | None:
    """Return what gives the labels of pixels; None where there is no raster of them."""
    if chart is None:
        return None
    position = [each.name for each in card.heads].index(head.name)
    return lambda window, at: chart.known(window, at)[position]


def further_scenes(
    first: SceneInputs, paths: Sequence[str], mwr_pattern: str, labels: str | None, labels_pattern: str
) -> list[tuple[SceneInputs, str | None]]:
    """Return the inputs of further scenes, and their labels.

    Parameters
    ----------
    first : SceneInputs
        The scene that is mapped; what is set by hand there holds for all.
    paths : sequence of str
        SAR rasters; each counts once, and the first scene's own is left out.
    mwr_pattern, labels_pattern : str
        As of :func:`named_after`; without a pattern of labels they have none.
    labels : str or None
        Of the first scene: only with it others have labels.
    """
    found = []
    taken = {Path(first.sar).resolve()}
    for path in paths:
        if Path(path).resolve() in taken:
            continue
        taken.add(Path(path).resolve())
        mwr = named_after(path, mwr_pattern, "MWR_PATTERN") if first.mwr else None
        chart = named_after(path, labels_pattern, "LABELS_PATTERN") if labels and labels_pattern else None
        inputs = dataclasses.replace(first, sar=path, mwr=mwr, ancillary=(), extent=None)
        found.append((inputs, chart))
    return found


def check_further(
    further: Sequence[tuple[SceneInputs, str | None]], card: ModelCard, head: Head, sampling: Sampling
) -> tuple[str, ...]:
    """Open further scenes one after another, so that a fault of any shows before the first pass; return their names.

    Raises
    ------
    SceneError, ParameterError
        As of :meth:`.Scene.open`, of labels, and of :func:`.places`.
    """
    names = []
    for inputs, labels in further:
        with inputs.open(card, Silent()) as scene, ExitStack() as stack:
            if labels:
                SceneLabels(labels, card.heads, scene.grid, stack)
            places(scene, head, sampling.kind, sampling.size_km, sampling.polygons)
            names.append(scene.name)
    return tuple(names)


def check_ancillary(first: SceneInputs, further: Sequence[object], card: ModelCard) -> None:
    """Refuse further scenes where the network reads rasters of ANCILLARY, which they have none of.

    Raises
    ------
    ParameterError
        If it does.
    """
    read = [channel.name for channel in card.channels if role_of(channel) == "ancillary"]
    if further and first.ancillary and read:
        raise ParameterError(
            f"SCENES: model '{card.id}' reads {listed(read)} from ANCILLARY, which belongs to one scene. Leave SCENES "
            "empty, and join runs of single scenes by SCALE and SCALE_IN."
        )


def is_training(name: str, training: str) -> bool:
    """Return whether a scene is one that the network was trained on, by a part of its name."""
    return training.strip().lower() in name.lower()


def training_warning(names: Sequence[str], training: str) -> str:
    """Return what a reader must know where TRAINING separates no scenes; empty where it does."""
    found = sum(is_training(name, training) for name in names)
    if not training.strip() or 0 < found < len(names):
        return ""
    return (
        f"TRAINING='{training.strip()}' is in {'all names' if found else 'no name'} of the scenes ({listed(names)}): "
        "training and test scenes cannot be compared. Give a part that only names of training scenes have."
    )


def named_after(sar: str, pattern: str, parameter: str) -> str:
    """Return the raster whose name follows from that of a SAR raster: ``_sar=_mwr`` replaces one by the other.

    Raises
    ------
    ParameterError
        If the pattern does not fit, or there is no such file.
    """
    before, equals, after = pattern.partition("=")
    path = Path(sar)
    if not equals or not before:
        raise ParameterError(
            f"{parameter}='{pattern}' is no pattern. Write what is replaced in the name of the SAR raster, = and by "
            "what, as in sar=mwr."
        )
    if before not in path.name:
        raise ParameterError(
            f"{parameter}={pattern}: the name {path.name} has no '{before}'. Name the rasters alike, or change the "
            "pattern."
        )
    start, _, end = path.name.rpartition(before)
    other = path.with_name(start + after + end)
    if not other.exists():
        raise ParameterError(
            f"{parameter}={pattern}: {other} does not exist. Put it beside {path.name}, or change the pattern."
        )
    return str(other)


def conclude_quietly(scene: Scene, progress: Progress) -> tuple[str, ...]:
    """Judge what was read of a further scene; its warnings bear its name."""
    conclude(scene, progress)
    return tuple(f"{scene.name}: {warning}" for warning in scene.warnings)
