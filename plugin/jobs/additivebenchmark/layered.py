"""Generators whose networks are made of layers of torch: *point* and *shapes*, and any other of one module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ground.errors import ParameterError
from ...io.geometry.grid import Grid
from ...io.rasters.writer import Band, Outputs
from ...report.ranking.page import Comparison, Condition, Example
from ...report.styles.layers import diverging_style, sidecar
from ..common.rankings import sanity_scores
from .study import Check, Part

if TYPE_CHECKING:
    from ...core.benchmarks.additive.conditions import Condition as NetworkCondition
    from ...core.benchmarks.additive.conditions import Extent
    from ...core.benchmarks.additive.generator import Generator
    from ...core.benchmarks.additive.run import Result
    from ...ground.rankings import Measure

TRUTH = "truth"
OTHERS = "point_published"  # the condition of somebody else's network
# Conditions that are there to compare others with: no method is recommended for their kind of network.
COMPARED = ("point_linear", "point_fewer_samples", "point_independent", "point_exact_independent")
ENOUGH = 0.98  # R² from which on a network stands for its target


def extent_of(size: str, training_samples: int) -> Extent:
    """Return how much is done; with more training samples the network takes as many steps."""
    from ...core.benchmarks.additive.conditions import EXTENTS

    extent = EXTENTS[size]
    if not training_samples:
        return extent
    training = extent.training
    epochs = max(1, round(training.epochs * training.samples / training_samples))
    return replace(extent, training=replace(training, samples=training_samples, epochs=epochs))


@dataclass(frozen=True)
class LayeredStudy:
    """A generator of one module.

    Parameters
    ----------
    generator : Generator
        Of the samples.
    methods : tuple of str
        Words of methods.
    extent : Extent
        How much is done.
    seed : int
        Of all that is drawn.
    """

    generator: Generator
    methods: tuple[str, ...]
    extent: Extent
    seed: int

    @property
    def subject(self) -> str:
        """The kind of its first network in the plural."""
        return next(iter(self.conditions.values())).network

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the generator says of itself."""
        return self.generator.facts

    @property
    def measures(self) -> Sequence[Measure]:
        """What methods are ranked by."""
        from ...core.benchmarks.additive.run import MEASURES

        return MEASURES

    @cached_property
    def conditions(self) -> Mapping[str, NetworkCondition]:
        """The networks by their words; conditions that share a network train it once."""
        return {condition.word: condition for condition in self.generator.conditions()}

    @property
    def parts(self) -> Mapping[str, str]:
        """The networks."""
        return {word: condition.title for word, condition in self.conditions.items()}

    @property
    def no_raster(self) -> str:
        """Why there is no grid to write maps on; empty where there is one."""
        return "the inputs of this benchmark do not lie on the Earth"

    def notes(self, parts: Mapping[str, Part]) -> tuple[str, ...]:
        """Return which networks are too inexact to judge methods by."""
        return tuple(
            f"{self.parts[word]} explains {100 * part.facts['r_squared']:.1f} % of the variance of the target: part of "
            "what its maps miss is the network's error, not the method's."
            for word, part in parts.items()
            if part.facts.get("r_squared", 1.0) < ENOUGH and word not in COMPARED
        )

    @property
    def repeated(self) -> tuple[str, ...]:
        """The first network."""
        return tuple(self.parts)[:1]

    def comparisons(self, parts: Mapping[str, Part]) -> tuple[Comparison, ...]:  # noqa: ARG002
        """Return none: no condition is there to be compared."""
        return ()

    def run(self, part: str, check: Check, repeat: int = 0) -> Part:
        """Train, explain and score one network."""
        from ...core.benchmarks.additive.run import run_condition

        condition = self.conditions[part]
        result = run_condition(self.generator, condition, self.methods, self.extent, self.seed, check, repeat)
        about = (*self.generator.about, *_sentences(result.facts))
        numbers = {name: value for name, value in result.facts.items() if not isinstance(value, str)}
        return Part(
            (Condition(part, result.title, condition.network, about, part in COMPARED, result.broken),),
            result.judged,
            numbers,
            self.examples(result),
            result.example,
            tuple(
                score
                for word, values in result.sanity.items()
                for score in sanity_scores(part, word, values, self.seed)
            ),
        )

    def examples(self, result: Result) -> tuple[Example, ...]:
        """Return maps of one sample for the report, where they make a picture."""
        example = self.in_order(result)
        pictures = {word: self.plane(values) for word, values in example.items()}
        truth = pictures.pop(TRUTH)
        return (Example(f"{result.title}, one sample", truth, pictures),) if len(truth) > 1 else ()

    def write(self, outputs: Outputs, path: str, parts: Mapping[str, Part], tags: dict[str, str]) -> None:
        """Write truth, estimates and errors of one sample, of the first network, on the grid of :meth:`plane`."""
        from ...core.benchmarks.additive.run import slopes

        found = next(iter(parts.values())).arrays
        truth = self.plane(found[TRUTH])
        bands, planes = [Band(TRUTH, "target")], [truth]
        for word, values in found.items():
            if word == TRUTH:
                continue
            plane = self.plane(values)
            bands.append(Band(word, "target per unit" if slopes(word) else "target"))
            planes.append(plane)
            if not slopes(word):
                bands.append(Band(f"{word} error", "target"))
                planes.append(plane - truth)
        outputs.raster(path, self.raster_grid(), bands, tags=tags).write(np.stack(planes).astype(np.float32))
        limit = float(np.nanpercentile(np.abs(truth), 99.5)) or 1.0
        ends = ("lowers the target", "raises the target")
        outputs.file(sidecar(path)).write_text(diverging_style(limit, ends), encoding="utf-8")

    def in_order(self, result: Result) -> Mapping[str, np.ndarray]:
        """Return the example of a network with its inputs in the order of the generator."""
        return result.example

    def plane(self, values: np.ndarray) -> np.ndarray:
        """Return values of the inputs as a picture, (row, column)."""
        return values

    def raster_grid(self) -> Grid:
        """Return the grid of pictures.

        Raises
        ------
        ParameterError
            There is none.
        """
        raise ParameterError(f"OUTPUT_RASTER cannot be written: {self.no_raster}. Leave it empty.")


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    """Return how a network learned and how well, in sentences."""
    found = []
    if "training" in facts:
        found.append(f"Training: {facts['training']} ({facts['seconds']:g} s).")
    if "truth" in facts:
        found.append(f"Truth: {facts['truth']}.")
    if "r_squared" in facts:
        found.append(f"R² of held-out samples: {facts['r_squared']:.4f}.")
    if "accuracy" in facts:
        found.append(f"Accuracy on held-out samples: {facts['accuracy']:.3f}.")
    return found


