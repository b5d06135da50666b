"""How well a network maps simulated scenes that it was not trained on, beside radiometry alone.

The *baseline* is a regression on the radiometer's channels, fitted to the same training scenes and targets:
what a network adds to it is what the radar and the network's layers are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import nn
from torch.nn import functional

from ...ground.window import Window
from ..simulation import BLOCK, NO_DATA, SimulatedScene
from .patches import PIXEL_SIZE, SCENE_PIXELS, Standards, ice_fraction, pixel_types

CONCENTRATION_RANGES = ((0.0, 0.0), (0.0, 0.3), (0.3, 0.7), (0.7, 0.95), (0.95, 1.0))
MARGINAL = (0.15, 0.80)
"""Concentration of the chart in the marginal zone, 0..1."""

FAR_KM = 30.0
"""Distance from ice and from land at which sea counts as ice-free beyond doubt, km: half the widest footprint."""

ICE_FREE_BELOW = (0.01, 0.05, 0.10, 0.15)
"""What ice-free sea should be mapped below, 0..1: charts call less than 1/10 open water, edges are drawn at 15 %."""


class RadiometerRegression(nn.Module):
    """A logistic or softmax regression on the coarse channels alone.

    Parameters
    ----------
    channels, outputs : int
        Coarse channels and logits.
    mode : {'nearest', 'bilinear'}
        How cells become pixels.
    """

    def __init__(self, channels: int, outputs: int, mode: str = "nearest") -> None:
        super().__init__()
        self.mode = mode
        self.output = nn.Conv2d(channels, outputs, 1)

    def components(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return the coarse channels at the pixels: (sample, channel, row, column)."""
        return functional.interpolate(coarse, size=fine.shape[-2:], mode=self.mode)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """Return the logits (sample, output, row, column)."""
        return self.output(self.components(fine, coarse))


@dataclass(frozen=True, eq=False)
class TestScene:
    """Truth and prediction over parts of one unseen scene.

    Parameters
    ----------
    seed : int
        The scene's seed.
    summer : bool
        Whether it is a melting scene.
    concentration : numpy.ndarray
        (part, row, column) float32, 0..1, NaN on land: the ice-covered share around each pixel.
    icetype : numpy.ndarray
        (part, row, column) uint8, 255 on land: the pixels' own type.
    logits : numpy.ndarray
        (output, part, row, column) float32.
    chart : numpy.ndarray, optional
        (part, row, column) float32, 0..1, NaN on land: the smooth concentration of the chart.
    region : numpy.ndarray, optional
        (part, row, column) uint8, 255 on land: the chart's type.
    far : numpy.ndarray, optional
        (part, row, column) bool: no ice and no land within :data:`FAR_KM`.
    """

    __test__ = False  # not a test, whatever its name says to pytest

    seed: int
    summer: bool
    concentration: np.ndarray
    icetype: np.ndarray
    logits: np.ndarray
    chart: np.ndarray | None = None
    region: np.ndarray | None = None
    far: np.ndarray | None = None


def far_cells(scene: SimulatedScene) -> np.ndarray:
    """Return the cells (R, C) that have neither ice nor land within :data:`FAR_KM`."""
    cell_km = scene.ratio * scene.pixel_size / 1000.0
    margin = int(np.ceil(FAR_KM / cell_km)) + 1
    fractions, _ = scene.cell_fractions(margin)
    distance = cell_km * distance_transform_edt(fractions[0] > 1.0 - 1e-6)
    return distance[margin:-margin, margin:-margin] > FAR_KM


