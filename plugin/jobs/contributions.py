"""Which channel decided: at every output pixel the logit split over groups of channels."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..ground.errors import ParameterError
from ..ground.protocols import Progress, Sink
from ..ground.vocabulary.settings import CONTRIBUTION_STEPS
from ..ground.vocabulary.words import (
    CONTRIBUTION_GROUPS,
    CONTRIBUTION_METHODS,
    RESOLUTIONS,
    check_word,
    default_word,
)
from ..io.rasters.writer import Band, Outputs
from ..networks.card import ModelCard
from ..report.styles.layers import relevance_style, sidecar
from .common.baseline import baseline_levels
from .common.inputs import conclude
from .common.percentile_sink import PercentileSink
from .common.provenance import provenance
from .common.seams import sampled_seams
from .common.settings import ClassChoice, RasterJob

if TYPE_CHECKING:
    from ..core.contributions.run import Shares
    from ..core.target.channel_groups import ChannelGroup


@dataclass(frozen=True)
class Contributions(ClassChoice, RasterJob):
    """Split the logits of a scene's map: a band a group, then ``bias`` and ``logit``, in units of the logit.

    Parameters
    ----------
    method : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.CONTRIBUTION_METHODS`.
    groups : str
        A word of :data:`floelens.plugin.ground.vocabulary.words.CONTRIBUTION_GROUPS`.
    resolution : {'native', 'coarse'}
        Every pixel of the SAR raster, or the mean over each coarse cell.
    baseline : str
        What contributions are measured against: values in the channels' own units, ``hh=-20,hv=-28``; channels
        that are not named are at their mean.
    steps : int
        Steps of ``integrated`` to begin with; doubled until the split stands still.
    """

    method: str = default_word(CONTRIBUTION_METHODS)
    groups: str = default_word(CONTRIBUTION_GROUPS)
    resolution: str = default_word(RESOLUTIONS)
    baseline: str = ""
    steps: int = CONTRIBUTION_STEPS.default

    def run(self, progress: Progress) -> dict[str, object]:
        """Write the raster; return its path under its published name, and numbers."""
        from ..core.contributions.cell_means import CellMeans
        from ..core.contributions.run import Splitting, plan_contributions, run_contributions, splitter_for
        from ..core.contributions.steps import settled

        runner = self.compute.runner(self.model, progress)
        card = runner.card
        self._check(card)
        levels = baseline_levels(card, self.baseline)
        splitting = Splitting(self.method, self.groups, levels, self.steps)
        seeding = self.target().resolve(card)
        with self.scene.open(card, progress) as scene, Outputs(progress) as outputs:
            plan = plan_contributions(
                runner, scene, scene.region, splitting, seeding, self.compute.memory_mib
            )
            sampled_seams(runner, scene, plan, seeding.head, progress)
            splitting = settled(runner, scene, plan, seeding, splitting, progress)
            groups = splitter_for(runner, splitting).groups
            by_scale = self.groups == "scale"
            along_path = self.method == "integrated" and not by_scale
            tags = provenance(
                card,
                self.scene,
                scene,
                runner.precision,
                product="contributions",
                head=seeding.head.name,
                target=seeding.text,
                method="weights of the last layer" if by_scale else self.method,
                groups=self.groups,
                resolution=self.resolution,
                baseline=None if by_scale else self.baseline if levels else "channel means",
                steps=splitting.steps if along_path else None,
            )
            grid = scene.grid.subset(scene.region)
            if self.resolution == "coarse":
                grid = grid.coarser(card.ratio)
            raster = outputs.raster(self.output, grid, _bands(card, groups, by_scale), tags=tags)
            written = PercentileSink(raster)
            with ExitStack() as stack:
                sink: Sink = written
                if self.resolution == "coarse":
                    sink = stack.enter_context(CellMeans(written, card.ratio))
                shares = run_contributions(runner, scene, plan, seeding, splitting, sink, progress)
            conclude(scene, progress, outputs)
            shown = seeding.shown
            leading = max(range(len(groups)), key=lambda number: shares.mean_abs[number])
            style = relevance_style(
                shown,
                written.limit(leading),
                band=leading + 1,
                footprint_km=None if by_scale else _footprint(card, groups[leading]),
                start_time=scene.start_time,
            )
            outputs.file(sidecar(self.output)).write_text(style, encoding="utf-8")
        _tell(shares, shown, progress)
        return {
            "OUTPUT": self.output,
            "MODEL_ID": card.id,
            "CLASS_NAME": shown,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "PIXELS": int(shares.pixels),
            "STEPS_TAKEN": int(splitting.steps) if along_path else 1,
            "SHARES": ", ".join(f"{name}={share:.4g}" for name, share in zip(shares.names, shares.share)),
            "LEADING_GROUP": shares.names[leading],
            "MEAN_BIAS": float(shares.bias),
            "MEAN_LOGIT": float(shares.logit),
            "RELATIVE_RESIDUAL": float(shares.residual),
        }

    def _check(self, card: ModelCard) -> None:
        check_word("RESOLUTION", self.resolution, RESOLUTIONS)
        if self.resolution == "coarse" and not card.coarse_channels:
            raise ParameterError(
                f"Model '{card.id}' has no coarse cells to average over. Choose RESOLUTION=native."
            )


def group_tags(card: ModelCard, group: ChannelGroup) -> dict[str, str]:
    """Return the tags of a group's band: its channels; for a single one frequency and footprint."""
    channels = [(*card.fine_channels, *card.coarse_channels)[i] for i in group.members]
    tags = {"channels": ", ".join(channel.name for channel in channels)}
    frequencies = {channel.frequency_ghz for channel in channels}
    if len(frequencies) == 1 and None not in frequencies:
        tags["frequency_ghz"] = f"{channels[0].frequency_ghz:g}"
    footprint = _footprint(card, group)
    if footprint:
        tags["footprint_km"] = " x ".join(f"{side:g}" for side in footprint)
    return tags


def _footprint(card: ModelCard, group: ChannelGroup) -> tuple[float, float] | None:
    """Return the footprint that all channels of a group share; None where they have none or several."""
    footprints = {(*card.fine_channels, *card.coarse_channels)[i].footprint_km for i in group.members}
    return footprints.pop() if len(footprints) == 1 else None


def _bands(card: ModelCard, groups: tuple[ChannelGroup, ...], by_scale: bool) -> list[Band]:
    bands = [Band(group.name, "logit", {} if by_scale else group_tags(card, group)) for group in groups]
    return [*bands, Band("bias", "logit"), Band("logit", "logit")]


def _tell(shares: Shares, shown: str, progress: Progress) -> None:
    """Put the shares into the log, the largest first."""
    numbers = sorted(range(len(shares.names)), key=lambda number: -shares.mean_abs[number])
    progress.message(
        f"Contributions to the logit of {shown} over {shares.pixels} pixels, with their share of Σ|contributions|:"
    )
    for i in numbers:
        progress.message(
            f"  {shares.names[i]}: {100 * shares.share[i]:.1f} %; mean size {shares.mean_abs[i]:.3g}, "
            f"mean {shares.mean[i]:+.3g}"
        )
    progress.message(
        f"  bias: mean {shares.bias:+.3g}; logit: mean {shares.logit:+.3g}. At every pixel they add up to "
        f"{shares.residual:.1g} of |bias| + Σ|contributions| or better."
    )
    if shares.windows:
        progress.message(
            f"  In {shares.windows} small window{'s'[: shares.windows != 1]} every group was computed on its own to "
            "check this. Elsewhere one group is what the others leave of the logit."
        )
