"""A scene and a network that stay open, so that one place after the other is explained at once."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ...ground.errors import Cancelled, ParameterError
from ...ground.protocols import Progress
from ...ground.vocabulary.words import CHANNEL_GROUPS
from ...ground.window import Window
from ...io.environment.gdal_state import bounded_block_cache
from ...io.formats.labels import LabelReader
from ...io.geometry.coast import LandDistance
from ...io.geometry.vector import Polygons
from ...io.geometry.zones import PolygonIndex
from ...io.scene.reader import Scene
from ...networks.card import Head
from ...report.places.answer import Evidence, Footprint, PlaceAnswer, Position, Shown
from ..common.inputs import Compute, SceneInputs
from .scales import by_scale

if TYPE_CHECKING:
    from ...core.places.mapped import Mapped
    from ...core.streaming.runner import Runner
    from ...core.target.target import Seeding, Target

WARNED_SHARE = 0.01  # of pixels without a value, as in the other tools
LARGEST = 2000  # rows or columns of a place; more is what `relevance` with an AOI is for
TILE = 400  # pixels
METHOD = "integrated_gradients"
# Nodes of the path. At 8 random places of a simulated scene channels were off by 0.08 % of Σ|contributions| in the
# median and 0.75 % at most (by gradient × input 7 and 34 %); twice as many nodes take twice the time.
STEPS = 16


class LoadedScene:
    """A scene that is open for a network; a context manager.

    All of it is used by one thread, that which opened it.

    Parameters
    ----------
    inputs : SceneInputs
        The rasters.
    model : str
        Id of an installed model, or a path to a package.
    progress : Progress
        Gets the notes and warnings of the scene.
    head : str
        The network's head; its first one where empty.
    labels : str, optional
        A chart to compare with, in the values of the head.
    compute : Compute
        Where and how.

    Raises
    ------
    FloeLensError
        The scene does not fit the network, or a file cannot be read.
    """

    def __init__(
        self,
        inputs: SceneInputs,
        model: str,
        progress: Progress,
        head: str = "",
        labels: str | None = None,
        compute: Compute | None = None,
    ) -> None:
        from ...core.target.target import Target

        self.runner: Runner = (compute or Compute()).runner(model, progress)
        self.card = self.runner.card
        self._target = Target(head)
        self.seeding: Seeding = self._target.resolve(self.card)
        self._head: Head = self.seeding.head
        with ExitStack() as stack:
            self._scene: Scene = stack.enter_context(inputs.open(self.card, progress))
            self._labels = (
                stack.enter_context(LabelReader.open(labels, self._scene.grid, self._head.name))
                if labels
                else None
            )
            self._distance: LandDistance | None = None
            self._open = stack.pop_all()
        self._pixel_km = self._scene.grid.pixel_size() / 1000.0
        self.warnings: tuple[str, ...] = tuple(self._scene.warnings)

    def __enter__(self) -> LoadedScene:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._open.close()

    @property
    def scene(self) -> Scene:
        """The scene: its grid places what is drawn on a map."""
        return self._scene

    def explain(self, place: Polygons, progress: Progress) -> PlaceAnswer:
        """Say what the network maps on a place, and why.

        Parameters
        ----------
        place : Polygons
            A point or polygons, in any CRS.
        progress : Progress
            Asked whether to go on, many times a second.

        Raises
        ------
        ParameterError
            The place lies outside of the scene, is too large, or has no valid pixel.
        Cancelled
            The user asked for it, as by choosing another place.
        """
        with bounded_block_cache():  # of a large scene GDAL would keep all that thousands of places lie in
            return self._explained(*self._looked_up(place), _Quiet(progress))

    def _explained(self, index: PolygonIndex, around: Window, quiet: _Quiet) -> PlaceAnswer:
        from ...core.places.mapped import map_place
        from ...core.target.channel_groups import channel_groups

        target = replace(self._target, region=index.mask)
        groups = {kind: channel_groups(self.card, kind) for kind in CHANNEL_GROUPS}
        plan = self._plan(index.window.intersection(self._scene.region))
        mapped = map_place(self.runner, self._scene, plan, target.resolve(self.card), groups["sensor"], quiet)
        order = np.argsort(-mapped.answers.probabilities, kind="stable")
        first = self._head.classes[order[0]].name
        fixed = replace(target, class_name=first) if self._head.outputs > 1 else target
        evidence, relevance = self._evidence(fixed, index.window, around, mapped, quiet)
        second, contrast = None, None
        if self._head.outputs > 1:
            name = self._head.classes[order[1]].name
            second = Shown(name, float(mapped.answers.probabilities[order[1]]), "")
            contrast, _ = self._evidence(
                replace(fixed, reference_class=name), index.window, around, mapped, quiet
            )
        nearest = self._nearest_land(index)
        footprints = self._footprints(nearest)
        names = [channel.name for channel in (*self.card.fine_channels, *self.card.coarse_channels)]
        return PlaceAnswer(
            self._position(index.window, mapped.pixels),
            self.shown(mapped.answers.probabilities),
            second,
            self._charted(index),
            evidence,
            contrast,
            {name: self.shown(answers.probabilities) for name, answers in mapped.without.items()},
            {
                kind: {group.name: tuple(names[member] for member in group.members) for group in found}
                for kind, found in groups.items()
            },
            footprints,
            tuple(
                dict.fromkeys(
                    (
                        *self._land_doubts(footprints, nearest),
                        *_missing(relevance),
                        *quiet.warnings,
                        *self._scene.warnings,
                    )
                )
            ),
            relevance,
            around,
        )

    def _looked_up(self, place: Polygons) -> tuple[PolygonIndex, Window]:
        """Return the place on the scene's pixels, and the window of all that the network reads for it."""
        index = PolygonIndex(place, self._scene.grid)
        inside = index.window.intersection(self._scene.region)
        if inside.empty:
            raise ParameterError("This place lies outside of the scene. Choose one on it.")
        if max(inside.rows, inside.cols) > LARGEST:
            raise ParameterError(
                f"This place is {inside.rows} x {inside.cols} pixels large; at most {LARGEST} x {LARGEST} are answered "
                "in place. Choose a smaller one, or run Relevance maps with it as AOI."
            )
        window = self.runner.window  # of a network that depends on the whole image
        reach = self.runner.radius if window is None else window.size
        return index, inside.grown(reach, within=self._scene.region)

    def _plan(self, region: Window):
        from ...core.streaming.engine import scene_window
        from ...core.streaming.tiling import Plan
        from ...core.streaming.windows import plan_windows

        runner = self.runner
        if runner.window is not None:
            return plan_windows(region, scene_window(self._scene), runner.window, runner.alignment)
        return Plan(region, scene_window(self._scene), runner.radius, runner.alignment, TILE, TILE)

    def _evidence(
        self, target: Target, place: Window, around: Window, mapped: Mapped, progress: Progress
    ) -> tuple[Evidence, np.ndarray]:
        """Return what channels contribute to a logit, by integrated gradients, and the map of the fine ones."""
        from ...core.relevance.methods import Method
        from ...core.relevance.run import run_relevance

        rows, method = _Rows(), Method(METHOD, steps=STEPS, refine=False)
        result = run_relevance(self.runner, self._scene, self._plan(around), target, method, rows, progress)
        conservation, pixels = result.conservation, mapped.pixels
        leaks = (
            conservation.bias + conservation.epsilon + conservation.zero_denominator + conservation.padding
        )
        channels = {name: total / pixels for name, total in conservation.relevance.items()}
        relevance = rows.values()
        return (
            Evidence(
                target.resolve(self.card).shown,
                conservation.target_sum / pixels,
                (leaks + conservation.masked_input + conservation.outside_region) / pixels,
                channels,
                conservation.residual / pixels,
                by_scale(self.card, channels, relevance, around, place, self._pixel_km, pixels),
            ),
            relevance,
        )

    def _position(self, window: Window, pixels: int) -> Position:
        size = 1000.0 * self._pixel_km
        return Position(*self.middle(window), pixels, window, size, size * self.runner.ratio)

    def middle(self, window: Window) -> tuple[float, float, float, float]:
        """Return longitude, latitude, row and column of the middle of a window."""
        row, col = window.row + window.rows / 2, window.col + window.cols / 2
        lon, lat = self._scene.grid.pixel_to_lonlat(row, col)
        return float(lon), float(lat), row, col

    def shown(self, probabilities: np.ndarray) -> Shown:
        """Return what the map shows where the head has these mean probabilities, (class,)."""
        head = self._head
        first = int(probabilities.argmax())
        value = float(probabilities[first])
        if head.kind == "softmax" or (head.kind == "sigmoid" and head.unit != "%"):
            return Shown(head.classes[first].name, value, "")
        return Shown(head.classes[0].name, 100.0 * value if head.kind == "sigmoid" else value, head.unit)

    def _charted(self, index: PolygonIndex) -> Shown | None:
        """Return what the chart has on most of the place's pixels, or on average."""
        from ...core.zscores.sampling import label_targets

        if self._labels is None:
            return None
        window = index.window.intersection(self._scene.region)
        values = label_targets(self._head, self._labels.read(window)[index.mask(window)])
        known = values[np.isfinite(values)]
        if not known.size:
            return None
        if self._head.kind != "softmax":
            scale = 100.0 if self._head.kind == "sigmoid" else 1.0
            return Shown(self._head.classes[0].name, float(known.mean()) * scale, self._head.unit)
        counts = np.bincount(known.astype(int), minlength=self._head.outputs)
        return Shown(self._head.classes[int(counts.argmax())].name, float(counts.max() / known.size), "")

    def _footprints(self, near_land_km: float = math.inf) -> tuple[Footprint, ...]:
        """Return the footprints, and which of them may hold land so far away."""
        found = {
            (channel.frequency_ghz, min(channel.footprint_km), max(channel.footprint_km))
            for channel in self.card.channels
            if channel.footprint_km is not None and channel.frequency_ghz is not None
        }
        return tuple(
            Footprint(*values, near_land=values[2] > near_land_km)
            for values in sorted(found, key=lambda values: values[2])
        )

    def _nearest_land(self, index: PolygonIndex) -> float:
        """Return how far land is from a place, in km; infinite where it is unknown or farther than any footprint."""
        footprints = self._footprints()
        if not footprints or not self._scene.has_land:
            return math.inf
        if self._distance is None:
            self._distance = self._scene.land_distance(footprints[-1].length_km)
        window = index.window.intersection(self._scene.region)
        if self._distance is None or not index.mask(window).any():
            return math.inf
        return float(self._distance.read(window)[index.mask(window)].min())

    def _land_doubts(self, footprints: tuple[Footprint, ...], nearest: float) -> tuple[str, ...]:
        """Return what land makes doubtful here."""
        if footprints and not self._scene.has_land:
            return ("Land is not known: no land layer is given, and footprints near a coast may hold land.",)
        reached = [footprint for footprint in footprints if footprint.near_land]
        if not reached:
            return ()
        names = ", ".join(f"{footprint.frequency_ghz:g}" for footprint in reached)
        return (
            f"Land is {nearest:.0f} km away: footprints of {names} GHz may hold land, which looks like ice to a "
            "radiometer.",
        )