def predicted_scenes(
    modules: Sequence[nn.Module],
    standards: Standards,
    seeds: Sequence[int],
    blocks: int,
    margin: int = 50,
    places: int = 1,
) -> Iterator[tuple[TestScene, ...]]:
    """Yield what networks map in unseen scenes, in some places anywhere in each: one result for each network.

    The land is left in the images as the sensors see it.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        ``forward(fine, coarse)`` → logits.
    standards : Standards
        By which their channels are standardised.
    seeds : sequence of int
        Of the scenes.
    blocks : int
        Side of a place, blocks.
    margin : int
        Pixels at its border that do not count.
    places : int
        In each scene.
    """
    for module in modules:
        module.eval()
    for seed in seeds:
        scene = SimulatedScene(seed, SCENE_PIXELS, SCENE_PIXELS, PIXEL_SIZE)
        draw = np.random.default_rng(seed)
        temperature, far = scene.brightness_temperature(), far_cells(scene)
        parts: list[tuple[np.ndarray, ...]] = []
        logits: list[list[np.ndarray]] = [[] for _ in modules]
        for _ in range(places):
            row, col = draw.integers(0, SCENE_PIXELS // BLOCK - blocks + 1, size=2) * BLOCK
            window = Window(int(row), int(col), blocks * BLOCK, blocks * BLOCK)
            inner = (..., slice(margin, window.rows - margin), slice(margin, window.cols - margin))
            surface = scene.surface(window)
            cells = window.coarser(scene.ratio).slices()
            fine = Standards.apply(scene.backscatter(window), standards.fine).astype(np.float32)
            coarse = Standards.apply(temperature[(slice(None), *cells)], standards.coarse).astype(np.float32)
            away = far[cells].repeat(scene.ratio, axis=0).repeat(scene.ratio, axis=1)
            truth = (
                ice_fraction(surface.classes),
                pixel_types(surface.classes),
                surface.concentration,
                surface.icetype,
                away,
            )
            parts.append(tuple(values[inner] for values in truth))
            for found, module in zip(logits, modules):
                with torch.no_grad():
                    found.append(
                        module(torch.from_numpy(fine)[None], torch.from_numpy(coarse)[None])[0].numpy()[inner]
                    )
        concentration, icetype, chart, region, away = (np.stack(values) for values in zip(*parts))
        yield tuple(
            TestScene(
                seed,
                scene.climate.summer,
                concentration,
                icetype,
                np.stack(found, axis=1),
                chart,
                region,
                away,
            )
            for found in logits
        )


def by_season(scenes: Sequence[TestScene]) -> Iterator[tuple[str, list[TestScene]]]:
    """Yield the seasons that occur and their scenes."""
    for season, summer in (("winter", False), ("summer", True)):
        if part := [scene for scene in scenes if scene.summer == summer]:
            yield season, part


def _errors(truth: np.ndarray, found: np.ndarray) -> dict:
    error = found - truth
    spread = float(np.var(truth))
    return {
        "pixels": int(truth.size),
        "rmse_percent": round(100.0 * float(np.sqrt(np.mean(error**2))), 2),
        "bias_percent": round(100.0 * float(np.mean(error)), 2),
        "r2": round(1.0 - float(np.mean(error**2)) / spread, 4) if spread > 1e-6 else None,
    }


def _pooled(scenes: Sequence[TestScene], of: Callable[[TestScene], np.ndarray]) -> np.ndarray:
    """Return something of all scenes' sea pixels in a row."""
    return np.concatenate(
        [of(scene)[np.isfinite(scene.concentration) & (scene.icetype != NO_DATA)] for scene in scenes]
    )


def _pooled_if_known(scenes: Sequence[TestScene], name: str) -> np.ndarray | None:
    """Return an optional field of all scenes' sea pixels in a row; None where a scene lacks it."""
    if any(getattr(scene, name) is None for scene in scenes):
        return None
    return _pooled(scenes, attrgetter(name))


def _mapped(scene: TestScene) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-scene.logits[0].astype(np.float64)))


