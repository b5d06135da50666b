"""Z-scores of a network's output layer over scenes: table, zones on the map, report, mergeable state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.zscores.channels.evidence import ChannelEvidence
from ..core.zscores.channels.reference import ContributionReference, load_reference
from ..core.zscores.channels.scores import ChannelScores, channel_scores
from ..core.zscores.collect import output_layers
from ..core.zscores.estimation.scene_errors import LEAST_SCENES
from ..core.zscores.refit import Refit, refit
from ..core.zscores.sampling import AUTOMATIC, sampling_step, sampling_text
from ..core.zscores.scores import ZScores as Scores
from ..core.zscores.scores import compute_scores
from ..core.zscores.state import ScoreState, check_state, merge_states
from ..core.zscores.sums.clusters import SCENES, blocks_name
from ..core.zscores.sums.information import Information, OutputLayer
from ..core.zscores.sums.refit_sample import sampled_batches
from ..ground.errors import ParameterError
from ..ground.protocols import Part, Progress
from ..ground.vocabulary.settings import BLOCK_SIZE, ZONE_SIZE
from ..ground.vocabulary.words import CHANNEL_METHODS, CLUSTERS, check_word, default_word
from ..io.geometry.vector import Polygons
from ..io.rasters.writer import Outputs
from ..networks.card import ModelCard
from .common.inputs import Compute, SceneInputs
from .common.settings import ReportPaths
from .scoring.error import write_error
from .scoring.report import SceneScores, repetitions, run_parameters, uneven, write_report, write_table
from .scoring.scene import score_scene
from .scoring.shortlist import head_short_lists
from .scoring.standardised import write_standardised
from .scoring.zones import write_zones

if TYPE_CHECKING:
    from ..core.streaming.runner import Runner

MAP_SHARE = 0.7  # of the progress, roughly: what the raster of standardised contributions takes
ERROR_SHARE = 0.2  # of the progress, roughly: what the raster of errors takes


@dataclass(frozen=True)
class _ScoreTable:
    """What is scored, and where its table goes.

    Parameters
    ----------
    model : str
        Id of an installed model, or a path to a package.
    output : str
        Table (CSV) of one row a class and component.
    scene : SceneInputs, optional
        A scene to score; None where only states are merged.
    """

    model: str
    output: str
    scene: SceneInputs | None = None


@dataclass(frozen=True)
class ZScores(ReportPaths, _ScoreTable):
    """Score the components of a model's output layer.

    Parameters
    ----------
    state_in : tuple of str
        States of earlier runs with the same model.
    labels : str, optional
        Raster of known ice: concentration in %, or class codes. Robust errors need it.
    zones : Polygons, optional
        Zones to be scored one by one.
    zone_size_km : float
        Side of the square zones that are made where `zones` is None; 0: as their pixels allow.
    sample : int
        Every n-th pixel in row and column; 1 is all, 0 one a coarse cell, -1 all without labels and one a coarse
        cell with them.
    clusters : {'blocks', 'scenes'}
        What counts as one observation in robust errors.
    block_size_km : float
        Least side of the blocks.
    refit : bool
        Whether the output layer is also fitted to the labels of the scene, for columns of its own.
    channel_method : {'integrated', 'gated', 'none'}
        How logits are split over the input channels, for their strengths and held-out slopes.
    reference_class : str
        The table then holds the weights of each class minus those of this one; empty: centred weights.
    zone_zscores : str, optional
        Polygons to write, with the scores of each zone.
    standardised : str, optional
        Raster to write: contributions of each channel to every head against the model's reference.
    state : str, optional
        Mergeable state to write.
    error : str, optional
        Raster to write: how the map differs from the labels, at all labelled pixels.
    compute : Compute
        Where and how.
    """

    state_in: tuple[str, ...] = ()
    labels: str | None = None
    zones: Polygons | None = None
    zone_size_km: float = ZONE_SIZE.default
    sample: int = AUTOMATIC
    clusters: str = default_word(CLUSTERS)
    block_size_km: float = BLOCK_SIZE.default
    refit: bool = False
    channel_method: str = default_word(CHANNEL_METHODS)
    reference_class: str = ""
    zone_zscores: str | None = None
    standardised: str | None = None
    state: str | None = None
    error: str | None = None
    compute: Compute = field(default_factory=Compute)

    def run(self, progress: Progress) -> dict[str, object]:
        """Write table, zones, report and state; return their paths under their published names."""
        self._check()
        runner = self.compute.runner(self.model, progress)
        card = runner.card
        self._check_reference(card)
        references = self._references(card)  # what is missing is refused before the work, not after it
        layers = output_layers(runner)
        states = [self._read_state(path, card, layers) for path in self.state_in]
        scene = SceneScores()
        if self.scene is not None:
            scene = score_scene(self, self.scene, runner, layers, Part(progress, 0.0, self._scored_until))
            states += [scene.state] if scene.state is not None else []
        state = merge_states(states)
        repeated = repetitions(state) + uneven(state)
        for sentence in repeated:
            progress.warn(sentence)
        refits = self._refits(state, scene, progress)
        scores = tuple(
            compute_scores(head, self._clustering(head), refits.get(head.layer.head)) for head in state.heads
        )
        channels = tuple(
            channel_scores(evidence, self._channel_clustering(evidence)) for evidence in state.channels
        )
        for sentence in [*_warnings(scores), *_warnings(channels)]:
            progress.warn(sentence)
        with Outputs(progress) as outputs:
            write_table(outputs, self.output, [row for head in scores for row in self._table(head)])
            if self.state:
                state.save(outputs.file(self.state))
            self._write_rasters(outputs, runner, references, progress)
            if self.zone_zscores and scene.zones is not None:
                found = {head.name: zones for head, zones in zip(card.heads, scene.zones.scores)}
                write_zones(outputs, self.zone_zscores, found, scene.zones, scene.name)
            parameters = self._parameters(state, channels[0].method if channels else "")
            reports = self.report, self.report_json, self.report_csv
            warnings, pixels = scene.warnings + repeated, sampling_text(self.step)
            lists = head_short_lists(state.heads, scores, state.samples) if any(reports[:2]) else ()
            write_report(outputs, reports, card, parameters, scores, channels, scene, warnings, pixels, lists)
        return {
            **self.written(
                OUTPUT=self.output,
                ZONE_ZSCORES=self.zone_zscores,
                STANDARDISED=self.standardised,
                STATE=self.state,
                ERROR=self.error,
            ),
            "MODEL_ID": card.id,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time,
            "PIXELS": int(state.heads[0].n),
        }

    def _check(self) -> None:
        """Refuse parameters that do not go together.

        Raises
        ------
        ParameterError
            With what to give instead.
        """
        check_word("CLUSTERS", self.clusters, CLUSTERS)
        check_word("CHANNEL_METHOD", self.channel_method, CHANNEL_METHODS)
        if self.sample < AUTOMATIC:
            raise ParameterError(
                f"SAMPLE is {self.sample}: give a step in pixels, 1 for all pixels, 0 for one a cell, or {AUTOMATIC} "
                "for what suits the scene."
            )
        if self.zone_zscores and self.scene is None:
            raise ParameterError("ZONE_ZSCORES needs a scene: states know no places. Give SAR and MWR.")
        if self.standardised and (self.scene is None or self.channel_method == "none"):
            raise ParameterError(
                "STANDARDISED needs a scene, and contributions of its channels: give SAR and MWR, and set "
                "CHANNEL_METHOD to integrated or gated."
            )
        if self.error and (self.scene is None or not self.labels):
            raise ParameterError(
                "ERROR compares the map of a scene with labels: give SAR, MWR and LABELS, or leave it empty."
            )
        if self.refit and not self.state_in and (not self.labels or self.scene is None):
            raise ParameterError(
                "REFIT fits the output layer to labels: give a scene and LABELS, or STATE_IN of labelled scenes, or "
                "leave it off."
            )

    def _references(self, card: ModelCard) -> list[ContributionReference]:
        """Return the references of the raster of standardised contributions, one a head; none where it is not due."""
        if not self.standardised:
            return []
        return [load_reference(self.model, card, head.name, self.channel_method) for head in card.heads]

    def _write_rasters(
        self,
        outputs: Outputs,
        runner: Runner,
        references: list[ContributionReference],
        progress: Progress,
    ) -> None:
        """Write the rasters of standardised contributions and of errors, as far as they are due."""
        if self.scene is None:
            return
        if self.standardised:
            part = Part(progress, self._scored_until, self._standardised_until)
            write_standardised(
                outputs,
                self.standardised,
                runner,
                self.scene,
                self.compute,
                references,
                self.channel_method,
                part,
            )
        if self.error and self.labels:
            part = Part(progress, self._standardised_until, 1.0)
            write_error(outputs, self.error, runner, self.scene, self.compute, self.labels, part)

    def _parameters(self, state: ScoreState, method: str) -> dict[str, str]:
        """Return the parameters of the run for its report; `method` is how logits were split."""
        return run_parameters(
            state,
            self.scene is not None,
            self.step,
            self.labels,
            self._blocks_name() if self.clusters == "blocks" else "whole scenes",
            method,
            len(self.state_in),
        )

    def _read_state(self, path: str, card: ModelCard, layers: tuple[OutputLayer, ...]) -> ScoreState:
        state = ScoreState.load(path)
        check_state(state, card.id, card.weights.sha256, layers, path)
        return state

    def _clustering(self, head: Information) -> str | None:
        """Return the clustering the robust errors use, None where there is none."""
        wanted = SCENES if self.clusters == "scenes" else self._blocks_name()
        known = head.labels.clusters
        if not known or wanted in known:
            return wanted if known else None
        raise ParameterError(
            f"The states have no clusters '{wanted}' in common with this scene (they have {', '.join(known)}). "
            "Set BLOCK_SIZE as in the earlier runs, or CLUSTERS=scenes."
        )

    def _refits(self, state: ScoreState, scene: SceneScores, progress: Progress) -> Mapping[str, Refit]:
        """Return the refits by head: of the pixels of the scene, of several scenes of what their states carry.

        Raises
        ------
        ParameterError
            If no state carries what a refit needs.
        """
        if not self.refit or not self.state_in:
            return scene.refits
        if not state.samples:
            raise ParameterError(
                "REFIT needs labelled pixels, which the states of STATE_IN do not carry: they had no LABELS, or an "
                "earlier version made one of them. Make these states again with LABELS, or leave REFIT off."
            )
        found = {}
        for head in state.heads:
            sample = state.samples.get(head.layer.head)
            if sample is None:
                progress.warn(
                    f"Head '{head.layer.head}' has no refit: one of its states carries no labelled pixels."
                )
                continue
            clustering = self._clustering(head)
            found[head.layer.head] = refit(head.layer, sampled_batches(sample, clustering), clustering)
            if len(sample) < head.labelled.n:
                progress.warn(
                    f"The refit of head '{head.layer.head}' rests on a random sample of {len(sample)} of "
                    f"{head.labelled.n} labelled pixels."
                )
        return found

    def _channel_clustering(self, evidence: ChannelEvidence) -> str | None:
        """Return the clustering of the slopes; None where the pixels have no such one in common.

        Whole scenes as soon as there are enough for intervals: what differs from scene to scene, blocks cannot tell.
        """
        if evidence.scene_count >= LEAST_SCENES and SCENES in evidence.sample.clusters:
            return SCENES
        wanted = SCENES if self.clusters == "scenes" else self._blocks_name()
        return wanted if wanted in evidence.sample.clusters else None

    @property
    def step(self) -> int:
        """Every how many rows and columns a pixel is sampled, as of :func:`.sampling`."""
        return sampling_step(self.sample, bool(self.labels))

    @property
    def _standardised_until(self) -> float:
        """Progress at which all but the raster of errors is done."""
        return 1.0 - ERROR_SHARE if self.error else 1.0

    @property
    def _scored_until(self) -> float:
        """Progress at which all but the rasters is done."""
        return self._standardised_until * (1.0 - MAP_SHARE if self.standardised else 1.0)

    def _blocks_name(self) -> str:
        return blocks_name(self.block_size_km)

    def _check_reference(self, card: ModelCard) -> None:
        """Refuse a reference class that no softmax head has."""
        known = [entry.name for head in card.heads if head.kind == "softmax" for entry in head.classes]
        if self.reference_class and self.reference_class not in known:
            there = f"its classes are {', '.join(known)}" if known else "it has no softmax head"
            raise ParameterError(
                f"REFERENCE_CLASS '{self.reference_class}' is no class of a softmax head of model "
                f"'{card.id}' ({there})."
            )

    def _table(self, head: Scores) -> tuple[dict, ...]:
        """Return the rows of a head: contrasts where it has the reference class."""
        softmax = head.layer.kind == "softmax" and self.reference_class in head.layer.classes
        return head.contrasts(self.reference_class) if softmax else head.rows


def _warnings(heads: Sequence[Scores] | Sequence[ChannelScores]) -> list[str]:
    return [sentence for head in heads for sentence in head.warnings]
