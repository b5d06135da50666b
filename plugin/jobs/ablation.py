"""What the prediction loses without a channel or sensor: a raster of changes and a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..ground.errors import ParameterError
from ..ground.protocols import Progress, Source
from ..ground.vocabulary.settings import BLUR
from ..ground.vocabulary.words import BASELINES, CHANNEL_GROUPS, QUANTITIES, check_word, default_word
from ..io.rasters.writer import Band, Outputs
from ..io.scene.reader import Scene
from ..networks.card import ModelCard
from ..report.ablation_table import ablation_csv, ablation_csvt
from ..report.page.tables import csvt_path
from ..report.styles.ablation import ablation_style
from ..report.styles.layers import sidecar
from .common.inputs import SceneInputs, conclude
from .common.percentile_sink import PercentileSink
from .common.provenance import provenance
from .common.seams import sampled_seams
from .common.settings import ClassChoice, RasterJob
from .contributions import group_tags

if TYPE_CHECKING:
    from ..core.ablation.run import AblationResult


@dataclass(frozen=True)
class Ablation(ClassChoice, RasterJob):
    """Replace each group of channels by its baseline: one band a group, the prediction with it minus without it.

    Parameters
    ----------
    table : str, optional
        Table (CSV) of one row a group.
    groups : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.CHANNEL_GROUPS`.
    baseline : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.BASELINES`.
    baseline_scene : SceneInputs, optional
        The other scene of ``scene``.
    blur_km : float
        Standard deviation of the Gaussian of ``blur``, on the ground.
    quantity : {'map', 'logit'}
        What the bands tell.
    shapley : bool
        Whether the table holds Shapley values.
    """

    table: str | None = None
    groups: str = default_word(CHANNEL_GROUPS)
    baseline: str = default_word(BASELINES)
    baseline_scene: SceneInputs | None = None
    blur_km: float = BLUR.default
    quantity: str = default_word(QUANTITIES)
    shapley: bool = True

    def run(self, progress: Progress) -> dict[str, object]:
        """Write raster and table; return their paths under their published names, and numbers."""
        from ..core.ablation.run import Ablator, plan_ablation, run_ablation
        from ..core.target.channel_groups import channel_groups

        runner = self.compute.runner(self.model, progress)
        card = runner.card
        self._check(card)
        seeding = self.target().resolve(card)
        groups = channel_groups(card, self.groups)
        ablator = Ablator(runner, seeding, groups, self.quantity, self.shapley)
        map_unit = "%" if ablator.in_percent else seeding.head.unit
        unit = "logit" if self.quantity == "logit" else map_unit
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            plan = plan_ablation(runner, scene, scene.region, ablator, self.compute.memory_mib)
            sampled_seams(runner, scene, plan, seeding.head, progress)
            tags = provenance(
                card,
                self.scene,
                scene,
                runner.precision,
                product="ablation",
                head=seeding.head.name,
                target=seeding.text,
                groups=self.groups,
                quantity=self.quantity,
                baseline=self._baseline_text(),
            )
            grid = scene.grid.subset(scene.region)
            bands = [Band(group.name, unit, group_tags(card, group)) for group in groups]
            sink = PercentileSink(outputs.raster(self.output, grid, bands, tags=tags))
            with self._source(card, scene, progress) as source:
                result = run_ablation(runner, source, plan, ablator, sink, progress)
            conclude(scene, progress, outputs)
            shown = seeding.shown
            leading = max(range(len(groups)), key=lambda number: result.effects[number].rmse_map)
            style = ablation_style(
                shown,
                groups[leading].name,
                sink.limit(leading),
                unit,
                band=leading + 1,
                start_time=scene.start_time,
            )
            outputs.file(sidecar(self.output)).write_text(style, encoding="utf-8")
            if self.table:
                text = ablation_csv(_rows(result, map_unit))
                outputs.file(self.table).write_text(text, encoding="utf-8")
                outputs.file(csvt_path(self.table)).write_text(ablation_csvt(), encoding="utf-8")
        _tell(result, shown, map_unit, progress)
        return {
            "OUTPUT": self.output,
            **({"TABLE": self.table} if self.table else {}),
            "MODEL_ID": card.id,
            "CLASS_NAME": shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "PIXELS": int(result.pixels),
            "LEADING_GROUP": groups[leading].name,
            "EFFICIENCY": result.efficiency,
        }

    def _check(self, card: ModelCard) -> None:
        from ..core.target.baselines import BLUR, SCENE

        check_word("BASELINE", self.baseline, BASELINES)
        if (self.baseline_scene is not None) != (self.baseline == SCENE):
            raise ParameterError(
                "BASELINE=scene and BASELINE_SAR belong together: give both, and BASELINE_MWR, or none."
            )
        if self.baseline == BLUR and not self.blur_km > 0:
            raise ParameterError(f"BLUR is {self.blur_km:g} km: give a positive number.")
        other = self.baseline_scene
        if other is not None and not other.mwr and any(c.sensor == "mwr" for c in card.channels):
            raise ParameterError(
                f"Model '{card.id}' reads radiometer channels: give BASELINE_MWR of the other scene beside "
                "BASELINE_SAR."
            )

    def _baseline_text(self) -> str:
        if self.baseline == "blur":
            return f"Gaussian blur, sd {self.blur_km:g} km"
        return f"scene {Path(self.baseline_scene.sar).name}" if self.baseline_scene else "channel means"

    @contextmanager
    def _source(self, card: ModelCard, scene: Scene, progress: Progress) -> Iterator[Source]:
        """Give the scene together with its baseline."""
        from ..core.target.baselines import BlurredSource, PairedSource

        if self.baseline == "blur":
            sigma = self.blur_km * 1000 / scene.grid.pixel_size()
            yield PairedSource(scene, BlurredSource(scene, card.ratio, sigma), card.ratio)
        elif self.baseline_scene is not None:
            with self.baseline_scene.open(card, progress) as other:
                yield PairedSource(scene, other, card.ratio)
                conclude(other, progress)
        else:
            yield scene


def _rows(result: AblationResult, map_unit: str) -> list[dict[str, object]]:
    return [
        {
            "group": effect.name,
            "channels": " ".join(effect.channels),
            "linear": effect.linear,
            "mean_change_logit": effect.mean_change,
            "mean_abs_change_logit": effect.mean_abs_change,
            "rmse_map": effect.rmse_map,
            "map_unit": map_unit,
            "share_class_changed": effect.class_changed,
            "share_map_changed_10": effect.large_change,
            "shapley": effect.shapley,
            "shapley_abs": effect.shapley_abs,
            "pixels": result.pixels,
        }
        for effect in result.effects
    ]


def _tell(result: AblationResult, shown: str, map_unit: str, progress: Progress) -> None:
    """Put what is lost without each group into the log, the largest first."""
    unit = "percentage points" if map_unit == "%" else map_unit
    progress.message(
        f"What the prediction of {shown} loses without a group: its logit on average over {result.pixels} pixels "
        "(below zero it gains), and the change of the map (root mean square). The largest change first:"
    )
    *groups, whole = result.effects
    for effect in [whole, *sorted(groups, key=lambda effect: -effect.rmse_map)]:
        single = effect.shapley is not None and effect is not whole
        shapley = f"; Shapley value {effect.shapley:+.3g}" if single else ""
        name = "all together" if effect is whole else effect.name
        progress.message(
            f"  {name}: logit {effect.mean_change:+.3g}, map {effect.rmse_map:.3g} {unit}{shapley}".rstrip()
        )
    if result.efficiency is not None:
        progress.message(
            f"Shapley values add up to what all groups change together, to {result.efficiency:.1g} of Σ|φ|."
        )
