"""What several jobs take: a scene and the way to compute.

Paths and plain values only, so that a job can be pickled, sent to another machine, or written
down in the tags of its results.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ground.protocols import Progress
from ...ground.vocabulary.settings import MEMORY
from ...ground.vocabulary.words import DEVICES, PRECISIONS, default_word
from ...io.environment.gdal_state import bounded_block_cache
from ...io.geometry.vector import Polygons
from ...io.rasters.writer import Outputs
from ...io.scene.reader import Scene
from ...networks.card import ModelCard

if TYPE_CHECKING:  # torch is imported only when a job runs
    from ...core.streaming.runner import Runner


@dataclass(frozen=True)
class SceneInputs:
    """The rasters of one scene.

    Parameters
    ----------
    sar : str
        Raster of the fine channels; its grid is the grid of the results.
    mwr : str, optional
        Raster of the microwave radiometry, on any grid.
    ancillary : tuple of str
        More rasters: distance map, weather.
    land : str or Polygons, optional
        What is not to be mapped: a raster (not zero = land) or polygons.
    channels : str
        Bands by hand, ``hh=1,hv=2``.
    extent : Polygons, optional
        The part of the scene to process; all of it where None.
    accept_range : bool
        Whether values that fit no unit of their channel, or are impossible too often, are a warning and no error.
    accept_delay : bool
        Whether more than a day between SAR and radiometer is a warning and no error.
    """

    sar: str
    mwr: str | None = None
    ancillary: tuple[str, ...] = ()
    land: str | Polygons | None = None
    channels: str = ""
    extent: Polygons | None = None
    accept_range: bool = False
    accept_delay: bool = False

    @contextmanager
    def open(self, card: ModelCard, progress: Progress) -> Iterator[Scene]:
        """Open the scene for the network of `card`; its notes and warnings go to the log."""
        from ...core.streaming.runner import host_tensors

        with (
            host_tensors(),
            bounded_block_cache(),
            Scene.open(
                card,
                self.sar,
                self.mwr,
                ancillary=self.ancillary,
                land=self.land,
                channels=self.channels,
                region=self.extent,
                accept_range=self.accept_range,
                accept_delay=self.accept_delay,
            ) as scene,
        ):
            for note in scene.notes:
                progress.message(note)
            for warning in scene.warnings:
                progress.warn(warning)
            yield scene


def conclude(scene: Scene, progress: Progress, outputs: Outputs | None = None) -> dict[str, str]:
    """Judge what was read of a scene, when all of it has been, and before results get their names.

    Parameters
    ----------
    scene : Scene
        The scene; it keeps the warnings.
    progress : Progress
        Its log gets the impossible values of every band.
    outputs : Outputs, optional
        Their rasters get the tags.

    Returns
    -------
    dict
        Tags of the checks; empty where there is nothing to say.

    Raises
    ------
    SceneError
        Too many values are impossible.
    """
    notes, warnings = scene.conclude()
    for note in notes:
        progress.message(note)
    for warning in warnings:
        progress.warn(warning)
    tags = scene.check_tags()
    if outputs is not None:
        outputs.tag(tags)
    return tags


@dataclass(frozen=True)
class Compute:
    """Where and how to compute.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda'}
        Where the network runs.
    precision : {'float32', 'bfloat16'}
        Number format of the network's activations that is asked for; a processor without bfloat16 computes in
        float32.
    memory_mib : int
        Memory for tiles and strips, in MiB.
    """

    device: str = default_word(DEVICES)
    precision: str = default_word(PRECISIONS)
    memory_mib: int = MEMORY.default

    def runner(self, model: str, progress: Progress | None = None) -> Runner:
        """Load `model` (an id or a path) and return it ready to run; a precision that is not available is a warning."""
        from ...core.streaming.runner import Runner, host_tensors
        from ...networks.package import load

        with host_tensors():
            card, module = load(model)
            runner = Runner(card, module, device=self.device, precision=self.precision)
        if progress is not None and runner.precision != self.precision:
            progress.warn(
                f"PRECISION={self.precision}, but this processor (or torch on it) has no fast {self.precision}: "
                f"computed in {runner.precision}, which is more exact."
            )
        return runner
