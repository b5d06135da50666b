"""The samples of a scene: tiles, polygons or all of it, with their classes and what else is known of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime

import numpy as np

from ...core.features.samples import UNKNOWN
from ...core.features.sums import Regions
from ...ground.errors import ParameterError
from ...ground.vocabulary.cams import POLYGONS, SCENE
from ...ground.window import Window
from ...io.files.raster import open_raster
from ...io.formats.labels import LabelReader
from ...io.geometry.vector import Polygons
from ...io.geometry.zones import PolygonIndex, regular_zones
from ...io.scene.reader import Scene
from ...io.scene.sub_swaths import SubSwaths
from ...networks.card import Head
from ..scoring.labels import SceneLabels

MOST_SAMPLES = 200_000
LAND_REACH_KM = 100.0
INCIDENCE = "incidence_angle"  # band of the SAR raster
SUB_SWATH = "sub_swath"
_EVERYWHERE = (slice(None), slice(None))
_HALF = 0.5


def class_names(head: Head) -> tuple[str, ...]:
    """Return the classes of samples: those of a softmax head, below and above the threshold of any other."""
    if head.kind == "softmax":
        return tuple(entry.name for entry in head.classes)
    name = head.classes[0].name
    if head.kind == "sigmoid":
        return f"less than 50 % {name}", f"50 % {name} or more"
    return f"{name} below 0", f"{name} of 0 or more"


def classes_of(head: Head, targets: np.ndarray) -> np.ndarray:
    """Return the class of each label (…), as :func:`.label_targets` gives them; :data:`UNKNOWN` for NaN."""
    threshold = _HALF if head.kind == "sigmoid" else 0.0
    known = np.isfinite(targets)
    filled = np.where(known, targets, 0.0)
    classes = filled if head.kind == "softmax" else filled >= threshold
    return np.where(known, classes, UNKNOWN).astype(np.int64)


def classes_named(head: Head, names: tuple[str, ...]) -> np.ndarray:
    """Return the classes that polygons are named by: a class's name or code, or a concentration in %."""
    entries = {entry.name.strip().lower(): number for number, entry in enumerate(head.classes)}
    codes = {float(entry.value): number for number, entry in enumerate(head.classes)}
    found = []
    for name in names:
        text = name.strip().lower()
        try:
            value: float | None = float(text)
        except ValueError:
            value = None
        if head.kind == "softmax":
            number = entries.get(text, UNKNOWN if value is None else codes.get(value, UNKNOWN))
        elif value is None or not np.isfinite(value):
            number = UNKNOWN
        elif head.kind == "sigmoid":
            number = int(value >= 100 * _HALF) if 0 <= value <= 100 else UNKNOWN
        else:
            number = int(value >= 0)
        found.append(number)
    return np.array(found, dtype=int)


def regions_of(
    scene: Scene,
    sar: str,
    head: Head,
    kind: str,
    size_km: float,
    polygons: Polygons | None,
    labels: SceneLabels | None,
    stack: ExitStack,
) -> Regions:
    """Return the samples of a scene.

    Parameters
    ----------
    scene : Scene
        The scene.
    sar : str
        Its SAR raster, which may hold incidence angles.
    head : Head
        Whose classes they have.
    kind : str
        A word of :data:`floelens.plugin.ground.vocabulary.cams.SAMPLES`.
    size_km : float
        Side of the tiles.
    polygons : Polygons, optional
        The polygons, named by their classes; those with an empty name, and all where there are no names, have none.
    labels : SceneLabels, optional
        Classes of the pixels.
    stack : ExitStack
        Closes what is opened.

    Raises
    ------
    ParameterError
        If polygons are missing or lie elsewhere, or there are too many tiles.
    """
    names, at, known = places(scene, head, kind, size_km, polygons)
    covariates = _by_angle(scene, sar, kind, stack)
    land = scene.land_distance(LAND_REACH_KM)
    if land is not None and land.any:
        covariates["land_distance"] = lambda window: np.minimum(land.read(window), LAND_REACH_KM)
    position = [each.name for each in scene.card.heads].index(head.name)

    def classes_at(window: Window) -> np.ndarray:
        if labels is None:
            raise AssertionError("labels is None")
        return classes_of(head, labels.targets(window, _EVERYWHERE)[position])

    return Regions(
        names=names,
        at=at,
        classes_at=classes_at if labels is not None else None,
        covariates=covariates,
        constants=_month(scene.start_time),
        labels=known,
        class_count=len(class_names(head)),
    )