@dataclass(frozen=True)
class ShapesStudy(LayeredStudy):
    """Squares against circles."""

    @classmethod
    def of(cls, methods: tuple[str, ...], extent: Extent, seed: int) -> ShapesStudy:
        """Return the study of the published images."""
        from ...core.benchmarks.additive.shapes import Shapes

        return cls(Shapes(), methods, extent, seed)

    def notes(self, parts: Mapping[str, Part]) -> tuple[str, ...]:
        """Return the three named failures, each with the methods that show it."""
        return tuple(
            sentence for sentence in map(self._failure, _FAILURES, [parts] * len(_FAILURES)) if sentence
        )

    def _failure(self, failure: tuple[str, str, str, float, str], parts: Mapping[str, Part]) -> str:
        measure, title, part, limit, says = failure
        if part not in parts:
            return ""
        means = {
            each.method: float(np.nanmean(each.scores[measure]))
            for each in parts[part].judged
            if not each.control and measure in each.scores and not np.isnan(each.scores[measure]).all()
        }
        failing = {word: mean for word, mean in sorted(means.items(), key=lambda row: row[1]) if mean < limit}
        if not failing:
            return f"{title}: no method shows it."
        shown = ", ".join(f"{word} {100 * mean:.0f} %" for word, mean in failing.items())
        return f"{title}: {says}: {shown}."


# Measure, name, part, below which value a method fails, and what the number is.
_FAILURES = (
    (
        "smooth",
        "Gradient shattering",
        "shapes",
        0.75,
        "share of neighbouring pixels of one shape whose relevance has the same sign (chance gives 50 %)",
    ),
    (
        "against",
        "No sign",
        "shapes",
        0.5,
        "share of relevance on pixels that speak against which is shown as evidence against",
    ),
    (
        "zero_seen",
        "Ignorance to zero input",
        "shapes_zero",
        0.05,
        "share of relevance on shapes whose pixels are zero",
    ),
)


