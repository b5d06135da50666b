"""A raster of standardised contributions: where each channel contributes more, or less, than it usually does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...core.zscores.channels.reference import ContributionReference
from ...core.zscores.channels.standardised import plan_standardised, run_standardised
from ...ground.protocols import Progress, Silent
from ...io.rasters.writer import Band, Outputs
from ...report.styles.contributions import standardised_style
from ...report.styles.layers import sidecar
from ..common.inputs import Compute, SceneInputs, conclude
from ..common.percentile_sink import PercentileSink
from ..common.provenance import provenance
from .channels import splitting_on

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner


def write_standardised(
    outputs: Outputs,
    path: str,
    runner: Runner,
    inputs: SceneInputs,
    compute: Compute,
    references: Sequence[ContributionReference],
    method: str,
    progress: Progress,
) -> None:
    """Write one band a head and channel: its contribution in standard deviations from the reference mean.

    Bands are called after the channel, and where there are several heads after the head too.

    Raises
    ------
    ParameterError
        If the memory is too little.
    Cancelled
        Within a tile after the user asked for it.
    """
    names = [
        name if len(references) == 1 else f"{name} ({reference.head})"
        for reference in references
        for name in reference.channels
    ]
    splitter_on = splitting_on(method, progress)
    with inputs.open(runner.card, progress) as scene:
        tags = provenance(
            runner.card,
            inputs,
            scene,
            runner.precision,
            product="standardised contributions",
            head=", ".join(reference.head for reference in references),
            method=references[0].method,
            reference_pixels=references[0].n,
        )
        plan = plan_standardised(
            runner, scene, scene.region, splitter_on(runner), references, compute.memory_mib
        )
        bands = [Band(name, "standard deviations") for name in names]
        grid = scene.grid.subset(scene.region)
        raster = PercentileSink(outputs.raster(path, grid, bands, tags=tags))
        run_standardised(runner, scene, plan, splitter_on, references, raster, progress)
        leading = int(np.argmax([raster.limit(number) for number in range(len(names))]))
        style = standardised_style(names[leading], band=leading + 1, start_time=scene.start_time)
        outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
        conclude(scene, Silent(), outputs)  # the log has it from the first reading
