"""Sanity measures as Quantus computes them: `make test-references`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from floelens.plugin.core.sanity.measures import (
    faithfulness_correlation,
    infidelity,
    randomisation,
    relative_change,
    sparseness,
)
from floelens.plugin.core.sanity.run import Explained, losses
from scipy.stats import pearsonr
from torch import nn

# The package imports these for pictures, segments and other measures.
ABSENT = ("cv2", "sklearn", "sklearn.metrics", "sklearn.utils", "skimage", "skimage.segmentation")
SHAPE, CLASS = (1, 8, 8), 1
QUIET = {"disable_warnings": True, "abs": False, "normalise": False, "return_aggregate": False}
CALL = {"channel_first": True, "batch_size": 5}


def gen_batches(number: int, size: int):
    """Yield slices, as the function of scikit-learn does."""
    for begun in range(0, number, size):
        yield slice(begun, min(begun + size, number))


def view_as_blocks(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return blocks of (sample, channel, row, column), as the function of scikit-image does."""
    samples, channels, rows, cols = values.shape
    side = shape[-1]
    cut = values.reshape(samples, channels, rows // side, side, cols // side, side)
    return cut.transpose(2, 4, 0, 1, 3, 5)[None, None]


@pytest.fixture
def quantus(monkeypatch):
    """Return the package; what stands in for libraries that it does not need is gone after the test."""
    if importlib.util.find_spec("quantus") is None:
        pytest.skip("quantus is not installed: run make test-references")
    for name in ABSENT:
        first = name.partition(".")[0]
        if isinstance(sys.modules.get(first), MagicMock) or importlib.util.find_spec(first) is None:
            monkeypatch.setitem(sys.modules, name, MagicMock())
    if isinstance(sys.modules.get("sklearn"), MagicMock):
        sys.modules["sklearn.utils"].gen_batches = gen_batches
    if isinstance(sys.modules.get("skimage"), MagicMock):
        sys.modules["skimage"].util.view_as_blocks = view_as_blocks
    return importlib.import_module("quantus")


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2)
    return nn.Sequential(*layers).eval()


def gradient_x_input(model, inputs, targets=None, **_: object) -> np.ndarray:
    fields = torch.tensor(np.asarray(inputs), dtype=torch.float32, requires_grad=True)
    model(fields)[:, CLASS].sum().backward()
    return (fields * fields.grad).detach().numpy().astype(np.float64)


def slopes(model, inputs, targets=None, **_: object) -> np.ndarray:
    fields = torch.tensor(np.asarray(inputs), dtype=torch.float32, requires_grad=True)
    model(fields)[:, CLASS].sum().backward()
    return fields.grad.numpy().astype(np.float64)


def predict(model: nn.Module, inputs: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor(inputs, dtype=torch.float32))[:, CLASS].numpy().astype(np.float64)


def flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1)


INPUTS = np.random.default_rng(0).normal(size=(5, *SHAPE)).astype(np.float32).astype(np.float64)
CLASSES = np.full(5, CLASS)


def test_sparseness_is_that_of_quantus(quantus):
    maps = gradient_x_input(network(), INPUTS)
    theirs = quantus.Sparseness(**{**QUIET, "abs": True})(
        model=None, x_batch=INPUTS, y_batch=CLASSES, a_batch=maps.copy(), **CALL
    )
    np.testing.assert_allclose(sparseness(flat(maps)), theirs, rtol=2e-5)  # they add 1e-7 to all


@pytest.mark.parametrize("kind", ["MaxSensitivity", "AvgSensitivity"])
def test_sensitivity_is_that_of_quantus(quantus, kind):
    model = network()
    maps = gradient_x_input(model, INPUTS)
    draw, noisy = np.random.default_rng(3), []

    def disturb(arr: np.ndarray, **_: object) -> np.ndarray:
        noisy.append((arr + draw.uniform(-0.1, 0.1, arr.shape)).reshape(INPUTS.shape))
        return noisy[-1].reshape(arr.shape)

    measure = getattr(quantus, kind)(nr_samples=4, perturb_func=disturb, **QUIET)
    theirs = measure(
        model=model, x_batch=INPUTS, y_batch=CLASSES, a_batch=maps, explain_func=gradient_x_input, **CALL
    )
    ours = [relative_change(flat(maps), flat(gradient_x_input(model, each))) for each in noisy]
    assert len(ours) == 4
    combined = np.max(ours, axis=0) if kind == "MaxSensitivity" else np.mean(ours, axis=0)
    np.testing.assert_allclose(combined, theirs, rtol=1e-5)


def test_faithfulness_correlation_is_that_of_quantus(quantus):
    model = network()
    maps = gradient_x_input(model, INPUTS)
    sets = []

    def take_away(arr: np.ndarray, indices: np.ndarray, **_: object) -> np.ndarray:
        inside = np.zeros(arr.shape, dtype=bool)
        np.put_along_axis(inside, indices, True, axis=1)
        sets.append(inside)
        return np.where(inside, 0.25, arr)

    def rowwise(a: np.ndarray, b: np.ndarray, **_: object) -> np.ndarray:
        return np.array([pearsonr(*pair)[0] for pair in zip(a, b)])  # older scipy has no axis

    measure = quantus.FaithfulnessCorrelation(
        nr_runs=20, subset_size=6, perturb_func=take_away, similarity_func=rowwise, **QUIET
    )
    theirs = measure(model=model, x_batch=INPUTS, y_batch=CLASSES, a_batch=maps, **CALL)
    found = losses(INPUTS, flat(maps), Explained(lambda x: predict(model, x), slopes, 0.25), sets)
    assert found.lost.shape == (5, 20)
    np.testing.assert_allclose(faithfulness_correlation(found.summed, found.lost), theirs, rtol=1e-4)


def test_infidelity_is_that_of_quantus(quantus):
    model = network()
    maps = slopes(model, INPUTS)
    measure = quantus.Infidelity(perturb_patch_sizes=[4], n_perturb_samples=1, perturb_baseline=0.25, **QUIET)
    theirs = measure(model=model, x_batch=INPUTS, y_batch=CLASSES, a_batch=maps, **CALL)
    # block after block goes to the baseline and stays there
    sets, inside = [], np.zeros((5, *SHAPE), dtype=bool)
    for row in (0, 4):
        for column in (0, 4):
            inside[..., row : row + 4, column : column + 4] = True
            sets.append(flat(inside).copy())
    explained = Explained(lambda x: predict(model, x), slopes, 0.25, slopes=True)
    found = losses(INPUTS, flat(maps), explained, sets)
    np.testing.assert_allclose(infidelity(found.predicted, found.lost), theirs, rtol=1e-4)


def test_randomisation_is_that_of_quantus(quantus):
    model = network()
    maps = gradient_x_input(model, INPUTS)
    measure = quantus.MPRT(layer_order="top_down", seed=7, **{**QUIET, "abs": True})
    theirs = measure(
        model=model, x_batch=INPUTS, y_batch=CLASSES, a_batch=maps, explain_func=gradient_x_input, **CALL
    )
    changed = network()
    for name in ("3", "0"):
        torch.manual_seed(8)
        changed.get_submodule(name).reset_parameters()
        ours = randomisation(flat(maps), flat(gradient_x_input(changed, INPUTS)))
        np.testing.assert_allclose(ours, theirs[name], rtol=1e-6)
    assert np.abs(ours).max() < 0.999
