"""The relevance of the pixels around a place as a raster, to be laid over the scene."""

from __future__ import annotations

import numpy as np

from ...ground.protocols import Progress
from ...io.rasters.writer import Band, Outputs
from ...report.places.answer import PlaceAnswer
from ...report.places.overlay_style import overlay_style
from ...report.styles.layers import sidecar
from .loaded import LoadedScene


def write_overlay(loaded: LoadedScene, answer: PlaceAnswer, path: str, progress: Progress) -> None:
    """Write the relevance of the SAR pixels around a place: their sum over channels, then each channel.

    Parameters
    ----------
    loaded : LoadedScene
        The scene that the answer is of.
    answer : PlaceAnswer
        What was answered.
    path : str
        GeoTIFF to write; its style goes beside it.
    progress : Progress
        Gets warnings.

    Raises
    ------
    OutputError
        Nothing can be written there.
    """
    names = [channel.name for channel in loaded.card.fine_channels]
    values = np.concatenate([answer.relevance.sum(0, keepdims=True), answer.relevance])
    sizes = np.abs(values[0][np.isfinite(values[0])])
    largest = float(sizes.max()) if sizes.size else 1.0
    with Outputs(progress) as outputs:
        bands = [Band(name, "logit") for name in ("SAR", *names)]
        raster = outputs.raster(path, loaded.scene.grid.subset(answer.around), bands)
        raster.write(values)
        style = overlay_style(answer.evidence.target, largest, start_time=loaded.scene.start_time)
        outputs.file(sidecar(path)).write_text(style, encoding="utf-8")