def places(
    scene: Scene, head: Head, kind: str, size_km: float, polygons: Polygons | None
) -> tuple[tuple[str, ...], Callable[[Window], np.ndarray], np.ndarray | None]:
    """Return the names of the samples, which of them a pixel belongs to, and their own classes.

    Raises
    ------
    ParameterError
        If polygons are missing or lie elsewhere, or there are too many tiles.
    """
    if kind == SCENE:
        return (scene.name,), lambda window: np.zeros((window.rows, window.cols), np.int32), None
    if kind == POLYGONS:
        if polygons is None:
            raise ParameterError(
                "SAMPLES=polygons needs ZONES: give polygons, or set SAMPLES to tiles or scene."
            )
        index = PolygonIndex(polygons, scene.grid)
        if index.window.intersection(scene.region).empty:
            raise ParameterError(
                f"No polygon of ZONES lies on {scene.name}. Choose polygons that overlap it."
            )
        numbers = tuple(str(number) for number in range(1, index.count + 1))
        named = polygons.names
        names = tuple(f"{n}: {name}" if name else n for n, name in zip(numbers, named)) if named else numbers
        return names, index.zones, classes_named(head, named) if named else None
    if not size_km > 0:
        raise ParameterError(f"SAMPLE_SIZE is {size_km:g} km: give a positive number.")
    tiles = regular_zones(scene.grid, size_km)
    if tiles.count > MOST_SAMPLES:
        raise ParameterError(
            f"SAMPLE_SIZE={size_km:g} km makes {tiles.count} tiles of {scene.name}; {MOST_SAMPLES} are the most. "
            "Choose larger ones."
        )
    return tiles.names, tiles.zones, None


def _by_angle(
    scene: Scene, sar: str, kind: str, stack: ExitStack
) -> dict[str, Callable[[Window], np.ndarray]]:
    """Return what reads incidence angles in degrees and the number of the sub-swath, where the SAR raster tells them.

    A whole scene lies in all sub-swaths.
    """
    with open_raster(sar) as raster:
        if INCIDENCE not in (name.strip().lower() for name in raster.names):
            return {}
        swaths = None if kind == SCENE else SubSwaths.of(raster.tags)
    angles = _latest(stack.enter_context(LabelReader.open(sar, scene.grid, INCIDENCE)).read)
    if swaths is None:
        return {INCIDENCE: angles}
    return {INCIDENCE: angles, SUB_SWATH: lambda window: swaths.numbers(angles(window))}


def _latest(read: Callable[[Window], np.ndarray]) -> Callable[[Window], np.ndarray]:
    """Return what reads a window, once where it is asked for again at once."""
    held: list[tuple[Window, np.ndarray]] = []

    def again(window: Window) -> np.ndarray:
        if not held or held[0][0] != window:
            held[:] = [(window, read(window))]
        return held[0][1]

    return again


def sub_swath_note(sar: str, kind: str) -> str:
    """Return where the sub-swaths of samples come from; why there are none; empty for samples of whole scenes."""
    if kind == SCENE:
        return ""
    with open_raster(sar) as raster:
        if INCIDENCE not in (name.strip().lower() for name in raster.names):
            return "Sub-swaths are left out: the SAR raster has no band incidence_angle."
        swaths = SubSwaths.of(raster.tags)
    if swaths is None:
        return "Sub-swaths are left out: the SAR raster is not of mode EW and does not name its sub-swaths."
    if swaths.declared:
        return ""
    edges = ", ".join(f"{edge:.1f}" for edge in swaths.edges)
    return (
        f"The SAR raster does not name its sub-swaths. They are taken from the incidence angle, as in mode EW: "
        f"{edges}\u00b0 lie between EW1 and EW5."
    )


def _month(start_time: str | None) -> dict[str, float]:
    """Return the month of a scene, where its time is known."""
    try:
        return {"month": float(datetime.fromisoformat((start_time or "").replace("Z", "+00:00")).month)}
    except ValueError:
        return {}
