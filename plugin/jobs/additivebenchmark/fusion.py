"""The generator *fusion*: the project's own network on scenes of known truth, as a study of the additive benchmark.

A scene of the benchmark lies on the Earth as simulated scenes do. Each channel's maps lie on its own grid: SAR's on the
pixels, radiometry's on the cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ground.vocabulary.benchmarks import CONTROLS
from ...ground.vocabulary.relevance_methods import METHODS
from ...ground.vocabulary.settings import CENTER, PIXEL_SIZE
from ...ground.window import Window
from ...io.geometry.grid import Grid
from ...io.rasters.writer import Band, Outputs
from ...report.ranking.page import Comparison, Condition, Example
from ...report.styles.layers import relevance_style, sidecar
from ..common.percentile_sink import colour_limit
from ..common.rankings import sanity_scores
from ..simulate import projected_grid
from .study import Check, Part

if TYPE_CHECKING:
    from ...core.benchmarks.fusion.generator import Fusion
    from ...core.benchmarks.fusion.run import Extent, FusionResult
    from ...ground.rankings import Measure

TRUTH, ESTIMATES, ERRORS, CELLS = "truth", "estimates", "errors", "cells"
FINE, COARSE = "fine", "coarse"
UNIT = "logit per SAR pixel"
EXPLAINED = "the target"
ENOUGH = 0.95  # R² from which on a network stands for its target
_SHIFTED = "broken_shifted"
_TITLES = {"contributions": "contributions of channels", "relevance": "relevance of the input"}


@dataclass(frozen=True)
class FusionStudy:
    """The fusion network on scenes whose target is a sum of known functions of each channel.

    Parameters
    ----------
    methods : tuple of str
        Words of relevance methods; those of contributions, and ablation, are always scored.
    extent : Extent
        How much is done.
    seed : int
        Of target, scenes, weights and draws.
    """

    methods: tuple[str, ...]
    extent: Extent
    seed: int

    @property
    def subject(self) -> str:
        """The kind of its networks in the plural."""
        return "fusion networks"

    @property
    def no_raster(self) -> str:
        """Why there is no grid to write rasters on: there is one."""
        return ""

    @classmethod
    def of(cls, methods: tuple[str, ...], size: str, seed: int) -> FusionStudy:
        """Return the study of a size."""
        from ...core.benchmarks.fusion.run import EXTENTS

        return cls(methods, EXTENTS[size], seed)

    @property
    def facts(self) -> Mapping[str, Any]:
        """How much is done."""
        effort, cells = self.extent.effort, self.extent.cells
        return {
            "channels": len(self._fusion(self.extent.variants[0]).channels),
            "scenes trained on": effort.patches,
            "steps": effort.steps,
            "scenes explained": self.extent.scenes,
            "cells along a side of these": cells,
        }

    @property
    def measures(self) -> Sequence[Measure]:
        """What methods are ranked by."""
        from ...core.benchmarks.fusion.scores import MEASURES

        return MEASURES

    @cached_property
    def parts(self) -> Mapping[str, str]:
        """The variants of the network."""
        return {
            f"fusion_{variant}": f"{_kind_of(variant)}, variant {_bare(variant)}"
            for variant in self.extent.variants
        }

    def notes(self, parts: Mapping[str, Part]) -> tuple[str, ...]:
        """Return what gates can show of the truth, and which networks are too inexact to judge methods by."""
        found = []
        for word, part in parts.items():
            variance = part.facts["r_squared"]
            if variance < ENOUGH:
                found.append(
                    f"The {self.parts[word]}, explains {100 * variance:.1f} % of the variance of the target: part of "
                    "what its maps miss is the network's error, not the method's."
                )
            ceilings = ", ".join(
                f"{part.facts[f'{kind}: ceiling of gates']:.2f} ({_TITLES[kind]})"
                for kind in _TITLES
                if f"{kind}: ceiling of gates" in part.facts
            )
            found.append(
                f"Ceiling of gates ({self.parts[word]}): of a network that is the target, a method that sees gates as "
                f"they are (gated, gradient_x_input, lrp_0) shows the truth with Pearson's r of {ceilings}."
            )
        return tuple(found)

    @property
    def repeated(self) -> tuple[str, ...]:
        """The trained variants."""
        return tuple(word for word in self.parts if not _is_exact(word))

    def comparisons(self, parts: Mapping[str, Part]) -> tuple[Comparison, ...]:
        """Return what becomes of the maps of one variant without training, and with independent inputs."""
        from ...core.benchmarks.fusion.scores import PEARSON

        rows: list[dict[str, Any]] = []
        words: dict[str, None] = {}
        for part in parts.values():
            for condition in part.conditions:
                own = [each for each in part.judged if each.condition == condition.word]
                means = {each.method: float(np.nan_to_num(each.scores[PEARSON]).mean()) for each in own}
                words.update(dict.fromkeys(means))
                rows.append({"condition": condition.title, "r_squared": part.facts["r_squared"], **means})
        methods = [word for word in words if word not in CONTROLS]
        columns = (
            ("condition", "condition"),
            ("r_squared", "R²"),
            *((word, word) for word in (*methods, _SHIFTED)),
        )
        return (
            Comparison(
                "One condition changed at a time",
                (
                    "Mean of Pearson's r over all channels and pixels. What a network that is made from the functions "
                    f"misses, no training could mend. {_SHIFTED} is the best method's map moved by one pixel: what it "
                    "has is owed to neighbours that are alike, and nothing is left where inputs are independent.",
                ),
                columns,
                tuple({word: row[word] for word, _ in columns if word in row} for row in rows),
            ),
        )

    def run(self, part: str, check: Check, repeat: int = 0) -> Part:
        """Train, explain and score one variant."""
        from ...core.benchmarks.fusion.run import run_variant

        result = run_variant(
            part.removeprefix("fusion_"), self.extent, self.methods, self.seed, check, repeat
        )
        facts: dict[str, Any] = {"r_squared": result.explained_variance}
        for kind, ceilings in result.ceilings.items():
            facts[f"{kind}: ceiling of gates"] = ceilings["pearson"]
        for kind, found in result.of_gated.items():
            facts.update({f"{kind}: {word} beside what gates can show": r for word, r in found.items()})
        kinds = dict.fromkeys(kind for kind, _ in result.maps)
        arrays = {}
        for (kind, method), maps in result.maps.items():
            arrays[f"{kind} {method} {FINE}"] = maps.fine
            arrays[f"{kind} {method} {COARSE}"] = maps.coarse
        return Part(
            tuple(self._condition(result, kind) for kind in kinds),
            result.judged,
            facts,
            tuple(example for kind in kinds for example in self._examples(result, kind)),
            arrays,
            tuple(
                score
                for word, values in result.sanity.items()
                for score in sanity_scores(f"fusion_{result.variant}_relevance", word, values, self.seed)
            ),
        )

    def _condition(self, result: FusionResult, kind: str) -> Condition:
        curved = "free" if self._fusion(result.variant).free else "linear, as the network reads them"
        effort = self.extent.effort
        learnt = (
            "Its weights are made from the functions: what methods miss of it, no training could mend."
            if _is_exact(result.variant)
            else f"Trained on {effort.patches} scenes, {effort.steps} steps of Adam, the last layer by Newton's method."
        )
        around = (
            "of the pixel itself, and of the radiometer's cell. Every value of the scenes is drawn by itself, so that "
            "neighbours have nothing in common."
            if self._fusion(result.variant).white
            else "of the mean around the pixel for HH (Gaussian) and HV (3 × 3 pixels), and of the radiometer's cell."
        )
        about = (
            "The target at each SAR pixel is the sum of a piecewise linear function, zero at zero, of each channel: "
            f"{around} Functions of the radiometer's channels are {curved}.",
            f"{learnt} R² of the logit on {self.extent.scenes} held-out scenes: {result.explained_variance:.4f}.",
            f"What gates can show of the truth: r = {result.ceilings[kind]['pearson']:.3f}.",
        )
        title = f"{_TITLES[kind]}, {_kind_of(result.variant)}, variant {_bare(result.variant)}"
        network = f"{kind} of fusion networks {_bare(result.variant)}"  # each kind has methods of its own
        white = self._fusion(result.variant).white
        return Condition(
            f"fusion_{result.variant}_{kind}", title, network, about, white, result.broken.get(kind, "")
        )

    def _examples(self, result: FusionResult, kind: str) -> list[Example]:
        methods = [method for own, method in result.maps if own == kind and method != TRUTH]
        found: list[Example] = []
        if _is_exact(result.variant):
            return found
        for channel in range(result.fine_channels):
            truth = result.maps[kind, TRUTH].fine[channel]
            maps = {method: result.maps[kind, method].fine[channel] for method in methods}
            name = result.channels[channel].upper()
            found.append(Example(f"{name}: {_TITLES[kind]}, variant {result.variant}", truth, maps))
        return found

    def write(self, outputs: Outputs, path: str, parts: Mapping[str, Part], tags: dict[str, str]) -> None:
        """Write truth, estimates and errors of the first held-out scene of each trained variant, styled as relevance.

        `path` is the truth of SAR's channels, a band each for contributions and relevance. Beside it lie
        ``<path>_estimates`` and ``<path>_errors`` (estimate minus truth; none of slopes) with the same bands for each
        method, and ``<path>_cells``, ``<path>_cells_estimates`` and ``<path>_cells_errors`` of the radiometer's
        channels. Those of further variants have the variant in their names. Colours of a grid's three files have one
        scale.
        """
        trained = {word: part for word, part in parts.items() if not _is_exact(word)} or parts
        for number, (word, part) in enumerate(trained.items()):
            variant = word.removeprefix("fusion_")
            stem = Path(path) if number == 0 else _beside(Path(path), variant)
            own = {**tags, "FLOELENS_VARIANT": variant}
            for on_cells in (False, True):
                grid = self.raster_grid(variant, on_cells)
                planes = self._planes(variant, part.arrays, on_cells)
                limit = colour_limit(next(iter(planes[TRUTH].values())))
                for name, bands in planes.items():
                    suffix = "_".join([CELLS] * on_cells + [name] * (name != TRUTH))
                    target = _beside(stem, suffix) if suffix else stem
                    raster = outputs.raster(
                        target, grid, [Band(band, _unit(band.split()[1])) for band in bands], tags=own
                    )
                    raster.write(np.stack([*bands.values()]).astype(np.float32))
                    style = relevance_style(EXPLAINED, limit, unit=UNIT, note=f", {next(iter(bands))}")
                    outputs.file(sidecar(target)).write_text(style, encoding="utf-8")

    def raster_grid(self, variant: str, on_cells: bool) -> Grid:
        """Return the grid of the inner part of a scene, which is explained: of its SAR pixels or of its cells."""
        ratio = self._fusion(variant).ratio
        side = ratio * self.extent.cells
        inner = Window(ratio, ratio, side - 2 * ratio, side - 2 * ratio)
        grid = projected_grid(side, side, float(PIXEL_SIZE.default), *CENTER).subset(inner)
        return grid.coarser(ratio) if on_cells else grid

    def _planes(
        self, variant: str, arrays: Mapping[str, np.ndarray], on_cells: bool
    ) -> dict[str, dict[str, np.ndarray]]:
        """Return the bands of truth, estimates and errors by their names."""
        wanted = COARSE if on_cells else FINE
        names = [each.name for each in self._fusion(variant).channels if each.grid == wanted]
        found: dict[str, dict[str, np.ndarray]] = {TRUTH: {}, ESTIMATES: {}, ERRORS: {}}
        for key, planes in arrays.items():
            kind, method, grid = key.split()
            if grid != wanted:
                continue
            exact = arrays[f"{kind} {TRUTH} {grid}"]
            for name, plane, right in zip(names, planes, exact):
                found[TRUTH if method == TRUTH else ESTIMATES][f"{kind} {method} {name}"] = plane
                if method != TRUTH and not _gives_slopes(method):
                    found[ERRORS][f"{kind} {method} {name}"] = plane - right
        return found

    def _fusion(self, variant: str) -> Fusion:
        return self.extent.fusion(variant)


def _beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.stem}_{word}{path.suffix}")


def _gives_slopes(method: str) -> bool:
    return method in METHODS and not METHODS[method].times_input


def _unit(method: str) -> str:
    return f"{UNIT} and standard deviation" if _gives_slopes(method) else UNIT


def _is_exact(variant: str) -> bool:
    from ...core.benchmarks.fusion.run import EXACT

    return variant.endswith(EXACT)


def _bare(variant: str) -> str:
    from ...core.benchmarks.fusion.run import EXACT, WHITE

    return variant.removesuffix(EXACT).removesuffix(WHITE)


def _kind_of(variant: str) -> str:
    from ...core.benchmarks.fusion.run import EXACT, WHITE

    kind = "fusion network made from the functions" if _is_exact(variant) else "trained fusion network"
    return f"{kind}, independent inputs" if variant.removesuffix(EXACT).endswith(WHITE) else kind