_HIGH = ("gradient_x_input", "integrated_gradients", "lrp_0", "occlusion")
_LOW = ("gradient", "smoothgrad")
_SHOWN = (*_HIGH[:2], "deeplift", *_HIGH[2:], *_LOW)
_SHIFTED = "broken_shifted"
# What differs from one condition to another one, which is named by its title in the table.
_CHANGES = {
    "point": "the published setting, trained here",
    "point_linear": "a linear model instead of the network",
    "point_fewer_samples": "fewer training samples, all else as trained",
    "point_independent": "independent inputs, all else as trained",
    "point_exact": "no training: the network is the sum of functions",
    "point_exact_independent": "exact, and independent inputs",
    "point_exact_bent_at_zero": "exact, and no bends away from zero, which belong to gates and not to inputs",
    "point_published": "trained by others, against functions that were recovered from it",
}


def _means(part: Part) -> dict[str, float]:
    """Return the mean correlation of methods and of the displaced map with the contributions."""
    return {each.method: float(np.nan_to_num(each.scores["pearson"]).mean()) for each in part.judged}


@dataclass(frozen=True)
class PointStudy(LayeredStudy):
    """Normal inputs and a sum of functions, on cells of the Earth or of channels.

    Parameters
    ----------
    grid : Grid, optional
        Of the cells; None: inputs are channels.
    mask : numpy.ndarray, optional
        (row, column), bool: the cells that are inputs.
    groups : numpy.ndarray, optional
        (cell,), int: the input that each cell is.
    reads : tuple of int
        Which inputs the network that was trained elsewhere reads, in its order.
    """

    grid: Grid | None = None
    mask: np.ndarray | None = None
    groups: np.ndarray | None = None
    reads: tuple[int, ...] = ()

    def in_order(self, result: Result) -> Mapping[str, np.ndarray]:
        """Return the example with each input in its place; NaN where somebody else's network does not read one."""
        if result.condition != OTHERS or self.groups is None:
            return result.example
        found = {}
        for word, values in result.example.items():
            found[word] = np.full(int(self.groups.max()) + 1, np.nan)
            found[word][list(self.reads)] = values.ravel()
        return found

    def comparisons(self, parts: Mapping[str, Part]) -> tuple[Comparison, ...]:
        """Return the published order beside ours, and what becomes of it as one condition after the other changes."""
        shown = [word for word in _SHOWN if word in self.methods]
        rows = []
        for word, part in parts.items():
            means = _means(part)
            high, low = ([means[each] for each in group if each in means] for group in (_HIGH, _LOW))
            order = ("yes" if min(high) > max(low) else "no") if high and low else "cannot be said"
            rows.append(
                {
                    "network": self.parts[word],
                    "changed": _CHANGES.get(word, ""),
                    "r_squared": part.facts["r_squared"],
                    **{method: means[method] for method in (*shown, _SHIFTED) if method in means},
                    "order": order,
                }
            )
        columns = (
            ("network", "network"), ("changed", "what differs"), ("r_squared", "R²"),
            *((method, method) for method in (*shown, _SHIFTED)), ("order", "published order holds"),
        )  # fmt: skip
        return (
            Comparison(
                "Published order, and one condition changed at a time",
                (
                    f"Published order (Mamalakis et al. 2022): {', '.join(_HIGH)} high, {' and '.join(_LOW)} near "
                    "zero. Values are the mean correlation with the contributions. What rises from one row to another "
                    f"is due to what differs. {_SHIFTED} is the best method's map moved by one input: what it has "
                    "is owed to neighbours that are alike, and nothing is left where inputs are independent.",
                ),
                columns,
                tuple(rows),
            ),
        )

    def notes(self, parts: Mapping[str, Part]) -> tuple[str, ...]:
        """Return which networks are too inexact, and how well functions of others' networks are known."""
        found = list(super().notes(parts))
        agreed = parts["point"].facts.get("recovered") if "point" in parts else None
        if agreed is not None:
            found.append(
                "Functions that are recovered from the network that was trained here, whose own are known, correlate "
                f"with these at {agreed:.2f}: scores of the network that was trained elsewhere mean no more than that."
            )
        return tuple(found)

    @property
    def no_raster(self) -> str:
        """Why there is no grid to write maps on; empty where there is one."""
        return (
            "" if self.grid is not None else "the inputs are the bands of COVARIANCE, not cells of the Earth"
        )

    def raster_grid(self) -> Grid:
        """Return the grid of the cells."""
        return self.grid if self.grid is not None else super().raster_grid()

    def plane(self, values: np.ndarray) -> np.ndarray:
        """Return one value an input on the cells; cells that are one input share it in equal parts."""
        if self.mask is None or self.groups is None:
            return values
        plane = np.full(self.mask.shape, np.nan)
        plane[self.mask] = (values.ravel() / np.bincount(self.groups))[self.groups]
        return plane