def concentration_skill(scenes: Sequence[TestScene]) -> dict:
    """Return R², RMSE and bias of the concentration over all test pixels, by season and by range.

    R² is 1 − Σ(y − p)² / Σ(y − ȳ)² over the pixels of all scenes together. Where the scenes have a chart:
    the same in the marginal zone and against the chart; and how much of the ice-free sea maps as such.
    """
    truth = _pooled(scenes, lambda scene: scene.concentration).astype(np.float64)
    found = _pooled(scenes, _mapped)
    skill = {"scenes": len(scenes), **_errors(truth, found)}
    for season, part in by_season(scenes):
        own = _pooled(part, lambda scene: scene.concentration).astype(np.float64), _pooled(part, _mapped)
        skill[season] = {"scenes": len(part), **_errors(*own)}
    skill["by_concentration"] = []
    for low, high in CONCENTRATION_RANGES:
        inside = (truth == 0.0) if high == 0.0 else (truth > low) & (truth <= high)
        if inside.any():
            entry = _errors(truth[inside], found[inside])
            entry.pop("r2")
            skill["by_concentration"].append({"from_percent": 100 * low, "to_percent": 100 * high, **entry})
    chart = _pooled_if_known(scenes, "chart")
    if chart is not None:
        skill["marginal_zone"] = _where(
            _marginal(chart), lambda inside: _errors(truth[inside], found[inside])
        )
        skill["against_chart"] = _errors(chart.astype(np.float64), found)
        far, free = _pooled_if_known(scenes, "far"), (chart == 0.0) & (truth == 0.0)
        skill["ice_free"] = {
            name: _where(inside, lambda inside: _ice_free(found[inside]))
            for name, inside in (("far", far), ("all", free))
            if inside is not None
        }
    return skill


def _where(inside: np.ndarray, measure: Callable[[np.ndarray], dict]) -> dict:
    """Return a measure of the pixels inside, or that there are none."""
    return measure(inside) if inside.any() else {"pixels": 0}


def _marginal(chart: np.ndarray) -> np.ndarray:
    return (chart >= MARGINAL[0]) & (chart <= MARGINAL[1])


def _ice_free(found: np.ndarray) -> dict:
    return {
        "pixels": int(found.size),
        **{
            f"mapped_below_{100 * below:g}_percent": round(float((found < below).mean()), 4)
            for below in ICE_FREE_BELOW
        },
        "mean_percent": round(100.0 * float(found.mean()), 3),
    }


def icetype_skill(scenes: Sequence[TestScene], names: Sequence[str]) -> dict:
    """Return macro F1, F1 by class, accuracy and the confusion matrix over all test pixels, and by season.

    F1 of a class is 2 TP / (2 TP + FP + FN); macro F1 is their mean over the classes that occur. Where the
    scenes have a chart: the same in the marginal zone and against the chart's types.
    """

    def numbers(truth: np.ndarray, found: np.ndarray) -> dict:
        count = len(names)
        confusion = np.bincount(truth.astype(np.int64) * count + found, minlength=count**2)
        confusion = confusion.reshape(count, count)
        hits = np.diag(confusion)
        f1 = 2.0 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
        occurs = confusion.sum(axis=1) > 0
        return {
            "pixels": int(confusion.sum()),
            "macro_f1": round(float(f1[occurs].mean()), 4),
            "accuracy": round(float(hits.sum() / max(confusion.sum(), 1)), 4),
            "f1": {name: round(float(value), 4) for name, value, there in zip(names, f1, occurs) if there},
            "confusion_rows_truth": confusion.tolist(),
        }

    def both(part: Sequence[TestScene]) -> tuple[np.ndarray, np.ndarray]:
        return (
            _pooled(part, lambda scene: scene.icetype),
            _pooled(part, lambda scene: scene.logits.argmax(axis=0)),
        )

    truth, found = both(scenes)
    skill = {"scenes": len(scenes), **numbers(truth, found)}
    for season, part in by_season(scenes):
        skill[season] = {"scenes": len(part), **numbers(*both(part))}
    chart, region = (_pooled_if_known(scenes, name) for name in ("chart", "region"))
    if chart is not None and region is not None:
        skill["marginal_zone"] = _where(
            _marginal(chart), lambda inside: numbers(truth[inside], found[inside])
        )
        skill["against_chart"] = numbers(region, found)
    return skill
