"""Features of a layer over a scene, in passes over its tiles.

:func:`collect` takes every tile once: contributions, activations and gradients of the features are summed over the
samples, and the full CAM is written. The other CAMs weigh activations by sums over whole samples: :func:`weighted_map`
maps them in a second pass. :func:`feature_maps` writes chosen features and the CAM of those that are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch

from ...ground.heap import give_back_free_memory
from ...ground.protocols import Patch, Progress, Sink, Source
from ...ground.vocabulary.cams import FULL, GRADCAM_PLUS_PLUS
from ...ground.window import Window
from ..streaming.engine import tiles_with_patches
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import writing_behind
from ..streaming.run_time import Probe
from ..streaming.tiling import Plan, Tile
from .cams import feature_weights, plus_plus_terms
from .pictures import Picture, PixelSample
from .sums import Regions, Runs, SampleSums, TileSums
from .tiles import Analysis, TileValues, tile_values

Made = tuple["TileSums | None", "np.ndarray | None"]  # sums, and maps (band, row, column)


def _passed(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    progress: Progress,
    text: str,
    work: Callable[[TileValues], Made],
    gradient: bool = True,
) -> Iterator[tuple[Tile, list[TileSums], np.ndarray | None, bool]]:
    """Yield tiles with the sums and maps that `work` makes of their rows, and whether they end a strip.

    There are no maps of a tile without a valid pixel.
    """

    def done(patch: Patch, ready: Analysis, piece: Tile) -> tuple[list[TileSums], np.ndarray | None]:
        sums, maps = [], None
        for values in tile_values(patch, ready, piece, plan.region, gradient):
            added, mapped = work(values)
            if added is not None:
                sums.append(added)
            if mapped is not None:
                if maps is None:
                    shape = len(mapped), piece.output.rows, piece.output.cols
                    maps = np.full(shape, np.nan, mapped.dtype)
                maps[(slice(None), *values.window.slices(piece.output))] = mapped
        return sums, maps

    fallback = OutOfMemoryFallback(analysis.runner, plan, progress, analysis.on)
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(done, patch)))
    first = True
    for tile, patch, last in tiles_with_patches(source, plan, progress, text, probe):
        if not patch.valid[tile.output.slices(patch.window)].any():
            yield tile, [], None, last
            continue
        if first:  # what the tiles before left lying in the heap grows to as much as MEMORY
            give_back_free_memory()
        first = last
        pieces = list(fallback.pieces(tile, partial(done, patch)))
        for number, (piece, (sums, maps)) in enumerate(pieces):
            yield piece, sums, maps, last and number == len(pieces) - 1


class _Strips:
    """Maps of tiles put together to strips of full width for a sink."""

    def __init__(self, sink: Sink | None, plan: Plan, dtype: np.dtype) -> None:
        self._sink, self._plan, self._dtype = sink, plan, dtype
        self._strip: np.ndarray | None = None
        self._window = plan.region
        self._tops = {tile.output.row: tile.output.rows for strip in plan.strips() for tile in strip[:1]}

    def put(self, tile: Tile, maps: np.ndarray | None, bands: int, last: bool) -> None:
        if self._sink is None:
            return
        if self._strip is None:
            top = max(row for row in self._tops if row <= tile.output.row)
            region = self._plan.region
            self._window = Window(top, region.col, self._tops[top], region.cols)
            self._strip = np.full((bands, self._window.rows, self._window.cols), np.nan, self._dtype)
        if maps is not None:
            self._strip[(slice(None), *tile.output.slices(self._window))] = maps
        if last:
            self._sink.write(self._strip)
            self._strip = None


def collect(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    regions: Regions,
    cam: str,
    sink: Sink | None,
    progress: Progress,
    picture: Picture | None = None,
    pixels: PixelSample | None = None,
) -> SampleSums:
    """Sum the values of the features over the samples of a scene, and map the full CAM.

    Parameters
    ----------
    analysis, source, plan : Analysis, Source, Plan
        What is looked at, the scene, and its tiles (:meth:`Analysis.plan`).
    regions : Regions
        The samples.
    cam : str
        For other CAMs than the full one gradients are summed up too, and extremes are left to :func:`weighted_map`.
    sink : Sink or None
        Takes strips (1, row, column) of the full CAM, logit a pixel; NaN where not explained.
    progress : Progress
        Reports every tile.
    picture : Picture, optional
        Keeps some pixels of the features' maps.
    pixels : PixelSample, optional
        Keeps the activations of some pixels, and their labels.

    Raises
    ------
    NumericalError, Cancelled, SceneError
        As of :func:`.engine.tiles_with_patches`.
    """
    total = SampleSums(len(regions.names))

    def work(values: TileValues) -> Made:
        found = values.full_map()
        for each in (picture, pixels):
            if each is not None:
                each.add(values)
        return _tile_sums(values, regions, found, gradients=cam != FULL), values.masked(found)[None]

    strips = writing_behind(sink) if sink is not None else nullcontext()
    with strips as behind:
        maps = _Strips(behind, plan, analysis.runner.array_dtype)
        for tile, sums, made, last in _passed(analysis, source, plan, progress, "Reading features", work):
            for each in sums:
                total.add(each)
            maps.put(tile, made, 1, last)
    return total


def _numbers(values: TileValues, regions: Regions) -> np.ndarray:
    """Return the sample of each pixel (row, column), negative outside of all and where not valid."""
    return np.where(values.valid, regions.at(values.window), -1)


def _part(
    values: TileValues, runs: Runs, sums: Mapping[str, np.ndarray], mapped: torch.Tensor | None = None
) -> TileSums:
    """Return sums over samples with what is known of their pixels, and the extremes of a map (row, column)."""
    rows, cols = runs.positions(values.window)
    extremes = np.zeros((len(runs.samples), 2)) if mapped is None else runs.extremes(mapped.cpu().numpy())
    everything = {**sums, "row": rows, "column": cols}
    return TileSums(runs.samples, runs.pixels, everything, extremes, runs.bounds(values.window))


def _tile_sums(values: TileValues, regions: Regions, found: torch.Tensor, gradients: bool) -> TileSums | None:
    """Return all sums of a tile; `found` (row, column) is its full CAM. None where no sample has a pixel in it."""
    numbers = _numbers(values, regions)
    runs = Runs(numbers)
    if not len(runs.samples):
        return None
    place = values.corner, values.width
    logits = values.logits.cpu().numpy()
    sums = {
        "logits": np.stack([runs.sums(each) for each in logits], 1),
        "target": runs.sums(values.target.cpu().numpy()),
        "map": runs.sums(found.cpu().numpy()),
        **{name: runs.sums(each(values.window)) for name, each in regions.covariates.items()},
    }
    if values.chosen is not None:
        sums |= _linear_sums(values, numbers, runs, gradients)
    else:
        sums["activation"] = runs.sums_of_cells(values.cells, *place) * values.density
        sums["f"] = runs.sums_of_cells(values.products, *place) * values.density
        if gradients:
            if values.slopes is None:
                raise AssertionError("values.slopes is None")
            sums["gradient"] = runs.sums_of_cells(values.slopes, *place) * values.density
    if regions.classes_at is not None:
        labels = regions.classes_at(values.window)
        known = [runs.sums(labels == number) for number in range(regions.class_count)]
        sums["classes"] = np.stack(known, 1)
    return _part(values, runs, sums, found)


def _linear_sums(
    values: TileValues, numbers: np.ndarray, runs: Runs, gradients: bool
) -> dict[str, np.ndarray]:
    """Return sums of activations, contributions and gradients, whose gradient is that of the target's class."""
    if values.chosen is None:
        raise AssertionError("values.chosen is None")
    if values.slopes is None:
        raise AssertionError("values.slopes is None")
    slopes = values.slopes.double().cpu().numpy()
    classes = len(slopes)
    both = runs
    if classes > 1:
        both = Runs(np.where(numbers >= 0, numbers * np.int64(classes) + values.chosen.cpu().numpy(), -1))
    sample = np.searchsorted(runs.samples, both.samples // classes)
    slope = slopes[both.samples % classes] if classes > 1 else slopes[np.zeros(len(sample), int)]
    activation = both.sums_of_cells(values.cells, values.corner, values.width)

    def added(of_both: np.ndarray) -> np.ndarray:
        total = np.zeros((len(runs.samples), of_both.shape[1]))
        np.add.at(total, sample, of_both)
        return total

    sums = {"activation": added(activation), "f": added(activation * slope)}
    return sums | ({"gradient": added(both.pixels[:, None] * slope)} if gradients else {})


def sample_weights(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    regions: Regions,
    cam: str,
    sums: SampleSums,
    progress: Progress,
) -> np.ndarray:
    """Return the weights (sample, feature) of a CAM from the sums of :func:`collect`; Grad-CAM++ takes a pass more."""
    cells = sums.pixels / analysis.shape.step**2
    if cam != GRADCAM_PLUS_PLUS:
        return feature_weights(cam, cells, sums.sums["gradient"], sums.sums["activation"], sums.sums["f"])
    activations = torch.from_numpy(sums.sums["activation"])
    total = SampleSums(len(regions.names))

    def work(values: TileValues) -> Made:
        numbers = _numbers(values, regions)
        runs = Runs(numbers)
        if not len(runs.samples):
            return None, None
        own = torch.from_numpy(numbers[values.valid]).long()
        terms = (
            plus_plus_terms(values.gradient.cpu().double(), activations[own.clamp(min=0)]) * values.density
        )
        # As a matrix of the map's pixels; those that are not valid belong to no sample.
        cells = torch.zeros((numbers.size, terms.shape[1]), dtype=torch.float64)
        cells[torch.from_numpy(values.valid.ravel())] = terms
        return _part(values, runs, {"weights": runs.sums_of_cells(cells, (0, 0), numbers.shape[1])}), None

    for _, made, _, _ in _passed(analysis, source, plan, progress, "Weighing features", work):
        for each in made:
            total.add(each)
    return total.sums.get("weights", np.zeros(sums.sums["activation"].shape))


def weighted_map(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    regions: Regions,
    weights: np.ndarray,
    sums: SampleSums,
    sink: Sink | None,
    progress: Progress,
) -> None:
    """Map ReLU(Σ_k w_k A_k) with the weights of each sample, and put its extremes and sums into `sums`.

    Parameters
    ----------
    weights : numpy.ndarray
        (sample, feature).
    sums : SampleSums
        Of :func:`collect`; its extremes and the sums ``map`` become those of this map.
    sink : Sink or None
        Takes strips (1, row, column); NaN outside of the samples.
    """
    table = torch.from_numpy(weights)
    total = SampleSums(len(regions.names))

    def work(values: TileValues) -> Made:
        numbers = _numbers(values, regions)
        mapped = values.image(_weighted(values, numbers[values.valid], table))
        runs = Runs(numbers)
        if not len(runs.samples):
            return None, mapped[None]
        return _part(values, runs, {"map": runs.sums(mapped)}, torch.from_numpy(mapped)), mapped[None]

    strips = writing_behind(sink) if sink is not None else nullcontext()
    with strips as behind:
        maps = _Strips(behind, plan, analysis.runner.array_dtype)
        for tile, made, mapped, last in _passed(
            analysis, source, plan, progress, "Mapping", work, gradient=False
        ):
            for each in made:
                total.add(each)
            maps.put(tile, mapped, 1, last)
    sums.extremes, sums.sums["map"] = total.extremes, total.sums["map"]


def _weighted(values: TileValues, numbers: np.ndarray, table: torch.Tensor) -> torch.Tensor:
    """Return ReLU(Σ_k w_k A_k) (pixel,) by the weights of each pixel's sample; NaN outside of all."""
    found = torch.full((len(numbers),), torch.nan, dtype=values.activation.dtype)
    activation = values.activation.cpu()
    for number in np.unique(numbers[numbers >= 0]):
        here = torch.from_numpy(numbers == number)
        found[here] = torch.relu(activation[here] @ table[int(number)].to(activation.dtype))
    return found


def feature_maps(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    chosen: Sequence[int],
    kept: np.ndarray,
    sinks: tuple[Sink | None, Sink | None],
    progress: Progress,
    weights: tuple[Regions, np.ndarray] | None = None,
) -> None:
    """Map chosen features, and the CAM of those that are kept.

    Parameters
    ----------
    chosen : sequence of int
        Features.
    kept : numpy.ndarray
        (feature,), bool.
    sinks : tuple of (Sink or None, Sink or None)
        The first takes strips (2 x chosen, row, column): activation and contribution of each in turn; the second
        (1, row, column): the CAM.
    weights : tuple, optional
        The samples and their weights (sample, feature) for other CAMs than the full one.
    """
    mask = torch.from_numpy(kept)
    at = torch.tensor(list(chosen), dtype=torch.long)

    def work(values: TileValues) -> Made:
        activation = values.activation
        contribution = values.contribution
        own = mask.to(activation.device)
        if weights is None:
            found = contribution[:, own].sum(1)
        else:
            numbers = weights[0].at(values.window)[values.valid]
            found = _weighted(values, numbers, torch.from_numpy(weights[1]) * mask)
        picked = torch.stack([activation[:, at], contribution[:, at]], 2).flatten(1)
        return None, values.image(torch.cat([picked.cpu(), found.cpu()[:, None]], 1))

    # No strip waits: those of many maps are large.
    with nullcontext() if sinks[0] is None else writing_behind(sinks[0], waiting=False) as first:  # noqa: SIM117
        with nullcontext() if sinks[1] is None else writing_behind(sinks[1], waiting=False) as second:
            dtype, bands = analysis.runner.array_dtype, 2 * len(chosen)
            outputs = _Strips(first, plan, dtype), _Strips(second, plan, dtype)
            for tile, _, maps, last in _passed(analysis, source, plan, progress, "Mapping features", work):
                outputs[0].put(tile, None if maps is None else maps[:bands], bands, last)
                outputs[1].put(tile, None if maps is None else maps[bands:], 1, last)