def _missing(relevance: np.ndarray) -> tuple[str, ...]:
    """Return that many of the pixels that the network reads for a place have no value, where they do."""
    share = float(np.isnan(relevance).any(0).mean())
    if share <= WARNED_SHARE:
        return ()
    return (
        f"{100 * share:.0f} % of the pixels around this place that the network reads are missing, impossible or on "
        "land; the network reads a constant there.",
    )


class _Rows:
    """Keeps strips of a raster."""

    def __init__(self) -> None:
        self._strips: list[np.ndarray] = []

    def write(self, values: np.ndarray) -> None:
        """Append rows (band, row, column)."""
        self._strips.append(values.astype(np.float32))

    def values(self) -> np.ndarray:
        """Return all rows."""
        return np.concatenate(self._strips, axis=1)


@dataclass(frozen=True)
class _Quiet:
    """Asks whether to go on, and keeps warnings for the answer; the log of a click would be that of a run."""

    progress: Progress
    warnings: list[str] = field(default_factory=list)

    def report(self, fraction: float, text: str = "") -> None:
        """Pass it on, and ask whether to go on."""
        self.progress.report(fraction, text)
        if self.cancelled():
            raise Cancelled("Stopped as asked; nothing was written.")

    def message(self, text: str) -> None:
        """Take no notice."""

    def warn(self, text: str) -> None:
        """Keep it."""
        self.warnings.append(text)

    def cancelled(self) -> bool:
        """Return whether the user asked to stop."""
        return self.progress.cancelled()
