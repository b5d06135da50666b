"""Samples of scenes whose truth is known: a field of ice that is smooth within a scene, and features that follow it."""

from __future__ import annotations

import numpy as np
from floelens.plugin.core.distributions.table import FeatureTable
from scipy.ndimage import gaussian_filter

SCENES, SIDE, FEATURES = 16, 7, 12
NAMES = tuple(f"f{k:02d}" for k in range(FEATURES))


def planted(
    seed: int,
    scenes: int = SCENES,
    side: int = SIDE,
    confounder: int | None = None,
    duplicate: tuple[int, int] | None = None,
    dead: int | None = None,
    outlier: int | None = None,
) -> FeatureTable:
    """Return samples (tiles of scenes) of a clean network, or with what is asked for planted.

    A feature is its weight times a component that follows the ice, an effect of the scene and a smooth field of its
    own; every other component is rectified. `confounder` follows the incidence angle alone.
    """
    draw = np.random.default_rng(seed)
    scene = np.repeat(np.arange(scenes), side * side)
    row, column = np.tile(np.indices((side, side)).reshape(2, -1), scenes).astype(float)

    def smooth(reach: float) -> np.ndarray:
        fields = [
            gaussian_filter(draw.normal(size=(side + 12, side + 12)), reach)[6:-6, 6:-6]
            for _ in range(scenes)
        ]
        values = np.concatenate([field.ravel() for field in fields])
        return values / values.std()

    def by_scene(size: float = 1.0) -> np.ndarray:
        return size * draw.normal(size=scenes)[scene]

    angle = 20.0 + 26.0 * column / (side - 1) + by_scene()
    ice = smooth(3.0) + by_scene(0.7)
    weights = draw.normal(size=FEATURES)
    values = np.empty((len(scene), FEATURES))
    for k in range(FEATURES):
        own = np.sign(weights[k]) * draw.uniform(0.5, 1.5) * ice + by_scene(0.5)
        own = own + 0.8 * smooth(draw.uniform(0.8, 3.0))
        if k == confounder:
            own = (angle - 33.0) / 8.0
        values[:, k] = weights[k] * (np.maximum(own, 0.0) if k % 2 else own)
    if duplicate is not None:
        values[:, duplicate[1]] = 1.7 * values[:, duplicate[0]] + 0.2
    if dead is not None:
        values[:, dead] = 0.3
    if outlier is not None:
        values[outlier] += 25.0 * draw.normal(size=FEATURES)
    covariates = {
        "incidence_angle": angle,
        "sub_swath": np.floor(5.0 * column / side),
        "land_distance": 100.0 * np.abs(smooth(3.0)),
        "month": draw.integers(1, 13, scenes)[scene].astype(float),
        "row": row,
        "column": column,
    }
    halves = draw.permutation(scenes) < scenes // 2
    groups = {"split": np.where(halves, "train", "test")[scene]}
    label = (ice + 0.3 * smooth(1.0) > 0).astype(int)
    return FeatureTable(
        NAMES,
        values,
        ("water", "ice"),
        label,
        1,
        scene,
        covariates=covariates,
        categorical=frozenset({"sub_swath"}),
        groups=groups,
    )


def trained(seed: int, scenes: int, ridge: float, hidden: int = 40, side: int = 3) -> FeatureTable:
    """Return what the features of a small network add, in the scenes it was trained on and in as many others.

    One hidden layer of rectified random features, whose weights are fitted by Newton's steps: hardly penalised on few
    scenes it learns them by heart.
    """
    draw = np.random.default_rng(seed)
    scene = np.repeat(np.arange(2 * scenes), side * side)
    label = draw.integers(0, 2, len(scene))
    inputs = draw.normal(size=(len(scene), 10)) + draw.normal(size=(2 * scenes, 10))[scene] * 0.3
    inputs[:, :3] += 0.4 * (2.0 * label[:, None] - 1.0)
    components = np.maximum(inputs @ draw.normal(size=(10, hidden)) / np.sqrt(10.0), 0.0)
    train = scene < scenes
    x = np.column_stack([np.ones(len(scene)), components])
    beta = np.zeros(hidden + 1)
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x[train] @ beta, -30.0, 30.0)))
        gradient = x[train].T @ (label[train] - p) - ridge * beta
        information = (x[train] * (p * (1.0 - p))[:, None]).T @ x[train] + ridge * np.eye(hidden + 1)
        beta += np.linalg.solve(information, gradient)
    names = tuple(f"f{k:02d}" for k in range(hidden))
    groups = {"split": np.where(train, "train", "test")}
    return FeatureTable(names, components * beta[1:], ("water", "ice"), label, 1, scene, groups=groups)
