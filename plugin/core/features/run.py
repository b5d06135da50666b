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

from ...ground.protocols import Patch, Progress, Sink, Source
from ...ground.vocabulary.cams import FULL, GRADCAM_PLUS_PLUS
from ...ground.window import Window
from ..streaming.engine import tiles_with_patches
from ..streaming.out_of_memory import OutOfMemoryFallback
from ..streaming.pipeline import writing_behind
from ..streaming.run_time import Probe
from ..streaming.tiling import Plan, Tile
from .cams import feature_weights, plus_plus_terms
from .sums import Regions, SampleSums, TileSums, bounds_of, by_sample, extremes_of
from .tiles import Analysis, Picture, TileValues, tile_values


def _passed(
    analysis: Analysis,
    source: Source,
    plan: Plan,
    progress: Progress,
    text: str,
    work: Callable[[TileValues], tuple[TileSums | None, np.ndarray | None]],
    gradient: bool = True,
) -> Iterator[tuple[Tile, tuple[TileSums | None, np.ndarray | None] | None, bool]]:
    """Yield tiles with what `work` makes of them (None without a valid pixel), and whether they end a strip."""

    def done(patch: Patch, ready: Analysis, piece: Tile):
        return work(tile_values(patch, ready, piece, plan.region, gradient))

    fallback = OutOfMemoryFallback(analysis.runner, plan, progress, analysis.on)
    probe = Probe(lambda tile, patch: fallback.whole(tile, partial(done, patch)))
    for tile, patch, last in tiles_with_patches(source, plan, progress, text, probe):
        if not patch.valid[tile.output.slices(patch.window)].any():
            yield tile, None, last
            continue
        pieces = list(fallback.pieces(tile, partial(done, patch)))
        for number, (piece, made) in enumerate(pieces):
            yield piece, made, last and number == len(pieces) - 1


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

    Raises
    ------
    NumericalError, Cancelled, SceneError
        As of :func:`.engine.tiles_with_patches`.
    """
    total = SampleSums(len(regions.names))

    def work(values: TileValues) -> tuple[TileSums | None, np.ndarray]:
        found = values.full_map()
        if picture is not None:
            picture.add(values)
        sums = _tile_sums(values, regions, found, gradients=cam != FULL)
        return sums, values.image(found)[None]

    strips = writing_behind(sink) if sink is not None else nullcontext()
    with strips as behind:
        maps = _Strips(behind, plan, analysis.runner.array_dtype)
        for tile, made, last in _passed(analysis, source, plan, progress, "Reading features", work):
            if made is not None and made[0] is not None:
                total.add(made[0])
            maps.put(tile, None if made is None else made[1], 1, last)
    return total


def _part(
    values: TileValues,
    regions: Regions,
    summed: Mapping[str, torch.Tensor],
    mapped: torch.Tensor | None = None,
) -> TileSums | None:
    """Return sums over the samples of a tile of values (pixel, …); None where no sample has a pixel in it.

    Parameters
    ----------
    summed : mapping of str to torch.Tensor
        What is added up.
    mapped : torch.Tensor, optional
        (pixel,), whose extremes are taken.
    """
    numbers = regions.at(values.window)[values.valid]
    inside = numbers >= 0
    if not inside.any():
        return None
    samples, place = np.unique(numbers[inside], return_inverse=True)
    count = len(samples)

    def chosen(each: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
        some = each if inside.all() else each[torch.from_numpy(inside).to(each.device)]
        return some, torch.from_numpy(place).to(each.device), count

    rows, cols = (axis[inside] for axis in np.nonzero(values.valid))
    rows, cols = rows + values.window.row, cols + values.window.col
    sums = {name: by_sample(*chosen(each)) for name, each in summed.items()}
    sums["row"], sums["column"] = (np.bincount(place, axis + 0.5, count) for axis in (rows, cols))
    extremes = np.zeros((count, 2)) if mapped is None else extremes_of(*chosen(mapped))
    pixels = np.bincount(place, minlength=count).astype(float)
    return TileSums(samples, pixels, sums, extremes, bounds_of(rows, cols, place, count))


def _tile_sums(values: TileValues, regions: Regions, found: torch.Tensor, gradients: bool) -> TileSums | None:
    """Return all sums of a tile; `found` (pixel,) is its full CAM."""
    slopes = values.gradient
    assert slopes is not None
    constant = slopes.dim() == 1
    summed = {
        "activation": values.activation,
        "logits": values.logits,
        "target": values.target,
        "map": found,
        **{
            name: torch.from_numpy(each(values.window)[values.valid])
            for name, each in regions.covariates.items()
        },
    }
    if not constant:
        summed["f"] = values.contribution
        summed |= {"gradient": slopes} if gradients else {}
    if regions.classes_at is not None:
        labels = torch.from_numpy(regions.classes_at(values.window)[values.valid].astype(np.int64))
        # A column for pixels without a label, which is dropped.
        summed["classes"] = torch.nn.functional.one_hot(labels.clamp(min=-1) + 1, regions.class_count + 1)[
            :, 1:
        ]
    part = _part(values, regions, summed, found)
    if part is None:
        return None
    sums = dict(part.sums)
    sums["activation"] = sums["activation"] * values.density
    if constant:
        weight = slopes.double().cpu().numpy()
        sums["f"] = sums["activation"] * weight
        sums |= {"gradient": part.pixels[:, None] * weight} if gradients else {}
    elif gradients:
        sums["gradient"] = sums["gradient"] * values.density
    return TileSums(part.samples, part.pixels, sums, part.extremes, part.bounds)


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

    def work(values: TileValues) -> tuple[TileSums | None, None]:
        numbers = regions.at(values.window)[values.valid]
        inside = torch.from_numpy(numbers >= 0)
        assert values.gradient is not None
        slopes = values.gradient.cpu().expand_as(values.activation)[inside].double()
        own = torch.from_numpy(numbers).long()[inside]
        terms = torch.zeros((len(numbers), slopes.shape[1]), dtype=torch.float64)
        terms[inside] = plus_plus_terms(slopes, activations[own]) * values.density
        return _part(values, regions, {"weights": terms}), None

    for _, made, _ in _passed(analysis, source, plan, progress, "Weighing features", work):
        if made is not None and made[0] is not None:
            total.add(made[0])
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

    def work(values: TileValues) -> tuple[TileSums | None, np.ndarray]:
        found = _weighted(values, regions.at(values.window)[values.valid], table)
        return _part(values, regions, {"map": found}, found), values.image(found)[None]

    strips = writing_behind(sink) if sink is not None else nullcontext()
    with strips as behind:
        maps = _Strips(behind, plan, analysis.runner.array_dtype)
        for tile, made, last in _passed(analysis, source, plan, progress, "Mapping", work, gradient=False):
            if made is not None and made[0] is not None:
                total.add(made[0])
            maps.put(tile, None if made is None else made[1], 1, last)
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

    def work(values: TileValues) -> tuple[None, np.ndarray]:
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

    with nullcontext() if sinks[0] is None else writing_behind(sinks[0]) as first:  # noqa: SIM117
        with nullcontext() if sinks[1] is None else writing_behind(sinks[1]) as second:
            dtype, bands = analysis.runner.array_dtype, 2 * len(chosen)
            outputs = _Strips(first, plan, dtype), _Strips(second, plan, dtype)
            for tile, made, last in _passed(analysis, source, plan, progress, "Mapping features", work):
                maps = None if made is None else made[1]
                outputs[0].put(tile, None if maps is None else maps[:bands], bands, last)
                outputs[1].put(tile, None if maps is None else maps[bands:], 1, last)
