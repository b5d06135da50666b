"""The generator *fusion* of the additive benchmark as a piece of its job: results, kept on the way, and rasters.

A scene of the benchmark lies on the Earth as simulated scenes do. Each channel's maps lie on its own grid: SAR's on the
pixels, radiometry's on the cells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..ground.vocabulary.settings import CENTER, PIXEL_SIZE
from ..io.geometry.grid import Grid
from ..io.rasters.writer import Band, Outputs
from ..report.styles.layers import relevance_style, sidecar
from .common.percentile_sink import colour_limit
from .simulate import projected_grid

if TYPE_CHECKING:
    from ..core.benchmarks.fusion.explaining import Maps
    from ..core.benchmarks.fusion.run import FusionResult
    from .common.unfinished import Unfinished

ESTIMATES, ERRORS, CELLS = "estimates", "errors", "cells"
UNIT = "logit per SAR pixel"
EXPLAINED = "the target"

Share = Callable[[float, str], None]


def fusion_results(
    size: str, methods: Sequence[str], seed: int, report: Share, unfinished: Unfinished | None = None
) -> list[FusionResult]:
    """Return the results of all variants of a size.

    Parameters
    ----------
    size : {'quick', 'full'}
        How much is done.
    methods : sequence of str
        Words of relevance methods.
    seed : int
        Of target, scenes, weights and draws.
    report : callable
        Called with the share done and the title of what is done; may raise, and so ends the run.
    unfinished : Unfinished, optional
        Where finished variants are kept.
    """
    from ..core.benchmarks.fusion.run import EXTENTS, run_variant

    extent = EXTENTS[size]
    results = []
    for number, variant in enumerate(extent.variants):
        kept = unfinished.get(_part(variant)) if unfinished else None
        if kept is not None:
            results.append(_restored(*kept))
            continue

        def check(share: float, number: int = number, variant: str = variant) -> None:
            report((number + share) / len(extent.variants), f"Fusion network, variant {variant}")

        result = run_variant(variant, extent, methods, seed, check)
        if unfinished:
            unfinished.keep(_part(variant), *_stored(result))
        results.append(result)
    return results


def write_rasters(
    outputs: Outputs, path: str, results: Sequence[FusionResult], tags: Mapping[str, str]
) -> dict[str, str]:
    """Write truth, estimates and errors of the first held-out scene of each variant, styled as relevance.

    `path` is the truth of SAR's channels, a band each for contributions and relevance. Beside it lie
    ``<path>_estimates`` and ``<path>_errors`` (estimate minus truth) with the same bands for each method, and
    ``<path>_cells``, ``<path>_cells_estimates`` and ``<path>_cells_errors`` of the radiometer's channels. Those of
    further variants have the variant in their names.

    Returns
    -------
    dict
        What each file holds → its path, of all variants.
    """
    written = {}
    for number, result in enumerate(results):
        stem = Path(path) if number == 0 else _beside(path, result.variant)
        for name, planes in planes_of(result).items():
            grid = grid_of(result)
            if name.startswith(CELLS):
                grid = grid.coarser(result.scene.ratio)
            target = stem if not name else _beside(str(stem), name)
            bands = [Band(band, UNIT) for band in planes]
            own = {**tags, "FLOELENS_PRODUCT": "additive benchmark", "FLOELENS_VARIANT": result.variant}
            outputs.raster(target, grid, bands, tags=own).write(
                np.stack([*planes.values()]).astype(np.float32)
            )
            limit = colour_limit(planes_of_truth(result, name)[0])
            style = relevance_style(EXPLAINED, limit, unit=UNIT, note=f"; {next(iter(planes))}")
            outputs.file(sidecar(target)).write_text(style, encoding="utf-8")
            written[f"{result.variant} {name or 'truth'}"] = str(target)
    return written


def grid_of(result: FusionResult) -> Grid:
    """Return the grid of the inner pixels of the scene, which are explained."""
    scene = result.scene
    return projected_grid(scene.rows, scene.cols, float(PIXEL_SIZE.default), *CENTER).subset(scene.inner)


def planes_of(result: FusionResult) -> dict[str, dict[str, np.ndarray]]:
    """Return the bands of each file: '' and ``cells`` the truth, and estimates and errors of both."""
    truth = {kind: maps for (kind, method), maps in result.maps.items() if method == "truth"}
    files: dict[str, dict[str, np.ndarray]] = {}
    for cells in (False, True):
        names = result.channels[result.fine_channels :] if cells else result.channels[: result.fine_channels]
        prefix = f"{CELLS}_" if cells else ""
        exact = {kind: _planes(maps, cells) for kind, maps in truth.items()}
        files[CELLS if cells else ""] = {
            f"{kind} truth {name}": plane
            for kind, planes in exact.items()
            for name, plane in zip(names, planes)
        }
        estimates, errors = (
            files.setdefault(f"{prefix}{ESTIMATES}", {}),
            files.setdefault(f"{prefix}{ERRORS}", {}),
        )
        for (kind, method), maps in result.maps.items():
            if method == "truth":
                continue
            for name, plane, right in zip(names, _planes(maps, cells), exact[kind]):
                estimates[f"{kind} {method} {name}"] = plane
                errors[f"{kind} {method} {name} error"] = plane - right
    return files


def planes_of_truth(result: FusionResult, file: str) -> list[np.ndarray]:
    """Return the truth that the colours of a file follow, so that truth, estimates and errors share one scale."""
    return list(planes_of(result)[CELLS if file.startswith(CELLS) else ""].values())


def _planes(maps: Maps, cells: bool) -> np.ndarray:
    return maps.coarse if cells else maps.fine


def _beside(path: str, word: str) -> Path:
    own = Path(path)
    return own.with_name(f"{own.stem}_{word}{own.suffix}")


def _part(variant: str) -> str:
    return f"fusion_{variant}"


def _stored(result: FusionResult) -> tuple[str, dict[str, np.ndarray]]:
    """Return a result as a text and arrays."""
    rows = [[row.method, row.condition, list(row.scores), row.seconds, row.control] for row in result.judged]
    text = json.dumps(
        {
            "variant": result.variant,
            "explained_variance": result.explained_variance,
            "judged": rows,
            "ceilings": result.ceilings,
            "of_gated": result.of_gated,
            "channels": result.channels,
            "fine_channels": result.fine_channels,
            "by_channel": list(result.by_channel),
            "maps": list(result.maps),
            "ratio": result.scene.ratio,
        }
    )
    arrays = {"scene_fine": result.scene.fine, "scene_coarse": result.scene.coarse}
    for number, row in enumerate(result.judged):
        arrays[f"scores_{number}"] = np.stack(list(row.scores.values()))
    for number, values in enumerate(result.by_channel.values()):
        arrays[f"by_channel_{number}"] = values
    for number, maps in enumerate(result.maps.values()):
        arrays[f"fine_{number}"], arrays[f"coarse_{number}"] = maps.fine, maps.coarse
    return text, arrays


def _restored(text: str, arrays: Mapping[str, np.ndarray]) -> FusionResult:
    """Return the result of a text and arrays."""
    from ..core.benchmarks.fusion.explaining import Maps
    from ..core.benchmarks.fusion.run import FusionResult
    from ..core.benchmarks.fusion.scenes import FusionScene
    from ..core.benchmarks.ranking import Judged

    kept = json.loads(text)
    judged = [
        Judged(method, condition, dict(zip(words, arrays[f"scores_{number}"])), seconds, control)
        for number, (method, condition, words, seconds, control) in enumerate(kept["judged"])
    ]
    return FusionResult(
        variant=kept["variant"],
        explained_variance=kept["explained_variance"],
        judged=tuple(judged),
        ceilings=kept["ceilings"],
        of_gated=kept["of_gated"],
        channels=tuple(kept["channels"]),
        fine_channels=kept["fine_channels"],
        by_channel={tuple(key): arrays[f"by_channel_{n}"] for n, key in enumerate(kept["by_channel"])},
        scene=FusionScene(arrays["scene_fine"], arrays["scene_coarse"], kept["ratio"]),
        maps={
            tuple(key): Maps(arrays[f"fine_{n}"], arrays[f"coarse_{n}"]) for n, key in enumerate(kept["maps"])
        },
    )
