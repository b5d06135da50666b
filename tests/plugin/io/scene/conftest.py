"""Scenes of which a test replaces single rasters, and scenes of which it replaces values."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.tests.plugin.io.scene.scene_files import Files
from floelens.tests.plugin.io.scene.scene_values import COLS, RATIO, ROWS, WATER, Trial


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


@pytest.fixture(scope="module")
def truth():
    """Return backscatter (hh, hv; row, column), dB, and temperatures (channel, row, column), K, of a calm scene."""
    draw = np.random.default_rng(5)
    backscatter = np.stack([draw.normal(-14, 3, (ROWS, COLS)), draw.normal(-25, 2, (ROWS, COLS))])
    shape = ROWS // RATIO, COLS // RATIO
    return backscatter.astype(np.float32), np.stack(
        [draw.normal(mean, 4, shape) for mean in WATER.values()]
    ).astype(np.float32)


@pytest.fixture
def trial(tmp_path, truth):
    return Trial(tmp_path, truth)
